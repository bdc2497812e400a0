use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::pointwise::sign;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The mean of the absolute differences: $`J = \frac1n \sum_i |y_i - t_i|`$.
///
/// $`\partial J/\partial y_i = \frac1n \operatorname{sign}(y_i - t_i)`$, and 0 if the two are equal.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, or a target is not finite.
///
/// # Source
/// Like PyTorch's `L1Loss`.
/// Derivation: `docs/derivations/losses/mean-absolute-error.md`.
///
/// ```
/// use downhill_losses::{Loss, MeanAbsoluteError, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1.0, 4.0], 2, [1])?;
/// assert_eq!(MeanAbsoluteError::new().value(y, Target::Values(&[0.0, 2.0]))?, 1.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MeanAbsoluteError {
    reduction: Reduction,
}

impl MeanAbsoluteError {
    /// Makes the loss with the mean over the batch and all features.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

impl PointwiseLoss for MeanAbsoluteError {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let d = y - target;
        (d.abs(), sign(d))
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
    use crate::testing::{check_pointwise, slope, term};

    #[test]
    fn gradient() {
        check_pointwise(&MeanAbsoluteError::new(), 2, |draw, count| {
            // The differences stay away from the kink.
            let target = draw.numbers(count, -2.0, 2.0);
            let y = target.iter().zip(draw.either(count, -1.0, 1.0)).map(|(t, side)| t + side * 0.5).collect();
            (y, target)
        });
    }

    #[test]
    fn the_slope_at_the_kink_is_0_and_not_a_number_shows() {
        assert_eq!(slope(&MeanAbsoluteError::new(), 1.5, 1.5), 0.0);
        assert!(slope(&MeanAbsoluteError::new(), f64::NAN, 1.5).is_nan());
        assert!(term(&MeanAbsoluteError::new(), f64::NAN, 1.0).is_nan());
    }
}
