//! Products by `matrixmultiply`: any strides, any machine.

use crate::{Family, Scalar};

use super::{Accumulate, Job};

/// c ← αab + βc by `matrixmultiply`: m, k, n, α, then each matrix with its strides of rows and of columns.
type Gemm<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

struct Gemms;

impl Family for Gemms {
    type Of<T: Scalar> = Gemm<T>;
}

pub(super) fn run<T: Scalar>(job: &mut Job<'_, T>) {
    let gemm = T::choose::<Gemms>((matrixmultiply::sgemm, matrixmultiply::dgemm));
    let beta = if let Accumulate::Add = job.start { T::ONE } else { T::ZERO };
    let ((m, k), n) = (job.a.dim(), job.b.ncols());
    let ([ra, ca], [rb, cb], [rc, cc]) = (strides(job.a.strides()), strides(job.b.strides()), strides(job.c.strides()));
    // SAFETY: the views' own sizes and strides; the door has checked that the sizes agree.
    unsafe {
        gemm(m, k, n, T::ONE, job.a.as_ptr(), ra, ca, job.b.as_ptr(), rb, cb, beta, job.c.as_mut_ptr(), rc, cc);
    }
    if let Accumulate::Bias(row) = job.start {
        for mut c in job.c.rows_mut() {
            c.iter_mut().zip(row).for_each(|(c, &row)| *c += row);
        }
    }
}

fn strides(strides: &[isize]) -> [isize; 2] {
    [strides[0], strides[1]]
}
