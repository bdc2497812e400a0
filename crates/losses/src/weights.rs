//! Weights of examples, positions or single numbers.

use std::ops::Range;

use downhill_tensor::{Batch, Scalar};

use crate::classes::Layout;
use crate::domain::find;
use crate::total::Quotient;
use crate::{ClassAxis, Reduction, TargetError};

/// The weights of a call, and the numbers of the predictions that each belongs to.
///
/// Predictions are seen as (outer, classes, inner), and one weight belongs to all classes of an outer and inner index:
/// a whole example is then a position of as many classes as it has numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<'a, T> {
    weights: &'a [T],
    classes: usize,
    inner: usize,
    /// The place of the first number.
    first: usize,
}

impl<'a, T: Scalar> Mask<'a, T> {
    /// Makes a mask from weights of examples, of steps along the leading axes, or of single numbers.
    pub(crate) fn of_numbers<L>(weights: &'a [T], y: Batch<'_, T>) -> Result<Self, TargetError> {
        let shape = y.shape();
        let (mut groups, mut classes) = (y.examples(), shape.len());
        let mut leading = shape.axes().iter();
        while groups != weights.len() {
            let Some(&axis) = leading.next() else {
                return Err(wrong_count::<L>(weights.len(), y, None, true));
            };
            groups = groups.saturating_mul(axis);
            classes = classes.checked_div(axis).unwrap_or(0);
        }
        check_weights::<L, T>(weights)?;
        Ok(Self { weights, classes: classes.max(1), inner: 1, first: 0 })
    }

    /// Makes a mask from weights of examples, of positions, or of single numbers, if classes lie along an axis.
    pub(crate) fn of_positions<L>(weights: &'a [T], y: Batch<'_, T>, axis: ClassAxis) -> Result<Self, TargetError> {
        let layout = Layout::new::<L, T>(y, axis)?;
        let (classes, inner) = match weights.len() {
            count if count == y.examples() => (y.shape().len(), 1),
            count if count == layout.positions() => (layout.classes, layout.inner),
            count if count == y.slice().len() => (1, 1),
            count => return Err(wrong_count::<L>(count, y, Some(layout.positions()), true)),
        };
        check_weights::<L, T>(weights)?;
        Ok(Self { weights, classes: classes.max(1), inner, first: 0 })
    }

    /// Returns the mask of the numbers from `first` on.
    pub(crate) fn from(self, first: usize) -> Self {
        Self { first: self.first + first, ..self }
    }

    /// Multiplies each number's factor by its weight.
    #[inline(always)]
    pub(crate) fn multiply(self, factors: &mut [T]) {
        let outer = self.classes * self.inner;
        let (mut row, mut place) = (self.first / outer * self.inner, self.first % outer);
        let mut within = place % self.inner;
        for factor in factors {
            *factor *= self.weights[row + within];
            (within, place) = (within + 1, place + 1);
            if within == self.inner {
                within = 0;
            }
            if place == outer {
                (row, place) = (row + self.inner, 0);
            }
        }
    }

    /// Lists the ranges of `numbers` numbers whose weights are not 0.
    pub(crate) fn counted(self, numbers: usize) -> impl Iterator<Item = Range<usize>> {
        let outer = self.classes * self.inner;
        let counts = move |i: usize| self.weights[i / outer * self.inner + i % self.inner] != T::ZERO;
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = (next..numbers).find(|&i| counts(i))?;
            next = (start..numbers).find(|&i| !counts(i)).unwrap_or(numbers);
            Some(start..next)
        })
    }

    /// Returns the total, still without its sum, of `terms` terms, of which each weight has an equal number.
    pub(crate) fn whole(self, reduction: Reduction, terms: usize, examples: usize) -> Quotient {
        let count = self.weights.len().max(1) as f64;
        reduction.of(terms as f64 / count, examples as f64 / count).weighing(sum(self.weights))
    }
}

/// Sums weights.
fn sum<T: Scalar>(weights: &[T]) -> f64 {
    weights.iter().map(|w| w.to_f64()).sum()
}

/// Weights of positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PositionWeights<'a, T> {
    weights: &'a [T],
    /// The number of positions that share a weight: 1, or all of an example.
    each: usize,
    /// The first position.
    first: usize,
}

impl<'a, T: Scalar> PositionWeights<'a, T> {
    pub(crate) fn new<L>(weights: &'a [T], y: Batch<'_, T>, layout: Layout) -> Result<Self, TargetError> {
        let positions = layout.positions();
        let each = match weights.len() {
            count if count == y.examples() => positions / y.examples().max(1),
            count if count == positions => 1,
            count => return Err(wrong_count::<L>(count, y, Some(positions), false)),
        };
        check_weights::<L, T>(weights)?;
        Ok(Self { weights, each: each.max(1), first: 0 })
    }

    /// Converts to the weights of all numbers of the predictions.
    pub(crate) fn of_numbers(self, layout: Layout) -> Mask<'a, T> {
        let Self { weights, each, first } = self;
        // For weights of whole examples the order of the positions does not matter.
        let (classes, inner) = if each == 1 { (layout.classes, layout.inner) } else { (layout.classes * each, 1) };
        Mask { weights, classes, inner, first }
    }

    #[inline(always)]
    pub(crate) fn of_position(self, position: usize) -> T {
        self.weights[(self.first + position) / self.each]
    }

    /// Counts the examples, each by the mean weight of its positions.
    pub(crate) fn examples(self, examples: usize) -> f64 {
        examples as f64 * sum(self.weights) / self.weights.len().max(1) as f64
    }

    /// Returns the weights of the positions from `first` on.
    pub(crate) fn from(self, first: usize) -> Self {
        Self { first: self.first + first, ..self }
    }
}

/// Makes the error of more or fewer weights than a loss of single terms can take.
fn wrong_count<L>(got: usize, y: Batch<'_, impl Scalar>, positions: Option<usize>, numbers: bool) -> TargetError {
    let mut takes = format!("each of the {} examples", y.examples());
    if let Some(positions) = positions {
        takes += &format!(", or for each of the {positions} positions");
    }
    if numbers {
        takes += &format!(", or for each of the {} predicted numbers", y.slice().len());
    }
    TargetError::setting_of::<L>(format!("there are {got} weights; give one for {takes}"))
}

/// Checks that all weights are finite and at least 0.
pub(crate) fn check_weights<L: ?Sized, W: Scalar>(weights: &[W]) -> Result<(), TargetError> {
    match find(weights, |w| !((w >= W::ZERO) & w.is_finite())) {
        None => Ok(()),
        Some(place) => Err(TargetError::setting_of::<L>(format!(
            "weight {place} is {}, but weights must be finite and at least 0",
            weights[place]
        ))),
    }
}
