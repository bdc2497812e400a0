//! The text of a table, cell by cell.

use crate::DataError;

/// Rows with the same number of cells, each trimmed and without its quotes, and the line that each row starts on.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// The cells one after the other.
    text: String,
    /// The end of each cell in `text`.
    ends: Vec<usize>,
    width: usize,
    lines: Vec<u64>,
}

/// One row of cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    cells: &'a Cells,
    row: usize,
}

impl Cells {
    /// Reads cells as [`Table`](crate::Table) documents, from a line on, and returns the number of lines too.
    ///
    /// `width`: the number of cells in each row, if there are rows in front of these.
    pub(crate) fn read(
        bytes: &[u8],
        delimiter: u8,
        first_line: u64,
        width: Option<usize>,
    ) -> Result<(Self, u64), DataError> {
        check_delimiter(delimiter)?;
        let mut cells = Self::of_width(width.unwrap_or_default());
        let mut rows = RowReader::new(bytes, delimiter, first_line);
        while rows.read(&mut cells)? {}
        Ok((cells, rows.line() - first_line))
    }

    /// Makes room for rows of this many cells; 0 if the first row tells.
    pub(crate) fn of_width(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Removes all rows and keeps their memory and their width.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.lines.clear();
    }

    /// Appends a row, whose cells are as many as the rows here have, each written to the end of the text.
    #[cfg(feature = "parquet")]
    pub(crate) fn write_row<C>(
        &mut self,
        line: u64,
        cells: impl Iterator<Item = C>,
        write: impl Fn(C, &mut String) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        for cell in cells {
            write(cell, &mut self.text)?;
            self.ends.push(self.text.len());
        }
        self.lines.push(line);
        Ok(())
    }

    /// Appends a row of other cells, as many as the rows here have.
    pub(crate) fn push(&mut self, row: Row<'_>) {
        for cell in row.cells() {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
        self.lines.push(row.line());
    }

    fn push_row(&mut self, line: u64, reader: &mut Reader<'_>) -> Result<(), DataError> {
        let mut got = 0;
        loop {
            reader.cell(got, &mut self.text)?;
            self.ends.push(self.text.len());
            got += 1;
            match reader.rest {
                [first, rest @ ..] if *first == reader.delimiter => reader.rest = rest,
                _ => break,
            }
        }
        reader.end_line();
        if self.width == 0 {
            self.width = got;
        } else if self.width != got {
            return Err(DataError::RaggedRow { line, expected: self.width, got });
        }
        self.lines.push(line);
        Ok(())
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The number of cells in each row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        Row { cells: self, row }
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|row| self.row(row))
    }
}

impl<'a> Row<'a> {
    pub(crate) fn line(self) -> u64 {
        self.cells.lines.get(self.row).copied().unwrap_or_default()
    }

    /// The cell at `place`, which is smaller than the width.
    pub(crate) fn cell(self, place: usize) -> &'a str {
        let Cells { text, ends, width, .. } = self.cells;
        let index = self.row * width + place;
        let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        ends.get(index).and_then(|&end| text.get(start..end)).unwrap_or_default()
    }

    pub(crate) fn cells(self) -> impl ExactSizeIterator<Item = &'a str> {
        (0..self.cells.width).map(move |place| self.cell(place))
    }
}

/// Checks that a character can separate cells.
pub(crate) fn check_delimiter(delimiter: u8) -> Result<(), DataError> {
    if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r' | b'\0') {
        return Err(DataError::Delimiter { delimiter });
    }
    Ok(())
}

/// What reads rows one by one.
pub(crate) struct RowReader<'a> {
    reader: Reader<'a>,
    /// The first blank line after a row, until the next.
    blank: Option<u64>,
}

impl<'a> RowReader<'a> {
    /// Reads from the start of a row, or of blank lines in front of one.
    pub(crate) fn new(bytes: &'a [u8], delimiter: u8, line: u64) -> Self {
        Self { reader: Reader { rest: bytes, delimiter, line }, blank: None }
    }

    /// Goes on from the start of another row.
    pub(crate) fn go_to(&mut self, rest: &'a [u8], line: u64) {
        (self.reader.rest, self.reader.line) = (rest, line);
    }

    /// The line that the next row begins on, or that blank lines in front of it do.
    pub(crate) fn line(&self) -> u64 {
        self.reader.line
    }

    /// What follows the rows that were read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.reader.rest
    }

    /// Appends the next row, or returns `false` if there is none.
    pub(crate) fn read(&mut self, cells: &mut Cells) -> Result<bool, DataError> {
        loop {
            self.reader.skip_space();
            let line = self.reader.line;
            match self.reader.rest {
                [] => return Ok(false),
                [b'\n' | b'\r', ..] => {
                    self.reader.end_line();
                    // Before the first row nothing can be missing.
                    self.blank = self.blank.or((cells.width > 0).then_some(line));
                }
                _ => {
                    if let (1, Some(line)) = (cells.width, self.blank) {
                        return Err(DataError::BlankLine { line });
                    }
                    self.blank = None;
                    cells.push_row(line, &mut self.reader)?;
                    return Ok(true);
                }
            }
        }
    }
}

/// The rest of the bytes, and the line that it begins on.
///
/// Delimiters, quotes and line breaks are ASCII and so never part of another character in UTF-8: cells are found among
/// bytes, and each is checked to be text where it can be named.
struct Reader<'a> {
    rest: &'a [u8],
    delimiter: u8,
    line: u64,
}

impl<'a> Reader<'a> {
    /// Appends the text of the next cell and stops at what ends it.
    fn cell(&mut self, cell: usize, out: &mut String) -> Result<(), DataError> {
        self.skip_space();
        let (line, start) = (self.line, out.len());
        if let [b'"', rest @ ..] = self.rest {
            self.rest = rest;
            loop {
                let Some(end) = self.rest.iter().position(|&byte| byte == b'"') else {
                    return Err(DataError::OpenQuote { line, cell, text: excerpt(self.rest) });
                };
                let breaks = line_breaks(self.rest.get(..end).unwrap_or_default());
                self.push(end, cell, out)?;
                self.line += breaks;
                self.rest = self.rest.get(1..).unwrap_or_default();
                let [b'"', rest @ ..] = self.rest else { break };
                self.rest = rest;
                out.push('"');
            }
            self.skip_space();
            if !self.at_end() {
                let (closed, text) = (self.line, excerpt(self.rest));
                return Err(DataError::AfterQuote { line, cell, closed, text });
            }
        } else {
            let ends = |&byte: &u8| byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
            self.push(end, cell, out)?;
        }
        out.truncate(out.trim_end().len().max(start));
        let text = out.get(start..).unwrap_or_default();
        let leading = text.len() - text.trim_start().len();
        out.drain(start..start + leading);
        Ok(())
    }

    /// Appends the next `length` bytes, which are part of a cell; their line breaks are the caller's to count.
    fn push(&mut self, length: usize, cell: usize, out: &mut String) -> Result<(), DataError> {
        let (bytes, rest) = self.rest.split_at(length);
        let valid = match str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => {
                self.rest = rest;
                out.push_str(text);
                return Ok(());
            }
            Ok(_) => None,
            Err(error) => Some(error.valid_up_to()),
        };
        let wrong = bytes.iter().position(|&byte| byte == 0).into_iter().chain(valid).min().unwrap_or_default();
        let line = self.line + line_breaks(bytes.get(..wrong).unwrap_or_default());
        let byte = bytes.get(wrong).copied().unwrap_or_default();
        Err(DataError::NotText { line, cell, byte })
    }

    /// Skips spaces and tabs that are not the delimiter.
    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest
            && !self.rest.starts_with(&[self.delimiter])
        {
            self.rest = rest;
        }
    }

    /// Whether a cell ends here.
    fn at_end(&self) -> bool {
        self.rest.first().is_none_or(|&byte| byte == self.delimiter || matches!(byte, b'\n' | b'\r'))
    }

    /// Goes to the next line from the end of one.
    fn end_line(&mut self) {
        if let [b'\r', b'\n', rest @ ..] | [b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
            self.line += 1;
        }
    }
}

/// Counts lines as an editor does.
fn line_breaks(bytes: &[u8]) -> u64 {
    let next = bytes.iter().skip(1).map(Some).chain([None]);
    bytes.iter().zip(next).filter(|&(byte, next)| *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n'))).count()
        as u64
}

/// The start of some text, for an error.
fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 20;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().take(SHOWN).collect()
}
