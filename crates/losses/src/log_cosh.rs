use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_finite;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The logarithm of the hyperbolic cosine of the difference: $`\ell = \ln\cosh(y - t)`$.
///
/// About half the square of small differences and $`|y - t| - \ln 2`$ of large ones, smooth everywhere.
/// $`d\ell/dy = \tanh(y - t)`$.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, or a target is not finite.
///
/// # Source
/// Like Keras's `LogCosh`; PyTorch has none.
/// Derivation: `docs/derivations/losses/log-cosh.md`.
///
/// ```
/// use downhill_losses::{LogCosh, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1e3], 1, [1])?;
/// assert_eq!(LogCosh::new().value(y, Target::Values(&[0.0]))?, 1e3 - 2.0_f64.ln());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct LogCosh {
    reduction: Reduction,
}

impl LogCosh {
    /// Makes the loss with the mean over the batch and all features.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

impl PointwiseLoss for LogCosh {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let d = y - target;
        let size = d.abs();
        // With h = tanh(|d|/2), cosh d = (1 + h²) / (1 - h²) and e^(-|d|) = (1 - h) / (1 + h).
        // Near 0 the large form cancels, far from 0 the small one does.
        let h = (T::from_f64(0.5) * size).tanh();
        let (square, e) = (h * h, (T::ONE - h) / (T::ONE + h));
        let near = size < T::ONE;
        let argument = if near { (square + square) / (T::ONE - square) } else { e * e };
        let linear = if near { T::ZERO } else { size - T::from_f64(std::f64::consts::LN_2) };
        let slope = (h + h) / (T::ONE + square);
        (linear + argument.ln_1p(), slope.copysign(d))
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
        check_pointwise(&LogCosh::new(), 17, |draw, count| {
            (draw.numbers(count, -4.0, 4.0), draw.numbers(count, -1.0, 1.0))
        });
    }

    #[test]
    fn tiny_and_huge_differences_keep_their_digits() {
        let loss = LogCosh::new();
        assert!((term(&loss, 1e-9, 0.0) / 5e-19 - 1.0).abs() < 1e-14);
        assert!((term(&loss, 1.0, 0.0) - 1.0_f64.cosh().ln()).abs() < 1e-15);
        assert_eq!((term(&loss, -1e5, 0.0), slope(&loss, -1e5, 0.0)), (1e5 - std::f64::consts::LN_2, -1.0));
        assert!(term(&loss, f64::NAN, 0.0).is_nan());
    }
}
