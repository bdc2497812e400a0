//! Safetensors files: numbers by name, as PyTorch's libraries exchange them.
//!
//! [`save`] and [`load`] are for the parameters and running statistics of a [`Network`], under PyTorch's names and in
//! PyTorch's layouts: the state dict of a `torch.nn` module of the same parts loads unchanged, and
//! `module.load_state_dict(safetensors.torch.load_file(path))` takes what [`save`] wrote.
//! Options are set on [`Save`] and [`Load`], which speak of [`Tensors`]; [`read`], [`write()`],
//! [`from_bytes`] and [`to_bytes`] bring those from and to files:
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.safetensors");
//! use downhill_formats::{Load, Save, safetensors};
//! use downhill_layers::{Affine, Relu};
//! use downhill_network::{Network, sequential};
//! use downhill_tensor::Seed;
//!
//! let encoder = || sequential![Affine::new(8), Relu, Affine::new(3)];
//! let network = Network::<f32>::build([4], encoder(), Seed(1))?;
//! let mut tensors = Save::new().prefix("encoder.").tensors(&network)?;
//! tensors.set_metadata("comment", "before the last epochs");
//! safetensors::write(&tensors, &path)?;
//!
//! let mut other = Network::<f32>::build([4], encoder(), Seed(2))?;
//! Load::new().prefix("encoder.").apply(&mut other, &safetensors::read(&path)?)?;
//! assert_eq!(other.parameters(), network.parameters());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is a valid file is for the crate [`safetensors`](https://docs.rs/safetensors) to say, with one exception:
//! a header whose parts would take more memory than the file's size and 16 MiB is refused.
//! So reading takes twice a file's size and 16 MiB at most.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use downhill_network::Network;
use downhill_tensor::Scalar;
use safetensors::{Dtype, SafeTensors};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::tensors::Entry;
use crate::{ElementType, FormatError, Load, Save, Tensor, Tensors, files};

const FORMAT: &str = "safetensors";

/// The key of a header that is no tensor.
const METADATA: &str = "__metadata__";

/// Writes the parameters and running statistics of a network.
///
/// The file is complete or not there: it is written under another name and then renamed.
/// [`Save`] has options, such as a prefix.
///
/// # Errors
/// Returns an error if the file can't be written; the error names it.
pub fn save<T: Scalar>(network: &Network<T>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    write(&Save::new().tensors(network)?, path)
}

/// Reads the parameters and running statistics of a network.
///
/// [`Load`] has options, such as a prefix, other names, or numbers of another precision.
///
/// # Errors
/// Returns an error if the file can't be read, or lists all names, shapes and types that do not fit; the network is then
/// unchanged. The error names the file.
pub fn load<T: Scalar>(network: &mut Network<T>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    let path = path.as_ref();
    Load::new().apply(network, &read(path)?).map_err(|error| error.in_file(path))
}

/// Reads a file.
///
/// # Errors
/// Returns an error if the file can't be read or is not valid; the error names it.
pub fn read(path: impl AsRef<Path>) -> Result<Tensors<'static>, FormatError> {
    let path = path.as_ref();
    let read = || {
        let bytes = fs::read(path)?;
        let tensors = parse(&bytes)?;
        Ok(tensors.over(Cow::Owned(bytes)))
    };
    read().map_err(|error: FormatError| error.in_file(path))
}

/// Reads the bytes of a file, which the tensors borrow.
///
/// # Errors
/// Returns an error if they are not a valid file.
pub fn from_bytes(bytes: &[u8]) -> Result<Tensors<'_>, FormatError> {
    Ok(parse(bytes)?.over(Cow::Borrowed(bytes)))
}

/// Writes a file, under another name until it is complete.
///
/// # Errors
/// Returns an error if the file can't be written, which names it, or if a tensor is called `__metadata__`.
pub fn write(tensors: &Tensors<'_>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    files::replace(path.as_ref(), |file| write_to(tensors, file))
}

/// The bytes of a file.
///
/// # Errors
/// Returns an error if a tensor is called `__metadata__`.
pub fn to_bytes(tensors: &Tensors<'_>) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    write_to(tensors, &mut bytes)?;
    Ok(bytes)
}

/// Writes a file with a checksum of all its bytes in its strings, under another name until it is complete.
///
/// It is a safetensors file like any other; [`read_checked`] tells whether it is as it was written.
///
/// # Errors
/// Returns the errors of [`write()`].
pub fn write_checked(tensors: &Tensors<'_>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    let path = path.as_ref();
    files::replace(path, |file| Ok(file.write_all(&checked_bytes(tensors)?)?))
}

/// Reads a file that [`write_checked`] wrote.
///
/// # Errors
/// Returns the errors of [`read`], and an error if a byte has changed since, or if the file has no checksum.
pub fn read_checked(path: impl AsRef<Path>) -> Result<Tensors<'static>, FormatError> {
    let path = path.as_ref();
    let read = || {
        let bytes = fs::read(path)?;
        verify(&bytes)?;
        let tensors = parse(&bytes)?;
        Ok(tensors.over(Cow::Owned(bytes)))
    };
    read().map_err(|error: FormatError| error.in_file(path))
}

/// The key of the checksum, the CRC-32 of the file with eight zeros instead of the checksum's own digits.
const CHECKSUM: &str = "checksum.crc32";
const NO_CHECKSUM: &[u8; 8] = b"00000000";

fn checked_bytes(tensors: &Tensors<'_>) -> Result<Vec<u8>, FormatError> {
    let mut tensors = tensors.clone();
    tensors.set_metadata(CHECKSUM, "00000000");
    let mut bytes = to_bytes(&tensors)?;
    let checksum = format!("{:08x}", crc32fast::hash(&bytes));
    if let Some(digits) = find_checksum(&bytes).and_then(|range| bytes.get_mut(range)) {
        digits.copy_from_slice(checksum.as_bytes());
    }
    Ok(bytes)
}

fn verify(bytes: &[u8]) -> Result<(), FormatError> {
    let damaged = |reason: &str| Err(FormatError::Malformed { format: FORMAT, reason: reason.into() });
    let Some(range) = find_checksum(bytes) else {
        return damaged("it has no checksum, so it was cut off, damaged, or written by another program");
    };
    let (before, rest) = bytes.split_at(range.start);
    let (digits, after) = rest.split_at(range.len());
    let mut hasher = crc32fast::Hasher::new();
    [before, NO_CHECKSUM, after].into_iter().for_each(|part| hasher.update(part));
    if format!("{:08x}", hasher.finalize()).as_bytes() == digits {
        Ok(())
    } else {
        damaged("its bytes do not have the checksum that they were written with, so it is damaged")
    }
}

/// The place of the checksum's digits. In a string of the header a quotation mark has a backslash before it, so that
/// nothing else looks like this key.
fn find_checksum(bytes: &[u8]) -> Option<Range<usize>> {
    let key = format!("\"{CHECKSUM}\":\"");
    let start = bytes.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    Some(start..start + NO_CHECKSUM.len()).filter(|range| range.end <= bytes.len())
}

/// The tensors without their bytes.
fn parse(bytes: &[u8]) -> Result<Tensors<'static>, FormatError> {
    let malformed = |reason| FormatError::Malformed { format: FORMAT, reason };
    check_cost(bytes).map_err(malformed)?;
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(error.to_string()))?;
    let start = size_of::<u64>() + header;
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let (first, end) = info.data_offsets;
        let (element, shape) = (element_type(info.dtype), info.shape.clone());
        (name, Entry { element, shape, range: start + first..start + end })
    });
    let entries = entries.collect();
    let metadata: BTreeMap<_, _> = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Tensors::from_parts(entries, metadata, Cow::Borrowed(&[])))
}

/// Refuses a header whose parts would take more memory than the file's size and 16 MiB: JSON of a few bytes, such as
/// `0,`, becomes a value of many.
fn check_cost(bytes: &[u8]) -> Result<(), String> {
    const SPARE: usize = 16 << 20;
    /// What a value takes at most while it is read, its list's spare capacity included.
    const VALUE: usize = 192;
    /// Strings are copied at most this often.
    const COPIES: usize = 4;
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(()) };
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let Some(header) = header else { return Ok(()) };
    let (mut values, mut in_string, mut escaped, mut text) = (0, false, false, 0);
    for byte in header {
        if in_string {
            text += 1;
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else {
            in_string = *byte == b'"';
            values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        }
    }
    let needed = values * VALUE + text * COPIES;
    if needed > bytes.len() + SPARE {
        return Err(format!(
            "its header of {} bytes has about {values} values, too many for a file of {} bytes",
            header.len(),
            bytes.len()
        ));
    }
    Ok(())
}

fn write_to(tensors: &Tensors<'_>, to: &mut impl Write) -> Result<(), FormatError> {
    if tensors.get(METADATA).is_some() {
        let reason = "has the name that safetensors files keep for their strings; give it another".into();
        return Err(FormatError::Tensor { name: METADATA.into(), reason });
    }
    // Wide elements first, as the format's own library has them, so that each is aligned.
    let mut all: Vec<Tensor<'_>> = tensors.iter().collect();
    all.sort_by_key(|tensor| std::cmp::Reverse(tensor.element_type().size()));
    let header = serde_json::to_string(&Header { metadata: tensors.metadata(), tensors: &all });
    let mut header = header.map_err(|error| FormatError::Io(error.into()))?.into_bytes();
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    for tensor in all {
        to.write_all(tensor.bytes())?;
    }
    Ok(())
}

/// A file's header, with its keys in an order that does not change from run to run.
struct Header<'a> {
    metadata: &'a BTreeMap<String, String>,
    tensors: &'a [Tensor<'a>],
}

#[derive(serde::Serialize)]
struct Info<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA, self.metadata)?;
        }
        let mut start = 0;
        for tensor in self.tensors {
            let data_offsets = [start, start + tensor.bytes().len()];
            start += tensor.bytes().len();
            let info = Info { dtype: name(tensor.element_type()), shape: tensor.shape(), data_offsets };
            map.serialize_entry(tensor.name(), &info)?;
        }
        map.end()
    }
}

/// The name of a type in a header.
fn name(element: ElementType) -> &'static str {
    match element {
        ElementType::Bool => "BOOL",
        ElementType::U8 => "U8",
        ElementType::I8 => "I8",
        ElementType::U16 => "U16",
        ElementType::I16 => "I16",
        ElementType::U32 => "U32",
        ElementType::I32 => "I32",
        ElementType::U64 => "U64",
        ElementType::I64 => "I64",
        ElementType::F16 => "F16",
        ElementType::Bf16 => "BF16",
        ElementType::F32 => "F32",
        ElementType::F64 => "F64",
        ElementType::Other(name) => name,
    }
}

fn element_type(dtype: Dtype) -> ElementType {
    match dtype {
        Dtype::BOOL => ElementType::Bool,
        Dtype::U8 => ElementType::U8,
        Dtype::I8 => ElementType::I8,
        Dtype::U16 => ElementType::U16,
        Dtype::I16 => ElementType::I16,
        Dtype::U32 => ElementType::U32,
        Dtype::I32 => ElementType::I32,
        Dtype::U64 => ElementType::U64,
        Dtype::I64 => ElementType::I64,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        Dtype::F4 => ElementType::Other("F4"),
        Dtype::F6_E2M3 => ElementType::Other("F6_E2M3"),
        Dtype::F6_E3M2 => ElementType::Other("F6_E3M2"),
        Dtype::F8_E5M2 => ElementType::Other("F8_E5M2"),
        Dtype::F8_E4M3 => ElementType::Other("F8_E4M3"),
        Dtype::F8_E8M0 => ElementType::Other("F8_E8M0"),
        Dtype::F8_E4M3FNUZ => ElementType::Other("F8_E4M3FNUZ"),
        Dtype::F8_E5M2FNUZ => ElementType::Other("F8_E5M2FNUZ"),
        Dtype::C64 => ElementType::Other("C64"),
        _ => ElementType::Other("another type"),
    }
}
