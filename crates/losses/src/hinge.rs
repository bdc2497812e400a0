use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::{SIGNS_OF_CLASSES, check_signs};
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The hinge loss of two classes, −1 and 1: $`\ell = \max(0, 1 - t y)`$, or its square.
///
/// $`d\ell/dy = -t`$ if $`t y < 1`$, else 0; of the square, $`-2t(1 - t y)`$ if $`t y < 1`$, else 0.
///
/// # Shapes
/// Predictions of any shape, and one target for each number: −1 or 1, or the class 0, which means −1, or 1.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, a target is neither −1 nor 1,
/// or a class is neither 0 nor 1.
///
/// # Source
/// Cortes and Vapnik, "Support-vector networks" (1995); like Keras's `Hinge` and `SquaredHinge` with targets −1 and 1.
/// PyTorch has it for several classes: see [`MultiMargin`](crate::MultiMargin).
/// Derivation: `docs/derivations/losses/hinge.md`.
///
/// ```
/// use downhill_losses::{Hinge, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 3.0], 2, [1])?;
/// assert_eq!(Hinge::new().value(y, Target::Values(&[1.0, -1.0]))?, (0.5 + 4.0) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Hinge {
    squared: bool,
    reduction: Reduction,
}

impl Hinge {
    /// Makes the loss with the mean over the batch and all features, not squared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Squares each term, which removes the kink.
    #[must_use]
    pub fn squared(mut self) -> Self {
        self.squared = true;
        self
    }

    reduction_setting!();
}

impl PointwiseLoss for Hinge {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (short, slope) = ramp(T::ONE - target * y);
        if self.squared { (short * short, -(short + short) * target) } else { (short, -slope * target) }
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

/// Computes max(0, z) and its slope, which is 0 at the kink; NaN stays NaN.
#[inline(always)]
pub(crate) fn ramp<T: Scalar>(z: T) -> (T, T) {
    if z > T::ZERO {
        (z, T::ONE)
    } else if z <= T::ZERO {
        (T::ZERO, T::ZERO)
    } else {
        (z, z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, evaluate, slope, term};

    #[test]
    fn gradient() {
        for loss in [Hinge::new(), Hinge::new().squared()] {
            check_pointwise(&loss, 15, |draw, count| {
                // Margins away from the kink at 1.
                let margin = draw.either(count, 0.5, 1.5);
                let target = draw.either(count, -1.0, 1.0);
                (margin.iter().zip(&target).map(|(margin, t)| margin * t).collect(), target)
            });
        }
    }

    #[test]
    fn the_classes_0_and_1_are_the_signs() {
        let of = |target: Target<'_, f64>| {
            evaluate::<f64>(&Hinge::new(), (3, [1].into()), &[0.5, -2.0, 0.25], target).unwrap()
        };
        assert_eq!(of(Target::Classes(&[0, 1, 1])), of(Target::Values(&[-1.0, 1.0, 1.0])));
        assert_eq!(
            error(&Hinge::new(), (2, [1].into()), &[0.0; 2], Target::Values(&[1.0, 0.0])),
            "Hinge takes targets that are -1 or 1, but target 0 of example 1 is 0; \
             write -1 for no and 1 for yes, or give the classes 0 and 1 as classes"
        );
        assert_eq!(
            error(&Hinge::new(), (2, [1].into()), &[0.0; 2], Target::Classes(&[1, 2])),
            "Hinge takes the classes 0 and 1, but target 0 of example 1 is 2; \
             use SoftmaxCrossEntropy and one output for each class if there are more"
        );
    }

    #[test]
    fn at_the_kink_the_slope_is_0() {
        assert_eq!((term(&Hinge::new(), -1.0, -1.0), slope(&Hinge::new(), -1.0, -1.0)), (0.0, 0.0));
        assert!(term(&Hinge::new(), f64::NAN, 1.0).is_nan());
        assert!(slope(&Hinge::new(), f64::NAN, 1.0).is_nan());
    }
}
