use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use downhill_tensor::{Family, Scalar};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use crate::FormatError;

/// Named arrays and a few strings: what a safetensors file or an NPZ archive holds.
///
/// [`Save::tensors`](crate::Save::tensors) makes them of a network and [`Load::apply`](crate::Load::apply) puts them
/// into one; further arrays and strings can be added, so that one file holds all that belongs to a model.
///
/// ```
/// use downhill_formats::{ElementType, Tensors, safetensors};
///
/// let mut tensors = Tensors::new();
/// tensors.push("scaler.mean", &[3], [0.5f64, -1.0, 2.0])?;
/// tensors.set_metadata("model", r#"{"version":1}"#);
/// let bytes = safetensors::to_bytes(&tensors)?;
///
/// let read = safetensors::from_bytes(&bytes)?;
/// let mean = read.get("scaler.mean").ok_or("the file has no mean")?;
/// assert_eq!((mean.element_type(), mean.shape()), (ElementType::F64, &[3][..]));
/// assert_eq!(mean.to_array::<f64>()?.as_slice(), Some(&[0.5, -1.0, 2.0][..]));
/// assert_eq!(read.metadata()["model"], r#"{"version":1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors<'a> {
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    /// The bytes of all entries, and of what lies between them in a file.
    data: Cow<'a, [u8]>,
}

/// One of several [`Tensors`] within their bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<usize>,
    pub(crate) range: Range<usize>,
}

/// One array of [`Tensors`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    name: &'a str,
    element: ElementType,
    shape: &'a [usize],
    bytes: &'a [u8],
}

/// The type of a tensor's elements.
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
    Bf16,
    F32,
    F64,
    /// One whose numbers can't be read, by its name in safetensors files, such as `F8_E4M3`.
    Other(&'static str),
}

impl ElementType {
    /// The type of the numbers of a network.
    #[must_use]
    pub fn of<T: Scalar>() -> Self {
        if T::NAME == "f32" { Self::F32 } else { Self::F64 }
    }

    /// The bytes of one element; `None` for [`Other`](Self::Other).
    pub(crate) fn size(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Other(_) => return None,
        })
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    pub(crate) fn is_whole(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::Other(_))
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Other(name) => name,
        })
    }
}

impl Tensors<'static> {
    /// Creates an empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<'a> Tensors<'a> {
    pub(crate) fn from_parts(
        entries: BTreeMap<String, Entry>,
        metadata: BTreeMap<String, String>,
        data: Cow<'a, [u8]>,
    ) -> Self {
        Self { entries, metadata, data }
    }

    /// The same with these bytes in place of its own, which must be equal.
    pub(crate) fn over(self, data: Cow<'_, [u8]>) -> Tensors<'_> {
        Tensors { entries: self.entries, metadata: self.metadata, data }
    }

    /// The strings, by key.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets a string.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.metadata.insert(key.into(), value.into());
    }

    /// The number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no tensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.entries.get_key_value(name).map(|(name, entry)| self.tensor(name, entry))
    }

    /// All tensors, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.entries.iter().map(|(name, entry)| self.tensor(name, entry))
    }

    fn tensor<'s>(&'s self, name: &'s str, entry: &'s Entry) -> Tensor<'s> {
        let bytes = self.data.get(entry.range.clone()).unwrap_or_default();
        Tensor { name, element: entry.element, shape: &entry.shape, bytes }
    }

    /// Adds a tensor of these numbers, the last axis running fastest.
    ///
    /// # Errors
    /// Returns an error if there is a tensor of this name, or there are more or fewer numbers than the shape says.
    pub fn push<T: Scalar>(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        numbers: impl IntoIterator<Item = T>,
    ) -> Result<(), FormatError> {
        self.push_as(name, ElementType::of::<T>(), shape, numbers)
    }

    /// Adds a tensor of these numbers, each rounded to the nearest of another type.
    ///
    /// # Errors
    /// Returns an error if there is a tensor of this name, if there are more or fewer numbers than the shape says, if
    /// the type is not `I64` or of floating-point numbers, or if a finite number is too large for it.
    pub fn push_as<T: Scalar>(
        &mut self,
        name: impl Into<String>,
        element: ElementType,
        shape: &[usize],
        numbers: impl IntoIterator<Item = T>,
    ) -> Result<(), FormatError> {
        let name = name.into();
        let fail = |reason| Err(FormatError::Tensor { name: name.clone(), reason });
        let Some(encode) = encoder::<T>(element) else {
            return fail(format!("can't be written as {element}"));
        };
        let mut bytes = Vec::new();
        for x in numbers {
            if !encode(x, &mut bytes) {
                return fail(format!("holds {x}, which is too large for {element}; write it as another type"));
            }
        }
        self.push_bytes(name, element, shape, &bytes)
    }

    /// Adds a tensor of these bytes: little-endian numbers, the last axis running fastest.
    ///
    /// # Errors
    /// Returns an error if there is a tensor of this name, or there are more or fewer bytes than the shape says.
    pub fn push_bytes(
        &mut self,
        name: impl Into<String>,
        element: ElementType,
        shape: &[usize],
        bytes: &[u8],
    ) -> Result<(), FormatError> {
        let name = name.into();
        let expected = element.size().and_then(|size| shape.iter().try_fold(size, |n, &axis| n.checked_mul(axis)));
        let reason = if self.entries.contains_key(&name) {
            "is there already".into()
        } else if element.size().is_some() && expected != Some(bytes.len()) {
            format!("of the shape {shape:?} can't be made of {} bytes of {element}", bytes.len())
        } else {
            let data = self.data.to_mut();
            let start = data.len();
            data.extend_from_slice(bytes);
            let range = start..data.len();
            self.entries.insert(name, Entry { element, shape: shape.to_vec(), range });
            return Ok(());
        };
        Err(FormatError::Tensor { name, reason })
    }
}

impl<'a> Tensor<'a> {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The type of the elements.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        self.element
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements as bytes, little-endian, the last axis running fastest.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Converts to an array of `T`, each number the nearest.
    ///
    /// # Errors
    /// Returns an error if the elements are of a type whose numbers can't be read.
    pub fn to_array<T: Scalar>(&self) -> Result<ArrayD<T>, FormatError> {
        let fail = |reason: String| FormatError::Tensor { name: self.name.to_owned(), reason };
        let numbers = self.numbers::<T>().ok_or_else(|| fail(format!("is made of {}", self.element)))?;
        let array = ArrayD::from_shape_vec(IxDyn(self.shape), numbers.collect());
        array.map_err(|error| fail(format!("of the shape {:?} can't be an array: {error}", self.shape)))
    }

    /// Whether type, shape and bytes are those of `other`.
    pub(crate) fn holds_the_same(&self, other: &Tensor<'_>) -> bool {
        (self.element, self.shape, self.bytes) == (other.element, other.shape, other.bytes)
    }

    /// Checks that no finite number is too large for `T`, which only 64 bits for 32 can be.
    pub(crate) fn check_range<T: Scalar>(&self) -> Result<(), FormatError> {
        let all = if self.element == ElementType::F64 { self.numbers::<f64>() } else { None };
        match all.into_iter().flatten().find(|&x| x.is_finite() && !T::from_f64(x).is_finite()) {
            Some(x) => {
                let reason = format!("holds {x:e}, which is too large for {}; load it into an f64 network", T::NAME);
                Err(FormatError::Tensor { name: self.name.to_owned(), reason })
            }
            None => Ok(()),
        }
    }

    /// The numbers in their order, if their type can be read.
    pub(crate) fn numbers<T: Scalar>(&self) -> Option<impl Iterator<Item = T> + use<'a, T>> {
        let (size, decode) = (self.element.size()?, decoder::<T>(self.element)?);
        Some(self.bytes.chunks_exact(size).map(decode))
    }
}

struct Decode;

impl Family for Decode {
    type Of<T: Scalar> = fn(&[u8]) -> T;
}

/// Reads one number. Those of the same type keep their bits.
fn decoder<T: Scalar>(element: ElementType) -> Option<fn(&[u8]) -> T> {
    macro_rules! whole {
        ($type:ty) => {
            |bytes| T::from_f64(<$type>::from_le_bytes(array(bytes)) as f64)
        };
    }
    Some(match element {
        ElementType::Bool | ElementType::U8 => whole!(u8),
        ElementType::I8 => whole!(i8),
        ElementType::U16 => whole!(u16),
        ElementType::I16 => whole!(i16),
        ElementType::U32 => whole!(u32),
        ElementType::I32 => whole!(i32),
        ElementType::U64 => whole!(u64),
        ElementType::I64 => whole!(i64),
        ElementType::F16 => |bytes| T::from_f64(f16::from_le_bytes(array(bytes)).to_f64()),
        ElementType::Bf16 => |bytes| T::from_f64(bf16::from_le_bytes(array(bytes)).to_f64()),
        ElementType::F32 => T::choose::<Decode>((
            |bytes| f32::from_le_bytes(array(bytes)),
            |bytes| f64::from(f32::from_le_bytes(array(bytes))),
        )),
        ElementType::F64 => T::choose::<Decode>((
            |bytes| f64::from_le_bytes(array(bytes)) as f32,
            |bytes| f64::from_le_bytes(array(bytes)),
        )),
        ElementType::Other(_) => return None,
    })
}

struct Encode;

impl Family for Encode {
    type Of<T: Scalar> = fn(T, &mut Vec<u8>) -> bool;
}

/// Appends one number; `false` if a finite one is too large.
fn encoder<T: Scalar>(element: ElementType) -> Option<fn(T, &mut Vec<u8>) -> bool> {
    Some(match element {
        ElementType::F16 => |x, bytes| {
            let y = f16::from_f64(x.to_f64());
            bytes.extend(y.to_le_bytes());
            y.is_finite() || !x.is_finite()
        },
        ElementType::Bf16 => |x, bytes| {
            let y = bf16::from_f64(x.to_f64());
            bytes.extend(y.to_le_bytes());
            y.is_finite() || !x.is_finite()
        },
        ElementType::F32 => T::choose::<Encode>((
            |x, bytes| {
                bytes.extend(x.to_le_bytes());
                true
            },
            |x, bytes| {
                let y = x as f32;
                bytes.extend(y.to_le_bytes());
                y.is_finite() || !x.is_finite()
            },
        )),
        ElementType::F64 => T::choose::<Encode>((
            |x, bytes| {
                bytes.extend(f64::from(x).to_le_bytes());
                true
            },
            |x, bytes| {
                bytes.extend(x.to_le_bytes());
                true
            },
        )),
        ElementType::I64 => |x, bytes| {
            let y = x.to_f64() as i64;
            bytes.extend(y.to_le_bytes());
            y as f64 == x.to_f64().round()
        },
        _ => return None,
    })
}

/// The bytes of one number, which `chunks_exact` has counted.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}
