use downhill_losses::{Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::Metric;

/// Pairs of predicted and true numbers.
fn pairs<'a, T: Scalar>(
    metric: &'static str,
    y: Batch<'a, T>,
    target: Target<'a, T>,
) -> Result<impl Iterator<Item = (f64, f64)> + 'a, TargetError> {
    let Target::Values(values) = target else {
        return Err(TargetError::Kind { loss: metric, expected: "one number for each predicted number" });
    };
    if values.len() != y.slice().len() {
        return Err(TargetError::Count { expected: y.slice().len(), got: values.len() });
    }
    Ok(y.slice().iter().zip(values).map(|(y, target)| (y.to_f64(), target.to_f64())))
}

/// The mean of |y − t|, in the unit of the target.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError {
    sum: f64,
    count: u64,
}

impl MeanAbsoluteError {
    /// Over no examples yet.
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

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError> {
        for (y, t) in pairs("MeanAbsoluteError", y, target)? {
            self.sum += (y - t).abs();
            self.count += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// √ of the mean of (y − t)², in the unit of the target.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootMeanSquaredError {
    sum: f64,
    count: u64,
}

impl RootMeanSquaredError {
    /// Over no examples yet.
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

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError> {
        for (y, t) in pairs("RootMeanSquaredError", y, target)? {
            self.sum += (y - t) * (y - t);
            self.count += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        (self.sum / self.count as f64).sqrt()
    }
}

/// The share of the targets' variance that the predictions explain: 1 − Σ (y − t)² / Σ (t − mean t)².
///
/// 1 is perfect; 0 is as good as always saying the mean; a constant target gives 1 where it is hit exactly and
/// 0 elsewhere, as in scikit-learn. Several outputs are taken together.
#[derive(Clone, Copy, Debug, Default)]
pub struct RSquared {
    residual: f64,
    /// The mean of the targets so far, and the sum of squares around it (Welford 1962).
    mean: f64,
    around_mean: f64,
    count: u64,
}

impl RSquared {
    /// Over no examples yet.
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

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>) -> Result<(), TargetError> {
        for (y, t) in pairs("RSquared", y, target)? {
            self.residual += (y - t) * (y - t);
            self.count += 1;
            let before = t - self.mean;
            self.mean += before / self.count as f64;
            self.around_mean += before * (t - self.mean);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        if self.count == 0 {
            f64::NAN
        } else if self.around_mean > 0.0 {
            1.0 - self.residual / self.around_mean
        } else {
            f64::from(u8::from(self.residual == 0.0))
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
            metric.update(batch, Target::Values(&t[range])).unwrap();
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
    fn classes_are_no_numbers() {
        let y = Batch::new(&[1.0], 1, [1]).unwrap();
        assert!(MeanAbsoluteError::new().update(y, Target::Classes(&[0])).is_err());
    }
}
