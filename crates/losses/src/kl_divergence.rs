use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::{Domain, LOG_PROBABILITIES, above_log_1};
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The Kullback-Leibler divergence of predicted log-probabilities $`y`$ from target probabilities $`t`$:
/// each number adds $`\ell = t (\ln t - y)`$.
///
/// $`d\ell/dy = -t`$. A target of 0 adds nothing, even if $`y`$ is −∞ (PyTorch gives NaN there).
///
/// **The divergence itself is `Reduction::BatchMean`**: the sum over all outcomes, averaged over the batch.
/// The default, the mean over all numbers, is PyTorch's and is smaller by the number of outcomes.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if there are more or fewer targets than predictions, a prediction is above 0 and so no logarithm of
/// a probability, or a target is no probability. Rounding by up to 1e-3 passes; nothing is checked to sum to 1.
///
/// # Source
/// Kullback and Leibler, "On information and sufficiency" (1951); like PyTorch's `KLDivLoss`.
/// Keras's `KLDivergence` takes probabilities on both sides.
/// Derivation: `docs/derivations/losses/kl-divergence.md`.
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
    /// Makes the loss with the mean over all numbers and with probabilities as targets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads targets as log-probabilities: $`\ell = e^t (t - y)`$.
    #[must_use]
    pub fn log_target(mut self) -> Self {
        self.log_target = true;
        self
    }

    reduction_setting!();
}

impl PointwiseLoss for KlDivergence {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (p, log_p) = if self.log_target { (target.exp(), target) } else { (target, target.ln()) };
        (if p == T::ZERO { T::ZERO } else { p * (log_p - y) }, -p)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::ClassLogProbabilities)
    }

    fn check<T: Scalar>(&self, y: &[T], target: &[T]) -> Result<(), TargetError> {
        LOG_PROBABILITIES.check::<Self, T>(y, above_log_1)?;
        let mut domain = Domain {
            what: "target",
            takes: "targets that are probabilities, from 0 to 1",
            advice: "call `log_target` if they are logarithms",
        };
        if !self.log_target {
            // The tolerance for rounding is that of the logarithm.
            return domain.check::<Self, T>(target, |t| !((t >= T::ZERO) & (t <= T::from_f64(1.001))));
        }
        domain.takes = "targets that are logarithms of probabilities, at most 0";
        domain.advice = "leave out `log_target` if they are probabilities";
        domain.check::<Self, T>(target, |t| above_log_1(t) | t.is_nan())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, slope, term};

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
    }

    #[test]
    fn what_is_no_probability_is_an_error() {
        let at = |loss: KlDivergence, y, t| error(&loss, (1, [1].into()), &[y], Target::Values(&[t]));
        assert_eq!(
            at(KlDivergence::new(), 0.7, 0.5),
            "KlDivergence takes logarithms of probabilities, which are at most 0, \
             but prediction 0 of example 0 is 0.7; put LogSoftmax before this loss"
        );
        for t in [-0.5, 1.5, f64::NAN] {
            assert_eq!(
                at(KlDivergence::new(), -1.0, t),
                format!(
                    "KlDivergence takes targets that are probabilities, from 0 to 1, \
                     but target 0 of example 0 is {t}; call `log_target` if they are logarithms"
                )
            );
        }
        assert_eq!(
            at(KlDivergence::new().log_target(), -1.0, 0.5),
            "KlDivergence takes targets that are logarithms of probabilities, at most 0, \
             but target 0 of example 0 is 0.5; leave out `log_target` if they are probabilities"
        );
    }
}
