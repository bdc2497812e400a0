use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The mean of -ln p, of the probability p that the network gives to the true class.
///
/// Probabilities are those of the outputs as the loss reads them: the softmax or the sigmoid of logits, which are as exact
/// as the logits, or the outputs themselves, which are kept from 0 and 1 by the precision ε of their type. Independent
/// answers count one by one. A target that is a probability counts as the likeliest class.
///
/// Source: as scikit-learn's `log_loss`.
///
/// # Errors
/// Returns an error if the outputs are no probabilities and can't be turned into them, such as the scores of a hinge
/// loss, if one is below 0 or above 1, or if those of the classes do not sum to 1.
///
/// ```
/// use downhill_losses::Target;
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{LogLoss, Metric};
///
/// let mut loss = LogLoss::new();
/// loss.update(Batch::new(&[0.0, 0.0, 3f64.ln(), 0.0], 2, [2])?, Target::Classes(&[1, 0]), None)?;
/// let expected = -(0.5f64.ln() + 0.75f64.ln()) / 2.0;
/// assert!((Metric::<f64>::value(&loss) - expected).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogLoss {
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl LogLoss {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for LogLoss {
    fn name(&self) -> String {
        "log loss".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let reading = Reading::new("LogLoss", self.meaning, y, target, weights)?;
        reading.log_probabilities("LogLoss", |log_p, truth, weight| {
            self.sum.add(-weight * log_p[truth]);
            self.weight.add(weight);
        })
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::*;

    fn value(outputs: Outputs, y: &[f64], classes: usize, truth: &[u32]) -> Result<f64, TargetError> {
        let mut metric = LogLoss::new();
        Metric::<f64>::start(&mut metric, Meaning::new(outputs));
        metric.update(Batch::new(y, truth.len(), [classes]).unwrap(), Target::Classes(truth), None)?;
        Ok(Metric::<f64>::value(&metric))
    }

    #[test]
    fn outputs_of_every_kind_say_the_same() {
        let logits: [f64; 6] = [1.0, -2.0, 0.5, 30.0, 0.0, 1.0];
        let p: Vec<f64> = logits
            .chunks(3)
            .flat_map(|row| row.iter().map(|y| y.exp() / row.iter().map(|y| y.exp()).sum::<f64>()))
            .collect();
        let log_p: Vec<f64> = p.iter().map(|p| p.ln()).collect();
        let expected = -(log_p[2] + log_p[4]) / 2.0;
        for (outputs, y) in [
            (Outputs::ClassLogits, &logits[..]),
            (Outputs::ClassProbabilities, &p),
            (Outputs::ClassLogProbabilities, &log_p),
        ] {
            let value = value(outputs, y, 3, &[2, 1]).unwrap();
            assert!((value - expected).abs() < 1e-14, "{outputs:?}: {value}, {expected}");
        }
        let expected = (1.0 + (-3f64).exp()).ln();
        for (outputs, y) in [
            (Outputs::Logits, 3.0),
            (Outputs::Probabilities, 1.0 / (1.0 + (-3f64).exp())),
            (Outputs::LogProbabilities, -expected),
        ] {
            assert!((value(outputs, &[y], 1, &[1]).unwrap() - expected).abs() < 1e-14, "{outputs:?}");
            assert!((value(outputs, &[y], 1, &[0]).unwrap() - expected - 3.0).abs() < 1e-14, "{outputs:?}");
        }
    }

    #[test]
    fn logits_far_apart_keep_their_loss_and_probabilities_of_0_a_finite_one() {
        assert_eq!(value(Outputs::ClassLogits, &[1000.0, 0.0], 2, &[1]).unwrap(), 1000.0);
        assert_eq!(value(Outputs::Logits, &[-1000.0], 1, &[1]).unwrap(), 1000.0);
        assert_eq!(value(Outputs::Probabilities, &[0.0], 1, &[1]).unwrap(), -f64::EPSILON.ln());
    }

    #[test]
    fn what_is_no_probability_is_an_error() {
        let error = value(Outputs::Probabilities, &[1.5], 1, &[1]).unwrap_err().to_string();
        assert!(error.contains("position 0 gives a class the probability"), "{error}");
        let error = value(Outputs::ClassProbabilities, &[0.5, 0.1], 2, &[1]).unwrap_err().to_string();
        assert!(error.contains("position 0 sum to 0.6"), "{error}");
        let error = value(Outputs::Scores, &[1.5], 1, &[1]).unwrap_err().to_string();
        assert!(error.contains("scores of independent answers"), "{error}");
        assert!(value(Outputs::Probabilities, &[f64::NAN], 1, &[1]).unwrap().is_nan());
    }
}
