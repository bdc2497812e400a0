use downhill_tensor::Scalar;

use crate::call::compiled;
use crate::domain::check_answers;
use crate::pointwise::{logistic, power};
use crate::reduction::reduction_setting;
use crate::{Outputs, PointwiseLoss, Reduction, TargetError};

/// The binary cross-entropy of logits with smaller terms for easy examples.
///
/// With the cross-entropy $`H = -t \ln p - (1 - t) \ln(1 - p)`$ of $`p = \sigma(y)`$, the probability
/// $`s = p\,t + (1 - p)(1 - t)`$ of the truth and $`\alpha_t = \alpha t + (1 - \alpha)(1 - t)`$,
/// ```math
/// \ell = \alpha_t (1 - s)^\gamma H, \qquad
/// \frac{d\ell}{dy} = \alpha_t (1 - s)^\gamma
/// \Big[(p - t) - \gamma\,(2t - 1)\,\frac{p(1 - p)}{1 - s} H\Big].
/// ```
/// With γ = 0 and no α it is [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits).
///
/// # Shapes
/// Predictions of any shape, and one target from 0 to 1, or one class, 0 or 1, for each number.
///
/// # Errors
/// Returns an error if γ is negative, α or a target lies outside 0 to 1, a class is neither 0 nor 1,
/// or there are more or fewer targets than predictions.
///
/// # Source
/// Lin et al., "Focal loss for dense object detection" (2017); like torchvision's `sigmoid_focal_loss`,
/// but with the mean as its default. For one class of several: [`SoftmaxFocal`](crate::SoftmaxFocal).
/// Derivation: `docs/derivations/losses/binary-focal.md`.
///
/// ```
/// use downhill_losses::{BinaryFocal, Loss, Target};
/// use downhill_tensor::Batch;
///
/// // An even guess: the cross-entropy ln 2, reduced by (1/2)² and α = 1/4.
/// let y = Batch::new(&[0.0], 1, [1])?;
/// let value = BinaryFocal::new(2.0).value(y, Target::Values(&[1.0]))?;
/// assert!((value - 2.0_f64.ln() / 16.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct BinaryFocal {
    gamma: f64,
    alpha: Option<f64>,
    reduction: Reduction,
}

impl Default for BinaryFocal {
    /// Makes the loss with γ = 2 and α = 0.25, as in the paper.
    fn default() -> Self {
        Self::new(2.0)
    }
}

impl BinaryFocal {
    /// Makes the loss that multiplies each term by the power `gamma` of the probability of being wrong; α is 0.25.
    #[must_use]
    pub fn new(gamma: f64) -> Self {
        Self { gamma, alpha: Some(0.25), reduction: Reduction::Mean }
    }

    /// Sets α, the weight of the positive answers; that of the negative ones is 1 − α. `None` weighs neither.
    #[must_use]
    pub fn alpha(mut self, alpha: impl Into<Option<f64>>) -> Self {
        self.alpha = alpha.into();
        self
    }

    reduction_setting!();
}

impl PointwiseLoss for BinaryFocal {
    compiled!(PointwiseLoss);

    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let (one, gamma) = (T::ONE, T::from_f64(self.gamma));
        let other = one - target;
        let (if_no, if_yes, p) = logistic(y);
        // 1 - p, without cancellation
        let not_p = (-y).sigmoid();
        let entropy = target * if_yes + other * if_no;
        // 1 - s, without cancellation for targets 0 and 1
        let wrong = p * other + not_p * target;
        let weight = match self.alpha {
            Some(alpha) => T::from_f64(alpha) * target + T::from_f64(1.0 - alpha) * other,
            None => one,
        };
        let turned_down = weight * power(wrong, gamma);
        let spread = if wrong > T::ZERO { p * not_p / wrong } else { T::ZERO };
        let slope = (p - target) - gamma * (target - other) * spread * entropy;
        (turned_down * entropy, turned_down * slope)
    }

    fn reduced(&self) -> Reduction {
        self.reduction
    }

    fn outputs(&self) -> Option<Outputs> {
        Some(Outputs::Logits)
    }

    fn class_values(&self) -> Option<[f64; 2]> {
        Some([0.0, 1.0])
    }

    fn check<T: Scalar>(&self, _y: &[T], target: &[T]) -> Result<(), TargetError> {
        check_gamma::<Self>(self.gamma)?;
        if let Some(alpha) = self.alpha {
            TargetError::check_setting::<Self>("alpha", alpha, (0.0..=1.0).contains(&alpha), "from 0 to 1")?;
        }
        check_answers::<Self, T>(target)
    }
}

pub(crate) fn check_gamma<L>(gamma: f64) -> Result<(), TargetError> {
    TargetError::check_setting::<L>("gamma", gamma, gamma >= 0.0, "finite and at least 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check_pointwise, error, slope, term};
    use crate::{BinaryCrossEntropyWithLogits, Target};

    #[test]
    fn gradient() {
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            check_pointwise(&BinaryFocal::new(gamma), 19, |draw, count| {
                (draw.numbers(count, -4.0, 4.0), draw.either(count, 0.0, 1.0))
            });
            check_pointwise(&BinaryFocal::new(gamma).alpha(None), 19, |draw, count| {
                (draw.numbers(count, -4.0, 4.0), draw.numbers(count, 0.1, 0.9))
            });
        }
    }

    #[test]
    fn with_a_gamma_of_0_it_is_the_cross_entropy() {
        let mut draw = Draw::new(20);
        for _ in 0..20 {
            let (y, t) = (draw.between(-5.0, 5.0), draw.between(0.0, 1.0));
            let (focal, plain) = (BinaryFocal::new(0.0).alpha(None), BinaryCrossEntropyWithLogits::new());
            assert!((term(&focal, y, t) - term(&plain, y, t)).abs() < 1e-14);
            assert!((slope(&focal, y, t) - slope(&plain, y, t)).abs() < 1e-14);
        }
    }

    #[test]
    fn sure_predictions_are_finite() {
        for gamma in [0.0, 0.5, 2.0] {
            let loss = BinaryFocal::new(gamma).alpha(None);
            assert_eq!((term(&loss, 1e4, 1.0), slope(&loss, 1e4, 1.0)), (0.0, 0.0));
            assert_eq!((term(&loss, -1e4, 1.0), slope(&loss, -1e4, 1.0)), (1e4, -1.0));
            assert!(term(&loss, f64::NAN, 1.0).is_nan());
        }
    }

    #[test]
    fn settings_outside_their_ranges_are_errors() {
        let error = |loss| error(&loss, (1, [1].into()), &[0.0], Target::Values(&[0.0]));
        assert_eq!(error(BinaryFocal::new(-1.0)), "BinaryFocal: gamma is -1, but must be finite and at least 0");
        assert_eq!(error(BinaryFocal::new(2.0).alpha(1.5)), "BinaryFocal: alpha is 1.5, but must be from 0 to 1");
    }
}
