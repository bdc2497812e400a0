//! Vector registers of either width and precision, by the processor's own instructions.

use std::arch::x86_64::*;

use crate::Scalar;

/// A vector register of `N` numbers.
pub(crate) trait Lanes: Copy {
    type Number: Scalar;
    const N: usize;

    /// # Safety
    /// Here and below: the processor knows the instructions, and what a pointer names can be read or written.
    unsafe fn zero() -> Self;
    unsafe fn splat(x: *const Self::Number) -> Self;
    unsafe fn load(x: *const Self::Number) -> Self;
    unsafe fn store(self, y: *mut Self::Number);
    /// The first `count` numbers, at most N, and zeros; no others are touched.
    unsafe fn load_first(x: *const Self::Number, count: usize) -> Self;
    /// Writes the first `count` numbers, at most N; no others are touched.
    unsafe fn store_first(self, y: *mut Self::Number, count: usize);
    unsafe fn add(self, other: Self) -> Self;
    /// self + a·b, rounded once.
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;
}

/// Numbers that are read and written at any address.
///
/// A development build checks the address wherever an instruction's own function reads or writes a register, which
/// takes longer than the arithmetic; not so here.
#[repr(C, packed)]
struct Unaligned<T>(T);

macro_rules! lanes {
    ($vector:ident, $float:ident, $n:literal, $zero:ident, $splat:ident, $add:ident, $fma:ident,
     $load_masked:ident, $mask:ident, $store_first:ident) => {
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
                unsafe { $splat((*x.cast::<Unaligned<$float>>()).0) }
            }
            #[inline(always)]
            unsafe fn load(x: *const $float) -> Self {
                // SAFETY: as above.
                unsafe { (*x.cast::<Unaligned<Self>>()).0 }
            }
            #[inline(always)]
            unsafe fn store(self, y: *mut $float) {
                // SAFETY: as above.
                unsafe { (*y.cast::<Unaligned<Self>>()).0 = self }
            }
            #[inline(always)]
            unsafe fn load_first(x: *const $float, count: usize) -> Self {
                // SAFETY: as above; the mask has a bit for each of the first numbers alone.
                unsafe { $load_masked(x, $mask(count)) }
            }
            #[inline(always)]
            unsafe fn store_first(self, y: *mut $float, count: usize) {
                // SAFETY: as above.
                unsafe { $store_first(self, y, count) }
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

/// Ones for the first `count` of eight lanes.
#[inline(always)]
unsafe fn first_of_8(count: usize) -> __m256i {
    const ONES_AND_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: eight numbers from any of the first nine lie within; the caller has AVX2.
    unsafe { _mm256_loadu_si256(ONES_AND_ZEROS.as_ptr().add(8 - count.min(8)).cast()) }
}

/// Ones for the first `count` of four lanes.
#[inline(always)]
unsafe fn first_of_4(count: usize) -> __m256i {
    const ONES_AND_ZEROS: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
    // SAFETY: four numbers from any of the first five lie within; the caller has AVX2.
    unsafe { _mm256_loadu_si256(ONES_AND_ZEROS.as_ptr().add(4 - count.min(4)).cast()) }
}

/// Ones for the first `count` of sixteen lanes.
#[inline(always)]
unsafe fn first_of_16(count: usize) -> u16 {
    // Of f64 there are eight: the upper half of the mask is cut off.
    ((1u32 << count.min(16)) - 1) as u16
}

#[inline(always)]
unsafe fn load_masked_ps(x: *const f32, mask: u16) -> __m512 {
    // SAFETY: the caller's promise, here and below.
    unsafe { _mm512_maskz_loadu_ps(mask, x) }
}

#[inline(always)]
unsafe fn load_masked_pd(x: *const f64, mask: u16) -> __m512d {
    // SAFETY: as above.
    unsafe { _mm512_maskz_loadu_pd(mask as u8, x) }
}

/// A masked store takes some processors dozens of cycles without AVX-512; halves and quarters do not.
#[inline(always)]
unsafe fn store_first_of_8(numbers: __m256, mut y: *mut f32, count: usize) {
    // SAFETY: the caller's promise; what is written adds up to `count`.
    unsafe {
        if count >= 8 {
            return _mm256_storeu_ps(y, numbers);
        }
        let mut rest = _mm256_castps256_ps128(numbers);
        if count & 4 != 0 {
            _mm_storeu_ps(y, rest);
            rest = _mm256_extractf128_ps::<1>(numbers);
            y = y.add(4);
        }
        if count & 2 != 0 {
            _mm_storel_epi64(y.cast(), _mm_castps_si128(rest));
            rest = _mm_movehl_ps(rest, rest);
            y = y.add(2);
        }
        if count & 1 != 0 {
            _mm_store_ss(y, rest);
        }
    }
}

#[inline(always)]
unsafe fn store_first_of_4(numbers: __m256d, mut y: *mut f64, count: usize) {
    // SAFETY: as above.
    unsafe {
        if count >= 4 {
            return _mm256_storeu_pd(y, numbers);
        }
        let mut rest = _mm256_castpd256_pd128(numbers);
        if count & 2 != 0 {
            _mm_storeu_pd(y, rest);
            rest = _mm256_extractf128_pd::<1>(numbers);
            y = y.add(2);
        }
        if count & 1 != 0 {
            _mm_store_sd(y, rest);
        }
    }
}

#[inline(always)]
unsafe fn store_first_of_16_ps(numbers: __m512, y: *mut f32, count: usize) {
    // SAFETY: as above.
    unsafe { _mm512_mask_storeu_ps(y, first_of_16(count), numbers) }
}

#[inline(always)]
unsafe fn store_first_of_16_pd(numbers: __m512d, y: *mut f64, count: usize) {
    // SAFETY: as above.
    unsafe { _mm512_mask_storeu_pd(y, first_of_16(count) as u8, numbers) }
}

lanes!(
    __m256,
    f32,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps,
    _mm256_maskload_ps,
    first_of_8,
    store_first_of_8
);
lanes!(
    __m256d,
    f64,
    4,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_add_pd,
    _mm256_fmadd_pd,
    _mm256_maskload_pd,
    first_of_4,
    store_first_of_4
);
lanes!(
    __m512,
    f32,
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps,
    load_masked_ps,
    first_of_16,
    store_first_of_16_ps
);
lanes!(
    __m512d,
    f64,
    8,
    _mm512_setzero_pd,
    _mm512_set1_pd,
    _mm512_add_pd,
    _mm512_fmadd_pd,
    load_masked_pd,
    first_of_16,
    store_first_of_16_pd
);

/// The registers of AVX-512 as plain numbers, so that a machine without them tests the code that is made for them.
#[cfg(test)]
pub(crate) mod pretend {
    use std::cell::Cell;

    use crate::Scalar;

    use super::Lanes;

    thread_local! {
        /// Whether this thread does so.
        pub(crate) static ON: Cell<bool> = const { Cell::new(false) };
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Wide<T>([T; 16]);

    impl<T: Scalar> Wide<T> {
        fn each(f: impl Fn(usize) -> T) -> Self {
            Self(std::array::from_fn(|lane| if lane < Self::N { f(lane) } else { T::ZERO }))
        }
    }

    // SAFETY, below: what a pointer names can be read or written, as the trait says.
    impl<T: Scalar> Lanes for Wide<T> {
        type Number = T;
        const N: usize = 64 / size_of::<T>();

        unsafe fn zero() -> Self {
            Self([T::ZERO; 16])
        }
        unsafe fn splat(x: *const T) -> Self {
            // SAFETY: see above.
            Self::each(|_| unsafe { *x })
        }
        unsafe fn load(x: *const T) -> Self {
            // SAFETY: see above.
            Self::each(|lane| unsafe { *x.add(lane) })
        }
        unsafe fn store(self, y: *mut T) {
            for lane in 0..Self::N {
                // SAFETY: see above.
                unsafe { *y.add(lane) = self.0[lane] };
            }
        }
        unsafe fn load_first(x: *const T, count: usize) -> Self {
            // SAFETY: see above.
            Self::each(|lane| if lane < count { unsafe { *x.add(lane) } } else { T::ZERO })
        }
        unsafe fn store_first(self, y: *mut T, count: usize) {
            for lane in 0..Self::N.min(count) {
                // SAFETY: see above.
                unsafe { *y.add(lane) = self.0[lane] };
            }
        }
        unsafe fn add(self, other: Self) -> Self {
            Self::each(|lane| self.0[lane] + other.0[lane])
        }
        unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
            Self::each(|lane| self.0[lane] + a.0[lane] * b.0[lane])
        }
    }
}
