use std::collections::VecDeque;
use std::io::{ErrorKind, Read};

use crate::table::{Header, NO_ROW};
use crate::{DataError, Table, TableOptions};

/// The bytes that are asked for at once; a chunk has the whole rows among them.
const BLOCK: usize = 1 << 18;

/// A table that is read part by part, so that its size does not matter; see [`TableOptions::chunks`].
///
/// Reading ends with the first error.
#[derive(Debug)]
pub struct Chunks<R> {
    reader: R,
    options: TableOptions,
    header: Option<Header>,
    /// What was read and is not yet part of a table.
    bytes: VecDeque<u8>,
    scan: Scan,
    /// The line that `bytes` begin on.
    line: u64,
    ended: bool,
    /// Whether a row was read.
    rows: bool,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(reader: R, options: TableOptions) -> Self {
        let scan = Scan::new(options.delimiter);
        Self { reader, options, header: None, bytes: VecDeque::new(), scan, line: 1, ended: false, rows: false }
    }

    fn read(&mut self) -> Result<Option<Table>, DataError> {
        while !self.ended {
            // A row without an end so far may fill many blocks, and each byte is scanned once.
            let length = self.fill()?;
            let fresh = self.bytes.len() - length;
            self.ended = length == 0;
            let bytes = self.bytes.make_contiguous();
            self.scan.go_on(bytes.get(fresh..).unwrap_or_default(), fresh);
            let end = if self.ended { bytes.len() } else { self.scan.rows_end };
            let part = bytes.get(..end).unwrap_or_default();
            let (table, lines) = self.options.read_part(part, &mut self.header, self.line)?;
            self.bytes.drain(..end);
            self.scan.rows_end = 0;
            self.line += lines;
            if table.is_some() {
                self.rows = true;
                return Ok(table);
            }
        }
        if self.rows { Ok(None) } else { Err(NO_ROW) }
    }

    /// Reads a block, and returns its length.
    fn fill(&mut self) -> Result<usize, DataError> {
        let mut block = vec![0; BLOCK];
        loop {
            match self.reader.read(&mut block) {
                Ok(length) => {
                    self.bytes.extend(block.get(..length).unwrap_or_default());
                    return Ok(length);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<Table, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.read().transpose();
        if let Some(Err(_)) = table {
            (self.ended, self.rows) = (true, true);
        }
        table
    }
}

/// Finds the ends of rows, by the rules that [`Table`] documents.
#[derive(Debug)]
pub(crate) struct Scan {
    delimiter: u8,
    at: At,
    /// The end of the last row that is known to be whole.
    pub(crate) rows_end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// In front of a row, where lines may be blank.
    Line,
    /// In front of a cell.
    Cell,
    /// In a cell without quotes, or after one with quotes.
    Text,
    Quotes,
    /// After a quote within quotes, which ends them unless another follows.
    Quote,
    /// After a carriage return that ends a row, and may be followed by a line feed.
    Return,
}

impl Scan {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self { delimiter, at: At::Line, rows_end: 0 }
    }

    /// Scans bytes that begin at `start`.
    pub(crate) fn go_on(&mut self, bytes: &[u8], start: usize) {
        for (place, &byte) in (start..).zip(bytes) {
            if self.at == At::Return {
                // A chunk never begins within the end of a line.
                self.rows_end = if byte == b'\n' { place + 1 } else { place };
                self.at = At::Line;
                if byte == b'\n' {
                    continue;
                }
            }
            let is_space = matches!(byte, b' ' | b'\t') && byte != self.delimiter;
            self.at = match (self.at, byte) {
                (At::Quotes, b'"') => At::Quote,
                (At::Quotes, _) | (At::Quote, b'"') => At::Quotes,
                (at, _) if is_space => at,
                (At::Line, b'\n' | b'\r') => At::Line,
                (_, b'\n') => {
                    self.rows_end = place + 1;
                    At::Line
                }
                (_, b'\r') => At::Return,
                (_, byte) if byte == self.delimiter => At::Cell,
                (At::Line | At::Cell, b'"') => At::Quotes,
                _ => At::Text,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let length = self.1.min(self.0.len()).min(to.len());
            let (now, later) = self.0.split_at(length);
            to[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    /// The names, and each row's line and cells; or the error.
    type Rows = Result<(Vec<String>, Vec<(u64, Vec<String>)>), String>;

    fn rows(tables: impl IntoIterator<Item = Result<Table, DataError>>) -> Rows {
        let (mut names, mut rows) = (Vec::new(), Vec::new());
        for table in tables {
            let table = table.map_err(|error| error.to_string())?;
            names = table.names().to_vec();
            for row in table.rows() {
                rows.push((row.line(), row.cells().map(str::to_owned).collect()));
            }
        }
        Ok((names, rows))
    }

    fn whole(options: &TableOptions, text: &[u8]) -> Rows {
        rows([options.read(text)])
    }

    #[test]
    fn parts_are_what_the_whole_table_is_wherever_they_are_cut() {
        let texts: [&[u8]; 14] = [
            b"a,b\n1,2\n3,4\n5,6",
            b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,\"x\r\n\r\ny\"\r\n",
            b"a,b\r1,2\r\r3,4\r",
            b"\n \n\r\na,b\n1,\"say \"\"hi\"\"\nthere\"\n  \n 2 , \"y\" \n",
            b"what,n\n6\" nails,1\n5' 6\",2\n \"q\",3\n",
            b"a\n1\n2\n\"\"\n3\n\n\n",
            b"a\n1\n2\n \n3\n",
            b"a,b\n1,2\n3\n4,5\n",
            b"a,b\n1,2\n3,\"four\n5,6\n7,8\n",
            b"a,b\n1,2\n\"3\"x,4\n",
            b"a,b\n1,2\n3,\xff\n",
            b"a,a\n1,2\n",
            b"",
            b"a,b\n",
        ];
        for text in texts {
            for options in [TableOptions::new(), TableOptions::new().no_header()] {
                let expected = whole(&options, text);
                for step in [1, 2, 3, 7, 1000] {
                    let parts = rows(options.chunks(Drip(text, step)));
                    assert_eq!(parts, expected, "{:?} by {step}", String::from_utf8_lossy(text));
                }
            }
        }
        let tabs = TableOptions::new().delimiter(b'\t');
        let text = b"a\tb\n\t\"x\ty\n\" \t\n1\t2\n";
        assert_eq!(rows(tabs.chunks(Drip(&text[..15], 1))), whole(&tabs, &text[..15]));
    }

    #[test]
    fn a_large_table_comes_in_parts_that_are_not() {
        let text: String =
            std::iter::once("x,y\n".to_owned()).chain((0..100_000).map(|x| format!("{x},{x}\n"))).collect();
        let parts: Vec<Table> = TableOptions::new().chunks(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert!(parts.len() > 3 && parts.iter().all(|part| part.len() < 60_000), "{}", parts.len());
        assert_eq!(parts.iter().map(Table::len).sum::<usize>(), 100_000);
        assert_eq!(parts.last().unwrap().lines().last(), Some(100_001));
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let mut chunks = TableOptions::new().chunks(Drip(b"a,b\n1\n2,3\n4,5\n", 4));
        assert!(chunks.next().unwrap().is_err());
        assert!(chunks.next().is_none());
    }
}
