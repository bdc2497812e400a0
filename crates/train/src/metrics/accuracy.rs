use downhill_losses::{Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, classes};

/// The share of examples whose class is predicted right.
///
/// The predicted class is that of the largest output; a single output is a logit, and its sign decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy {
    right: u64,
    examples: u64,
}

impl Accuracy {
    /// An accuracy over no examples yet.
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

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError> {
        for (predicted, truth) in classes("Accuracy", y, target)? {
            self.right += u64::from(predicted == Some(truth));
            self.examples += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.examples as f64
    }
}

/// The share of examples whose class is among the k largest outputs.
///
/// Of equal outputs, those of lower classes count as larger.
#[derive(Clone, Copy, Debug)]
pub struct TopKAccuracy {
    k: usize,
    right: u64,
    examples: u64,
}

impl TopKAccuracy {
    /// The accuracy among the `k` largest.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, right: 0, examples: 0 }
    }
}

impl<T: Scalar> Metric<T> for TopKAccuracy {
    fn name(&self) -> String {
        format!("top-{} accuracy", self.k)
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn reset(&mut self) {
        *self = Self::new(self.k);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError> {
        for (example, (_, truth)) in classes("TopKAccuracy", y, target)?.enumerate() {
            let row = y.example(example);
            let Some(&score) = row.get(truth) else {
                return Err(TargetError::Prediction {
                    loss: "TopKAccuracy",
                    expected: "one output for each class",
                    got: y.shape(),
                });
            };
            let better = row
                .iter()
                .enumerate()
                .filter(|&(class, &other)| other > score || (other == score && class < truth) || other.is_nan());
            self.right += u64::from(!score.is_nan() && better.count() < self.k);
            self.examples += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.examples as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(y: &[f64], outputs: usize, target: Target<'_, f64>) -> f64 {
        let mut metric = Accuracy::new();
        metric.update(Batch::new(y, y.len() / outputs, [outputs]).unwrap(), target).unwrap();
        Metric::<f64>::value(&metric)
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
    fn not_a_number_is_never_right() {
        assert_eq!(accuracy(&[f64::NAN, 0.0], 2, Target::Classes(&[0])), 0.0);
    }

    #[test]
    fn the_class_may_be_among_the_k_largest() {
        let y = Batch::new(&[0.1, 0.9, 0.5, 3.0, 2.0, 1.0], 2, [3]).unwrap();
        for (k, expected) in [(1, 0.0), (2, 0.5), (3, 1.0)] {
            let mut metric = TopKAccuracy::new(k);
            metric.update(y, Target::Classes(&[2, 2])).unwrap();
            assert_eq!(Metric::<f64>::value(&metric), expected, "k = {k}");
        }
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let y = Batch::new(&[0.1, 0.9], 1, [2]).unwrap();
        let error = Accuracy::new().update(y, Target::Classes(&[2])).unwrap_err();
        assert!(error.to_string().contains("class 2"), "{error}");
    }
}
