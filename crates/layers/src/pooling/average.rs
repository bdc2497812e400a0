use std::ops::Range;

use downhill_tensor::{Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs, reduce::lanes};

use super::plane;
use super::window::{Window, Windows};
use crate::{Backward, Forward};

/// The windows of an average along one axis.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// They slide.
    Sliding {
        window: Window,
        /// Whether padding counts, as zeros.
        counts_padding: bool,
    },
    /// This many cover the axis, as evenly as they can.
    Even,
}

/// Both axes, where as many windows cover each as the output is long.
pub(super) const EVEN: [Layout; 2] = [Layout::Even; 2];

/// The windows of an average over an axis of known length.
#[derive(Clone, Copy)]
enum Axis {
    Sliding { windows: Windows, counts_padding: bool },
    Even { input: usize, count: usize },
}

impl Layout {
    fn over(self, input: usize, count: usize) -> Axis {
        match self {
            Self::Sliding { window, counts_padding } => {
                Axis::Sliding { windows: window.over(input, count), counts_padding }
            }
            // Where they cover it exactly, they slide.
            Self::Even if input.is_multiple_of(count) => {
                let (kernel, stride) = (input / count, input / count);
                let window = Window { kernel, stride, ..Window::ONE };
                Axis::Sliding { windows: window.over(input, count), counts_padding: false }
            }
            Self::Even => Axis::Even { input, count },
        }
    }
}

impl Axis {
    fn input(self) -> usize {
        match self {
            Self::Sliding { windows, .. } => windows.input(),
            Self::Even { input, .. } => input,
        }
    }

    fn count(self) -> usize {
        match self {
            Self::Sliding { windows, .. } => windows.count(),
            Self::Even { count, .. } => count,
        }
    }

    /// The range of the input in a window, and the length that its sum is divided by.
    #[inline(always)]
    fn window(self, index: usize) -> (Range<usize>, usize) {
        match self {
            Self::Sliding { windows, counts_padding } => {
                let taps = windows.taps(index);
                let length = if counts_padding { windows.padded(index) } else { taps.len() };
                let start = windows.position(index, taps.start);
                (start..start + taps.len(), length)
            }
            Self::Even { input, count } => {
                let held = index * input / count..((index + 1) * input).div_ceil(count);
                let length = held.len();
                (held, length)
            }
        }
    }

    fn is_pairs(self) -> bool {
        matches!(self, Self::Sliding { windows, .. } if windows.are_pairs())
    }
}

/// The windows over rows and over columns.
#[derive(Clone, Copy)]
struct Mean {
    down: Axis,
    across: Axis,
}

impl Mean {
    fn new([down, across]: [Layout; 2], input: Shape, output: Shape) -> Self {
        let ([rows, columns], [y_rows, y_columns]) = (plane(input), plane(output));
        Self { down: down.over(rows, y_rows), across: across.over(columns, y_columns) }
    }

    /// The numbers of a channel of x, and of one of y.
    fn planes(self) -> (usize, usize) {
        (self.down.input() * self.across.input(), self.down.count() * self.across.count())
    }

    fn is_pairs(self) -> bool {
        self.down.is_pairs() && self.across.is_pairs()
    }
}

pub(super) fn forward<T: Scalar>(layouts: [Layout; 2], pass: &mut Forward<'_, T>) {
    let mean = Mean::new(layouts, pass.x[0].shape(), pass.y.shape());
    let (inputs, outputs) = mean.planes();
    let (x, y) = (pass.x[0].slice(), pass.y.slice());
    let work = x.len().max(y.len());
    parallel_runs(Over(mean, (Runs::new(x, inputs), RunsMut::new(y, outputs))), work);
}

pub(super) fn backward<T: Scalar>(layouts: [Layout; 2], pass: &mut Backward<'_, T>) {
    let Some(dx) = pass.dx.get(0) else { return };
    let mean = Mean::new(layouts, dx.shape(), pass.dy.shape());
    let (inputs, outputs) = mean.planes();
    let (dy, dx) = (pass.dy.slice(), dx.slice());
    let work = dx.len().max(dy.len());
    parallel_runs(Over(Spread(mean), (Runs::new(dy, outputs), RunsMut::new(dx, inputs))), work);
}

/// The sum of a window's numbers in one row, in lanes if they are many.
#[inline(always)]
fn of_row<T: Scalar>(row: &[T]) -> T {
    const MANY: usize = 32;
    if row.len() < MANY { row.iter().fold(T::ZERO, |sum, &x| sum + x) } else { lanes::map_sum(row, |x| x) }
}

/// The backward pass of a mean.
#[derive(Clone, Copy)]
struct Spread(Mean);

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Mean {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        for (x, y) in x.iter().zip(y.iter_mut()) {
            if self.is_pairs() {
                self.pairs(x, y);
            } else {
                self.windows(x, y);
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Spread {
    #[inline(always)]
    fn sweep(self, (dy, dx): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self(mean) = self;
        for (dy, dx) in dy.iter().zip(dx.iter_mut()) {
            if mean.is_pairs() {
                mean.pairs_backward(dy, dx);
            } else {
                mean.windows_backward(dy, dx);
            }
        }
    }
}

/// One channel at a time.
impl Mean {
    #[inline(always)]
    fn pairs<T: Scalar>(self, x: &[T], y: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(across)) {
            let (above, below) = x.split_at(width);
            let windows = above.as_chunks().0.iter().zip(below.as_chunks().0);
            for (y, (&[a, b], &[c, d])) in y.iter_mut().zip(windows) {
                *y = T::from_f64(0.25) * (a + b + c + d);
            }
        }
    }

    #[inline(always)]
    fn windows<T: Scalar>(self, x: &[T], y: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        for (i, y) in y.chunks_exact_mut(across).enumerate() {
            let (rows, height) = self.down.window(i);
            let x = &x[rows.start * width..rows.end * width];
            for (j, y) in y.iter_mut().enumerate() {
                let (columns, length) = self.across.window(j);
                let sum = if columns.len() == width {
                    lanes::map_sum(x, |x| x)
                } else {
                    x.chunks_exact(width).fold(T::ZERO, |sum, row| sum + of_row(&row[columns.clone()]))
                };
                *y = sum / T::from_f64((height * length) as f64);
            }
        }
    }

    #[inline(always)]
    fn pairs_backward<T: Scalar>(self, dy: &[T], dx: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        let (whole, rest) = dx.split_at_mut(2 * width * self.down.count());
        rest.fill(T::ZERO);
        for (dy, dx) in dy.chunks_exact(across).zip(whole.chunks_exact_mut(2 * width)) {
            for dx in dx.chunks_exact_mut(width) {
                let (pairs, rest) = dx.as_chunks_mut();
                rest.fill(T::ZERO);
                for (pair, &dy) in pairs.iter_mut().zip(dy) {
                    *pair = [T::from_f64(0.25) * dy; 2];
                }
            }
        }
    }

    #[inline(always)]
    fn windows_backward<T: Scalar>(self, dy: &[T], dx: &mut [T]) {
        let (width, across) = (self.across.input(), self.across.count());
        dx.fill(T::ZERO);
        for (i, dy) in dy.chunks_exact(across).enumerate() {
            let (rows, height) = self.down.window(i);
            let dx = &mut dx[rows.start * width..rows.end * width];
            for (j, &dy) in dy.iter().enumerate() {
                let (columns, length) = self.across.window(j);
                let share = dy / T::from_f64((height * length) as f64);
                for row in dx.chunks_exact_mut(width) {
                    row[columns.clone()].iter_mut().for_each(|dx| *dx += share);
                }
            }
        }
    }
}
