use downhill_tensor::Scalar;

use crate::reduction::reduction_setting;
use crate::{PointwiseLoss, Reduction};

/// The Kullback-Leibler divergence of predicted log-probabilities $`y`$ from target probabilities $`t`$:
/// each number adds $`\ell = t (\ln t - y)`$.
///
/// $`d\ell/dy = -t`$. A target of 0 adds nothing, even where $`y`$ is −∞ (PyTorch gives NaN there).
///
/// **The divergence itself is `Reduction::BatchMean`**: the sum over all outcomes, averaged over the batch.
/// The default, the mean over all numbers, is PyTorch's and is smaller by the number of outcomes.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Where there are more or fewer targets than predictions. A negative probability gives NaN.
///
/// # Source
/// Kullback and Leibler, "On information and sufficiency" (1951); as PyTorch's `KLDivLoss`.
/// Keras's `KLDivergence` takes probabilities on both sides.
///
/// ```
/// use downhill_losses::{KlDivergence, Loss, Reduction, Target};
/// use downhill_tensor::Batch;
///
/// let y = [0.5_f64.ln(), 0.5_f64.ln()];
/// let kl = KlDivergence::new().reduction(Reduction::BatchMean);
/// let value = kl.value(Batch::new(&y, 1, [2])?, Target::Values(&[1.0, 0.0]))?;
/// assert_eq!(value, 2.0_f64.ln());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct KlDivergence {
    log_target: bool,
    reduction: Reduction,
}

impl KlDivergence {
    /// The mean over all numbers, from probabilities as targets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes targets as log-probabilities: $`\ell = e^t (t - y)`$.
    #[must_use]
    pub fn log_target(mut self) -> Self {
        self.log_target = true;
        self
    }

    reduction_setting!();
}

impl PointwiseLoss for KlDivergence {
    #[inline(always)]
    fn at<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (p, log_p) = if self.log_target { (target.exp(), target) } else { (target, target.ln()) };
        (if p == T::ZERO { T::ZERO } else { p * (log_p - y) }, -p)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_pointwise, slope, term};

    #[test]
    fn gradient() {
        check_pointwise(&KlDivergence::new(), 12, |draw, count| {
            (draw.numbers(count, -3.0, 0.0), draw.numbers(count, 0.0, 1.0))
        });
        check_pointwise(&KlDivergence::new().log_target().reduction(Reduction::BatchMean), 12, |draw, count| {
            (draw.numbers(count, -3.0, 0.0), draw.numbers(count, -3.0, 0.0))
        });
    }

    #[test]
    fn what_can_not_be_adds_nothing() {
        let minus_infinity = f64::NEG_INFINITY;
        assert_eq!((term(&KlDivergence::new(), -1.0, 0.0), slope(&KlDivergence::new(), -1.0, 0.0)), (0.0, 0.0));
        assert_eq!(term(&KlDivergence::new(), minus_infinity, 0.0), 0.0);
        assert_eq!(term(&KlDivergence::new().log_target(), -1.0, minus_infinity), 0.0);
        assert_eq!(term(&KlDivergence::new(), minus_infinity, 0.5), f64::INFINITY);
        assert!(term(&KlDivergence::new(), f64::NAN, 0.5).is_nan());
        assert!(term(&KlDivergence::new(), -1.0, -0.5).is_nan());
    }
}
