//! NumPy's NPY format, versions 1 to 3: a Python dictionary that describes the array, then its elements.
//!
//! Elements are read that are booleans, whole numbers of 8 to 64 bits and floating-point numbers of 16, 32 and 64, in
//! either byte order; arrays in Fortran order are re-ordered. [`write()`] writes any array, in version 1.
//!
//! ```
//! use downhill_data::npy;
//! use ndarray::array;
//!
//! let matrix = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
//! let mut file = Vec::new();
//! npy::write(&mut file, &matrix.t())?;
//! assert_eq!(npy::read(&file[..])?.to_array::<f64>(), matrix.t().into_dyn());
//! # Ok::<(), downhill_data::DataError>(())
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use ndarray::{ArrayBase, Data, Dimension};

use crate::DataError;
use crate::raw_array::{ElementType, Half, Layout, RawArray, read_header};

const FORMAT: &str = "NPY";

/// NumPy refuses longer headers too, unless told that the file can be trusted.
const LONGEST_HEADER: usize = 10_000;

/// Reads one array, which must be all there is.
///
/// # Errors
/// Returns an error if the reader fails, the data are cut short, followed by others or no NPY at all, the header has
/// another key than `descr`, `fortran_order` and `shape`, or one twice, or the elements are of another type than those
/// above.
/// Memory is used for what is there, not for what a header promises.
pub fn read(mut reader: impl Read) -> Result<RawArray, DataError> {
    read_layout(&mut reader)?.read(reader)
}

/// Appends the elements of one array, which must be all there is, to `bytes`: little-endian, the last axis running
/// fastest. Returns their type and the length of each axis.
///
/// # Errors
/// Returns the errors of [`read`]; `bytes` may then have elements at its end.
pub fn read_bytes(mut reader: impl Read, bytes: &mut Vec<u8>) -> Result<(ElementType, Vec<usize>), DataError> {
    let layout = read_layout(&mut reader)?;
    layout.read_bytes(reader, bytes)?;
    Ok((layout.element, layout.shape))
}

pub(crate) fn read_layout(mut reader: &mut impl Read) -> Result<Layout, DataError> {
    let mut start = [0; 8];
    read_header(&mut reader, &mut start, FORMAT)?;
    let [0x93, b'N', b'U', b'M', b'P', b'Y', version, minor] = start else {
        return Err(DataError::Magic { format: FORMAT, found: start.to_vec() });
    };
    let mut length = [0; 4];
    match version {
        _ if minor != 0 => return Err(unknown_version(version, minor)),
        1 => {
            let [low, high, ..] = &mut length;
            let mut two = [0; 2];
            read_header(&mut reader, &mut two, FORMAT)?;
            [*low, *high] = two;
        }
        2 | 3 => read_header(&mut reader, &mut length, FORMAT)?,
        _ => return Err(unknown_version(version, minor)),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(refused(format!("claims {length} bytes for itself, but at most {LONGEST_HEADER} are read")));
    }
    let mut header = vec![0; length];
    read_header(&mut reader, &mut header, FORMAT)?;
    let text = str::from_utf8(&header).map_err(|_| refused("is not text".into()))?;
    layout(text)
}

/// Reads the one array of a file.
///
/// # Errors
/// Returns the errors of [`read`]; the error names the file.
pub fn read_path(path: impl AsRef<Path>) -> Result<RawArray, DataError> {
    let path = path.as_ref();
    let read_file = || read(BufReader::new(File::open(path)?));
    read_file().map_err(|error| error.in_file(path))
}

/// The elements that [`write()`] takes: `bool`, the whole numbers of 8 to 64 bits, [`Half`], `f32` and `f64`.
pub trait Element: Copy + sealed::Sealed {
    /// The type in a file.
    #[doc(hidden)]
    const TYPE: ElementType;
    /// Appends the little-endian bytes.
    #[doc(hidden)]
    fn put(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty, $element:ident, $number:ident => $little_endian:expr;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const TYPE: ElementType = ElementType::$element;
            fn put(self, bytes: &mut Vec<u8>) {
                let $number = self;
                bytes.extend($little_endian);
            }
        }
    )*};
}

elements! {
    bool, Bool, x => [u8::from(x)];
    u8, U8, x => [x];
    i8, I8, x => x.to_le_bytes();
    u16, U16, x => x.to_le_bytes();
    i16, I16, x => x.to_le_bytes();
    u32, U32, x => x.to_le_bytes();
    i32, I32, x => x.to_le_bytes();
    u64, U64, x => x.to_le_bytes();
    i64, I64, x => x.to_le_bytes();
    Half, F16, x => x.0.to_le_bytes();
    f32, F32, x => x.to_le_bytes();
    f64, F64, x => x.to_le_bytes();
}

/// Writes an array of any layout, little-endian and the last axis running fastest, as NumPy itself does.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn write<S, D>(mut writer: impl Write, array: &ArrayBase<S, D>) -> Result<(), DataError>
where
    S: Data<Elem: Element>,
    D: Dimension,
{
    /// How many elements are written at once.
    const PIECE: usize = 1 << 12;
    let element = S::Elem::TYPE;
    let mut bytes = header(element, array.shape());
    for (index, &x) in array.iter().enumerate() {
        if index % PIECE == 0 {
            writer.write_all(&bytes).map_err(writing)?;
            bytes.clear();
        }
        x.put(&mut bytes);
    }
    writer.write_all(&bytes).and_then(|()| writer.flush()).map_err(writing)
}

/// Writes a file of one array.
///
/// # Errors
/// Returns an error that names the file if it can't be written.
pub fn write_path<S, D>(path: impl AsRef<Path>, array: &ArrayBase<S, D>) -> Result<(), DataError>
where
    S: Data<Elem: Element>,
    D: Dimension,
{
    let path = path.as_ref();
    let write_file = || write(BufWriter::new(File::create(path).map_err(writing)?), array);
    write_file().map_err(|error| error.in_file(path))
}

/// Writes an array of these little-endian bytes, the last axis running fastest.
///
/// # Errors
/// Returns an error if the writer fails, or if there are more or fewer bytes than the shape says.
pub fn write_bytes(
    mut writer: impl Write,
    element: ElementType,
    shape: &[usize],
    bytes: &[u8],
) -> Result<(), DataError> {
    let expected = shape.iter().try_fold(element.size(), |bytes, &axis| bytes.checked_mul(axis));
    if expected != Some(bytes.len()) {
        return Err(refused(format!("of the shape {shape:?} does not describe {} bytes of {element:?}", bytes.len())));
    }
    writer.write_all(&header(element, shape)).and_then(|()| writer.write_all(bytes)).map_err(writing)
}

fn writing(cause: std::io::Error) -> DataError {
    DataError::Write { cause }
}

/// A file up to its elements, in version 1: a multiple of 64 bytes, so that they are aligned.
fn header(element: ElementType, shape: &[usize]) -> Vec<u8> {
    const START: &[u8; 8] = b"\x93NUMPY\x01\x00";
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let axes = if shape.len() == 1 { axes.trim_end() } else { axes.trim_end_matches(", ") };
    let descr = descr(element);
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    let before = START.len() + size_of::<u16>();
    let padded = (before + text.len() + 1).next_multiple_of(64) - before;
    // An array of `ndarray` has too few axes to go beyond version 1.
    let length = u16::try_from(padded).unwrap_or(u16::MAX);
    text.extend(std::iter::repeat_n(' ', usize::from(length).saturating_sub(text.len() + 1)));
    text.push('\n');
    [START, &length.to_le_bytes()[..], text.as_bytes()].concat()
}

fn descr(element: ElementType) -> &'static str {
    match element {
        ElementType::Bool => "|b1",
        ElementType::U8 => "|u1",
        ElementType::I8 => "|i1",
        ElementType::U16 => "<u2",
        ElementType::I16 => "<i2",
        ElementType::U32 => "<u4",
        ElementType::I32 => "<i4",
        ElementType::U64 => "<u8",
        ElementType::I64 => "<i8",
        ElementType::F16 => "<f2",
        ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
    }
}

fn unknown_version(version: u8, minor: u8) -> DataError {
    refused(format!("is of version {version}.{minor}, but only 1.0, 2.0 and 3.0 exist"))
}

fn refused(reason: String) -> DataError {
    DataError::Header { format: FORMAT, reason }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order.
fn layout(header: &str) -> Result<Layout, DataError> {
    let mut text = Text { rest: header };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    text.expect("{")?;
    while !text.take("}") {
        let key = text.string()?;
        text.expect(":")?;
        let is_again = match key {
            "descr" => descr.replace(text.element()?).is_some(),
            "fortran_order" => fortran_order.replace(text.boolean()?).is_some(),
            "shape" => shape.replace(text.tuple()?).is_some(),
            _ => return Err(refused(format!("has an unknown key `{key}`"))),
        };
        // Python would take the last value, other readers the first.
        if is_again {
            return Err(refused(format!("has the key `{key}` more than once")));
        }
        if !text.take(",") {
            text.expect("}")?;
            break;
        }
    }
    if !text.next().is_empty() {
        return Err(text.unexpected("its end"));
    }
    let missing = |key| move || refused(format!("has no key `{key}`"));
    let (element, big_endian) = descr.ok_or_else(missing("descr"))?;
    let first_axis_fastest = fortran_order.ok_or_else(missing("fortran_order"))?;
    let shape = shape.ok_or_else(missing("shape"))?;
    Ok(Layout { format: FORMAT, element, big_endian, first_axis_fastest, shape })
}

/// The rest of a header that is being read.
struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    /// The rest after what Python takes for white space.
    fn next(&self) -> &'a str {
        self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
    }

    /// Skips `token` if it comes next, and returns whether it does.
    fn take(&mut self, token: &str) -> bool {
        match self.next().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), DataError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(&format!("`{token}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> DataError {
        let found: String = self.next().chars().take(20).collect();
        refused(format!("should go on with {wanted}, but goes on with `{}`", found.trim_end()))
    }

    fn string(&mut self) -> Result<&'a str, DataError> {
        let quote = if self.take("'") {
            '\''
        } else if self.take("\"") {
            '"'
        } else {
            return Err(self.unexpected("a string"));
        };
        let (string, rest) = self.rest.split_once(quote).ok_or_else(|| self.unexpected("a closing quote"))?;
        self.rest = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, DataError> {
        if self.take("True") {
            return Ok(true);
        }
        if self.take("False") { Ok(false) } else { Err(self.unexpected("`True` or `False`")) }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, DataError> {
        let mut axes = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let rest = self.next();
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            // Python refuses leading zeros, which once meant another base.
            let axis = digits.parse().ok().filter(|_| digits == "0" || !digits.starts_with('0'));
            axes.push(axis.ok_or_else(|| self.unexpected("the length of an axis"))?);
            self.rest = rest;
            // Python 2 wrote long integers so.
            self.take("L");
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(axes)
    }

    /// The element type, and whether its bytes come largest first.
    fn element(&mut self) -> Result<(ElementType, bool), DataError> {
        let unsupported = |found: &str| {
            refused(format!(
                "speaks of elements of type {found}, but only b1, u1, i1, u2, i2, u4, i4, u8, i8, f2, f4 and f8 are \
                 read; save the array with `.astype` one of these"
            ))
        };
        if !self.next().starts_with(['\'', '"']) {
            return Err(unsupported("with named fields"));
        }
        let descr = self.string()?;
        let mut letters = descr.chars();
        let order = letters.next();
        let element = match letters.as_str() {
            "b1" => ElementType::Bool,
            "u1" => ElementType::U8,
            "i1" => ElementType::I8,
            "u2" => ElementType::U16,
            "i2" => ElementType::I16,
            "u4" => ElementType::U32,
            "i4" => ElementType::I32,
            "u8" => ElementType::U64,
            "i8" => ElementType::I64,
            "f2" => ElementType::F16,
            "f4" => ElementType::F32,
            "f8" => ElementType::F64,
            _ => return Err(unsupported(&format!("`{descr}`"))),
        };
        match order {
            Some('<' | '|') => Ok((element, false)),
            Some('>') => Ok((element, true)),
            _ => Err(unsupported(&format!("`{descr}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elements;
    use downhill_tensor::Seed;
    use ndarray::array;

    /// A file of version 1 as NumPy writes it.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut padded = header.as_bytes().to_vec();
        padded.resize((11 + header.len()).next_multiple_of(64) - 11, b' ');
        padded.push(b'\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((padded.len() as u16).to_le_bytes());
        bytes.extend(padded);
        bytes.extend(data);
        bytes
    }

    fn of(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), data)
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_numpy_writes_is_read() {
        // python3 -c "import numpy, sys; numpy.save(sys.stdout.buffer, numpy.array([[1, 2, 3], [4, 5, 6]], '<f4', order='F'))"
        let mut bytes = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }".to_vec();
        bytes.resize(127, b' ');
        bytes.extend(b"\n\x00\x00\x80?\x00\x00\x80@\x00\x00\x00@\x00\x00\xa0@\x00\x00@@\x00\x00\xc0@");
        let matrix = read(&bytes[..]).unwrap();
        assert_eq!(matrix.to_array::<f64>(), array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn());
        for length in 0..bytes.len() {
            let error = read(&bytes[..length]).unwrap_err();
            assert!(error.to_string().contains("cut short"), "{length}: {error}");
        }
    }

    #[test]
    fn every_element_type_is_read_in_both_byte_orders() {
        let cases = [
            ("|u1", vec![7, 255], Elements::U8(vec![7, 255])),
            ("|i1", vec![7, 255], Elements::I8(vec![7, -1])),
            ("|b1", vec![0, 1], Elements::Bool(vec![false, true])),
            (">u2", vec![1, 2, 255, 254], Elements::U16(vec![258, 65534])),
            ("<u4", [5u32, u32::MAX].iter().flat_map(|x| x.to_le_bytes()).collect(), Elements::U32(vec![5, u32::MAX])),
            (">u8", [5u64, u64::MAX].iter().flat_map(|x| x.to_be_bytes()).collect(), Elements::U64(vec![5, u64::MAX])),
            ("<f2", vec![0, 0x3e, 0xff, 0x7b], Elements::F16(vec![Half(0x3e00), Half(0x7bff)])),
            (">f2", vec![0x3e, 0, 0x7b, 0xff], Elements::F16(vec![Half(0x3e00), Half(0x7bff)])),
            ("<i2", vec![2, 1, 254, 255], Elements::I16(vec![258, -2])),
            (">i2", vec![1, 2, 255, 254], Elements::I16(vec![258, -2])),
            ("<i4", [5i32, -6].iter().flat_map(|x| x.to_le_bytes()).collect(), Elements::I32(vec![5, -6])),
            (">i8", [5i64, -6].iter().flat_map(|x| x.to_be_bytes()).collect(), Elements::I64(vec![5, -6])),
            ("<i8", [5i64, -6].iter().flat_map(|x| x.to_le_bytes()).collect(), Elements::I64(vec![5, -6])),
            (">f4", [1.5f32, -0.1].iter().flat_map(|x| x.to_be_bytes()).collect(), Elements::F32(vec![1.5, -0.1])),
            ("<f8", [1.5f64, -0.1].iter().flat_map(|x| x.to_le_bytes()).collect(), Elements::F64(vec![1.5, -0.1])),
        ];
        for (descr, data, expected) in cases {
            let array = read(&of(descr, "(2,)", &data)[..]).unwrap();
            assert_eq!((array.shape(), array.elements()), (&[2][..], &expected), "{descr}");
        }
    }

    #[test]
    fn fortran_order_is_turned_round_in_both_byte_orders() {
        let numbers = [1i16, 4, 2, 5, 3, 6];
        for (descr, data) in
            [("<i2", numbers.map(i16::to_le_bytes).concat()), (">i2", numbers.map(i16::to_be_bytes).concat())]
        {
            let header = format!("{{'descr': '{descr}', 'fortran_order': True, 'shape': (2, 3), }}");
            let array = read(&file(&header, &data)[..]).unwrap();
            assert_eq!(array.elements(), &Elements::I16(vec![1, 2, 3, 4, 5, 6]));
            let followed = read(&file(&header, &[data, vec![0]].concat())[..]).unwrap_err().to_string();
            assert!(followed.contains("speaks of 12 bytes of data, but more follow"), "{followed}");
        }
    }

    #[test]
    fn headers_may_be_written_otherwise() {
        let text = "{\"shape\":(1L,2L),\"descr\":\"|u1\",\"fortran_order\":False}\n";
        for version in [2u8, 3] {
            let mut bytes = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend([8, 9]);
            assert_eq!(read(&bytes[..]).unwrap().shape(), [1, 2]);
        }
        assert_eq!(read(&of("|u1", "()", &[3])[..]).unwrap().to_labels().unwrap(), [3]);
        assert_eq!(read(&of("|u1", "(0, 5)", &[])[..]).unwrap().shape(), [0, 5]);
    }

    #[test]
    fn hostile_headers_are_errors_without_large_allocations() {
        let cases = [
            (of("<f4", "(4000000000000000000, 4000000000000000000)", &[]), "which no memory can hold"),
            (of("|u1", "(0, 9223372036854775807, 2)", &[]), "which no memory can hold"),
            (of("<f8", "(1000000000000000,)", &[0; 9]), "speaks of 8000000000000000 bytes of data, but only 9 follow"),
            (
                of("<f4", "(99999999999999999999999,)", &[]),
                "should go on with the length of an axis, but goes on with `999",
            ),
            (of("<f4", "(-1,)", &[]), "should go on with the length of an axis, but goes on with `-1,)"),
            (of("<f4", "(1 2)", &[]), "should go on with `)`, but goes on with `2)"),
            (of("<f4", "3", &[]), "should go on with `(`, but goes on with `3, }`"),
            (of("<f4", "(1,)", &[0; 5]), "speaks of 4 bytes of data, but more follow"),
            (of("<c8", "(1,)", &[0; 8]), "elements of type `<c8`, but only b1, u1, i1, u2, i2, u4, i4, u8"),
            (of("=f4", "(1,)", &[0; 4]), "elements of type `=f4`"),
            (of("|O", "(1,)", b"\x80\x04K\x01."), "elements of type `|O`, but only b1, u1, i1, u2, i2, u4, i4, u8"),
            (of("<b2", "(1,)", &[1, 0]), "elements of type `<b2`"),
            (of("<U5", "(1,)", &[0; 20]), "elements of type `<U5`"),
            (of("|S3", "(1,)", b"abc"), "elements of type `|S3`"),
            (of("<f3", "(1,)", &[0; 3]), "elements of type `<f3`"),
            (of("<M8[ns]", "(1,)", &[0; 8]), "elements of type `<M8[ns]`"),
            (of("<f4", "(4611686018427387904,)", &[]), "which no memory can hold"),
            (
                of("|u1", "(4611686018427387904,)", &[1]),
                "speaks of 4611686018427387904 bytes of data, but only 1 follow",
            ),
            (of("é", "(1,)", &[0; 4]), "elements of type `é`"),
            (of("", "(1,)", &[0; 4]), "elements of type ``"),
            (file("{'descr': [('x', '<f4')], 'shape': (1,)}", &[]), "elements of type with named fields"),
            (file("{'descr': '<f4', 'shape': (1,)}", &[0; 4]), "has no key `fortran_order`"),
            (file("{'fortran_order': maybe}", &[]), "should go on with `True` or `False`, but goes on with `maybe}`"),
            (file("{'colour': 3}", &[]), "has an unknown key `colour`"),
            (file("{'descr", &[]), "should go on with a closing quote"),
            (file("{} and more", &[]), "should go on with its end, but goes on with `and more`"),
            (file("", &[]), "should go on with `{`, but goes on with ``"),
            (b"\x93NUMPY\x04\x00".to_vec(), "is of version 4.0, but only 1.0, 2.0 and 3.0 exist"),
            (b"\x93NUMPY\x01\x02".to_vec(), "is of version 1.2, but only"),
            (of("|u1", "(2, 04)", &[0; 8]), "should go on with the length of an axis, but goes on with `04"),
            (of("|u1", "(2,\u{b}4)", &[0; 8]), "should go on with"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "claims 4294967295 bytes for itself"),
            (b"\x93NUMPY\x01\x00\x02\x00\xff\xfe".to_vec(), "the NPY header is not text"),
            (b"PK\x03\x04\x14\x00\x00\x00".to_vec(), "this is not NPY data: it starts with the bytes [50, 4b,"),
        ];
        for (bytes, expected) in cases {
            let message = message(&bytes);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_written_is_what_numpy_writes() {
        // python3 -c "import numpy, sys; numpy.save(sys.stdout.buffer, numpy.array([[1, 2, 3], [4, 5, 6]], '<f4'))"
        let mut bytes = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
        bytes.resize(127, b' ');
        bytes.push(b'\n');
        bytes.extend((1u8..=6).flat_map(|x| f32::from(x).to_le_bytes()));
        let matrix = array![[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let transposed = matrix.t().as_standard_layout().into_owned();
        for any_layout in [matrix.view(), transposed.t()] {
            let mut written = Vec::new();
            write(&mut written, &any_layout).unwrap();
            assert_eq!(written, bytes);
        }
    }

    #[test]
    fn every_element_type_is_written_and_read_again() {
        fn check<E: Element + PartialEq + std::fmt::Debug>(elements: Vec<E>, wrap: fn(Vec<E>) -> Elements) {
            let count = elements.len();
            for shape in [vec![count], vec![1, count, 1], vec![count, 0]] {
                let elements = if shape.contains(&0) { Vec::new() } else { elements.clone() };
                let array = ndarray::ArrayD::from_shape_vec(shape.clone(), elements.clone()).unwrap();
                let mut bytes = Vec::new();
                write(&mut bytes, &array).unwrap();
                assert_eq!(bytes.len() % 64, (elements.len() * E::TYPE.size()) % 64);
                let read = read(&bytes[..]).unwrap();
                assert_eq!((read.shape(), read.elements()), (&shape[..], &wrap(elements)));
            }
        }
        check(vec![false, true], Elements::Bool);
        check(vec![0u8, 255], Elements::U8);
        check(vec![-1i8, 127], Elements::I8);
        check(vec![1u16, 65535], Elements::U16);
        check(vec![-1i16, 258], Elements::I16);
        check(vec![7, u32::MAX], Elements::U32);
        check(vec![-7, i32::MAX], Elements::I32);
        check(vec![7, u64::MAX], Elements::U64);
        check(vec![-7, i64::MAX], Elements::I64);
        check(vec![Half(0x3e00), Half(0x7c00)], Elements::F16);
        check((0..9000).map(|x| x as f32).chain([f32::INFINITY]).collect(), Elements::F32);
        check(vec![-0.1, f64::MIN_POSITIVE / 4.0], Elements::F64);
        let mut scalar = Vec::new();
        write(&mut scalar, &ndarray::arr0(2.5f64)).unwrap();
        assert_eq!(read(&scalar[..]).unwrap().shape(), [0usize; 0]);
    }

    #[test]
    fn bytes_that_are_no_array_of_the_shape_are_not_written() {
        let message =
            |shape: &[usize]| write_bytes(Vec::new(), ElementType::F32, shape, &[0; 9]).unwrap_err().to_string();
        assert_eq!(message(&[2]), "the NPY header of the shape [2] does not describe 9 bytes of F32");
        assert!(message(&[usize::MAX, 2]).contains("does not describe 9 bytes"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let message = write_path("no/such/file.npy", &array![1.0]).unwrap_err().to_string();
        assert!(message.starts_with("`no/such/file.npy`: writing failed: "), "{message}");
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        let keys = ["'descr': '|u1'", "'fortran_order': False", "'shape': (2,)"];
        assert_eq!(read(&file(&format!("{{{}}}", keys.join(", ")), &[1, 2])[..]).unwrap().shape(), [2]);
        for (again, name) in [(keys[0], "descr"), (keys[1], "fortran_order"), ("'shape': (1, 2)", "shape")] {
            let header = format!("{{{}, {again}}}", keys.join(", "));
            let message = message(&file(&header, &[1, 2]));
            assert!(message.contains(&format!("has the key `{name}` more than once")), "{message}");
        }
    }

    #[test]
    fn damaged_files_never_panic() {
        let mut stream = Seed(5).stream(0);
        let whole = of("<f4", "(2, 3)", &[1; 24]);
        for _ in 0..5000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + (stream.uniform() * 3.0) as usize {
                let place = (stream.uniform() * bytes.len() as f64) as usize;
                bytes[place] = (stream.uniform() * 256.0) as u8;
            }
            if let Ok(array) = read(&bytes[..]) {
                let _ = (array.to_array::<f32>(), array.to_labels());
            }
        }
    }
}
