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
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use downhill_data::source::ArrayFile;
use downhill_data::{DataError, npy};
use downhill_network::Network;
use downhill_tensor::Scalar;
use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::tensors::Entry;
use crate::{ElementType, FormatError, Load, Save, Tensors, files};

const FORMAT: &str = "NPZ";

/// What is read may be as large as the file and this, and be copied once more, to be brought from Fortran's order.
const SPARE: u64 = 6 << 20;

/// Writes the parameters and running statistics of a network like `numpy.savez`.
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

/// Opens one array of an archive whose rows are read when they are needed, for a
/// [`Source`](downhill_data::source::Source) larger than memory.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("digits.npz");
/// use downhill_data::source::{ArraySource, SourceBatches};
/// use downhill_formats::{ElementType, Tensors, npz};
///
/// let mut tensors = Tensors::new();
/// tensors.push("x", &[3, 2], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// tensors.push_as("y", ElementType::I64, &[3], [0.0f32, 1.0, 0.0])?;
/// npz::write(&tensors, &path)?;
///
/// let source = ArraySource::classes(npz::open_array(&path, "x")?, npz::open_array(&path, "y")?, 2)?;
/// let mut batches = SourceBatches::<f32>::sequential(source, 2)?;
/// assert_eq!(batches.next_batch()?.map(|batch| batch.inputs.slice().to_vec()), Some(vec![1.0, 2.0, 3.0, 4.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error that names the file if it can't be read or is not valid, or has no such array, or the array is
/// compressed or in Fortran order, so that its rows can't be found.
pub fn open_array(path: impl AsRef<Path>, name: &str) -> Result<ArrayFile, FormatError> {
    let path = path.as_ref();
    let open = || {
        let mut file = BufReader::new(File::open(path)?);
        let mut found = None;
        Table::find(&mut file)?.for_each(&mut file, |file, member| {
            if member.name.strip_suffix(".npy").unwrap_or(&member.name) != name {
                return Ok(());
            }
            if member.is_deflated {
                let reason = "is compressed, so that its rows can't be found; write the archive with `numpy.savez`";
                return Err(malformed(format!("its array `{name}` {reason}")));
            }
            let header: [u8; 30] = part(file, member.header, b"PK\x03\x04", "the header of a member")?;
            let names = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
            found = Some((member.header.saturating_add(30 + names), member.size));
            Ok(())
        })?;
        let (start, size) = found.ok_or_else(|| malformed(format!("it has no array `{name}`")))?;
        ArrayFile::npy_within(path, start, size).map_err(|error| match error {
            DataError::File { cause, .. } => malformed(format!("its array `{name}` can't be read: {cause}")),
            error => malformed(error.to_string()),
        })
    };
    open().map_err(|error: FormatError| error.in_file(path))
}

/// Reads all arrays of an archive in memory, of at most twice its size and 16 MiB.
///
/// # Errors
/// Returns an error if it is not valid, has a member that is no array, or would take more memory.
pub fn from_bytes(bytes: &[u8]) -> Result<Tensors<'static>, FormatError> {
    archive(Cursor::new(bytes), None)
}

/// Writes an archive like `numpy.savez`, under another name until it is complete.
///
/// # Errors
/// Returns an error if the file can't be written, which names it, or if NumPy has no type for a tensor's elements.
pub fn write(tensors: &Tensors<'_>, path: impl AsRef<Path>) -> Result<(), FormatError> {
    files::replace(path.as_ref(), |file| write_to(tensors, file, CompressionMethod::Stored))
}

/// Writes a compressed archive like `numpy.savez_compressed`.
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

fn archive(mut file: impl Read + Seek, limit: Option<u64>) -> Result<Tensors<'static>, FormatError> {
    /// What an array takes at most in addition to its numbers and its name.
    const MEMBER: u64 = 256;
    let table = Table::find(&mut file)?;
    let limit = limit.unwrap_or(table.file_size.saturating_add(SPARE));
    // What is said of all members is checked before any is read.
    let too_large = || {
        malformed(format!(
            "its arrays are said to take more than the {limit} bytes that are read from a file of {}; if you trust it, \
             give `read_up_to` a higher limit",
            table.file_size
        ))
    };
    let (mut claimed, mut needed, mut compressed) = (0u64, 0u64, 0u64);
    table.for_each(&mut file, |_, member| {
        claimed = claimed.saturating_add(member.size);
        compressed = compressed.saturating_add(member.compressed);
        needed = needed.saturating_add(member.size).saturating_add(MEMBER + 2 * member.name.len() as u64);
        if compressed > table.file_size {
            return Err(malformed("its members overlap"));
        }
        if needed > limit { Err(too_large()) } else { Ok(()) }
    })?;
    let mut data = Vec::new();
    // No more than this will be there, so that nothing is copied as it grows.
    data.try_reserve_exact(usize::try_from(claimed).unwrap_or(usize::MAX)).map_err(|_| too_large())?;
    let mut entries = BTreeMap::new();
    table.for_each(&mut file, |file, member| {
        let start = data.len();
        let name = member.name.strip_suffix(".npy").unwrap_or(&member.name).to_owned();
        let (element, shape) = member.read(file, &mut data)?;
        let entry = Entry { element: element_type(element), shape, range: start..data.len() };
        match entries.insert(name, entry) {
            None => Ok(()),
            Some(_) => Err(malformed(format!("two of its arrays have the name of its member `{}`", member.name))),
        }
    })?;
    Ok(Tensors::from_parts(entries, BTreeMap::new(), Cow::Owned(data)))
}

/// The table of members at the end of an archive.
///
/// It is read here and not by the crate `zip`, which asks for as much memory as the table claims to have entries.
struct Table {
    file_size: u64,
    start: u64,
    members: u64,
}

/// What the table says of one member.
struct Member {
    name: String,
    is_deflated: bool,
    checksum: u32,
    compressed: u64,
    size: u64,
    header: u64,
}

fn u16_at(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Reads a part of an archive, which begins with `signature`.
fn part<const N: usize>(
    file: &mut (impl Read + Seek),
    start: u64,
    signature: &[u8; 4],
    what: &str,
) -> Result<[u8; N], FormatError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(start))?;
    exactly(file, &mut bytes, what)?;
    if bytes.starts_with(signature) { Ok(bytes) } else { Err(malformed(format!("{what} is not at byte {start}"))) }
}

fn exactly(file: &mut impl Read, bytes: &mut [u8], what: &str) -> Result<(), FormatError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => malformed(format!("{what} is cut short")),
        _ => error.into(),
    })
}

impl Table {
    fn find(file: &mut (impl Read + Seek)) -> Result<Self, FormatError> {
        const END: usize = 22;
        const LOCATOR: u64 = 20;
        let what = "the end of its table of members";
        let file_size = file.seek(SeekFrom::End(0))?;
        // A comment of up to 64 KiB may follow.
        let tail_start = file_size.saturating_sub((END + usize::from(u16::MAX)) as u64);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(tail_start))?;
        file.take((END + usize::from(u16::MAX)) as u64).read_to_end(&mut tail)?;
        let ends = |end: &[u8]| end.starts_with(b"PK\x05\x06") && END + usize::from(u16_at(end, 20)) == end.len();
        let place = (0..tail.len()).rev().find(|&place| tail.get(place..).is_some_and(ends));
        let place = place.ok_or_else(|| malformed(format!("{what} is missing")))?;
        let end = tail.get(place..).unwrap_or_default();
        let (members, size, start) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
        let (members, size, start) = if members == u16::MAX || size == u32::MAX || start == u32::MAX {
            let locator = (tail_start + place as u64).checked_sub(LOCATOR);
            let locator = locator.ok_or_else(|| malformed(format!("{what} is cut short")))?;
            let locator: [u8; LOCATOR as usize] = part(file, locator, b"PK\x06\x07", what)?;
            let end: [u8; 56] = part(file, u64_at(&locator, 8), b"PK\x06\x06", what)?;
            (u64_at(&end, 32), u64_at(&end, 40), u64_at(&end, 48))
        } else {
            (members.into(), size.into(), start.into())
        };
        if start.checked_add(size).is_none_or(|end| end > file_size) {
            return Err(malformed(format!("its table of members is said to be {size} bytes from byte {start} on")));
        }
        Ok(Self { file_size, start, members })
    }

    fn for_each<F: Read + Seek>(
        &self,
        file: &mut F,
        mut each: impl FnMut(&mut F, Member) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let mut place = self.start;
        for _ in 0..self.members {
            let fixed: [u8; 46] = part(file, place, b"PK\x01\x02", "an entry of its table of members")?;
            let lengths = [28, 30, 32].map(|place| u16_at(&fixed, place));
            let mut name = vec![0; lengths[0].into()];
            exactly(file, &mut name, "the name of a member")?;
            let mut extra = vec![0; lengths[1].into()];
            exactly(file, &mut extra, "what belongs to a member")?;
            place += 46 + lengths.map(u64::from).iter().sum::<u64>();
            let name = String::from_utf8(name).map_err(|_| malformed("the name of a member is not UTF-8"))?;
            let method = u16_at(&fixed, 10);
            if u16_at(&fixed, 8) & 1 == 1 || !matches!(method, 0 | 8) {
                let reason = "is encrypted or compressed by another method than `numpy.savez_compressed` uses";
                return Err(malformed(format!("its member `{name}` {reason}")));
            }
            let [size, compressed, header] = large(&extra, [24, 20, 42].map(|place| u32_at(&fixed, place)));
            let checksum = u32_at(&fixed, 16);
            each(file, Member { name, is_deflated: method == 8, checksum, compressed, size, header })?;
        }
        Ok(())
    }
}

/// The numbers, those that 32 bits can't hold taken from the extra field for them, in order.
fn large(mut extra: &[u8], numbers: [u32; 3]) -> [u64; 3] {
    const LARGE: u16 = 1;
    let mut field = &[][..];
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let (content, rest) = rest.split_at_checked(u16_at(head, 2).into()).unwrap_or((rest, &[]));
        if u16_at(head, 0) == LARGE {
            field = content;
            break;
        }
        extra = rest;
    }
    numbers.map(|number| match field.split_first_chunk() {
        Some((large, rest)) if number == u32::MAX => {
            field = rest;
            u64::from_le_bytes(*large)
        }
        _ => number.into(),
    })
}

impl Member {
    /// Appends the numbers of the array.
    fn read(
        &self,
        file: &mut (impl Read + Seek),
        data: &mut Vec<u8>,
    ) -> Result<(downhill_data::ElementType, Vec<usize>), FormatError> {
        let fail = |reason: String| malformed(format!("its member `{}` can't be read: {reason}", self.name));
        let header: [u8; 30] = part(file, self.header, b"PK\x03\x04", "the header of a member")?;
        file.seek_relative(i64::from(u16_at(&header, 26)) + i64::from(u16_at(&header, 28)))?;
        let stored = BufReader::new(file.take(self.compressed));
        let inflated: &mut dyn Read = if self.is_deflated { &mut DeflateDecoder::new(stored) } else { &mut { stored } };
        // One byte more than is claimed, so that more is noticed.
        let mut member = CrcReader::new(inflated.take(self.size.saturating_add(1)));
        let array = npy::read_bytes(&mut member, data).map_err(|error| match error {
            DataError::Io { cause } if cause.raw_os_error().is_some() => cause.into(),
            error => fail(error.to_string()),
        })?;
        if member.crc().sum() != self.checksum || u64::from(member.crc().amount()) != self.size & u64::from(u32::MAX) {
            return Err(fail("its checksum or its size is another; the file is damaged".into()));
        }
        Ok(array)
    }
}

fn zip_error(error: ZipError) -> FormatError {
    match error {
        ZipError::Io(error) => error.into(),
        other => malformed(other.to_string()),
    }
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
