use downhill_tensor::Scalar;

use crate::call::{compiled, evaluate_by};
use crate::classes::Layout;
use crate::domain::check_answers;
use crate::pointwise::{AxisWeights, Numbers, Term, logistic};
use crate::reduction::reduction_setting;
use crate::weights::Mask;
use crate::{Call, ClassAxis, Loss, Meaning, Outputs, Reduction, TargetError, Total};

/// The cross-entropy of several yes-or-no labels, averaged over the labels of an example.
///
/// With the class weights $`w`$, 1 by default, and $`C`$ classes, an example adds
/// ```math
/// \ell = -\frac1C \sum_c w_c \big[t_c \ln \sigma(y_c) + (1 - t_c) \ln(1 - \sigma(y_c))\big], \qquad
/// \frac{\partial \ell}{\partial y_c} = \frac{w_c}{C} (\sigma(y_c) - t_c).
/// ```
/// Without weights its mean is that of
/// [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits); its sum is smaller by $`C`$.
///
/// # Shapes
/// Predictions (batch, classes) or (batch, classes, positions...), and one target from 0 to 1 for each number;
/// with [`ClassAxis::Last`] predictions are (batch, positions..., classes).
/// A mask has one weight for each example, for each position or for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, a target lies outside 0 to 1,
/// there is not one weight for each class, or one is negative or not finite.
///
/// # Source
/// Like PyTorch's `MultiLabelSoftMarginLoss` on (batch, classes).
/// Derivation: `docs/derivations/losses/multi-label-soft-margin.md`.
///
/// ```
/// use downhill_losses::{Loss, MultiLabelSoftMargin, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.0, 1e4], 1, [2])?;
/// let value = MultiLabelSoftMargin::new().value(y, Target::Values(&[1.0, 0.0]))?;
/// assert_eq!(value, (2.0_f64.ln() + 1e4) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MultiLabelSoftMargin {
    class_weights: Option<Vec<f64>>,
    class_axis: ClassAxis,
    reduction: Reduction,
}

impl MultiLabelSoftMargin {
    /// Makes the loss with the mean over the batch and the classes, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weights of the classes; all are 1 unless this is called.
    #[must_use]
    pub fn class_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.class_weights = Some(weights.into());
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

impl MultiLabelSoftMargin {
    fn evaluate_call<T: Scalar>(&self, call: Call<'_, T>) -> Result<Total, TargetError> {
        let Call { y, target, weights, dy } = call;
        let mask = weights.map(|weights| Mask::of_positions::<Self>(weights, y, self.class_axis)).transpose()?;
        let layout = Layout::new::<Self, T>(y, self.class_axis)?;
        let weights = AxisWeights::new::<Self, T>(self.class_weights.as_deref(), y, self.class_axis)?;
        let check = |_: &[T], target: &[T]| check_answers::<Self, T>(target);
        let numbers = Numbers::new::<Self>(y, target, None, mask, check)?.class_weights(weights);
        // A term is the mean over the classes of one position.
        let entropy = Entropy { share: 1.0 / layout.classes as f64 };
        let (positions, examples) = (layout.positions(), y.examples());
        let whole = match mask {
            None => self.reduction.of_terms(positions, examples),
            Some(mask) => mask.whole(self.reduction, positions, examples),
        };
        let counts = self.class_weights.as_ref().is_none_or(|weights| weights.iter().any(|&weight| weight > 0.0));
        numbers.reduce(entropy, dy, if counts { whole } else { whole.weight(0.0) })
    }
}

impl Loss for MultiLabelSoftMargin {
    compiled!(Loss);
    evaluate_by!(Self::evaluate_call);

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::Logits).class_axis(self.class_axis)
    }
}

/// The entropy of one answer.
#[derive(Clone, Copy)]
struct Entropy {
    /// The share of one class in the mean over all classes of a position.
    share: f64,
}

impl Term for Entropy {
    #[inline(always)]
    fn term_and_slope<T: Scalar>(self, y: T, target: T, _positive: T) -> (T, T) {
        let (if_no, if_yes, sigmoid) = logistic(y);
        let share = T::from_f64(self.share);
        (share * (target * if_yes + (T::ONE - target) * if_no), share * (sigmoid - target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{Draw, check, evaluate, shapes};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(26);
        for (examples, shape) in shapes() {
            let count = examples * shape.len();
            let (y, target) = (draw.numbers(count, -4.0, 4.0), draw.either(count, 0.0, 1.0));
            check(&MultiLabelSoftMargin::new(), (examples, shape), &y, Target::Values(&target));
            for (axis, classes) in [(ClassAxis::First, shape[0]), (ClassAxis::Last, shape[shape.rank() - 1])] {
                let weights = draw.numbers(classes, 0.2, 3.0);
                let loss = MultiLabelSoftMargin::new().class_weights(weights).class_axis(axis);
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn the_sum_is_over_means_of_classes() {
        let at = |reduction| {
            let loss = MultiLabelSoftMargin::new().reduction(reduction);
            evaluate::<f64>(&loss, (6, [2].into()), &[0.0; 12], Target::Values(&[1.0; 12])).unwrap().0
        };
        assert!((at(Reduction::Mean) - 2.0_f64.ln()).abs() < 1e-15);
        assert!((at(Reduction::Sum) - 6.0 * 2.0_f64.ln()).abs() < 1e-14);
        assert!((at(Reduction::BatchMean) - 2.0_f64.ln()).abs() < 1e-15);
    }
}
