use downhill_tensor::{Batch, Scalar};

use crate::reduction::reduction_setting;
use crate::{Loss, Meaning, Reduction, Target, TargetError, Total, target};

/// A loss with a weight for each example: $`J = \sum_i w_i s_i / \sum_i w_i d_i`$.
///
/// The sum $`s_i`$ and the divisor $`d_i`$ are what the loss makes of example $`i`$ alone, as a batch of one: for most
/// losses the mean $`\sum_i w_i \ell_i / \sum_i w_i`$. An example of weight 0 is left out and not read.
///
/// The weights belong to the examples of one batch, so a training loop makes one of these for each batch,
/// from the loss and the batch's weights; it copies neither.
///
/// With `Reduction::BatchMean` the weighted terms are divided by the number of examples, as Keras does with sample
/// weights; `Reduction::Sum` does not divide them.
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
}

impl<L: Loss, W: Scalar> Loss for Weighted<'_, L, W> {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        by_example_as(self.loss, y, target, self.weights, dy, |whole| match self.reduction {
            Reduction::Mean => whole,
            Reduction::Sum => whole.undivided(),
            Reduction::BatchMean => whole.divided_by(y.examples() as f64),
        })
    }

    fn meaning(&self) -> Meaning {
        self.loss.meaning()
    }
}

/// The weighted loss from the loss of each example alone; see [`Loss::evaluate_weighted`].
pub(crate) fn by_example<L: Loss + ?Sized, T: Scalar, W: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    weights: &[W],
    dy: Option<&mut [T]>,
) -> Result<Total, TargetError> {
    by_example_as(loss, y, target, weights, dy, |whole| whole)
}

fn by_example_as<L: Loss + ?Sized, T: Scalar, W: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    weights: &[W],
    mut dy: Option<&mut [T]>,
    reduce: impl FnOnce(Total) -> Total,
) -> Result<Total, TargetError> {
    TargetError::check_gradient(y, dy.as_deref())?;
    if weights.len() != y.examples() {
        return Err(TargetError::setting::<L>(format!(
            "there are {} weights, but the batch has {} examples; give one weight for each example",
            weights.len(),
            y.examples()
        )));
    }
    check_weights::<L, W>(weights)?;
    let (width, targets) = (y.shape().len(), target::for_each(target, y.examples())?);
    let mut whole = Total::default();
    for (example, weight) in weights.iter().map(|w| w.to_f64()).enumerate() {
        let mut dy = dy.as_deref_mut().map(|dy| &mut dy[example * width..(example + 1) * width]);
        let total = if weight == 0.0 {
            Total::default()
        } else {
            of_one(loss, y, (target, targets), example, dy.as_deref_mut())?
        };
        if let Some(dy) = dy {
            // dy is the gradient of sum / divisor: what counts is that of the sum.
            let factor = T::of(weight * total.divisor());
            dy.iter_mut().for_each(|dy| *dy = if total.is_empty() { T::ZERO } else { *dy * factor });
        }
        if weight > 0.0 {
            whole += total.weighing(weight);
        }
    }
    let whole = reduce(whole);
    if let Some(dy) = dy {
        let scale = T::of(whole.scale());
        dy.iter_mut().for_each(|dy| *dy *= scale);
    }
    Ok(whole)
}

/// Checks that all weights are finite and at least 0.
pub(crate) fn check_weights<L: ?Sized, W: Scalar>(weights: &[W]) -> Result<(), TargetError> {
    match weights.iter().position(|&w| !(w >= W::ZERO && w.is_finite())) {
        None => Ok(()),
        Some(place) => Err(TargetError::setting::<L>(format!(
            "weight {place} is {}, but weights must be finite and at least 0",
            weights[place]
        ))),
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
    let targets = target::for_each(target, y.examples())?;
    for (example, value) in values.iter_mut().enumerate() {
        *value = T::of(of_one(loss, y, (target, targets), example, None)?.value());
    }
    Ok(())
}

/// The total of one example; also overwrites `dy` with its gradient, if it is given.
fn of_one<L: Loss + ?Sized, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    (target, targets): (Target<'_, T>, usize),
    example: usize,
    dy: Option<&mut [T]>,
) -> Result<Total, TargetError> {
    let shape = y.shape();
    let one = Batch::new(y.example(example), 1, shape);
    let one = one.map_err(|_| TargetError::Gradient { expected: shape.len(), got: 0 })?;
    loss.evaluate(one, target::of_example(target, example, targets), dy).map_err(|error| match error {
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
            "SoftmaxCrossEntropy: there are 1 weights, but the batch has 2 examples; give one weight for each example"
        );
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0, -1.0]), batch, &[0.0; 4], Target::Classes(&[0, 1])),
            "SoftmaxCrossEntropy: weight 1 is -1, but weights must be finite and at least 0"
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
