//! NPZ archives, NumPy's files of several arrays: `numpy.savez` and `numpy.load`.
//!
//! [`save`] and [`load`] are for the parameters and running statistics of a [`Network`], by the same names and in the same
//! layouts as in [safetensors](crate::Save) files; [`read`] and [`write()`] are for any [`Tensors`].
//! An archive has no place for their strings, and NumPy has no `bf16`.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("arrays.npz");
//! use downhill_formats::{Tensors, npz};
//!
//! let mut tensors = Tensors::new();
//! tensors.push("x", &[2, 2], [1.0f32, 2.0, 3.0, 4.0])?;
//! npz::write(&tensors, &path)?; // numpy.load("arrays.npz")["x"]
//! assert_eq!(npz::read(&path)?.get("x"), tensors.get("x"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Memory
//! A small compressed file can claim any amount of memory. [`read`] takes twice the file's size and 16 MiB at most, and
//! refuses what would need more; [`read_up_to`] has a limit of the caller's for archives that compress well.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::Path;

use downhill_data::{DataError, npy};
use downhill_network::Network;
use downhill_tensor::Scalar;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::tensors::Entry;
use crate::{ElementType, FormatError, Load, Save, Tensors, files};

const FORMAT: &str = "NPZ";

/// What is read may be as large as the file and this, and be copied once more, to be brought from Fortran's order.
const SPARE: u64 = 6 << 20;

/// Writes the parameters and running statistics of a network, as `numpy.savez` does.
///
/// The file is complete or not there: it is written under another name and then renamed.
///
/// # Errors
/// Returns an error that names the file if it can't be written.
pub fn save<T: Scalar>(network: &Network<T>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    write(&Save::new().tensors(network)?, path)
}

/// Reads the parameters and running statistics of a network.
///
/// # Errors
/// Returns an error if the file can't be read, or lists all names, shapes and types that do not fit; the network is then
/// unchanged. The error names the file.
pub fn load<T: Scalar>(network: &mut Network<T>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    let path = path.as_ref();
    Load::new().apply(network, &read(path)?).map_err(|error| error.in_file(path))
}

/// Reads all arrays of an archive, of at most twice the file's size and 16 MiB in memory.
///
/// # Errors
/// Returns an error that names the file if it can't be read, is not valid, has a member that is no array, or would take
/// more memory.
pub fn read(path: impl AsRef<Path>) -> Result<Tensors<'static>, FormatError> {
    open(path.as_ref(), None)
}

/// Reads all arrays of an archive, of at most this many bytes together.
///
/// # Errors
/// Returns an error that names the file if it can't be read, is not valid, has a member that is no array, or holds more
/// bytes.
pub fn read_up_to(path: impl AsRef<Path>, most_bytes: u64) -> Result<Tensors<'static>, FormatError> {
    open(path.as_ref(), Some(most_bytes))
}

/// Reads all arrays of an archive in memory, of at most twice its size and 16 MiB.
///
/// # Errors
/// Returns an error if it is not valid, has a member that is no array, or would take more memory.
pub fn from_bytes(bytes: &[u8]) -> Result<Tensors<'static>, FormatError> {
    archive(Cursor::new(bytes), None)
}

/// Writes an archive as `numpy.savez` does, under another name until it is complete.
///
/// # Errors
/// Returns an error if the file can't be written, which names it, or if NumPy has no type for a tensor's elements.
pub fn write(tensors: &Tensors<'_>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    files::replace(path.as_ref(), |file| write_to(tensors, file, CompressionMethod::Stored))
}

/// Writes a compressed archive as `numpy.savez_compressed` does.
///
/// # Errors
/// Returns the errors of [`write()`].
pub fn write_compressed(tensors: &Tensors<'_>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    files::replace(path.as_ref(), |file| write_to(tensors, file, CompressionMethod::Deflated))
}

/// The bytes of an archive that is not compressed.
///
/// # Errors
/// Returns an error if NumPy has no type for a tensor's elements.
pub fn to_bytes(tensors: &Tensors<'_>) -> Result<Vec<u8>, FormatError> {
    let mut file = Cursor::new(Vec::new());
    write_to(tensors, &mut file, CompressionMethod::Stored)?;
    Ok(file.into_inner())
}

fn open(path: &Path, limit: Option<u64>) -> Result<Tensors<'static>, FormatError> {
    let read = || archive(BufReader::new(File::open(path)?), limit);
    read().map_err(|error: FormatError| error.in_file(path))
}

fn malformed(reason: impl Into<String>) -> FormatError {
    FormatError::Malformed { format: FORMAT, reason: reason.into() }
}

fn zip_error(error: ZipError) -> FormatError {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => error.into(),
        other => malformed(other.to_string()),
    }
}

fn archive(mut file: impl Read + Seek, limit: Option<u64>) -> Result<Tensors<'static>, FormatError> {
    let size = check_members(&mut file)?;
    let limit = limit.unwrap_or(size + SPARE);
    let mut archive = ZipArchive::new(file).map_err(zip_error)?;
    if archive.has_duplicate_names() {
        return Err(malformed("two of its members have one name"));
    }
    let mut claimed = 0u64;
    for index in 0..archive.len() {
        claimed = claimed.saturating_add(archive.by_index_raw(index).map_err(zip_error)?.size());
    }
    let too_large = || {
        malformed(format!(
            "its arrays are said to take {claimed} bytes, more than the {limit} that are read from a file of {size}; if \
             you trust it, give `read_up_to` a higher limit"
        ))
    };
    let room = usize::try_from(claimed).ok().filter(|_| claimed <= limit).ok_or_else(too_large)?;
    let mut data = Vec::new();
    // No more than this will be there, so that nothing is copied as it grows.
    data.try_reserve_exact(room).map_err(|_| too_large())?;
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(zip_error)?;
        let (name, size) = (member.name().map_err(zip_error)?.into_owned(), member.size());
        let start = data.len();
        // One byte more than it claims, so that the end is seen and the checksum compared.
        let read = npy::read_bytes(BufReader::new(member.take(size.saturating_add(1))), &mut data);
        let (element, shape) = read.map_err(|error| match error {
            DataError::Io { cause } if cause.raw_os_error().is_some() => cause.into(),
            error => malformed(format!("its member `{name}` can't be read: {error}")),
        })?;
        let name = name.strip_suffix(".npy").unwrap_or(&name);
        let entry = Entry { element: element_type(element), shape, range: start..data.len() };
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(malformed(format!("two of its members are called `{name}`")));
        }
    }
    Ok(Tensors::from_parts(entries, BTreeMap::new(), Cow::Owned(data)))
}

/// Returns the size of a file, and refuses one whose table of members would take more memory than the file's size and
/// 16 MiB: an entry of 46 bytes there becomes a value of many.
fn check_members(file: &mut (impl Read + Seek)) -> Result<u64, FormatError> {
    const SIGNATURE: &[u8; 4] = b"PK\x01\x02";
    /// What the table of a member takes at most, apart from its name.
    const MEMBER: u64 = 1 << 10;
    file.rewind()?;
    let (mut size, mut members) = (0, 0);
    let mut piece = vec![0; 1 << 16];
    let mut kept = 0;
    loop {
        let read = file.read(piece.get_mut(kept..).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        size += read as u64;
        let seen = piece.get(..kept + read).unwrap_or_default();
        members += seen.windows(SIGNATURE.len()).filter(|window| window == SIGNATURE).count() as u64;
        // A signature may begin at the end of this piece.
        let end = seen.len();
        kept = end.min(SIGNATURE.len() - 1);
        piece.copy_within(end - kept..end, 0);
    }
    if members * MEMBER > size + SPARE {
        return Err(malformed(format!("it has {members} members, too many for a file of {size} bytes")));
    }
    file.rewind()?;
    Ok(size)
}

fn write_to(
    tensors: &Tensors<'_>,
    to: &mut (impl Write + Seek),
    compression: CompressionMethod,
) -> Result<(), FormatError> {
    let mut archive = ZipWriter::new(to);
    for tensor in tensors.iter() {
        let element = numpy_type(tensor.element_type()).ok_or_else(|| FormatError::Tensor {
            name: tensor.name().to_owned(),
            reason: format!("is made of {}, which NumPy does not have", tensor.element_type()),
        })?;
        let is_large = tensor.bytes().len() >= u32::MAX as usize / 2;
        let options = SimpleFileOptions::default().compression_method(compression).large_file(is_large);
        archive.start_file(format!("{}.npy", tensor.name()), options).map_err(zip_error)?;
        let written = npy::write_bytes(&mut archive, element, tensor.shape(), tensor.bytes());
        written.map_err(|error| match error {
            DataError::Write { cause } => cause.into(),
            error => malformed(error.to_string()),
        })?;
    }
    archive.finish().map_err(zip_error)?;
    Ok(())
}

fn element_type(element: downhill_data::ElementType) -> ElementType {
    use downhill_data::ElementType as Numpy;
    match element {
        Numpy::Bool => ElementType::Bool,
        Numpy::U8 => ElementType::U8,
        Numpy::I8 => ElementType::I8,
        Numpy::U16 => ElementType::U16,
        Numpy::I16 => ElementType::I16,
        Numpy::U32 => ElementType::U32,
        Numpy::I32 => ElementType::I32,
        Numpy::U64 => ElementType::U64,
        Numpy::I64 => ElementType::I64,
        Numpy::F16 => ElementType::F16,
        Numpy::F32 => ElementType::F32,
        Numpy::F64 => ElementType::F64,
        _ => ElementType::Other("another type"),
    }
}

fn numpy_type(element: ElementType) -> Option<downhill_data::ElementType> {
    use downhill_data::ElementType as Numpy;
    Some(match element {
        ElementType::Bool => Numpy::Bool,
        ElementType::U8 => Numpy::U8,
        ElementType::I8 => Numpy::I8,
        ElementType::U16 => Numpy::U16,
        ElementType::I16 => Numpy::I16,
        ElementType::U32 => Numpy::U32,
        ElementType::I32 => Numpy::I32,
        ElementType::U64 => Numpy::U64,
        ElementType::I64 => Numpy::I64,
        ElementType::F16 => Numpy::F16,
        ElementType::F32 => Numpy::F32,
        ElementType::F64 => Numpy::F64,
        ElementType::Bf16 | ElementType::Other(_) => return None,
    })
}
