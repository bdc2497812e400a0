//! Softmax and its kin, for each row of a matrix (rows, columns) given as a slice.
//!
//! Each function overwrites all of its result, allocates nothing and shares rows among the current threads.
//! A row's result has the same bits whatever stands next to it.
//!
//! The largest number of a row is subtracted before exponentials are taken, so that none overflows.
//! At the edges the results are PyTorch's: a row that is −∞ throughout, or holds +∞ or what is not a number,
//! has a softmax that is not a number; an entry −∞ next to finite ones has the softmax 0.

use crate::reduce::{NOTHING, lanes};
use crate::{Divisible, Kernel, Scalar, parallel};

/// Whole rows of about this many numbers in all go through all steps before the next ones: they stay in L1, and short
/// rows share one vectorised loop.
const TILE: usize = 1024;

/// Below this many numbers a thread, a fork costs more than it saves.
const GRAIN: usize = 8 * 1024;

crate::compiled! {
    /// yᵢ = ln Σⱼ exp(xᵢⱼ): one number for each row.
    ///
    /// −∞ for a row that is −∞ throughout or empty, +∞ for one that holds +∞.
    ///
    /// # Shapes
    /// x: (rows, columns); y: (rows)
    ///
    /// # Panics
    /// If `x` does not have `columns` numbers for each of `y`.
    ///
    /// ```
    /// use downhill_tensor::softmax::log_sum_exp;
    /// let mut y = [0.0];
    /// log_sum_exp(&[1000.0, 1000.0], &mut y, 2);
    /// assert_eq!(y[0], 1000.0 + 2f64.ln());
    /// ```
    pub fn log_sum_exp<T: Scalar>(x: &[T], y: &mut [T], columns: usize) {
        assert_eq!(Some(x.len()), y.len().checked_mul(columns), "log_sum_exp needs one result for each row");
        parallel(LogSumExp { x, y, columns }, GRAIN);
    }

    /// yᵢⱼ = exp(xᵢⱼ) / Σₖ exp(xᵢₖ).
    ///
    /// # Shapes
    /// x, y: (rows, columns)
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    ///
    /// ```
    /// use downhill_tensor::softmax::softmax;
    /// let mut y = [0.0; 4];
    /// softmax(&[0.0, 0.0, 1000.0, 0.0], &mut y, 2);
    /// assert_eq!(y, [0.5, 0.5, 1.0, 0.0]);
    /// ```
    pub fn softmax<T: Scalar>(x: &[T], y: &mut [T], columns: usize) {
        by_rows(Softmax, Some(x), None, y, columns);
    }

    /// [`softmax`] in place: y holds x.
    ///
    /// # Panics
    /// If the length is no multiple of `columns`.
    pub fn softmax_in_place<T: Scalar>(y: &mut [T], columns: usize) {
        by_rows(Softmax, None, None, y, columns);
    }

    /// yᵢⱼ = xᵢⱼ − ln Σₖ exp(xᵢₖ).
    ///
    /// # Shapes
    /// x, y: (rows, columns)
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    pub fn log_softmax<T: Scalar>(x: &[T], y: &mut [T], columns: usize) {
        by_rows(LogSoftmax, Some(x), None, y, columns);
    }

    /// [`log_softmax`] in place: y holds x.
    ///
    /// # Panics
    /// If the length is no multiple of `columns`.
    pub fn log_softmax_in_place<T: Scalar>(y: &mut [T], columns: usize) {
        by_rows(LogSoftmax, None, None, y, columns);
    }

    /// dxᵢⱼ = yᵢⱼ·(dyᵢⱼ − Σₖ yᵢₖ·dyᵢₖ) for y = softmax(x).
    ///
    /// # Shapes
    /// y, dy, dx: (rows, columns)
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    pub fn softmax_backward<T: Scalar>(y: &[T], dy: &[T], dx: &mut [T], columns: usize) {
        by_rows(SoftmaxBackward, Some(dy), Some(y), dx, columns);
    }

    /// [`softmax_backward`] in place: dx holds dy.
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    pub fn softmax_backward_in_place<T: Scalar>(y: &[T], dx: &mut [T], columns: usize) {
        by_rows(SoftmaxBackward, None, Some(y), dx, columns);
    }

    /// dxᵢⱼ = dyᵢⱼ − exp(yᵢⱼ)·Σₖ dyᵢₖ for y = log_softmax(x).
    ///
    /// # Shapes
    /// y, dy, dx: (rows, columns)
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    pub fn log_softmax_backward<T: Scalar>(y: &[T], dy: &[T], dx: &mut [T], columns: usize) {
        by_rows(LogSoftmaxBackward, Some(dy), Some(y), dx, columns);
    }

    /// [`log_softmax_backward`] in place: dx holds dy.
    ///
    /// # Panics
    /// If the lengths differ, or are no multiple of `columns`.
    pub fn log_softmax_backward_in_place<T: Scalar>(y: &[T], dx: &mut [T], columns: usize) {
        by_rows(LogSoftmaxBackward, None, Some(y), dx, columns);
    }
}

/// A step that is applied to whole rows. A trait and not a closure, because a long closure would not be inlined.
trait RowLoop: Copy + Send {
    /// Overwrites rows of `result`, from `source` or else from what they hold, and from `other`.
    fn run<T: Scalar>(self, source: Option<&[T]>, other: &[T], result: &mut [T], columns: usize);
}

#[derive(Clone, Copy)]
struct Softmax;

#[derive(Clone, Copy)]
struct LogSoftmax;

#[derive(Clone, Copy)]
struct SoftmaxBackward;

#[derive(Clone, Copy)]
struct LogSoftmaxBackward;

impl RowLoop for Softmax {
    #[inline(always)]
    fn run<T: Scalar>(self, x: Option<&[T]>, _: &[T], y: &mut [T], columns: usize) {
        subtract_largest(x, y, columns);
        for y in y.iter_mut() {
            *y = y.exp();
        }
        for row in y.chunks_exact_mut(columns) {
            let sum = lanes::map_sum(row, |y| y);
            for y in row {
                *y /= sum;
            }
        }
    }
}

impl RowLoop for LogSoftmax {
    #[inline(always)]
    fn run<T: Scalar>(self, x: Option<&[T]>, _: &[T], y: &mut [T], columns: usize) {
        subtract_largest(x, y, columns);
        for row in y.chunks_exact_mut(columns) {
            let log_sum = lanes::map_sum(row, |y| y.exp()).ln();
            for y in row {
                *y -= log_sum;
            }
        }
    }
}

#[inline(always)]
fn subtract_largest<T: Scalar>(x: Option<&[T]>, y: &mut [T], columns: usize) {
    for (i, y) in y.chunks_exact_mut(columns).enumerate() {
        let x = row(x, i, columns);
        let largest = lanes::max(x.unwrap_or(y));
        overwrite(x, &NOTHING[..columns], y, |x, ()| x - largest);
    }
}

impl RowLoop for SoftmaxBackward {
    #[inline(always)]
    fn run<T: Scalar>(self, dy: Option<&[T]>, y: &[T], dx: &mut [T], columns: usize) {
        for (i, (y, dx)) in y.chunks_exact(columns).zip(dx.chunks_exact_mut(columns)).enumerate() {
            let dy = row(dy, i, columns);
            let sum = lanes::zip_sum(y, dy.unwrap_or(dx), |y, dy| y * dy);
            overwrite(dy, y, dx, |dy, y| y * (dy - sum));
        }
    }
}

impl RowLoop for LogSoftmaxBackward {
    #[inline(always)]
    fn run<T: Scalar>(self, dy: Option<&[T]>, y: &[T], dx: &mut [T], columns: usize) {
        for (i, (y, dx)) in y.chunks_exact(columns).zip(dx.chunks_exact_mut(columns)).enumerate() {
            let dy = row(dy, i, columns);
            let sum = lanes::map_sum(dy.unwrap_or(dx), |dy| dy);
            overwrite(dy, y, dx, |dy, y| dy - y.exp() * sum);
        }
    }
}

#[inline(always)]
fn row<T>(x: Option<&[T]>, i: usize, columns: usize) -> Option<&[T]> {
    x.map(|x| &x[i * columns..(i + 1) * columns])
}

/// resultᵢ = f(sourceᵢ or else resultᵢ, otherᵢ).
#[inline(always)]
fn overwrite<T: Scalar, B: Copy>(source: Option<&[T]>, other: &[B], result: &mut [T], f: impl Fn(T, B) -> T) {
    match source {
        Some(source) => {
            for ((result, &source), &other) in result.iter_mut().zip(source).zip(other) {
                *result = f(source, other);
            }
        }
        None => {
            for (result, &other) in result.iter_mut().zip(other) {
                *result = f(*result, other);
            }
        }
    }
}

/// Takes `step` over `result`, tile after tile.
fn by_rows<T: Scalar>(step: impl RowLoop, source: Option<&[T]>, other: Option<&[T]>, result: &mut [T], columns: usize) {
    for other in [source, other].into_iter().flatten() {
        assert_eq!(other.len(), result.len(), "rows need as many results as arguments");
    }
    let whole = result.len().checked_rem(columns).map_or(result.is_empty(), |rest| rest == 0);
    assert!(whole, "{} numbers do not fill rows of {columns}", result.len());
    if !result.is_empty() {
        parallel(ByRows { step, source, other, result, columns }, GRAIN);
    }
}

struct ByRows<'a, T, S> {
    step: S,
    source: Option<&'a [T]>,
    other: Option<&'a [T]>,
    result: &'a mut [T],
    columns: usize,
}

impl<T: Scalar, S: RowLoop> Kernel for ByRows<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let length = (TILE / self.columns).max(1) * self.columns;
        for (index, result) in self.result.chunks_mut(length).enumerate() {
            let tile = index * length..index * length + result.len();
            let source = self.source.map(|source| &source[tile.clone()]);
            let other = self.other.map_or(&[][..], |other| &other[tile]);
            self.step.run(source, other, result, self.columns);
        }
    }
}

impl<T: Scalar, S: RowLoop> Divisible for ByRows<'_, T, S> {
    fn elements(&self) -> usize {
        self.result.len()
    }

    // A row is never cut.
    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { step, columns, .. } = self;
        let middle = middle / columns * columns;
        let (source0, source1) = self.source.map(|source| source.split_at(middle)).unzip();
        let (other0, other1) = self.other.map(|other| other.split_at(middle)).unzip();
        let (result0, result1) = self.result.split_at_mut(middle);
        (
            Self { step, source: source0, other: other0, result: result0, columns },
            Self { step, source: source1, other: other1, result: result1, columns },
        )
    }
}

struct LogSumExp<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    columns: usize,
}

impl<T: Scalar> Kernel for LogSumExp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (i, y) in self.y.iter_mut().enumerate() {
            let row = &self.x[i * self.columns..(i + 1) * self.columns];
            let largest = lanes::max(row);
            // An infinite number must not be subtracted from itself.
            let largest = if largest.is_finite() { largest } else { T::ZERO };
            *y = largest + lanes::map_sum(row, |x| (x - largest).exp()).ln();
        }
    }
}

impl<T: Scalar> Divisible for LogSumExp<'_, T> {
    fn elements(&self) -> usize {
        self.x.len()
    }

    // A row is never cut.
    fn cut(self, middle: usize) -> (Self, Self) {
        let rows = middle / self.columns;
        let (x0, x1) = self.x.split_at(rows * self.columns);
        let (y0, y1) = self.y.split_at_mut(rows);
        (Self { x: x0, y: y0, columns: self.columns }, Self { x: x1, y: y1, columns: self.columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::threads::Threads;

    const SHAPES: [(usize, usize); 9] =
        [(0, 3), (1, 1), (7, 1), (5, 10), (3, 31), (130, 10), (3, 129), (2, 2500), (300, 64)];

    fn numbers<T: Scalar>(len: usize, key: u64) -> Vec<T> {
        let mut stream = Seed(2).stream(key);
        (0..len).map(|_| T::from_f64(20.0 * stream.uniform() - 10.0)).collect()
    }

    /// ln Σ exp of one row, in another way.
    fn plain_log_sum_exp(row: &[f64]) -> f64 {
        row.iter().fold(f64::NEG_INFINITY, |sum, &x| {
            let (high, low) = if x > sum { (x, sum) } else { (sum, x) };
            high + libm::log1p(libm::exp(low - high))
        })
    }

    /// Relative to `scale` where the expected number is smaller.
    fn close(what: &str, got: f64, expected: f64, scale: f64, tolerance: f64) {
        assert!((got - expected).abs() <= tolerance * expected.abs().max(scale), "{what}: {got}, not {expected}");
    }

    fn check_values<T: Scalar>(tolerance: f64) {
        for (rows, columns) in SHAPES {
            let (x, dy) = (numbers::<T>(rows * columns, 0), numbers::<T>(rows * columns, 1));
            let nan = || vec![T::NAN; x.len()];
            let (mut soft, mut log, mut sums) = (nan(), nan(), vec![T::NAN; rows]);
            softmax(&x, &mut soft, columns);
            log_softmax(&x, &mut log, columns);
            log_sum_exp(&x, &mut sums, columns);
            let (mut soft_dx, mut log_dx) = (nan(), nan());
            softmax_backward(&soft, &dy, &mut soft_dx, columns);
            log_softmax_backward(&log, &dy, &mut log_dx, columns);
            for (i, &log_sum) in sums.iter().enumerate() {
                let range = i * columns..(i + 1) * columns;
                let wide = |x: &[T]| x[range.clone()].iter().map(|x| x.to_f64()).collect::<Vec<_>>();
                let (x, dy) = (wide(&x), wide(&dy));
                let sum = plain_log_sum_exp(&x);
                close("log_sum_exp", log_sum.to_f64(), sum, 20.0, tolerance);
                let p: Vec<f64> = x.iter().map(|x| libm::exp(x - sum)).collect();
                let mean: f64 = p.iter().zip(&dy).map(|(p, dy)| p * dy).sum();
                let total: f64 = dy.iter().sum();
                let (soft, log, soft_dx, log_dx) = (wide(&soft), wide(&log), wide(&soft_dx), wide(&log_dx));
                for j in 0..columns {
                    close("softmax", soft[j], p[j], 0.0, 50.0 * tolerance);
                    close("log_softmax", log[j], x[j] - sum, 20.0, tolerance);
                    close("softmax_backward", soft_dx[j], p[j] * (dy[j] - mean), p[j], 50.0 * tolerance);
                    close("log_softmax_backward", log_dx[j], dy[j] - p[j] * total, 1.0, 300.0 * tolerance);
                }
            }
        }
    }

    #[test]
    fn values_are_those_of_another_way() {
        check_values::<f32>(5e-7);
        check_values::<f64>(2e-15);
    }

    #[test]
    fn in_place_and_on_threads_are_the_same_bits() {
        for (rows, columns) in SHAPES {
            let (x, dy) = (numbers::<f32>(rows * columns, 0), numbers::<f32>(rows * columns, 1));
            let mut y = x.clone();
            softmax(&x, &mut y, columns);
            let all = || {
                let mut results = [x.clone(), x.clone(), x.clone(), x.clone(), vec![0.0; rows]];
                softmax(&x, &mut results[0], columns);
                log_softmax(&x, &mut results[1], columns);
                softmax_backward(&y, &dy, &mut results[2], columns);
                log_softmax_backward(&y, &dy, &mut results[3], columns);
                log_sum_exp(&x, &mut results[4], columns);
                results
            };
            let expected = all();
            assert_eq!(Threads::new(3).unwrap().run(all), expected);
            let mut results = [x.clone(), x.clone(), dy.clone(), dy.clone()];
            softmax_in_place(&mut results[0], columns);
            log_softmax_in_place(&mut results[1], columns);
            softmax_backward_in_place(&y, &mut results[2], columns);
            log_softmax_backward_in_place(&y, &mut results[3], columns);
            assert_eq!(results, expected[..4], "{rows}x{columns}");
            // One row alone.
            if rows > 0 {
                let mut last = vec![0.0; columns];
                softmax(&x[(rows - 1) * columns..], &mut last, columns);
                assert_eq!(last, expected[0][(rows - 1) * columns..]);
            }
        }
    }

    #[test]
    fn edges_are_those_of_pytorch() {
        let (infinity, nan) = (f64::INFINITY, f64::NAN);
        let run = |x: [f64; 3]| {
            let (mut soft, mut log, mut sum) = ([0.0; 3], [0.0; 3], [0.0]);
            softmax(&x, &mut soft, 3);
            log_softmax(&x, &mut log, 3);
            log_sum_exp(&x, &mut sum, 3);
            (soft, log, sum[0])
        };
        let (soft, log, sum) = run([-infinity; 3]);
        assert!(soft.iter().chain(&log).all(|y| y.is_nan()));
        assert_eq!(sum, -infinity);
        let (soft, log, sum) = run([0.0, infinity, 0.0]);
        assert!(soft.iter().chain(&log).any(|y| y.is_nan()));
        assert_eq!(sum, infinity);
        let (soft, log, sum) = run([0.0, nan, 0.0]);
        assert!(soft.iter().chain(&log).all(|y| y.is_nan()) && sum.is_nan());
        let (soft, log, sum) = run([-infinity, 0.0, 0.0]);
        assert_eq!((soft, log[0], sum), ([0.0, 0.5, 0.5], -infinity, 2f64.ln()));
        let (soft, log, sum) = run([1e308, -1e308, 1e308]);
        assert_eq!((soft, log[1], sum), ([0.5, 0.0, 0.5], -infinity, 1e308));
        // Rows of nothing.
        let mut sums = [0.0; 2];
        log_sum_exp(&[], &mut sums, 0);
        assert_eq!(sums, [-infinity; 2]);
        softmax::<f64>(&[], &mut [], 0);
    }

    #[test]
    #[should_panic(expected = "5 numbers do not fill rows of 2")]
    fn half_a_row_is_refused() {
        softmax_in_place(&mut [0.0; 5], 2);
    }

    #[test]
    #[should_panic(expected = "5 numbers do not fill rows of 0")]
    fn numbers_without_columns_are_refused() {
        softmax_in_place(&mut [0.0; 5], 0);
    }
}
