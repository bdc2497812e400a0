//! Sums over a batch: of each column of a matrix, and of each channel of images.
//!
//! A matrix of few columns has forms of its own here (`narrow_strip_sums`, and the cut of long columns in
//! [`column_sums`]): a register would hold a row and nothing else, and threads have no columns to share. The gradients
//! of the biases of a narrow layer are such sums, and on 10,000 examples they were a sixth of its step: see
//! `docs/performance.md`, "Threads".

use ndarray::ArrayView2;

use super::{BLOCK, GRAIN, IN_TURN, LANES, in_blocks, lanes};
use crate::{Divisible, Kernel, Scalar, parallel, parallel_runs, threads};

/// yⱼ = Σᵢ xᵢⱼ: the sum of each column of x, row after row from 0 on, in blocks of 256 rows.
///
/// The sums of blocks are added with what rounding takes from them, so that errors do not grow with the number of rows.
/// Of a contiguous x with at most 16 columns, 32 numbers are added at a time, as many rows as they hold; and if x has
/// at most 32 columns and at least 8192 rows, it is cut in two at the multiple of 4096 rows at or after its middle.
///
/// # Panics
/// If `y` does not have one element for each column.
///
/// ```
/// use downhill_tensor::reduce::column_sums;
/// use ndarray::array;
/// let mut y = [0.0; 3];
/// column_sums(array![[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]].view(), &mut y);
/// assert_eq!(y, [11.0, 22.0, 33.0]);
/// ```
pub fn column_sums<T: Scalar>(x: ArrayView2<'_, T>, y: &mut [T]) {
    assert_eq!(x.ncols(), y.len(), "column_sums needs one result for each column");
    if let Some(data) = x.to_slice() {
        return contiguous_column_sums(data, y);
    }
    for (strip, y) in y.chunks_mut(LANES).enumerate() {
        let [sums] = in_blocks!(x.nrows(), IN_TURN, |rows| {
            let mut sums = [T::ZERO; LANES];
            for row in rows {
                for (j, sum) in sums[..y.len()].iter_mut().enumerate() {
                    *sum += x[[row, strip * LANES + j]];
                }
            }
            [sums]
        });
        y.copy_from_slice(&sums[..y.len()]);
    }
}

fn contiguous_column_sums<T: Scalar>(data: &[T], y: &mut [T]) {
    let columns = y.len();
    let rows = data.len().checked_div(columns).unwrap_or(0);
    if columns > LANES || rows < 2 * BLOCK {
        return parallel(ColumnSums { data, columns, first: 0, y }, GRAIN / rows.max(1));
    }
    // Too few columns for threads to share: a tree of blocks of rows.
    let (top, bottom) = data.split_at((rows / 2).next_multiple_of(BLOCK) * columns);
    let mut rest = [T::ZERO; LANES];
    let rest = &mut rest[..columns];
    threads::join(|| contiguous_column_sums(top, y), || contiguous_column_sums(bottom, rest));
    y.iter_mut().zip(rest).for_each(|(y, rest)| *y += *rest);
}

/// y_c = Σ x over the examples and the pixels of channel c: each plane is summed as elsewhere here, and the planes
/// of a channel are added in the order of the examples, in blocks of 256.
///
/// # Shapes
/// x: (examples, channels, `plane` numbers); y: (channels)
///
/// # Panics
/// If x does not hold whole examples.
///
/// ```
/// use downhill_tensor::reduce::channel_sums;
/// let mut y = [0.0; 2];
/// channel_sums(&[1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0], &mut y, 2);
/// assert_eq!(y, [10.0, 100.0]);
/// ```
pub fn channel_sums<T: Scalar>(x: &[T], y: &mut [T], plane: usize) {
    let example = y.len() * plane;
    let whole = x.len().checked_rem(example).map_or(x.is_empty(), |rest| rest == 0);
    assert!(whole, "{} numbers are no whole examples of {} channels of {plane}", x.len(), y.len());
    parallel_runs(ChannelSums { x, example, plane, first: 0, y }, x.len());
}

struct ChannelSums<'a, T> {
    /// The whole batch.
    x: &'a [T],
    example: usize,
    plane: usize,
    /// The channel that `y` begins with.
    first: usize,
    y: &'a mut [T],
}

impl<T: Scalar> Kernel for ChannelSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, example, plane, first, y } = self;
        if x.is_empty() {
            return y.fill(T::ZERO);
        }
        for (strip, y) in y.chunks_mut(LANES).enumerate() {
            let start = (first + strip * LANES) * plane;
            let [sums] = in_blocks!(x.len() / example, IN_TURN, |examples| {
                let mut sums = [T::ZERO; LANES];
                for x in x[examples.start * example..examples.end * example].chunks_exact(example) {
                    let planes = x[start..start + y.len() * plane].chunks_exact(plane);
                    for (sum, plane) in sums.iter_mut().zip(planes) {
                        *sum += lanes::map_sum(plane, |x| x);
                    }
                }
                [sums]
            });
            y.copy_from_slice(&sums[..y.len()]);
        }
    }
}

impl<T: Scalar> Divisible for ChannelSums<'_, T> {
    fn elements(&self) -> usize {
        self.y.len()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let (left, right) = self.y.split_at_mut(middle);
        (Self { y: left, ..self }, Self { y: right, first: self.first + middle, ..self })
    }
}

struct ColumnSums<'a, T> {
    /// The whole matrix.
    data: &'a [T],
    columns: usize,
    /// The column that `y` begins with.
    first: usize,
    y: &'a mut [T],
}

impl<T: Scalar> Kernel for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut first = self.first;
        let (strips, rest) = self.y.as_chunks_mut();
        for strip in strips {
            *strip = strip_sums(self.data, self.columns, first);
            first += LANES;
        }
        if !rest.is_empty() {
            let Self { data, columns, .. } = self;
            let (rows, most) = (data.len() / columns, IN_TURN * together(rest.len(), columns));
            if rows <= most {
                return narrow_strip_sums(data, columns, first, rest);
            }
            let [sums] = in_blocks!(rows, most, |rows| {
                let mut sums = [T::ZERO; LANES];
                let data = &data[rows.start * columns..rows.end * columns];
                narrow_strip_sums(data, columns, first, &mut sums[..rest.len()]);
                [sums]
            });
            rest.copy_from_slice(&sums[..rest.len()]);
        }
    }
}

/// The number of rows that are added at once of a strip that is narrower than the lanes: several if it is all there is.
#[inline(always)]
fn together(strip: usize, columns: usize) -> usize {
    if strip == columns { LANES / columns } else { 1 }
}

/// The sums of `LANES` columns from `first` on, which stay in registers while the rows go by.
#[inline(always)]
fn strip_sums<T: Scalar>(data: &[T], columns: usize, first: usize) -> [T; LANES] {
    let [sums] = in_blocks!(data.len() / columns, IN_TURN, |rows| {
        let mut sums = [T::ZERO; LANES];
        for row in data[rows.start * columns..rows.end * columns].chunks_exact(columns) {
            add_to(&mut sums, &row[first..first + LANES]);
        }
        [sums]
    });
    sums
}

/// The sums of fewer columns, the last; of all that there are, several rows at a time.
#[inline(always)]
fn narrow_strip_sums<T: Scalar>(data: &[T], columns: usize, first: usize, strip: &mut [T]) {
    let together = together(strip.len(), columns);
    let group = together * columns;
    // All lanes at once, while there are numbers for them: the sums of those beyond the strip are unused.
    let whole = (data.len() + group).saturating_sub(group.max(first + LANES)) / group;
    let mut lanes = [T::ZERO; LANES];
    for index in 0..whole {
        add_to(&mut lanes, &data[index * group + first..][..LANES]);
    }
    // Copied as a whole: of an array that is cut, the compiler would keep every number in a register of its own.
    let mut sums = lanes;
    let sums = &mut sums[..together * strip.len()];
    let groups = data[whole * group..].chunks_exact(group);
    let left = groups.remainder().chunks_exact(columns);
    groups.for_each(|rows| add_to(sums, &rows[first..]));
    let (row, others) = sums.split_at(strip.len());
    strip.copy_from_slice(row);
    if data.len() >= group {
        others.chunks_exact(strip.len()).for_each(|row| add_to(strip, row));
    }
    left.for_each(|row| add_to(strip, &row[first..]));
}

#[inline(always)]
fn add_to<T: Scalar>(sums: &mut [T], row: &[T]) {
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum += x;
    }
}

impl<T: Scalar> Divisible for ColumnSums<'_, T> {
    fn elements(&self) -> usize {
        self.y.len()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let (left, right) = self.y.split_at_mut(middle);
        (Self { y: left, ..self }, Self { y: right, first: self.first + middle, ..self })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::super::tests::numbers;
    use super::*;
    use crate::threads::Threads;

    #[test]
    fn a_few_long_columns_are_summed_in_parts() {
        for (rows, columns) in [(20_001, 4), (9_000, 10), (8_193, 32), (17, 3), (50, 1)] {
            let x = Array2::from_shape_vec((rows, columns), numbers::<f64>(rows * columns)).unwrap();
            let sums = || {
                let mut y = vec![f64::NAN; columns];
                column_sums(x.view(), &mut y);
                y
            };
            let alone = sums();
            for (sum, column) in alone.iter().zip(x.columns()) {
                let size: f64 = column.iter().map(|x| x.abs()).sum();
                assert!((sum - column.iter().sum::<f64>()).abs() <= 1e-13 * size, "{rows}x{columns}");
            }
            for threads in [2, 3] {
                assert_eq!(Threads::new(threads).unwrap().run(sums), alone, "{rows}x{columns}");
            }
        }
    }

    #[test]
    fn columns_are_summed_row_after_row() {
        for (rows, columns) in [(0, 3), (1, 1), (3, 0), (5, 31), (7, 32), (4, 33), (40, 130), (129, 1000)] {
            let x = Array2::from_shape_vec((rows, columns), numbers::<f32>(rows * columns)).unwrap();
            let plain: Vec<f32> = x.columns().into_iter().map(|column| column.iter().fold(0.0, |a, b| a + b)).collect();
            let check = |x: ArrayView2<'_, f32>, expected: &[f32]| {
                let mut y = vec![f32::NAN; expected.len()];
                column_sums(x, &mut y);
                assert_eq!(y, expected, "{rows}x{columns}");
            };
            check(x.view(), &plain);
            Threads::new(3).unwrap().run(|| check(x.view(), &plain));
            // The same numbers in another layout, and every second column.
            check(x.t().as_standard_layout().t(), &plain);
            let half: Vec<f32> = plain.iter().copied().step_by(2).collect();
            check(x.slice(s![.., ..;2]), &half);
        }
    }
}
