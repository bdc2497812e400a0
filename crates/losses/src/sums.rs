//! Sums over a batch that come out the same for any number of threads.

use downhill_tensor::{Kernel, elementwise, threads, vectorized};

/// A loop over rows that gives the sum of their terms, and can be cut between rows.
///
/// A row is whatever the loop can't divide: one number, one example, one position.
pub(crate) trait Rows: Kernel<Output = f64> + Send {
    /// The number of rows.
    fn rows(&self) -> usize;

    /// How many numbers a row has.
    fn width(&self) -> usize;

    /// The rows before `middle`, and those from it on.
    fn cut(self, middle: usize) -> (Self, Self);
}

/// The sum of the terms of all rows.
///
/// Where it is cut depends on the sizes alone: with more threads the same pieces are only computed side by side.
pub(crate) fn total<R: Rows>(rows: R) -> f64 {
    let grain = (elementwise::GRAIN / rows.width().max(1)).max(1);
    total_by(rows, grain)
}

fn total_by<R: Rows>(rows: R, grain: usize) -> f64 {
    if rows.rows() <= grain {
        return vectorized(rows);
    }
    let middle = rows.rows() / 2;
    let (a, b) = rows.cut(middle);
    let (a, b) = threads::join(|| total_by(a, grain), || total_by(b, grain));
    a + b
}

/// Cuts an optional slice.
pub(crate) fn cut_optional<T>(slice: Option<&mut [T]>, middle: usize) -> (Option<&mut [T]>, Option<&mut [T]>) {
    slice.map(|slice| slice.split_at_mut(middle)).unzip()
}
