//! The product of a matrix of one row.

use std::arch::x86_64::*;

use super::{Compiled, First, Task};

/// The product of one row: no element of b is used twice, so that there is nothing to keep but c's row, as many of its
/// vectors at a time as registers hold. b is read once, and row by row.
///
/// # Safety
/// As for [`multiply`](super::multiply); the task's a has one row, and rows of its b are contiguous.
#[inline(always)]
pub(super) unsafe fn row<V: Compiled, const C: usize>(task: &Task<V::Number>) {
    let mut from = 0;
    while from < task.n {
        let columns = task.n - from;
        // SAFETY: from < n.
        unsafe {
            from += match columns / V::N {
                vectors if vectors >= C => row_of::<V, C>(task, from, columns),
                4.. => row_of::<V, 4>(task, from, columns),
                _ => row_of::<V, 1>(task, from, columns),
            };
        }
    }
}

/// The number of rows of b that are prefetched if a has one row: they may lie far apart.
const ROWS_AHEAD: isize = 8;

/// `C` vectors of the row from column `from` on, or what there is of one; gives how many columns those are.
///
/// # Safety
/// As for [`row`]; there are `columns` from `from` on, and no fewer than `C` vectors if `C` is more than one.
#[inline(always)]
unsafe fn row_of<V: Compiled, const C: usize>(task: &Task<V::Number>, from: usize, columns: usize) -> usize {
    // SAFETY: all columns lie within n, and p < k.
    unsafe {
        let count = columns.min(C * V::N);
        let load = |numbers: *const V::Number| -> [V; C] {
            std::array::from_fn(|vector| match C {
                1 => V::load_first(numbers, count),
                _ => V::load(numbers.wrapping_add(vector * V::N)),
            })
        };
        let c = task.c.add(from);
        let mut sums = [V::zero(); C];
        let mut b = task.b.add(from);
        for p in 0..task.k {
            let x = V::splat(task.a.wrapping_offset(p as isize * task.a_column));
            for (vector, (sum, line)) in sums.iter_mut().zip(load(b)).enumerate() {
                _mm_prefetch::<_MM_HINT_T0>(
                    b.wrapping_offset(ROWS_AHEAD * task.b_row).wrapping_add(vector * V::N).cast(),
                );
                *sum = sum.multiply_add(x, line);
            }
            b = b.wrapping_offset(task.b_row);
        }
        // As in a tile, so that a batch of one gives the bits that its example gives in a larger batch.
        let start = match task.start {
            First::Zero => [V::zero(); C],
            First::Row(row) => load(row.add(from)),
            First::Existing => load(c),
        };
        for (vector, (sum, start)) in sums.into_iter().zip(start).enumerate() {
            match C {
                1 => sum.add(start).store_first(c, count),
                _ => sum.add(start).store(c.add(vector * V::N)),
            }
        }
        count
    }
}
