//! Files with a checksum.

use downhill_formats::{Tensors, safetensors};

#[test]
fn every_changed_byte_and_every_missing_end_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checked.safetensors");
    let mut tensors = Tensors::new();
    tensors.push("weights", &[2, 3], [1.0_f32, -2.0, 3.5, 0.0, f32::MIN_POSITIVE, 1e9]).unwrap();
    tensors.set_metadata("note", "a \"quoted\" note with \"checksum.crc32\":\"01234567\" in it");
    safetensors::write_checked(&tensors, &path).unwrap();
    let read = safetensors::read_checked(&path).unwrap();
    assert_eq!(read.get("weights").unwrap().to_array::<f32>().unwrap().len(), 6);
    assert_eq!(read.metadata()["note"], tensors.metadata()["note"]);
    // Any reader of the format takes it.
    assert_eq!(safetensors::read(&path).unwrap().len(), 1);

    let whole = std::fs::read(&path).unwrap();
    for place in 0..whole.len() {
        for change in [1, 0x20, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            std::fs::write(&path, &bytes).unwrap();
            let error = safetensors::read_checked(&path).expect_err(&format!("byte {place} changed by {change:#x}"));
            assert!(error.to_string().contains("checked.safetensors"), "{error}");
        }
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(safetensors::read_checked(&path).is_err(), "{length} bytes");
    }
}

#[test]
fn a_file_without_a_checksum_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    safetensors::write(&Tensors::new(), &path).unwrap();
    let error = safetensors::read_checked(&path).unwrap_err().to_string();
    assert!(error.contains("plain.safetensors") && error.contains("no checksum"), "{error}");
}
