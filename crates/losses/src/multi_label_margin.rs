use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::Domain;
use crate::examples::{ExampleLoss, by_example, check_numbers};
use crate::hinge::ramp;
use crate::reduction::reduction_setting;
use crate::{Loss, Meaning, Outputs, Reduction, Target, TargetError, Total, target};

/// The hinge loss of several right classes: the score of each should exceed every wrong one's by 1.
///
/// With the right classes $`R`$ and $`C`$ classes in all,
/// ```math
/// \ell = \frac1C \sum_{r \in R} \sum_{w \notin R} z_{rw}, \qquad z_{rw} = \max(0, 1 - y_r + y_w).
/// ```
/// Each pair with $`z_{rw} > 0`$ adds $`-1/C`$ to $`\partial \ell / \partial y_r`$
/// and $`1/C`$ to $`\partial \ell / \partial y_w`$.
///
/// # Shapes
/// Predictions (batch, classes, ...), and one target for each number: 1 if the class is right, 0 if it is not.
///
/// # Errors
/// Returns an error if there are no classes, a target is neither 0 nor 1, or there are more or fewer targets than predictions.
///
/// # Source
/// Like PyTorch's `MultiLabelMarginLoss`, which takes a list of the right classes ended by −1, not zeros and ones.
/// Derivation: `docs/derivations/losses/multi-label-margin.md`.
///
/// ```
/// use downhill_losses::{Loss, MultiLabelMargin, Target};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[0.5, 0.75, -2.0], 1, [3])?;
/// let value = MultiLabelMargin::new().value(y, Target::Values(&[0.0, 1.0, 0.0]))?;
/// assert_eq!(value, 0.75 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct MultiLabelMargin {
    reduction: Reduction,
}

impl MultiLabelMargin {
    /// Makes the loss with the mean over the batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    reduction_setting!();
}

const LABELS: Domain = Domain {
    what: "target",
    takes: "targets that are 0 or 1",
    advice: "write 1 for a right class and 0 for any other",
};

impl Loss for MultiLabelMargin {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        check_numbers::<Self>(y.shape(), "scores of at least one class")?;
        let values = target::one_for_each::<Self, T>(y, target)?;
        LABELS
            .check::<Self, T>(values, |t| (t != T::ZERO) & (t != T::ONE))
            .map_err(|error| error.located(y.shape().len()))?;
        let whole = self.reduction.of_terms(y.examples(), y.examples());
        by_example(self, y, (target, y.shape().len()), dy, whole)
    }

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::Scores)
    }
}

impl ExampleLoss for MultiLabelMargin {
    #[inline(always)]
    fn example<T: Scalar>(
        &self,
        _shape: Shape,
        y: &[T],
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
        scale: T,
    ) -> T {
        let Target::Values(target) = target else { return T::NAN };
        let each = T::ONE / T::from_f64(y.len() as f64);
        if let Some(dy) = dy.as_deref_mut() {
            dy.fill(T::ZERO);
        }
        let mut sum = 0.0;
        for (right, (&y_right, &is_right)) in y.iter().zip(target).enumerate() {
            if is_right == T::ZERO {
                continue;
            }
            let at = |y: T, t: T| {
                if t == T::ZERO { ramp(T::ONE - y_right + y) } else { (T::ZERO, T::ZERO) }
            };
            sum += lanes::zip_sum(y, target, |y, t| at(y, t).0).to_f64();
            if let Some(dy) = dy.as_deref_mut() {
                for (dy, (&y, &t)) in dy.iter_mut().zip(y.iter().zip(target)) {
                    *dy += at(y, t).1;
                }
                dy[right] -= lanes::zip_sum(y, target, |y, t| at(y, t).1);
            }
        }
        // Until here slopes were counted, which is exact.
        dy.into_iter().flatten().for_each(|dy| *dy *= each * scale);
        each * T::from_f64(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate, shapes};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(25);
        for (examples, shape) in shapes() {
            let count = examples * shape.len();
            // Scores whose differences never come to 1.
            let y: Vec<f64> = (0..count).map(|_| draw.below(20) as f64 * 0.15).collect();
            let target = draw.either(count, 0.0, 1.0);
            for reduction in [Reduction::Mean, Reduction::Sum] {
                let loss = MultiLabelMargin::new().reduction(reduction);
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn without_right_or_without_wrong_classes_it_is_0() {
        for target in [[0.0; 3], [1.0; 3]] {
            let at =
                evaluate::<f64>(&MultiLabelMargin::new(), (1, [3].into()), &[1.0, 2.0, 3.0], Target::Values(&target));
            assert_eq!(at.unwrap(), (0.0, vec![0.0; 3]));
        }
    }

    #[test]
    fn a_target_that_is_neither_0_nor_1_is_an_error() {
        assert_eq!(
            error(&MultiLabelMargin::new(), (1, [2].into()), &[0.0; 2], Target::Values(&[1.0, 2.0])),
            "MultiLabelMargin takes targets that are 0 or 1, but target 1 of example 0 is 2; \
             write 1 for a right class and 0 for any other"
        );
    }
}
