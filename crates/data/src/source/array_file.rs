use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use downhill_tensor::{Scalar, Shape};

use super::stamp::Stamp;
use crate::targets::example_shape;
use crate::{DataError, ElementType, Half, npy};

/// A file of rows of numbers, of which any row can be read: an NPY file, or plain numbers.
///
/// An [`ArraySource`](super::ArraySource) makes examples of one file with their inputs and others with their targets.
/// Nothing but the rows that are asked for is in memory.
#[derive(Debug)]
pub struct ArrayFile {
    file: File,
    stamp: Stamp,
    element: ElementType,
    big_endian: bool,
    /// The shape of one row.
    shape: Shape,
    rows: usize,
    /// The byte that the first row begins at.
    start: u64,
    /// The bytes from the start of one row to that of the next.
    stride: u64,
    bytes: Vec<u8>,
}

/// The rows of a file of plain little-endian numbers.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.bin");
/// # std::fs::write(&path, [7; 2 * 3073])?;
/// use downhill_data::ElementType;
/// use downhill_data::source::{ArraySource, RawRows};
///
/// // CIFAR-10: records of a byte for the class, and three channels of 32 x 32 bytes.
/// let labels = RawRows::new(ElementType::U8, [1]).record(3073, 0).open(&path)?;
/// let images = RawRows::new(ElementType::U8, [3, 32, 32]).record(3073, 1).open(&path)?;
/// let source = ArraySource::classes(images, labels, 10)?;
/// # let mut source = source;
/// # use downhill_data::source::{Rows, Source};
/// # let mut rows = Rows::<f32>::new(Source::<f32>::layout(&source));
/// # source.read(10, &mut rows)?;
/// # assert_eq!((rows.len(), rows.targets()), (2, downhill_data::Target::Classes(&[7, 7])));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RawRows {
    element: ElementType,
    shape: Shape,
    header: u64,
    /// The bytes of a record, and the place of the row in it.
    record: Option<(u64, u64)>,
}

impl RawRows {
    /// Describes rows of this shape, one after the other from the start of the file.
    #[must_use]
    pub fn new(element: ElementType, shape: impl Into<Shape>) -> Self {
        Self { element, shape: shape.into(), header: 0, record: None }
    }

    /// Passes over the first bytes of the file.
    #[must_use]
    pub fn header(mut self, bytes: u64) -> Self {
        self.header = bytes;
        self
    }

    /// Reads one row of each record of `bytes` bytes, from the byte `place` of the record on.
    #[must_use]
    pub fn record(mut self, bytes: u64, place: u64) -> Self {
        self.record = Some((bytes, place));
        self
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Returns an error that names the file if it can't be opened, a row holds nothing or reaches beyond its record, or
    /// the file does not hold a whole number of rows.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile, DataError> {
        let (stamp, file) = Stamp::open(path.as_ref())?;
        self.rows(file, stamp).map_err(|error| error.in_file(path.as_ref()))
    }

    fn rows(&self, file: File, stamp: Stamp) -> Result<ArrayFile, DataError> {
        let Self { element, shape, header, record } = *self;
        let row = row_bytes(element, shape).ok_or_else(|| DataError::Axes { axes: [&[1], shape.axes()].concat() })?;
        let (stride, place) = record.unwrap_or((row, 0));
        let bytes = stamp.length().saturating_sub(header);
        if place.checked_add(row).is_none_or(|end| end > stride) || bytes % stride != 0 {
            return Err(DataError::RowBytes { bytes, row: stride });
        }
        let rows = usize::try_from(bytes / stride).map_err(|_| DataError::OrderSize { examples: bytes / stride })?;
        let start = header.saturating_add(place);
        Ok(ArrayFile { file, stamp, element, big_endian: false, shape, rows, start, stride, bytes: Vec::new() })
    }
}

/// The number of bytes of a row, which is not 0.
fn row_bytes(element: ElementType, shape: Shape) -> Option<u64> {
    let bytes = shape.len().checked_mul(element.size())?;
    u64::try_from(bytes).ok().filter(|&bytes| bytes > 0 && shape.check("a row").is_ok())
}

impl ArrayFile {
    /// Opens an NPY file; its first axis runs over the rows.
    ///
    /// # Errors
    /// Returns an error that names the file if it can't be opened or is no NPY, its data are cut short or go on, or the
    /// array is in Fortran order, in which a row is not in one piece.
    pub fn npy(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open_npy(path.as_ref(), 0, None)
    }

    /// Opens the part of a file that is an NPY file: `length` bytes from `start` on, as an uncompressed member of an NPZ
    /// archive has.
    ///
    /// # Errors
    /// Returns the errors of [`npy`](Self::npy).
    pub fn npy_within(path: impl AsRef<Path>, start: u64, length: u64) -> Result<Self, DataError> {
        Self::open_npy(path.as_ref(), start, Some(length))
    }

    fn open_npy(path: &Path, start: u64, length: Option<u64>) -> Result<Self, DataError> {
        let (stamp, file) = Stamp::open(path)?;
        Self::read_npy(file, stamp, start, length).map_err(|error| error.in_file(path))
    }

    fn read_npy(mut file: File, stamp: Stamp, start: u64, length: Option<u64>) -> Result<Self, DataError> {
        const FORMAT: &str = "NPY";
        file.seek(SeekFrom::Start(start))?;
        let length = length.unwrap_or(stamp.length().saturating_sub(start));
        let layout = npy::read_layout(&mut file.by_ref().take(length))?;
        let header = file.stream_position()?.saturating_sub(start);
        if layout.first_axis_fastest && layout.shape.len() > 1 {
            let reason = "says that the array is in Fortran order, so that no row is in one piece; \
                          save it with `numpy.ascontiguousarray`";
            return Err(DataError::Header { format: FORMAT, reason: reason.into() });
        }
        let axes = || DataError::Axes { axes: layout.shape.clone() };
        let shape = example_shape(&layout.shape).ok_or_else(axes)?;
        let stride = row_bytes(layout.element, shape).ok_or_else(axes)?;
        let rows = layout.shape.first().copied().unwrap_or_default();
        let got = length.saturating_sub(header);
        let expected = stride.checked_mul(rows as u64).filter(|&bytes| bytes <= got);
        match expected {
            None => {
                let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
                let expected = count(stride.saturating_mul(rows as u64));
                return Err(DataError::Truncated { format: FORMAT, expected, got: count(got) });
            }
            Some(expected) if expected < got => {
                return Err(DataError::Trailing { format: FORMAT, expected: expected as usize });
            }
            Some(_) => {}
        }
        let (element, big_endian) = (layout.element, layout.big_endian);
        Ok(Self { file, stamp, element, big_endian, shape, rows, start: start + header, stride, bytes: Vec::new() })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The shape of one row; a vector has one number in each.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Gives each row another shape, such as `[1, 28, 28]` instead of `[784]`.
    ///
    /// # Errors
    /// Returns an error if the shapes do not hold the same number of numbers.
    pub fn reshape(mut self, shape: impl Into<Shape>) -> Result<Self, DataError> {
        let to = shape.into();
        if to.len() != self.shape.len() {
            return Err(DataError::Reshape { from: self.shape, to });
        }
        self.shape = to;
        Ok(self)
    }

    /// Checks that the file is what it was when it was opened.
    pub(super) fn check(&self) -> Result<(), DataError> {
        self.stamp.check()
    }

    /// Appends the numbers of rows.
    pub(super) fn read_numbers<T: Scalar>(&mut self, rows: &[usize], out: &mut Vec<T>) -> Result<(), DataError> {
        let element = self.element;
        self.for_each(rows, |_, bytes| {
            decode(element, bytes, out);
            Ok(())
        })
    }

    /// Appends the labels of rows.
    pub(super) fn read_labels(&mut self, rows: &[usize], out: &mut Vec<u32>) -> Result<(), DataError> {
        let (element, each) = (self.element, self.shape.len());
        let mut numbers: Vec<f64> = Vec::new();
        self.for_each(rows, |row, bytes| {
            numbers.clear();
            decode(element, bytes, &mut numbers);
            for (place, &x) in numbers.iter().enumerate() {
                let label = Some(x as u32).filter(|&label| f64::from(label) == x);
                let index = row * each + place;
                out.push(label.ok_or_else(|| DataError::NotLabel { index, value: x.to_string() })?);
            }
            Ok(())
        })
    }

    /// Shows the bytes of rows, little-endian; rows that follow each other are read together.
    fn for_each(
        &mut self,
        rows: &[usize],
        each: impl FnMut(usize, &[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.show(rows, each).map_err(|error| error.in_file(self.stamp.path()))
    }

    fn show(
        &mut self,
        rows: &[usize],
        mut each: impl FnMut(usize, &[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        /// How many bytes are read at once, if a row is not longer.
        const MOST: u64 = 1 << 20;
        if let Some(&index) = rows.iter().find(|&&row| row >= self.rows) {
            return Err(DataError::Index { index, examples: self.rows });
        }
        let size = self.element.size();
        let (length, stride) = (self.shape.len() * size, self.stride as usize);
        let together = (MOST / self.stride).max(1) as usize;
        for run in rows.chunk_by(|&a, &b| b == a + 1).flat_map(|run| run.chunks(together)) {
            let Some(&first) = run.first() else { continue };
            self.file.seek(SeekFrom::Start(self.start + first as u64 * self.stride))?;
            self.bytes.resize((run.len() - 1) * stride + length, 0);
            self.file.read_exact(&mut self.bytes).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    let now = self.file.metadata().map_or(0, |metadata| metadata.len());
                    DataError::FileChanged { before: self.stamp.length(), now }
                }
                _ => error.into(),
            })?;
            if self.big_endian {
                self.bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
            }
            for (&row, bytes) in run.iter().zip(self.bytes.chunks(stride)) {
                each(row, bytes.get(..length).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

/// Appends little-endian numbers, each the nearest one of `T`.
fn decode<T: Scalar>(element: ElementType, bytes: &[u8], out: &mut Vec<T>) {
    macro_rules! numbers {
        ($type:ident, $number:ident => $in_f64:expr) => {{
            let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
            out.extend(elements.iter().map(|&bytes| {
                let $number = $type::from_le_bytes(bytes);
                T::from_f64($in_f64)
            }));
        }};
    }
    match element {
        ElementType::Bool => out.extend(bytes.iter().map(|&byte| if byte == 0 { T::ZERO } else { T::ONE })),
        ElementType::U8 => numbers!(u8, x => x.into()),
        ElementType::I8 => numbers!(i8, x => x.into()),
        ElementType::U16 => numbers!(u16, x => x.into()),
        ElementType::I16 => numbers!(i16, x => x.into()),
        ElementType::U32 => numbers!(u32, x => x.into()),
        ElementType::I32 => numbers!(i32, x => x.into()),
        ElementType::U64 => numbers!(u64, x => x as f64),
        ElementType::I64 => numbers!(i64, x => x as f64),
        ElementType::F16 => numbers!(u16, x => Half(x).to_f32().into()),
        ElementType::F32 => numbers!(f32, x => x.into()),
        ElementType::F64 => numbers!(f64, x => x),
    }
}
