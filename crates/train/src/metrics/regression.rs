use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Outputs, Scalar};

use super::{Metric, Sum};

/// Lists the predicted numbers with the true ones and their weights; those of weight 0 are left out.
fn pairs<'a, T: Scalar>(
    metric: &'static str,
    meaning: Meaning,
    y: Batch<'a, T>,
    target: Target<'a, T>,
    weights: Option<&'a [T]>,
) -> Result<impl Iterator<Item = (f64, f64, f64)> + 'a, TargetError> {
    match meaning.outputs {
        None | Some(Outputs::Numbers | Outputs::Probabilities | Outputs::ClassProbabilities) => {}
        Some(outputs) => {
            return Err(TargetError::setting(
                metric,
                format!("it compares numbers with numbers, but the network's outputs are {}", outputs.name()),
            ));
        }
    }
    let Target::Values(values) = target else {
        return Err(TargetError::kind(metric, "one number for each predicted number"));
    };
    if y.shape().len() == 0 {
        return Err(TargetError::prediction(metric, "at least one output", y.shape()));
    }
    let numbers = y.slice().len();
    if values.len() != numbers {
        return Err(TargetError::count(numbers, values.len()));
    }
    let examples = y.examples();
    if let Some(weights) = weights
        && weights.len() != examples
        && weights.len() != numbers
    {
        return Err(TargetError::setting(
            metric,
            format!(
                "there are {} weights, but {examples} examples with {numbers} numbers; give one weight for each of either",
                weights.len()
            ),
        ));
    }
    let each = numbers.checked_div(weights.map_or(1, |weights| weights.len())).unwrap_or(1).max(1);
    let weight = move |place: usize| weights.map_or(1.0, |weights| weights[place / each].to_f64());
    let pairs = y.slice().iter().zip(values).enumerate();
    Ok(pairs.map(move |(place, (y, target))| (y.to_f64(), target.to_f64(), weight(place))).filter(|&(_, _, w)| w > 0.0))
}

/// The mean of |y − t|, in the unit of the target.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError {
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl MeanAbsoluteError {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for MeanAbsoluteError {
    fn name(&self) -> String {
        "mae".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        for (y, t, weight) in pairs("MeanAbsoluteError", self.meaning, y, target, weights)? {
            self.sum.add(weight * (y - t).abs());
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}

/// The square root of the mean of (y − t)², in the unit of the target.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootMeanSquaredError {
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl RootMeanSquaredError {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for RootMeanSquaredError {
    fn name(&self) -> String {
        "rmse".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        for (y, t, weight) in pairs("RootMeanSquaredError", self.meaning, y, target, weights)? {
            self.sum.add(weight * (y - t) * (y - t));
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        (self.sum.value() / self.weight.value()).sqrt()
    }
}

/// The mean of the pinball loss at a quantile q: q (t − y) if the target is above the prediction, and (1 − q)(y − t)
/// otherwise.
///
/// The prediction that makes it smallest is the q-quantile of the targets: at q = ½ it is half the mean absolute error.
///
/// Source: Koenker and Bassett 1978; as scikit-learn's `mean_pinball_loss`.
///
/// # Errors
/// Returns an error if q is not from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct PinballLoss {
    quantile: f64,
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl PinballLoss {
    /// Makes a metric of predictions of this quantile, such as 0.9.
    #[must_use]
    pub fn new(quantile: f64) -> Self {
        Self { quantile, meaning: Meaning::default(), sum: Sum::default(), weight: Sum::default() }
    }
}

impl<T: Scalar> Metric<T> for PinballLoss {
    fn name(&self) -> String {
        format!("pinball loss at {}", self.quantile)
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::new(self.quantile) };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let q = self.quantile;
        if !(0.0..=1.0).contains(&q) {
            return Err(TargetError::setting("PinballLoss", format!("the quantile is {q}, but must be from 0 to 1")));
        }
        for (y, t, weight) in pairs("PinballLoss", self.meaning, y, target, weights)? {
            self.sum.add(weight * if t >= y { q * (t - y) } else { (1.0 - q) * (y - t) });
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}

/// The share of the targets' variance that the predictions explain: 1 − Σ (y − t)² / Σ (t − mean t)².
///
/// 1 is perfect; 0 is as good as always saying the mean; a constant target gives 1 if it is hit exactly and
/// 0 otherwise, as in scikit-learn. Several outputs are taken together.
#[derive(Clone, Copy, Debug, Default)]
pub struct RSquared {
    meaning: Meaning,
    residual: Sum,
    /// The mean of the targets so far, and the sum of squares around it (Welford 1962, West 1979).
    mean: f64,
    around_mean: Sum,
    weight: f64,
}

impl RSquared {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for RSquared {
    fn name(&self) -> String {
        "r2".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        for (y, t, weight) in pairs("RSquared", self.meaning, y, target, weights)? {
            self.residual.add(weight * (y - t) * (y - t));
            self.weight += weight;
            let before = t - self.mean;
            self.mean += before * weight / self.weight;
            self.around_mean.add(weight * before * (t - self.mean));
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        let (residual, around_mean) = (self.residual.value(), self.around_mean.value());
        if self.weight == 0.0 || residual.is_nan() {
            f64::NAN
        } else if around_mean > 0.0 {
            1.0 - residual / around_mean
        } else {
            f64::from(u8::from(residual == 0.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mut metric: impl Metric<f64>, y: &[f64], t: &[f64]) -> f64 {
        // Two batches, to see that they add up.
        let half = y.len() / 2;
        for range in [0..half, half..y.len()] {
            let batch = Batch::new(&y[range.clone()], range.len(), [1]).unwrap();
            metric.update(batch, Target::Values(&t[range]), None).unwrap();
        }
        metric.value()
    }

    #[test]
    fn errors_are_means_over_all_batches() {
        let (y, t) = ([1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 3.0, 3.0]);
        assert_eq!(value(MeanAbsoluteError::new(), &y, &t), 0.75);
        assert_eq!(value(RootMeanSquaredError::new(), &y, &t), 1.25f64.sqrt());
        assert!((value(RSquared::new(), &y, &t) - (1.0 - 5.0 / 3.0)).abs() < 1e-15);
    }

    #[test]
    fn a_constant_target_is_hit_or_missed() {
        assert_eq!(value(RSquared::new(), &[2.0, 2.0], &[2.0, 2.0]), 1.0);
        assert_eq!(value(RSquared::new(), &[2.0, 1.0], &[2.0, 2.0]), 0.0);
    }

    #[test]
    fn weights_count_as_repetitions_do() {
        let (y, t) = ([1.0, 2.0, 3.0], [1.5, 0.0, f64::NAN]);
        let mut weighted = RSquared::new();
        let batch = Batch::new(&y, 3, [1]).unwrap();
        weighted.update(batch, Target::Values(&t), Some(&[1.0, 3.0, 0.0])).unwrap();
        let repeated = value(RSquared::new(), &[1.0, 2.0, 2.0, 2.0], &[1.5, 0.0, 0.0, 0.0]);
        assert!((Metric::<f64>::value(&weighted) - repeated).abs() < 1e-12);
    }

    #[test]
    fn a_quantile_weighs_both_sides() {
        let (y, t) = ([1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 3.0, 3.0]);
        assert!((value(PinballLoss::new(0.9), &y, &t) - (0.9 + 0.2) / 4.0).abs() < 1e-15);
        let y = Batch::new(&[1.0], 1, [1]).unwrap();
        let error = PinballLoss::new(1.5).update(y, Target::Values(&[0.0]), None).unwrap_err().to_string();
        assert_eq!(error, "PinballLoss: the quantile is 1.5, but must be from 0 to 1");
    }

    #[test]
    fn logits_are_no_numbers() {
        let mut metric = RootMeanSquaredError::new();
        Metric::<f64>::start(&mut metric, Meaning::new(Outputs::Logits));
        let y = Batch::new(&[1.0], 1, [1]).unwrap();
        let error = metric.update(y, Target::Values(&[0.0]), None).unwrap_err().to_string();
        assert!(error.contains("logits of independent answers"), "{error}");
    }

    #[test]
    fn classes_are_no_numbers() {
        let y = Batch::new(&[1.0], 1, [1]).unwrap();
        assert!(MeanAbsoluteError::new().update(y, Target::Classes(&[0]), None).is_err());
    }
}
