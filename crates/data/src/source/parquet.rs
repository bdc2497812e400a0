use std::fmt::{self, Write};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use downhill_tensor::Scalar;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::stamp::Stamp;
use super::{ExampleLayout, Rows, Source};
use crate::cells::Cells;
use crate::schema::{Encoder, date_text};
use crate::table::{Header, NO_ROW};
use crate::{DataError, Schema, Table};

/// How many rows a part has.
const PART: usize = 4096;

/// The rows of a Parquet file as examples, by a fitted [`Schema`].
///
/// Only the columns of the schema are read.
/// A value is what it would be as the text of a cell: a missing one is an empty cell, `true` is 1 and `false` is 0, a date
/// is written as in `2024-03-31` and a time in UTC as in `2024-03-31T18:30:00`. Times that are whole nanoseconds in the
/// file are numbers, since its rows don't tell them from others.
///
/// A damaged file is an error, but the crate `parquet` may print the message of a panic first, and may ask for as much
/// memory as the file claims to need: read files that you trust.
/// Files may be plain or compressed by Snappy; to read others, turn a feature of the crate `parquet` on, such as `zstd`.
///
/// ```no_run
/// use downhill_data::Columns;
/// use downhill_data::source::{ParquetParts, ParquetSource, SourceBatches};
/// use downhill_tensor::Seed;
///
/// let columns = Columns::for_class("species").numeric(["mass"]).categorical(["island"]);
/// let schema = columns.fit_parts(ParquetParts::open("penguins.parquet")?)?;
/// let source = ParquetSource::<f32>::open("penguins.parquet", &schema)?;
/// let mut batches = SourceBatches::shuffled(source, 32, Seed(1))?.prefetch(2);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct ParquetSource<T> {
    layout: ExampleLayout,
    schema: Schema,
    encoder: Encoder,
    examples: Option<u64>,
    stamp: Stamp,
    parts: ParquetParts,
    /// The examples of a part, of which those from `taken` on were not given.
    rows: Rows<T>,
    taken: usize,
    /// An error after them.
    fault: Option<DataError>,
}

impl<T: Scalar> ParquetSource<T> {
    /// Opens a file.
    ///
    /// # Errors
    /// Returns an error that names the file if it can't be read or is no Parquet file, has no row, or lacks a column of
    /// the schema; a column that holds lists or groups counts as lacking.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> Result<Self, DataError> {
        let path = path.as_ref();
        let layout = ExampleLayout::from_schema(schema)?;
        let (stamp, _) = Stamp::open(path)?;
        let open = || {
            let parts = ParquetParts::read(path, Some(schema))?;
            let encoder = Encoder::new(schema.clone(), &parts.header)?;
            let examples = (!schema.drops_rows()).then_some(parts.rows);
            let (rows, schema) = (Rows::new(&layout), schema.clone());
            Ok(Self { layout: layout.clone(), schema, encoder, examples, stamp, parts, rows, taken: 0, fault: None })
        };
        open().map_err(|error: DataError| error.in_file(path))
    }

    /// Makes examples of the next part, or returns `false` at the end.
    fn refill(&mut self) -> Result<bool, DataError> {
        self.rows.clear();
        self.taken = 0;
        let Some(cells) = self.parts.next_cells()? else { return Ok(false) };
        for row in cells.rows() {
            let len = self.rows.len();
            let Some(input) = self.rows.inputs.first_mut() else { continue };
            match self.encoder.encode(None, |at| row.cell(at), &mut input.values, &mut self.rows.targets) {
                Ok(kept) => self.rows.len += usize::from(kept),
                Err(cause) => {
                    self.rows.truncate(len);
                    self.fault = Some(DataError::Row { row: row.line(), cause: Box::new(cause) });
                    break;
                }
            }
        }
        Ok(true)
    }

    fn next(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        loop {
            let count = most.min(self.rows.len() - self.taken);
            if count > 0 || most == 0 {
                rows.extend(&self.rows, self.taken, count);
                self.taken += count;
                return Ok(());
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if !self.refill()? {
                return Ok(());
            }
        }
    }
}

impl<T: Scalar> Source<T> for ParquetSource<T> {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn examples(&self) -> Option<u64> {
        self.examples
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.stamp.check()?;
        let path = self.stamp.path();
        self.parts = ParquetParts::read(path, Some(&self.schema)).map_err(|error| error.in_file(path))?;
        self.rows.clear();
        (self.taken, self.fault) = (0, None);
        Ok(())
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        self.next(most, rows).map_err(|error| error.in_file(self.stamp.path()))
    }
}

/// The rows of a Parquet file as tables, part by part, such as [`Columns::fit_parts`](crate::Columns::fit_parts) takes.
///
/// Columns that hold lists or groups are left out.
/// Reading ends with the first error. The line of a row is its place in the file, counted from 0.
pub struct ParquetParts {
    header: Header,
    iter: RowIter<'static>,
    /// The number of rows, and of those that were read.
    rows: u64,
    at: u64,
    ended: bool,
    cells: Cells,
}

impl fmt::Debug for ParquetParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, rows, at, .. } = self;
        f.debug_struct("ParquetParts")
            .field("header", header)
            .field("rows", rows)
            .field("at", at)
            .finish_non_exhaustive()
    }
}

impl ParquetParts {
    /// Opens a file.
    ///
    /// # Errors
    /// Returns an error that names the file if it can't be read or is no Parquet file, or has no row.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        Self::read(path, None).map_err(|error| error.in_file(path))
    }

    /// Opens a file to read the columns of a schema, or all.
    fn read(path: &Path, schema: Option<&Schema>) -> Result<Self, DataError> {
        let file = File::open(path)?;
        let file = contained(|| SerializedFileReader::new(file))?;
        let metadata = file.metadata().file_metadata();
        let rows = u64::try_from(metadata.num_rows()).unwrap_or_default();
        if rows == 0 {
            return Err(NO_ROW);
        }
        let root = metadata.schema();
        let is_wanted = |name: &str| {
            schema.is_none_or(|schema| schema.input_columns().chain(schema.target_columns()).any(|it| it == name))
        };
        let is_flat = |field: &Type| {
            field.is_primitive() && field.get_basic_info().repetition() != parquet::basic::Repetition::REPEATED
        };
        let fields = root.get_fields().iter().filter(|field| is_flat(field) && is_wanted(field.name()));
        let fields: Vec<Arc<Type>> = fields.cloned().collect();
        let header = Header::new(fields.iter().map(|field| field.name().to_owned()).collect());
        header.check()?;
        if fields.is_empty() {
            return Err(DataError::Empty { what: "the list of columns", unit: "column" });
        }
        let projection = Type::group_type_builder(root.name()).with_fields(fields).build().map_err(unreadable)?;
        let iter = RowIter::from_file_into(Box::new(file)).project(Some(projection)).map_err(unreadable)?;
        let cells = Cells::of_width(header.width());
        Ok(Self { header, iter, rows, at: 0, ended: false, cells })
    }

    /// Reads the cells of the next rows, `None` at the end.
    fn next_cells(&mut self) -> Result<Option<&Cells>, DataError> {
        self.cells.clear();
        while self.cells.len() < PART && !self.ended {
            let next = contained(|| self.iter.next().transpose()).inspect_err(|_| self.ended = true)?;
            let Some(row) = next else {
                self.ended = true;
                if self.at != self.rows {
                    let reason = format!("its header speaks of {} rows, but it has {}", self.rows, self.at);
                    return Err(DataError::Parquet { reason });
                }
                break;
            };
            self.cells.write_row(self.at, row.get_column_iter().map(|(_, field)| field), write_field)?;
            self.at += 1;
        }
        Ok((self.cells.len() > 0).then_some(&self.cells))
    }
}

impl Iterator for ParquetParts {
    type Item = Result<Table, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_cells() {
            Ok(None) => None,
            Ok(Some(_)) => {
                let cells = std::mem::replace(&mut self.cells, Cells::of_width(self.header.width()));
                Some(Ok(Table::from_cells(self.header.clone(), cells)))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

/// Writes a value as a cell holds it.
fn write_field(field: &Field, out: &mut String) -> Result<(), DataError> {
    let start = out.len();
    let written = match field {
        Field::Null => Ok(()),
        Field::Bool(x) => write!(out, "{}", u8::from(*x)),
        Field::Byte(x) => write!(out, "{x}"),
        Field::Short(x) => write!(out, "{x}"),
        Field::Int(x) => write!(out, "{x}"),
        Field::Long(x) => write!(out, "{x}"),
        Field::UByte(x) => write!(out, "{x}"),
        Field::UShort(x) => write!(out, "{x}"),
        Field::UInt(x) => write!(out, "{x}"),
        Field::ULong(x) => write!(out, "{x}"),
        // As `f64`, so that what is read is the number itself and not the nearest to its shortest text.
        Field::Float16(x) => write!(out, "{:?}", f64::from(x.to_f32())),
        Field::Float(x) => write!(out, "{:?}", f64::from(*x)),
        Field::Double(x) => write!(out, "{x:?}"),
        Field::Decimal(_) => write!(out, "{field}"),
        Field::Str(x) => {
            out.push_str(x.trim());
            Ok(())
        }
        Field::Bytes(x) => match x.as_utf8() {
            Ok(text) => {
                out.push_str(text.trim());
                Ok(())
            }
            Err(error) => return Err(unreadable(error)),
        },
        Field::Date(days) => write!(out, "{}", date_text(i64::from(*days) * 86_400, false)),
        Field::TimestampMillis(x) => write!(out, "{}", date_text(x.div_euclid(1000), true)),
        Field::TimestampMicros(x) => write!(out, "{}", date_text(x.div_euclid(1_000_000), true)),
        Field::TimeMillis(x) => write!(out, "{x}"),
        Field::TimeMicros(x) => write!(out, "{x}"),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => Ok(()),
    };
    if written.is_err() {
        out.truncate(start);
    }
    Ok(())
}

/// Calls the crate `parquet`, which panics at some of what a damaged file can hold.
fn contained<R>(read: impl FnOnce() -> Result<R, ParquetError>) -> Result<R, DataError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(unreadable),
        Err(_) => Err(DataError::Parquet { reason: "it is damaged".into() }),
    }
}

fn unreadable(error: ParquetError) -> DataError {
    DataError::Parquet { reason: error.to_string() }
}
