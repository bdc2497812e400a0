//! Rows of a as tiles read them, where they lie or from a copy, and the room for copies.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use crate::Scalar;

use super::{BLOCK_K, BLOCK_M, Compiled};

/// Some rows of a, or a copy of them: tiles of R rows, and what is left.
#[derive(Clone, Copy)]
pub(super) struct Rows<T, const R: usize> {
    pub(super) count: usize,
    /// The number of tiles of R rows.
    pub(super) whole: usize,
    pub(super) k: usize,
    pub(super) first: *const T,
    pub(super) row: isize,
    pub(super) column: isize,
    /// The distance from one tile to the next.
    pub(super) tile: isize,
    /// The rows that are left, and the distance of their columns.
    pub(super) rest: *const T,
    pub(super) rest_column: isize,
}

impl<T: Scalar, const R: usize> Rows<T, R> {
    /// Cuts the rows of a matrix with these strides into tiles.
    ///
    /// # Safety
    /// The matrix has `count` rows and `k` columns.
    pub(super) unsafe fn new((count, k): (usize, usize), first: *const T, (row, column): (isize, isize)) -> Self {
        // Tiles of two rows have too few sums to keep both multipliers busy: two of four are faster than six and two.
        let whole = if count % R == 2 { (count / R).saturating_sub(1) } else { count / R };
        let tile = R as isize * row;
        let rest = first.wrapping_offset(whole as isize * tile);
        Self { count, whole, k, first, row, column, tile, rest, rest_column: column }
    }

    /// Whether tile after tile would read a from far apart: cache lines of which a tile uses a part, each on
    /// a page of its own, or rows that share a few sets of the cache.
    pub(super) fn is_worth_copying(&self, columns: usize) -> bool {
        let many = self.count >= 4 * R && self.k >= 64;
        let by_columns = self.row == 1 && columns >= 64;
        // Those that miss L1 are still in L2, so that their copy must be used more often.
        let colliding = self.column == 1 && self.row * size_of::<T>() as isize % 2048 == 0 && columns >= 256;
        many && (by_columns || colliding)
    }

    /// Copies the rows: if columns are contiguous, into panels of R rows, and else row by row.
    ///
    /// # Safety
    /// The rows can be read, and `room` can hold them.
    pub(super) unsafe fn copied<V: Compiled<Number = T>>(self, room: *mut T) -> Self {
        // SAFETY: whole rows or columns are read, and written without overlap; a panel ends in a gap of one vector.
        unsafe {
            if self.row != 1 {
                // An odd number of 64-byte lines, so that rows spread over all sets of the cache.
                let line = 64 / size_of::<T>();
                let distance = self.k.next_multiple_of(line) | line;
                for row in 0..self.count {
                    let from = self.first.offset(row as isize * self.row);
                    from.copy_to_nonoverlapping(room.add(row * distance), self.k);
                }
                return Self::new((self.count, self.k), room, (distance as isize, 1));
            }
            let panel = self.k * R + V::N;
            V::copy_columns::<R>(&self, room, panel);
            let (rest, left) = (room.add(self.whole * panel), self.count - self.whole * R);
            for p in 0..self.k {
                let from = self.rest.offset(p as isize * self.column);
                from.copy_to_nonoverlapping(rest.add(p * left), left);
            }
            let (column, rest_column) = (R as isize, left as isize);
            Self { first: room, column, tile: panel as isize, rest, rest_column, ..self }
        }
    }

    /// # Safety
    /// As for [`copied`](Self::copied).
    #[inline(always)]
    pub(super) unsafe fn copy_columns<V: Compiled<Number = T>>(&self, room: *mut T, panel: usize) {
        for p in 0..self.k {
            for line in (0..self.count).step_by(64 / size_of::<T>()) {
                let ahead = self.first.wrapping_offset((p + 6) as isize * self.column).wrapping_add(line);
                // SAFETY: a prefetch reads nothing that a program can see, and never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
            }
            for tile in 0..self.whole {
                for lane in (0..R).step_by(V::N) {
                    let row = tile * R + lane;
                    // SAFETY: row < count; no number beyond the last row is read.
                    unsafe {
                        let from = self.first.offset(p as isize * self.column).add(row);
                        let to = room.add(tile * panel + p * R + lane);
                        if row + V::N <= self.count {
                            V::load(from).store(to);
                        } else {
                            V::load_first(from, self.count - row).store(to);
                        }
                    }
                }
            }
        }
    }
}

/// Space for copies: a panel of b, and rows of a.
///
/// Each thread has its own, which it asks for once and keeps. Nothing in it outlives a product.
struct Room {
    panel: *mut Line,
    rows: *mut Line,
    _lines: Vec<MaybeUninit<Line>>,
}

#[repr(align(64))]
pub(super) struct Line(#[expect(dead_code, reason = "lines are written through pointers")] [u8; 64]);

impl Room {
    /// Lines for `BLOCK_K` rows of three 64-byte vectors.
    const PANEL: usize = BLOCK_K * 3;
    /// Lines for `BLOCK_M` rows of `BLOCK_K` numbers of the larger kind, and for gaps between them.
    const ROWS: usize = (BLOCK_M * (BLOCK_K + 16) + 64) / 8;

    fn new() -> Self {
        let mut lines: Vec<MaybeUninit<Line>> = Vec::with_capacity(Self::PANEL + Self::ROWS);
        let panel: *mut Line = lines.as_mut_ptr().cast();
        // Within the capacity.
        Self { panel, rows: panel.wrapping_add(Self::PANEL), _lines: lines }
    }
}

/// This thread's space for a panel of b and for rows of a. A product never begins within another on one thread, so that
/// nothing else uses it.
pub(super) fn room() -> (*mut Line, *mut Line) {
    thread_local!(static ROOM: Room = Room::new());
    ROOM.with(|room| (room.panel, room.rows))
}
