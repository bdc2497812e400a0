//! Vector registers of either width and precision, by the processor's own instructions.

use std::arch::x86_64::*;

use crate::Scalar;

/// A vector register of `N` numbers.
pub trait Lanes: Copy {
    type Number: Scalar;
    const N: usize;

    /// # Safety
    /// Here and below: the processor knows the instructions, and what a pointer names can be read or written.
    unsafe fn zero() -> Self;
    unsafe fn splat(x: *const Self::Number) -> Self;
    unsafe fn load(x: *const Self::Number) -> Self;
    unsafe fn store(self, y: *mut Self::Number);
    unsafe fn add(self, other: Self) -> Self;
    /// self + a·b, rounded once.
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;
}

macro_rules! lanes {
    ($vector:ident, $float:ident, $n:literal, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
        impl Lanes for $vector {
            type Number = $float;
            const N: usize = $n;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's promise, here and in all the methods below.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn splat(x: *const $float) -> Self {
                // SAFETY: as above.
                unsafe { $splat(*x) }
            }
            #[inline(always)]
            unsafe fn load(x: *const $float) -> Self {
                // SAFETY: as above.
                unsafe { $load(x) }
            }
            #[inline(always)]
            unsafe fn store(self, y: *mut $float) {
                // SAFETY: as above.
                unsafe { $store(y, self) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $fma(a, b, self) }
            }
        }
    };
}

lanes!(
    __m256,
    f32,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps
);
lanes!(
    __m256d,
    f64,
    4,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_fmadd_pd
);
lanes!(
    __m512,
    f32,
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps
);
lanes!(
    __m512d,
    f64,
    8,
    _mm512_setzero_pd,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_fmadd_pd
);
