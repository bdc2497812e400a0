//! Seeded random streams: the same key gives the same numbers on every machine and any number of threads.

use rand::RngCore;
use rand_pcg::Pcg32;

#[cfg(feature = "ndarray-rand")]
pub use ndarray_rand::RandomExt;
pub use rand_distr as distributions;

/// The seed of everything random in a run.
///
/// Streams are drawn from it by key, never by order, so what one part of a program draws
/// does not depend on what another part drew before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seed(pub u64);

impl Seed {
    /// Derives another seed, for the part of the program that `key` names.
    #[must_use]
    pub fn derive(self, key: u64) -> Self {
        Self(mix(self.0.wrapping_add(mix(key.wrapping_add(GOLDEN)))))
    }

    /// Returns 32 random bits for each place, in any order: SplitMix64's own sequence of numbers, their upper halves.
    ///
    /// A loop over places is vectorised, which one over a [`stream`](Self::stream) can't be.
    #[inline(always)]
    #[must_use]
    pub fn bits_at(self, place: u64) -> u32 {
        (mix(self.0.wrapping_add(place.wrapping_add(1).wrapping_mul(GOLDEN))) >> 32) as u32
    }

    /// The stream of random numbers that belongs to `key`.
    #[must_use]
    pub fn stream(self, key: u64) -> Stream {
        let seed = self.derive(key).0;
        Stream(Pcg32::new(seed, mix(seed)))
    }
}

/// 2⁶⁴ over the golden ratio, by which SplitMix64 counts.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit.
#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers (PCG-XSH-RR 64/32, O'Neill 2014), usable wherever `rand` takes a generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(Pcg32);

impl Stream {
    /// 32 random bits.
    #[must_use]
    pub fn bits(&mut self) -> u32 {
        self.next_u32()
    }

    /// A number in [0, 1) with 53 random bits.
    #[must_use]
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_for_ever() {
        let mut stream = Seed(7).stream(3);
        let drawn = [stream.next_u32(), stream.next_u32(), stream.next_u32()];
        assert_eq!(drawn, STREAM_7_3);
    }

    const STREAM_7_3: [u32; 3] = [2_054_447_029, 806_513_610, 1_829_410_409];

    /// The first numbers of SplitMix64 from 1234567, as published with it.
    #[test]
    fn places_hold_the_numbers_of_splitmix() {
        let published: [u64; 3] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (place, number) in published.into_iter().enumerate() {
            assert_eq!(Seed(1_234_567).bits_at(place as u64), (number >> 32) as u32);
        }
    }

    #[test]
    fn keys_give_different_streams() {
        let first: Vec<u64> = (0..1000).map(|key| Seed(1).stream(key).next_u64()).collect();
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), first.len());
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval_evenly() {
        let mut stream = Seed(5).stream(0);
        let mean = (0..100_000).map(|_| stream.uniform()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 3e-3, "{mean}");
    }
}
