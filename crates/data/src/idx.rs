//! The IDX format of MNIST: a byte for the element type, one for the rank, the axes, then the elements, big-endian.
//!
//! Element types are u8, i8, i16, i32, f32 and f64; gzip is recognised by its first two bytes.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::DataError;
use crate::raw_array::{ElementType, Layout, RawArray, read_header};

const FORMAT: &str = "IDX";

/// Reads one array, which must be all there is.
///
/// ```
/// use downhill_data::idx;
/// use ndarray::array;
/// let file = [0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];
/// let matrix = idx::read(&file[..])?.to_array::<f32>();
/// assert_eq!(matrix, array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn());
/// # Ok::<(), downhill_data::DataError>(())
/// ```
///
/// # Errors
/// Returns an error if the reader fails, or the data are cut short, damaged, followed by others or no IDX at all.
/// A gzip file may have several members, which are read as one.
/// Memory is used for what is there, not for what a header promises.
pub fn read(mut reader: impl Read) -> Result<RawArray, DataError> {
    let mut start = [0; 2];
    read_header(&mut reader, &mut start, FORMAT)?;
    let whole = Cursor::new(start).chain(reader);
    if start != [0x1f, 0x8b] {
        return read_plain(whole);
    }
    read_plain(MultiGzDecoder::new(whole)).map_err(|error| match error {
        // Errors of a decoder are of these kinds, those of a failing disk are not.
        DataError::Io { cause }
            if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            DataError::Gzip { cause }
        }
        other => other,
    })
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

fn read_plain(mut reader: impl Read) -> Result<RawArray, DataError> {
    let mut magic = [0; 4];
    read_header(&mut reader, &mut magic, FORMAT)?;
    let [0, 0, code, rank] = magic else {
        return Err(DataError::Magic { format: FORMAT, found: magic.to_vec() });
    };
    let element = match code {
        0x08 => ElementType::U8,
        0x09 => ElementType::I8,
        0x0b => ElementType::I16,
        0x0c => ElementType::I32,
        0x0d => ElementType::F32,
        0x0e => ElementType::F64,
        _ => {
            let reason = format!("speaks of an element type {code:#04x}, which does not exist");
            return Err(DataError::Header { format: FORMAT, reason });
        }
    };
    let mut axes = vec![0; 4 * usize::from(rank)];
    read_header(&mut reader, &mut axes, FORMAT)?;
    let (axes, _) = axes.as_chunks::<4>();
    let shape = axes.iter().map(|&axis| u32::from_be_bytes(axis) as usize).collect();
    Layout { format: FORMAT, element, big_endian: true, first_axis_fastest: false, shape }.read(reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elements;
    use downhill_tensor::Seed;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn file(code: u8, axes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, axes.len() as u8];
        bytes.extend(axes.iter().flat_map(|axis| axis.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_element_type_is_read_big_endian() {
        let cases: [(u8, Vec<u8>, Elements); 6] = [
            (0x08, vec![7, 255], Elements::U8(vec![7, 255])),
            (0x09, vec![7, 255], Elements::I8(vec![7, -1])),
            (0x0b, vec![1, 2, 255, 254], Elements::I16(vec![258, -2])),
            (0x0c, vec![0, 0, 1, 2, 255, 255, 255, 253], Elements::I32(vec![258, -3])),
            (0x0d, [1.5f32, -0.1].iter().flat_map(|x| x.to_be_bytes()).collect(), Elements::F32(vec![1.5, -0.1])),
            (0x0e, [1.5f64, -0.1].iter().flat_map(|x| x.to_be_bytes()).collect(), Elements::F64(vec![1.5, -0.1])),
        ];
        for (code, data, expected) in cases {
            let plain = file(code, &[2], &data);
            for bytes in [gzip(&plain), plain] {
                let array = read(&bytes[..]).unwrap();
                assert_eq!((array.shape(), array.elements()), (&[2][..], &expected));
            }
        }
    }

    #[test]
    fn arrays_of_random_shapes_are_read() {
        let mut stream = Seed(2).stream(0);
        for _ in 0..100 {
            let rank = (stream.uniform() * 8.0) as usize;
            let axes: Vec<u32> = (0..rank).map(|_| (stream.uniform() * 4.0) as u32).collect();
            let data: Vec<u8> = (0..axes.iter().product::<u32>()).map(|_| (stream.uniform() * 256.0) as u8).collect();
            let array = read(&file(0x08, &axes, &data)[..]).unwrap();
            assert!(array.shape().iter().eq(axes.iter().map(|&axis| axis as usize).collect::<Vec<_>>().iter()));
            assert!(array.to_array::<f64>().iter().zip(&data).all(|(&x, &byte)| x == f64::from(byte)));
            assert_eq!(array.elements(), &Elements::U8(data));
        }
    }

    #[test]
    fn every_prefix_is_an_error() {
        let plain = file(0x0b, &[3, 2], &[9; 12]);
        for bytes in [gzip(&plain), plain] {
            for length in 0..bytes.len() {
                let error = read(&bytes[..length]).unwrap_err();
                assert!(
                    matches!(error, DataError::Header { .. } | DataError::Truncated { .. } | DataError::Gzip { .. }),
                    "{length}: {error}"
                );
            }
            assert!(read(&bytes[..]).is_ok());
        }
    }

    #[test]
    fn the_message_of_a_cut_file_counts_bytes() {
        assert_eq!(
            message(&file(0x08, &[2, 3], &[1; 5])),
            "the IDX header speaks of 6 bytes of data, but only 5 follow; the file is cut short"
        );
        assert_eq!(message(&[0, 0, 8, 1, 0, 0]), "the IDX header is cut short");
    }

    #[test]
    fn hostile_headers_are_errors_without_large_allocations() {
        assert!(message(&file(0x0e, &[u32::MAX; 200], &[])).contains("which no memory can hold"));
        assert!(message(&file(0x0e, &[u32::MAX, u32::MAX / 17], &[0; 9])).contains("but only 9 follow"));
        assert!(message(&file(0x08, &[u32::MAX, 1 << 30], &[0; 9])).contains("but only 9 follow"));
        assert!(message(&gzip(&file(0x08, &[u32::MAX, 1 << 30], &[0; 9]))).contains("but only 9 follow"));
        let mut axes = [u32::MAX; 200];
        axes[199] = 0;
        assert!(message(&file(0x08, &axes, &[])).contains("which no memory can hold"));
        assert!(message(&file(0x0a, &[1], &[0])).contains("element type 0x0a, which does not exist"));
        assert_eq!(message(b"a,b\n1,2"), "this is not IDX data: it starts with the bytes [61, 2c, 62, 0a]");
        assert_eq!(
            message(&file(0x08, &[2], &[0; 3])),
            "the IDX header speaks of 2 bytes of data, but more follow; the file is not what its header says"
        );
    }

    #[test]
    fn damaged_gzip_is_an_error() {
        let data: Vec<u8> = (0..64).map(|i| i / 3).collect();
        let whole = gzip(&file(0x08, &[64], &data));
        let expected = read(&whole[..]).unwrap();
        assert!(message(&[0x1f, 0x8b, 1, 2, 3]).starts_with("the gzip data are damaged:"));
        // Some bits mean nothing (the time of packing, padding); a flip of any other is noticed.
        let mut noticed = 0;
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match read(&bytes[..]) {
                Ok(array) => assert_eq!(array, expected, "bit {bit}"),
                Err(_) => noticed += 1,
            }
        }
        assert!(noticed > 6 * whole.len(), "{noticed} of {}", 8 * whole.len());
    }

    #[test]
    fn gzip_members_are_read_as_one_and_nothing_may_follow_them() {
        let plain = file(0x08, &[6], &[1, 2, 3, 4, 5, 6]);
        let expected = read(&plain[..]).unwrap();
        for cut in [0, 3, 9, plain.len()] {
            let (first, second) = plain.split_at(cut);
            assert_eq!(read(&[gzip(first), gzip(second)].concat()[..]).unwrap(), expected);
        }
        assert!(message(&[gzip(&plain), gzip(&[7])].concat()).contains("but more follow"));
        for byte in [0, b'r', 0x1f] {
            for length in 1..30 {
                let followed = [gzip(&plain), vec![byte; length]].concat();
                let message = message(&followed);
                assert!(message.starts_with("the gzip data are damaged: "), "{length} times {byte}: {message}");
            }
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut stream = Seed(3).stream(0);
        for _ in 0..2000 {
            let mut bytes: Vec<u8> =
                (0..(stream.uniform() * 80.0) as usize).map(|_| (stream.uniform() * 256.0) as u8).collect();
            for (byte, start) in bytes.iter_mut().zip([0, 0, 8 + (stream.uniform() * 7.0) as u8, 1]) {
                *byte = start;
            }
            let _ = read(&bytes[..]);
        }
    }

    #[test]
    fn a_failing_reader_is_not_called_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk is on fire"))
            }
        }
        let start = gzip(&file(0x08, &[64], &[1; 64]));
        let error = read(start[..12].chain(Broken)).unwrap_err();
        assert_eq!(error.to_string(), "reading failed: the disk is on fire");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read_path("no/such/file").unwrap_err().to_string();
        assert!(message.starts_with("`no/such/file`: reading failed: "), "{message}");
    }
}
