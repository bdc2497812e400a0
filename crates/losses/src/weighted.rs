use downhill_tensor::{Batch, BatchMut, Scalar};

use crate::reduction::reduction_setting;
use crate::{Loss, Reduction, Target, TargetError};

/// A loss whose examples have weights of their own: $`J = \sum_i w_i \ell_i / \sum_i w_i`$.
///
/// The term $`\ell_i`$ is what the loss makes of example $`i`$ alone, as a batch of one,
/// and $`\partial J / \partial y_i = w_i / \sum_j w_j \cdot \partial \ell_i / \partial y_i`$.
/// An example of weight 0 is left out: not even not-a-number in it shows.
///
/// The weights belong to the examples of one batch, so a training loop makes one of these for each batch,
/// from the loss and the batch's weights; it copies neither.
///
/// With `Reduction::BatchMean` the weighted terms are divided by the number of examples, as Keras does with sample
/// weights; `Reduction::Sum` does not divide them.
///
/// Class weights take part in a mean over one example on both sides, and vanish: give the inner loss
/// `Reduction::Sum` where it has them.
///
/// ```
/// use downhill_losses::{Loss, MeanSquaredError, Target, Weighted};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1.0, 2.0], 2, [1])?;
/// let loss = MeanSquaredError::new();
/// let value = Weighted::new(&loss, &[3.0, 1.0]).value(y, Target::Values(&[0.0, 0.0]))?;
/// assert_eq!(value, (3.0 * 1.0 + 1.0 * 4.0) / 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of the loss, and where there is not one finite weight ≥ 0 for each example,
/// or targets can't be divided evenly among the examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighted<'a, L, W> {
    loss: &'a L,
    weights: &'a [W],
    reduction: Reduction,
}

impl<'a, L: Loss, W: Scalar> Weighted<'a, L, W> {
    /// `loss` with one weight for each example of the batch.
    #[must_use]
    pub fn new(loss: &'a L, weights: &'a [W]) -> Self {
        Self { loss, weights, reduction: Reduction::Mean }
    }

    reduction_setting!();

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
    ) -> Result<T, TargetError> {
        let Self { loss, weights, reduction } = *self;
        TargetError::check_gradient(y, dy.as_deref())?;
        if weights.len() != y.examples() {
            return Err(TargetError::setting::<Self>(format!(
                "there are {} weights, but the batch has {} examples; give one weight for each example",
                weights.len(),
                y.examples()
            )));
        }
        if let Some(example) = weights.iter().position(|&w| !(w >= W::ZERO && w.is_finite())) {
            return Err(TargetError::setting::<Self>(format!(
                "the weight of example {example} is {}, but weights must be finite and at least 0",
                weights[example]
            )));
        }
        let targets = target.for_each(y.examples())?;
        let divisor = reduction.divisor(weights.iter().map(|w| w.to_f64()).sum(), y.examples());
        let width = y.shape().len();
        let mut total = 0.0;
        for (example, weight) in weights.iter().map(|w| w.to_f64()).enumerate() {
            let dy = dy.as_deref_mut().map(|dy| &mut dy[example * width..(example + 1) * width]);
            if weight == 0.0 {
                if let Some(dy) = dy {
                    dy.fill(T::ZERO);
                }
                continue;
            }
            let scale = T::of(weight / divisor);
            total += weight * of_one(loss, y, (target, targets), example, dy.map(|dy| (dy, scale)))?.to_f64();
        }
        Ok(T::of(total / divisor))
    }
}

impl<L: Loss, W: Scalar> Loss for Weighted<'_, L, W> {
    fn value<T: Scalar>(&self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<T, TargetError> {
        self.evaluate(y, target, None)
    }

    fn value_and_gradient<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: BatchMut<'_, T>,
    ) -> Result<T, TargetError> {
        self.evaluate(y, target, Some(dy.slice()))
    }
}

/// Overwrites `values` with the loss of each example alone, as of a batch of one: PyTorch's reduction `none`,
/// averaged over what one example predicts.
///
/// ```
/// use downhill_losses::{MeanSquaredError, Target, per_example};
/// use downhill_tensor::Batch;
///
/// let y = Batch::new(&[1.0, 3.0, 2.0, 2.0], 2, [2])?;
/// let mut values = [0.0; 2];
/// per_example(&MeanSquaredError::new(), y, Target::Values(&[0.0; 4]), &mut values)?;
/// assert_eq!(values, [5.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of the loss, and where there is not room for one value for each example.
pub fn per_example<L: Loss, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    values: &mut [T],
) -> Result<(), TargetError> {
    if values.len() != y.examples() {
        return Err(TargetError::Setting {
            loss: "per_example",
            reason: format!("there is room for {} values, but the batch has {} examples", values.len(), y.examples()),
        });
    }
    let targets = target.for_each(y.examples())?;
    for (example, value) in values.iter_mut().enumerate() {
        *value = of_one(loss, y, (target, targets), example, None)?;
    }
    Ok(())
}

/// The loss of one example; also overwrites `dy` with its gradient times a factor, where they are given.
fn of_one<L: Loss, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    (target, targets): (Target<'_, T>, usize),
    example: usize,
    dy: Option<(&mut [T], T)>,
) -> Result<T, TargetError> {
    let shape = y.shape();
    let evaluate = || -> Result<T, TargetError> {
        let fits = |_| TargetError::Gradient { expected: shape.len(), got: 0 };
        let y = Batch::new(y.example(example), 1, shape).map_err(fits)?;
        let target = target.example(example, targets);
        let Some((dy, factor)) = dy else { return loss.value(y, target) };
        let value = loss.value_and_gradient(y, target, BatchMut::new(&mut *dy, 1, shape).map_err(fits)?)?;
        dy.iter_mut().for_each(|dy| *dy *= factor);
        Ok(value)
    };
    evaluate().map_err(|error| match error {
        // The loss saw this example alone.
        TargetError::Class { class, classes, .. } => TargetError::Class { example, class, classes },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};
    use crate::{MeanSquaredError, SoftmaxCrossEntropy, TripletMargin};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(35);
        let batch = (4, [3].into());
        let (y, target, classes) = (draw.numbers(12, -2.0, 2.0), draw.numbers(12, -2.0, 2.0), draw.classes(4, 3));
        let weights = [0.5_f32, 0.0, 2.0, 1.0];
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
            let squared = MeanSquaredError::new();
            let loss = Weighted::new(&squared, &weights).reduction(reduction);
            check(&loss, batch, &y, Target::Values(&target));
            let entropy = SoftmaxCrossEntropy::new();
            check(&Weighted::new(&entropy, &weights).reduction(reduction), batch, &y, Target::Classes(&classes));
        }
        let triplet = TripletMargin::new(9.0);
        check(&Weighted::new(&triplet, &weights), batch, &y, Target::Values(&[]));
    }

    #[test]
    fn equal_weights_change_nothing() {
        let mut draw = Draw::new(36);
        let (batch, y, classes) = ((4, [3].into()), draw.numbers(12, -2.0, 2.0), draw.classes(4, 3));
        let loss = SoftmaxCrossEntropy::new();
        let (a, da) = evaluate::<f64>(&loss, batch, &y, Target::Classes(&classes)).unwrap();
        let (b, db) = evaluate::<f64>(&Weighted::new(&loss, &[2.5; 4]), batch, &y, Target::Classes(&classes)).unwrap();
        assert!((a - b).abs() < 1e-15);
        assert!(da.iter().zip(&db).all(|(a, b)| (a - b).abs() < 1e-16));
    }

    #[test]
    fn an_example_of_weight_0_is_not_looked_at() {
        let loss = MeanSquaredError::new();
        let weighted = Weighted::new(&loss, &[1.0, 0.0]);
        let at = evaluate::<f64>(&weighted, (2, [1].into()), &[2.0, f64::NAN], Target::Values(&[0.0, 0.0]));
        assert_eq!(at.unwrap(), (4.0, vec![4.0, 0.0]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let batch = (2, [2].into());
        let loss = SoftmaxCrossEntropy::new();
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0]), batch, &[0.0; 4], Target::Classes(&[0, 1])),
            "Weighted: there are 1 weights, but the batch has 2 examples; give one weight for each example"
        );
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0, -1.0]), batch, &[0.0; 4], Target::Classes(&[0, 1])),
            "Weighted: the weight of example 1 is -1, but weights must be finite and at least 0"
        );
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0, 1.0]), batch, &[0.0; 4], Target::Classes(&[0, 7])),
            "example 1 has the class 7, but the predictions have 2 classes, counted from 0"
        );
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0, 1.0]), batch, &[0.0; 4], Target::Classes(&[0, 1, 0])),
            "the predictions need 2 targets, but there are 3"
        );
        let y = Batch::new(&[0.0; 4], 2, [2]).unwrap();
        assert_eq!(
            per_example(&loss, y, Target::Classes(&[0, 1]), &mut [0.0; 3]).unwrap_err().to_string(),
            "per_example: there is room for 3 values, but the batch has 2 examples"
        );
    }
}
