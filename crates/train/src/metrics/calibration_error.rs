use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Reading, Sum};

/// The expected calibration error: how far probabilities are from how often they come true, averaged over all examples.
///
/// Examples are put into bins of equal width by their probability; a bin takes probabilities above its lower edge up to
/// its upper one, and the first takes 0 too. With n_b of n examples in bin b, of which the share f_b came true where the
/// mean probability was c_b, it is
///
/// ```math
/// \sum_b \frac{n_b}{n} \left| f_b - c_b \right|
/// ```
///
/// For a yes-or-no question, also one that two classes ask, the probability is that of yes. For more classes it is that
/// of the predicted class, the first of several that are equally likely. Independent answers count one by one.
/// Probabilities and targets are read as [`LogLoss`](super::LogLoss) reads them.
///
/// Source: Naeini, Cooper and Hauskrecht 2015; Guo, Pleiss, Sun and Weinberger 2017. The bins of a yes-or-no question are
/// those of scikit-learn's `calibration_curve` with `strategy="uniform"`.
///
/// # Errors
/// Returns an error if there are no bins, and the errors of [`LogLoss`](super::LogLoss).
///
/// ```
/// use downhill_losses::{Meaning, Outputs, Target};
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{ExpectedCalibrationError, Metric};
///
/// let mut error = ExpectedCalibrationError::new().bins(5);
/// Metric::<f64>::start(&mut error, Meaning::new(Outputs::Probabilities));
/// error.update(Batch::new(&[0.9, 0.9, 0.9, 0.3], 4, [1])?, Target::Classes(&[1, 1, 0, 0]), None)?;
/// let bin = &error.reliability()[4];
/// assert_eq!((bin.lower, bin.upper, bin.weight), (0.8, 1.0, 3.0));
/// assert!((bin.confidence - 0.9).abs() < 1e-15 && (bin.frequency - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExpectedCalibrationError {
    meaning: Meaning,
    bins: Vec<Sums>,
}

/// The sums of a bin.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: Sum,
    probability: Sum,
    true_weight: Sum,
}

/// A bin of a reliability table: how sure the network was, and how often it was right.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ReliabilityBin {
    /// Probabilities in the bin are above this number, or are 0 in the first bin.
    pub lower: f64,
    /// Probabilities in the bin are at most this number.
    pub upper: f64,
    /// The number of examples in the bin: their summed weight.
    pub weight: f64,
    /// The mean of their probabilities; not a number if there are none.
    pub confidence: f64,
    /// The share of them that came true; not a number if there are none.
    pub frequency: f64,
}

impl Default for ExpectedCalibrationError {
    fn default() -> Self {
        Self::new()
    }
}

impl ExpectedCalibrationError {
    /// Makes a metric with 15 bins that has seen no examples yet.
    #[must_use]
    pub fn new() -> Self {
        Self { meaning: Meaning::default(), bins: vec![Sums::default(); 15] }
    }

    /// Sets the number of bins; 15 unless set.
    #[must_use]
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = vec![Sums::default(); bins];
        self
    }

    /// The reliability table: a row for each bin, the empty ones too.
    #[must_use]
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        let edge = |bin: usize| if bin == self.bins.len() { 1.0 } else { bin as f64 * self.width() };
        let row = |(bin, sums): (usize, &Sums)| {
            let weight = sums.weight.value();
            ReliabilityBin {
                lower: edge(bin),
                upper: edge(bin + 1),
                weight,
                confidence: sums.probability.value() / weight,
                frequency: sums.true_weight.value() / weight,
            }
        };
        self.bins.iter().enumerate().map(row).collect()
    }

    fn width(&self) -> f64 {
        1.0 / self.bins.len() as f64
    }

    fn add(&mut self, p: f64, came_true: bool, weight: f64) {
        let (mut bin, width) = (0, self.width());
        while bin + 1 < self.bins.len() && p > (bin + 1) as f64 * width {
            bin += 1;
        }
        let sums = &mut self.bins[bin];
        sums.weight.add(weight);
        sums.probability.add(weight * p);
        sums.true_weight.add(if came_true { weight } else { 0.0 });
    }
}

impl<T: Scalar> Metric<T> for ExpectedCalibrationError {
    fn name(&self) -> String {
        "calibration error".into()
    }

    fn larger_is_better(&self) -> bool {
        false
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, bins: vec![Sums::default(); self.bins.len()] };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let metric = "ExpectedCalibrationError";
        if self.bins.is_empty() {
            return Err(TargetError::setting(metric, "there are 0 bins, but at least one is needed"));
        }
        let reading = Reading::new(metric, self.meaning, y, target, weights)?;
        reading.probabilities(metric, |p, truth, weight| match p {
            &[_, yes] => self.add(yes, truth == 1, weight),
            p => {
                let mut predicted = 0;
                for (class, &other) in p.iter().enumerate() {
                    if other > p[predicted] || other.is_nan() {
                        predicted = class;
                    }
                }
                self.add(p[predicted], predicted == truth, weight);
            }
        })
    }

    fn value(&self) -> f64 {
        let (mut gap, mut weight) = (Sum::default(), Sum::default());
        for bin in &self.bins {
            gap.add((bin.true_weight.value() - bin.probability.value()).abs());
            weight.add(bin.weight.value());
        }
        gap.value() / weight.value()
    }
}

#[cfg(test)]
mod tests {
    use downhill_losses::Outputs;

    use super::*;

    #[test]
    fn the_predicted_class_is_judged_by_its_probability() {
        let mut metric = ExpectedCalibrationError::new().bins(10);
        Metric::<f64>::start(&mut metric, Meaning::new(Outputs::ClassProbabilities));
        let y = [0.65, 0.25, 0.1, 0.1, 0.65, 0.25, 0.35, 0.3, 0.35];
        metric.update(Batch::new(&y, 3, [3]).unwrap(), Target::Classes(&[0, 2, 0]), None).unwrap();
        // Of two with 0.65 one was right, and one with 0.35 was, the first of two.
        let expected = (2.0 * 0.15 + 0.65) / 3.0;
        assert!((Metric::<f64>::value(&metric) - expected).abs() < 1e-15);
        let table = metric.reliability();
        assert_eq!(table.iter().map(|bin| bin.weight).collect::<Vec<_>>(), [0., 0., 0., 1., 0., 0., 2., 0., 0., 0.]);
        assert!(table[0].confidence.is_nan() && (table[6].frequency, table[3].frequency) == (0.5, 1.0));
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        let mut metric = ExpectedCalibrationError::new().bins(4);
        Metric::<f64>::start(&mut metric, Meaning::new(Outputs::Probabilities));
        let y = [0.0, 0.25, 0.5, 0.75, 1.0];
        metric.update(Batch::new(&y, 5, [1]).unwrap(), Target::Classes(&[0; 5]), None).unwrap();
        assert_eq!(metric.reliability().iter().map(|bin| bin.weight).collect::<Vec<_>>(), [2.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn no_bins_are_an_error_and_no_number_is_none() {
        let y = Batch::new(&[f64::NAN], 1, [1]).unwrap();
        let error = ExpectedCalibrationError::new().bins(0).update(y, Target::Classes(&[0]), None).unwrap_err();
        assert!(error.to_string().ends_with("there are 0 bins, but at least one is needed"), "{error}");
        let mut metric = ExpectedCalibrationError::new();
        assert!(Metric::<f64>::value(&metric).is_nan());
        metric.update(y, Target::Classes(&[0]), None).unwrap();
        assert!(Metric::<f64>::value(&metric).is_nan());
    }
}
