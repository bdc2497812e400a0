//! What all commands share to read files and to write to people.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write, stderr, stdin};
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use downhill_data::{DataError, TableOptions};
use serde::Serialize;

use crate::CliError;
use crate::learn::Progress;
use crate::session::Session;

/// Titles, of which a terminal shows the words in bold.
pub(crate) const TITLE: Style = Style::new().bold();
/// What came out well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is worth less attention.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Text in a style; the stream leaves the style out unless it is a terminal.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Opens a file, or the standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, CliError> {
    if is_stream(path) {
        return Ok(Box::new(stdin().lock()));
    }
    // A folder opens, but can't be read.
    let file = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => Ok(file),
    });
    Ok(Box::new(file.map_err(|cause| CliError::read(path, cause))?))
}

/// Whether a path stands for the standard input or output.
pub(crate) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Names the input in an error of its data.
pub(crate) fn in_input(path: &Path) -> impl Fn(DataError) -> CliError {
    let name = if is_stream(path) { Path::new("standard input").to_owned() } else { path.to_owned() };
    move |error| CliError::Data(error.in_file(&name))
}

/// Reads the character between cells.
pub(crate) fn table_options(delimiter: Option<&str>) -> Result<TableOptions, CliError> {
    let options = TableOptions::new();
    match delimiter.unwrap_or(",") {
        "tab" | "\\t" => Ok(options.delimiter(b'\t')),
        text => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | b'\0') => Ok(options.delimiter(*byte)),
            _ => Err(CliError::Setting {
                setting: "delimiter",
                value: text.to_owned(),
                reason: "it must be one ASCII character that is not a quote or a line break, or `tab`",
            }),
        },
    }
}

/// Refuses to replace a file, unless that was asked for.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<(), CliError> {
    match is_stream(path) {
        true => Err(CliError::NotStream),
        false if !force && path.exists() => Err(CliError::Exists { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Refuses a place that no file can be written to, so that it is not found out when the work is done.
pub(crate) fn check_place(path: &Path) -> Result<(), CliError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", process::id()));
    let probe = path.with_file_name(name);
    let is_free = match path.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => File::create_new(&probe).and_then(|_| fs::remove_file(&probe)),
    };
    is_free.map_err(|cause| CliError::write(path, cause))
}

/// A text of a table on one line, and without a character that a terminal obeys.
pub(crate) fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// Writes a value as JSON.
pub(crate) fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    Ok(writeln!(out, "{text}")?)
}

/// Writes rows under each other, numbers to the right.
pub(crate) fn write_table(out: &mut dyn Write, titles: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let columns = titles.len();
    let titles: Vec<String> = titles.iter().map(|title| printable(title)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    for (at_title, row) in [(true, &titles)].into_iter().chain(rows.iter().map(|row| (false, row))) {
        let mut line = String::from(" ");
        for (place, cell) in row.iter().enumerate() {
            let cells = || rows.iter().filter_map(|row| row.get(place));
            let title = titles.get(place).map_or(0, |title| title.chars().count());
            let width = cells().map(|cell| cell.chars().count()).chain([title]).max().unwrap_or(0);
            line += " ";
            match (cells().all(|cell| is_number(cell)), place + 1 == columns) {
                (true, _) => line += &format!("{cell:>width$}"),
                (false, true) => line += cell,
                (false, false) => line += &format!("{cell:<width$}"),
            }
            line += " ";
        }
        let line = line.trim_end();
        writeln!(out, "{}", if at_title { styled(FAINT, line) } else { line.to_owned() })?;
    }
    Ok(())
}

/// A number of bytes, as people say it.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// A number of a table, with six digits at most unless it is whole.
pub(crate) fn short(x: f64) -> String {
    // As Rust writes it, a number beyond these bounds is a long row of zeros.
    if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) {
        return format!("{x:.5e}").parse().map_or_else(|_| x.to_string(), |x: f64| format!("{x:e}"));
    }
    if x.fract() == 0.0 { x.to_string() } else { format!("{x:.5e}").parse().unwrap_or(x).to_string() }
}

/// A measure: four digits behind the point, fewer of large numbers.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => format!("{x:.3e}"),
        size if size < 10.0 => format!("{x:.4}"),
        size if size < 1000.0 => format!("{x:.2}"),
        _ => format!("{x:.0}"),
    }
}

/// A line on the standard error that says how far training is, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Line {
    shown: bool,
    /// Whether lines stand under each other: what a launcher passes on is no terminal.
    kept: bool,
    last: Option<Instant>,
}

impl Line {
    /// A line for a program that is one of several processes, or alone.
    pub(crate) fn new(quiet: bool, session: &Session<'_>) -> Self {
        let kept = session.count() > 1;
        Self { shown: !quiet && session.is_first() && (kept || stderr().is_terminal()), kept, last: None }
    }

    pub(crate) fn show(&mut self, what: &str, progress: Progress) {
        let pause = Duration::from_millis(if self.kept { 1000 } else { 100 });
        let due = self.last.is_none_or(|last| last.elapsed() > pause);
        if self.shown && due {
            let share = 100.0 * progress.done as f64 / progress.epochs.max(1) as f64;
            let text = format!("{what}: {share:.0} %, loss {:.4}", progress.loss);
            // Whoever closes the standard error does not want to see this.
            let _ = match progress.slowest.filter(|_| self.kept) {
                Some(slowest) => writeln!(
                    stderr(),
                    "{text}, slowest rank {} by {:.3} s in the last epoch",
                    slowest.rank,
                    slowest.seconds
                ),
                None => write!(stderr(), "\r\x1b[2K{text}"),
            };
            self.last = Some(Instant::now());
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.last.take().is_some() && !self.kept {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_read_well() {
        let texts = [0.0, 0.98765, 1.23456, 12.3456, 1234.56, 45678.9, 0.000123, -3.5, 1e9].map(number);
        assert_eq!(texts, ["0", "0.9877", "1.2346", "12.35", "1235", "45679", "1.230e-4", "-3.5000", "1.000e9"]);
        assert_eq!([12, 1_500, 2_500_000].map(bytes), ["12 bytes", "1.5 kB", "2.5 MB"]);
    }

    #[test]
    fn a_number_of_a_table_is_short() {
        let texts = [0.0, 2700.0, 32.1, 0.023_858_079_14, 0.1 + 0.2, 123_456_789.0, -1.5e-7, 1e290].map(short);
        assert_eq!(texts, ["0", "2700", "32.1", "0.0238581", "0.3", "123456789", "-1.5e-7", "1e290"]);
    }

    #[test]
    fn a_table_has_its_numbers_to_the_right() {
        let table = |rows: [[&str; 3]; 2]| {
            let rows = rows.map(|row| row.map(str::to_owned).to_vec());
            let mut out = Vec::new();
            write_table(&mut out, &["name", "n", "holds"], &rows).unwrap();
            anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
        };
        let text = table([["a", "1", "0.5 to 12"], ["long", "-12", "1 to 2"]]);
        assert_eq!(text, "  name    n  holds\n  a       1  0.5 to 12\n  long  -12  1 to 2\n");
        // What a terminal would obey is written out.
        let text = table([["a\nb", "1", "x"], ["\u{1b}[31m", "2", "ü"]]);
        assert_eq!(text, "  name        n  holds\n  a\\nb        1  x\n  \\u{1b}[31m  2  ü\n");
    }

    #[test]
    fn a_delimiter_is_one_character_or_tab() {
        for good in [None, Some(";"), Some("tab"), Some("\t")] {
            assert!(table_options(good).is_ok());
        }
        for bad in ["", ";;", "ä", "\"", "\n"] {
            assert!(table_options(Some(bad)).unwrap_err().to_string().contains("one ASCII character"), "{bad}");
        }
    }
}
