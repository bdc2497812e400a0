//! Damaged files, and how much memory it takes to find out.

use downhill_tensor::Seed;

/// Calls `read` with `count` files that are `whole` but for a few changes: bytes, cuts, repeated parts, and the sizes of
/// a little-endian header.
pub(crate) fn damaged(whole: &[u8], count: usize, seed: u64, mut read: impl FnMut(&[u8])) {
    let mut stream = Seed(seed).stream(0);
    let mut below = |limit: usize| (stream.uniform() * limit as f64) as usize;
    for _ in 0..count {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + below(3) {
            if bytes.is_empty() {
                break;
            }
            let place = below(bytes.len());
            match below(8) {
                0 => bytes.truncate(place),
                1 => bytes[place] ^= 1 << below(8),
                2 => bytes[place] = below(256) as u8,
                3 => bytes[place] = b"0987,:[]{}\" "[below(12)],
                4 => bytes.insert(place, below(256) as u8),
                5 => {
                    let part = bytes[place..bytes.len().min(place + 1 + below(40))].to_vec();
                    bytes.splice(place..place, part);
                }
                6 => bytes.iter_mut().skip(place).take(8).for_each(|byte| *byte = 0xff),
                _ => {
                    let last = bytes.len().min(place + 1 + below(20));
                    bytes.drain(place..last);
                }
            }
        }
        bounded(bytes.len(), || read(&bytes));
    }
}

/// Checks that `read` never holds more than twice the file's size and 16 MiB.
pub(crate) fn bounded(file: usize, read: impl FnOnce()) {
    let most = 2 * file as u64 + (16 << 20);
    let used = allocation_counter::measure(read).bytes_max;
    assert!(used <= most, "{used} bytes were held for a file of {file}, and {most} are the most");
}
