//! The softmax of scores, and its gradient.
//!
//! Scores, and all that is made of them, lie transposed: (keys, queries). A sum over keys then adds whole vectors,
//! however few keys there are. Rows are as long as a multiple of STRIP; what is beyond the last query is computed
//! together with the rest, but no result depends on it.

use downhill_tensor::reduce::Totals;
use downhill_tensor::{Kernel, Scalar};

/// Scores of this many queries side by side are computed at once, as long as there are enough.
const WIDE: usize = 32;

/// The scores of the remaining queries are computed this many at a time.
pub(super) const STRIP: usize = 8;

/// The terms of this many keys are added in turn, and the sums of such blocks with care.
const IN_TURN: usize = 128;

/// Work on all keys of some queries side by side.
trait ByStrips {
    /// Works on N queries, from `first` on.
    fn strip<const N: usize>(&mut self, first: usize);

    /// Works on all queries, of which each key has a row.
    #[inline(always)]
    fn all_strips(&mut self, row: usize) {
        let wide = row / WIDE * WIDE;
        for first in (0..wide).step_by(WIDE) {
            self.strip::<WIDE>(first);
        }
        for first in (wide..row).step_by(STRIP) {
            self.strip::<STRIP>(first);
        }
    }
}

/// P = softmax(S/√d) over the keys, in place.
pub(super) struct Softmax<'a, T> {
    pub(super) scale: T,
    /// The length of a row.
    pub(super) row: usize,
    /// (keys, queries)
    pub(super) p: &'a mut [T],
    /// ln Σ exp of the scores of each query; empty if it is not kept.
    pub(super) log_sums: &'a mut [T],
    /// Whether some weights are not numbers: false, at entry.
    pub(super) undefined: bool,
}

impl<T: Scalar> Kernel for Softmax<'_, T> {
    type Output = bool;

    /// Whether some weights are not numbers, which those beyond the last query may be.
    #[inline(always)]
    fn run(mut self) -> bool {
        self.all_strips(self.row);
        self.undefined
    }
}

impl<T: Scalar> ByStrips for Softmax<'_, T> {
    #[inline(always)]
    fn strip<const N: usize>(&mut self, first: usize) {
        let Self { scale, row, p, log_sums, undefined } = self;
        let mut largest = [-T::INFINITY; N];
        for p in strips::<_, N>(p, *row, first) {
            for i in 0..N {
                largest[i] = p[i].max(largest[i]);
            }
        }
        let mut totals = Totals::ZERO;
        for p in p.chunks_mut(*row * IN_TURN) {
            let mut sums = [T::ZERO; N];
            for p in strips_mut::<_, N>(p, *row, first) {
                for i in 0..N {
                    p[i] = ((p[i] - largest[i]) * *scale).exp();
                    sums[i] += p[i];
                }
            }
            totals.add([sums]);
        }
        let [sums] = totals.value();
        *undefined |= sums.iter().fold(false, |any, sum| any | sum.is_nan());
        let inverse = sums.map(|sum| T::ONE / sum);
        for p in strips_mut::<_, N>(p, *row, first) {
            for i in 0..N {
                p[i] *= inverse[i];
            }
        }
        for (log_sum, (largest, sum)) in log_sums.iter_mut().skip(first).zip(largest.into_iter().zip(sums)) {
            *log_sum = largest * *scale + sum.ln();
        }
    }
}

/// P = exp(S/√d − ln Σ exp), in place of the scores, from the sums that the forward pass kept.
pub(super) struct RecomputeWeights<'a, T> {
    pub(super) scale: T,
    pub(super) row: usize,
    pub(super) log_sums: &'a [T],
    pub(super) p: &'a mut [T],
}

impl<T: Scalar> Kernel for RecomputeWeights<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for p in self.p.chunks_exact_mut(self.row) {
            for (p, &log_sum) in p.iter_mut().zip(self.log_sums) {
                *p = (*p * self.scale - log_sum).exp();
            }
        }
    }
}

/// Takes dropped weights out of P and of dP; their signs tell which they are.
pub(super) struct ApplyDropout<'a, T> {
    pub(super) factor: T,
    pub(super) p: &'a [T],
    pub(super) weights: &'a mut [T],
    pub(super) dp: &'a mut [T],
}

impl<T: Scalar> Kernel for ApplyDropout<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((&p, weight), dp) in self.p.iter().zip(self.weights).zip(self.dp) {
            let dropped = T::ONE.copysign(p) < T::ZERO;
            *weight = if dropped { T::ZERO } else { self.factor * p };
            *dp = if dropped { T::ZERO } else { self.factor * *dp };
        }
    }
}

/// dS/√d = P ∘ (dP − Σ_keys P ∘ dP)/√d, over dP.
pub(super) struct ScoreGradient<'a, T> {
    pub(super) scale: T,
    pub(super) row: usize,
    pub(super) p: &'a [T],
    pub(super) dp: &'a mut [T],
}

impl<T: Scalar> Kernel for ScoreGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        self.all_strips(self.row);
    }
}

impl<T: Scalar> ByStrips for ScoreGradient<'_, T> {
    #[inline(always)]
    fn strip<const N: usize>(&mut self, first: usize) {
        let Self { scale, row, p, dp } = self;
        let mut totals = Totals::ZERO;
        for (p, dp) in p.chunks(*row * IN_TURN).zip(dp.chunks(*row * IN_TURN)) {
            let mut sums = [T::ZERO; N];
            for (p, dp) in strips::<_, N>(p, *row, first).zip(strips::<_, N>(dp, *row, first)) {
                for i in 0..N {
                    // The signs tell which weights are dropped.
                    sums[i] += p[i].abs() * dp[i];
                }
            }
            totals.add([sums]);
        }
        let [sums] = totals.value();
        for (p, dp) in strips::<_, N>(p, *row, first).zip(strips_mut::<_, N>(dp, *row, first)) {
            for i in 0..N {
                dp[i] = p[i].abs() * (dp[i] - sums[i]) * *scale;
            }
        }
    }
}

/// N numbers of every row, the `first` and those after it.
#[inline(always)]
fn strips<T, const N: usize>(rows: &[T], row: usize, first: usize) -> impl Iterator<Item = &[T; N]> {
    rows.chunks_exact(row).filter_map(move |row| row[first..].first_chunk())
}

#[inline(always)]
fn strips_mut<T, const N: usize>(rows: &mut [T], row: usize, first: usize) -> impl Iterator<Item = &mut [T; N]> {
    rows.chunks_exact_mut(row).filter_map(move |row| row[first..].first_chunk_mut())
}
