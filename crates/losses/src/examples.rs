//! Losses that judge each example as a whole.

use downhill_tensor::{Batch, Divisible, Kernel, Scalar, Shape};

use crate::pointwise::block_sum;
use crate::sums::{Rows, total};
use crate::target::{self, name};
use crate::total::Quotient;
use crate::{Target, TargetError, Total};

/// A loss whose terms compare one example with the targets of that example.
pub(crate) trait ExampleLoss: Sync {
    /// Computes the term of one example; with `dy`, also overwrites it with the gradient times `scale`.
    ///
    /// Mark the implementation `#[inline(always)]`: it is vectorised in the loop that calls it.
    fn example<T: Scalar>(&self, shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T;
}

/// Sums the terms of all examples into a total of their weight and divisor; with `dy`, also overwrites it with the
/// gradient.
///
/// Every example has `targets` targets.
pub(crate) fn by_example<L: ExampleLoss, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    (target, targets): (Target<'_, T>, usize),
    dy: Option<&mut [T]>,
    whole: Quotient,
) -> Result<Total, TargetError> {
    TargetError::check_gradient(y, dy.as_deref())?;
    TargetError::check_count(y.examples() * targets, target.len())?;
    let scale = T::from_f64(whole.scale());
    let (count, shape) = (y.examples(), y.shape());
    let terms = Examples { loss, count, shape, y: y.slice(), target, targets, dy, scale };
    Ok(whole.total(total(terms)))
}

struct Examples<'a, L, T> {
    loss: &'a L,
    count: usize,
    shape: Shape,
    y: &'a [T],
    target: Target<'a, T>,
    targets: usize,
    dy: Option<&'a mut [T]>,
    scale: T,
}

impl<L: ExampleLoss, T: Scalar> Kernel for Examples<'_, L, T> {
    type Output = f64;

    #[inline(always)]
    fn run(mut self) -> f64 {
        let width = self.shape.len();
        let mut total = 0.0;
        for example in 0..self.count {
            let here = example * width..(example + 1) * width;
            let dy = self.dy.as_deref_mut().map(|dy| &mut dy[here.clone()]);
            let target = target::of_example(self.target, example, self.targets);
            total += self.loss.example(self.shape, &self.y[here], target, dy, self.scale).to_f64();
        }
        total
    }
}

impl<L: ExampleLoss, T: Scalar> Rows for Examples<'_, L, T> {
    fn width(&self) -> usize {
        self.shape.len()
    }
}

impl<L: ExampleLoss, T: Scalar> Divisible for Examples<'_, L, T> {
    fn elements(&self) -> usize {
        self.count
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { loss, count, shape, targets, scale, .. } = self;
        let (y0, y1) = self.y.split_at(middle * shape.len());
        let (target0, target1) = target::cut(self.target, middle * targets);
        let (dy0, dy1) = self.dy.cut(middle * shape.len());
        (
            Self { loss, count: middle, shape, y: y0, target: target0, targets, dy: dy0, scale },
            Self { loss, count: count - middle, shape, y: y1, target: target1, targets, dy: dy1, scale },
        )
    }
}

/// The number of pairs whose terms are on the stack until they are summed.
const BLOCK: usize = 32;

/// Sums the terms of an example whose two halves are compared with one target for each pair:
/// `at(a, b, t)` gives the term, its slope in a and its slope in b.
#[inline(always)]
pub(crate) fn pairs<T: Scalar>(
    y: &[T],
    target: &[T],
    dy: Option<&mut [T]>,
    scale: T,
    at: impl Fn(T, T, T) -> (T, T, T),
) -> T {
    let pairs = target.len();
    let (a, b) = y.split_at(pairs);
    let (mut da, mut db) = dy.map(|dy| dy.split_at_mut(pairs)).unzip();
    let mut total = 0.0;
    let mut terms = [T::ZERO; BLOCK];
    for first in (0..pairs).step_by(BLOCK) {
        let here = first..pairs.min(first + BLOCK);
        let inputs = a[here.clone()].iter().zip(&b[here.clone()]).zip(&target[here.clone()]).zip(&mut terms);
        if let (Some(da), Some(db)) = (&mut da, &mut db) {
            let gradients = da[here.clone()].iter_mut().zip(&mut db[here.clone()]);
            for ((((&a, &b), &t), term), (da, db)) in inputs.zip(gradients) {
                let (value, in_a, in_b) = at(a, b, t);
                (*term, *da, *db) = (value, in_a * scale, in_b * scale);
            }
        } else {
            for (((&a, &b), &t), term) in inputs {
                *term = at(a, b, t).0;
            }
        }
        total += block_sum(&terms[..here.len()]);
    }
    T::from_f64(total)
}

/// Checks that an example has numbers: without any, a term for the example as a whole means nothing.
pub(crate) fn check_numbers<L>(shape: Shape, expected: &'static str) -> Result<(), TargetError> {
    if shape.len() > 0 { Ok(()) } else { Err(TargetError::Prediction { loss: name::<L>(), expected, got: shape }) }
}

/// Returns the length, at least 1, of each of the `parts` predictions that lie one after another along an example's first
/// axis.
pub(crate) fn part_length<L>(shape: Shape, parts: usize, expected: &'static str) -> Result<usize, TargetError> {
    match shape.axes() {
        [first, ..] if first.is_multiple_of(parts) && shape.len() > 0 => Ok(shape.len() / parts),
        _ => Err(TargetError::Prediction { loss: name::<L>(), expected, got: shape }),
    }
}
