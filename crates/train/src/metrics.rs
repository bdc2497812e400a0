//! How good predictions are, in numbers that people understand.
//!
//! A metric takes batch after batch and then says its value; it has no derivative and needs none.

use std::fmt::Debug;

use downhill_losses::{Target, TargetError};
use downhill_tensor::{Batch, Scalar};

mod accuracy;
mod confusion_matrix;
mod regression;

pub use accuracy::{Accuracy, TopKAccuracy};
pub use confusion_matrix::{Average, ConfusionMatrix, F1, Precision, Recall};
pub use regression::{MeanAbsoluteError, RSquared, RootMeanSquaredError};

/// A measure of predictions, taken batch by batch.
pub trait Metric<T: Scalar>: Debug + Send {
    /// Its name in tables and histories, as `accuracy`.
    fn name(&self) -> String;

    /// Whether a larger value is a better one.
    fn larger_is_better(&self) -> bool;

    /// Forgets all batches.
    fn reset(&mut self);

    /// Takes a batch into account.
    ///
    /// # Errors
    /// Where the targets do not fit the predictions, or are of a kind that the metric can't judge by.
    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError>;

    /// The value over all batches since the last reset; not a number where there were none.
    fn value(&self) -> f64;
}

/// The index of the largest number, the first of several; `None` where there is none or one is not a number.
pub(crate) fn largest<T: Scalar>(row: &[T]) -> Option<usize> {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if *value > row[best] {
            best = index;
        }
    }
    (!row.is_empty()).then_some(best)
}

/// For each example, the predicted class and the true one.
///
/// Classes are judged by the largest output; a single output is judged as a logit, by its sign.
/// Targets that are numbers are judged as one-hot rows, or as 0 and 1 for a single output.
/// A prediction that is not a number is no class, and never right.
pub(crate) fn classes<'a, T: Scalar>(
    metric: &'static str,
    y: Batch<'a, T>,
    target: Target<'a, T>,
) -> Result<impl Iterator<Item = (Option<usize>, usize)> + 'a, TargetError> {
    let outputs = y.shape().len();
    let expected = match target {
        Target::Classes(_) => y.examples(),
        Target::Values(_) => y.slice().len(),
    };
    let got = match target {
        Target::Classes(labels) => labels.len(),
        Target::Values(values) => values.len(),
    };
    if got != expected {
        return Err(TargetError::Count { expected, got });
    }
    let classes = outputs.max(2);
    if let Target::Classes(labels) = target
        && let Some(example) = labels.iter().position(|&label| label as usize >= classes)
    {
        return Err(TargetError::Class { example, class: labels[example], classes });
    }
    if outputs == 0 {
        return Err(TargetError::Prediction { loss: metric, expected: "at least one output", got: y.shape() });
    }
    let zero_or_one = |value: T, threshold: f64| usize::from(value > T::of(threshold));
    Ok((0..y.examples()).map(move |example| {
        let row = y.example(example);
        let predicted = match row {
            [logit] => (!logit.is_nan()).then(|| zero_or_one(*logit, 0.0)),
            _ => largest(row),
        };
        let truth = match target {
            Target::Classes(labels) => labels[example] as usize,
            Target::Values(values) if outputs == 1 => zero_or_one(values[example], 0.5),
            Target::Values(values) => largest(&values[example * outputs..(example + 1) * outputs]).unwrap_or(0),
        };
        (predicted, truth)
    }))
}
