//! Axes in another order.

use crate::{Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

/// The most axes of a shape.
const MAX_RANK: usize = 6;

crate::compiled! {
    /// Copies each example of x with its axes in another order: axis k of y is axis `order[k]` of x.
    ///
    /// # Shapes
    /// x: (examples, shape); y: (examples, `shape[order[0]]`, `shape[order[1]]`, ...)
    ///
    /// # Panics
    /// If the lengths differ, or `order` does not name each axis of `shape` once.
    ///
    /// ```
    /// use downhill_tensor::permute::permute;
    /// let mut y = [0; 6].map(f64::from);
    /// permute(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3].into(), &[1, 0], &mut y);
    /// assert_eq!(y, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// ```
    pub fn permute<T: Scalar>(x: &[T], shape: Shape, order: &[usize], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "a permutation has as many results as arguments");
        let mut named = [false; MAX_RANK];
        order.iter().for_each(|&axis| named[axis] = true);
        let all = order.len() == shape.rank() && named[..order.len()].iter().all(|&named| named);
        assert!(all, "the order {order:?} does not name each axis of {shape} once");
        let example = shape.len();
        let walk = Walk::new(shape, order);
        let work = x.len();
        parallel_runs(Over(walk, (Runs::new(x, example), RunsMut::new(y, example))), work);
    }
}

/// The way through x in the order of y: the lengths of y's axes, and how far apart their numbers lie in x.
#[derive(Clone, Copy)]
struct Walk {
    lengths: [usize; MAX_RANK],
    strides: [usize; MAX_RANK],
    rank: usize,
}

impl Walk {
    fn new(shape: Shape, order: &[usize]) -> Self {
        let mut walk = Self { lengths: [1; MAX_RANK], strides: [1; MAX_RANK], rank: 0 };
        for &axis in order {
            let (length, stride) = (shape[axis], shape.axes()[axis + 1..].iter().product());
            match walk.rank.checked_sub(1) {
                // Axes that follow each other in x too are one axis.
                Some(last) if walk.strides[last] == length * stride => {
                    walk.lengths[last] *= length;
                    walk.strides[last] = stride;
                }
                _ => {
                    walk.lengths[walk.rank] = length;
                    walk.strides[walk.rank] = stride;
                    walk.rank += 1;
                }
            }
        }
        walk.rank = walk.rank.max(1);
        walk
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Walk {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        // The last two axes are a matrix; where there is but one, a matrix of one row.
        let outer = self.rank.saturating_sub(2);
        let (rows, row) = if self.rank > 1 { (self.lengths[outer], self.strides[outer]) } else { (1, 0) };
        let (columns, column) = (self.lengths[self.rank - 1], self.strides[self.rank - 1]);
        for (x, y) in x.iter().zip(y.iter_mut()) {
            let (mut place, mut start) = ([0; MAX_RANK], 0);
            for y in y.chunks_exact_mut(rows * columns) {
                copy_matrix(&x[start..], (row, column), y, columns);
                // The next place, the last axis before the matrix turning fastest.
                for axis in (0..outer).rev() {
                    place[axis] += 1;
                    start += self.strides[axis];
                    if place[axis] < self.lengths[axis] {
                        break;
                    }
                    start -= self.lengths[axis] * self.strides[axis];
                    place[axis] = 0;
                }
            }
        }
    }
}

/// Copies x, whose rows and columns lie `row` and `column` numbers apart, to y, whose rows are contiguous.
#[inline(always)]
fn copy_matrix<T: Scalar>(x: &[T], (row, column): (usize, usize), y: &mut [T], columns: usize) {
    // All of each cache line that is read is used at once, and a square's rows of y stay in the cache.
    const SQUARE: usize = 16;
    if row == 1 && column != 1 {
        let rows = y.len() / columns;
        for first_row in (0..rows).step_by(SQUARE) {
            let count = SQUARE.min(rows - first_row);
            for c in 0..columns {
                let from = &x[first_row + c * column..][..count];
                let to = y[first_row * columns + c..].iter_mut().step_by(columns);
                to.zip(from).for_each(|(y, &x)| *y = x);
            }
        }
        return;
    }
    for (r, y) in y.chunks_exact_mut(columns).enumerate() {
        let x = &x[r * row..];
        if column == 1 {
            y.copy_from_slice(&x[..columns]);
        } else {
            y.iter_mut().zip(x.iter().step_by(column)).for_each(|(y, &x)| *y = x);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;
    use crate::threads::Threads;

    /// All orders of `rank` axes.
    fn orders(rank: usize) -> Vec<Vec<usize>> {
        if rank == 0 {
            return vec![Vec::new()];
        }
        let smaller = orders(rank - 1);
        let insert = |place: usize| {
            smaller.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, rank - 1);
                order
            })
        };
        (0..rank).flat_map(insert).collect()
    }

    #[test]
    fn every_order_is_that_of_ndarray() {
        let shapes: [&[usize]; 11] = [
            &[],
            &[5],
            &[2, 3],
            &[1, 4],
            &[2, 3, 4],
            &[3, 1, 2],
            &[2, 1, 3, 2],
            &[2, 3, 1, 2, 2],
            &[2, 1, 3, 2, 1, 2],
            // More than a square, and what is left next to it.
            &[37, 18],
            &[17, 2, 35],
        ];
        for axes in shapes {
            let shape = Shape::new(axes).unwrap();
            let examples = 3;
            let x: Vec<f32> = (0..examples * shape.len()).map(|x| x as f32).collect();
            let whole = ArrayD::from_shape_vec(IxDyn(&[&[examples], axes].concat()), x.clone()).unwrap();
            for order in orders(axes.len()) {
                let mut y = vec![f32::NAN; x.len()];
                permute(&x, shape, &order, &mut y);
                let with_batch: Vec<usize> = [0].into_iter().chain(order.iter().map(|axis| axis + 1)).collect();
                let expected: Vec<f32> = whole.view().permuted_axes(IxDyn(&with_batch)).iter().copied().collect();
                assert_eq!(y, expected, "{axes:?} in the order {order:?}");
            }
        }
    }

    #[test]
    fn threads_share_examples() {
        let x: Vec<f64> = (0..40 * 60 * 70).map(f64::from).collect();
        let run = || {
            let mut y = vec![f64::NAN; x.len()];
            permute(&x, [60, 70].into(), &[1, 0], &mut y);
            y
        };
        assert_eq!(Threads::new(3).unwrap().run(run), run());
    }

    #[test]
    fn axes_of_no_length_hold_nothing() {
        permute::<f64>(&[], [2, 0, 3].into(), &[2, 0, 1], &mut []);
        permute::<f64>(&[], [2, 3].into(), &[1, 0], &mut []);
    }

    #[test]
    #[should_panic(expected = "does not name each axis of 2x3 once")]
    fn an_axis_named_twice_is_refused() {
        permute(&[0.0; 6], [2, 3].into(), &[1, 1], &mut [0.0; 6]);
    }
}
