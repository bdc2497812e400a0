use std::io::{ErrorKind, Read};

use downhill_tensor::Scalar;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

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
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Evaluates one expression for each element type.
macro_rules! with_elements {
    ($elements:expr, $vec:ident => $body:expr) => {
        match $elements {
            Elements::U8($vec) => $body,
            Elements::I8($vec) => $body,
            Elements::I16($vec) => $body,
            Elements::I32($vec) => $body,
            Elements::I64($vec) => $body,
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
    #[expect(clippy::unnecessary_cast, reason = "one body for all element types, `f64` among them")]
    pub fn to_array<T: Scalar>(&self) -> ArrayD<T> {
        let numbers = with_elements!(&self.elements, vec => vec.iter().map(|&x| T::from_f64(x as f64)).collect());
        match ArrayD::from_shape_vec(IxDyn(&self.shape), numbers) {
            Ok(array) => array,
            Err(error) => unreachable!("the elements were counted when they were read: {error}"),
        }
    }

    /// Reads the elements as labels, which are classes counted from 0.
    ///
    /// # Errors
    /// Returns an error if one is negative, not whole or beyond `u32`.
    #[expect(clippy::unnecessary_cast, reason = "one body for all element types, `f64` among them")]
    pub fn to_labels(&self) -> Result<Vec<u32>, DataError> {
        // Numbers beyond 2⁵³ are rounded here, but not to labels.
        let label = |x: f64| Some(x as u32).filter(|&label| f64::from(label) == x);
        with_elements!(&self.elements, vec => {
            let labels = vec.iter().enumerate().map(|(index, &x)| {
                label(x as f64).ok_or_else(|| DataError::NotLabel { index, value: x.to_string() })
            });
            labels.collect()
        })
    }
}

/// The element types that files may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    U8,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
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
    ///
    /// Memory grows with what is read, not with what the header promises.
    pub(crate) fn read(self, mut reader: impl Read) -> Result<RawArray, DataError> {
        let format = self.format;
        let size = match self.element {
            ElementType::U8 | ElementType::I8 => 1,
            ElementType::I16 => 2,
            ElementType::I32 | ElementType::F32 => 4,
            ElementType::I64 | ElementType::F64 => 8,
        };
        // An array of no elements is also refused if its other axes alone would be too many: `ndarray` refuses it too.
        let bytes = self.shape.iter().try_fold(size, |bytes: usize, &axis| bytes.checked_mul(axis.max(1)));
        let expected = bytes
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .map(|bytes| if self.shape.contains(&0) { 0 } else { bytes })
            .ok_or_else(|| DataError::Header {
                format,
                reason: format!("asks for an array of shape {:?}, which no memory can hold", self.shape),
            })?;
        let mut bytes = Vec::new();
        reader.by_ref().take(expected as u64).read_to_end(&mut bytes)?;
        if bytes.len() < expected {
            return Err(DataError::Truncated { format, expected, got: bytes.len() });
        }
        // This also makes a gzip decoder verify its checksum. Unlike `read`, `read_to_end` goes on after an interruption.
        if reader.take(1).read_to_end(&mut Vec::new())? != 0 {
            return Err(DataError::Trailing { format, expected });
        }
        macro_rules! decode {
            ($type:ident) => {{
                const SIZE: usize = size_of::<$type>();
                let (elements, _) = bytes.as_chunks::<SIZE>();
                let from = if self.big_endian { $type::from_be_bytes } else { $type::from_le_bytes };
                self.last_axis_fastest(elements.iter().map(|&bytes| from(bytes)).collect())
            }};
        }
        let elements = match self.element {
            ElementType::U8 => Elements::U8(self.last_axis_fastest(bytes)),
            ElementType::I8 => Elements::I8(decode!(i8)),
            ElementType::I16 => Elements::I16(decode!(i16)),
            ElementType::I32 => Elements::I32(decode!(i32)),
            ElementType::I64 => Elements::I64(decode!(i64)),
            ElementType::F32 => Elements::F32(decode!(f32)),
            ElementType::F64 => Elements::F64(decode!(f64)),
        };
        Ok(RawArray { shape: self.shape, elements })
    }

    fn last_axis_fastest<E: Clone>(&self, elements: Vec<E>) -> Vec<E> {
        if !self.first_axis_fastest {
            return elements;
        }
        match ArrayD::from_shape_vec(IxDyn(&self.shape).f(), elements) {
            Ok(array) => array.iter().cloned().collect(),
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
    fn whole_numbers_become_the_nearest_ones() {
        let array = RawArray { shape: vec![2], elements: Elements::I64(vec![9_007_199_254_740_993, 16_777_217]) };
        assert_eq!(array.to_array::<f64>(), ndarray::array![9_007_199_254_740_992.0, 16_777_217.0].into_dyn());
        assert_eq!(array.to_array::<f32>(), ndarray::array![9_007_199_254_740_992.0, 16_777_216.0].into_dyn());
    }
}
