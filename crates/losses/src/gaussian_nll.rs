use std::f64::consts::PI;

use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::{Domain, check_finite};
use crate::examples::{ExampleLoss, by_example, pairs, part_length};
use crate::reduction::reduction_setting;
use crate::{Loss, Reduction, Target, TargetError, Total, target};

/// The negative log-likelihood of numbers under normal distributions whose means and variances are predicted:
/// $`\ell = \tfrac12 \big[\ln v + (\mu - t)^2 / v\big]`$, with the variance $`v`$ clamped to at least ε.
///
/// ```math
/// \frac{\partial \ell}{\partial \mu} = \frac{\mu - t}{v}, \qquad
/// \frac{\partial \ell}{\partial v} = \frac12 \Big[\frac1v - \frac{(\mu - t)^2}{v^2}\Big].
/// ```
/// The slope ignores the clamp, so that a variance that became too small can grow again.
/// The term $`\tfrac12 \ln 2\pi`$, which does not depend on the prediction, is left out
/// unless [`full`](GaussianNll::full) is called.
///
/// # Shapes
/// Means and variances lie one after the other along the first axis of an example: of (batch, 2f) the first f numbers
/// are means, the others variances. There is one target for each mean: (batch, f).
///
/// # Errors
/// Returns an error if the first axis can't be halved, an example has no numbers, a variance is negative, a target is not finite,
/// ε is not finite and positive, or there are not half as many targets as predictions.
///
/// # Source
/// Nix and Weigend, "Estimating the mean and variance of the target probability distribution" (1994);
/// like PyTorch's `GaussianNLLLoss`.
/// Derivation: `docs/derivations/losses/gaussian-nll.md`.
///
/// ```
/// use downhill_losses::{GaussianNll, Loss, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1.0, 4.0], 1, [2])?;
/// let value: f64 = GaussianNll::new().value(y, Target::Values(&[3.0]))?;
/// assert_eq!(value, 0.5 * (4.0_f64.ln() + 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct GaussianNll {
    full: bool,
    epsilon: f64,
    reduction: Reduction,
}

impl Default for GaussianNll {
    fn default() -> Self {
        Self { full: false, epsilon: 1e-6, reduction: Reduction::Mean }
    }
}

impl GaussianNll {
    /// Makes the loss with the mean over the batch and all means, without the constant term.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the constant $`\tfrac12 \ln 2\pi`$.
    #[must_use]
    pub fn full(mut self) -> Self {
        self.full = true;
        self
    }

    /// Sets ε, the smallest variance; 1e-6 unless this is called.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    reduction_setting!();
}

const VARIANCES: Domain =
    Domain { what: "prediction", takes: "variances of at least 0", advice: "put Softplus before this loss" };

impl Loss for GaussianNll {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let epsilon = self.epsilon;
        TargetError::check_setting::<Self>("epsilon", epsilon, epsilon > 0.0, "finite and greater than 0")?;
        let expected = "means and variances, one after the other along the first axis";
        let means = part_length::<Self>(y.shape(), 2, expected)?;
        let expected = "one number for each mean, but received the indices of classes";
        let values = target::values::<Self, T>(target, expected)?;
        check_finite::<Self, T>(values).map_err(|error| error.located(means))?;
        for example in 0..y.examples() {
            let variances = &y.example(example)[means..];
            VARIANCES
                .check::<Self, T>(variances, |v| v < T::ZERO)
                .map_err(|error| error.from(means).of_example(example))?;
        }
        let whole = self.reduction.of_terms(y.examples() * means, y.examples());
        by_example(self, y, (target, means), dy, whole)
    }
}

impl ExampleLoss for GaussianNll {
    #[inline(always)]
    fn example<T: Scalar>(&self, _shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let Target::Values(target) = target else { return T::NAN };
        let (half, least) = (T::from_f64(0.5), T::from_f64(self.epsilon));
        let constant = if self.full { T::from_f64(0.5 * (2.0 * PI).ln()) } else { T::ZERO };
        pairs(y, target, dy, scale, |mean, variance, t| {
            let v = variance.max(least);
            // A square may overflow, or vanish, even if its quotient does not.
            let d = mean - t;
            let (ratio, inverse) = (d / v, T::ONE / v);
            (half * (v.ln() + ratio * d) + constant, ratio, half * (inverse - ratio * ratio))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(30);
        for (examples, shape) in [(1, [2].into()), (5, [2].into()), (3, [34].into()), (2, Shape::from([4, 3]))] {
            let target = draw.numbers(examples * shape.len() / 2, -2.0, 2.0);
            let y = draw.numbers(examples * shape.len(), 0.5, 2.0);
            for loss in [GaussianNll::new(), GaussianNll::new().full().reduction(Reduction::BatchMean)] {
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn the_slope_passes_the_clamp() {
        let loss = GaussianNll::new().epsilon(0.5);
        let at = |y: [f64; 2]| evaluate::<f64>(&loss, (1, [2].into()), &y, Target::Values(&[2.0])).unwrap();
        assert_eq!(at([1.0, 0.1]), at([1.0, 0.5]));
        assert_eq!(at([1.0, 0.0]).1, [-2.0, -1.0]);
        assert!(at([1.0, f64::NAN]).0.is_nan());
    }

    #[test]
    fn squares_overflow_only_where_their_quotients_do() {
        let loss = GaussianNll::new().epsilon(1e-30);
        for (d, v) in [(1e-22, 1e-30), (1e-25, 1e-10), (3.0, 2.0), (1e25, 1e20), (1e30, 1e30), (1e20, 1e38)] {
            let (value, dy) = evaluate::<f32>(&loss, (1, [2].into()), &[d, v], Target::Values(&[0.0])).unwrap();
            let expected = [0.5 * (v.ln() + d * d / v), d / v, 0.5 * (1.0 / v - d * d / (v * v))];
            for (found, expected) in [value, dy[0], dy[1]].into_iter().zip(expected) {
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 1e-5 * expected.abs() + 1e-38, "{d} and {v}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = GaussianNll::new();
        assert_eq!(
            error(&loss, (2, [2].into()), &[0.0, 1.0, 0.0, -1.0], Target::Values(&[0.0; 2])),
            "GaussianNll takes variances of at least 0, but prediction 1 of example 1 is -1; put Softplus before this loss"
        );
        assert_eq!(
            error(&loss, (1, [1].into()), &[0.0], Target::Values(&[0.0])),
            "GaussianNll takes means and variances, one after the other along the first axis, \
             but the predictions have the shape 1"
        );
        assert_eq!(
            error(&loss.epsilon(0.0), (1, [2].into()), &[0.0; 2], Target::Values(&[0.0])),
            "GaussianNll: epsilon is 0, but must be finite and greater than 0"
        );
    }
}
