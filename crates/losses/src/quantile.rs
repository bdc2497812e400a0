use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The pinball loss, whose minimiser is the $`q`$-quantile of the targets:
/// $`\ell = q\,(t - y)`$ where $`y < t`$, $`(1 - q)(y - t)`$ where $`y > t`$.
///
/// $`d\ell/dy = -q`$ where $`y < t`$, $`1 - q`$ where $`y > t`$, and 0 where they are equal.
/// With q = ½ it is half the absolute error.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if q does not lie between 0 and 1, there are more or fewer targets than predictions,
/// or a target is not finite.
///
/// # Source
/// Koenker and Bassett, "Regression quantiles" (1978); as scikit-learn's `mean_pinball_loss`.
///
/// ```
/// use downhill_losses::{Loss, Quantile, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1.0, 1.0], 2, [1])?;
/// assert_eq!(Quantile::new(0.75).value(y, Target::Values(&[3.0, -1.0]))?, (1.5 + 0.5) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quantile {
    q: f64,
    #[cfg_attr(feature = "serde", serde(default))]
    reduction: Reduction,
}

impl Quantile {
    /// The share `q` of the targets should lie below their predictions: 0.5 for the median.
    #[must_use]
    pub fn new(q: f64) -> Self {
        Self { q, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl PointwiseLoss for Quantile {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn at<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let q = T::from_f64(self.q);
        let d = y - target;
        // Where d is 0 or not a number it is its own slope.
        let slope = if d < T::ZERO {
            -q
        } else if d > T::ZERO {
            T::ONE - q
        } else {
            d
        };
        (slope * d, slope)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Numbers)
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        let fits = self.q > 0.0 && self.q < 1.0;
        TargetError::check_setting::<Self>("the quantile", self.q, fits, "between 0 and 1")?;
        check_finite::<Self, T>(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, off_joints, slope, term};

    #[test]
    fn gradient() {
        for q in [0.05, 0.5, 0.9] {
            check_pointwise(&Quantile::new(q), 18, |draw, count| off_joints(draw, count, 1.0));
        }
    }

    #[test]
    fn at_the_kink_the_slope_is_0() {
        assert_eq!((term(&Quantile::new(0.9), 2.0, 2.0), slope(&Quantile::new(0.9), 2.0, 2.0)), (0.0, 0.0));
        assert!(slope(&Quantile::new(0.9), f64::NAN, 2.0).is_nan());
    }

    #[test]
    fn a_quantile_outside_its_range_is_an_error() {
        for q in [0.0, 1.0, f64::NAN] {
            assert_eq!(
                error(&Quantile::new(q), (1, [1].into()), &[0.0], Target::Values(&[0.0])),
                format!("Quantile: the quantile is {q}, but must be between 0 and 1")
            );
        }
    }
}
