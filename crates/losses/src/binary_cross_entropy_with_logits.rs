use downhill_tensor::Scalar;

use crate::call::{compiled, evaluate_by};
use crate::domain::check_answers;
use crate::pointwise::{AxisWeights, Numbers, Term, logistic, terms};
use crate::reduction::reduction_setting;
use crate::weights::Mask;
use crate::{Call, ClassAxis, Loss, Meaning, Outputs, Reduction, TargetError, Total};

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
/// Predictions of any shape, and one target from 0 to 1, or one class, 0 or 1, for each number.
/// Positive weights are one for each class: predictions are then (batch, classes, positions...),
/// or (batch, positions..., classes) with [`ClassAxis::Last`].
/// A mask has one weight for each example, for each position or for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, a target lies outside 0 to 1, a class is
/// neither 0 nor 1, there is not one positive weight for each class, or one is negative or not finite.
///
/// # Source
/// Like PyTorch's `BCEWithLogitsLoss`, whose `pos_weight` this is
/// (there it is broadcast from the last axis, here it lies along the axis of classes).
/// Derivation: `docs/derivations/losses/binary-cross-entropy-with-logits.md`.
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
    /// Makes the loss with the mean over the batch and all features, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weights of the positive answers of each class; all are 1 unless this is called.
    #[must_use]
    pub fn positive_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.positive_weights = Some(weights.into());
        self
    }

    /// Sets the axis of the classes in predictions of several positions; `ClassAxis::First` unless this is called.
    #[must_use]
    pub fn class_axis(mut self, axis: ClassAxis) -> Self {
        self.class_axis = axis;
        self
    }

    reduction_setting!();
}

impl BinaryCrossEntropyWithLogits {
    fn evaluate_call<T: Scalar>(&self, call: Call<'_, T>) -> Result<Total, TargetError> {
        let Call { y, target, weights, dy } = call;
        let mask = weights.map(|weights| Mask::of_positions::<Self>(weights, y, self.class_axis)).transpose()?;
        let positive = AxisWeights::new::<Self, T>(self.positive_weights.as_deref(), y, self.class_axis)?;
        let check = |_: &[T], target: &[T]| check_answers::<Self, T>(target);
        let numbers = Numbers::new::<Self>(y, target, Some([0.0, 1.0]), mask, check)?.positive_weights(positive);
        numbers.reduce(Entropy, dy, terms(self.reduction, y, mask))
    }
}

impl Loss for BinaryCrossEntropyWithLogits {
    compiled!(Loss);
    evaluate_by!(Self::evaluate_call);

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::Logits).class_axis(self.class_axis)
    }
}

/// The entropy of one answer whose positive part has the weight.
#[derive(Clone, Copy)]
struct Entropy;

impl Term for Entropy {
    #[inline(always)]
    fn term_and_slope<T: Scalar>(self, y: T, target: T, weight: T) -> (T, T) {
        let positive = weight * target;
        let negative = T::ONE - target;
        let (if_no, if_yes, sigmoid) = logistic(y);
        (positive * if_yes + negative * if_no, (positive + negative) * sigmoid - positive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
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
    fn classes_are_the_targets_0_and_1() {
        let mut draw = Draw::new(40);
        for (examples, shape) in shapes() {
            let (y, classes) =
                (draw.numbers(examples * shape.len(), -4.0, 4.0), draw.classes(examples * shape.len(), 2));
            let values: Vec<f64> = classes.iter().map(|&class| f64::from(class)).collect();
            for loss in [
                BinaryCrossEntropyWithLogits::new(),
                BinaryCrossEntropyWithLogits::new().positive_weights(draw.numbers(shape[0], 0.2, 3.0)),
            ] {
                let of = |target| evaluate::<f64>(&loss, (examples, shape), &y, target).unwrap();
                assert_eq!(of(Target::Classes(&classes)), of(Target::Values(&values)));
            }
        }
    }

    #[test]
    fn targets_that_are_no_answers_are_errors() {
        let at =
            |target: Target<'_, f64>| error(&BinaryCrossEntropyWithLogits::new(), (4, [1].into()), &[0.0; 4], target);
        for t in [255.0, 2.0, -1.0, f64::NAN] {
            assert_eq!(
                at(Target::Values(&[0.0, 1.0, 0.5, t])),
                format!(
                    "BinaryCrossEntropyWithLogits takes targets from 0 to 1, but target 0 of example 3 is {t}; \
                     write 0 for no and 1 for yes, and divide what has another scale, such as pixels from 0 to 255"
                )
            );
        }
        assert_eq!(
            at(Target::Classes(&[0, 1, 2, 0])),
            "BinaryCrossEntropyWithLogits takes the classes 0 and 1, but target 0 of example 2 is 2; \
             use SoftmaxCrossEntropy and one output for each class if there are more"
        );
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
