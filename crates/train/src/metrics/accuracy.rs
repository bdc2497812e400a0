use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The share of classes that are predicted right.
///
/// The largest of several outputs is the predicted class; targets are class indices, or probabilities such as one-hot
/// rows. A single output answers a yes-or-no question: class 1 above 0, or above ½ if it is a probability. Outputs that a loss
/// takes for independent answers, as [`BinaryCrossEntropyWithLogits`](downhill_losses::BinaryCrossEntropyWithLogits)
/// does, are judged one by one. Positions with a class each count one by one too, and ignored ones do not count.
///
/// Example weights count as in scikit-learn's `accuracy_score`; for several labels it is the share of labels, as in
/// Keras and torchmetrics, where scikit-learn wants all labels of an example right.
///
/// # Errors
/// Returns an error if targets are numbers that are no classes, such as those of a regression.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy {
    meaning: Meaning,
    right: Sum,
    weight: Sum,
}

impl Accuracy {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for Accuracy {
    fn name(&self) -> String {
        "accuracy".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        for judged in Reading::new("Accuracy", self.meaning, y, target, weights)?.judged() {
            if judged.predicted == Some(judged.truth) {
                self.right.add(judged.weight);
            }
            self.weight.add(judged.weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right.value() / self.weight.value()
    }
}

/// The share of classes that are among those with the k largest outputs.
///
/// Of equal outputs, those of lower classes count as larger.
///
/// # Errors
/// Returns an error if there is not one output for each of at least two classes, or k is not from 1 to their number.
#[derive(Clone, Copy, Debug)]
pub struct TopKAccuracy {
    k: usize,
    meaning: Meaning,
    right: Sum,
    weight: Sum,
}

impl TopKAccuracy {
    /// Makes a metric that looks for the class among the `k` largest outputs.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, meaning: Meaning::default(), right: Sum::default(), weight: Sum::default() }
    }
}

impl<T: Scalar> Metric<T> for TopKAccuracy {
    fn name(&self) -> String {
        format!("top-{} accuracy", self.k)
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::new(self.k) };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let reading = Reading::new("TopKAccuracy", self.meaning, y, target, weights)?;
        if reading.answers().is_some() {
            let expected = "one output for each class";
            return Err(TargetError::prediction("TopKAccuracy", expected, y.shape()));
        }
        let classes = reading.classes();
        if !(1..=classes).contains(&self.k) {
            let reason = format!("k is {}, but must be from 1 to the number of classes, {classes}", self.k);
            return Err(TargetError::setting("TopKAccuracy", reason));
        }
        for (rank, weight) in reading.ranks() {
            if rank.is_some_and(|rank| rank < self.k) {
                self.right.add(weight);
            }
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right.value() / self.weight.value()
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::{BinaryCrossEntropy, ClassAxis, Loss, Outputs};

    use super::*;

    fn judge(meaning: Meaning, y: &[f64], outputs: usize, target: Target<'_, f64>) -> Result<f64, TargetError> {
        let mut metric = Accuracy::new();
        Metric::<f64>::start(&mut metric, meaning);
        metric.update(Batch::new(y, y.len() / outputs, [outputs]).unwrap(), target, None)?;
        Ok(Metric::<f64>::value(&metric))
    }

    fn accuracy(y: &[f64], outputs: usize, target: Target<'_, f64>) -> f64 {
        judge(Meaning::default(), y, outputs, target).unwrap()
    }

    #[test]
    fn the_largest_output_is_the_class() {
        let y = [0.1, 0.9, 0.0, 3.0, 2.0, 1.0];
        assert_eq!(accuracy(&y, 3, Target::Classes(&[1, 0])), 1.0);
        assert_eq!(accuracy(&y, 3, Target::Classes(&[1, 2])), 0.5);
        assert_eq!(accuracy(&y, 3, Target::Values(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0])), 0.5);
    }

    #[test]
    fn a_single_output_is_a_logit() {
        assert_eq!(accuracy(&[-2.0, 3.0, 0.1], 1, Target::Values(&[0.0, 1.0, 0.0])), 2.0 / 3.0);
        assert_eq!(accuracy(&[-2.0, 3.0], 1, Target::Classes(&[0, 1])), 1.0);
    }

    #[test]
    fn a_probability_is_yes_above_a_half() {
        let meaning = BinaryCrossEntropy::new().meaning();
        assert_eq!(judge(meaning, &[0.1, 0.4, 0.6], 1, Target::Values(&[0.0, 0.0, 1.0])).unwrap(), 1.0);
        // A squared error brings outputs near 0 and 1 too.
        let meaning = Meaning::new(Outputs::Numbers);
        assert_eq!(judge(meaning, &[0.1, 0.4, 0.6], 1, Target::Classes(&[0, 0, 1])).unwrap(), 1.0);
    }

    #[test]
    fn independent_labels_are_judged_one_by_one() {
        let (y, t) = ([2.0, 3.0, -1.0, -1.0, 4.0, 1.0], [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(judge(Meaning::new(Outputs::Logits), &y, 3, Target::Values(&t)).unwrap(), 5.0 / 6.0);
        // Margins have targets of -1 and 1.
        let signs = t.map(|t| 2.0 * t - 1.0);
        assert_eq!(judge(Meaning::new(Outputs::Scores), &y, 3, Target::Values(&signs)).unwrap(), 5.0 / 6.0);
        // Where nothing says so, rows with several labels are an error.
        let error = judge(Meaning::default(), &y, 3, Target::Values(&t)).unwrap_err().to_string();
        assert!(error.contains("sum to 2") && error.contains("BinaryCrossEntropyWithLogits"), "{error}");
    }

    #[test]
    fn numbers_are_no_classes() {
        let error = judge(Meaning::default(), &[2.5, 3.7], 1, Target::Values(&[17.0, 23.5])).unwrap_err().to_string();
        assert!(error.contains("target 0 is 17, which is no class"), "{error}");
        assert!(judge(Meaning::new(Outputs::Numbers), &[0.5, 0.7], 1, Target::Values(&[0.3, 0.6])).is_err());
        assert!(judge(Meaning::default(), &[1.0, 2.0], 2, Target::Values(&[17.0, 3.0])).is_err());
    }

    #[test]
    fn ignored_targets_and_targets_of_weight_0_do_not_count() {
        let meaning = Meaning::default().ignored_index(Some(9));
        let y = [0.0, 1.0, 1.0, 0.0, f64::NAN, 0.0];
        assert_eq!(judge(meaning, &y, 2, Target::Classes(&[1, 9, 9])).unwrap(), 1.0);
        let mut metric = Accuracy::new();
        let batch = Batch::new(&y, 3, [2]).unwrap();
        metric.update(batch, Target::Classes(&[1, 1, 0]), Some(&[3.0, 1.0, 0.0])).unwrap();
        assert_eq!(Metric::<f64>::value(&metric), 0.75);
        assert!(metric.update(batch, Target::Classes(&[1, 1, 0]), Some(&[3.0, 1.0])).is_err());
    }

    #[test]
    fn each_position_has_its_class_on_either_axis() {
        let last = Meaning::new(Outputs::ClassLogits).class_axis(ClassAxis::Last);
        let first = Meaning::new(Outputs::ClassLogits);
        let target = Target::Classes(&[1, 0, 0]);
        for (meaning, y, shape) in
            [(last, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0], [3, 2]), (first, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [2, 3])]
        {
            let mut metric = Accuracy::new();
            Metric::<f64>::start(&mut metric, meaning);
            metric.update(Batch::new(&y, 1, shape).unwrap(), target, None).unwrap();
            assert_eq!(Metric::<f64>::value(&metric), 2.0 / 3.0);
        }
    }

    #[test]
    fn not_a_number_is_never_right() {
        assert_eq!(accuracy(&[f64::NAN, 0.0], 2, Target::Classes(&[0])), 0.0);
    }

    #[test]
    fn the_class_may_be_among_the_k_largest() {
        let y = Batch::new(&[0.1, 0.9, 0.5, 3.0, 2.0, 1.0], 2, [3]).unwrap();
        for (k, expected) in [(1, 0.0), (2, 0.5), (3, 1.0)] {
            let mut metric = TopKAccuracy::new(k);
            metric.update(y, Target::Classes(&[2, 2]), None).unwrap();
            assert_eq!(Metric::<f64>::value(&metric), expected, "k = {k}");
        }
        for k in [0, 4] {
            let error = TopKAccuracy::new(k).update(y, Target::Classes(&[2, 2]), None).unwrap_err().to_string();
            assert!(error.ends_with("but must be from 1 to the number of classes, 3"), "{error}");
        }
        let one = Batch::new(&[0.1], 1, [1]).unwrap();
        assert!(TopKAccuracy::new(1).update(one, Target::Classes(&[0]), None).is_err());
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let y = Batch::new(&[0.1, 0.9], 1, [2]).unwrap();
        let error = Accuracy::new().update(y, Target::Classes(&[2]), None).unwrap_err();
        assert!(error.to_string().contains("class 2"), "{error}");
    }
}
