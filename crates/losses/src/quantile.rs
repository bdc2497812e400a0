use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The pinball loss, whose minimiser is the $`q`$-quantile of the targets:
/// $`\ell = q\,(t - y)`$ if $`y < t`$, $`(1 - q)(y - t)`$ if $`y > t`$.
///
/// $`d\ell/dy = -q`$ if $`y < t`$, $`1 - q`$ if $`y > t`$, and 0 if they are equal.
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
/// Koenker and Bassett, "Regression quantiles" (1978); like scikit-learn's `mean_pinball_loss`.
/// Derivation: `docs/derivations/losses/quantile.md`.
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
    /// Makes the loss by which a share `q` of the targets should lie below their predictions: 0.5 for the median.
    #[must_use]
    pub fn new(q: f64) -> Self {
        Self { q, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl PointwiseLoss for Quantile {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let q = T::from_f64(self.q);
        let d = y - target;
        // If d is 0 or NaN it is its own slope.
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
