//! Sums and extremes, in an order that the length alone decides.
//!
//! Neither threads nor instruction sets change a bit of these results.
//! A sum of at most 4096 numbers begins in 32 *lanes*: lane i adds xᵢ, xᵢ₊₃₂, xᵢ₊₆₄, ... to 0 while 32 numbers are left.
//! Twice the upper half of the lanes is added to the lower half.
//! The 8 lanes take 8 numbers at a time while 8 are left and are joined like those before, until one is left,
//! to which the last numbers are added in turn.
//! A longer slice is cut in two at the multiple of 4096 at or after its middle, and the sums of both are added.
//! So rounding errors grow with the logarithm of a large length and not with the length.
//!
//! Inside a [`Kernel`] of your own use [`lanes`], whose functions inline.

mod columns;

use std::ops::Range;

pub use self::columns::{channel_sums, column_sums};
use crate::{Kernel, Scalar, threads, vectorized};

const LANES: usize = 32;

/// The longest slice that is summed without being cut in two.
const BLOCK: usize = 4096;

/// At most this many rows are added in turn: more are added in blocks, see `in_blocks`.
pub(crate) const IN_TURN: usize = 256;

/// Sums of `$count` terms, of which `$block` gives those of `$range`, at most `$size` at a time.
///
/// A macro, because a long closure would not be inlined, and so not be compiled for the instructions of its kernel.
macro_rules! in_blocks {
    ($count:expr, $size:expr, |$range:ident| $block:expr) => {{
        let (count, size) = ($count, $size);
        let mut totals = $crate::reduce::Totals::ZERO;
        let mut end = 0;
        loop {
            let $range = end..count.min(end + size);
            end = $range.end;
            // Through memory: otherwise what follows decides how the compiler packs the block's loop.
            let sums = std::hint::black_box($block);
            if count <= size {
                break sums;
            }
            totals.add(sums);
            if end == count {
                break totals.value();
            }
        }
    }};
}
pub(crate) use in_blocks;

/// Below this many numbers a thread, a fork costs more than it saves.
const GRAIN: usize = 64 * 1024;

/// Holds nothing, at any length: the second slice of loops that need one only.
pub(crate) const NOTHING: &[()] = &[(); usize::MAX];

crate::compiled! {
    /// Σ xᵢ; 0 for an empty slice.
    ///
    /// ```
    /// use downhill_tensor::reduce::sum;
    /// assert_eq!(sum(&[1.0, 2.0, 3.5]), 6.5);
    /// ```
    #[must_use]
    pub fn sum<T: Scalar>(x: &[T]) -> T {
        map_sum(x, |x| x)
    }
}

/// Σ f(xᵢ), summed in the precision that `f` gives.
///
/// ```
/// use downhill_tensor::reduce::map_sum;
/// assert_eq!(map_sum(&[1.0f32, -2.0, 3.0], f32::abs), 6.0);
/// ```
#[must_use]
pub fn map_sum<T: Scalar, S: Scalar>(x: &[T], f: impl Fn(T) -> S + Copy + Send + Sync) -> S {
    fold(x, &NOTHING[..x.len()], S::ZERO, move |x, ()| f(x), |sum, x| sum + x)
}

/// Σ f(aᵢ, bᵢ), summed in the precision that `f` gives.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn zip_sum<T: Scalar, S: Scalar>(a: &[T], b: &[T], f: impl Fn(T, T) -> S + Copy + Send + Sync) -> S {
    assert_eq!(a.len(), b.len(), "zip_sum needs slices of equal length");
    fold(a, b, S::ZERO, f, |sum, x| sum + x)
}

crate::compiled! {
    /// Σ aᵢbᵢ, multiplied and summed as `f64`.
    ///
    /// If `f32` is enough, [`zip_sum`]`(a, b, |a, b| a * b)` is faster.
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
        zip_sum(a, b, |a, b| a.to_f64() * b.to_f64())
    }
}

crate::compiled! {
    /// Σ xᵢ², such as `f64`, so that squares of `f32` neither overflow nor vanish.
    #[must_use]
    pub fn sum_of_squares<T: Scalar>(x: &[T]) -> f64 {
        map_sum(x, |x| x.to_f64() * x.to_f64())
    }
}

crate::compiled! {
    /// The Euclidean norm √(Σ xᵢ²), which overflows or vanishes only if its value does.
    ///
    /// ```
    /// use downhill_tensor::reduce::norm;
    /// assert!((norm(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
    /// ```
    #[must_use]
    pub fn norm<T: Scalar>(x: &[T]) -> f64 {
        /// Squares whose sum is larger have lost nothing to underflow that matters.
        const SAFE: f64 = 1e-280;
        let squares = sum_of_squares(x);
        if squares > SAFE && squares < f64::INFINITY {
            return squares.sqrt();
        }
        let largest = norm_max(x);
        if largest == 0.0 || !largest.is_finite() {
            return largest;
        }
        let relative = map_sum(x, |x| {
            let x = x.to_f64() / largest;
            x * x
        });
        largest * relative.sqrt()
    }
}

crate::compiled! {
    /// The largest magnitude, max |xᵢ|; not a number if any is not, 0 for an empty slice.
    #[must_use]
    pub fn norm_max<T: Scalar>(x: &[T]) -> f64 {
        fold(x, &NOTHING[..x.len()], T::ZERO, |x, ()| x.abs(), larger).to_f64()
    }
}

crate::compiled! {
    /// The largest number; not a number if any is not, `None` for an empty slice.
    ///
    /// ```
    /// use downhill_tensor::reduce::max;
    /// assert_eq!(max(&[1.0, 4.0, -2.0]), Some(4.0));
    /// assert!(max(&[1.0, f64::NAN, 2.0]).unwrap().is_nan());
    /// ```
    #[must_use]
    pub fn max<T: Scalar>(x: &[T]) -> Option<T> {
        Some(fold(x, &NOTHING[..x.len()], *x.first()?, |x, ()| x, larger))
    }
}

crate::compiled! {
    /// The smallest number; not a number if any is not, `None` for an empty slice.
    #[must_use]
    pub fn min<T: Scalar>(x: &[T]) -> Option<T> {
        Some(fold(x, &NOTHING[..x.len()], *x.first()?, |x, ()| x, smaller))
    }
}

/// The index of the largest number, the first of equals; of the first that is not a number if there is one.
///
/// `None` for an empty slice.
///
/// ```
/// use downhill_tensor::reduce::argmax;
/// assert_eq!(argmax(&[1.0, 4.0, 4.0]), Some(1));
/// ```
#[must_use]
pub fn argmax<T: Scalar>(x: &[T]) -> Option<usize> {
    let largest = max(x)?;
    if largest.is_nan() { x.iter().position(|x| x.is_nan()) } else { x.iter().position(|&x| x == largest) }
}

crate::compiled! {
    /// Whether every number is finite.
    ///
    /// ```
    /// use downhill_tensor::reduce::all_finite;
    /// assert!(all_finite(&[1.0, f32::MAX]));
    /// assert!(!all_finite(&[1.0, f32::INFINITY]));
    /// ```
    #[must_use]
    pub fn all_finite<T: Scalar>(x: &[T]) -> bool {
        // x·0 is 0 for finite x and otherwise not a number.
        map_sum(x, |x| x * T::ZERO) == T::ZERO
    }
}

/// N rows of L long sums that are made of the sums of blocks.
///
/// The part that rounding takes from them is summed too and given back at the end (Neumaier 1974, with Knuth's two-sum), so that
/// the error is that of one block, however many there are.
///
/// ```
/// use downhill_tensor::reduce::Totals;
/// let mut totals = Totals::<f32, 1, 1>::ZERO;
/// [1e8, 1.0, 1.0, -1e8].map(|x| totals.add([[x]]));
/// assert_eq!(totals.value(), [[2.0]]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Totals<T, const L: usize, const N: usize> {
    sums: [[T; L]; N],
    lost: [[T; L]; N],
}

impl<T: Scalar, const L: usize, const N: usize> Totals<T, L, N> {
    /// Sums of nothing.
    pub const ZERO: Self = Self { sums: [[T::ZERO; L]; N], lost: [[T::ZERO; L]; N] };

    /// Adds a term to each.
    #[inline(always)]
    pub fn add(&mut self, terms: [[T; L]; N]) {
        let totals = self.sums.as_flattened_mut().iter_mut().zip(self.lost.as_flattened_mut());
        for ((total, lost), &term) in totals.zip(terms.as_flattened()) {
            add_with_care(total, lost, term);
        }
    }

    /// The sums.
    #[inline(always)]
    #[must_use]
    pub fn value(mut self) -> [[T; L]; N] {
        for (total, &lost) in self.sums.as_flattened_mut().iter_mut().zip(self.lost.as_flattened()) {
            *total = whole(*total, lost);
        }
        self.sums
    }
}

#[inline(always)]
fn add_with_care<T: Scalar>(total: &mut T, lost: &mut T, term: T) {
    let before = *total;
    *total = before + term;
    let added = *total - before;
    *lost += (before - (*total - added)) + (term - added);
}

#[inline(always)]
fn whole<T: Scalar>(total: T, lost: T) -> T {
    let whole = total + lost;
    // Of an infinite sum nothing is lost, but the difference of infinities is not a number.
    if lost.is_nan() { total } else { whole }
}

/// [`Totals`] of as many sums as there are, in slices.
pub(crate) struct Gathered<'a, T> {
    pub(crate) totals: &'a mut [T],
    pub(crate) lost: &'a mut [T],
}

impl<T: Scalar> Gathered<'_, T> {
    /// Sets all sums to 0.
    pub(crate) fn clear(&mut self) {
        self.totals.fill(T::ZERO);
        self.lost.fill(T::ZERO);
    }

    /// Takes in the sums of a block from place `first` on, and leaves zeros where they were.
    pub(crate) fn take(&mut self, first: usize, sums: &mut [T]) {
        let here = first..first + sums.len();
        vectorized(Gather { sums, totals: &mut self.totals[here.clone()], lost: &mut self.lost[here] });
    }

    /// Turns the totals into the sums.
    pub(crate) fn finish(&mut self) {
        for (total, &lost) in self.totals.iter_mut().zip(&*self.lost) {
            *total = whole(*total, lost);
        }
    }
}

struct Gather<'a, T> {
    sums: &'a mut [T],
    totals: &'a mut [T],
    lost: &'a mut [T],
}

impl<T: Scalar> Kernel for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((sum, total), lost) in self.sums.iter_mut().zip(self.totals).zip(self.lost) {
            add_with_care(total, lost, *sum);
            *sum = T::ZERO;
        }
    }
}

/// The power of two that takes a number of this magnitude to one from 1 to 2; 1 if that is 0 or not finite.
///
/// Numbers are scaled by it without rounding, so that sums of their squares neither overflow nor vanish.
/// Those at the ends of the range are taken as far towards 1 as a normal number takes them.
///
/// ```
/// use downhill_tensor::reduce::unit_scale;
/// assert_eq!([6.0, -1.5, 0.1].map(unit_scale), [0.25, 1.0, 16.0]);
/// assert_eq!([0.0, f64::NAN, f64::INFINITY].map(unit_scale), [1.0; 3]);
/// ```
#[must_use]
pub fn unit_scale<T: Scalar>(magnitude: T) -> T {
    const EXPONENT: u64 = 0x7ff << 52;
    let magnitude = magnitude.abs();
    if magnitude == T::ZERO || !magnitude.is_finite() {
        return T::ONE;
    }
    let power = T::from_f64(f64::from_bits(magnitude.to_f64().to_bits() & EXPONENT));
    T::ONE / power.max(T::MIN_POSITIVE).min(T::ONE / T::MIN_POSITIVE)
}

/// The larger; not a number if either is not.
#[inline(always)]
fn larger<T: Scalar>(a: T, b: T) -> T {
    if (b > a) | b.is_nan() { b } else { a }
}

/// The smaller; not a number if either is not.
#[inline(always)]
fn smaller<T: Scalar>(a: T, b: T) -> T {
    if (b < a) | b.is_nan() { b } else { a }
}

/// Joins term(aᵢ, bᵢ) by `join`, which must leave `start` joined to anything as it is.
fn fold<A, B, S, F, J>(a: &[A], b: &[B], start: S, term: F, join: J) -> S
where
    A: Copy + Sync,
    B: Copy + Sync,
    S: Scalar,
    F: Fn(A, B) -> S + Copy + Send + Sync,
    J: Fn(S, S) -> S + Copy + Send + Sync,
{
    let block = |range: Range<usize>| vectorized(Block { a: &a[range.clone()], b: &b[range], start, term, join });
    tree(0..a.len(), &block, &join)
}

fn tree<S: Scalar>(
    range: Range<usize>,
    block: &(impl Fn(Range<usize>) -> S + Sync),
    join: &(impl Fn(S, S) -> S + Sync),
) -> S {
    if range.len() <= BLOCK {
        return block(range);
    }
    let middle = range.start + (range.len() / 2).next_multiple_of(BLOCK);
    let (left, right) = (range.start..middle, middle..range.end);
    let (left, right) = if range.len() >= 2 * GRAIN && threads::current() > 1 {
        threads::join(|| tree(left, block, join), || tree(right, block, join))
    } else {
        (tree(left, block, join), tree(right, block, join))
    };
    join(left, right)
}

struct Block<'a, A, B, S, F, J> {
    a: &'a [A],
    b: &'a [B],
    start: S,
    term: F,
    join: J,
}

impl<A: Copy, B: Copy, S: Scalar, F: Fn(A, B) -> S, J: Fn(S, S) -> S> Kernel for Block<'_, A, B, S, F, J> {
    type Output = S;

    #[inline(always)]
    fn run(self) -> S {
        lanes::fold(self.a, self.b, self.start, self.term, self.join)
    }
}

/// Sums and extremes for use inside a [`Kernel`]: these inline and do not fork. A sum of more than 4096 numbers is made
/// of those of as many at a time, as in `Totals`.
pub mod lanes {
    use std::hint::black_box;

    use super::{BLOCK, LANES, NOTHING, Totals};
    use crate::Scalar;

    /// Σ f(xᵢ).
    #[inline(always)]
    #[must_use]
    pub fn map_sum<T: Scalar, S: Scalar>(x: &[T], f: impl Fn(T) -> S) -> S {
        blocks(x, &NOTHING[..x.len()], |x, ()| f(x))
    }

    /// As many numbers are a few: their sum needs no loop over blocks.
    pub const FEW: usize = BLOCK;

    /// Σ xᵢ of at most [`FEW`] numbers.
    #[inline(always)]
    #[must_use]
    pub fn sum_of_few<T: Scalar>(x: &[T]) -> T {
        zip_sum_of_few(x, &NOTHING[..x.len()], |x, ()| x)
    }

    /// Σ f(aᵢ, bᵢ) over the shorter length, which is at most [`FEW`].
    #[inline(always)]
    #[must_use]
    pub fn zip_sum_of_few<A: Copy, B: Copy, S: Scalar>(a: &[A], b: &[B], f: impl Fn(A, B) -> S) -> S {
        debug_assert!(a.len().min(b.len()) <= FEW, "{} numbers are more than a few", a.len());
        fold(a, b, S::ZERO, f, plus)
    }

    /// Σ f(aᵢ, bᵢ) over the shorter length.
    #[inline(always)]
    #[must_use]
    pub fn zip_sum<T: Scalar, S: Scalar>(a: &[T], b: &[T], f: impl Fn(T, T) -> S) -> S {
        blocks(a, b, f)
    }

    #[inline(always)]
    fn plus<S: Scalar>(sum: S, x: S) -> S {
        sum + x
    }

    /// Σ term(aᵢ, bᵢ), block by block.
    ///
    /// One loop for a single block and for many, so that the terms are compiled once.
    #[inline(always)]
    fn blocks<A: Copy, B: Copy, S: Scalar>(a: &[A], b: &[B], term: impl Fn(A, B) -> S) -> S {
        let len = a.len().min(b.len());
        let mut totals = Totals::<S, 1, 1>::ZERO;
        let mut end = 0;
        loop {
            let here = end..len.min(end + BLOCK);
            end = here.end;
            let sum = fold(&a[here.clone()], &b[here], S::ZERO, &term, plus);
            if len <= BLOCK {
                return sum;
            }
            totals.add([[sum]]);
            if end == len {
                let [[sum]] = totals.value();
                return sum;
            }
        }
    }

    /// The largest magnitude, 0 for an empty slice; what is not a number is passed over.
    #[inline(always)]
    #[must_use]
    pub fn norm_max<T: Scalar>(x: &[T]) -> T {
        fold(x, &NOTHING[..x.len()], T::ZERO, |x, ()| x.abs(), T::max)
    }

    /// The largest number, −∞ for an empty slice; what is not a number is passed over.
    #[inline(always)]
    #[must_use]
    pub fn max<T: Scalar>(x: &[T]) -> T {
        fold(x, &NOTHING[..x.len()], -T::INFINITY, |x, ()| x, T::max)
    }

    #[inline(always)]
    pub(super) fn fold<A: Copy, B: Copy, S: Scalar>(
        a: &[A],
        b: &[B],
        start: S,
        term: impl Fn(A, B) -> S,
        join: impl Fn(S, S) -> S,
    ) -> S {
        let len = a.len().min(b.len());
        let (a, a_rest) = a[..len].as_chunks::<LANES>();
        let (b, b_rest) = b[..len].as_chunks::<LANES>();
        let mut eight = [start; 8];
        if !a.is_empty() {
            let mut lanes = [start; LANES];
            for (a, b) in a.iter().zip(b) {
                for i in 0..LANES {
                    lanes[i] = join(lanes[i], term(a[i], b[i]));
                }
            }
            // Through memory: otherwise the narrow steps below decide how the compiler packs the loop above.
            let lanes = black_box(lanes);
            for i in 0..8 {
                eight[i] = join(join(lanes[i], lanes[i + 16]), join(lanes[i + 8], lanes[i + 24]));
            }
        }
        let (a, a_rest) = a_rest.as_chunks::<8>();
        let (b, b_rest) = b_rest.as_chunks::<8>();
        for (a, b) in a.iter().zip(b) {
            for i in 0..8 {
                eight[i] = join(eight[i], term(a[i], b[i]));
            }
        }
        for i in 0..4 {
            eight[i] = join(eight[i], eight[i + 4]);
        }
        let mut one = join(join(eight[0], eight[2]), join(eight[1], eight[3]));
        for (&a, &b) in a_rest.iter().zip(b_rest) {
            one = join(one, term(a, b));
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::threads::Threads;
    use ndarray::{Array2, s};

    /// The order that the head of this file describes, step by step.
    fn plain_sum<T: Scalar>(x: &[T]) -> T {
        if x.len() > BLOCK {
            let (left, right) = x.split_at((x.len() / 2).next_multiple_of(BLOCK));
            return plain_sum(left) + plain_sum(right);
        }
        let mut lanes = vec![T::ZERO; 32];
        let mut rest = x;
        while rest.len() >= 32 {
            for i in 0..32 {
                lanes[i] += rest[i];
            }
            rest = &rest[32..];
        }
        while lanes.len() > 8 {
            lanes = halved(lanes);
        }
        while rest.len() >= 8 {
            for i in 0..8 {
                lanes[i] += rest[i];
            }
            rest = &rest[8..];
        }
        while lanes.len() > 1 {
            lanes = halved(lanes);
        }
        rest.iter().fold(lanes[0], |sum, &x| sum + x)
    }

    fn halved<T: Scalar>(lanes: Vec<T>) -> Vec<T> {
        let (low, high) = lanes.split_at(lanes.len() / 2);
        low.iter().zip(high).map(|(&a, &b)| a + b).collect()
    }

    fn lengths() -> impl Iterator<Item = usize> {
        (0..=130).chain([BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7, 4 * GRAIN + 123])
    }

    pub(super) fn numbers<T: Scalar>(len: usize) -> Vec<T> {
        let mut stream = Seed(1).stream(len as u64);
        (0..len).map(|_| T::from_f64(2.0 * stream.uniform() - 1.0)).collect()
    }

    fn check_order<T: Scalar>() {
        for len in lengths() {
            let (x, y) = (numbers::<T>(len), numbers::<T>(len).into_iter().rev().collect::<Vec<_>>());
            let products: Vec<f64> = x.iter().zip(&y).map(|(a, b)| a.to_f64() * b.to_f64()).collect();
            let squares: Vec<f64> = x.iter().map(|x| x.to_f64() * x.to_f64()).collect();
            let all = || (sum(&x), dot(&x, &y), sum_of_squares(&x));
            assert_eq!(all(), (plain_sum(&x), plain_sum(&products), plain_sum(&squares)), "{len}");
            for count in [2, 3] {
                assert_eq!(Threads::new(count).unwrap().run(all), all(), "{len} numbers on {count} threads");
            }
            let block = || Block { a: &x, b: &NOTHING[..len], start: T::ZERO, term: |x, ()| x, join: |a, b| a + b };
            assert_eq!(block().run(), vectorized(block()), "{len}");
        }
    }

    #[test]
    fn sums_keep_to_their_order_on_any_threads_and_instructions() {
        check_order::<f32>();
        check_order::<f64>();
    }

    #[test]
    fn lanes_end_with_the_shorter_slice() {
        assert_eq!(lanes::zip_sum(&[1.0; 40], &[2.0; 70], |a, b| a * b), 80.0);
        assert_eq!(lanes::map_sum(&[1.0f32; 41], f64::from), 41.0);
        assert_eq!((lanes::max(&[1.0, f64::NAN, 3.0]), lanes::max::<f32>(&[])), (3.0, f32::NEG_INFINITY));
    }

    #[test]
    fn a_long_sum_keeps_its_digits() {
        // One after the other, these lose the fourth digit.
        let x = vec![0.1f32; 10_000_000];
        assert!((f64::from(sum(&x)) / (1e7 * f64::from(0.1f32)) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn no_sum_loses_more_digits_the_longer_it_is() {
        // One after the other, a million of these are 1 % off.
        let of = |i: usize| 0.1 + 1e-3 * (i % 7) as f32;
        let close = |what: &str, found: f32, exact: f64| {
            let error = (f64::from(found) / exact - 1.0).abs();
            assert!(error < 1e-6, "{what}: {found} for {exact}, {error:e}");
        };
        let exact = |count: usize| (0..count).map(|i| f64::from(of(i))).sum::<f64>();
        for count in [1, 31, 127, 128, 129, 4096, 4097, 100_000, 1_000_000] {
            let x: Vec<f32> = (0..count).map(of).collect();
            let ones = vec![1.0; count];
            close("sum", sum(&x), exact(count));
            close("zip_sum", zip_sum(&x, &ones, |x, y| x * y), exact(count));
            close("lanes", lanes::map_sum(&x, |x| x), exact(count));
            close("lanes of two", lanes::zip_sum(&x, &ones, |x, y| x * y), exact(count));
            for columns in [1, 3, 17, 32, 33, 70].into_iter().filter(|&columns| columns <= count) {
                let rows = count / columns;
                let x = Array2::from_shape_fn((rows, columns), |(row, _)| of(row));
                let mut y = vec![f32::NAN; columns];
                column_sums(x.view(), &mut y);
                y.iter().for_each(|&y| close("column", y, exact(rows)));
                let apart = ndarray::concatenate![ndarray::Axis(1), x, x];
                column_sums(apart.slice(s![.., ..columns]), &mut y);
                y.iter().for_each(|&y| close("column of a part", y, exact(rows)));
            }
            for plane in [1, 2, 49].into_iter().filter(|&plane| 3 * plane <= count) {
                let examples = count / (3 * plane);
                let x: Vec<f32> = (0..examples).flat_map(|example| vec![of(example); 3 * plane]).collect();
                let mut y = [f32::NAN; 3];
                channel_sums(&x, &mut y, plane);
                y.iter().for_each(|&y| close("channel", y, plane as f64 * exact(examples)));
            }
        }
    }

    #[test]
    fn infinite_sums_of_blocks_are_infinite() {
        let mut x = vec![1.0f32; 20_000];
        x[9_000] = f32::INFINITY;
        assert_eq!(lanes::map_sum(&x, |x| x), f32::INFINITY);
        assert_eq!(lanes::map_sum(&vec![f32::MAX; 20_000], |x| x), f32::INFINITY);
        x[3] = f32::NEG_INFINITY;
        assert!(lanes::map_sum(&x, |x| x).is_nan());
    }

    #[test]
    fn a_scale_is_a_power_of_two_that_leads_to_one() {
        for x in [1.0, 1.999, 1e-30, 3e38, f32::MIN_POSITIVE, 1e20, -7.0] {
            let scale = unit_scale(x);
            assert_eq!(scale.to_bits() & 0x007f_ffff, 0, "{x}");
            assert!((1.0..4.0).contains(&(x * scale).abs()), "{x}");
        }
        assert_eq!(unit_scale(f32::from_bits(1)), 1.0 / f32::MIN_POSITIVE);
        assert_eq!(unit_scale(5e-324) * f64::MIN_POSITIVE, 1.0);
    }

    #[test]
    fn norms_overflow_only_where_their_value_does() {
        for scale in [1e-310, 1e-200, 1e-3, 1.0, 1e160, 1e307] {
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / (5.0 * scale) - 1.0).abs() < 1e-12, "{scale}");
        }
        assert_eq!(norm(&[f32::MAX; 4]), 2.0 * f64::from(f32::MAX));
        assert_eq!(norm(&[f32::from_bits(1); 4]), 2.0 * f64::from(f32::from_bits(1)));
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert_eq!(norm(&[0.0; 40]), 0.0);
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[f64::INFINITY, f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn extremes_stand_at_every_place_of_every_length() {
        for len in lengths().filter(|&len| len > 0) {
            let x = numbers::<f32>(len);
            for place in (0..len).step_by(1 + len / 97) {
                let mut y = x.clone();
                y[place] = 2.0;
                assert_eq!((max(&y), argmax(&y), norm_max(&y)), (Some(2.0), Some(place), 2.0));
                y[place] = -2.0;
                assert_eq!((min(&y), norm_max(&y)), (Some(-2.0), 2.0));
                assert!(all_finite(&y));
                for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    y[place] = wrong;
                    assert!(!all_finite(&y));
                }
                y[place] = f32::NAN;
                assert!(max(&y).unwrap().is_nan() && min(&y).unwrap().is_nan() && norm_max(&y).is_nan());
                assert_eq!(argmax(&y), Some(place));
            }
        }
        assert_eq!((max::<f64>(&[]), min::<f64>(&[]), argmax::<f64>(&[])), (None, None, None));
        assert_eq!(argmax(&[1.0, f64::NAN, 3.0, f64::NAN]), Some(1));
        assert_eq!(argmax(&[f64::NEG_INFINITY; 3]), Some(0));
        assert_eq!(max(&[f64::NEG_INFINITY; 40]), Some(f64::NEG_INFINITY));
        assert!(all_finite::<f64>(&[]) && all_finite(&[f32::MAX; 100]));
    }

    #[test]
    fn norms_keep_their_digits_at_both_ends_of_the_range() {
        for scale in [1e-310, 1e-200, 1e-3, 1.0, 1e160, 1e307] {
            let got = norm(&[3.0 * scale, 4.0 * scale]);
            assert!((got / (5.0 * scale) - 1.0).abs() < 1e-12, "{scale}: {got}");
        }
        assert_eq!(norm(&[3e30_f32, 4e30]), norm(&[3e30_f32 as f64, 4e30_f32 as f64]));
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan());
        assert!(norm(&[1.0, f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }
}
