//! The register-tiled kernel: a few rows times a few vectors of the result are kept in registers over the inner sum.
//!
//! Each step of the inner sum loads one short row of b and multiplies it by one element of each row of a.
//! The operands are read where they lie, except that b's panel (a block of its rows, a tile wide) is kept
//! in a contiguous buffer on the stack, filled while the first rows of the result are computed:
//! rows of b whose distance is a power of two would otherwise share a few sets of the cache.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use crate::Scalar;
use crate::kernel::{Instructions, instructions};
use crate::lanes::Lanes;

use super::{Job, Start};

/// What is compiled once for each kind of register.
trait Compiled: Lanes {
    /// [`Strip::pack`], compiled for this vector's instructions.
    ///
    /// # Safety
    /// Here and below: the processor knows the instructions, and what a pointer names can be read or written.
    unsafe fn pack(strip: &Strip<Self::Number>, width: usize);

    /// [`Strip::tile`], compiled for this vector's instructions.
    unsafe fn tile<const R: usize, const C: usize, const KEEP: bool>(
        strip: &Strip<Self::Number>,
        row: usize,
        b: *const Self::Number,
        b_row: isize,
    );
}

macro_rules! compiled {
    ($vector:ident, $features:literal, $float:ident) => {
        impl Compiled for $vector {
            #[target_feature(enable = $features)]
            unsafe fn pack(strip: &Strip<$float>, width: usize) {
                // SAFETY: the caller's promise, here and below.
                unsafe { strip.pack(width) }
            }
            // Not inlined: there are a dozen of these for each vector, each used in several places.
            #[target_feature(enable = $features)]
            unsafe fn tile<const R: usize, const C: usize, const KEEP: bool>(
                strip: &Strip<$float>,
                row: usize,
                b: *const $float,
                b_row: isize,
            ) {
                // SAFETY: as above.
                unsafe { strip.tile::<Self, R, C, KEEP>(row, b, b_row) }
            }
        }
    };
}

compiled!(__m256, "avx2,fma", f32);
compiled!(__m256d, "avx2,fma", f64);
compiled!(__m512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma", f32);
compiled!(__m512d, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma", f64);

/// Which registers belong to a scalar.
pub trait Tiled: Sized {
    /// The rows and columns of a square that [`transpose`](Self::transpose) takes.
    const SQUARE: usize;

    /// Copies a square, its rows to columns; rows begin `from_row` and `to_row` numbers apart.
    ///
    /// # Safety
    /// The processor has AVX2; SQUARE rows of as many numbers can be read and written.
    unsafe fn transpose(from: *const Self, from_row: isize, to: *mut Self, to_row: usize);

    /// c ← start + a·b on a machine with AVX2 and FMA.
    ///
    /// # Safety
    /// The processor has these instructions; the task's pointers and strides reach only what may be read and written.
    unsafe fn multiply_avx2(task: &Task<Self>);

    /// c ← start + a·b on a machine with AVX-512.
    ///
    /// # Safety
    /// As above.
    unsafe fn multiply_avx512(task: &Task<Self>);

    /// Multiply-adds on the registers of AVX2.
    ///
    /// # Safety
    /// The processor has these instructions.
    unsafe fn chains_avx2(rounds: usize) -> Self;

    /// Multiply-adds on the registers of AVX-512.
    ///
    /// # Safety
    /// As above.
    unsafe fn chains_avx512(rounds: usize) -> Self;
}

macro_rules! tiled {
    ($float:ident, $avx2:ident, $avx512:ident, $square:literal, $transpose:ident) => {
        impl Tiled for $float {
            const SQUARE: usize = $square;

            #[inline]
            #[target_feature(enable = "avx2")]
            unsafe fn transpose(from: *const Self, from_row: isize, to: *mut Self, to_row: usize) {
                // SAFETY: the caller's promise.
                unsafe { $transpose(from, from_row, to, to_row) }
            }

            unsafe fn multiply_avx2(task: &Task<Self>) {
                // SAFETY: the caller's promise. Twelve accumulators, two vectors of b, one of a: 15 of 16 registers.
                unsafe { multiply::<$avx2, 6, 2>(task) }
            }

            unsafe fn multiply_avx512(task: &Task<Self>) {
                // SAFETY: the caller's promise. 24 accumulators, three vectors of b, one of a: 28 of 32 registers.
                unsafe { multiply::<$avx512, 8, 3>(task) }
            }

            #[target_feature(enable = "avx2,fma")]
            unsafe fn chains_avx2(rounds: usize) -> Self {
                // SAFETY: the caller's promise.
                unsafe { chains::<$avx2>(rounds) }
            }

            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            unsafe fn chains_avx512(rounds: usize) -> Self {
                // SAFETY: the caller's promise.
                unsafe { chains::<$avx512>(rounds) }
            }
        }
    };
}

tiled!(f32, __m256, __m512, 8, transpose_8);
tiled!(f64, __m256d, __m512d, 4, transpose_4);

/// # Safety
/// As for [`Tiled::transpose`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose_8(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's promise: eight rows of eight numbers, there and here.
    unsafe {
        let row = |i: isize| _mm256_loadu_ps(from.offset(i * from_row));
        // Pairs of rows, then fours, then halves change places.
        let pairs = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let ((a0, a1), (a2, a3)) = (pairs(row(0), row(1)), pairs(row(2), row(3)));
        let ((a4, a5), (a6, a7)) = (pairs(row(4), row(5)), pairs(row(6), row(7)));
        let fours = |a, b| (_mm256_shuffle_ps::<0b01_00_01_00>(a, b), _mm256_shuffle_ps::<0b11_10_11_10>(a, b));
        let ((b0, b1), (b2, b3)) = (fours(a0, a2), fours(a1, a3));
        let ((b4, b5), (b6, b7)) = (fours(a4, a6), fours(a5, a7));
        for (i, (low, high)) in [(b0, b4), (b1, b5), (b2, b6), (b3, b7)].into_iter().enumerate() {
            _mm256_storeu_ps(to.add(i * to_row), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(to.add((i + 4) * to_row), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
}

/// # Safety
/// As for [`Tiled::transpose`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose_4(from: *const f64, from_row: isize, to: *mut f64, to_row: usize) {
    // SAFETY: the caller's promise: four rows of four numbers, there and here.
    unsafe {
        let row = |i: isize| _mm256_loadu_pd(from.offset(i * from_row));
        let pairs = |a, b| (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let ((a0, a1), (a2, a3)) = (pairs(row(0), row(1)), pairs(row(2), row(3)));
        for (i, (low, high)) in [(a0, a2), (a1, a3)].into_iter().enumerate() {
            _mm256_storeu_pd(to.add(i * to_row), _mm256_permute2f128_pd::<0x20>(low, high));
            _mm256_storeu_pd(to.add((i + 2) * to_row), _mm256_permute2f128_pd::<0x31>(low, high));
        }
    }
}

/// A product as pointers and strides; the columns of c are contiguous.
#[derive(Debug)]
pub struct Task<T> {
    m: usize,
    n: usize,
    k: usize,
    a: *const T,
    a_row: isize,
    a_column: isize,
    b: *const T,
    b_row: isize,
    b_column: isize,
    c: *mut T,
    c_row: isize,
    start: First<T>,
}

/// What the first block of the inner sum is added to.
#[derive(Clone, Copy, Debug)]
enum First<T> {
    Zero,
    Row(*const T),
    Existing,
}

/// Computes the job and says so, or leaves it alone where this machine or the strides are not made for it.
pub(super) fn run<T: Scalar>(job: &mut Job<'_, T>) -> bool {
    let instructions = instructions();
    if instructions == Instructions::Portable {
        return false;
    }
    // An axis of length one has no stride to speak of.
    let unit = |axis: usize| job.c.strides()[axis] == 1 || job.c.shape()[axis] == 1;
    if !unit(1) {
        // Rows of the transposed result may be contiguous; but its start row would be a column.
        let transposable = unit(0) && !matches!(job.start, Start::Row(_));
        return transposable && run(&mut job.transposed());
    }
    let ((m, k), n) = (job.a.dim(), job.b.ncols());
    let task = Task {
        m,
        n,
        k,
        a: job.a.as_ptr(),
        a_row: job.a.strides()[0],
        a_column: job.a.strides()[1],
        b: job.b.as_ptr(),
        b_row: job.b.strides()[0],
        b_column: job.b.strides()[1],
        c: job.c.as_mut_ptr(),
        c_row: job.c.strides()[0],
        start: match job.start {
            Start::Zero => First::Zero,
            Start::Row(row) => First::Row(row.as_ptr()),
            Start::Existing => First::Existing,
        },
    };
    // SAFETY: the processor has the instructions; pointers, sizes and strides are the views' own,
    // and the door has checked that the sizes agree.
    unsafe {
        match instructions {
            Instructions::Avx512 => T::multiply_avx512(&task),
            _ => T::multiply_avx2(&task),
        }
    }
    true
}

/// The inner sum is cut into blocks of this many terms, so that a panel of b stays in the nearest cache.
const BLOCK_K: usize = 400;
/// Rows are cut into blocks of this many, so that a block of a stays in the second cache.
const BLOCK_M: usize = 240;
/// The largest panel in bytes: `BLOCK_K` rows of three 64-byte vectors.
const PANEL: usize = BLOCK_K * 3 * 64;

#[repr(align(64))]
struct Panel(MaybeUninit<[u8; PANEL]>);

/// # Safety
/// The processor knows the instructions of `V`, and the task's pointers and strides reach only what may be
/// read (a, b, a start row) or written (c).
unsafe fn multiply<V: Compiled, const R: usize, const C: usize>(task: &Task<V::Number>) {
    let width = C * V::N;
    let mut panel = Panel(MaybeUninit::uninit());
    let panel: *mut V::Number = panel.0.as_mut_ptr().cast();
    let blocks = task.k.div_ceil(BLOCK_K);
    for block in 0..blocks {
        // Blocks of nearly equal length: a short last one would pay the write of c for little work.
        let (k0, k1) = (task.k * block / blocks, task.k * (block + 1) / blocks);
        let start = if block == 0 { task.start } else { First::Existing };
        for i0 in (0..task.m).step_by(BLOCK_M) {
            let i1 = (i0 + BLOCK_M).min(task.m);
            for j0 in (0..task.n).step_by(width) {
                let columns = (task.n - j0).min(width);
                // SAFETY: k0 < k, i0 < m and j0 < n, so these elements exist; the strip's sizes stay within the task's.
                unsafe {
                    let strip = Strip {
                        rows: i1 - i0,
                        columns,
                        k: k1 - k0,
                        a: task.a.offset(i0 as isize * task.a_row + k0 as isize * task.a_column),
                        a_row: task.a_row,
                        a_column: task.a_column,
                        b: task.b.offset(k0 as isize * task.b_row + j0 as isize * task.b_column),
                        b_row: task.b_row,
                        b_column: task.b_column,
                        c: task.c.offset(i0 as isize * task.c_row + j0 as isize),
                        c_row: task.c_row,
                        start: match start {
                            First::Row(row) => First::Row(row.add(j0)),
                            other => other,
                        },
                        panel,
                    };
                    match columns.div_ceil(V::N) {
                        1 => strip.compute::<V, R, 1>(),
                        2 => strip.compute::<V, R, 2>(),
                        _ => strip.compute::<V, R, C>(),
                    }
                }
            }
        }
    }
}

/// Some rows of c, one tile wide.
struct Strip<T> {
    rows: usize,
    columns: usize,
    k: usize,
    a: *const T,
    a_row: isize,
    a_column: isize,
    b: *const T,
    b_row: isize,
    b_column: isize,
    c: *mut T,
    c_row: isize,
    start: First<T>,
    /// Room for k rows of the tile's width.
    panel: *mut T,
}

impl<T: Scalar> Strip<T> {
    /// # Safety
    /// As for [`multiply`]; `columns` is at most `C` vectors.
    unsafe fn compute<V: Compiled<Number = T>, const R: usize, const C: usize>(&self) {
        let width = C * V::N;
        let in_place = self.columns == width && self.b_column == 1;
        // SAFETY: rows advance by whole tiles within `rows`; the panel has room for k rows of this width.
        unsafe {
            if in_place && self.rows <= R {
                // Too few rows to use a copy of b.
                self.rows_from::<V, R, C>(0, self.b, self.b_row);
            } else if in_place {
                V::tile::<R, C, true>(self, 0, self.b, self.b_row);
                self.rows_from::<V, R, C>(R, self.panel, width as isize);
            } else {
                V::pack(self, width);
                self.rows_from::<V, R, C>(0, self.panel, width as isize);
            }
        }
    }

    /// All rows from `row` on, in tiles of R, then of four and of fewer.
    ///
    /// # Safety
    /// As for [`tile`](Self::tile).
    unsafe fn rows_from<V: Compiled<Number = T>, const R: usize, const C: usize>(
        &self,
        mut row: usize,
        b: *const T,
        b_row: isize,
    ) {
        // SAFETY: each tile's rows lie within `rows`.
        unsafe {
            // Tiles of two rows have too few sums to keep both multipliers busy: two of four are faster than six and two.
            while row + R <= self.rows && self.rows - row != R + 2 {
                V::tile::<R, C, false>(self, row, b, b_row);
                row += R;
            }
            while row + 4 <= self.rows {
                V::tile::<4, C, false>(self, row, b, b_row);
                row += 4;
            }
            while row + 2 <= self.rows {
                V::tile::<2, C, false>(self, row, b, b_row);
                row += 2;
            }
            if row < self.rows {
                V::tile::<1, C, false>(self, row, b, b_row);
            }
        }
    }

    /// `R` rows times `C` vectors of c, kept in registers over the inner sum; with `KEEP`, b's rows are copied
    /// to the panel on the way.
    ///
    /// # Safety
    /// Rows `row..row + R` exist; each of the k rows of `b` holds `C` vectors.
    #[inline(always)]
    unsafe fn tile<V: Compiled<Number = T>, const R: usize, const C: usize, const KEEP: bool>(
        &self,
        row: usize,
        b: *const T,
        b_row: isize,
    ) {
        // SAFETY: by the function's promise every pointer below stays within its matrix or the panel.
        unsafe {
            let mut sums = [[V::zero(); C]; R];
            let mut a = self.a.offset(row as isize * self.a_row);
            let mut b = b;
            let mut panel = self.panel;
            for _ in 0..self.k {
                let mut line = [V::zero(); C];
                for (vector, line) in line.iter_mut().enumerate() {
                    *line = V::load(b.add(vector * V::N));
                    if KEEP {
                        line.store(panel.add(vector * V::N));
                    }
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(a.offset(r as isize * self.a_row));
                    for (sum, &line) in sums.iter_mut().zip(&line) {
                        *sum = sum.multiply_add(x, line);
                    }
                }
                a = a.offset(self.a_column);
                b = b.offset(b_row);
                if KEEP {
                    // Rows of b far apart are found by no hardware prefetcher.
                    _mm_prefetch::<_MM_HINT_T0>(b.wrapping_offset(8 * b_row).cast());
                    panel = panel.add(C * V::N);
                }
            }
            let c = self.c.offset(row as isize * self.c_row);
            if self.columns == C * V::N {
                for (r, sums) in sums.iter().enumerate() {
                    self.write(sums, c.offset(r as isize * self.c_row));
                }
            } else {
                self.write_part(&sums, c);
            }
        }
    }

    /// One full row of a tile.
    ///
    /// # Safety
    /// `c` (and a start row) holds `C` vectors.
    #[inline(always)]
    unsafe fn write<V: Compiled<Number = T>, const C: usize>(&self, sums: &[V; C], c: *mut T) {
        for (vector, &sum) in sums.iter().enumerate() {
            // SAFETY: the function's promise.
            unsafe {
                let c = c.add(vector * V::N);
                let sum = match self.start {
                    First::Zero => sum,
                    First::Row(row) => sum.add(V::load(row.add(vector * V::N))),
                    First::Existing => sum.add(V::load(c)),
                };
                sum.store(c);
            }
        }
    }

    /// The rows of a tile that is wider than what is left of c, by way of a buffer.
    ///
    /// # Safety
    /// Each row of `c` (and a start row) holds `columns` elements.
    #[inline(always)]
    unsafe fn write_part<V: Compiled<Number = T>, const R: usize, const C: usize>(
        &self,
        sums: &[[V; C]; R],
        c: *mut T,
    ) {
        let mut buffer = [T::ZERO; 48];
        for (r, sums) in sums.iter().enumerate() {
            // SAFETY: the buffer holds three vectors of the largest kind; c and the start row hold `columns` elements.
            unsafe {
                for (vector, sum) in sums.iter().enumerate() {
                    sum.store(buffer.as_mut_ptr().add(vector * V::N));
                }
                let c = c.offset(r as isize * self.c_row);
                for (j, &sum) in buffer.iter().enumerate().take(self.columns) {
                    let c = c.add(j);
                    *c = match self.start {
                        First::Zero => sum,
                        First::Row(row) => sum + *row.add(j),
                        First::Existing => sum + *c,
                    };
                }
            }
        }
    }

    /// Copies b's rows to the panel, zeros beyond its last column.
    ///
    /// # Safety
    /// The panel has room for k rows of `width`, a multiple of [`Tiled::SQUARE`].
    #[inline(always)]
    unsafe fn pack(&self, width: usize) {
        let square = T::SQUARE;
        for j0 in (0..width).step_by(square) {
            let whole = if self.b_row == 1 && j0 + square <= self.columns { self.k / square * square } else { 0 };
            for p0 in (0..whole).step_by(square) {
                // SAFETY: whole rows and whole columns; each column of b is contiguous.
                unsafe {
                    let b = self.b.offset(p0 as isize + j0 as isize * self.b_column);
                    T::transpose(b, self.b_column, self.panel.add(p0 * width + j0), width);
                }
            }
            for p in whole..self.k {
                for j in j0..j0 + square {
                    // SAFETY: p < k; elements of b are read only where j < columns.
                    unsafe {
                        let value = if j < self.columns {
                            *self.b.offset(p as isize * self.b_row + j as isize * self.b_column)
                        } else {
                            T::ZERO
                        };
                        *self.panel.add(p * width + j) = value;
                    }
                }
            }
        }
    }
}

/// The numbers in the widest register that this machine uses, where it has kernels of its own.
pub(crate) fn register_width<T: Scalar>() -> Option<usize> {
    match instructions() {
        Instructions::Portable => None,
        Instructions::Avx2 => Some(32 / size_of::<T>()),
        Instructions::Avx512 => Some(64 / size_of::<T>()),
    }
}

/// Multiply-adds on registers alone: see [`crate::ceiling::multiply_add`].
pub(crate) fn multiply_add_chains<T: Scalar>(rounds: usize) -> Option<T> {
    match instructions() {
        Instructions::Portable => None,
        // SAFETY: the processor has the instructions.
        Instructions::Avx2 => Some(unsafe { T::chains_avx2(rounds) }),
        // SAFETY: as above.
        Instructions::Avx512 => Some(unsafe { T::chains_avx512(rounds) }),
    }
}

/// # Safety
/// The processor knows the instructions of `V`.
#[inline(always)]
unsafe fn chains<V: Compiled>(rounds: usize) -> V::Number {
    // SAFETY: the function's promise; the buffer holds the largest register.
    unsafe {
        // Known only at run time: with numbers that it knows, the compiler finds the fixed point and skips the loop.
        let numbers = std::hint::black_box([V::Number::of(0.999), V::Number::of(1e-3), V::Number::ONE]);
        let [a, b, one] =
            [V::splat(&raw const numbers[0]), V::splat(&raw const numbers[1]), V::splat(&raw const numbers[2])];
        let mut chains = [one; crate::ceiling::CHAINS];
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
