//! Changes that keep a file's structure: numbers in a header become other numbers, and the lengths around them are made
//! right again.

use std::io::{Cursor, Read, Write};

/// A small random stream (SplitMix64), which the fuzzer's seed decides.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed.into())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn number(&mut self) -> u64 {
        const ODD: [u64; 12] =
            [0, 1, 2, 255, 256, 65_535, 1 << 31, u32::MAX as u64, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
        match self.below(3) {
            0 => ODD[self.below(ODD.len())],
            1 => self.next() >> self.below(64),
            _ => self.below(20) as u64,
        }
    }
}

/// Replaces, doubles, removes or moves one token of a text.
pub(crate) fn text(data: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let tokens = tokens(data);
    if tokens.is_empty() {
        return None;
    }
    let range = tokens[random.below(tokens.len())].clone();
    let token = &data[range.clone()];
    let replacement = match random.below(5) {
        0 => Vec::new(),
        1 => [token, token].concat(),
        2 => data[tokens[random.below(tokens.len())].clone()].to_vec(),
        _ if token.first().is_some_and(u8::is_ascii_digit) => match random.below(4) {
            0 => format!("-{}", random.number()).into_bytes(),
            1 => format!("{}e{}", random.below(10), random.below(400)).into_bytes(),
            _ => random.number().to_string().into_bytes(),
        },
        _ => data[tokens[random.below(tokens.len())].clone()].to_vec(),
    };
    Some([&data[..range.start], &replacement, &data[range.end..]].concat())
}

/// Words, numbers, and single characters between them.
fn tokens(data: &[u8]) -> Vec<std::ops::Range<usize>> {
    let class = |byte: u8| match byte {
        b'0'..=b'9' => 1,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => 2,
        _ => 0,
    };
    let mut tokens: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, &byte) in data.iter().enumerate() {
        match tokens.last_mut() {
            Some(last) if class(byte) != 0 && class(byte) == class(data[last.start]) => last.end = index + 1,
            _ => tokens.push(index..index + 1),
        }
    }
    tokens
}

/// A text header with its length in front, as in safetensors (8 bytes) and NPY (2 bytes, behind 8 others).
pub(crate) fn header(data: &[u8], length_at: usize, length_bytes: usize, random: &mut Random) -> Option<Vec<u8>> {
    let start = length_at + length_bytes;
    let length = data.get(length_at..start)?.iter().rev().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
    let end = start.checked_add(length).filter(|&end| end <= data.len())?;
    let changed = text(&data[start..end], random)?;
    let length = changed.len().to_le_bytes();
    Some([&data[..length_at], &length[..length_bytes], &changed, &data[end..]].concat())
}

/// The header of an array within an NPZ archive.
pub(crate) fn archive(data: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(data)).ok()?;
    let chosen = random.below(archive.len());
    let compressed = random.below(2) == 0;
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len().min(20) {
        let mut member = archive.by_index(index).ok()?;
        let (name, mut bytes) = (member.name().ok()?.into_owned(), Vec::new());
        member.by_ref().take(1 << 16).read_to_end(&mut bytes).ok()?;
        if index == chosen {
            bytes = header(&bytes, 8, 2, random)?;
        }
        let method = if compressed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        writer.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).ok()?;
        writer.write_all(&bytes).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// One field of a message in the wire format of protocol buffers.
enum Field {
    Number(u64, u64),
    Fixed(u64, Vec<u8>),
    Bytes(u64, Vec<u8>),
}

/// A message with a field changed, doubled, moved or removed, here or in a message within it.
pub(crate) fn message(data: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut fields = fields(data)?;
    if fields.is_empty() {
        return None;
    }
    let (chosen, other) = (random.below(fields.len()), random.below(fields.len()));
    match (random.below(8), &mut fields[chosen]) {
        (0, _) => drop(fields.remove(chosen)),
        (1, _) => fields.swap(chosen, other),
        (2, _) => {
            let copy = encode(&fields[chosen..=chosen]);
            let mut whole = encode(&fields);
            whole.extend(copy);
            return Some(whole);
        }
        (_, Field::Number(_, number)) => *number = random.number(),
        (_, Field::Fixed(_, bytes)) => {
            let place = random.below(bytes.len());
            bytes[place] = random.next() as u8;
        }
        (_, Field::Bytes(_, bytes)) => {
            *bytes = match message(bytes, random) {
                Some(changed) => changed,
                None => text(bytes, random)?,
            };
        }
    }
    Some(encode(&fields))
}

fn fields(mut data: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data)?;
        fields.push(match key & 7 {
            0 => Field::Number(key, varint(&mut data)?),
            1 => Field::Fixed(key, take(&mut data, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut data)?).ok()?;
                Field::Bytes(key, take(&mut data, length)?)
            }
            5 => Field::Fixed(key, take(&mut data, 4)?),
            _ => return None,
        });
    }
    Some(fields)
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut data = Vec::new();
    for field in fields {
        match field {
            Field::Number(key, number) => [*key, *number].iter().for_each(|&x| push_varint(&mut data, x)),
            Field::Fixed(key, bytes) => {
                push_varint(&mut data, *key);
                data.extend(bytes);
            }
            Field::Bytes(key, bytes) => {
                [*key, bytes.len() as u64].iter().for_each(|&x| push_varint(&mut data, x));
                data.extend(bytes);
            }
        }
    }
    data
}

fn take(data: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (bytes, rest) = data.split_at_checked(length)?;
    *data = rest;
    Some(bytes.to_vec())
}

fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = data.split_first()?;
        *data = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_varint(data: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        data.push(number as u8 | 0x80);
        number >>= 7;
    }
    data.push(number as u8);
}
