use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The mean of the squared differences: $`J = \frac1n \sum_i (y_i - t_i)^2`$, without a factor ½.
///
/// $`\partial J/\partial y_i = \frac2n (y_i - t_i)`$.
/// `n` counts all numbers: the examples times the features.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, or a target is not finite.
///
/// # Source
/// Like PyTorch's `MSELoss`; optax's `l2_loss` and scikit-learn's `MLPRegressor` have a factor ½.
/// Derivation: `docs/derivations/losses/mean-squared-error.md`.
///
/// ```
/// use downhill_losses::{Loss, MeanSquaredError, Target};
/// use downhill_tensor::{Batch, BatchMut};
///
/// let y = [1.0, 4.0];
/// let mut dy = [0.0; 2];
/// let value = MeanSquaredError::new().value_and_gradient(
///     Batch::new(&y, 2, [1])?,
///     Target::Values(&[0.0, 2.0]),
///     BatchMut::new(&mut dy, 2, [1])?,
/// )?;
/// assert_eq!((value, dy), (2.5, [1.0, 2.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MeanSquaredError {
    reduction: Reduction,
}

impl MeanSquaredError {
    /// Makes the loss with the mean over the batch and all features.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

impl PointwiseLoss for MeanSquaredError {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let d = y - target;
        (d * d, d + d)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Numbers)
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        check_finite::<Self, T>(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_pointwise, error, evaluate};
    use crate::{Target, testing::Draw};

    fn pairs(draw: &mut Draw, count: usize) -> (Vec<f64>, Vec<f64>) {
        (draw.numbers(count, -2.0, 2.0), draw.numbers(count, -2.0, 2.0))
    }

    #[test]
    fn gradient() {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
            check_pointwise(&MeanSquaredError::new().reduction(reduction), 1, pairs);
        }
    }

    #[test]
    fn of_nothing_the_mean_is_not_a_number_and_the_sum_is_0() {
        let nothing = |loss| evaluate::<f64>(&loss, (0, [3].into()), &[], Target::Values(&[])).unwrap().0;
        assert!(nothing(MeanSquaredError::new()).is_nan());
        assert!(nothing(MeanSquaredError::new().reduction(Reduction::BatchMean)).is_nan());
        assert_eq!(nothing(MeanSquaredError::new().reduction(Reduction::Sum)), 0.0);
    }

    #[test]
    fn a_target_that_is_not_finite_is_an_error() {
        for t in [f64::NAN, f64::INFINITY] {
            assert_eq!(
                error(&MeanSquaredError::new(), (2, [2].into()), &[0.0; 4], Target::Values(&[1.0, 1.0, 1.0, t])),
                format!(
                    "MeanSquaredError takes finite targets, but target 1 of example 1 is {t}; \
                     leave out examples whose target is missing, or give them a weight of 0"
                )
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let batch = (2, [2].into());
        let y = [0.0; 4];
        assert_eq!(
            error(&MeanSquaredError::new(), batch, &y, Target::Values(&[1.0; 3])),
            "the predictions need 4 targets, but there are 3"
        );
        assert_eq!(
            error(&MeanSquaredError::new(), batch, &y, Target::Classes(&[0; 4])),
            "MeanSquaredError compares with one number for each predicted number, but received the indices of classes"
        );
    }
}
