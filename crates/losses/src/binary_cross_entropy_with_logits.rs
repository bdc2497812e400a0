use downhill_tensor::{Batch, Scalar};

use crate::pointwise::{AxisWeights, Term, logistic, reduce};
use crate::reduction::reduction_setting;
use crate::{ClassAxis, Loss, Reduction, Target, TargetError, Total, target};

/// The cross-entropy of yes-or-no questions, each answered by one logit.
///
/// With $`\sigma(y) = 1/(1 + e^{-y})`$, a target $`t`$ from 0 to 1 and a weight $`w`$ of the positive answers
/// (1 by default)
/// ```math
/// \ell = -w\,t \ln \sigma(y) - (1 - t) \ln(1 - \sigma(y)), \qquad
/// \frac{d\ell}{dy} = (w\,t + 1 - t)\,\sigma(y) - w\,t.
/// ```
/// The logarithm is taken of neither σ nor 1 − σ, so a logit of ±10⁴ is exact.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
/// Positive weights are one for each class: predictions are then (batch, classes, positions...),
/// or (batch, positions..., classes) with [`ClassAxis::Last`].
///
/// # Errors
/// Where there are more or fewer targets than predictions, there is not one positive weight for each class,
/// or one is negative or not finite. Targets are not checked to lie between 0 and 1.
///
/// # Source
/// As PyTorch's `BCEWithLogitsLoss`, whose `pos_weight` this is
/// (there it is broadcast from the last axis, here it lies along the axis of classes).
///
/// ```
/// use downhill_losses::{BinaryCrossEntropyWithLogits, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.0, 1e4], 2, [1])?;
/// let loss = BinaryCrossEntropyWithLogits::new().reduction(downhill_losses::Reduction::Sum);
/// assert_eq!(loss.value(y, Target::Values(&[1.0, 0.0]))?, 2.0_f64.ln() + 1e4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct BinaryCrossEntropyWithLogits {
    positive_weights: Option<Vec<f64>>,
    class_axis: ClassAxis,
    reduction: Reduction,
}

impl BinaryCrossEntropyWithLogits {
    /// The mean over the batch and all features, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Weighs the positive answers of each class; all weights are 1 unless this is called.
    #[must_use]
    pub fn positive_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.positive_weights = Some(weights.into());
        self
    }

    /// Sets where the classes lie in predictions of several positions; `ClassAxis::First` unless this is called.
    #[must_use]
    pub fn class_axis(mut self, axis: ClassAxis) -> Self {
        self.class_axis = axis;
        self
    }

    reduction_setting!();
}

impl Loss for BinaryCrossEntropyWithLogits {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let target = target::one_for_each::<Self, T>(y, target)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let weights = AxisWeights::new::<Self, T>(self.positive_weights.as_deref(), y, self.class_axis)?;
        let whole = self.reduction.of(target.len() as f64, y.examples());
        Ok(reduce(Entropy, weights, y.slice(), target, dy, whole))
    }
}

/// The entropy of one answer whose positive part has the weight.
#[derive(Clone, Copy)]
struct Entropy;

impl Term for Entropy {
    #[inline(always)]
    fn at<T: Scalar>(self, y: T, target: T, weight: T) -> (T, T) {
        let positive = weight * target;
        let negative = T::ONE - target;
        let (if_no, if_yes, sigmoid) = logistic(y);
        (positive * if_yes + negative * if_no, (positive + negative) * sigmoid - positive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, check_pointwise, error, evaluate, shapes, slope, term};

    #[test]
    fn gradient() {
        check_pointwise(&BinaryCrossEntropyWithLogits::new(), 4, |draw, count| {
            (draw.numbers(count, -4.0, 4.0), draw.numbers(count, 0.0, 1.0))
        });
    }

    #[test]
    fn gradient_with_positive_weights() {
        let mut draw = Draw::new(5);
        for (examples, shape) in shapes() {
            let count = examples * shape.len();
            let (y, target) = (draw.numbers(count, -4.0, 4.0), draw.numbers(count, 0.0, 1.0));
            for (axis, classes) in [(ClassAxis::First, shape[0]), (ClassAxis::Last, shape[shape.rank() - 1])] {
                let weights = draw.numbers(classes, 0.2, 3.0);
                let loss = BinaryCrossEntropyWithLogits::new().positive_weights(weights).class_axis(axis);
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn weights_lie_along_the_axis_of_classes() {
        let (y, target) = ([0.0; 12], [1.0; 12]);
        let loss = BinaryCrossEntropyWithLogits::new().positive_weights([1.0, 2.0]).reduction(Reduction::Sum);
        let (_, dy) = evaluate::<f64>(&loss, (2, [2, 3].into()), &y, Target::Values(&target)).unwrap();
        assert_eq!(dy, [-0.5, -0.5, -0.5, -1.0, -1.0, -1.0, -0.5, -0.5, -0.5, -1.0, -1.0, -1.0]);
        let loss = loss.class_axis(ClassAxis::Last);
        let (_, dy) = evaluate::<f64>(&loss, (2, [3, 2].into()), &y, Target::Values(&target)).unwrap();
        assert_eq!(dy, [-0.5, -1.0].repeat(6));
    }

    #[test]
    fn large_logits_are_exact() {
        let loss = BinaryCrossEntropyWithLogits::new();
        assert_eq!(term(&loss, 1e4, 0.0), 1e4);
        assert_eq!(term(&loss, -1e4, 1.0), 1e4);
        assert_eq!(term(&loss, 1e4, 1.0), 0.0);
        assert_eq!((slope(&loss, 1e4, 0.0), slope(&loss, -1e4, 1.0)), (1.0, -1.0));
        assert!(term(&loss, f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn a_weight_for_each_class_is_needed() {
        let batch = (1, [3].into());
        let loss = BinaryCrossEntropyWithLogits::new().positive_weights([1.0, 2.0]);
        assert_eq!(
            error(&loss, batch, &[0.0; 3], Target::Values(&[0.0; 3])),
            "BinaryCrossEntropyWithLogits: there are 2 weights, but the predictions have 3 classes; \
             give one weight for each class"
        );
        let loss = BinaryCrossEntropyWithLogits::new().positive_weights([1.0, -2.0, 1.0]);
        assert_eq!(
            error(&loss, batch, &[0.0; 3], Target::Values(&[0.0; 3])),
            "BinaryCrossEntropyWithLogits: the weight of class 1 is -2, but weights must be finite and at least 0"
        );
    }
}
