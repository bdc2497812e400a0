//! Rotary positions: queries and keys turn with their place in the sequence.

use downhill_tensor::{Over, RunsMut, Scalar, Sweep, parallel_runs};

/// The turns of all positions: for each of them, and for each pair i of a head, cos and sin of
/// position · base^(−2i/head), one after the other.
///
/// # Shapes
/// table: (steps, head)
pub(super) fn fill<T: Scalar>(table: &mut [T], head: usize, base: f64) {
    for (position, turns) in table.chunks_exact_mut(head).enumerate() {
        for (pair, turn) in turns.chunks_exact_mut(2).enumerate() {
            // Not the standard library's functions, whose last bits depend on the system.
            let frequency = Scalar::exp(-2.0 * pair as f64 / head as f64 * Scalar::ln(base));
            let angle = position as f64 * frequency;
            turn.copy_from_slice(&[T::of(Scalar::cos(angle)), T::of(Scalar::sin(angle))]);
        }
    }
}

/// Which way to turn: backward undoes what forward has done, for a turn's transpose is its inverse.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Forward,
    Backward,
}

/// (a, b) ← (a cos − b sin, a sin + b cos) for all pairs of neighbours within the heads of every row.
///
/// # Shapes
/// x: (examples · steps, row), of which the first `width` numbers of each row are turned; table: (steps, head).
pub(super) fn turn<T: Scalar>(x: &mut [T], row: usize, width: usize, table: &[T], head: usize, way: Turn) {
    let example = table.len() / head * row;
    let work = 4 * x.len();
    parallel_runs(Over(Rotate { row, width, table, head, way }, (RunsMut::new(x, example),)), work);
}

struct Rotate<'a, T> {
    row: usize,
    width: usize,
    table: &'a [T],
    head: usize,
    way: Turn,
}

impl<T> Clone for Rotate<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rotate<'_, T> {}

impl<T: Scalar> Sweep<(RunsMut<'_, T>,)> for Rotate<'_, T> {
    #[inline(always)]
    fn sweep(self, (examples,): (RunsMut<'_, T>,)) {
        let sign = match self.way {
            Turn::Forward => T::ONE,
            Turn::Backward => -T::ONE,
        };
        for example in examples.iter_mut() {
            for (row, turns) in example.chunks_exact_mut(self.row).zip(self.table.chunks_exact(self.head)) {
                for head in row[..self.width].chunks_exact_mut(self.head) {
                    for (pair, turn) in head.chunks_exact_mut(2).zip(turns.chunks_exact(2)) {
                        let (a, b, cos, sin) = (pair[0], pair[1], turn[0], sign * turn[1]);
                        pair[0] = a * cos - b * sin;
                        pair[1] = a * sin + b * cos;
                    }
                }
            }
        }
    }
}
