use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::pointwise::sign;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The absolute error for large differences $`d = y - t`$ and the squared error for small ones:
/// $`\ell = \tfrac{1}{2\beta} d^2`$ for $`|d| < \beta`$, else $`|d| - \tfrac12\beta`$.
///
/// $`d\ell/dy = d/\beta`$ clamped to $`[-1, 1]`$. With β = 0 it is the absolute error, whose slope at 0 is 0.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if β is negative or not finite, there are more or fewer targets than predictions,
/// or a target is not finite.
///
/// # Source
/// Girshick, "Fast R-CNN" (2015), with β = 1; like PyTorch's `SmoothL1Loss`.
/// It is 1/β times [`Huber`](crate::Huber) with δ = β: as β falls this one tends to the absolute error, Huber to 0.
/// Derivation: `docs/derivations/losses/smooth-l1.md`.
///
/// ```
/// use downhill_losses::{Loss, SmoothL1, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 3.0], 2, [1])?;
/// assert_eq!(SmoothL1::new(2.0).value(y, Target::Values(&[0.0, 0.0]))?, (0.0625 + 2.0) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct SmoothL1 {
    beta: f64,
    reduction: Reduction,
}

impl Default for SmoothL1 {
    /// Makes the loss with β = 1.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl SmoothL1 {
    /// Makes the loss that is quadratic up to a difference of `beta` and linear beyond.
    #[must_use]
    pub fn new(beta: f64) -> Self {
        Self { beta, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl PointwiseLoss for SmoothL1 {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (beta, half) = (T::from_f64(self.beta), T::from_f64(0.5));
        let d = y - target;
        let size = d.abs();
        let small = size < beta;
        // The square alone may overflow, or vanish.
        let ratio = d / beta;
        let term = if small { half * d * ratio } else { size - half * beta };
        (term, if small { ratio } else { sign(d) })
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Numbers)
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        TargetError::check_setting::<Self>("beta", self.beta, self.beta >= 0.0, "finite and at least 0")?;
        check_finite::<Self, T>(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_pointwise, error, evaluate, off_joints, slope, term};
    use crate::{Huber, Target};

    #[test]
    fn gradient() {
        for beta in [0.1, 1.0, 10.0] {
            check_pointwise(&SmoothL1::new(beta), 10, |draw, count| off_joints(draw, count, beta));
        }
    }

    #[test]
    fn it_is_huber_divided_by_beta() {
        for y in [-3.0, -0.5, 0.0, 0.25, 0.75, 9.0] {
            assert_eq!(term(&SmoothL1::new(0.5), y, 0.0), term(&Huber::new(0.5), y, 0.0) * 2.0);
        }
    }

    #[test]
    fn a_square_overflows_only_where_its_quotient_does() {
        let loss = SmoothL1::new(1e26);
        let (term, slope) = evaluate::<f32>(&loss, (1, [1].into()), &[1e25], Target::Values(&[0.0])).unwrap();
        assert!((term / 5e23 - 1.0).abs() < 1e-6 && (slope[0] - 0.1).abs() < 1e-7, "{term} and {slope:?}");
        let loss = SmoothL1::new(1e-20);
        let (term, _) = evaluate::<f32>(&loss, (1, [1].into()), &[1e-25], Target::Values(&[0.0])).unwrap();
        assert!((term / 5e-31 - 1.0).abs() < 1e-6, "{term}");
    }

    #[test]
    fn a_beta_of_0_is_the_absolute_error() {
        let loss = SmoothL1::new(0.0);
        assert_eq!((term(&loss, -2.0, 1.0), slope(&loss, -2.0, 1.0)), (3.0, -1.0));
        assert_eq!((term(&loss, 1.0, 1.0), slope(&loss, 1.0, 1.0)), (0.0, 0.0));
    }

    #[test]
    fn a_negative_beta_is_an_error() {
        assert_eq!(
            error(&SmoothL1::new(-1.0), (1, [1].into()), &[0.0], Target::Values(&[0.0])),
            "SmoothL1: beta is -1, but must be finite and at least 0"
        );
    }
}
