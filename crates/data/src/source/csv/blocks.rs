use std::io::{ErrorKind, Read};

use crate::DataError;
use crate::chunks::Scan;

/// The bytes that are read at once, if they hold a whole row.
const SIZE: usize = 1 << 20;

/// The bytes that a row may have: an open quote must not swallow a file larger than memory.
const LONGEST_ROW: usize = 1 << 26;

/// The reason why there is no further block.
pub(super) enum BlockError {
    Io(std::io::Error),
    /// The row that the block would begin with is too long.
    LongRow,
}

impl BlockError {
    /// The error, if the block would begin on this line.
    pub(super) fn on(self, line: u64) -> DataError {
        match self {
            Self::Io(cause) => cause.into(),
            Self::LongRow => DataError::LongRow { line, most: LONGEST_ROW },
        }
    }
}

/// A table's text, cut at ends of rows.
pub(super) struct Blocks {
    reader: Box<dyn Read + Send>,
    delimiter: u8,
    /// What was read beyond the last block.
    rest: Vec<u8>,
    started: bool,
    ended: bool,
}

impl Blocks {
    pub(super) fn new(reader: Box<dyn Read + Send>, delimiter: u8) -> Self {
        Self { reader, delimiter, rest: Vec::new(), started: false, ended: false }
    }

    /// Overwrites a block by the next rows, or returns `false` at the end; the rows of a block depend on the text alone.
    /// A byte-order mark at the start is left out.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<bool, BlockError> {
        std::mem::swap(block, &mut self.rest);
        self.rest.clear();
        let mut wanted = SIZE;
        loop {
            self.fill(block, wanted)?;
            if !self.started {
                self.started = true;
                if block.starts_with(b"\xef\xbb\xbf") {
                    block.drain(..3);
                }
            }
            let end = if self.ended { block.len() } else { self.rows_end(block) };
            if end > 0 || self.ended {
                self.rest.extend_from_slice(block.get(end..).unwrap_or_default());
                block.truncate(end);
                return Ok(end > 0);
            }
            if block.len() > LONGEST_ROW {
                return Err(BlockError::LongRow);
            }
            wanted = block.len() * 2;
        }
    }

    /// Reads until the block has this many bytes, or there are no more.
    fn fill(&mut self, block: &mut Vec<u8>, wanted: usize) -> Result<(), BlockError> {
        let mut length = block.len();
        block.resize(length.max(wanted), 0);
        while length < wanted && !self.ended {
            match self.reader.read(block.get_mut(length..).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BlockError::Io(error)),
            }
        }
        block.truncate(length);
        Ok(())
    }

    /// The end of the last whole row, or 0 if there is none.
    fn rows_end(&self, block: &[u8]) -> usize {
        if !block.contains(&b'"')
            && let Some(last) = block.iter().rposition(|&byte| byte == b'\n')
        {
            return last + 1;
        }
        let mut scan = Scan::new(self.delimiter);
        scan.go_on(block, 0);
        scan.rows_end
    }
}
