//! The framing of an event file, which is that of TFRecord: length, its checksum, the bytes, their checksum.

use crc::{CRC_32_ISCSI, Crc};

static CRC_32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Appends a record.
pub(crate) fn append(bytes: &[u8], file: &mut Vec<u8>) {
    let length = (bytes.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc(&length).to_le_bytes());
    file.extend(bytes);
    file.extend(masked_crc(bytes).to_le_bytes());
}

/// CRC-32C, rotated and shifted, since the checksum of bytes that hold their own checksum says little.
fn masked_crc(bytes: &[u8]) -> u32 {
    CRC_32C.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // RFC 3720, B.4.
        assert_eq!(CRC_32C.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC_32C.checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(CRC_32C.checksum(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
    }

    #[test]
    fn a_record_is_framed_as_tensorflow_does() {
        // tf.io.TFRecordWriter on the bytes "abc".
        let mut file = Vec::new();
        append(b"abc", &mut file);
        let expected = [3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(file[..8], expected);
        assert_eq!((file.len(), &file[12..15]), (19, &b"abc"[..]));
        assert_eq!(file[8..12], masked_crc(&expected).to_le_bytes());
        assert_eq!(file[15..], masked_crc(b"abc").to_le_bytes());
    }
}
