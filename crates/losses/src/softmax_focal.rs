use downhill_tensor::{Batch, Scalar, Shape};

use crate::binary_focal::check_gamma;
use crate::call::compiled;
use crate::classes::{check_one_class, weight};
use crate::examples::{ExampleLoss, by_example};
use crate::pointwise::power;
use crate::reduction::reduction_setting;
use crate::softmax::exponentials;
use crate::{Loss, Meaning, Outputs, Reduction, Target, TargetError, Total};

/// The softmax cross-entropy with smaller terms for easy examples.
///
/// With $`p = \operatorname{softmax}(y)`$ and the class $`t`$ as the target,
/// ```math
/// \ell = -\alpha_t (1 - p_t)^\gamma \ln p_t, \qquad
/// \frac{\partial \ell}{\partial y_c} = \alpha_t (1 - p_t)^\gamma
/// \Big[1 - \gamma \frac{p_t \ln p_t}{1 - p_t}\Big] (p_c - \delta_{ct}).
/// ```
/// The class weights α are 1 by default. With γ = 0 it is
/// [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy), except that the mean divides by the number of examples
/// and not by their weight. An example whose class weighs 0 is not read.
///
/// # Shapes
/// Predictions (batch, classes), and one class for each example.
///
/// # Errors
/// Returns an error if γ is negative, a class does not exist, targets are too many or too few,
/// there is not one weight for each class, or a weight is negative or not finite.
///
/// # Source
/// Lin et al., "Focal loss for dense object detection" (2017), section 3, over a softmax.
/// Derivation: `docs/derivations/losses/softmax-focal.md`.
///
/// ```
/// use downhill_losses::{Loss, SoftmaxFocal, Target};
/// use downhill_tensor::Batch;
///
/// // An even guess among two: the cross-entropy ln 2, turned down by (1/2)².
/// let y = Batch::new(&[0.0, 0.0], 1, [2])?;
/// let value = SoftmaxFocal::new(2.0).value(y, Target::Classes(&[1]))?;
/// assert!((value - 2.0_f64.ln() / 4.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct SoftmaxFocal {
    gamma: f64,
    class_weights: Option<Vec<f64>>,
    reduction: Reduction,
}

impl Default for SoftmaxFocal {
    /// Makes the loss with γ = 2, as in the paper.
    fn default() -> Self {
        Self::new(2.0)
    }
}

impl SoftmaxFocal {
    /// Makes the loss that multiplies each term by the power `gamma` of the probability of being wrong.
    #[must_use]
    pub fn new(gamma: f64) -> Self {
        Self { gamma, class_weights: None, reduction: Reduction::Mean }
    }

    /// Sets the weights of the classes; all are 1 unless this is called.
    #[must_use]
    pub fn class_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    reduction_setting!();
}

impl Loss for SoftmaxFocal {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        check_gamma::<Self>(self.gamma)?;
        let weight = check_one_class::<Self, T>(y, target, self.class_weights.as_deref())?;
        let whole = self.reduction.of_terms(y.examples(), y.examples()).weight(weight);
        by_example(self, y, (target, 1), dy, whole)
    }

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::ClassLogits)
    }
}

impl ExampleLoss for SoftmaxFocal {
    #[inline(always)]
    fn example<T: Scalar>(
        &self,
        _shape: Shape,
        y: &[T],
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
        scale: T,
    ) -> T {
        let Target::Classes(&[class]) = target else { return T::NAN };
        let (class, gamma) = (class as usize, T::from_f64(self.gamma));
        let alpha = weight::<T>(self.class_weights.as_deref(), class);
        if alpha == T::ZERO {
            if let Some(dy) = dy {
                dy.fill(T::ZERO);
            }
            return T::ZERO;
        }
        let (largest, sum) = exponentials(y, dy.as_deref_mut());
        let log_p = y[class] - largest - sum.ln();
        // 1 - p, without cancellation near p = 1
        let wrong = -log_p.exp_m1();
        let turned_down = alpha * power(wrong, gamma);
        if let Some(dy) = dy {
            let spread = if wrong > T::ZERO && wrong < T::ONE { log_p.exp() * log_p / wrong } else { T::ZERO };
            let factor = turned_down * (T::ONE - gamma * spread) * scale;
            let each = factor / sum;
            for dy in &mut *dy {
                *dy *= each;
            }
            dy[class] -= factor;
        }
        -turned_down * log_p
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SoftmaxCrossEntropy;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(21);
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            for (examples, classes) in [(1, 2), (5, 3), (3, 40)] {
                let (y, target) = (draw.numbers(examples * classes, -3.0, 3.0), draw.classes(examples, classes));
                let batch = (examples, [classes].into());
                check(&SoftmaxFocal::new(gamma), batch, &y, Target::Classes(&target));
                let weighted = SoftmaxFocal::new(gamma).class_weights(draw.numbers(classes, 0.2, 2.0));
                check(&weighted, batch, &y, Target::Classes(&target));
            }
        }
    }

    #[test]
    fn with_a_gamma_of_0_it_is_the_cross_entropy() {
        let (y, target) = (Draw::new(22).numbers(15, -3.0, 3.0), [0, 1, 2, 0, 1]);
        let (batch, target) = ((5, [3].into()), Target::Classes(&target));
        let (a, da) = evaluate::<f64>(&SoftmaxFocal::new(0.0), batch, &y, target).unwrap();
        let (b, db) = evaluate::<f64>(&SoftmaxCrossEntropy::new(), batch, &y, target).unwrap();
        assert!((a - b).abs() < 1e-14);
        assert!(da.iter().zip(&db).all(|(a, b)| (a - b).abs() < 1e-15));
    }

    #[test]
    fn sure_predictions_are_finite() {
        for gamma in [0.0, 0.5, 2.0] {
            let at = |class| {
                let y = [1e4, -1e4];
                evaluate::<f64>(&SoftmaxFocal::new(gamma), (1, [2].into()), &y, Target::Classes(&[class])).unwrap()
            };
            assert_eq!(at(0), (0.0, vec![0.0, 0.0]));
            assert_eq!(at(1), (2e4, vec![1.0, -1.0]));
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = SoftmaxFocal::new(2.0);
        assert_eq!(
            error(&loss, (1, [2, 2].into()), &[0.0; 4], Target::Classes(&[0; 2])),
            "SoftmaxFocal takes a vector with one number for each class, but the predictions have the shape 2x2"
        );
        assert_eq!(
            error(&loss, (2, [2].into()), &[0.0; 4], Target::Values(&[0.0; 4])),
            "SoftmaxFocal compares with one class for each example, but received numbers"
        );
        assert_eq!(
            error(&SoftmaxFocal::new(f64::NAN), (2, [2].into()), &[0.0; 4], Target::Classes(&[0; 2])),
            "SoftmaxFocal: gamma is NaN, but must be finite and at least 0"
        );
    }
}
