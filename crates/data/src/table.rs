use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use downhill_tensor::Seed;

use crate::cells::{Cells, Row};
use crate::chunks::Chunks;
use crate::split::{self, Folds, Groups, Rounds, Strata};
use crate::{DataError, OneHot};

/// The name of a table in an error.
const WHOLE: &str = "the table";

/// Options for reading a table, by default with commas and a header.
///
/// ```
/// use downhill_data::TableOptions;
/// let table = TableOptions::new().delimiter(b';').no_header().read("1;2\n3;4\n".as_bytes())?;
/// assert_eq!((table.len(), table.names()), (2, &["0".to_owned(), "1".to_owned()][..]));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableOptions {
    pub(crate) delimiter: u8,
    pub(crate) header: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TableOptions {
    /// Reads cells between commas, and the names of columns in the first row.
    #[must_use]
    pub fn new() -> Self {
        Self { delimiter: b',', header: true }
    }

    /// Sets the character between cells, such as `b';'` or `b'\t'`.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Reads the first row as data: columns are named by their places, `0`, `1`, ...
    #[must_use]
    pub fn no_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Returns an error if there is no row, rows have different numbers of cells, two columns have the same name,
    /// a quote is never closed or has text after it, a cell holds a NUL byte or is not UTF-8,
    /// the delimiter is not an ASCII character or is a quote or a line break, or the reader fails.
    pub fn read(&self, mut reader: impl Read) -> Result<Table, DataError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let (table, _) = self.read_part(&bytes, &mut None, 1)?;
        table.ok_or(NO_ROW)
    }

    /// Reads a table part by part, each a table of some rows, for one that is too large to be held, or that comes in
    /// slowly. What it yields is what [`read`](Self::read) would read, line numbers included.
    ///
    /// ```
    /// use downhill_data::TableOptions;
    /// let mut total = 0.0;
    /// for part in TableOptions::new().chunks("size,price\n1,10\n2,20\n".as_bytes()) {
    ///     for cell in part?.column("price")? {
    ///         total += cell.parse::<f64>()?;
    ///     }
    /// }
    /// assert_eq!(total, 30.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn chunks<R: Read>(&self, reader: R) -> Chunks<R> {
        Chunks::new(reader, self.clone())
    }

    /// Reads whole rows, which begin on `line` and follow those that `header` is of; the first part has the header.
    /// Returns the rows, if there are any, and the number of lines.
    pub(crate) fn read_part(
        &self,
        bytes: &[u8],
        header: &mut Option<Header>,
        line: u64,
    ) -> Result<(Option<Table>, u64), DataError> {
        let first = header.is_none();
        let bytes = if first { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let width = header.as_ref().map(|header| header.names.len());
        let (cells, lines) = Cells::read(bytes, self.delimiter, line, width)?;
        let named = if first { cells.rows().next().filter(|_| self.header) } else { None };
        let rows: Vec<usize> = (usize::from(named.is_some())..cells.len()).collect();
        let header = match header {
            Some(header) => header,
            None if cells.len() == 0 => return Ok((None, lines)),
            None => header.insert(Header::new(match &named {
                Some(named) => named.cells().map(str::to_owned).collect(),
                None => (0..cells.width()).map(|place| place.to_string()).collect(),
            })),
        };
        if rows.is_empty() {
            return Ok((None, lines));
        }
        header.check()?;
        Ok((Some(Table { sheet: Arc::new(Sheet { header: header.clone(), cells }), rows }), lines))
    }

    /// Reads the first rows of a table, at most this many: enough to fit a schema to, where the whole is too large.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read), for as much as is read.
    pub fn read_first(&self, rows: usize, reader: impl Read) -> Result<Table, DataError> {
        let mut first: Option<(Header, Cells)> = None;
        for part in self.chunks(reader) {
            let part = part?;
            let header = &part.sheet.header;
            let (_, cells) = first.get_or_insert_with(|| (header.clone(), Cells::of_width(header.width())));
            let left = rows.saturating_sub(cells.len());
            part.rows().take(left).for_each(|row| cells.push(row));
            if cells.len() >= rows {
                break;
            }
        }
        let (header, cells) = first.filter(|(_, cells)| cells.len() > 0).ok_or(NO_ROW)?;
        Ok(Table::from_cells(header, cells))
    }

    /// Reads the table of a file.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read); the error names the file.
    pub fn read_path(&self, path: impl AsRef<Path>) -> Result<Table, DataError> {
        let path = path.as_ref();
        let read_file = || self.read(File::open(path)?);
        read_file().map_err(|error| error.in_file(path))
    }
}

/// Rows of text in named columns.
///
/// Cells are separated and quoted as RFC 4180 says, and nothing is passed over that could be data:
///
/// * A line ends with `\n`, `\r\n` or `\r`. Lines that are empty or hold only spaces are skipped;
///   in a table of one column, where such a line may be an empty cell, one between two rows is an error.
/// * Every row has as many cells as the first. A delimiter at the end of a line begins one more, empty cell.
/// * White space around a cell is removed, and so is a byte-order mark at the start of the file.
/// * A cell that begins with a quote ends with one; two quotes within it are one, and it may hold delimiters and
///   line breaks. A quote within a cell that doesn't begin with one is a character like any other, as in `6" nails`.
/// * One column may have an empty name, such as the row numbers that pandas writes; no two have the same.
///
/// [`Columns`](crate::Columns) make a data set of a table. To keep what is learnt of a table (categories, what fills
/// a gap) apart from what it is judged on, split the table first:
///
/// ```
/// use downhill_data::{Columns, Dataset, Missing, Table};
/// use downhill_tensor::Seed;
///
/// let table = Table::read("size,price\n1,10\n2,20\n,30\n4,40\n5,50\n".as_bytes())?;
/// let (train, test) = table.split(0.6, Seed(1))?;
/// let schema = Columns::for_values(["price"]).numeric(["size"]).missing(Missing::Mean).fit(&train)?;
/// let (train, test): (Dataset<f64>, Dataset<f64>) = (schema.dataset(&train)?, schema.dataset(&test)?);
/// assert_eq!((train.len(), test.len()), (3, 2));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    /// The cells that were read, shared by all tables that are parts of them.
    sheet: Arc<Sheet>,
    /// The rows of it that this table has.
    rows: Vec<usize>,
}

#[derive(Debug)]
struct Sheet {
    header: Header,
    cells: Cells,
}

/// The error of a table that ends before its first row.
pub(crate) const NO_ROW: DataError = DataError::Empty { what: "the table", unit: "row" };

/// The names of columns, and their places in a row.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    names: Arc<[String]>,
    places: Arc<HashMap<String, usize>>,
    /// A name that two columns have.
    twice: Option<String>,
}

impl Header {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let mut places = HashMap::with_capacity(names.len());
        let twice = names.iter().enumerate().find(|&(place, name)| places.insert(name.clone(), place).is_some());
        let twice = twice.map(|(_, name)| name.clone());
        Self { names: names.into(), places: Arc::new(places), twice }
    }

    /// The number of columns.
    pub(crate) fn width(&self) -> usize {
        self.names.len()
    }

    /// Checks that no two columns have one name.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        match &self.twice {
            Some(name) => Err(DataError::DuplicateColumn { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The place of a column in a row.
    pub(crate) fn place(&self, column: &str) -> Result<usize, DataError> {
        let unknown = || DataError::NoColumn { column: column.to_owned(), available: self.names.to_vec() };
        self.places.get(column).copied().ok_or_else(unknown)
    }
}

#[expect(clippy::len_without_is_empty, reason = "a table has at least one row")]
impl Table {
    /// Reads a table with commas and a header; [`TableOptions`] reads others.
    ///
    /// # Errors
    /// Returns the errors of [`TableOptions::read`].
    pub fn read(reader: impl Read) -> Result<Self, DataError> {
        TableOptions::new().read(reader)
    }

    /// Reads the table of a file, with commas and a header.
    ///
    /// # Errors
    /// Returns the errors of [`TableOptions::read_path`].
    pub fn read_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        TableOptions::new().read_path(path)
    }

    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.sheet.header.names
    }

    /// The number of rows, which is never 0; a header is none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The cells of a column, from the first row to the last.
    ///
    /// # Errors
    /// Returns an error if there is no such column.
    pub fn column(&self, name: &str) -> Result<impl ExactSizeIterator<Item = &str>, DataError> {
        let place = self.place(name)?;
        Ok(self.rows().map(move |row| row.cell(place)))
    }

    /// The line of the file that each row starts on, counted from 1.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = u64> {
        self.rows().map(|row| row.line())
    }

    /// Selects the rows at `indices`, in that order; one may be taken several times. No text is copied.
    ///
    /// # Errors
    /// Returns an error if there are no indices, or one lies beyond the last row.
    pub fn select(&self, indices: &[usize]) -> Result<Self, DataError> {
        if indices.is_empty() {
            return Err(DataError::Empty { what: "the selection", unit: "row" });
        }
        match indices.iter().find(|&&index| index >= self.len()) {
            Some(&index) => Err(DataError::RowIndex { index, rows: self.len() }),
            None => Ok(self.gather(indices)),
        }
    }

    /// Splits the rows as [`Dataset::split`](crate::Dataset::split) splits examples, into the same parts for the
    /// same seed.
    ///
    /// # Errors
    /// Returns an error if the fraction does not lie between 0 and 1, or there are fewer than two rows.
    pub fn split(&self, fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        let (first, second) = split::halves(WHOLE, self.len(), fraction, seed)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Splits the rows so that every value of a column keeps its share, as
    /// [`Dataset::stratified_split`](crate::Dataset::stratified_split) does with classes.
    ///
    /// # Errors
    /// Returns the errors of [`split`](Self::split), and one if there is no such column or one of its values is in a
    /// single row only.
    pub fn stratified_split(&self, column: &str, fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        let (first, second) = self.stratified(column, |strata| split::stratified_halves(strata, fraction, seed))?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes the rounds of a `count`-fold cross-validation, as [`Dataset::k_folds`](crate::Dataset::k_folds) makes them.
    ///
    /// # Errors
    /// Returns an error if there are fewer than two folds, or fewer rows than folds.
    pub fn k_folds(&self, count: usize, seed: Seed) -> Result<Folds<'_, Self>, DataError> {
        Ok(Folds::new(self, Self::gather, Rounds::Parts(split::folds(WHOLE, self.len(), count, seed)?)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which every value of a column keeps its share, as
    /// [`Dataset::stratified_k_folds`](crate::Dataset::stratified_k_folds) makes them for classes.
    ///
    /// # Errors
    /// Returns the errors of [`k_folds`](Self::k_folds), and one if there is no such column or one of its values is in
    /// fewer rows than there are folds.
    pub fn stratified_k_folds(&self, column: &str, count: usize, seed: Seed) -> Result<Folds<'_, Self>, DataError> {
        let folds = self.stratified(column, |strata| split::stratified_folds(strata, count, seed))?;
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds)))
    }

    /// Splits the rows so that all rows with the same value of a column are in one part, as
    /// [`Dataset::grouped_split`](crate::Dataset::grouped_split) does with groups.
    ///
    /// ```
    /// # use downhill_data::Table;
    /// # use downhill_tensor::Seed;
    /// let visits = Table::read("patient,pulse\nann,61\nann,65\nbob,70\nbob,72\n".as_bytes())?;
    /// let (train, test) = visits.grouped_split("patient", 0.5, Seed(1))?;
    /// assert!(train.column("patient")?.all(|patient| test.column("patient").unwrap().all(|other| other != patient)));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there is no such column, the fraction does not lie between 0 and 1, or all rows have one value.
    pub fn grouped_split(&self, column: &str, fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        let (first, second) = split::grouped_halves(&self.groups(column)?, fraction, seed)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which all rows with the same value of a column are in one
    /// fold, as [`Dataset::grouped_k_folds`](crate::Dataset::grouped_k_folds) makes them for groups.
    ///
    /// # Errors
    /// Returns an error if there is no such column, there are fewer than two folds, or fewer values than folds.
    pub fn grouped_k_folds(&self, column: &str, count: usize, seed: Seed) -> Result<Folds<'_, Self>, DataError> {
        let folds = split::grouped_folds(&self.groups(column)?, count, seed)?;
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which all rows with the same value of the column `groups`
    /// are in one fold and every value of the column `classes` keeps its share as far as the groups let it, as
    /// [`Dataset::stratified_grouped_k_folds`](crate::Dataset::stratified_grouped_k_folds) makes them.
    ///
    /// # Errors
    /// Returns the errors of [`grouped_k_folds`](Self::grouped_k_folds), and one if a class is in fewer rows than there
    /// are folds.
    pub fn stratified_grouped_k_folds(
        &self,
        classes: &str,
        groups: &str,
        count: usize,
        seed: Seed,
    ) -> Result<Folds<'_, Self>, DataError> {
        let groups = self.groups(groups)?;
        let folds = self.stratified(classes, |strata| split::stratified_grouped_folds(&groups, strata, count, seed))?;
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds)))
    }

    /// Splits the rows by time, of which their order is taken to be the order, as
    /// [`Dataset::time_split`](crate::Dataset::time_split) splits examples.
    ///
    /// # Errors
    /// Returns an error if the fraction does not lie between 0 and 1, or there are fewer than two rows besides the gap.
    pub fn time_split(&self, fraction: f64, gap: usize) -> Result<(Self, Self), DataError> {
        let (first, second) = split::time_halves(WHOLE, self.len(), fraction, gap)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes `count` rounds of a cross-validation by time, of which the order of the rows is taken to be the order, as
    /// [`Dataset::time_folds`](crate::Dataset::time_folds) makes them.
    ///
    /// # Errors
    /// Returns an error if there are fewer than two folds, or a fold would have nothing to train or to validate on.
    pub fn time_folds(&self, count: usize, gap: usize) -> Result<Folds<'_, Self>, DataError> {
        Ok(Folds::new(self, Self::gather, Rounds::Windows(split::time_folds(WHOLE, self.len(), count, gap)?)))
    }

    /// Reads the values of a column as groups.
    fn groups(&self, column: &str) -> Result<Groups, DataError> {
        Groups::new(&self.column(column)?.collect::<Vec<_>>(), self.len())
    }

    /// Reads the values of a column as classes, in the order that a [`Schema`](crate::Schema) gives them.
    fn stratified<R>(
        &self,
        column: &str,
        split: impl FnOnce(Strata<'_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        let values = OneHot::fit(self.column(column)?)?;
        let places: HashMap<&str, u32> = values.categories().iter().map(String::as_str).zip(0..).collect();
        let labels: Vec<u32> = self.column(column)?.filter_map(|cell| places.get(cell).copied()).collect();
        let value = |label: u32| values.categories().get(label as usize).map_or("", String::as_str);
        split(Strata { labels: &labels, name: &|label| format!("the value `{}` of column `{column}`", value(label)) })
    }

    /// The table of rows, of which there is one at least.
    pub(crate) fn from_cells(header: Header, cells: Cells) -> Self {
        let rows = (0..cells.len()).collect();
        Self { sheet: Arc::new(Sheet { header, cells }), rows }
    }

    /// The rows at `indices`, which are in range and not none.
    pub(crate) fn gather(&self, indices: &[usize]) -> Self {
        let rows = indices.iter().filter_map(|&index| self.rows.get(index).copied()).collect();
        Self { sheet: Arc::clone(&self.sheet), rows }
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|&row| self.sheet.cells.row(row))
    }

    /// The places of columns in a row.
    pub(crate) fn places<'n>(&self, columns: impl IntoIterator<Item = &'n str>) -> Result<Vec<usize>, DataError> {
        columns.into_iter().map(|column| self.place(column)).collect()
    }

    /// The place of a column in a row.
    pub(crate) fn place(&self, column: &str) -> Result<usize, DataError> {
        self.sheet.header.place(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Columns, Dataset, Fold};

    fn table(text: &str) -> Table {
        Table::read(text.as_bytes()).unwrap()
    }

    fn message(text: &[u8]) -> String {
        Table::read(text).unwrap_err().to_string()
    }

    fn lines(table: &Table) -> Vec<u64> {
        table.lines().collect()
    }

    fn column<'t>(table: &'t Table, name: &str) -> Vec<&'t str> {
        table.column(name).unwrap().collect()
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        assert_eq!(lines(&table("a,b\n1,2\n3,4")), [2, 3]);
        assert_eq!(lines(&table("a,b\r\n1,2\r\n3,4\r\n")), [2, 3]);
        assert_eq!(lines(&table("a,b\r1,2\r3,4\r")), [2, 3]);
        assert_eq!(lines(&table("\n\r\na,b\n\n1,\"x\n\ny\"\n\n3,4\n")), [5, 9]);
        assert_eq!(lines(&table("a,b\r\n1,\"x\r\n\r\ny\rz\"\r\n3,4")), [2, 6]);
        assert_eq!(lines(&table("\u{feff}a,b\n1,2\n")), [2]);
    }

    #[test]
    fn quotes_spaces_and_byte_order_marks_are_understood() {
        let odd = table("\u{feff}\"name\", size \n \"Smith, \"\"J.\"\"\" ,  3\n\"\",\"two\nlines\"\n");
        assert_eq!(odd.names(), ["name", "size"]);
        assert_eq!(column(&odd, "name"), ["Smith, \"J.\"", ""]);
        assert_eq!(column(&odd, "size"), ["3", "two\nlines"]);
        let tabs = TableOptions::new().delimiter(b'\t').read("a\tb\tc\n\t \"x\ty\" \t\n".as_bytes()).unwrap();
        assert_eq!(["a", "b", "c"].map(|name| column(&tabs, name)[0]), ["", "x\ty", ""]);
        let wide = table("a,b\n\u{a0} x\u{2003},\" \ny z\u{a0}\"\n");
        assert_eq!(["a", "b"].map(|name| column(&wide, name)[0]), ["x", "y z"]);
        let spaces = TableOptions::new().delimiter(b' ').read("a b\n 1\n".as_bytes()).unwrap();
        assert_eq!(["a", "b"].map(|name| column(&spaces, name)[0]), ["", "1"]);
    }

    #[test]
    fn a_quote_within_an_unquoted_cell_is_a_character() {
        let nails = table("what,n\n6\" nails,1\n5' 6\",2\n");
        assert_eq!(column(&nails, "what"), ["6\" nails", "5' 6\""]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error() {
        assert_eq!(
            message(b"a,b\n1,2\n3,\"four\n5,6\n7,8\n"),
            "the quote that opens cell 1 of line 3 (`\"four`) is never closed; \
             close it, or if it is part of the text, put the cell in quotes and write the quote twice"
        );
        assert!(message(b"a,b\n1,2\n3,4\n\"").starts_with("the quote that opens cell 0 of line 4 (`\"`)"));
        assert!(message(b"\"a,b\n1,2\n").starts_with("the quote that opens cell 0 of line 1"));
        assert!(message(b"a,b\n\r\n\"x\ny\",\"\"\"z\"\"\n\n").starts_with("the quote that opens cell 1 of line 4"));
    }

    #[test]
    fn text_after_a_closing_quote_is_an_error() {
        assert_eq!(
            message(b"a,b\n1,\"x\n2,y\n3,\"z\"\n"),
            "cell 1 of line 2 is quoted, but `z\"` follows its closing quote on line 4; \
             close quotes that were left open, and write a quote within quotes twice"
        );
        assert!(
            message(b"a,b\n\"x\" y,2\n")
                .starts_with("cell 0 of line 2 is quoted, but `y,2` follows its closing quote;")
        );
    }

    #[test]
    fn ragged_rows_are_errors() {
        assert_eq!(
            message(b"a,b\r\n1,2\r\n\r\n3\r\n"),
            "line 4 holds 1 instead of 2 cells; check its delimiters and quotes"
        );
        assert!(message(b"a,b\n1,2,3\n").starts_with("line 2 holds 3 instead of 2 cells"));
        assert!(message(b"a;b\n1;2,3\n").starts_with("line 2 holds 2 instead of 1 cells"));
        assert!(message(b"a,b\n1,2,\n").starts_with("line 2 holds 3 instead of 2 cells"));
        assert!(message(b"a,b,\n1,2\n").starts_with("line 2 holds 2 instead of 3 cells"));
    }

    #[test]
    fn a_delimiter_at_the_end_of_all_lines_is_a_column_without_a_name() {
        let trailing = table("a,b,\n1,2,\n3,4,\n");
        assert_eq!((trailing.names(), column(&trailing, "")), (&["a", "b", ""].map(String::from)[..], vec!["", ""]));
        assert_eq!(column(&table(",a\n0,x\n1,y\n"), ""), ["0", "1"]);
        assert!(message(b"a,,\n1,,\n").starts_with("the column `` is listed more than once"));
    }

    #[test]
    fn blank_lines_are_skipped_unless_they_may_be_cells() {
        assert_eq!(column(&table("\n \t\na,b\n\n  \r\n1,2\n\n\n"), "a"), ["1"]);
        assert_eq!(column(&table("\na\n1\n\"\"\n2\n\n"), "a"), ["1", "", "2"]);
        assert_eq!(
            message(b"a\n1\n\n2\n"),
            "line 3 is blank, which in a table of one column is either an empty cell or nothing; \
             write `\"\"` for an empty cell, or take the line out"
        );
    }

    #[test]
    fn other_encodings_and_binary_files_are_errors() {
        assert_eq!(
            message(b"a,b\n1,2\n3,caf\xe9\n"),
            "cell 1 of line 3 is not UTF-8 (the byte 0xe9 can't be there); save the file as text in UTF-8"
        );
        assert!(message(b"a,b\n1,\"2\n\n\xff\"\n").starts_with("cell 1 of line 4 is not UTF-8 (the byte 0xff"));
        let utf16 = b"\xff\xfea\0,\0b\0\n\0";
        assert!(message(utf16).starts_with("cell 0 of line 1 is not UTF-8"));
        assert_eq!(
            message(&utf16[2..]),
            "cell 0 of line 1 holds a NUL byte, as binary files and UTF-16 do; save the file as text in UTF-8"
        );
        assert!(message(b"a,b\n1,2\n3,4\0\n").starts_with("cell 1 of line 3 holds a NUL byte"));
    }

    #[test]
    fn tables_without_rows_or_with_one_name_twice_are_errors() {
        for text in ["", "\n\n", "\u{feff}", "a,b\n"] {
            assert_eq!(message(text.as_bytes()), "the table is empty, but at least one row is needed");
        }
        assert_eq!(message(b"a,b,a\n1,2,3\n"), "the column `a` is listed more than once; name each column once");
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
    fn only_ascii_characters_that_mean_nothing_else_separate_cells() {
        for delimiter in 0..=255 {
            let text = [b"a".as_slice(), &[delimiter], b"b\n1", &[delimiter], b"2\n"].concat();
            let read = TableOptions::new().delimiter(delimiter).read(&text[..]);
            if delimiter.is_ascii() && !b"\"\n\r\0ab12".contains(&delimiter) {
                assert_eq!(column(&read.unwrap(), "b"), ["2"], "{delimiter}");
            } else if let Err(error) = read {
                let refused = format!("the byte {delimiter:#04x} can't separate cells");
                assert!(error.to_string().starts_with(&refused) || b"ab12".contains(&delimiter), "{error}");
            }
        }
    }

    /// Reads cells by the textbook: a character at a time, for text without spaces that is known to be right.
    fn naive(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut quoted) = (vec![vec![String::new()]], false);
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let (row, cell) = (rows.len() - 1, rows.last().unwrap().len() - 1);
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => rows[row][cell].push(letters.next().unwrap()),
                '"' => quoted = !quoted,
                ',' if !quoted => rows[row].push(String::new()),
                '\n' if !quoted => rows.push(vec![String::new()]),
                _ => rows[row][cell].push(letter),
            }
        }
        rows.pop();
        rows
    }

    #[test]
    fn every_cell_that_is_written_is_read_again() {
        let mut stream = Seed(7).stream(0);
        let mut below = |n: usize| (stream.uniform() * n as f64) as usize;
        let letters = ["a", "1", ",", "\"\"", "\n", "é", ";"];
        for _ in 0..500 {
            let width = 2 + below(3);
            let mut text = (0..width).map(|place| format!("c{place}")).collect::<Vec<_>>().join(",") + "\n";
            for _ in 0..1 + below(4) {
                let cells = (0..width).map(|_| {
                    let inner: String = (0..below(6)).map(|_| letters[below(letters.len())]).collect();
                    format!("\"x{inner}x\"")
                });
                text += &(cells.collect::<Vec<_>>().join(",") + "\n");
            }
            let table = table(&text);
            let read: Vec<Vec<String>> = table.rows().map(|row| row.cells().map(str::to_owned).collect()).collect();
            assert_eq!(read, naive(&text)[1..], "{text}");
        }
    }

    #[test]
    fn random_text_never_panics() {
        let mut stream = Seed(6).stream(0);
        let letters = b"ab1,;\"\r\n \xc3\xa9\xff\0";
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

    /// 40 rows, numbered, of three kinds.
    fn numbered() -> Table {
        let rows: String = (0..40).map(|i| format!("{i},{}\n", ["10", "9", "9", "x"][i % 4])).collect();
        table(&format!("i,kind\n{rows}"))
    }

    fn data(table: &Table) -> Dataset<f64> {
        Columns::for_class("kind").numeric(["i"]).fit(table).unwrap().dataset(table).unwrap()
    }

    fn numbers(table: &Table) -> Vec<f64> {
        column(table, "i").into_iter().map(|cell| cell.parse().unwrap()).collect()
    }

    #[test]
    fn a_table_is_split_as_its_data_set_is() {
        let whole = numbered();
        let set = data(&whole);
        let same = |(a, b): (Table, Table), (c, d): (Dataset<f64>, Dataset<f64>)| {
            assert_eq!((numbers(&a), numbers(&b)), (c.inputs().slice().to_vec(), d.inputs().slice().to_vec()));
            let mut all: Vec<u64> = a.lines().chain(b.lines()).collect();
            all.sort_unstable();
            assert_eq!(all, whole.lines().collect::<Vec<_>>());
        };
        let parts = |fold: Fold<Table>| (fold.train, fold.validation);
        let sets = |fold: Fold<Dataset<f64>>| (fold.train, fold.validation);
        same(whole.split(0.3, Seed(1)).unwrap(), set.split(0.3, Seed(1)).unwrap());
        same(whole.stratified_split("kind", 0.7, Seed(1)).unwrap(), set.stratified_split(0.7, Seed(1)).unwrap());
        for (fold, expected) in whole.k_folds(3, Seed(2)).unwrap().zip(set.k_folds(3, Seed(2)).unwrap()) {
            same(parts(fold), sets(expected));
        }
        let folds = whole.stratified_k_folds("kind", 3, Seed(2)).unwrap();
        assert_eq!(folds.len(), 3);
        for (fold, expected) in folds.zip(set.stratified_k_folds(3, Seed(2)).unwrap()) {
            same(parts(fold), sets(expected));
        }

        let of: Vec<usize> = (0..40).map(|i| i % 7).collect();
        let rows: String = of.iter().enumerate().map(|(i, group)| format!("{i},{},{group}\n", i % 2)).collect();
        let whole = table(&format!("i,kind,group\n{rows}"));
        let set = data(&whole);
        let (first, second) = whole.grouped_split("group", 0.4, Seed(1)).unwrap();
        let (a, b) = set.grouped_split(&of, 0.4, Seed(1)).unwrap();
        assert_eq!((numbers(&first), numbers(&second)), (a.inputs().slice().to_vec(), b.inputs().slice().to_vec()));
        let folds = whole.grouped_k_folds("group", 3, Seed(2)).unwrap();
        let folds = folds.chain(whole.stratified_grouped_k_folds("kind", "group", 3, Seed(2)).unwrap());
        let folds = folds.chain(whole.time_folds(4, 2).unwrap());
        let expected = set.grouped_k_folds(&of, 3, Seed(2)).unwrap();
        let expected = expected.chain(set.stratified_grouped_k_folds(&of, 3, Seed(2)).unwrap());
        let expected = expected.chain(set.time_folds(4, 2).unwrap());
        let (folds, expected): (Vec<_>, Vec<_>) = (folds.collect(), expected.collect());
        assert_eq!((folds.len(), expected.len()), (10, 10));
        for (fold, expected) in folds.into_iter().zip(expected) {
            assert_eq!(numbers(&fold.train), expected.train.inputs().slice());
            assert_eq!(numbers(&fold.validation), expected.validation.inputs().slice());
        }
        let (first, second) = whole.time_split(0.5, 10).unwrap();
        assert_eq!((numbers(&first)[14], numbers(&second)[0], second.len()), (14.0, 25.0, 15));
    }

    #[test]
    fn parts_of_parts_name_the_lines_of_the_file() {
        let (first, _) = numbered().split(0.5, Seed(3)).unwrap();
        let part = first.select(&[4, 0, 4]).unwrap();
        let expected: Vec<u64> = numbers(&part).iter().map(|&i| i as u64 + 2).collect();
        assert_eq!(lines(&part), expected);
        assert_eq!(expected[0], expected[2]);
        let bad = numbered().select(&[1, 3]).unwrap();
        let error = Columns::for_values(["i"]).numeric(["kind"]).fit(&bad).unwrap_err().to_string();
        assert!(error.starts_with("column `kind` holds `x` on line 5, which is not a finite f64;"), "{error}");
    }

    #[test]
    fn what_can_not_be_split_is_refused() {
        let whole = table("i,kind\n1,a\n2,a\n3,b\n");
        fn message<V>(result: Result<V, DataError>) -> String {
            result.err().unwrap().to_string()
        }
        for fraction in [0.0, 1.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
            let expected =
                format!("the fraction of a split must lie between 0 and 1, both excluded, but is {fraction}");
            assert_eq!(message(whole.split(fraction, Seed(1))), expected);
            assert_eq!(message(whole.stratified_split("i", fraction, Seed(1))), expected);
        }
        for folds in [0, 1] {
            assert!(message(whole.k_folds(folds, Seed(1))).contains("needs 2 folds or more"));
            assert!(message(whole.stratified_k_folds("i", folds, Seed(1))).contains("needs 2 folds or more"));
        }
        let expected = format!("the table has 3 of the {} examples", usize::MAX);
        assert!(message(whole.k_folds(usize::MAX, Seed(1))).starts_with(&expected));
        assert_eq!(
            message(whole.stratified_split("kind", 0.5, Seed(1))),
            "the value `b` of column `kind` has 1 of the 2 examples that it needs for every part to get one"
        );
        assert!(message(whole.stratified_k_folds("kind", usize::MAX, Seed(1))).starts_with("the value `a` of column"));
        assert!(message(whole.stratified_split("size", 0.5, Seed(1))).starts_with("there is no column `size`"));
        assert!(message(whole.grouped_split("size", 0.5, Seed(1))).starts_with("there is no column `size`"));
        assert!(message(whole.grouped_k_folds("kind", 3, Seed(1))).starts_with("3 groups are needed"));
        assert!(message(whole.time_split(0.5, 2)).starts_with("the table has 3 of the 4"));
        assert!(message(whole.time_folds(3, 0)).starts_with("the table has 3 examples, too few for 3 folds by time"));
        assert_eq!(message(whole.select(&[0, 3])), "row 3 was asked for, but the table has 3 rows, counted from 0");
        assert_eq!(message(whole.select(&[])), "the selection is empty, but at least one row is needed");
        assert!(message(whole.select(&[0]).unwrap().split(0.5, Seed(1))).starts_with("the table has 1 of the 2"));
    }
}
