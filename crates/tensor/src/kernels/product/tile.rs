//! The register-tiled kernel: a few rows times a few vectors of the result are kept in registers over the inner sum.
//!
//! Each step of the inner sum loads one short row of b and multiplies it by one element of each row of a.
//! The operands are read where they lie, except that b's panel (a block of its rows, a tile wide) is kept
//! in a contiguous buffer, filled while the first rows of the result are computed:
//! rows of b whose distance is a power of two would otherwise share a few sets of the cache.

use std::arch::x86_64::*;

use ndarray::{ArrayViewMut2, Axis, ShapeBuilder};

use crate::kernel::{Instructions, instructions};
use crate::lanes::Lanes;
#[cfg(test)]
use crate::lanes::pretend;
use crate::{Family, Scalar};

use super::{Accumulate, Job};

mod row;
mod rows;

use self::row::row;
use self::rows::{Rows, room};

/// The loops that are compiled once for each kind of register.
trait Compiled: Lanes<Number: Tiled> {
    /// [`Strip::pack`], compiled for this vector's instructions.
    ///
    /// # Safety
    /// Here and below: the processor knows the instructions, and what a pointer names can be read or written.
    unsafe fn pack<const R: usize>(strip: &Strip<'_, Self::Number, R>, width: usize);

    /// [`Rows::copy_columns`], compiled for this vector's instructions.
    unsafe fn copy_columns<const R: usize>(rows: &Rows<Self::Number, R>, room: *mut Self::Number, panel: usize);

    /// [`row`], compiled for this vector's instructions.
    unsafe fn row<const C: usize>(task: &Task<Self::Number>);

    /// [`Strip::tile`], compiled for this vector's instructions.
    unsafe fn tile<const R: usize, const H: usize, const C: usize, const KEEP: bool>(
        strip: &Strip<'_, Self::Number, R>,
        a: *const Self::Number,
        a_column: isize,
        b: *const Self::Number,
        b_row: isize,
        c: *mut Self::Number,
    );
}

macro_rules! compiled {
    ([$($head:tt)*] $float:ident $(, $features:literal)?) => {
        $($head)* {
            $(#[target_feature(enable = $features)])?
            unsafe fn pack<const R: usize>(strip: &Strip<'_, $float, R>, width: usize) {
                // SAFETY: the caller's promise, here and below.
                unsafe { strip.pack::<Self>(width) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn copy_columns<const R: usize>(rows: &Rows<$float, R>, room: *mut $float, panel: usize) {
                // SAFETY: as above.
                unsafe { rows.copy_columns::<Self>(room, panel) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn row<const C: usize>(task: &Task<$float>) {
                // SAFETY: as above.
                unsafe { row::<Self, C>(task) }
            }
            // Not inlined: there are a dozen of these for each vector, each used in several places.
            $(#[target_feature(enable = $features)])?
            unsafe fn tile<const R: usize, const H: usize, const C: usize, const KEEP: bool>(
                strip: &Strip<'_, $float, R>,
                a: *const $float,
                a_column: isize,
                b: *const $float,
                b_row: isize,
                c: *mut $float,
            ) {
                // SAFETY: as above.
                unsafe { strip.tile::<Self, H, C, KEEP>(a, a_column, b, b_row, c) }
            }
        }
    };
}

compiled!([impl Compiled for __m256] f32, "avx2,fma");
compiled!([impl Compiled for __m256d] f64, "avx2,fma");
compiled!([impl Compiled for __m512] f32, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
compiled!([impl Compiled for __m512d] f64, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
#[cfg(test)]
compiled!([impl<T: Tiled> Compiled for pretend::Wide<T>] T);

/// Which registers belong to a scalar.
trait Tiled: Scalar {
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
                unsafe { multiply::<$avx2, 6, 2, 12>(task) }
            }

            unsafe fn multiply_avx512(task: &Task<Self>) {
                // SAFETY: the caller's promise. 24 accumulators, three vectors of b, one of a: 28 of 32 registers.
                unsafe { multiply::<$avx512, 8, 3, 16>(task) }
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
pub(super) struct Task<T> {
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

/// The numbers that the first block of the inner sum is added to.
#[derive(Clone, Copy, Debug)]
enum First<T> {
    Zero,
    Row(*const T),
    Existing,
}

/// Computes the job and returns `true`, or leaves it alone if this machine or the strides don't suit.
pub(super) fn run<T: Scalar>(job: &mut Job<'_, T>) -> bool {
    struct Runs;
    impl Family for Runs {
        type Of<T: Scalar> = fn(&mut Job<'_, T>) -> bool;
    }
    T::choose::<Runs>((run_tiled, run_tiled))(job)
}

#[inline(never)]
fn run_tiled<T: Tiled>(job: &mut Job<'_, T>) -> bool {
    let Some(lanes) = register_width::<T>() else { return false };
    // An axis of length one has no stride to speak of.
    let unit = |axis: usize| job.c.strides()[axis] == 1 || job.c.shape()[axis] == 1;
    if !unit(1) {
        // Rows of the transposed result may be contiguous; but its start row would be a column.
        let transposable = unit(0) && !matches!(job.start, Accumulate::Bias(_));
        return transposable && run_tiled(&mut job.transposed());
    }
    let ((m, k), n) = (job.a.dim(), job.b.ncols());
    // Rows so short that they leave much of a register empty are computed as columns, where that reads rows of b.
    let fills_more = 4 * n <= 3 * lanes && m > n && (4 * n <= lanes || m >= 2 * lanes);
    if fills_more && k >= 32 && job.a.strides()[0] == 1 && !matches!(job.start, Accumulate::Bias(_)) {
        // One of the widest registers, or two whole tiles of them; the smaller room is cleared sooner.
        if m <= 16 {
            run_narrow::<T, 16>(job)
        } else {
            run_narrow::<T, 96>(job)
        }
        return true;
    }
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
            Accumulate::Overwrite => First::Zero,
            Accumulate::Bias(row) => First::Row(row.as_ptr()),
            Accumulate::Add => First::Existing,
        },
    };
    // SAFETY: the processor has the instructions; pointers, sizes and strides are the views' own,
    // and the door has checked that the sizes agree.
    unsafe {
        #[cfg(test)]
        if pretend::ON.get() {
            multiply::<pretend::Wide<T>, 8, 3, 16>(&task);
            return true;
        }
        match instructions() {
            // Where n columns fill no more than half of a register, two of half the size are computed in its time.
            Instructions::Avx512 if m == 1 || 2 * n > lanes => T::multiply_avx512(&task),
            _ => T::multiply_avx2(&task),
        }
    }
    true
}

/// c ← start + a·b via cᵀ, for fewer columns of c than a register holds: `WIDTH` rows of it at a time.
fn run_narrow<T: Tiled, const WIDTH: usize>(job: &mut Job<'_, T>) {
    let mut numbers = [[T::ZERO; WIDTH]; 16];
    let numbers = numbers.as_flattened_mut();
    let (n, existing) = (job.b.ncols(), matches!(job.start, Accumulate::Add));
    for (a, mut c) in job.a.axis_chunks_iter(Axis(0), WIDTH).zip(job.c.axis_chunks_iter_mut(Axis(0), WIDTH)) {
        let shape = (n, a.nrows()).strides((WIDTH, 1));
        let transposed = match ArrayViewMut2::from_shape(shape, &mut *numbers) {
            Ok(transposed) => transposed,
            Err(error) => unreachable!("there is room for the columns: {error}"),
        };
        run_tiled(&mut Job { a: job.b.t(), b: a.t(), start: Accumulate::Overwrite, c: transposed });
        let (c_row, c) = (c.strides()[0], c.as_mut_ptr());
        for i in 0..a.nrows() {
            for j in 0..n {
                // SAFETY: c has these rows and columns, and its columns are contiguous; j < 16 and i < WIDTH.
                unsafe {
                    let (sum, c) = (numbers.as_ptr().add(j * WIDTH + i), c.offset(i as isize * c_row).add(j));
                    *c = if existing { *c + *sum } else { *sum };
                }
            }
        }
    }
}

/// The inner sum is cut into blocks of this many terms, so that a panel of b stays in L1.
const BLOCK_K: usize = 400;
/// The number of rows of b that are prefetched: memory answers after some hundred cycles, and a row takes up to 24.
/// With twice as many, rows that share a few sets of L1 drive each other out before they are read.
const AHEAD: isize = 12;
/// Rows are cut into blocks of this many, whole tiles of six and of eight, so that a block of a stays in L2.
const BLOCK_M: usize = 264;

/// # Safety
/// The processor knows the instructions of `V`, and the task's pointers and strides reach only what may be
/// read (a, b, a start row) or written (c).
unsafe fn multiply<V: Compiled, const R: usize, const C: usize, const ROW: usize>(task: &Task<V::Number>) {
    let one_row = task.m == 1 && task.b_column == 1;
    if !one_row && task.k <= BLOCK_K && task.m <= BLOCK_M {
        // SAFETY: the caller's promise.
        return unsafe { multiply_block::<V, R, C>(task) };
    }
    for (k0, k1) in blocks(task.k, BLOCK_K, 1) {
        let start = if k0 == 0 { task.start } else { First::Existing };
        for (i0, i1) in blocks(task.m, BLOCK_M, R) {
            // SAFETY: k0 < k and i0 < m, so that these elements exist; the caller's promise.
            unsafe {
                let block = Task {
                    m: i1 - i0,
                    k: k1 - k0,
                    a: task.a.offset(i0 as isize * task.a_row + k0 as isize * task.a_column),
                    b: task.b.offset(k0 as isize * task.b_row),
                    c: task.c.offset(i0 as isize * task.c_row),
                    start,
                    ..*task
                };
                if one_row { V::row::<ROW>(&block) } else { multiply_block::<V, R, C>(&block) }
            }
        }
    }
}

/// # Safety
/// As for [`multiply`]; the task has at most `BLOCK_M` rows and sums of at most `BLOCK_K` terms.
unsafe fn multiply_block<V: Compiled, const R: usize, const C: usize>(task: &Task<V::Number>) {
    let width = C * V::N;
    let (panel, room) = room();
    let (panel, room): (*mut V::Number, *mut V::Number) = (panel.cast(), room.cast());
    // SAFETY: j0 < n, so that these elements exist; the strip's sizes stay within the task's.
    unsafe {
        let rows = Rows::<_, R>::new((task.m, task.k), task.a, (task.a_row, task.a_column));
        let rows = if rows.is_worth_copying(task.n) { rows.copied::<V>(room) } else { rows };
        let mut j0 = 0;
        // A small product can't afford divisions, as a stepped range has them.
        while j0 < task.n {
            let columns = (task.n - j0).min(width);
            let strip = Strip {
                rows: &rows,
                columns,
                b: task.b.offset(j0 as isize * task.b_column),
                b_row: task.b_row,
                b_column: task.b_column,
                c: task.c.add(j0),
                c_row: task.c_row,
                start: match task.start {
                    First::Row(row) => First::Row(row.add(j0)),
                    other => other,
                },
                panel,
            };
            match columns.div_ceil(V::N) {
                1 => strip.compute::<V, 1>(),
                2 => strip.compute::<V, 2>(),
                _ => strip.compute::<V, C>(),
            }
            j0 += width;
        }
    }
}

/// Cuts `0..length` into blocks of nearly equal length, at most `most`: a short last one would pay all that a block
/// costs for little work. All but the last are multiples of `multiple`.
fn blocks(length: usize, most: usize, multiple: usize) -> impl Iterator<Item = (usize, usize)> {
    let block = if length <= most { length } else { length.div_ceil(length.div_ceil(most)).next_multiple_of(multiple) };
    (0..length).step_by(block.max(1)).map(move |start| (start, (start + block).min(length)))
}

/// Some rows of c, one tile wide.
struct Strip<'a, T, const R: usize> {
    rows: &'a Rows<T, R>,
    columns: usize,
    b: *const T,
    b_row: isize,
    b_column: isize,
    c: *mut T,
    c_row: isize,
    start: First<T>,
    /// Room for k rows of the tile's width.
    panel: *mut T,
}

impl<T: Tiled, const R: usize> Strip<'_, T, R> {
    /// # Safety
    /// As for [`multiply`]; `columns` is at most `C` vectors.
    unsafe fn compute<V: Compiled<Number = T>, const C: usize>(&self) {
        let width = C * V::N;
        let in_place = self.columns == width && self.b_column == 1;
        // SAFETY: rows advance by whole tiles within `rows`; the panel has room for k rows of this width.
        unsafe {
            if in_place && (self.rows.whole <= 1 || self.rows.k <= 16) {
                // Too few rows to use a copy of b, or too short a panel to need one.
                self.tiles_from::<V, C>(0, self.b, self.b_row);
            } else if in_place {
                V::tile::<R, R, C, true>(self, self.rows.first, self.rows.column, self.b, self.b_row, self.c);
                self.tiles_from::<V, C>(1, self.panel, width as isize);
            } else {
                V::pack(self, width);
                self.tiles_from::<V, C>(0, self.panel, width as isize);
            }
        }
    }

    /// All rows from a tile on, in tiles of R, then of four and of fewer.
    ///
    /// # Safety
    /// As for [`tile`](Self::tile).
    unsafe fn tiles_from<V: Compiled<Number = T>, const C: usize>(&self, tile: usize, b: *const T, b_row: isize) {
        let Rows { count, whole, first, row, column, tile: distance, rest, rest_column, .. } = *self.rows;
        // SAFETY: each tile's rows lie within those of a and c; what is computed beyond the last is not used.
        unsafe {
            let mut a = first.offset(tile as isize * distance);
            let mut c = self.c.offset((tile * R) as isize * self.c_row);
            for _ in tile..whole {
                V::tile::<R, R, C, false>(self, a, column, b, b_row, c);
                a = a.wrapping_offset(distance);
                c = c.wrapping_offset(R as isize * self.c_row);
            }
            let mut a = rest;
            let mut left = count - whole * R;
            while left >= 4 {
                V::tile::<R, 4, C, false>(self, a, rest_column, b, b_row, c);
                a = a.wrapping_offset(4 * row);
                c = c.wrapping_offset(4 * self.c_row);
                left -= 4;
            }
            if left >= 2 {
                V::tile::<R, 2, C, false>(self, a, rest_column, b, b_row, c);
                a = a.wrapping_offset(2 * row);
                c = c.wrapping_offset(2 * self.c_row);
                left -= 2;
            }
            if left == 1 {
                V::tile::<R, 1, C, false>(self, a, rest_column, b, b_row, c);
            }
        }
    }

    /// `H` rows times `C` vectors of c, kept in registers over the inner sum; with `KEEP`, b's rows are copied
    /// to the panel on the way.
    ///
    /// # Safety
    /// From `a` and from `c` on there are H rows; each of the k rows of `b` holds `C` vectors, each row of `c` (and a
    /// start row) `columns` numbers.
    #[inline(always)]
    unsafe fn tile<V: Compiled<Number = T>, const H: usize, const C: usize, const KEEP: bool>(
        &self,
        a: *const T,
        a_column: isize,
        mut b: *const T,
        b_row: isize,
        c: *mut T,
    ) {
        // SAFETY: by the function's promise every pointer below stays within its matrix or the panel.
        unsafe {
            let mut sums = [[V::zero(); C]; H];
            if self.rows.k > 64 {
                for r in 0..H {
                    _mm_prefetch::<_MM_HINT_T0>(c.wrapping_offset(r as isize * self.c_row).cast());
                }
            }
            let mut panel = self.panel;
            // One register for each row and one that they share: fewer additions than a pointer for each.
            // Offsets wrap because a development build checks all others, which would take as long as the sum.
            let lines: [_; H] = std::array::from_fn(|r| a.offset(r as isize * self.rows.row));
            let mut passed = 0;
            for _ in 0..self.rows.k {
                let mut line = [V::zero(); C];
                for (vector, line) in line.iter_mut().enumerate() {
                    *line = V::load(b.wrapping_add(vector * V::N));
                    if KEEP {
                        line.store(panel.wrapping_add(vector * V::N));
                    }
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(lines[r].wrapping_offset(passed));
                    for (sum, &line) in sums.iter_mut().zip(&line) {
                        *sum = sum.multiply_add(x, line);
                    }
                }
                passed += a_column;
                b = b.wrapping_offset(b_row);
                if KEEP {
                    // Rows of b far apart are found by no hardware prefetcher; they may lie across two lines.
                    let ahead = b.wrapping_offset(AHEAD * b_row);
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(C * V::N - 1).cast());
                    panel = panel.wrapping_add(C * V::N);
                }
            }
            let whole = self.columns >= C * V::N;
            for (r, sums) in sums.iter().enumerate() {
                let c = c.offset(r as isize * self.c_row);
                if whole { self.write::<V, C, true>(sums, c) } else { self.write::<V, C, false>(sums, c) }
            }
        }
    }

    /// One row of a tile, of which c has all columns if `WHOLE`.
    ///
    /// # Safety
    /// `c` (and a start row) holds `C` vectors, or as many columns as there are.
    #[inline(always)]
    unsafe fn write<V: Compiled<Number = T>, const C: usize, const WHOLE: bool>(&self, sums: &[V; C], c: *mut T) {
        for (vector, &sum) in sums.iter().enumerate() {
            let first = vector * V::N;
            // Strips have as few vectors as hold their columns, so that only the last may reach beyond.
            let full = WHOLE || vector + 1 < C;
            // SAFETY: the function's promise.
            unsafe {
                let c = c.add(first);
                let load = |from: *const T| {
                    if full { V::load(from) } else { V::load_first(from, self.columns - first) }
                };
                let sum = match self.start {
                    First::Zero => sum,
                    First::Row(row) => sum.add(load(row.add(first))),
                    First::Existing => sum.add(load(c)),
                };
                if full { sum.store(c) } else { sum.store_first(c, self.columns - first) }
            }
        }
    }

    /// Copies b's rows to the panel, zeros beyond its last column.
    ///
    /// # Safety
    /// The panel has room for k rows of `width`, a multiple of [`Tiled::SQUARE`].
    #[inline(always)]
    unsafe fn pack<V: Compiled<Number = T>>(&self, width: usize) {
        if self.b_column == 1 {
            for p in 0..self.rows.k {
                for j in (0..width).step_by(V::N) {
                    // SAFETY: p < k, and no element of b is read beyond its last column.
                    unsafe {
                        let b = self.b.offset(p as isize * self.b_row).wrapping_add(j);
                        V::load_first(b, self.columns.saturating_sub(j)).store(self.panel.add(p * width + j));
                    }
                }
            }
            return;
        }
        let square = T::SQUARE;
        for j0 in (0..width).step_by(square) {
            let whole = if self.b_row == 1 && j0 + square <= self.columns { self.rows.k / square * square } else { 0 };
            for p0 in (0..whole).step_by(square) {
                // SAFETY: whole rows and whole columns; each column of b is contiguous.
                unsafe {
                    let b = self.b.offset(p0 as isize + j0 as isize * self.b_column);
                    T::transpose(b, self.b_column, self.panel.add(p0 * width + j0), width);
                }
            }
            for p in whole..self.rows.k {
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

/// The numbers in the widest register that this machine uses, if it has kernels of its own.
pub(super) fn register_width<T: Scalar>() -> Option<usize> {
    match instructions() {
        Instructions::Portable => None,
        Instructions::Avx2 => Some(32 / size_of::<T>()),
        Instructions::Avx512 => Some(64 / size_of::<T>()),
    }
}
