use std::fs;
use std::io::{Cursor, Write};

use downhill_formats::{ElementType, Save, Tensors, npz};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::damage::{bounded, damaged};
use crate::state::{cases, fixture};

#[test]
fn numpys_arrays_of_every_type_order_and_version_are_read() {
    for file in ["numpy.npz", "numpy_compressed.npz"] {
        let tensors = npz::read(fixture(file)).unwrap();
        assert_eq!(tensors.len(), 48);
        let mut counted = 0;
        for tensor in tensors.iter().filter(|tensor| tensor.name().contains(['<', '>'])) {
            assert_eq!(tensor.shape(), [2, 3], "{}", tensor.name());
            assert_eq!(tensor.to_array::<f64>().unwrap().as_slice().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            counted += 1;
        }
        assert_eq!(counted, 44);
        let numbers = |name| tensors.get(name).unwrap().to_array::<f32>().unwrap();
        assert_eq!(numbers("bool").as_slice().unwrap(), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!((numbers("scalar").shape(), numbers("scalar").sum()), (&[][..], 2.5));
        assert_eq!(numbers("empty").shape(), [0, 3]);
        let halves = numbers("halves");
        assert_eq!(halves.as_slice().unwrap()[..3], [1.0, -2.5, 65504.0]);
        assert_eq!(halves[3], f32::powi(2.0, -24));
        assert_eq!((halves[4], halves[5]), (f32::INFINITY, f32::NEG_INFINITY));
        assert!(halves[6].is_nan() && halves[7] == 0.0 && halves[7].is_sign_negative());
    }
    let versions = npz::read(fixture("numpy_versions.npz")).unwrap();
    assert_eq!(versions.len(), 3);
    for tensor in versions.iter() {
        assert_eq!(tensor.to_array::<f64>().unwrap().as_slice().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}

#[test]
fn what_is_written_is_read_again_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrays.npz");
    for case in cases() {
        let mut tensors = Save::new().tensors(&case.network::<f64>(3)).unwrap();
        tensors.push("odd", &[3], [f64::NAN, f64::NEG_INFINITY, -0.0]).unwrap();
        tensors.push("empty", &[2, 0], [0f32; 0]).unwrap();
        tensors.push_bytes("bool", ElementType::Bool, &[2], &[1, 0]).unwrap();
        let same = |read: Tensors<'_>| assert!(read.iter().eq(tensors.iter()));
        // NaN differs from itself, so bits are compared.
        let bits = |tensors: &Tensors<'_>| -> Vec<u8> { tensors.iter().flat_map(|t| t.bytes().to_vec()).collect() };
        npz::write(&tensors, &path).unwrap();
        same(npz::read(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), npz::to_bytes(&tensors).unwrap());
        npz::write_compressed(&tensors, &path).unwrap();
        let read = npz::read(&path).unwrap();
        assert_eq!(bits(&read), bits(&tensors));
        same(read);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn a_type_that_numpy_does_not_have_is_an_error() {
    let mut tensors = Tensors::new();
    tensors.push_as("x", ElementType::Bf16, &[1], [1.0f32]).unwrap();
    assert_eq!(
        npz::to_bytes(&tensors).unwrap_err().to_string(),
        "tensor `x` is made of bf16, which NumPy does not have"
    );
}

/// An archive of these members, compressed.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn zeros(bytes: usize) -> Vec<u8> {
    let mut file = Vec::new();
    downhill_data::npy::write(&mut file, &ndarray::Array1::<u8>::zeros(bytes)).unwrap();
    file
}

#[test]
fn an_archive_that_grows_too_much_is_refused_unless_it_is_allowed_to() {
    let bytes = archive(&[("a.npy", &zeros(20 << 20)), ("b.npy", &zeros(20 << 20))]);
    assert!(bytes.len() < 100_000);
    let mut message = String::new();
    bounded(bytes.len(), || message = npz::from_bytes(&bytes).unwrap_err().to_string());
    assert!(message.contains("its arrays are said to take more than the 63"), "{message}");
    assert!(message.contains("`read_up_to`"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.npz"), &bytes).unwrap();
    let read = npz::read_up_to(folder.path().join("a.npz"), 50 << 20).unwrap();
    assert_eq!(read.get("b").unwrap().shape(), [20 << 20]);
}

#[test]
fn a_member_that_is_larger_than_it_claims_is_refused() {
    let honest = zeros(5 << 20);
    let mut bytes = archive(&[("a.npy", &honest)]);
    // The size in the table of members, the last field but one that holds it.
    let claim = (honest.len() as u32).to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|&place| bytes[place..place + 4] == claim).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + 4].copy_from_slice(&1000u32.to_le_bytes());
    }
    bounded(bytes.len(), || {
        let message = npz::from_bytes(&bytes).unwrap_err().to_string();
        assert!(message.contains("its member `a.npy` can't be read"), "{message}");
    });
}

/// A table that claims all there can be, and one of many entries for the same few bytes.
#[test]
fn a_table_of_members_takes_no_memory_for_what_it_claims() {
    let end = |members: u16, size: u32, start: u32| {
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend([members.to_le_bytes(), members.to_le_bytes()].concat());
        end.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
        end.extend([0, 0]);
        end
    };
    let mut large = b"PK\x06\x06".to_vec();
    large.resize(56, 0xff);
    large.extend(b"PK\x06\x07\0\0\0\0");
    large.extend([&(1u64 << 20).to_le_bytes()[..], &1u32.to_le_bytes()].concat());
    for tail in [end(u16::MAX - 1, 60_000, 1 << 19), [large.clone(), end(u16::MAX, u32::MAX, u32::MAX)].concat()] {
        let bytes = [vec![0; 1 << 20], tail].concat();
        bounded(bytes.len(), || assert!(npz::from_bytes(&bytes).is_err()));
    }

    // The table of 5000 arrays of which each is the first one.
    let names: Vec<String> = (0..5000).map(|index| format!("{index}.npy")).collect();
    let array = zeros(0);
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &array[..])).collect();
    let many = archive(&members);
    bounded(many.len(), || assert_eq!(npz::from_bytes(&many).unwrap().len(), 5000));
    let table = many.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let first = many.windows(4).skip(1).position(|window| window == b"PK\x03\x04").unwrap() + 1;
    let mut overlapping = [&many[..first], &many[table..]].concat();
    let entries: Vec<usize> =
        (0..overlapping.len() - 4).filter(|&place| overlapping[place..].starts_with(b"PK\x01\x02")).collect();
    entries.iter().for_each(|place| overlapping[place + 42..place + 46].fill(0));
    let place = overlapping.len() - 6;
    overlapping[place..place + 4].copy_from_slice(&(first as u32).to_le_bytes());
    bounded(overlapping.len(), || {
        let message = npz::from_bytes(&overlapping).unwrap_err().to_string();
        assert!(message.contains("its members overlap"), "{message}");
    });
}

#[test]
fn an_archive_with_large_members_is_read() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a.npy", SimpleFileOptions::default().large_file(true)).unwrap();
    writer.write_all(&zeros(3)).unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    assert_eq!(npz::from_bytes(&bytes).unwrap().get("a").unwrap().shape(), [3]);
    // A comment may follow.
    let length = bytes.len();
    bytes[length - 2] = 5;
    bytes.extend(b"hello");
    assert_eq!(npz::from_bytes(&bytes).unwrap().len(), 1);
}

#[test]
fn members_that_are_no_arrays_and_names_that_stand_twice_are_errors() {
    let message = |members: &[(&str, &[u8])]| npz::from_bytes(&archive(members)).unwrap_err().to_string();
    assert!(message(&[("notes.txt", b"no array at all")]).contains("its member `notes.txt` can't be read"));
    let array = zeros(1);
    assert!(message(&[("a.npy", &array), ("a", &array)]).contains("two of its arrays have the name of its member `a`"));
    let error = npz::read("no/such.npz").unwrap_err().to_string();
    assert!(error.starts_with("no/such.npz: "), "{error}");
}

#[test]
fn damaged_archives_never_panic() {
    let mut read = 0;
    for (seed, file) in ["numpy_versions.npz", "numpy_compressed.npz", "mlp.npz"].into_iter().enumerate() {
        let whole = fs::read(fixture(file)).unwrap();
        damaged(&whole, 2000, seed as u64, |bytes| match npz::from_bytes(bytes) {
            Ok(tensors) => {
                read += 1;
                tensors.iter().for_each(|tensor| assert!(tensor.to_array::<f32>().is_ok()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        });
    }
    assert!((10..5900).contains(&read), "{read} of 6000 were read");
}

#[test]
fn an_array_is_opened_within_its_archive() {
    use downhill_data::source::{ArraySource, SourceBatches};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrays.npz");
    let mut tensors = Tensors::new();
    tensors.push("a", &[2], [9.0f64, 9.0]).unwrap();
    tensors.push("x", &[3, 2], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    tensors.push("y", &[3, 1], [0.5f64, -0.5, 1.5]).unwrap();
    npz::write(&tensors, &path).unwrap();
    let source = ArraySource::values(npz::open_array(&path, "x").unwrap(), npz::open_array(&path, "y").unwrap());
    let mut batches = SourceBatches::<f64>::sequential(source.unwrap(), 5).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    assert_eq!(batch.inputs.slice(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(batch.targets, downhill_data::Target::Values(&[0.5, -0.5, 1.5]));

    let message = |name: &str| npz::open_array(&path, name).unwrap_err().to_string();
    assert!(message("z").contains("arrays.npz") && message("z").contains("it has no array `z`"), "{}", message("z"));
    npz::write_compressed(&tensors, &path).unwrap();
    assert!(message("x").contains("its array `x` is compressed"), "{}", message("x"));
    let numpy = npz::open_array(fixture("numpy.npz"), "bool").unwrap();
    assert_eq!((numpy.rows(), numpy.shape().axes()), (2, &[2][..]));
}
