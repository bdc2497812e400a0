use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::{check_answers, check_probabilities};
use crate::examples::{ExampleLoss, by_example, check_numbers};
use crate::reduction::reduction_setting;
use crate::{Loss, Meaning, Outputs, Reduction, Target, TargetError, Total, target};

/// One minus the soft Dice coefficient, the overlap of two masks: for every channel of every example
/// ```math
/// \ell = 1 - \frac{2 \sum_i y_i t_i + s}{\sum_i y_i + \sum_i t_i + s}, \qquad
/// \frac{\partial \ell}{\partial y_i} = -\frac{2 t_i}{D} + \frac{N}{D^2},
/// ```
/// with the fraction's numerator $`N`$ and denominator $`D`$.
/// [`squared`](Dice::squared) takes $`\sum_i y_i^2 + \sum_i t_i^2`$ in $`D`$;
/// the last term of the slope is then $`2 y_i N/D^2`$.
///
/// The smoothing $`s`$ makes two empty masks a perfect match. The mean is over the batch and the channels.
///
/// # Shapes
/// Predicted probabilities (batch, channels, positions...), and one target from 0 to 1 for each number.
/// Predictions (batch, positions) have one channel.
///
/// # Errors
/// Returns an error if the smoothing is negative or not finite, an example has no numbers, a prediction or a target lies outside 0 to 1,
/// or there are more or fewer targets than predictions. Without smoothing, two empty masks give NaN.
///
/// # Source
/// Milletari, Navab and Ahmadi, "V-Net" (2016), which squares; like MONAI's `DiceLoss`, its smoothing of 1e-5 included.
/// Derivation: `docs/derivations/losses/dice.md`.
///
/// ```
/// use downhill_losses::{Dice, Loss, Target};
/// use downhill_tensor::Batch;
///
/// // Two of three pixels found, one of them right.
/// let y = Batch::new(&[1.0, 1.0, 0.0, 0.0], 1, [4])?;
/// let value: f64 = Dice::new().smoothing(0.0).value(y, Target::Values(&[1.0, 0.0, 1.0, 1.0]))?;
/// assert!((value - (1.0 - 2.0 / 5.0)).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Dice {
    smoothing: f64,
    squared: bool,
    reduction: Reduction,
}

impl Default for Dice {
    fn default() -> Self {
        Self { smoothing: 1e-5, squared: false, reduction: Reduction::Mean }
    }
}

impl Dice {
    /// Makes the loss with the mean over the batch and the channels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the smoothing, which is added to the numerator and the denominator; 1e-5 unless this is called.
    #[must_use]
    pub fn smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Squares predictions and targets in the denominator, as the V-Net paper does.
    #[must_use]
    pub fn squared(mut self) -> Self {
        self.squared = true;
        self
    }

    reduction_setting!();
}

impl Loss for Dice {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let smoothing = self.smoothing;
        TargetError::check_setting::<Self>("the smoothing", smoothing, smoothing >= 0.0, "finite and at least 0")?;
        check_numbers::<Self>(y.shape(), "examples of at least one number")?;
        let values = target::one_for_each::<Self, T>(y, target)?;
        check_answers::<Self, T>(values)
            .and_then(|()| check_probabilities::<Self, T>(y.slice(), "put Sigmoid or Softmax before this loss"))
            .map_err(|error| error.located(y.shape().len()))?;
        let whole = self.reduction.of_terms(y.examples() * channels(y.shape()), y.examples());
        by_example(self, y, (target, y.shape().len()), dy, whole)
    }

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::Probabilities)
    }
}

fn channels(shape: Shape) -> usize {
    match shape.axes() {
        [channels, _, ..] => *channels,
        _ => 1,
    }
}

impl ExampleLoss for Dice {
    #[inline(always)]
    fn example<T: Scalar>(
        &self,
        shape: Shape,
        y: &[T],
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
        scale: T,
    ) -> T {
        let Target::Values(target) = target else { return T::NAN };
        let (two, smoothing) = (T::from_f64(2.0), T::from_f64(self.smoothing));
        let channels = channels(shape);
        let positions = y.len() / channels.max(1);
        let mut total = 0.0;
        for channel in 0..channels {
            let here = channel * positions..(channel + 1) * positions;
            let (y, target) = (&y[here.clone()], &target[here.clone()]);
            // Σ y and Σ t, or Σ y² and Σ t²
            let size = |x| lanes::map_sum(x, |x| if self.squared { x * x } else { x });
            let numerator = two * lanes::zip_sum(y, target, |y, t| y * t) + smoothing;
            let denominator = size(y) + size(target) + smoothing;
            let dice = numerator / denominator;
            total += (T::ONE - dice).to_f64();
            let Some(dy) = dy.as_deref_mut() else { continue };
            let (overlap, size) = (-two * scale / denominator, dice * scale / denominator);
            for (dy, (&y, &t)) in dy[here].iter_mut().zip(y.iter().zip(target)) {
                let size_slope = if self.squared { two * y } else { T::ONE };
                *dy = overlap * t + size * size_slope;
            }
        }
        T::from_f64(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate, shapes};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(31);
        for (examples, shape) in shapes() {
            let count = examples * shape.len();
            let (y, target) = (draw.numbers(count, 0.1, 0.99), draw.either(count, 0.0, 1.0));
            for loss in [Dice::new(), Dice::new().squared().smoothing(1.0).reduction(Reduction::BatchMean)] {
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn empty_masks_match() {
        let at =
            |loss: Dice| evaluate::<f64>(&loss, (1, [2, 2].into()), &[0.0; 4], Target::Values(&[0.0; 4])).unwrap().0;
        assert_eq!(at(Dice::new()), 0.0);
        assert!(at(Dice::new().smoothing(0.0)).is_nan());
    }

    #[test]
    fn each_channel_counts_alike() {
        let y = [1.0, 1.0, 0.0, 1.0];
        let target = Target::Values(&[1.0, 1.0, 1.0, 0.0]);
        let loss = Dice::new().smoothing(0.0);
        assert_eq!(evaluate::<f64>(&loss, (1, [2, 2].into()), &y, target).unwrap().0, 0.5);
        assert!((evaluate::<f64>(&loss, (1, [4].into()), &y, target).unwrap().0 - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn what_is_no_mask_is_an_error() {
        let at = |y, t| error(&Dice::new(), (1, [2].into()), &[0.5, y], Target::Values(&[0.0, t]));
        assert_eq!(
            at(1.5, 1.0),
            "Dice takes predictions from 0 to 1, but prediction 1 of example 0 is 1.5; \
             put Sigmoid or Softmax before this loss"
        );
        assert_eq!(
            at(0.5, 255.0),
            "Dice takes targets from 0 to 1, but target 1 of example 0 is 255; \
             write 0 for no and 1 for yes, and divide what has another scale, such as pixels from 0 to 255"
        );
    }

    #[test]
    fn a_negative_smoothing_is_an_error() {
        assert_eq!(
            error(&Dice::new().smoothing(-1.0), (1, [1].into()), &[0.0], Target::Values(&[0.0])),
            "Dice: the smoothing is -1, but must be finite and at least 0"
        );
    }
}
