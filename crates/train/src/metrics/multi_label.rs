use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Accuracy, Metric, Reading, Sum};

/// The share of examples all of whose answers are right.
///
/// Of independent answers, such as several labels, all must be right, and of a sequence with a class at each position, all
/// positions; answers that do not count, such as ignored ones, need not be. Outputs and targets are read as [`Accuracy`]
/// reads them, and with one answer for each example it is the accuracy.
///
/// Source: as scikit-learn's `accuracy_score` of several labels.
///
/// # Errors
/// Returns an error if there is a weight for each answer rather than for each example, and the errors of [`Accuracy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SubsetAccuracy {
    meaning: Meaning,
    right: Sum,
    weight: Sum,
}

impl SubsetAccuracy {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for SubsetAccuracy {
    fn name(&self) -> String {
        "subset accuracy".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let reading = Reading::new("SubsetAccuracy", self.meaning, y, target, weights)?;
        if let Some(weights) = weights
            && weights.len() != y.examples()
        {
            let reason = format!(
                "there are {} weights for {} examples, but an example counts as a whole; give one weight for each",
                weights.len(),
                y.examples()
            );
            return Err(TargetError::setting("SubsetAccuracy", reason));
        }
        // Whether all answers so far are right, and the weight; none if no answer counts.
        let mut examples: Vec<Option<(bool, f64)>> = vec![None; y.examples()];
        for judged in reading.judged() {
            let (is_right, _) =
                examples[judged.position / reading.positions_of_an_example()].get_or_insert((true, judged.weight));
            *is_right &= judged.predicted == Some(judged.truth);
        }
        for (is_right, weight) in examples.into_iter().flatten() {
            self.right.add(if is_right { weight } else { 0.0 });
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right.value() / self.weight.value()
    }
}

/// The share of answers that are wrong: 1 less the [`Accuracy`].
///
/// Source: as scikit-learn's `hamming_loss`.
///
/// # Errors
/// Returns the errors of [`Accuracy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct HammingLoss {
    accuracy: Accuracy,
}

impl HammingLoss {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for HammingLoss {
    fn name(&self) -> String {
        "hamming loss".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        Metric::<T>::start(&mut self.accuracy, meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        self.accuracy.update(y, target, weights)
    }

    fn value(&self) -> f64 {
        1.0 - Metric::<T>::value(&self.accuracy)
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::*;

    #[test]
    fn all_answers_of_an_example_must_be_right() {
        let (y, t) = ([2.0, -1.0, 1.0, -1.0, 3.0, -1.0], [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let (mut subset, mut hamming) = (SubsetAccuracy::new(), HammingLoss::new());
        let batch = Batch::new(&y, 3, [2]).unwrap();
        for metric in [&mut subset as &mut dyn Metric<f64>, &mut hamming] {
            metric.start(Meaning::new(Outputs::Logits));
            metric.update(batch, Target::Values(&t), Some(&[1.0, 2.0, 3.0])).unwrap();
        }
        assert_eq!(Metric::<f64>::value(&subset), 4.0 / 6.0);
        assert_eq!(Metric::<f64>::value(&hamming), 1.0 - 8.0 / 12.0);
        let error = subset.update(batch, Target::Values(&t), Some(&[1.0; 6])).unwrap_err().to_string();
        assert!(error.contains("6 weights for 3 examples"), "{error}");
    }

    #[test]
    fn ignored_positions_need_not_be_right() {
        let mut subset = SubsetAccuracy::new();
        Metric::<f64>::start(&mut subset, Meaning::new(Outputs::ClassLogits).ignored_index(Some(9)));
        // Classes on the first axis, two positions; three examples, the last of which is ignored.
        let y = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let batch = Batch::new(&y, 3, [2, 2]).unwrap();
        subset.update(batch, Target::Classes(&[1, 9, 0, 0, 9, 9]), None).unwrap();
        assert_eq!(Metric::<f64>::value(&subset), 0.5);
    }
}
