//! Random orders that are the same on every machine.

use rand::RngCore;

/// The purpose of a stream of random orders; parts that share a seed draw from different streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Split = 1,
    Folds = 2,
    Batches = 3,
    Groups = 4,
    Samples = 5,
    Buffer = 6,
}

/// Overwrites `order` with a random permutation of 0..order.len() (Fisher–Yates).
pub(crate) fn permute(order: &mut [usize], stream: &mut impl RngCore) {
    for (place, index) in order.iter_mut().enumerate() {
        *index = place;
    }
    for last in (1..order.len()).rev() {
        order.swap(last, below(last as u64 + 1, stream) as usize);
    }
}

/// A number in 0..bound, each equally likely (Lemire 2019, "Fast random integer generation in an interval").
///
/// `rand` draws a `usize` differently on 32 and on 64 bits and may draw differently in its next version;
/// this draws the same number for ever.
pub(crate) fn below(bound: u64, stream: &mut impl RngCore) -> u64 {
    let mut wide = u128::from(stream.next_u64()) * u128::from(bound);
    if (wide as u64) < bound {
        // The lowest `2^64 mod bound` remainders are one product too many: they are drawn again.
        let excess = bound.wrapping_neg() % bound;
        while (wide as u64) < excess {
            wide = u128::from(stream.next_u64()) * u128::from(bound);
        }
    }
    (wide >> 64) as u64
}

/// A number in [0, 1) with 53 random bits, as [`Stream::uniform`](downhill_tensor::Stream::uniform) draws it.
pub(crate) fn uniform(stream: &mut impl RngCore) -> f64 {
    (stream.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::{Seed, Stream};

    fn permutation(length: usize, stream: &mut Stream) -> Vec<usize> {
        let mut order = vec![0; length];
        permute(&mut order, stream);
        order
    }

    #[test]
    fn an_order_is_fixed_for_ever() {
        assert_eq!(permutation(10, &mut Seed(7).stream(3)), [9, 4, 8, 7, 3, 6, 5, 0, 2, 1]);
    }

    #[test]
    fn every_order_is_a_permutation() {
        let mut stream = Seed(1).stream(0);
        for length in [0, 1, 2, 3, 100, 1000] {
            let mut order = permutation(length, &mut stream);
            order.sort_unstable();
            assert_eq!(order, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut stream = Seed(2).stream(0);
        let mut counts = std::collections::BTreeMap::new();
        let draws = 24_000;
        for _ in 0..draws {
            *counts.entry(permutation(4, &mut stream)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        // The 99.99 % point of the chi-squared distribution with 23 degrees of freedom is 57.
        let expected = f64::from(draws) / 24.0;
        let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        assert!(chi_squared < 57.0, "{chi_squared}");
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut stream = Seed(3).stream(0);
        for bound in [1, 2, 3, 1 << 33, u64::MAX / 2 + 2, u64::MAX] {
            assert!((0..200).all(|_| below(bound, &mut stream) < bound));
        }
    }
}
