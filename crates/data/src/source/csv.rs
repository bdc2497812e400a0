//! Rows of tables that are larger than memory.
//!
//! * `blocks.rs`: the text in blocks of whole rows.
//! * `parser.rs`: the rows of a block as examples.
//! * Here: several blocks at a time, in their order.

mod blocks;
mod parser;

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use downhill_tensor::Scalar;

use self::blocks::Blocks;
use self::parser::{Parsed, parse};
use super::stamp::Stamp;
use super::{ExampleLayout, Rows, Source};
use crate::cells::{Cells, RowReader, check_delimiter};
use crate::schema::Encoder;
use crate::table::{Header, NO_ROW};
use crate::{DataError, Schema, TableOptions};

/// The rows of a table as examples, by a fitted [`Schema`], in some MiB of memory however many there are.
///
/// Examples are those that [`Schema::dataset`] makes of the whole table, bit for bit; rows that the schema leaves out are
/// left out. Errors come in the order of the rows.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("houses.csv");
/// # std::fs::write(&path, "size,town,price\n1,Ulm,10\n2,Bonn,20\n3,Ulm,30\n")?;
/// use std::fs::File;
///
/// use downhill_data::source::{CsvSource, SourceBatches};
/// use downhill_data::{Columns, TableOptions};
/// use downhill_tensor::Seed;
///
/// let options = TableOptions::new();
/// let columns = Columns::for_values(["price"]).numeric(["size"]).categorical(["town"]);
/// // In one pass over the file; `options.read_first(10_000, file)` is a table of the first rows to fit a schema to.
/// let schema = columns.fit_parts(options.chunks(File::open(&path)?))?;
/// let source = CsvSource::<f32>::open(&path, &options, &schema)?.threads(2);
/// let mut batches = SourceBatches::shuffled(source, 2, Seed(1))?.prefetch(4);
/// while let Some(batch) = batches.next_batch()? {
///     assert_eq!(batch.inputs.shape().len(), 3);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CsvSource<T> {
    layout: ExampleLayout,
    options: TableOptions,
    schema: Schema,
    open: Box<dyn FnMut() -> Result<Box<dyn Read + Send>, DataError> + Send>,
    /// The file that errors name.
    path: Option<PathBuf>,
    threads: usize,
    /// `None` until an epoch is begun.
    pass: Option<Pass>,
    /// What was read, in order; the first block's examples are taken from `taken` on.
    ready: VecDeque<Block<T>>,
    taken: usize,
    /// Memory of blocks that were taken.
    spare: Vec<Block<T>>,
}

/// One reading of the table, from its start to its end.
struct Pass {
    blocks: Blocks,
    encoder: Encoder,
    width: usize,
    /// The line that the next block begins on.
    line: u64,
    /// The rest of the first block, after the names of the columns.
    first: Option<Vec<u8>>,
    /// The number of rows so far, and whether an example came of any.
    rows: usize,
    examples: bool,
    /// Whether there is no more to read.
    ended: bool,
}

/// Some rows, and the examples that they are.
struct Block<T> {
    bytes: Vec<u8>,
    rows: Rows<T>,
    /// The error after the last example, or how much the rows are.
    parsed: Result<Parsed, DataError>,
}

impl<T> fmt::Debug for CsvSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, options, path, threads, .. } = self;
        f.debug_struct("CsvSource")
            .field("layout", layout)
            .field("options", options)
            .field("path", path)
            .field("threads", threads)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> CsvSource<T> {
    /// Opens a file. It is read on one thread; see [`threads`](Self::threads).
    ///
    /// # Errors
    /// Returns an error that names the file if it can't be read, is empty, or lacks a column of the schema.
    pub fn open(path: impl AsRef<Path>, options: &TableOptions, schema: &Schema) -> Result<Self, DataError> {
        let path = path.as_ref();
        let (stamp, _) = Stamp::open(path)?;
        let open = move || {
            stamp.check()?;
            let (_, file) = Stamp::open(stamp.path())?;
            Ok(Box::new(file) as Box<dyn Read + Send>)
        };
        Self::new(Box::new(open), Some(path.to_owned()), options, schema)
    }

    /// Reads what `open` opens for each epoch anew, such as a compressed file: the same text each time.
    ///
    /// # Errors
    /// Returns an error if it can't be read, is empty, or lacks a column of the schema.
    pub fn from_readers<R: Read + Send + 'static>(
        mut open: impl FnMut() -> Result<R, DataError> + Send + 'static,
        options: &TableOptions,
        schema: &Schema,
    ) -> Result<Self, DataError> {
        let open = move || Ok(Box::new(open()?) as Box<dyn Read + Send>);
        Self::new(Box::new(open), None, options, schema)
    }

    fn new(
        open: Box<dyn FnMut() -> Result<Box<dyn Read + Send>, DataError> + Send>,
        path: Option<PathBuf>,
        options: &TableOptions,
        schema: &Schema,
    ) -> Result<Self, DataError> {
        let (layout, options, schema) = (ExampleLayout::from_schema(schema)?, options.clone(), schema.clone());
        let (ready, spare) = (VecDeque::new(), Vec::new());
        let mut source = Self { layout, options, schema, open, path, threads: 1, pass: None, ready, taken: 0, spare };
        // A table that does not have the columns is an error now.
        source.pass = Some(source.begin()?);
        Ok(source)
    }

    /// Sets the number of threads that parse, 1 by default; examples are the same, and in the same order.
    ///
    /// The others run for as long as a part of the table is parsed.
    #[must_use]
    pub fn threads(mut self, count: usize) -> Self {
        self.threads = count.clamp(1, 256);
        self
    }

    /// Opens the table and reads the names of its columns.
    fn begin(&mut self) -> Result<Pass, DataError> {
        let reader = (self.open)()?;
        let begin = || {
            let TableOptions { delimiter, header } = self.options;
            check_delimiter(delimiter)?;
            let mut blocks = Blocks::new(reader, delimiter);
            let (mut bytes, mut cells) = (Vec::new(), Cells::of_width(0));
            blocks.next(&mut bytes).map_err(|error| error.on(1))?;
            let mut first = RowReader::new(&bytes, delimiter, 1);
            if !first.read(&mut cells)? {
                return Err(NO_ROW);
            }
            let names: Vec<String> = if header {
                cells.row(0).cells().map(str::to_owned).collect()
            } else {
                first = RowReader::new(&bytes, delimiter, 1);
                (0..cells.width()).map(|place| place.to_string()).collect()
            };
            let (line, header) = (first.line(), Header::new(names));
            header.check()?;
            let start = bytes.len() - first.rest().len();
            bytes.drain(..start);
            let encoder = Encoder::new(self.schema.clone(), &header)?;
            let width = header.width();
            Ok(Pass { blocks, encoder, width, line, first: Some(bytes), rows: 0, examples: false, ended: false })
        };
        begin().map_err(|error| named(error, self.path.as_deref()))
    }

    /// Reads and parses as many blocks as there are threads, or returns `false` at the end.
    fn refill(&mut self) -> Result<bool, DataError> {
        let Self { layout, options, pass, threads, ready, spare, .. } = self;
        let Some(pass) = pass.as_mut().filter(|pass| !pass.ended) else { return Ok(false) };
        let Pass { blocks: text, encoder, width, line, first, rows, examples, ended } = pass;
        let (encoder, width) = (&*encoder, *width);
        let empty = || Block { bytes: Vec::new(), rows: Rows::new(layout), parsed: Ok(Parsed::default()) };
        let (mut blocks, mut fault) = (Vec::with_capacity(*threads), None);
        while blocks.len() < *threads && !*ended {
            let mut block = spare.pop().unwrap_or_else(empty);
            match first.take().filter(|first| !first.is_empty()) {
                Some(first) => block.bytes = first,
                None => match text.next(&mut block.bytes) {
                    Ok(true) => {}
                    Ok(false) => *ended = true,
                    Err(error) => (*ended, fault) = (true, Some(error)),
                },
            }
            if !*ended {
                blocks.push(block);
            }
        }
        let parse = |block: &mut Block<T>, line| {
            block.rows.clear();
            block.parsed = parse(&block.bytes, options.delimiter, width, line, encoder, &mut block.rows);
        };
        if let Some((first, others)) = blocks.split_first_mut() {
            std::thread::scope(|scope| {
                for block in others {
                    scope.spawn(|| parse(block, 1));
                }
                parse(first, *line);
            });
        }
        let mut next_line = *line;
        for mut block in blocks {
            if block.parsed.is_err() {
                // The line of the error is known by now.
                parse(&mut block, next_line);
            }
            let failed = block.parsed.is_err();
            if let Ok(parsed) = block.parsed {
                (next_line, *rows) = (next_line + parsed.lines, *rows + parsed.rows);
            }
            *examples |= !block.rows.is_empty();
            ready.push_back(block);
            if failed {
                (*ended, *examples, fault) = (true, true, None);
                break;
            }
        }
        *line = next_line;
        if *ended && !*examples && fault.is_none() {
            return Err(if *rows == 0 { NO_ROW } else { DataError::NoRows { rows: *rows } });
        }
        if let Some(fault) = fault {
            ready.push_back(Block { parsed: Err(fault.on(next_line)), ..empty() });
        }
        Ok(!ready.is_empty())
    }

    fn next(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        if most == 0 {
            return Ok(());
        }
        loop {
            if let Some(block) = self.ready.front_mut() {
                let count = most.min(block.rows.len() - self.taken);
                if count > 0 {
                    rows.extend(&block.rows, self.taken, count);
                    self.taken += count;
                    return Ok(());
                }
                let parsed = std::mem::replace(&mut block.parsed, Ok(Parsed::default()));
                self.taken = 0;
                self.spare.extend(self.ready.pop_front());
                parsed?;
            } else if !self.refill()? {
                return Ok(());
            }
        }
    }
}

impl<T: Scalar> Source<T> for CsvSource<T> {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.spare.extend(self.ready.drain(..));
        self.taken = 0;
        self.pass = None;
        self.pass = Some(self.begin()?);
        Ok(())
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        self.next(most, rows).map_err(|error| named(error, self.path.as_deref()))
    }
}

fn named(error: DataError, path: Option<&Path>) -> DataError {
    match path {
        Some(path) => error.in_file(path),
        None => error,
    }
}
