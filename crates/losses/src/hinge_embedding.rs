use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::{SIGNS_OF_PAIRS, check_signs};
use crate::hinge::ramp;
use crate::reduction::reduction_setting;
use crate::{PointwiseLoss, Reduction, TargetError};

/// A loss that draws alike pairs together and pushes others apart, by their predicted distance:
/// $`\ell = y`$ for a pair that is alike ($`t = 1`$), $`\max(0, m - y)`$ for one that is not ($`t = -1`$).
///
/// $`d\ell/dy = 1`$ for alike pairs, −1 for others nearer than the margin $`m`$, else 0.
///
/// # Shapes
/// Predictions of any shape, and one target, −1 or 1, for each number.
///
/// # Errors
/// Returns an error if a target is neither −1 nor 1 (PyTorch then adds both terms), the margin is not finite,
/// or there are more or fewer targets than predictions. A negative prediction is no distance, but is taken as it is.
///
/// # Source
/// Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping" (2006), without the squares;
/// like PyTorch's `HingeEmbeddingLoss`.
/// Derivation: `docs/derivations/losses/hinge-embedding.md`.
///
/// ```
/// use downhill_losses::{HingeEmbedding, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.3, 0.4], 2, [1])?;
/// assert_eq!(HingeEmbedding::default().value(y, Target::Values(&[1.0, -1.0]))?, (0.3 + 0.6) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct HingeEmbedding {
    margin: f64,
    reduction: Reduction,
}

impl Default for HingeEmbedding {
    /// Makes the loss with a margin of 1.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl HingeEmbedding {
    /// Makes the loss by which pairs that are not alike should be `margin` apart.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self { margin, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl PointwiseLoss for HingeEmbedding {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (short, slope) = ramp(T::from_f64(self.margin) - y);
        if target > T::ZERO { (y, T::ONE) } else { (short, -slope) }
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        TargetError::check_setting::<Self>("the margin", self.margin, true, "finite")?;
        check_signs::<Self, T>(target, SIGNS_OF_PAIRS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, slope, term};

    #[test]
    fn gradient() {
        for margin in [1.0, 0.3] {
            check_pointwise(&HingeEmbedding::new(margin), 16, |draw, count| {
                (draw.either(count, 0.5 * margin, 1.5 * margin), draw.either(count, -1.0, 1.0))
            });
        }
    }

    #[test]
    fn at_the_kink_the_slope_is_0() {
        let loss = HingeEmbedding::new(2.0);
        assert_eq!((term(&loss, 2.0, -1.0), slope(&loss, 2.0, -1.0)), (0.0, 0.0));
        assert!(term(&loss, f64::NAN, -1.0).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(
            error(&HingeEmbedding::default(), (2, [1].into()), &[0.0; 2], Target::Values(&[1.0, 0.0])),
            "HingeEmbedding takes targets that are -1 or 1, but target 0 of example 1 is 0; \
             write 1 for one kind of pair and -1 for the other"
        );
        assert_eq!(
            error(&HingeEmbedding::new(f64::NAN), (1, [1].into()), &[0.0], Target::Values(&[1.0])),
            "HingeEmbedding: the margin is NaN, but must be finite"
        );
    }
}
