use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The mean squared error of probabilities.
///
/// For a yes-or-no question, also one that two classes ask, it is (p − t)² of the probability p of yes, from 0 to 1. For
/// more classes it is the sum of (p − t)² over all of them, from 0 to 2. Independent answers count one by one.
/// Probabilities and targets are read as [`LogLoss`](super::LogLoss) reads them.
///
/// Source: Brier 1950; as scikit-learn's `brier_score_loss`.
///
/// # Errors
/// Returns the errors of [`LogLoss`](super::LogLoss).
#[derive(Clone, Copy, Debug, Default)]
pub struct BrierScore {
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl BrierScore {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for BrierScore {
    fn name(&self) -> String {
        "brier score".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let reading = Reading::new("BrierScore", self.meaning, y, target, weights)?;
        reading.probabilities("BrierScore", |p, truth, weight| {
            let squares = |(class, p): (usize, &f64)| (p - if class == truth { 1.0 } else { 0.0 }).powi(2);
            let error: f64 = p.iter().enumerate().map(squares).sum();
            self.sum.add(weight * if p.len() == 2 { error / 2.0 } else { error });
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

    fn value(y: &[f64], outputs: usize, truth: &[u32]) -> f64 {
        let mut metric = BrierScore::new();
        let kind = if outputs == 1 { Outputs::Probabilities } else { Outputs::ClassProbabilities };
        Metric::<f64>::start(&mut metric, Meaning::new(kind));
        metric.update(Batch::new(y, truth.len(), [outputs]).unwrap(), Target::Classes(truth), None).unwrap();
        Metric::<f64>::value(&metric)
    }

    #[test]
    fn a_question_counts_once_however_it_is_asked() {
        assert!((value(&[0.9, 0.4], 1, &[1, 1]) - (0.01 + 0.36) / 2.0).abs() < 1e-15);
        assert!((value(&[0.1, 0.9, 0.6, 0.4], 2, &[1, 1]) - (0.01 + 0.36) / 2.0).abs() < 1e-15);
        assert!((value(&[0.2, 0.5, 0.3], 3, &[1]) - (0.04 + 0.25 + 0.09)).abs() < 1e-15);
    }
}
