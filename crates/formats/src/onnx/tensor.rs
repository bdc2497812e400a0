//! Numbers of tensors: from their bytes or their typed fields, and to bytes.

use downhill_tensor::Scalar;
use half::{bf16, f16};
use prost::bytes::Bytes;

use super::proto::TensorProto;

/// The types of numbers, as messages have them.
pub(crate) mod data_type {
    pub(crate) const FLOAT: i32 = 1;
    pub(crate) const UINT8: i32 = 2;
    pub(crate) const INT8: i32 = 3;
    pub(crate) const UINT16: i32 = 4;
    pub(crate) const INT16: i32 = 5;
    pub(crate) const INT32: i32 = 6;
    pub(crate) const INT64: i32 = 7;
    pub(crate) const STRING: i32 = 8;
    pub(crate) const BOOL: i32 = 9;
    pub(crate) const FLOAT16: i32 = 10;
    pub(crate) const DOUBLE: i32 = 11;
    pub(crate) const UINT32: i32 = 12;
    pub(crate) const UINT64: i32 = 13;
    pub(crate) const BFLOAT16: i32 = 16;
}

/// The name of a type of numbers, for messages.
pub(crate) fn type_name(data_type: i32) -> String {
    use data_type::*;
    let name = match data_type {
        FLOAT => "float",
        UINT8 => "uint8",
        INT8 => "int8",
        UINT16 => "uint16",
        INT16 => "int16",
        INT32 => "int32",
        INT64 => "int64",
        STRING => "string",
        BOOL => "bool",
        FLOAT16 => "float16",
        DOUBLE => "double",
        UINT32 => "uint32",
        UINT64 => "uint64",
        BFLOAT16 => "bfloat16",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// The numbers of a tensor: float16 and bfloat16 as f32, all whole numbers as i64.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Float(Vec<f32>),
    Double(Vec<f64>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
            Self::Int(numbers) => numbers.len(),
            Self::Bool(numbers) => numbers.len(),
        }
    }
}

/// A tensor's shape and numbers, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers,
}

impl Array {
    /// The numbers in this precision, whatever type they have; true is 1.
    pub(crate) fn scalars<T: Scalar>(&self) -> Vec<T> {
        match &self.numbers {
            Numbers::Float(numbers) => numbers.iter().map(|&x| T::from_f64(x.into())).collect(),
            Numbers::Double(numbers) => numbers.iter().map(|&x| T::from_f64(x)).collect(),
            Numbers::Int(numbers) => numbers.iter().map(|&x| T::from_f64(x as f64)).collect(),
            Numbers::Bool(numbers) => numbers.iter().map(|&x| if x { T::ONE } else { T::ZERO }).collect(),
        }
    }

    /// The numbers, if they are whole by their type.
    pub(crate) fn ints(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Int(numbers) => Some(numbers),
            _ => None,
        }
    }
}

/// A type that a tensor is written in.
pub(crate) trait Element: Copy {
    const TYPE: i32;
    fn append(self, bytes: &mut Vec<u8>);
}

macro_rules! element {
    ($($number:ident $TYPE:ident)*) => {
        $(
            impl Element for $number {
                const TYPE: i32 = data_type::$TYPE;

                fn append(self, bytes: &mut Vec<u8>) {
                    bytes.extend_from_slice(&self.to_le_bytes());
                }
            }
        )*
    };
}

element!(f32 FLOAT f64 DOUBLE i64 INT64 i32 INT32 u8 UINT8);

impl Element for bool {
    const TYPE: i32 = data_type::BOOL;

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(self.into());
    }
}

/// Whole numbers in a file may be shorter than the 8 bytes that they take in memory, but not in large tensors.
const MOST_WIDENED: usize = 8 << 20;

impl TensorProto {
    /// Writes numbers of this shape, which holds as many, row by row.
    pub(crate) fn new<E: Element>(
        name: impl Into<String>,
        shape: &[usize],
        numbers: impl IntoIterator<Item = E>,
    ) -> Self {
        let mut bytes = Vec::with_capacity(shape.iter().product::<usize>().saturating_mul(size_of::<E>()));
        numbers.into_iter().for_each(|number| number.append(&mut bytes));
        Self {
            name: name.into(),
            dims: shape.iter().map(|&axis| axis as i64).collect(),
            data_type: E::TYPE,
            raw_data: Some(bytes.into()),
            ..Self::default()
        }
    }

    /// The shape and the number of elements, checked against nothing yet.
    pub(crate) fn shape(&self) -> Result<(Vec<usize>, usize), String> {
        let axis =
            |&axis: &i64| usize::try_from(axis).map_err(|_| format!("tensor `{}` has an axis of {axis}", self.name));
        let shape = self.dims.iter().map(axis).collect::<Result<Vec<_>, _>>()?;
        let len = shape.iter().try_fold(1usize, |len, &axis| len.checked_mul(axis));
        let len = len.ok_or_else(|| format!("tensor `{}` has the shape {shape:?}, which is too large", self.name))?;
        Ok((shape, len))
    }

    /// Reads the shape and the numbers.
    ///
    /// # Errors
    /// Returns the reason if the numbers are in another file, of a type that networks don't have, or not as many as the
    /// shape says.
    pub(crate) fn read(&self) -> Result<Array, String> {
        use data_type::*;
        let (shape, len) = self.shape()?;
        let refuse = |what: String| Err(format!("tensor `{}` {what}", self.name));
        if self.data_location != 0 || !self.external_data.is_empty() {
            return refuse("has its numbers in another file; save the model with all data in one".into());
        }
        if self.segment.is_some() {
            return refuse("is a segment of a larger tensor, which is not supported".into());
        }
        let width = match self.data_type {
            UINT8 | INT8 | BOOL => 1,
            UINT16 | INT16 | FLOAT16 | BFLOAT16 => 2,
            FLOAT | INT32 | UINT32 => 4,
            DOUBLE | INT64 | UINT64 => 8,
            other => return refuse(format!("holds numbers of {}, which is not supported", type_name(other))),
        };
        let raw = self.raw_data.clone().filter(|raw| !raw.is_empty() || len == 0);
        // Counted before anything is allocated.
        let found = match (&raw, self.data_type) {
            (Some(raw), _) if raw.len() % width > 0 => {
                return refuse(format!("has {} bytes for numbers of {width} bytes each", raw.len()));
            }
            (Some(raw), _) => raw.len() / width,
            (None, FLOAT) => self.float_data.len(),
            (None, DOUBLE) => self.double_data.len(),
            (None, INT64) => self.int64_data.len(),
            (None, UINT32 | UINT64) => self.uint64_data.len(),
            (None, _) => self.int32_data.len(),
        };
        if found != len {
            return refuse(format!("has the shape {shape:?}, of {len} numbers, but holds {found}"));
        }
        if !matches!(self.data_type, FLOAT | DOUBLE | FLOAT16 | BFLOAT16 | BOOL)
            && len.saturating_mul(8) > MOST_WIDENED.max(len.saturating_mul(width).saturating_mul(2))
        {
            return refuse(format!("holds {len} whole numbers of {width} bytes, which are too many"));
        }
        // A type whose typed field holds wider numbers: those that don't fit are refused.
        let short = |fits: fn(i32) -> bool| match self.int32_data.iter().find(|&&number| !fits(number)) {
            Some(number) => {
                Err(format!("tensor `{}` holds {number}, which is no {}", self.name, type_name(self.data_type)))
            }
            None => Ok(self.int32_data.iter()),
        };
        let numbers = match (&raw, self.data_type) {
            (Some(raw), FLOAT) => Numbers::Float(each(raw, f32::from_le_bytes)),
            (Some(raw), DOUBLE) => Numbers::Double(each(raw, f64::from_le_bytes)),
            (Some(raw), FLOAT16) => Numbers::Float(each(raw, |b| f16::from_le_bytes(b).to_f32())),
            (Some(raw), BFLOAT16) => Numbers::Float(each(raw, |b| bf16::from_le_bytes(b).to_f32())),
            (Some(raw), BOOL) => Numbers::Bool(raw.iter().map(|&b| b != 0).collect()),
            (Some(raw), UINT8) => Numbers::Int(raw.iter().map(|&b| b.into()).collect()),
            (Some(raw), INT8) => Numbers::Int(each(raw, |b| i8::from_le_bytes(b).into())),
            (Some(raw), UINT16) => Numbers::Int(each(raw, |b| u16::from_le_bytes(b).into())),
            (Some(raw), INT16) => Numbers::Int(each(raw, |b| i16::from_le_bytes(b).into())),
            (Some(raw), INT32) => Numbers::Int(each(raw, |b| i32::from_le_bytes(b).into())),
            (Some(raw), UINT32) => Numbers::Int(each(raw, |b| u32::from_le_bytes(b).into())),
            (Some(raw), INT64) => Numbers::Int(each(raw, i64::from_le_bytes)),
            (Some(raw), _) => Numbers::Int(self.signed(each(raw, u64::from_le_bytes))?),
            (None, FLOAT) => Numbers::Float(self.float_data.clone()),
            (None, DOUBLE) => Numbers::Double(self.double_data.clone()),
            (None, INT64) => Numbers::Int(self.int64_data.clone()),
            (None, UINT32 | UINT64) => Numbers::Int(self.signed(self.uint64_data.clone())?),
            // The bits of a short float are the lower half of a whole number.
            (None, FLOAT16) => Numbers::Float(
                short(|n| u16::try_from(n).is_ok())?.map(|&n| f16::from_bits(n as u16).to_f32()).collect(),
            ),
            (None, BFLOAT16) => Numbers::Float(
                short(|n| u16::try_from(n).is_ok())?.map(|&n| bf16::from_bits(n as u16).to_f32()).collect(),
            ),
            (None, BOOL) => Numbers::Bool(self.int32_data.iter().map(|&n| n != 0).collect()),
            (None, kind) => {
                let numbers = match kind {
                    UINT8 => short(|n| u8::try_from(n).is_ok()),
                    INT8 => short(|n| i8::try_from(n).is_ok()),
                    UINT16 => short(|n| u16::try_from(n).is_ok()),
                    INT16 => short(|n| i16::try_from(n).is_ok()),
                    _ => short(|_| true),
                };
                Numbers::Int(numbers?.map(|&n| n.into()).collect())
            }
        };
        Ok(Array { shape, numbers })
    }

    fn signed(&self, numbers: Vec<u64>) -> Result<Vec<i64>, String> {
        let signed = |number| {
            i64::try_from(number).map_err(|_| format!("tensor `{}` holds {number}, which is too large", self.name))
        };
        numbers.into_iter().map(signed).collect()
    }
}

fn each<const N: usize, U>(bytes: &Bytes, number: impl Fn([u8; N]) -> U) -> Vec<U> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto { name: "t".into(), data_type, dims: dims.to_vec(), ..TensorProto::default() }
    }

    fn raw(data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
        TensorProto { raw_data: Some(Bytes::copy_from_slice(bytes)), ..typed(data_type, dims) }
    }

    #[test]
    fn what_is_written_is_read() {
        let numbers = [1.5f32, -2.0, 0.25];
        let array = TensorProto::new("t", &[3, 1], numbers).read().unwrap();
        assert_eq!(array, Array { shape: vec![3, 1], numbers: Numbers::Float(numbers.to_vec()) });
        let ints = TensorProto::new("t", &[2], [-1i64, 7]).read().unwrap();
        assert_eq!(ints.ints(), Some(&[-1, 7][..]));
        assert_eq!(TensorProto::new("t", &[], [0.1f64]).read().unwrap().scalars::<f64>(), [0.1]);
        let empty = TensorProto::new("t", &[0], [0.0f32; 0]).read().unwrap();
        assert_eq!(empty.numbers.len(), 0);
    }

    #[test]
    fn every_type_is_read_from_bytes_and_from_its_field() {
        use data_type::*;
        let ints = |tensor: &TensorProto| tensor.read().unwrap().ints().unwrap().to_vec();
        assert_eq!(ints(&raw(UINT8, &[2], &[1, 255])), [1, 255]);
        assert_eq!(ints(&raw(INT8, &[2], &[1, 255])), [1, -1]);
        assert_eq!(ints(&raw(UINT16, &[1], &[0, 255])), [0xff00]);
        assert_eq!(ints(&raw(INT16, &[1], &[0, 255])), [-256]);
        assert_eq!(ints(&raw(INT32, &[1], &[1, 0, 0, 128])), [i64::from(i32::MIN) + 1]);
        assert_eq!(ints(&raw(UINT32, &[1], &[1, 0, 0, 128])), [(1 << 31) + 1]);
        assert_eq!(ints(&raw(UINT64, &[1], &[1, 0, 0, 0, 0, 0, 0, 0])), [1]);
        for kind in [UINT8, INT8, UINT16, INT16, INT32] {
            assert_eq!(ints(&TensorProto { int32_data: vec![3, 4], ..typed(kind, &[2]) }), [3, 4]);
        }
        for kind in [UINT32, UINT64] {
            assert_eq!(ints(&TensorProto { uint64_data: vec![3], ..typed(kind, &[1]) }), [3]);
        }
        assert_eq!(ints(&TensorProto { int64_data: vec![-3], ..typed(INT64, &[]) }), [-3]);
        let floats = |tensor: &TensorProto| tensor.read().unwrap().scalars::<f64>();
        assert_eq!(floats(&raw(FLOAT16, &[1], &f16::from_f32(1.5).to_le_bytes())), [1.5]);
        assert_eq!(floats(&raw(BFLOAT16, &[1], &bf16::from_f32(1.5).to_le_bytes())), [1.5]);
        let bits = i32::from(f16::from_f32(-1.5).to_bits());
        assert_eq!(floats(&TensorProto { int32_data: vec![bits], ..typed(FLOAT16, &[1]) }), [-1.5]);
        let bits = i32::from(bf16::from_f32(-1.5).to_bits());
        assert_eq!(floats(&TensorProto { int32_data: vec![bits], ..typed(BFLOAT16, &[1]) }), [-1.5]);
        assert_eq!(floats(&TensorProto { float_data: vec![0.5], ..typed(FLOAT, &[1]) }), [0.5]);
        assert_eq!(floats(&TensorProto { double_data: vec![0.1], ..typed(DOUBLE, &[1]) }), [0.1]);
        assert_eq!(floats(&raw(BOOL, &[3], &[0, 1, 2])), [0.0, 1.0, 1.0]);
        assert_eq!(floats(&TensorProto { int32_data: vec![1, 0], ..typed(BOOL, &[2]) }), [1.0, 0.0]);
    }

    #[test]
    fn a_tensor_that_is_not_what_it_claims_is_an_error() {
        use data_type::*;
        let reason = |tensor: &TensorProto| tensor.read().unwrap_err();
        assert_eq!(reason(&raw(FLOAT, &[3], &[0; 8])), "tensor `t` has the shape [3], of 3 numbers, but holds 2");
        assert_eq!(reason(&raw(FLOAT, &[2], &[0; 7])), "tensor `t` has 7 bytes for numbers of 4 bytes each");
        assert_eq!(reason(&typed(FLOAT, &[-1])), "tensor `t` has an axis of -1");
        assert!(reason(&typed(FLOAT, &[i64::MAX, i64::MAX])).contains("too large"));
        assert!(reason(&typed(FLOAT, &[i64::MAX])).ends_with("but holds 0"));
        assert!(reason(&typed(STRING, &[1])).contains("string"));
        assert!(reason(&typed(14, &[1])).contains("type 14"));
        assert!(reason(&TensorProto { data_location: 1, ..typed(FLOAT, &[0]) }).contains("another file"));
        assert!(reason(&TensorProto { segment: Some(Bytes::new()), ..typed(FLOAT, &[0]) }).contains("segment"));
        let wide = TensorProto { int32_data: vec![256], ..typed(UINT8, &[1]) };
        assert_eq!(reason(&wide), "tensor `t` holds 256, which is no uint8");
        assert!(reason(&raw(UINT64, &[1], &[255; 8])).contains("too large"));
        let many = vec![0; MOST_WIDENED / 8 + 1];
        assert!(reason(&raw(INT8, &[many.len() as i64], &many)).contains("too many"));
    }
}
