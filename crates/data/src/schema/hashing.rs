/// The most buckets that a column may be hashed into.
pub(crate) const MOST_BUCKETS: usize = 1 << 20;

/// A fixed number of buckets for any number of categories (Weinberger et al. 2009).
///
/// The text of a category decides its bucket, on every machine and in every version: its bytes in UTF-8 are hashed by
/// FNV-1a with 64 bits, the hash h is mixed by the finaliser of SplitMix64, and the bucket is ⌊h · buckets / 2⁶⁴⌋.
/// Categories that share a bucket can't be told apart; the fewer buckets, the more do.
///
/// [`Columns::hashed`](crate::Columns::hashed) encodes columns by it.
///
/// ```
/// use downhill_data::Hashing;
/// let hashing = Hashing::new(16).signed();
/// assert_eq!(hashing.bucket("Vienna"), hashing.bucket("Vienna"));
/// assert!(hashing.bucket("Graz").0 < 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Saved"))]
pub struct Hashing {
    buckets: usize,
    signed: bool,
}

impl Hashing {
    /// Makes this number of buckets: 1 to 1,048,576, which fitting checks.
    #[must_use]
    pub fn new(buckets: usize) -> Self {
        Self { buckets, signed: false }
    }

    /// Gives half of the categories −1 instead of 1, by the lowest bit of h, so that those in one bucket cancel on
    /// average instead of adding up.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// The number of buckets.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Whether half of the categories are −1.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// The bucket of a category, counted from 0, and the number in it: 1 or −1.
    #[must_use]
    pub fn bucket(&self, category: &str) -> (usize, f64) {
        let hash = mixed(fnv_1a(category.as_bytes()));
        let bucket = (u128::from(hash) * self.buckets as u128) >> 64;
        (bucket as usize, if self.signed && hash & 1 == 1 { -1.0 } else { 1.0 })
    }
}

/// FNV-1a with 64 bits (Fowler, Noll & Vo 1991).
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64's finaliser: the upper bits of FNV-1a hardly depend on the last bytes.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// What a file says of [`Hashing`].
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    buckets: usize,
    signed: bool,
}

#[cfg(feature = "serde")]
impl TryFrom<Saved> for Hashing {
    type Error = String;

    fn try_from(Saved { buckets, signed }: Saved) -> Result<Self, String> {
        match (1..=MOST_BUCKETS).contains(&buckets) {
            true => Ok(Self { buckets, signed }),
            false => Err(format!("categories are hashed into 1 to {MOST_BUCKETS} buckets, not {buckets}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv_1a(text.as_bytes()), hash, "{text}");
        }
        // SplitMix64's first number from 1234567 is the mix of that and the golden ratio.
        assert_eq!(mixed(1_234_567_u64.wrapping_add(0x9e37_79b9_7f4a_7c15)), 6_457_827_717_110_365_317);
    }

    #[test]
    fn buckets_are_fixed_for_ever() {
        // As a few lines of Python compute them.
        let buckets = ["", "a", "Vienna", "Zürich"].map(|text| Hashing::new(1000).signed().bucket(text));
        assert_eq!(buckets, [(957, -1.0), (10, 1.0), (56, 1.0), (774, -1.0)]);
    }

    #[test]
    fn short_texts_spread_evenly_over_buckets_and_signs() {
        let hashing = Hashing::new(10).signed();
        let (mut counts, mut negative) = ([0_u32; 10], 0);
        for i in 0..20_000 {
            let (bucket, sign) = hashing.bucket(&i.to_string());
            counts[bucket] += 1;
            negative += u32::from(sign < 0.0);
        }
        // The 99.99 % point of the chi-squared distribution with 9 degrees of freedom is 34.
        let chi_squared: f64 = counts.iter().map(|&count| (f64::from(count) - 2000.0).powi(2) / 2000.0).sum();
        assert!(chi_squared < 34.0, "{counts:?}");
        assert!(negative.abs_diff(10_000) < 280, "{negative}");
        assert_eq!(Hashing::new(1).bucket("x"), (0, 1.0));
    }
}
