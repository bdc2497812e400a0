use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The log loss that is left when the probabilities are calibrated: the smallest mean of -ln softmax(z / T) over all
/// temperatures T, where z are the logits.
///
/// A network that trains on learns to be too sure of itself: its loss on validation data rises while it still tells the
/// classes apart better and better. This metric passes over how sure it is, and judges the rest, so it says when to
/// stop where classes are many or clean. The probabilities of the network that is kept are then best corrected by the
/// [`temperature`](Self::temperature), and neither the classes nor the order of the scores change by that.
///
/// The outputs are read as [`LogLoss`](super::LogLoss) reads them; temperatures from 1/1000 to 1000 are tried. All
/// probabilities are kept until the value is asked for.
///
/// Source: Guo, Pleiss, Sun and Weinberger 2017 for the temperature; Berta, Holzmüller, Jordan and Bach 2025 for
/// stopping by what calibration leaves.
///
/// # Errors
/// Returns the errors of [`LogLoss`](super::LogLoss).
///
/// ```
/// use downhill_losses::Target;
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{CalibratedLogLoss, Metric};
///
/// // As sure of itself as 10 to 1 in logits, and right three times of four: 3 to 1 would be honest.
/// let mut loss = CalibratedLogLoss::new();
/// let y = Batch::new(&[10.0, 10.0, 10.0, 10.0], 4, [1])?;
/// loss.update(y, Target::Classes(&[1, 1, 1, 0]), None)?;
/// assert!((loss.temperature() - 10.0 / 3f64.ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CalibratedLogLoss {
    meaning: Meaning,
    /// The logarithms of probabilities, `classes` for each example.
    log_p: Vec<f64>,
    classes: usize,
    /// The true class of each example, and its weight.
    truths: Vec<(usize, f64)>,
}

/// The largest temperature, and the inverse of the smallest.
const HOTTEST: f64 = 1000.0;

impl CalibratedLogLoss {
    /// Makes a metric that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The temperature at which the log loss of all examples so far is smallest; not a number if there were none, or if
    /// an output was not a number.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        1.0 / self.inverse_temperature()
    }

    /// The inverse β = 1 / T of the best temperature: at it, the slope of the convex loss(β) is 0.
    fn inverse_temperature(&self) -> f64 {
        let (mut low, mut high) = (1.0 / HOTTEST, HOTTEST);
        let (at_low, at_high) = (self.at(low), self.at(high));
        if !(at_low.slope.is_finite() && at_high.slope.is_finite() && !self.truths.is_empty()) {
            return f64::NAN;
        }
        if at_low.slope >= 0.0 {
            return low;
        }
        if at_high.slope <= 0.0 {
            return high;
        }
        // Newton's method, kept within what is known to hold the root.
        let mut beta = 1.0;
        for _ in 0..100 {
            let here = self.at(beta);
            *(if here.slope < 0.0 { &mut low } else { &mut high }) = beta;
            let newton = beta - here.slope / here.curvature;
            let next = if low < newton && newton < high { newton } else { (low * high).sqrt() };
            let is_settled = (next - beta).abs() <= 1e-14 * beta;
            beta = next;
            if is_settled {
                break;
            }
        }
        beta
    }

    /// The loss of softmax(β z), with its derivatives: dJ/dβ = E\[z\] − z of the truth, d²J/dβ² = Var\[z\].
    fn at(&self, beta: f64) -> Loss {
        let (mut loss, mut slope, mut curvature) = (Sum::default(), Sum::default(), Sum::default());
        let mut weights = Sum::default();
        for (z, &(truth, weight)) in self.log_p.chunks(self.classes.max(1)).zip(&self.truths) {
            let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            // Counted from the largest, so that nothing overflows and variances keep their digits.
            for z in z.iter().map(|z| z - largest).filter(|&z| z != f64::NEG_INFINITY) {
                let p = (beta * z).exp();
                sum += p;
                first += p * z;
                second += p * z * z;
            }
            let (mean, of_truth) = (first / sum, z[truth] - largest);
            loss.add(weight * (sum.ln() - beta * of_truth));
            slope.add(weight * (mean - of_truth));
            curvature.add(weight * (second / sum - mean * mean));
            weights.add(weight);
        }
        let weights = weights.value();
        Loss { value: loss.value() / weights, slope: slope.value() / weights, curvature: curvature.value() / weights }
    }
}

/// The loss at a temperature, and its derivatives by the inverse of it.
struct Loss {
    value: f64,
    slope: f64,
    curvature: f64,
}

impl<T: Scalar> Metric<T> for CalibratedLogLoss {
    fn name(&self) -> String {
        "calibrated log loss".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let reading = Reading::new("CalibratedLogLoss", self.meaning, y, target, weights)?;
        self.classes = reading.classes();
        reading.log_probabilities("CalibratedLogLoss", |log_p, truth, weight| {
            self.log_p.extend_from_slice(log_p);
            self.truths.push((truth, weight));
        })
    }

    fn value(&self) -> f64 {
        self.at(self.inverse_temperature()).value
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::super::LogLoss;
    use super::*;

    const LOGITS: [f64; 15] = [4.0, 0.0, 1.0, 0.0, 5.0, 0.0, 1.0, 0.0, 6.0, 3.0, 2.0, 0.0, 0.0, 7.0, 2.0];
    const TRUTHS: [u32; 5] = [0, 1, 2, 1, 0];

    fn judge(metric: &mut impl Metric<f64>, y: &[f64]) -> f64 {
        metric.start(Meaning::new(Outputs::ClassLogits));
        // Two batches, to see that they add up.
        metric.update(Batch::new(&y[..6], 2, [3]).unwrap(), Target::Classes(&TRUTHS[..2]), None).unwrap();
        metric.update(Batch::new(&y[6..], 3, [3]).unwrap(), Target::Classes(&TRUTHS[2..]), None).unwrap();
        metric.value()
    }

    #[test]
    fn no_temperature_is_better() {
        let mut metric = CalibratedLogLoss::new();
        let least = judge(&mut metric, &LOGITS);
        let at = |temperature: f64| judge(&mut LogLoss::new(), &LOGITS.map(|y| y / temperature));
        let temperature = metric.temperature();
        assert!((at(temperature) - least).abs() < 1e-14);
        for factor in [0.5, 0.9, 0.999, 1.001, 1.1, 2.0] {
            assert!(at(temperature * factor) > least, "{factor}");
        }
    }

    #[test]
    fn it_passes_over_how_sure_the_network_is() {
        let least = judge(&mut CalibratedLogLoss::new(), &LOGITS);
        let surer = judge(&mut CalibratedLogLoss::new(), &LOGITS.map(|y| 5.0 * y));
        assert!((least - surer).abs() < 1e-12);
    }

    #[test]
    fn what_is_all_right_or_worse_than_chance_ends_at_the_ends() {
        let mut metric = CalibratedLogLoss::new();
        let y = Batch::new(&[3.0, -3.0], 2, [1]).unwrap();
        metric.update(y, Target::Classes(&[1, 0]), None).unwrap();
        assert_eq!((metric.temperature(), Metric::<f64>::value(&metric)), (1e-3, 0.0));
        Metric::<f64>::start(&mut metric, Meaning::default());
        metric.update(y, Target::Classes(&[0, 1]), None).unwrap();
        assert_eq!(metric.temperature(), 1e3);
        Metric::<f64>::start(&mut metric, Meaning::default());
        assert!(metric.temperature().is_nan() && Metric::<f64>::value(&metric).is_nan());
        metric.update(Batch::new(&[f64::NAN, -3.0], 2, [1]).unwrap(), Target::Classes(&[1, 0]), None).unwrap();
        assert!(metric.temperature().is_nan());
    }
}
