//! Tables, for the terminal and for reports, and the numbers in them.

use std::fmt;

/// A table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Above it in a report; above its first column on the terminal.
    pub(crate) title: String,
    /// The names of the columns after the first.
    pub(crate) head: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
    /// A paragraph below it.
    pub(crate) note: String,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    /// What a report draws behind the last cell.
    pub(crate) bar: Option<Bar>,
}

/// A bar with a whisker: places from 0 at the left to 1 at the right. What goes beyond them is cut off.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) whisker: Option<[f64; 2]>,
    /// The class of the style sheet that colours it.
    pub(crate) class: &'static str,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = std::iter::once(self.title.as_str()).chain(self.head.iter().copied()).collect();
        let cells = self.rows.iter().map(|row| row.cells.iter().map(String::as_str).collect());
        let lines: Vec<Vec<&str>> = std::iter::once(head).chain(cells).collect();
        let width = |column: usize| lines.iter().filter_map(|line| Some(line.get(column)?.chars().count())).max();
        for (index, line) in lines.iter().enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let width = width(column).unwrap_or(0);
                match column {
                    0 if index == 0 => write!(f, "{cell:<width$}")?,
                    0 => write!(f, "\n{cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
        }
        if self.note.is_empty() { Ok(()) } else { write!(f, "\n\n{}", self.note) }
    }
}

impl Table {
    pub(crate) fn html(&self) -> String {
        let head: String = self.head.iter().map(|name| format!("<th>{}", escape(name))).collect();
        let row = |row: &Row| {
            let cells: String = row.cells.iter().map(|cell| format!("<td>{}", escape(cell))).collect();
            format!("<tr>{cells}{}\n", row.bar.as_ref().map_or_else(String::new, Bar::html))
        };
        format!(
            "<h2>{}</h2>\n<div class=\"wide\"><table>\n<tr><th>{head}\n{}</table></div>\n<p>{}</p>\n",
            escape(&self.title),
            self.rows.iter().map(row).collect::<String>(),
            escape(&self.note)
        )
    }
}

impl Bar {
    fn html(&self) -> String {
        const FULL: f64 = 220.0;
        let at = |place: f64| (FULL * place.clamp(0.0, 1.0)).round();
        let (from, class) = (at(self.from), self.class);
        let whisker = self.whisker.map(|[from, to]| {
            let (from, to) = (at(from), at(to));
            format!("<path class=\"whisker\" d=\"M{from} 7H{to}\"/>")
        });
        format!(
            "<td><svg width=\"{FULL}\" height=\"14\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"{FULL}\" height=\"14\" rx=\"2\"/>\
             <rect class=\"{class}\" x=\"{from}\" width=\"{}\" height=\"14\" rx=\"2\"/>{}</svg>",
            at(self.to) - from,
            whisker.unwrap_or_default(),
        )
    }
}

/// The text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `1 thread`, `2 threads`.
pub(crate) fn threads(count: usize) -> String {
    format!("{count} thread{}", if count == 1 { "" } else { "s" })
}

/// Seconds in the unit that suits them.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", significant(value))
}

/// A large number with its thousands, millions or billions named.
pub(crate) fn count(number: f64) -> String {
    let (value, unit) = match number {
        n if n < 1e3 => (n, ""),
        n if n < 1e6 => (n / 1e3, " k"),
        n if n < 1e9 => (n / 1e6, " M"),
        n => (n / 1e9, " G"),
    };
    format!("{}{unit}", significant(value))
}

/// Three digits that mean something.
pub(crate) fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit_that_suits() {
        assert_eq!([time(1.234e-7), time(9.8e-5), time(0.0123), time(2.0)], ["123 ns", "98.0 µs", "12.3 ms", "2.00 s"]);
        assert_eq!([count(12.0), count(10_200.0), count(3.5e6)], ["12.0", "10.2 k", "3.50 M"]);
    }

    #[test]
    fn a_table_is_the_same_on_the_terminal_and_in_a_report() {
        let row = |cells: [&str; 2], bar| Row { cells: cells.map(str::to_owned).to_vec(), bar };
        let bar = Bar { from: 0.5, to: 2.0, whisker: None, class: "one" };
        let rows = vec![row(["a < b", "1"], Some(bar)), row(["c", "20 µs"], None)];
        let table = Table { title: "Times".into(), head: &["time"], rows, note: "All.".into() };
        assert_eq!(table.to_string(), "Times   time\na < b      1\nc      20 µs\n\nAll.");
        let html = table.html();
        for part in
            ["<h2>Times</h2>", "<th><th>time", "<td>a &lt; b<td>1<td><svg", "x=\"110\" width=\"110\"", "<p>All."]
        {
            assert!(html.contains(part), "{part} is missing in {html}");
        }
    }
}
