use downhill_tensor::{Batch, Scalar};

use crate::classes::{Layout, class_settings, counted_weight, part, weight};
use crate::reduction::reduction_setting;
use crate::{ClassAxis, Loss, Reduction, Target, TargetError, Total, target};

/// The negative log-likelihood of target classes under predicted log-probabilities: $`\ell = -w_t\,y_t`$.
///
/// $`\partial \ell / \partial y_c = -w_t\,\delta_{ct}`$, with the class weights $`w`$, 1 by default.
/// The mean divides the sum by $`\sum w_t`$ over the targets that are not ignored.
/// Behind a log-softmax it is [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy), in two steps for one.
///
/// # Shapes
/// Predictions (batch, classes) with one class for each example, or (batch, classes, positions...) with one class for
/// each position; with [`ClassAxis::Last`] predictions are (batch, positions..., classes).
///
/// # Errors
/// Where a class does not exist, targets are too many or too few, there is not one weight for each class,
/// or a weight is negative or not finite.
///
/// # Edge cases
/// The mean of no positions, or of ignored ones alone, is NaN with a gradient of 0.
/// A class of weight 0 adds nothing, even where its log-probability is −∞.
///
/// # Source
/// As PyTorch's `NLLLoss`.
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
    /// The mean over all positions, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    class_settings!();
    reduction_setting!();
}

impl Loss for NegativeLogLikelihood {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let layout = Layout::new::<Self, T>(y, self.class_axis)?;
        let weights = self.class_weights.as_deref();
        layout.check_weights::<Self>(weights)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let target = target::classes::<Self, T>(target, "one class for each position, but was given numbers")?;
        layout.check_classes(target, self.ignored_index)?;

        let whole = self.reduction.of(counted_weight(target, weights, self.ignored_index), y.examples());
        let scale = T::of(whole.scale());
        if let Some(dy) = dy.as_deref_mut() {
            dy.fill(T::ZERO);
        }
        let mut total = 0.0;
        for (position, &class) in target.iter().enumerate() {
            if Some(class) == self.ignored_index {
                continue;
            }
            let (outer, inner) = (position / layout.inner, position % layout.inner);
            let at = (outer * layout.classes + class as usize) * layout.inner + inner;
            let weight = weight(weights, class as usize);
            total += part(weight, -y.slice()[at]).to_f64();
            if let Some(dy) = dy.as_deref_mut() {
                dy[at] = -weight * scale;
            }
        }
        Ok(whole.with_sum(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            "NegativeLogLikelihood compares with one class for each position, but was given numbers"
        );
    }
}
