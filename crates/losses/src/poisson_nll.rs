use std::f64::consts::PI;

use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::Domain;
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The negative log-likelihood of counts under a Poisson distribution whose log-rate is predicted:
/// $`\ell = e^y - t\,y`$.
///
/// $`d\ell/dy = e^y - t`$. The term $`\ln t!`$, which does not depend on the prediction, is left out
/// unless [`full`](PoissonNll::full) adds Stirling's approximation of it.
///
/// # Shapes
/// Predictions of any shape, and one target for each number.
///
/// # Errors
/// Returns an error if ε is not finite and positive, a target is negative or not finite, a rate is negative,
/// or there are more or fewer targets than predictions.
///
/// # Source
/// Like PyTorch's `PoissonNLLLoss`. Keras's `Poisson` is [`rates`](PoissonNll::rates) with ε = 1e-7.
/// Derivation: `docs/derivations/losses/poisson-nll.md`.
///
/// ```
/// use downhill_losses::{Loss, PoissonNll, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.0], 1, [1])?;
/// assert_eq!(PoissonNll::new().value(y, Target::Values(&[3.0]))?, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct PoissonNll {
    rates: bool,
    full: bool,
    epsilon: f64,
    reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> Self {
        Self { rates: false, full: false, epsilon: 1e-8, reduction: Reduction::Mean }
    }
}

impl PoissonNll {
    /// Makes the loss of log-rates, without the constant term.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads predictions as rates: $`\ell = y - t \ln(y + \varepsilon)`$ and $`d\ell/dy = 1 - t / (y + \varepsilon)`$.
    #[must_use]
    pub fn rates(mut self) -> Self {
        self.rates = true;
        self
    }

    /// Adds $`t \ln t - t + \tfrac12 \ln(2\pi t)`$ if $`t > 1`$.
    #[must_use]
    pub fn full(mut self) -> Self {
        self.full = true;
        self
    }

    /// Sets ε, which keeps the logarithm of a rate finite; 1e-8 unless this is called.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    reduction_setting!();
}

impl PointwiseLoss for PoissonNll {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (term, slope) = if self.rates {
            let rate = y + T::from_f64(self.epsilon);
            (y - target * rate.ln(), T::ONE - target / rate)
        } else {
            let rate = y.exp();
            (rate - target * y, rate - target)
        };
        if !self.full {
            return (term, slope);
        }
        let stirling = target * target.ln() - target + T::from_f64(0.5) * (T::from_f64(2.0 * PI) * target).ln();
        (if target > T::ONE { term + stirling } else { term }, slope)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        // A log-rate has not the units of the targets.
        self.rates.then_some(Outputs::Numbers)
    }

    fn check<T: Scalar>(&self, y: &[T], target: &[T]) -> Result<(), TargetError> {
        const COUNTS: Domain = Domain {
            what: "target",
            takes: "counts, which are finite and at least 0",
            advice: "use MeanSquaredError for numbers that are no counts",
        };
        const RATES: Domain = Domain {
            what: "prediction",
            takes: "rates of at least 0",
            advice: "put Softplus before this loss, or leave out `rates` to predict their logarithms",
        };
        TargetError::check_setting::<Self>("epsilon", self.epsilon, self.epsilon > 0.0, "finite and greater than 0")?;
        COUNTS.check::<Self, T>(target, |t| !((t >= T::ZERO) & t.is_finite()))?;
        if self.rates { RATES.check::<Self, T>(y, |y| y < T::ZERO) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::testing::{check_pointwise, error, term};

    #[test]
    fn gradient() {
        check_pointwise(&PoissonNll::new().full(), 13, |draw, count| {
            (draw.numbers(count, -2.0, 2.0), draw.numbers(count, 0.0, 5.0))
        });
        check_pointwise(&PoissonNll::new().rates().epsilon(0.1), 13, |draw, count| {
            (draw.numbers(count, 0.2, 4.0), draw.numbers(count, 0.0, 5.0))
        });
    }

    #[test]
    fn of_the_full_term_only_counts_above_1_have_it() {
        let full = PoissonNll::new().full();
        assert_eq!(term(&full, 0.5, 0.0), 0.5_f64.exp());
        assert_eq!(term(&full, 0.5, 1.0), 0.5_f64.exp() - 0.5);
        let stirling = 9.0 * 9.0_f64.ln() - 9.0 + 0.5 * (18.0 * PI).ln();
        assert!((term(&full, 0.5, 9.0) - (0.5_f64.exp() - 4.5 + stirling)).abs() < 1e-14);
    }

    #[test]
    fn an_epsilon_that_is_not_positive_is_an_error() {
        assert_eq!(
            error(&PoissonNll::new().epsilon(0.0), (1, [1].into()), &[0.0], Target::Values(&[0.0])),
            "PoissonNll: epsilon is 0, but must be finite and greater than 0"
        );
    }

    #[test]
    fn what_is_no_rate_and_what_is_no_count_is_an_error() {
        let at = |loss: PoissonNll, y, t| error(&loss, (1, [1].into()), &[y], Target::Values(&[t]));
        assert_eq!(
            at(PoissonNll::new().rates(), -0.5, 1.0),
            "PoissonNll takes rates of at least 0, but prediction 0 of example 0 is -0.5; \
             put Softplus before this loss, or leave out `rates` to predict their logarithms"
        );
        for t in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                at(PoissonNll::new(), -0.5, t),
                format!(
                    "PoissonNll takes counts, which are finite and at least 0, but target 0 of example 0 is {t}; \
                     use MeanSquaredError for numbers that are no counts"
                )
            );
        }
        assert!(term(&PoissonNll::new().rates(), f64::NAN, 1.0).is_nan());
    }
}
