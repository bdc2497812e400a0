use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::{SIGNS_OF_PAIRS, check_signs};
use crate::examples::{ExampleLoss, by_example, pairs, part_length};
use crate::hinge::ramp;
use crate::reduction::reduction_setting;
use crate::{Loss, Reduction, Target, TargetError, Total, target};

/// A ranking loss of two predictions: the first should be the larger if $`t = 1`$, the second if $`t = -1`$:
/// $`\ell = \max(0, m - t\,(a - b))`$.
///
/// $`\partial \ell / \partial a = -t`$ and $`\partial \ell / \partial b = t`$ if $`\ell > 0`$, else both are 0.
///
/// # Shapes
/// The two predictions lie one after the other along the first axis of an example: of (batch, 2f) the first f numbers
/// are $`a`$, the others $`b`$. There is one target, −1 or 1, for each pair: (batch, f).
///
/// # Errors
/// Returns an error if the first axis can't be halved, an example has no numbers, a target is neither −1 nor 1, the margin is not finite,
/// or there are not half as many targets as predictions.
///
/// # Source
/// Like PyTorch's `MarginRankingLoss`.
/// Derivation: `docs/derivations/losses/margin-ranking.md`.
///
/// ```
/// use downhill_losses::{Loss, MarginRanking, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[3.0, 1.0, 3.0, 1.0], 2, [2])?;
/// assert_eq!(MarginRanking::new(0.5).value(y, Target::Values(&[1.0, -1.0]))?, (0.0 + 2.5) / 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MarginRanking {
    margin: f64,
    reduction: Reduction,
}

impl MarginRanking {
    /// Makes the loss by which the right one of the two should be larger by `margin`.
    ///
    /// PyTorch's default is 0.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self { margin, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl Loss for MarginRanking {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        TargetError::check_setting::<Self>("the margin", self.margin, true, "finite")?;
        let pairs = part_length::<Self>(y.shape(), 2, "two predictions, one after the other along the first axis")?;
        let expected = "one sign for each pair, but received the indices of classes";
        let signs = target::values::<Self, T>(target, expected)?;
        check_signs::<Self, T>(signs, SIGNS_OF_PAIRS).map_err(|error| error.located(pairs))?;
        let whole = self.reduction.of_terms(y.examples() * pairs, y.examples());
        by_example(self, y, (target, pairs), dy, whole)
    }
}

impl ExampleLoss for MarginRanking {
    #[inline(always)]
    fn example<T: Scalar>(&self, _shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let Target::Values(target) = target else { return T::NAN };
        let margin = T::from_f64(self.margin);
        pairs(y, target, dy, scale, |a, b, t| {
            let (short, slope) = ramp(margin - t * (a - b));
            (short, -slope * t, slope * t)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(27);
        for (examples, shape) in [(1, [2].into()), (5, [2].into()), (3, [34].into()), (2, Shape::from([4, 3]))] {
            let pairs = examples * shape.len() / 2;
            // Differences that never come to the margin.
            let y: Vec<f64> = (0..2 * pairs).map(|_| draw.below(20) as f64 * 0.2).collect();
            let target = draw.either(pairs, -1.0, 1.0);
            for reduction in [Reduction::Mean, Reduction::BatchMean] {
                let loss = MarginRanking::new(0.3).reduction(reduction);
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn at_the_kink_the_slope_is_0() {
        let at = |y: [f64; 2]| {
            evaluate::<f64>(&MarginRanking::new(0.0), (1, [2].into()), &y, Target::Values(&[1.0])).unwrap()
        };
        assert_eq!(at([1.0, 1.0]), (0.0, vec![0.0, 0.0]));
        assert!(at([f64::NAN, 1.0]).0.is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = MarginRanking::default();
        assert_eq!(
            error(&loss, (1, [3].into()), &[0.0; 3], Target::Values(&[1.0])),
            "MarginRanking takes two predictions, one after the other along the first axis, \
             but the predictions have the shape 3"
        );
        assert_eq!(
            error(&loss, (1, [4].into()), &[0.0; 4], Target::Values(&[1.0])),
            "the predictions need 2 targets, but there are 1"
        );
        assert_eq!(
            error(&loss, (1, [2].into()), &[0.0; 2], Target::Values(&[0.0])),
            "MarginRanking takes targets that are -1 or 1, but target 0 of example 0 is 0; \
             write 1 for one kind of pair and -1 for the other"
        );
        assert_eq!(
            error(&MarginRanking::new(f64::NAN), (1, [2].into()), &[0.0; 2], Target::Values(&[1.0])),
            "MarginRanking: the margin is NaN, but must be finite"
        );
    }
}
