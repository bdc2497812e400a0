//! The rates that the machine itself can reach, to compare measured ones with: for benchmarks alone.

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
    if let Some(sum) = registers::multiply_add::<T>(rounds) {
        return sum;
    }
    vectorized(Chains::<T>([T::ONE; CHAINS], rounds))
}

/// As many independent sums as hide the latency of a multiply-add on every machine of today.
const CHAINS: usize = 12;

/// Numbers in the widest register that this machine uses.
fn width<T: Scalar>() -> usize {
    #[cfg(target_arch = "x86_64")]
    match crate::kernel::instructions() {
        crate::kernel::Instructions::Avx512 => return 64 / size_of::<T>(),
        crate::kernel::Instructions::Avx2 => return 32 / size_of::<T>(),
        crate::kernel::Instructions::Portable => {}
    }
    1
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    use super::CHAINS;
    use crate::kernel::{Instructions, instructions};
    use crate::lanes::Lanes;
    use crate::{Family, Scalar};

    /// Runs this many rounds.
    type Chains<T> = unsafe fn(usize) -> T;

    struct AllChains;

    impl Family for AllChains {
        type Of<T: Scalar> = Chains<T>;
    }

    pub(super) fn multiply_add<T: Scalar>(rounds: usize) -> Option<T> {
        let chains = match instructions() {
            Instructions::Portable => return None,
            Instructions::Avx2 => T::choose::<AllChains>((avx2::<__m256>, avx2::<__m256d>)),
            Instructions::Avx512 => T::choose::<AllChains>((avx512::<__m512>, avx512::<__m512d>)),
        };
        // SAFETY: the processor has the instructions.
        Some(unsafe { chains(rounds) })
    }

    /// # Safety
    /// The processor knows the instructions named below.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<V: Lanes>(rounds: usize) -> V::Number {
        // SAFETY: the function's promise.
        unsafe { chains::<V>(rounds) }
    }

    /// # Safety
    /// The processor knows the instructions named below.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    unsafe fn avx512<V: Lanes>(rounds: usize) -> V::Number {
        // SAFETY: the function's promise.
        unsafe { chains::<V>(rounds) }
    }

    /// # Safety
    /// The processor knows the instructions of `V`.
    #[inline(always)]
    unsafe fn chains<V: Lanes>(rounds: usize) -> V::Number {
        // SAFETY: the function's promise; the buffer holds the largest register.
        unsafe {
            // Known only at run time: with numbers that it knows, the compiler finds the fixed point and skips the loop.
            let numbers = std::hint::black_box([V::Number::from_f64(0.999), V::Number::from_f64(1e-3), V::Number::ONE]);
            let [a, b, one] =
                [V::splat(&raw const numbers[0]), V::splat(&raw const numbers[1]), V::splat(&raw const numbers[2])];
            let mut chains = [one; CHAINS];
            for _ in 0..rounds {
                for chain in &mut chains {
                    *chain = b.multiply_add(*chain, a);
                }
            }
            let mut total = V::zero();
            for chain in chains {
                total = total.add(chain);
            }
            let mut buffer = [V::Number::ZERO; 16];
            total.store(buffer.as_mut_ptr());
            buffer.into_iter().sum()
        }
    }
}

struct Chains<T>([T; CHAINS], usize);

impl<T: Scalar> Kernel for Chains<T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let Self(mut chains, rounds) = self;
        let (a, b) = std::hint::black_box((T::from_f64(0.999), T::from_f64(1e-3)));
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
