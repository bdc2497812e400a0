use std::fmt;
use std::io::{ErrorKind, Read};

use downhill_tensor::Scalar;
use ndarray::{ArrayD, ArrayView, IxDyn, ShapeBuilder};

use crate::DataError;

/// An array of numbers as a file holds it: of any shape and any element type.
#[derive(Clone, Debug, PartialEq)]
pub struct RawArray {
    shape: Vec<usize>,
    elements: Elements,
}

/// The elements of a [`RawArray`], the last axis running fastest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Elements {
    Bool(Vec<bool>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F16(Vec<Half>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A number of 16 bits with 11 significant ones, as its bits: IEEE 754's binary16, NumPy's `float16`.
///
/// ```
/// use downhill_data::Half;
/// assert_eq!(Half(0x3e00).to_f32(), 1.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Half(pub u16);

impl Half {
    /// Converts to `f32`, exactly.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        let (sign, exponent, fraction) = (u32::from(self.0 >> 15) << 31, self.0 >> 10 & 31, u32::from(self.0 & 1023));
        match exponent {
            // A whole number of the smallest steps, of which `f32` has far smaller ones.
            0 => f32::from_bits((fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits() | sign),
            31 => f32::from_bits(sign | 0xff << 23 | fraction << 13),
            _ => f32::from_bits(sign | (u32::from(exponent) + 127 - 15) << 23 | fraction << 13),
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_f32(), f)
    }
}

/// Numbers of all element types, in one of them.
trait Number: Copy + fmt::Display {
    /// The nearest number.
    fn in_f64(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            #[expect(clippy::allow_attributes, reason = "one body for all types, `f64` among them")]
            #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
            fn in_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

impl Number for bool {
    fn in_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Number for Half {
    fn in_f64(self) -> f64 {
        self.to_f32().into()
    }
}

/// Evaluates one expression for each element type.
macro_rules! with_elements {
    ($elements:expr, $vec:ident => $body:expr) => {
        match $elements {
            Elements::Bool($vec) => $body,
            Elements::U8($vec) => $body,
            Elements::I8($vec) => $body,
            Elements::U16($vec) => $body,
            Elements::I16($vec) => $body,
            Elements::U32($vec) => $body,
            Elements::I32($vec) => $body,
            Elements::U64($vec) => $body,
            Elements::I64($vec) => $body,
            Elements::F16($vec) => $body,
            Elements::F32($vec) => $body,
            Elements::F64($vec) => $body,
        }
    };
}

impl RawArray {
    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, the last axis running fastest.
    #[must_use]
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Converts to an array of `T`, each number the nearest to its `f64`.
    #[must_use]
    pub fn to_array<T: Scalar>(&self) -> ArrayD<T> {
        let numbers = with_elements!(&self.elements, vec => vec.iter().map(|&x| T::from_f64(x.in_f64())).collect());
        match ArrayD::from_shape_vec(IxDyn(&self.shape), numbers) {
            Ok(array) => array,
            Err(error) => unreachable!("the elements were counted when they were read: {error}"),
        }
    }

    /// Reads the elements as labels, which are classes counted from 0.
    ///
    /// # Errors
    /// Returns an error if one is negative, not whole or beyond `u32`.
    pub fn to_labels(&self) -> Result<Vec<u32>, DataError> {
        // Numbers beyond 2⁵³ are rounded here, but not to labels.
        let label = |x: f64| Some(x as u32).filter(|&label| f64::from(label) == x);
        with_elements!(&self.elements, vec => {
            let labels = vec.iter().enumerate().map(|(index, &x)| {
                label(x.in_f64()).ok_or_else(|| DataError::NotLabel { index, value: x.to_string() })
            });
            labels.collect()
        })
    }
}

/// The type of the elements of an array in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum ElementType {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl ElementType {
    /// The number of bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// The layout of an array's bytes in a file.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) format: &'static str,
    pub(crate) element: ElementType,
    pub(crate) big_endian: bool,
    /// Whether the first axis runs fastest, as in Fortran, and not the last.
    pub(crate) first_axis_fastest: bool,
    pub(crate) shape: Vec<usize>,
}

impl Layout {
    /// Reads the elements, which must be the rest of `reader`.
    pub(crate) fn read(self, reader: impl Read) -> Result<RawArray, DataError> {
        let mut bytes = Vec::new();
        self.read_bytes(reader, &mut bytes)?;
        macro_rules! decode {
            ($type:ident) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                elements.iter().map(|&bytes| $type::from_le_bytes(bytes)).collect()
            }};
        }
        let elements = match self.element {
            ElementType::Bool => Elements::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
            ElementType::U8 => Elements::U8(bytes),
            ElementType::I8 => Elements::I8(decode!(i8)),
            ElementType::U16 => Elements::U16(decode!(u16)),
            ElementType::I16 => Elements::I16(decode!(i16)),
            ElementType::U32 => Elements::U32(decode!(u32)),
            ElementType::I32 => Elements::I32(decode!(i32)),
            ElementType::U64 => Elements::U64(decode!(u64)),
            ElementType::I64 => Elements::I64(decode!(i64)),
            ElementType::F16 => {
                let (elements, _) = bytes.as_chunks();
                Elements::F16(elements.iter().map(|&bytes| Half(u16::from_le_bytes(bytes))).collect())
            }
            ElementType::F32 => Elements::F32(decode!(f32)),
            ElementType::F64 => Elements::F64(decode!(f64)),
        };
        Ok(RawArray { shape: self.shape, elements })
    }

    /// Appends the elements, which must be the rest of `reader`, as little-endian bytes with the last axis running
    /// fastest.
    ///
    /// Memory grows with what is read, not with what the header promises.
    pub(crate) fn read_bytes(&self, mut reader: impl Read, bytes: &mut Vec<u8>) -> Result<(), DataError> {
        let (format, size) = (self.format, self.element.size());
        // An array of no elements is also refused if its other axes alone would be too many: `ndarray` refuses it too.
        let length = self.shape.iter().try_fold(size, |bytes: usize, &axis| bytes.checked_mul(axis.max(1)));
        let expected = length
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .map(|bytes| if self.shape.contains(&0) { 0 } else { bytes })
            .ok_or_else(|| DataError::Header {
                format,
                reason: format!("asks for an array of shape {:?}, which no memory can hold", self.shape),
            })?;
        let start = bytes.len();
        reader.by_ref().take(expected as u64).read_to_end(bytes)?;
        let got = bytes.len() - start;
        if got < expected {
            return Err(DataError::Truncated { format, expected, got });
        }
        // This also makes a decoder verify its checksum. Unlike `read`, `read_to_end` goes on after an interruption.
        if reader.take(1).read_to_end(&mut Vec::new())? != 0 {
            return Err(DataError::Trailing { format, expected });
        }
        let elements = bytes.get_mut(start..).unwrap_or_default();
        if self.big_endian {
            elements.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        if self.first_axis_fastest {
            match size {
                1 => self.last_axis_fastest::<1>(elements),
                2 => self.last_axis_fastest::<2>(elements),
                4 => self.last_axis_fastest::<4>(elements),
                _ => self.last_axis_fastest::<8>(elements),
            }
        }
        Ok(())
    }

    fn last_axis_fastest<const SIZE: usize>(&self, bytes: &mut [u8]) {
        let as_read = bytes.to_vec();
        let (as_read, _) = as_read.as_chunks::<SIZE>();
        let (elements, _) = bytes.as_chunks_mut::<SIZE>();
        match ArrayView::from_shape(IxDyn(&self.shape).f(), as_read) {
            Ok(array) => elements.iter_mut().zip(&array).for_each(|(to, &element)| *to = element),
            Err(error) => unreachable!("the elements have been counted: {error}"),
        }
    }
}

/// Fills `bytes` from `reader`, which may end too early.
pub(crate) fn read_header(reader: &mut impl Read, bytes: &mut [u8], format: &'static str) -> Result<(), DataError> {
    let mut got = 0;
    while let Some(rest @ [_, ..]) = bytes.get_mut(got..) {
        match reader.read(rest) {
            // Not `read_exact`: its error for a short file can't be told from a gzip decoder's.
            Ok(0) => return Err(DataError::Header { format, reason: "is cut short".into() }),
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_whole_numbers_from_zero() {
        let array = |elements| RawArray { shape: vec![2], elements };
        assert_eq!(array(Elements::F32(vec![3.0, 0.0])).to_labels().unwrap(), [3, 0]);
        assert_eq!(array(Elements::I64(vec![7, 4_294_967_295])).to_labels().unwrap(), [7, u32::MAX]);
        let message = |elements| array(elements).to_labels().unwrap_err().to_string();
        assert_eq!(
            message(Elements::I8(vec![0, -1])),
            "element 1 is -1, but labels are whole numbers from 0 to 4294967295"
        );
        assert!(message(Elements::F64(vec![0.5, 1.0])).starts_with("element 0 is 0.5"));
        assert!(message(Elements::F64(vec![1.0, f64::NAN])).starts_with("element 1 is NaN"));
        assert!(message(Elements::I64(vec![1, 4_294_967_296])).starts_with("element 1 is 4294967296"));
        assert!(message(Elements::I64(vec![i64::MIN, 1])).starts_with("element 0 is -9223372036854775808"));
    }

    #[test]
    fn halves_are_read_as_ieee_754_says() {
        let largest = Half(0x7bff);
        assert_eq!(largest.to_f32(), 65504.0);
        assert_eq!((Half(1).to_f32(), Half(0x8001).to_f32()), (f32::powi(2.0, -24), -f32::powi(2.0, -24)));
        assert_eq!((Half(0x3ff).to_f32(), Half(0x400).to_f32()), (1023.0 * f32::powi(2.0, -24), f32::powi(2.0, -14)));
        assert_eq!((Half(0x7c00).to_f32(), Half(0xfc00).to_f32()), (f32::INFINITY, f32::NEG_INFINITY));
        assert!(Half(0x7e00).to_f32().is_nan() && Half(0x8000).to_f32().is_sign_negative());
        let ascending = (0..0x7c00).map(|bits| Half(bits).to_f32());
        assert!(ascending.clone().zip(ascending.skip(1)).all(|(low, high)| low < high));
    }

    #[test]
    fn whole_numbers_become_the_nearest_ones() {
        let array = RawArray { shape: vec![2], elements: Elements::I64(vec![9_007_199_254_740_993, 16_777_217]) };
        assert_eq!(array.to_array::<f64>(), ndarray::array![9_007_199_254_740_992.0, 16_777_217.0].into_dyn());
        assert_eq!(array.to_array::<f32>(), ndarray::array![9_007_199_254_740_992.0, 16_777_216.0].into_dyn());
    }
}
