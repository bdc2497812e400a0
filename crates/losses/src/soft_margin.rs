use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::{SIGNS_OF_CLASSES, check_signs};
use crate::pointwise::logistic;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The logistic loss of two classes, −1 and 1: $`\ell = \ln(1 + e^{-t y})`$.
///
/// $`d\ell/dy = -t\,\sigma(-t y)`$. It does not overflow, however wrong the prediction is.
/// With targets 0 and 1 it is [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits).
///
/// # Shapes
/// Predictions of any shape, and one target for each number: −1 or 1, or the class 0, which means −1, or 1.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, a target is neither −1 nor 1,
/// or a class is neither 0 nor 1.
///
/// # Source
/// Like PyTorch's `SoftMarginLoss`, which takes any targets.
/// Derivation: `docs/derivations/losses/soft-margin.md`.
///
/// ```
/// use downhill_losses::{Loss, SoftMargin, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.0, 1e4], 2, [1])?;
/// assert_eq!(SoftMargin::new().value(y, Target::Values(&[1.0, -1.0]))?, (2.0_f64.ln() + 1e4) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct SoftMargin {
    reduction: Reduction,
}

impl SoftMargin {
    /// Makes the loss with the mean over the batch and all features.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

impl PointwiseLoss for SoftMargin {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let against = -target * y;
        let (term, _, sigmoid) = logistic(against);
        (term, -target * sigmoid)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Scores)
    }

    fn class_values(&self) -> Option<[f64; 2]> {
        Some([-1.0, 1.0])
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        check_signs::<Self, T>(target, SIGNS_OF_CLASSES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, slope, term};

    #[test]
    fn gradient() {
        check_pointwise(&SoftMargin::new(), 14, |draw, count| {
            (draw.numbers(count, -4.0, 4.0), draw.either(count, -1.0, 1.0))
        });
    }

    #[test]
    fn labels_0_and_1_are_an_error_as_numbers() {
        assert_eq!(
            error(&SoftMargin::new(), (2, [1].into()), &[0.0; 2], Target::Values(&[1.0, 0.0])),
            "SoftMargin takes targets that are -1 or 1, but target 0 of example 1 is 0; \
             write -1 for no and 1 for yes, or give the classes 0 and 1 as classes"
        );
    }

    #[test]
    fn large_margins_are_exact() {
        let loss = SoftMargin::new();
        assert_eq!((term(&loss, 1e4, -1.0), slope(&loss, 1e4, -1.0)), (1e4, 1.0));
        assert_eq!((term(&loss, 1e4, 1.0), slope(&loss, 1e4, 1.0)), (0.0, 0.0));
    }
}
