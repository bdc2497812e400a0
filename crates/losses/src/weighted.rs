use downhill_tensor::{Batch, Scalar};

use crate::reduction::reduction_setting;
use crate::weights::check_weights;
use crate::{Call, Loss, Meaning, Reduction, Target, TargetError, Total, scratch, target};

/// A loss with a weight for each example: $`J = \sum_i w_i s_i / \sum_i w_i d_i`$.
///
/// The sum $`s_i`$ and the divisor $`d_i`$ are those of example $`i`$ alone, as a batch of one: for most
/// losses the mean $`\sum_i w_i \ell_i / \sum_i w_i`$. An example of weight 0 is left out and not read.
///
/// It is [`Loss::evaluate_weighted`] as a loss, and takes what that takes: if the terms of the loss belong to positions
/// or to single numbers, the weights may be those of positions or numbers, and so a mask.
///
/// The weights belong to one batch, so a training loop makes a `Weighted` for each batch, from the loss and the batch's
/// weights. Weights are copied into the precision of the predictions, in memory that the thread keeps.
///
/// With `Reduction::BatchMean` the weighted terms are divided by the number of examples, as Keras does with sample
/// weights; `Reduction::Sum` does not divide them.
///
/// Derivation: `docs/derivations/losses/weighted.md`.
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
/// Returns an error if the loss does, there are more or fewer weights than it takes, one is negative or not finite,
/// or a reduction is set for a loss of several parts, which have their own divisors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighted<'a, L, W> {
    loss: &'a L,
    weights: &'a [W],
    reduction: Reduction,
}

impl<'a, L: Loss, W: Scalar> Weighted<'a, L, W> {
    /// Makes a loss from `loss` and one weight for each example, or for each position or number if the loss takes these.
    #[must_use]
    pub fn new(loss: &'a L, weights: &'a [W]) -> Self {
        Self { loss, weights, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl<L: Loss, W: Scalar> Weighted<'_, L, W> {
    /// Evaluates the weighted loss, with the reduction that is set, from weights that `fill` writes.
    fn evaluate_filled<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        mut dy: Option<&mut [T]>,
        (count, fill): (usize, impl Fn(usize) -> f64),
    ) -> Result<Total, TargetError> {
        let whole = scratch::numbers(count, |weights: &mut [T]| {
            weights.iter_mut().enumerate().for_each(|(i, weight)| *weight = T::from_f64(fill(i)));
            Call { y, target, weights: Some(weights), dy: dy.as_deref_mut() }.evaluate(self.loss)
        })?;
        let reduced = match self.reduction {
            Reduction::Mean => return Ok(whole),
            Reduction::Sum => whole.undivided(),
            Reduction::BatchMean => whole.divided_by(y.examples() as f64),
        };
        if whole.has_parts() {
            let reason = "each part of a loss has its own reduction; set those instead";
            return Err(TargetError::setting_of::<L>(reason));
        }
        if let Some(dy) = dy {
            let factor = T::from_f64(reduced.scale() * whole.divisor());
            dy.iter_mut().for_each(|dy| *dy *= factor);
        }
        Ok(reduced)
    }
}

impl<L: Loss, W: Scalar> Loss for Weighted<'_, L, W> {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        self.evaluate_filled(y, target, dy, (self.weights.len(), |i| self.weights[i].to_f64()))
    }

    /// Weighs by the products of both weights, of which the finer belong to equal parts of the coarser.
    fn evaluate_weighted<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        weights: &[T],
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let (own, others) = (self.weights.len(), weights.len());
        let count = own.max(others);
        if !(count.is_multiple_of(own) && count.is_multiple_of(others)) {
            return Err(TargetError::setting_of::<L>(format!(
                "there are {own} and {others} weights, of which neither are equal parts of the others"
            )));
        }
        check_weights::<L, W>(self.weights)?;
        check_weights::<L, T>(weights)?;
        let product = |i: usize| self.weights[i * own / count].to_f64() * weights[i * others / count].to_f64();
        self.evaluate_filled(y, target, dy, (count, product))
    }

    fn meaning(&self) -> Meaning {
        self.loss.meaning()
    }
}

/// Evaluates the weighted loss from the loss of each example alone; see [`Loss::evaluate_weighted`].
pub(crate) fn by_example<L: Loss + ?Sized, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    weights: &[T],
    mut dy: Option<&mut [T]>,
) -> Result<Total, TargetError> {
    TargetError::check_gradient(y, dy.as_deref())?;
    if weights.len() != y.examples() {
        return Err(TargetError::setting_of::<L>(format!(
            "there are {} weights, but the batch has {} examples; give one weight for each example, \
             since this loss judges examples as a whole",
            weights.len(),
            y.examples()
        )));
    }
    check_weights::<L, T>(weights)?;
    let (width, targets) = (y.shape().len(), target::for_each(target, y.examples())?);
    let mut whole = Total::default();
    for (example, weight) in weights.iter().map(|w| w.to_f64()).enumerate() {
        let mut dy = dy.as_deref_mut().map(|dy| &mut dy[example * width..(example + 1) * width]);
        let mut total = Total::default();
        if weight > 0.0 {
            total = of_one(loss, y, (target, targets), example, dy.as_deref_mut())?;
            whole += total.weighing(weight);
        }
        if total.has_parts() {
            let reason = "its parts have their own divisors, so that it must weigh examples itself";
            return Err(TargetError::setting_of::<L>(reason));
        }
        if let Some(dy) = dy {
            // dy is the gradient of sum / divisor, but the gradient of the sum is needed.
            let factor = T::from_f64(weight * total.divisor());
            dy.iter_mut().for_each(|dy| *dy = if total.is_empty() { T::ZERO } else { *dy * factor });
        }
    }
    if whole == Total::default() {
        // Only the loss knows its value for no examples.
        return loss.evaluate(none_of(y)?, target::of_example(target, 0, 0), None);
    }
    if let Some(dy) = dy {
        let scale = T::from_f64(whole.scale());
        dy.iter_mut().for_each(|dy| *dy *= scale);
    }
    Ok(whole)
}

/// Overwrites `values` with the loss of each example alone, as a batch of one.
///
/// It is PyTorch's reduction `none`, averaged over the predictions of one example.
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
/// Returns an error if the loss does, or there is not room for one value for each example.
pub fn per_example<L: Loss, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    values: &mut [T],
) -> Result<(), TargetError> {
    if values.len() != y.examples() {
        return Err(TargetError::setting(
            "per_example",
            format!("there is room for {} values, but the batch has {} examples", values.len(), y.examples()),
        ));
    }
    let targets = target::for_each(target, y.examples())?;
    for (example, value) in values.iter_mut().enumerate() {
        *value = T::from_f64(of_one(loss, y, (target, targets), example, None)?.value());
    }
    Ok(())
}

/// Computes the total of one example; with `dy`, also overwrites it with the gradient.
fn of_one<L: Loss + ?Sized, T: Scalar>(
    loss: &L,
    y: Batch<'_, T>,
    (target, targets): (Target<'_, T>, usize),
    example: usize,
    dy: Option<&mut [T]>,
) -> Result<Total, TargetError> {
    let one = alone(y.example(example), 1, y)?;
    let target = target::of_example(target, example, targets);
    Call { y: one, target, weights: None, dy }.evaluate(loss).map_err(|error| error.of_example(example))
}

/// Makes a batch of no examples.
fn none_of<'a, T: Scalar>(y: Batch<'a, T>) -> Result<Batch<'a, T>, TargetError> {
    alone(&[], 0, y)
}

fn alone<'a, T: Scalar>(numbers: &'a [T], examples: usize, of: Batch<'a, T>) -> Result<Batch<'a, T>, TargetError> {
    let expected = examples * of.shape().len();
    Batch::new(numbers, examples, of.shape()).map_err(|_| TargetError::Gradient { expected, got: numbers.len() })
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
    fn a_mask_may_be_of_steps_or_of_numbers() {
        let loss = MeanSquaredError::new();
        let nan = f64::NAN;
        let at = |weights: &[f32], y: [f64; 4]| {
            evaluate::<f64>(&Weighted::new(&loss, weights), (1, [2, 2].into()), &y, Target::Values(&[0.0; 4])).unwrap()
        };
        // Two steps of two numbers.
        assert_eq!(at(&[1.0, 0.0], [1.0, 3.0, nan, nan]), (5.0, vec![1.0, 3.0, 0.0, 0.0]));
        assert_eq!(at(&[1.0, 0.0, 0.0, 3.0], [1.0, nan, nan, 3.0]), (7.0, vec![0.5, 0.0, 0.0, 4.5]));
        let entropy = SoftmaxCrossEntropy::new();
        let mask = Weighted::new(&entropy, &[0.0, 2.0]);
        let y = [nan, 0.0, nan, 0.0];
        // The classes lie along the first axis, and what is masked needs no class.
        let (value, dy) = evaluate::<f64>(&mask, (1, [2, 2].into()), &y, Target::Classes(&[9, 1])).unwrap();
        assert!((value - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(dy, [0.0, 0.5, 0.0, -0.5]);
    }

    #[test]
    fn weights_of_weights_are_multiplied() {
        let loss = MeanSquaredError::new();
        let (y, target) = ([1.0, 2.0, 3.0, 4.0], Target::Values(&[0.0; 4]));
        let inner = Weighted::new(&loss, &[1.0, 3.0]);
        let product = Weighted::new(&loss, &[2.0, 0.0, 3.0, 6.0]);
        let of = |loss: &Weighted<'_, _, f64>| evaluate::<f64>(loss, (2, [2].into()), &y, target).unwrap();
        let (value, dy) = of(&product);
        let (found, found_dy) =
            evaluate::<f64>(&Weighted::new(&inner, &[2.0, 0.0, 1.0, 2.0]), (2, [2].into()), &y, target).unwrap();
        assert_eq!((found, found_dy), (value, dy));
        assert_eq!(
            error(&Weighted::new(&inner, &[1.0; 3]), (2, [2].into()), &y, target),
            "MeanSquaredError: there are 2 and 3 weights, of which neither are equal parts of the others"
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let batch = (2, [2].into());
        let loss = SoftmaxCrossEntropy::new();
        assert_eq!(
            error(&Weighted::new(&loss, &[1.0]), batch, &[0.0; 4], Target::Classes(&[0, 1])),
            "SoftmaxCrossEntropy: there are 1 weights; \
             give one for each of the 2 examples, or for each of the 2 positions"
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
