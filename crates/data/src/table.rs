use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};

use crate::DataError;

/// How a table is read: with commas and a header, unless told otherwise.
///
/// ```
/// use downhill_data::TableOptions;
/// let table = TableOptions::new().delimiter(b';').without_header().read("1;2\n3;4\n".as_bytes())?;
/// assert_eq!((table.len(), table.names()), (2, &["0".to_owned(), "1".to_owned()][..]));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableOptions {
    delimiter: u8,
    header: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TableOptions {
    /// Commas between cells, names of columns in the first row.
    #[must_use]
    pub fn new() -> Self {
        Self { delimiter: b',', header: true }
    }

    /// Another character between cells, as `b';'` or `b'\t'`.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// The first row is data: columns are named by their places, `0`, `1`, ...
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Where there is no row, rows have different numbers of cells, two columns have one name,
    /// text is not UTF-8, or the reader fails.
    pub fn read(&self, mut reader: impl Read) -> Result<Table, DataError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut lines = Lines { text, offset: 0, line: 1 };
        let mut reader =
            ReaderBuilder::new().delimiter(self.delimiter).has_headers(false).trim(Trim::All).from_reader(text);
        let mut rows = Vec::new();
        for cells in reader.records() {
            let cells = cells.map_err(|error| lines.explain(error))?;
            rows.push(Row { line: lines.at(cells.position()), cells });
        }
        let width = rows.first().map_or(0, |row| row.cells.len());
        let names: Vec<String> = if self.header && !rows.is_empty() {
            rows.remove(0).cells.iter().map(str::to_owned).collect()
        } else {
            (0..width).map(|place| place.to_string()).collect()
        };
        if rows.is_empty() {
            return Err(DataError::Empty { what: "the table", unit: "row" });
        }
        let mut places = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            if places.insert(name.clone(), place).is_some() {
                return Err(DataError::Duplicate { what: "column", name: name.clone() });
            }
        }
        Ok(Table { names, places, rows })
    }

    /// Reads the table of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read); the error names the file.
    pub fn read_path(&self, path: impl AsRef<Path>) -> Result<Table, DataError> {
        let path = path.as_ref();
        let read_file = || self.read(File::open(path)?);
        read_file().map_err(|error| error.in_file(path))
    }
}

/// Rows of text in named columns.
///
/// Cells are separated and quoted as RFC 4180 says; space around a cell, empty lines and
/// a byte-order mark are passed over. [`Columns`](crate::Columns) make a data set of a table.
#[derive(Clone, Debug)]
pub struct Table {
    names: Vec<String>,
    places: HashMap<String, usize>,
    rows: Vec<Row>,
}

/// One row and the line of the file that it starts on.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    cells: StringRecord,
}

impl Row {
    /// The cell in the column of this place; as many as the table has names.
    pub(crate) fn cell(&self, place: usize) -> &str {
        self.cells.get(place).unwrap_or_default()
    }
}

#[expect(clippy::len_without_is_empty, reason = "a table has at least one row")]
impl Table {
    /// Reads a table with commas and a header; [`TableOptions`] reads others.
    ///
    /// # Errors
    /// As [`TableOptions::read`].
    pub fn read(reader: impl Read) -> Result<Self, DataError> {
        TableOptions::new().read(reader)
    }

    /// Reads the table of a file, with commas and a header.
    ///
    /// # Errors
    /// As [`TableOptions::read_path`].
    pub fn read_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        TableOptions::new().read_path(path)
    }

    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of rows, which is never 0; a header is none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The cells of a column, from the first row to the last.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn column(&self, name: &str) -> Result<impl ExactSizeIterator<Item = &str>, DataError> {
        let place = self.place(name)?;
        Ok(self.rows.iter().map(move |row| row.cell(place)))
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where columns stand.
    pub(crate) fn places<'n>(&self, columns: impl IntoIterator<Item = &'n str>) -> Result<Vec<usize>, DataError> {
        columns.into_iter().map(|column| self.place(column)).collect()
    }

    /// Where a column stands.
    pub(crate) fn place(&self, column: &str) -> Result<usize, DataError> {
        self.places
            .get(column)
            .copied()
            .ok_or_else(|| DataError::NoColumn { column: column.to_owned(), available: self.names.clone() })
    }
}

/// Counts lines as an editor does; the CSV reader's own count is wrong after empty lines and `\r\n`.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the first cell at or after a position, which lies behind earlier ones.
    fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let target = position.map_or(self.offset, |position| position.byte() as usize);
        while let [byte, rest @ ..] = self.text.get(self.offset..).unwrap_or_default() {
            if self.offset >= target && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            let ends_line = *byte == b'\n' || (*byte == b'\r' && rest.first() != Some(&b'\n'));
            self.line += u64::from(ends_line);
            self.offset += 1;
        }
        self.line
    }

    fn explain(&mut self, error: csv::Error) -> DataError {
        match error.into_kind() {
            ErrorKind::Io(source) => source.into(),
            ErrorKind::Utf8 { pos, err } => DataError::NotUtf8 { line: self.at(pos.as_ref()), cell: err.field() },
            ErrorKind::UnequalLengths { pos, expected_len: expected, len: got } => {
                DataError::RaggedRow { line: self.at(pos.as_ref()), expected, got }
            }
            other => io::Error::other(format!("{other:?}")).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;

    fn table(text: &str) -> Table {
        Table::read(text.as_bytes()).unwrap()
    }

    fn message(text: &[u8]) -> String {
        Table::read(text).unwrap_err().to_string()
    }

    fn lines(table: &Table) -> Vec<u64> {
        table.rows.iter().map(|row| row.line).collect()
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        assert_eq!(lines(&table("a,b\n1,2\n3,4")), [2, 3]);
        assert_eq!(lines(&table("a,b\r\n1,2\r\n3,4\r\n")), [2, 3]);
        assert_eq!(lines(&table("a,b\r1,2\r3,4\r")), [2, 3]);
        assert_eq!(lines(&table("\n\r\na,b\n\n1,\"x\n\ny\"\n\n3,4\n")), [5, 9]);
        assert_eq!(lines(&table("\u{feff}a,b\n1,2\n")), [2]);
    }

    #[test]
    fn quotes_spaces_and_byte_order_marks_are_understood() {
        let table = table("\u{feff}\"name\", size \n\"Smith, \"\"J.\"\"\",  3\n");
        assert_eq!(table.names(), ["name", "size"]);
        assert_eq!(table.column("name").unwrap().collect::<Vec<_>>(), ["Smith, \"J.\""]);
        assert_eq!(table.column("size").unwrap().collect::<Vec<_>>(), ["3"]);
    }

    #[test]
    fn ragged_rows_are_errors() {
        assert_eq!(
            message(b"a,b\r\n1,2\r\n\r\n3\r\n"),
            "line 4 holds 1 instead of 2 cells; check its delimiters and quotes"
        );
        assert!(message(b"a,b\n1,2,3\n").starts_with("line 2 holds 3 instead of 2 cells"));
        assert!(message(b"a;b\n1;2,3\n").starts_with("line 2 holds 2 instead of 1 cells"));
    }

    #[test]
    fn other_encodings_are_errors() {
        assert_eq!(message(b"a,b\n1,2\n3,caf\xe9\n"), "cell 1 of line 3 is not UTF-8; save the file in that encoding");
        // UTF-16.
        assert!(Table::read(&b"\xff\xfea\0,\0b\0\n\0"[..]).is_err());
    }

    #[test]
    fn tables_without_rows_or_with_one_name_twice_are_errors() {
        for text in ["", "\n\n", "\u{feff}", "a,b\n"] {
            assert_eq!(message(text.as_bytes()), "the table is empty, but at least one row is needed");
        }
        assert_eq!(message(b"a,b,a\n1,2,3\n"), "the column `a` stands more than once; name each column once");
        let message = table("a,b\n1,2\n").column("c").err().unwrap().to_string();
        assert_eq!(message, "there is no column `c`; the columns are `a`, `b`");
    }

    #[test]
    fn files_are_named_in_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a,b\n1\n").unwrap();
        let message = Table::read_path(file.path()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{}`: line 2 holds 1 instead of 2 cells", file.path().display())),
            "{message}"
        );
        let message = Table::read_path("no/such.csv").unwrap_err().to_string();
        assert!(message.starts_with("`no/such.csv`: reading failed: "), "{message}");
    }

    #[test]
    fn odd_delimiters_and_broken_quotes_never_panic() {
        for delimiter in 0..=255 {
            let _ = TableOptions::new().delimiter(delimiter).read("a,b\n\"1,2\n3\",\"4".as_bytes());
        }
    }

    #[test]
    fn random_text_never_panics() {
        let mut stream = Seed(6).stream(0);
        let letters = b"ab1,;\"\r\n \xc3\xa9\xff";
        for _ in 0..3000 {
            let length = (stream.uniform() * 30.0) as usize;
            let text: Vec<u8> =
                (0..length).map(|_| letters[(stream.uniform() * letters.len() as f64) as usize]).collect();
            if let Ok(table) = Table::read(&text[..]) {
                let lines = lines(&table);
                assert!(lines.is_sorted() && lines[0] >= 2, "{}", text.escape_ascii());
            }
        }
    }
}
