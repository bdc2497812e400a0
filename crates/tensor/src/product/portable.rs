//! Products by `matrixmultiply`: any strides, any machine.

use crate::Scalar;

use super::{Job, Start};

/// The general product of `matrixmultiply` for this scalar.
pub trait Portable: Sized {
    /// c ← αab + βc, with pointers and strides (rows, then columns).
    ///
    /// # Safety
    /// As `matrixmultiply::sgemm`: every element that the sizes and strides reach can be read, and written in `c`.
    #[expect(clippy::too_many_arguments, reason = "the signature of every general matrix product")]
    unsafe fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: *const Self,
        a_strides: [isize; 2],
        b: *const Self,
        b_strides: [isize; 2],
        beta: Self,
        c: *mut Self,
        c_strides: [isize; 2],
    );
}

macro_rules! portable {
    ($float:ident, $gemm:ident) => {
        impl Portable for $float {
            unsafe fn gemm(
                m: usize,
                k: usize,
                n: usize,
                a: *const Self,
                a_strides: [isize; 2],
                b: *const Self,
                b_strides: [isize; 2],
                beta: Self,
                c: *mut Self,
                c_strides: [isize; 2],
            ) {
                let ([ra, ca], [rb, cb], [rc, cc]) = (a_strides, b_strides, c_strides);
                // SAFETY: the caller's promise is the one that this function asks for.
                unsafe { matrixmultiply::$gemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, beta, c, rc, cc) }
            }
        }
    };
}

portable!(f32, sgemm);
portable!(f64, dgemm);

pub(super) fn run<T: Scalar>(job: &mut Job<'_, T>) {
    let beta = if let Start::Existing = job.start { T::ONE } else { T::ZERO };
    let ((m, k), n) = (job.a.dim(), job.b.ncols());
    // SAFETY: the views' own sizes and strides; the door has checked that the sizes agree.
    unsafe {
        T::gemm(
            m,
            k,
            n,
            job.a.as_ptr(),
            strides(job.a.strides()),
            job.b.as_ptr(),
            strides(job.b.strides()),
            beta,
            job.c.as_mut_ptr(),
            strides(job.c.strides()),
        );
    }
    if let Start::Row(row) = job.start {
        for mut c in job.c.rows_mut() {
            c.iter_mut().zip(row).for_each(|(c, &row)| *c += row);
        }
    }
}

fn strides(strides: &[isize]) -> [isize; 2] {
    [strides[0], strides[1]]
}
