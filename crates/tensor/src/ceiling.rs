//! What the machine itself can do, to compare measured rates with.

use std::time::Instant;

use crate::{Kernel, Scalar, elementwise, vectorized};

/// The floating-point operations of one call of [`multiply_add`] with this many rounds, a multiply-add counting as two.
#[must_use]
pub fn multiply_add_operations<T: Scalar>(rounds: usize) -> usize {
    rounds * CHAINS * width::<T>() * 2
}

/// Does nothing but multiply-adds, on numbers that stay in registers: the peak rate of one core.
///
/// Gives a number that depends on all of them, so that none can be left out.
#[must_use]
pub fn multiply_add<T: Scalar>(rounds: usize) -> T {
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = crate::product::multiply_add_chains::<T>(rounds) {
        return sum;
    }
    vectorized(Chains::<T>([T::ONE; CHAINS], rounds))
}

/// As many independent sums as hide the latency of a multiply-add on every machine of today.
pub(crate) const CHAINS: usize = 12;

/// Numbers in the widest register that this machine uses.
fn width<T: Scalar>() -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(width) = crate::product::register_width::<T>() {
        return width;
    }
    1
}

struct Chains<T>([T; CHAINS], usize);

impl<T: Scalar> Kernel for Chains<T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let Self(mut chains, rounds) = self;
        let (a, b) = std::hint::black_box((T::of(0.999), T::of(1e-3)));
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = *chain * a + b;
            }
        }
        chains.into_iter().sum()
    }
}

/// The bytes a second at which one pass a ← a + s·b over two vectors of `length` numbers goes,
/// counting 12 bytes for each `f32` (two reads and a write), on the current threads: the best of several.
#[must_use]
pub fn bandwidth(length: usize) -> f64 {
    let b = vec![1.0f32; length];
    let mut a = vec![1.0f32; length];
    let mut best = f64::INFINITY;
    for round in 0..8 {
        let start = Instant::now();
        elementwise::update(&b, &mut a, |b, a| a + 1e-3 * b);
        // The first round meets memory that has not been used yet.
        if round > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    (length * 12) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_converges_to_one() {
        // x ← 0.999 x + 0.001 keeps 1, so the sum is the number of chains times the numbers in a register.
        let expected = (multiply_add_operations::<f64>(1) / 2) as f64;
        assert!((multiply_add::<f64>(1000) - expected).abs() < 1e-9);
        assert!(bandwidth(1 << 16) > 1e6);
    }
}
