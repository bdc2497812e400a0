//! Shared parts of the losses over classes: the axis of the classes, their weights, the check of indices.

use downhill_tensor::{Batch, Scalar};

use crate::domain::find;
use crate::target::{self, name};
use crate::total::Quotient;
use crate::weights::PositionWeights;
use crate::{Reduction, Target, TargetError};

/// The axis of the classes in a prediction that has several positions, such as a sequence or an image.
///
/// A prediction with a single axis has one position, and its classes lie along that axis either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ClassAxis {
    /// (batch, classes, positions...), the order of PyTorch's losses and of convolutions.
    #[default]
    First,
    /// (batch, positions..., classes), the order of recurrent and attention layers.
    Last,
}

/// Predictions seen as (outer, classes, inner), row-major: one position for each outer and inner index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) outer: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    examples: usize,
}

impl Layout {
    pub(crate) fn new<L, T>(y: Batch<'_, T>, axis: ClassAxis) -> Result<Self, TargetError> {
        let (shape, examples) = (y.shape(), y.examples());
        let (outer, classes, inner) = match (shape.axes(), axis) {
            ([], _) => (examples, 0, 1),
            (&[classes, ref positions @ ..], ClassAxis::First) => (examples, classes, positions.iter().product()),
            (&[ref positions @ .., classes], ClassAxis::Last) => {
                (examples * positions.iter().product::<usize>(), classes, 1)
            }
        };
        if classes == 0 {
            let expected = "predictions with an axis of at least one class";
            return Err(TargetError::Prediction { loss: name::<L>(), expected, got: shape });
        }
        Ok(Self { outer, classes, inner, examples })
    }

    pub(crate) fn positions(self) -> usize {
        self.outer * self.inner
    }

    /// Returns the count of numbers at one outer index.
    pub(crate) fn width(self) -> usize {
        self.classes * self.inner
    }

    /// Cuts it at the outer index `middle`.
    pub(crate) fn cut(self, middle: usize) -> (Self, Self) {
        (Self { outer: middle, ..self }, Self { outer: self.outer - middle, ..self })
    }

    /// Checks that there is one class for each position, in range if the position counts.
    pub(crate) fn check_classes(self, target: &[u32], counts: impl Fn(usize) -> bool) -> Result<(), TargetError> {
        TargetError::check_count(self.positions(), target.len())?;
        // All at once, which is vectorised; only if one is out of range does it matter which positions count.
        let classes = u32::try_from(self.classes).unwrap_or(u32::MAX);
        if find(target, |class| class >= classes).is_none() {
            return Ok(());
        }
        let out_of_range = |(position, &class): (usize, &u32)| class as usize >= self.classes && counts(position);
        match target.iter().enumerate().position(out_of_range) {
            None => Ok(()),
            Some(position) => Err(TargetError::Class {
                example: position * self.examples / target.len(),
                class: target[position],
                classes: self.classes,
            }),
        }
    }

    /// Returns the total, still without its sum, of positions by the weights of their classes.
    pub(crate) fn whole<T: Scalar>(
        self,
        reduction: Reduction,
        weight: f64,
        mask: Option<PositionWeights<'_, T>>,
    ) -> Quotient {
        let examples = mask.map_or(self.examples as f64, |mask| mask.examples(self.examples));
        reduction.of(weight, examples)
    }

    /// Checks that weights, if there are any, are one for each class, finite and at least 0.
    pub(crate) fn check_weights<L>(self, weights: Option<&[f64]>) -> Result<(), TargetError> {
        let Some(weights) = weights else { return Ok(()) };
        if weights.len() != self.classes {
            return Err(TargetError::setting_of::<L>(format!(
                "there are {} weights, but the predictions have {} classes; give one weight for each class",
                weights.len(),
                self.classes
            )));
        }
        match weights.iter().position(|&weight| !(weight >= 0.0 && weight.is_finite())) {
            None => Ok(()),
            Some(class) => Err(TargetError::setting_of::<L>(format!(
                "the weight of class {class} is {}, but weights must be finite and at least 0",
                weights[class]
            ))),
        }
    }
}

/// Checks that predictions are a vector of classes and targets one class for each, with a weight for each class.
/// Returns the summed weight of the targets.
pub(crate) fn check_one_class<L, T>(
    y: Batch<'_, T>,
    target: Target<'_, T>,
    weights: Option<&[f64]>,
) -> Result<f64, TargetError> {
    if y.shape().rank() != 1 {
        let expected = "a vector with one number for each class";
        return Err(TargetError::Prediction { loss: name::<L>(), expected, got: y.shape() });
    }
    let layout = Layout::new::<L, T>(y, ClassAxis::First)?;
    layout.check_weights::<L>(weights)?;
    let classes = target::classes::<L, T>(target, "one class for each example, but received numbers")?;
    layout.check_classes(classes, |_| true)?;
    Ok(weights.map_or(classes.len() as f64, |weights| classes.iter().map(|&class| weights[class as usize]).sum()))
}

/// Returns the weight of a class: 1 if there are no weights.
#[inline(always)]
pub(crate) fn weight<T: Scalar>(weights: Option<&[f64]>, class: usize) -> T {
    weights.map_or(T::ONE, |weights| T::from_f64(weights[class]))
}

/// Computes -q ln p, which is 0 for q = 0 even if ln p is infinite.
#[inline(always)]
pub(crate) fn part<T: Scalar>(q: T, surprise: T) -> T {
    if q == T::ZERO { T::ZERO } else { q * surprise }
}

/// Writes the builder methods of a loss over classes.
macro_rules! class_settings {
    () => {
        /// Sets the weights of the classes; all are 1 unless this is called.
        #[must_use]
        pub fn class_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
            self.class_weights = Some(weights.into());
            self
        }

        /// Ignores positions whose target is this index, which need not be a class; none unless this is called.
        #[must_use]
        pub fn ignored_index(mut self, index: u32) -> Self {
            self.ignored_index = Some(index);
            self
        }

        /// Sets the axis of the classes in predictions of several positions; `ClassAxis::First` unless this is called.
        #[must_use]
        pub fn class_axis(mut self, axis: $crate::ClassAxis) -> Self {
            self.class_axis = axis;
            self
        }
    };
}

pub(crate) use class_settings;
