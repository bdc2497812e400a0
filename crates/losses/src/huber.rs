use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The squared error for small differences $`d = y - t`$ and the absolute error for large ones:
/// $`\ell = \tfrac12 d^2`$ for $`|d| \le \delta`$, else $`\delta(|d| - \tfrac12\delta)`$.
///
/// $`d\ell/dy = d`$ clamped to $`[-\delta, \delta]`$; the slope has no jump.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if δ is not finite and positive, there are more or fewer targets than predictions,
/// or a target is not finite.
///
/// # Source
/// Huber, "Robust estimation of a location parameter" (1964); like PyTorch's `HuberLoss`.
/// It is δ times [`SmoothL1`](crate::SmoothL1) with β = δ.
/// Derivation: `docs/derivations/losses/huber.md`.
///
/// ```
/// use downhill_losses::{Huber, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 3.0], 2, [1])?;
/// assert_eq!(Huber::new(1.0).value(y, Target::Values(&[0.0, 0.0]))?, (0.125 + 2.5) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Huber {
    delta: f64,
    reduction: Reduction,
}

impl Default for Huber {
    /// Makes the loss with δ = 1.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Huber {
    /// Makes the loss that is quadratic up to a difference of `delta` and linear beyond.
    #[must_use]
    pub fn new(delta: f64) -> Self {
        Self { delta, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl PointwiseLoss for Huber {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let delta = T::from_f64(self.delta);
        let d = y - target;
        let size = d.abs();
        let term = if size > delta { delta * (size - T::from_f64(0.5) * delta) } else { T::from_f64(0.5) * d * d };
        (term, d.max(-delta).min(delta))
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Numbers)
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        TargetError::check_setting::<Self>("delta", self.delta, self.delta > 0.0, "finite and greater than 0")?;
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
        for delta in [0.1, 1.0, 10.0] {
            check_pointwise(&Huber::new(delta), 3, |draw, count| off_joints(draw, count, delta));
        }
    }

    #[test]
    fn the_pieces_meet() {
        let huber = Huber::new(2.0);
        assert_eq!((term(&huber, 2.0, 0.0), slope(&huber, 2.0, 0.0)), (2.0, 2.0));
        assert_eq!((term(&huber, 0.0, 3.0), slope(&huber, 0.0, 3.0)), (4.0, -2.0));
        assert!(slope(&huber, f64::NAN, 0.0).is_nan());
    }

    #[test]
    fn a_delta_that_is_not_positive_is_an_error() {
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                error(&Huber::new(delta), (1, [1].into()), &[0.0], Target::Values(&[0.0])),
                format!("Huber: delta is {delta}, but must be finite and greater than 0")
            );
        }
    }
}
