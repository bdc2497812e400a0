use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::classes::{check_one_class, weight};
use crate::examples::{ExampleLoss, by_example};
use crate::hinge::ramp;
use crate::reduction::reduction_setting;
use crate::{Loss, Meaning, Outputs, Reduction, Target, TargetError, Total};

/// The hinge loss of several classes: the score of the right one should exceed every other by a margin.
///
/// With the shortfalls $`z_c = \max(0, m - y_t + y_c)`$, $`C`$ classes and the class weights $`w`$, 1 by default,
/// ```math
/// \ell = \frac{w_t}{C} \sum_{c \ne t} z_c, \qquad
/// \frac{\partial \ell}{\partial y_c} = \frac{w_t}{C} [z_c > 0] \ (c \ne t), \qquad
/// \frac{\partial \ell}{\partial y_t} = -\sum_{c \ne t} \frac{\partial \ell}{\partial y_c}.
/// ```
/// [`squared`](MultiMargin::squared) takes $`z_c^2`$, with the slope $`2 z_c`$.
/// The mean divides by the number of examples, weights or not. An example whose class weighs 0 is not read.
///
/// # Shapes
/// Predictions (batch, classes), and one class for each example.
///
/// # Errors
/// Returns an error if a class does not exist, targets are too many or too few, there is not one weight for each class,
/// a weight is negative or not finite, or the margin is not finite.
///
/// # Source
/// Weston and Watkins, "Support vector machines for multi-class pattern recognition" (1999), divided by $`C`$;
/// like PyTorch's `MultiMarginLoss`.
/// Derivation: `docs/derivations/losses/multi-margin.md`.
///
/// ```
/// use downhill_losses::{Loss, MultiMargin, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 0.75, -2.0], 1, [3])?;
/// assert_eq!(MultiMargin::new(1.0).value(y, Target::Classes(&[1]))?, 0.75 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MultiMargin {
    margin: f64,
    squared: bool,
    class_weights: Option<Vec<f64>>,
    reduction: Reduction,
}

impl Default for MultiMargin {
    /// Makes the loss with a margin of 1.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl MultiMargin {
    /// Makes the loss by which the right class should score `margin` more than any other.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self { margin, squared: false, class_weights: None, reduction: Reduction::Mean }
    }

    /// Squares each shortfall, like PyTorch's `p = 2`.
    #[must_use]
    pub fn squared(mut self) -> Self {
        self.squared = true;
        self
    }

    /// Sets the weights of the classes; all are 1 unless this is called.
    #[must_use]
    pub fn class_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    reduction_setting!();
}

impl Loss for MultiMargin {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        TargetError::check_setting::<Self>("the margin", self.margin, true, "finite")?;
        let weight = check_one_class::<Self, T>(y, target, self.class_weights.as_deref())?;
        let whole = self.reduction.of_terms(y.examples(), y.examples()).weight(weight);
        by_example(self, y, (target, 1), dy, whole)
    }

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::ClassScores)
    }
}

impl ExampleLoss for MultiMargin {
    #[inline(always)]
    fn example<T: Scalar>(&self, _shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let Target::Classes(&[class]) = target else { return T::NAN };
        let class = class as usize;
        let weight = weight::<T>(self.class_weights.as_deref(), class) / T::from_f64(y.len() as f64);
        if weight == T::ZERO {
            if let Some(dy) = dy {
                dy.fill(T::ZERO);
            }
            return T::ZERO;
        }
        let least = T::from_f64(self.margin) - y[class];
        let at = |y: T| {
            let (short, slope) = ramp(least + y);
            if self.squared { (short * short, short + short) } else { (short, slope) }
        };
        if let Some(dy) = dy {
            for (dy, &y) in dy.iter_mut().zip(y) {
                *dy = at(y).1 * weight * scale;
            }
            dy[class] = -sum_of_others(dy, class, |dy| dy);
        }
        weight * sum_of_others(y, class, |y| at(y).0)
    }
}

/// Sums over all classes but one.
#[inline(always)]
fn sum_of_others<T: Scalar>(x: &[T], class: usize, f: impl Fn(T) -> T + Copy) -> T {
    lanes::map_sum(&x[..class], f) + lanes::map_sum(&x[class + 1..], f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(24);
        for (examples, classes) in [(1, 1), (1, 2), (5, 3), (3, 40)] {
            // Scores on a grid whose differences never come to the margins.
            let y: Vec<f64> = (0..examples * classes).map(|_| draw.below(20) as f64 * 0.1).collect();
            let target = draw.classes(examples, classes);
            let weights = draw.numbers(classes, 0.2, 2.0);
            for loss in [MultiMargin::new(0.55), MultiMargin::new(0.55).squared()] {
                check(&loss, (examples, [classes].into()), &y, Target::Classes(&target));
                let loss = loss.class_weights(weights.clone()).reduction(Reduction::Sum);
                check(&loss, (examples, [classes].into()), &y, Target::Classes(&target));
            }
        }
    }

    #[test]
    fn at_the_kink_the_slope_is_0() {
        let at =
            |y: [f64; 2]| evaluate::<f64>(&MultiMargin::new(1.0), (1, [2].into()), &y, Target::Classes(&[0])).unwrap();
        assert_eq!(at([1.0, 0.0]), (0.0, vec![0.0, 0.0]));
        assert!(at([f64::NAN, 0.0]).0.is_nan());
        assert!(at([0.0, f64::NAN]).0.is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(
            error(&MultiMargin::new(f64::INFINITY), (1, [2].into()), &[0.0; 2], Target::Classes(&[0])),
            "MultiMargin: the margin is inf, but must be finite"
        );
        assert_eq!(
            error(&MultiMargin::default(), (2, [2].into()), &[0.0; 4], Target::Classes(&[0, 5])),
            "example 1 has the class 5, but the predictions have 2 classes, counted from 0"
        );
    }
}
