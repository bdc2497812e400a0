use downhill_tensor::Scalar;

use crate::call::{compiled, evaluate_by};
use crate::classes::{Layout, class_settings, part, weight};
use crate::domain::{LOG_PROBABILITIES, above_log_1, find};
use crate::reduction::reduction_setting;
use crate::weights::PositionWeights;
use crate::{Call, ClassAxis, Loss, Meaning, Outputs, Reduction, TargetError, Total, target};

/// The negative log-likelihood of target classes under predicted log-probabilities: $`\ell = -w_t\,y_t`$.
///
/// $`\partial \ell / \partial y_c = -w_t\,\delta_{ct}`$, with the class weights $`w`$, 1 by default.
/// The mean divides the sum by $`\sum w_t`$ over the targets that are not ignored.
/// Behind a log-softmax it equals [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy), which does both in one step.
///
/// # Shapes
/// Predictions (batch, classes) with one class for each example, or (batch, classes, positions...) with one class for
/// each position; with [`ClassAxis::Last`] predictions are (batch, positions..., classes).
/// A mask has one weight for each example or for each position.
///
/// # Errors
/// Returns an error if a prediction that counts is above 0 by more than rounding, and so no logarithm of a probability,
/// a class does not exist, targets are too many or too few, there is not one weight for each class,
/// or a weight is negative or not finite.
///
/// # Edge cases
/// The mean of no positions, or of ignored ones alone, is NaN with a gradient of 0.
/// A class of weight 0 adds nothing, even if its log-probability is −∞.
///
/// # Source
/// Like PyTorch's `NLLLoss`, which takes any predictions.
/// Derivation: `docs/derivations/losses/negative-log-likelihood.md`.
///
/// ```
/// use downhill_losses::{Loss, NegativeLogLikelihood, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[-0.5, -1.0, -2.0, -0.1], 2, [2])?;
/// assert_eq!(NegativeLogLikelihood::new().value(y, Target::Classes(&[0, 0]))?, 1.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct NegativeLogLikelihood {
    class_weights: Option<Vec<f64>>,
    ignored_index: Option<u32>,
    class_axis: ClassAxis,
    reduction: Reduction,
}

impl NegativeLogLikelihood {
    /// Makes the loss with the mean over all positions, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    class_settings!();
    reduction_setting!();
}

impl NegativeLogLikelihood {
    fn evaluate_call<T: Scalar>(&self, call: Call<'_, T>) -> Result<Total, TargetError> {
        let Call { y, target, weights, mut dy } = call;
        let layout = Layout::new::<Self, T>(y, self.class_axis)?;
        let mask = weights.map(|weights| PositionWeights::new::<Self>(weights, y, layout)).transpose()?;
        let class_weights = self.class_weights.as_deref();
        layout.check_weights::<Self>(class_weights)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let target = target::classes::<Self, T>(target, "one class for each position, but received numbers")?;
        let counts = |position: usize| {
            Some(target[position]) != self.ignored_index
                && mask.is_none_or(|mask| mask.of_position(position) != T::ZERO)
        };
        layout.check_classes(target, counts)?;
        let place = |position: usize, class: usize| {
            let (outer, inner) = (position / layout.inner, position % layout.inner);
            (outer * layout.classes + class) * layout.inner + inner
        };
        let of = |position: usize| {
            let weight = weight::<T>(class_weights, target[position] as usize);
            mask.map_or(weight, |mask| weight * mask.of_position(position))
        };
        let counted = || (0..target.len()).filter(|&position| counts(position));
        // All at once, and only if that fails the positions that count.
        if find(y.slice(), above_log_1).is_some() {
            for position in counted().filter(|&position| of(position) != T::ZERO) {
                for at in (0..layout.classes).map(|class| place(position, class)) {
                    LOG_PROBABILITIES
                        .check::<Self, T>(&y.slice()[at..=at], above_log_1)
                        .map_err(|error| error.from(at).located(y.shape().len()))?;
                }
            }
        }

        let whole = layout.whole(self.reduction, counted().map(|position| of(position).to_f64()).sum(), mask);
        let scale = T::from_f64(whole.scale());
        if let Some(dy) = dy.as_deref_mut() {
            dy.fill(T::ZERO);
        }
        let mut total = 0.0;
        for position in counted() {
            let (weight, at) = (of(position), place(position, target[position] as usize));
            total += part(weight, -y.slice()[at]).to_f64();
            if let Some(dy) = dy.as_deref_mut() {
                dy[at] = -weight * scale;
            }
        }
        Ok(whole.total(total))
    }
}

impl Loss for NegativeLogLikelihood {
    compiled!(Loss);
    evaluate_by!(Self::evaluate_call);

    fn meaning(&self) -> Meaning {
        let outputs = Meaning::new(Outputs::ClassLogProbabilities);
        outputs.class_axis(self.class_axis).ignored_index(self.ignored_index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{Draw, check, error, evaluate, shapes};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(23);
        for (examples, shape) in shapes() {
            for (axis, classes) in [(ClassAxis::First, shape[0]), (ClassAxis::Last, shape[shape.rank() - 1])] {
                let y = draw.numbers(examples * shape.len(), -3.0, 0.0);
                let target = draw.classes(y.len() / classes, classes);
                let loss = NegativeLogLikelihood::new().class_axis(axis);
                check(&loss, (examples, shape), &y, Target::Classes(&target));
                let loss = loss.class_weights(draw.numbers(classes, 0.2, 2.0)).reduction(Reduction::BatchMean);
                check(&loss, (examples, shape), &y, Target::Classes(&target));
            }
        }
    }

    #[test]
    fn ignored_positions_count_for_nothing() {
        let y = [-1.0, -2.0, -3.0, -4.0];
        let loss = NegativeLogLikelihood::new().ignored_index(7);
        let at = |target: [u32; 2]| evaluate::<f64>(&loss, (2, [2].into()), &y, Target::Classes(&target)).unwrap();
        assert_eq!(at([7, 1]), (4.0, vec![0.0, 0.0, 0.0, -1.0]));
        let (value, dy) = at([7, 7]);
        assert!(value.is_nan());
        assert_eq!(dy, [0.0; 4]);
    }

    #[test]
    fn a_class_of_weight_0_adds_nothing() {
        let y = [f64::NEG_INFINITY, -1.0, f64::NEG_INFINITY, -3.0];
        let loss = NegativeLogLikelihood::new().class_weights([0.0, 1.0]);
        let (value, _) = evaluate::<f64>(&loss, (2, [2].into()), &y, Target::Classes(&[0, 1])).unwrap();
        assert_eq!(value, 3.0);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = NegativeLogLikelihood::new();
        assert_eq!(
            error(&loss, (2, [2].into()), &[-1.0; 4], Target::Classes(&[0, 2])),
            "example 1 has the class 2, but the predictions have 2 classes, counted from 0"
        );
        assert_eq!(
            error(&loss, (2, [2].into()), &[-1.0; 4], Target::Values(&[0.5; 4])),
            "NegativeLogLikelihood compares with one class for each position, but received numbers"
        );
        // Logits, of which only the second example's count.
        let loss = loss.ignored_index(9);
        assert_eq!(
            error(&loss, (2, [2].into()), &[3.0, -1.0, -1.0, 2.5], Target::Classes(&[9, 0])),
            "NegativeLogLikelihood takes logarithms of probabilities, which are at most 0, \
             but prediction 1 of example 1 is 2.5; put LogSoftmax before this loss"
        );
    }
}
