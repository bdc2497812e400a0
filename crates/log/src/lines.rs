use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use downhill_tensor::Scalar;
use downhill_train::RunStart;

use crate::LogError;

/// The point at which a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The epochs that were completed.
    pub(crate) epochs: u64,
    /// The steps that were taken.
    pub(crate) steps: u64,
}

impl Point {
    pub(crate) fn of<T: Scalar>(start: &RunStart<'_, T>) -> Self {
        Self { epochs: start.epochs.start, steps: start.step }
    }

    fn is_start(self) -> bool {
        self.epochs == 0 && self.steps == 0
    }

    /// Whether an event of the log comes before this point.
    pub(crate) fn is_after(self, event: Event) -> bool {
        match event {
            Event::Step(step) => step < self.steps,
            Event::Epoch(epoch) => epoch <= self.epochs,
            #[cfg(feature = "json")]
            Event::Other => true,
        }
    }
}

/// The event that a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Counted from 0.
    Step(u64),
    /// Counted from 1.
    Epoch(u64),
    #[cfg(feature = "json")]
    Other,
}

/// The form of a log's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    /// The text that every log of its kind begins with.
    pub(crate) begin: &'a str,
    /// The first line with its end; empty if there is none.
    pub(crate) header: &'a str,
    /// The event of a line without its end, if it can be read.
    pub(crate) event: fn(&str) -> Option<Event>,
}

/// A file or a writer that takes lines, each whole at once.
pub(crate) struct Lines {
    path: Option<PathBuf>,
    writer: Option<Box<dyn Write + Send>>,
    /// The header that a writer has taken.
    header: Option<String>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Lines {
    pub(crate) fn of_path(path: impl AsRef<Path>) -> Self {
        Self { path: Some(path.as_ref().to_owned()), writer: None, header: None }
    }

    pub(crate) fn of_writer(writer: impl Write + Send + 'static) -> Self {
        Self { path: None, writer: Some(Box::new(writer)), header: None }
    }

    /// Begins a log, or goes on in one from which the lines after this point have been cut off.
    pub(crate) fn start(&mut self, point: Point, form: Form<'_>) -> Result<(), LogError> {
        let columns = |path| LogError::Columns { path, expected: form.header.trim_end().to_owned() };
        let Some(path) = &self.path else {
            return match &self.header {
                Some(header) if header == form.header => Ok(()),
                Some(_) => Err(columns(None)),
                None => {
                    self.header = Some(form.header.to_owned());
                    self.write(form.header)
                }
            };
        };
        let failed = |error| LogError::io(Some(path), error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let expected = if point.is_start() { form.begin } else { form.header };
        let kept = match begins_with(&mut file, expected).map_err(failed)? {
            Beginning::Other if point.is_start() => {
                return Err(LogError::Foreign { path: path.clone(), begin: form.begin.to_owned() });
            }
            Beginning::Other => return Err(columns(Some(path.clone()))),
            Beginning::Torn => 0,
            Beginning::Whole if point.is_start() => 0,
            Beginning::Whole => kept(&file, path, point, form)?,
        };
        file.set_len(kept).map_err(failed)?;
        file.seek(SeekFrom::Start(kept)).map_err(failed)?;
        self.writer = Some(Box::new(file));
        if kept == 0 { self.write(form.header) } else { Ok(()) }
    }

    /// Writes whole lines, and hands them to the operating system.
    pub(crate) fn write(&mut self, lines: &str) -> Result<(), LogError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write_all(lines.as_bytes()).and_then(|()| writer.flush());
        written.map_err(|error| LogError::io(self.path.as_deref(), error))
    }
}

/// What a file has where a text is expected.
enum Beginning {
    Whole,
    /// A part of it and nothing more, perhaps nothing at all.
    Torn,
    Other,
}

fn begins_with(file: &mut File, expected: &str) -> io::Result<Beginning> {
    let mut found = Vec::new();
    file.take(expected.len() as u64).read_to_end(&mut found)?;
    Ok(match expected.as_bytes().strip_prefix(&found[..]) {
        Some([]) if !found.is_empty() || file.metadata()?.len() > 0 => Beginning::Whole,
        Some(_) => Beginning::Torn,
        None => Beginning::Other,
    })
}

/// The length of the part of a log that comes before this point. A last line without an end was torn, and is cut off.
fn kept(file: &File, path: &Path, point: Point, form: Form<'_>) -> Result<u64, LogError> {
    let failed = |error| LogError::io(Some(path), error);
    let mut kept = form.header.len() as u64;
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(kept)).map_err(failed)?;
    let mut line = Vec::new();
    for number in 1 + u64::from(!form.header.is_empty()).. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(failed)?;
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let event = std::str::from_utf8(line).ok().and_then(form.event);
        let event = event.ok_or_else(|| LogError::Line { path: path.to_owned(), line: number })?;
        if !point.is_after(event) {
            break;
        }
        kept += length as u64;
    }
    Ok(kept)
}
