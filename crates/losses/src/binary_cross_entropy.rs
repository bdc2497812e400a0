use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::{check_answers, check_probabilities};
use crate::pointwise::TINY;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The cross-entropy of yes-or-no questions, each answered by a probability:
/// $`\ell = -t \ln y - (1 - t) \ln(1 - y)`$, with both logarithms clamped to at least −100.
///
/// $`d\ell/dy = (y - t) / \max(y(1 - y), 10^{-12})`$.
/// [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits) is the same behind a sigmoid,
/// without the loss of accuracy near 0 and 1.
///
/// # Shapes
/// Predictions of any shape, and one target from 0 to 1, or one class, 0 or 1, for each number.
///
/// # Errors
/// Returns an error if a prediction or a target lies outside 0 to 1, a class is neither 0 nor 1, or there are more or
/// fewer targets than predictions.
/// A prediction that is not a number gives a loss that is not a number (PyTorch: an error).
///
/// # Source
/// Like PyTorch's `BCELoss`, the clamps included: a wrong answer of full confidence costs 100.
/// Derivation: `docs/derivations/losses/binary-cross-entropy.md`.
///
/// ```
/// use downhill_losses::{BinaryCrossEntropy, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 0.0], 2, [1])?;
/// assert_eq!(BinaryCrossEntropy::new().value(y, Target::Values(&[1.0, 1.0]))?, (2.0_f64.ln() + 100.0) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct BinaryCrossEntropy {
    reduction: Reduction,
}

impl BinaryCrossEntropy {
    /// Makes the loss with the mean over the batch and all features.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

impl PointwiseLoss for BinaryCrossEntropy {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (one, least) = (T::ONE, T::from_f64(-100.0));
        let term = (target - one) * (-y).ln_1p().max(least) - target * y.ln().max(least);
        (term, (y - target) / (y * (one - y)).max(T::from_f64(TINY)))
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Probabilities)
    }

    fn class_values(&self) -> Option<[f64; 2]> {
        Some([0.0, 1.0])
    }

    fn check<T: Scalar>(&self, y: &[T], target: &[T]) -> Result<(), TargetError> {
        let advice = "put Sigmoid before this loss, or use BinaryCrossEntropyWithLogits";
        check_probabilities::<Self, T>(y, advice)?;
        check_answers::<Self, T>(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, slope, term};

    #[test]
    fn gradient() {
        check_pointwise(&BinaryCrossEntropy::new(), 11, |draw, count| {
            (draw.numbers(count, 0.1, 0.9), draw.numbers(count, 0.0, 1.0))
        });
    }

    #[test]
    fn at_the_ends_the_logarithm_is_clamped() {
        let loss = BinaryCrossEntropy::new();
        let steepest = 1.0 / TINY;
        assert_eq!((term(&loss, 0.0, 1.0), slope(&loss, 0.0, 1.0)), (100.0, -steepest));
        assert_eq!((term(&loss, 1.0, 0.0), slope(&loss, 1.0, 0.0)), (100.0, steepest));
        assert_eq!((term(&loss, 1.0, 1.0), slope(&loss, 1.0, 1.0)), (0.0, 0.0));
        assert!(term(&loss, f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn what_is_no_probability_is_an_error() {
        let mut y = [0.5; 100];
        y[70] = 1.5;
        assert_eq!(
            error(&BinaryCrossEntropy::new(), (100, [1].into()), &y, Target::Values(&[0.0; 100])),
            "BinaryCrossEntropy takes predictions from 0 to 1, but prediction 0 of example 70 is 1.5; \
             put Sigmoid before this loss, or use BinaryCrossEntropyWithLogits"
        );
        assert_eq!(
            error(&BinaryCrossEntropy::new(), (1, [1].into()), &[0.5], Target::Values(&[-1.0])),
            "BinaryCrossEntropy takes targets from 0 to 1, but target 0 of example 0 is -1; \
             write 0 for no and 1 for yes, and divide what has another scale, such as pixels from 0 to 255"
        );
    }
}
