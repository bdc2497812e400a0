//! Moments of numbers whose mean hides their deviation, or whose squares leave the precision's range.

use crate::reduce::{Totals, lanes, unit_scale};
use crate::{Kernel, Scalar, vectorized};

use super::over_deviation;

/// The deviations that a mean may be away from 0 for one subtraction of it to do.
///
/// Rounding the mean moves it by some ε of its size: by up to this times as much of a deviation.
const FAR: f64 = 32.0;

/// A sum of squares that is larger has lost nothing to underflow that matters.
#[inline(always)]
fn least<T: Scalar>() -> T {
    T::MIN_POSITIVE / T::EPSILON
}

/// Whether these moments are as exact as any: the mean does not hide the deviation, and the squares had their digits.
#[inline(always)]
pub(super) fn are_exact<T: Scalar>(mean: T, variance: T, epsilon: T) -> bool {
    let least = least::<T>();
    let share = mean * T::from_f64(1.0 / FAR);
    // Zeros alone are common, as behind a rectifier, and exact unless ε lets them be told from others.
    ((variance >= least) & (variance <= T::MAX) & (share * share <= variance))
        | ((mean == T::ZERO) & (variance == T::ZERO) & (epsilon >= least))
}

/// Numbers that share a mean and a variance: in every run of `stride` of them `length`, from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Careful<'a, T> {
    pub(super) x: &'a [T],
    pub(super) first: usize,
    pub(super) length: usize,
    pub(super) stride: usize,
    /// Whether the mean is subtracted; if not, it is 0.
    pub(super) centred: bool,
    pub(super) epsilon: T,
}

impl<T: Scalar> Careful<'_, T> {
    /// μ, σ² and r = 1/√(σ² + ε).
    #[cold]
    #[inline(never)]
    pub(super) fn moments(self) -> [T; 3] {
        vectorized(self)
    }

    /// The numbers, at most `BUFFER` at a time.
    #[inline(always)]
    fn buffered(self, mut of: impl FnMut(&[T])) {
        let Self { x, first, length, stride, .. } = self;
        let mut buffer = [T::ZERO; BUFFER];
        let mut filled = 0;
        for run in x.chunks_exact(stride) {
            let mut run = &run[first..first + length];
            while !run.is_empty() {
                let (now, later) = run.split_at(run.len().min(BUFFER - filled));
                buffer[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                run = later;
                if filled == BUFFER {
                    of(&buffer);
                    filled = 0;
                }
            }
        }
        of(&buffer[..filled]);
    }
}

/// This many numbers are brought together before they are summed.
const BUFFER: usize = 512;

impl<T: Scalar> Kernel for Careful<'_, T> {
    type Output = [T; 3];

    #[inline(always)]
    fn run(self) -> [T; 3] {
        let Self { x, length, stride, centred, epsilon, .. } = self;
        let count = T::from_f64((x.len() / stride * length) as f64);
        let mut largest = T::ZERO;
        self.buffered(|x| largest = largest.max(lanes::norm_max(x)));
        // A power of two: nothing is rounded.
        let scale = unit_scale(largest);
        let (mut mean, mut variance) = (T::ZERO, T::ZERO);
        // The mean; what it misses of the mean; and once more, if that was more than what is left.
        for _ in 0..3 {
            let mut totals = Totals::<T, 1, 2>::ZERO;
            self.buffered(|x| {
                let off = |x: T| x * scale - mean;
                totals.add([[lanes::map_sum(x, off)], [lanes::map_sum(x, |x| off(x) * off(x))]]);
            });
            let [[sum], [squares]] = totals.value();
            let (missed, square) = (if centred { sum / count } else { T::ZERO }, squares / count);
            mean += missed;
            // That around the new mean.
            variance = (square - missed * missed).max(T::ZERO);
            if missed * missed <= square * T::from_f64(0.25) || square.is_nan() {
                break;
            }
        }
        let plain = variance / scale / scale;
        let has_digits = plain >= T::MIN_POSITIVE || variance == T::ZERO || epsilon >= least::<T>();
        let scaled = epsilon * scale * scale;
        let r = if plain <= T::MAX && has_digits {
            over_deviation(plain, epsilon)
        } else if scaled <= T::MAX {
            scale * over_deviation(variance, scaled)
        } else {
            over_deviation(T::ZERO, epsilon)
        };
        [mean / scale, plain, r]
    }
}
