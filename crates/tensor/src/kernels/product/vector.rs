//! Products with one row, one column or an inner axis of one: no element is used twice, so memory is the limit.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2, Axis};

use crate::reduce::lanes;
use crate::{Kernel, Scalar, vectorized};

use super::{Accumulate, Job, run_matrix};

pub(super) fn run<T: Scalar>(job: &mut Job<'_, T>) {
    let ((m, k), n) = (job.a.dim(), job.b.ncols());
    if k == 1 {
        return outer(job);
    }
    if m == 1 {
        return row(job);
    }
    debug_assert_eq!(n, 1);
    if let Accumulate::Bias(bias) = job.start {
        // One bias for the whole column: as a column it is no row of the transposed product.
        job.c.fill(bias[0]);
        job.start = Accumulate::Add;
    }
    row(&mut job.transposed());
}

/// c (1, n) ← start + a (1, k) · b (k, n).
fn row<T: Scalar>(job: &mut Job<'_, T>) {
    let unit_rows = job.b.strides()[1] == 1 || job.b.ncols() == 1;
    let unit_columns = job.b.strides()[0] == 1 || job.b.nrows() == 1;
    #[cfg(target_arch = "x86_64")]
    if unit_rows && job.b.ncols() > 1 && super::tile::run(job) {
        return;
    }
    let a = job.a.row(0);
    let mut c = job.c.row_mut(0);
    let (Some(a), Some(slice), true) = (a.as_slice(), c.as_slice_mut(), unit_rows || unit_columns) else {
        return run_matrix(job);
    };
    match job.start {
        Accumulate::Overwrite => slice.fill(T::ZERO),
        Accumulate::Bias(row) => slice.copy_from_slice(row),
        Accumulate::Add => {}
    }
    if unit_rows && !unit_columns {
        vectorized(Combine { a, b: job.b, c: slice });
    } else {
        vectorized(Dots { a, b: job.b.reversed_axes(), c: slice });
    }
}

/// c ← c + Σ_p a[p] · b[p, :], four rows of b at a time, so that c is read and written a quarter as often.
struct Combine<'a, T> {
    a: &'a [T],
    b: ArrayView2<'a, T>,
    c: &'a mut [T],
}

impl<T: Scalar> Kernel for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, b, c } = self;
        let line = |p: usize| contiguous(b.index_axis_move(Axis(0), p));
        let whole = a.len() / 4 * 4;
        for p in (0..whole).step_by(4) {
            let (b0, b1, b2, b3) = (line(p), line(p + 1), line(p + 2), line(p + 3));
            let n = c.len();
            let (b0, b1, b2, b3) = (&b0[..n], &b1[..n], &b2[..n], &b3[..n]);
            for j in 0..n {
                c[j] += (a[p] * b0[j] + a[p + 1] * b1[j]) + (a[p + 2] * b2[j] + a[p + 3] * b3[j]);
            }
        }
        for (p, &a) in a.iter().enumerate().skip(whole) {
            for (c, &b) in c.iter_mut().zip(line(p)) {
                *c += a * b;
            }
        }
    }
}

/// c[j] ← c[j] + a · b[j, :], each in the order of [`reduce`](crate::reduce).
struct Dots<'a, T> {
    a: &'a [T],
    /// (n, k), rows contiguous.
    b: ArrayView2<'a, T>,
    c: &'a mut [T],
}

impl<T: Scalar> Kernel for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, b, c } = self;
        // Apart, since a loop over blocks changes how the usual case is compiled.
        if a.len() <= lanes::FEW {
            for (j, c) in c.iter_mut().enumerate() {
                *c += lanes::zip_sum_of_few(a, contiguous(b.index_axis_move(Axis(0), j)), |a, b| a * b);
            }
        } else {
            for (j, c) in c.iter_mut().enumerate() {
                *c += lanes::zip_sum(a, contiguous(b.index_axis_move(Axis(0), j)), |a, b| a * b);
            }
        }
    }
}

/// c (m, n) ← start + a (m, 1) · b (1, n): the weight gradient of a batch of one.
fn outer<T: Scalar>(job: &mut Job<'_, T>) {
    if let Accumulate::Bias(_) = job.start {
        job.write_start();
        job.start = Accumulate::Add;
    }
    let (add, c) = (matches!(job.start, Accumulate::Add), job.c.view_mut());
    let (a, b) = (job.a.index_axis(Axis(1), 0), job.b.index_axis(Axis(0), 0));
    let (a, b, c) = if c.strides()[1] == 1 || c.ncols() == 1 { (a, b, c) } else { (b, a, c.reversed_axes()) };
    vectorized(Outer { a, b, c, add });
}

/// c ← a bᵀ, or c ← c + a bᵀ, row by row.
struct Outer<'a, T> {
    a: ArrayView1<'a, T>,
    b: ArrayView1<'a, T>,
    c: ArrayViewMut2<'a, T>,
    add: bool,
}

impl<T: Scalar> Kernel for Outer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, b, mut c, add } = self;
        for (&a, mut c) in a.iter().zip(c.rows_mut()) {
            match (b.as_slice(), c.as_slice_mut()) {
                (Some(b), Some(c)) if add => c.iter_mut().zip(b).for_each(|(c, &b)| *c += a * b),
                (Some(b), Some(c)) => c.iter_mut().zip(b).for_each(|(c, &b)| *c = a * b),
                _ if add => c.iter_mut().zip(b).for_each(|(c, &b)| *c += a * b),
                _ => c.iter_mut().zip(b).for_each(|(c, &b)| *c = a * b),
            }
        }
    }
}

/// A row whose stride is one (an axis of length one has no stride to speak of).
#[inline(always)]
fn contiguous<T>(row: ArrayView1<'_, T>) -> &[T] {
    match row.to_slice() {
        Some(slice) => slice,
        None => unreachable!("the caller chose this loop because rows are contiguous"),
    }
}
