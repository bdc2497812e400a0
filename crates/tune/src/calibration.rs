//! Temperature scaling of probabilities.

use downhill_data::Dataset;
use downhill_losses::{ClassAxis, Loss, Meaning, Outputs, Target, TargetError, Total};
use downhill_network::{Network, PredictError};
use downhill_tensor::{Batch, BuildError, Examples, Scalar, Shape};
use downhill_train::metrics::CalibratedLogLoss;
use downhill_train::{TrainError, evaluate};
use ndarray::Array2;

/// A temperature T that corrects how sure of itself a network is: its probabilities become softmax(z / T) or σ(z / T).
///
/// A network that was trained long is right less often than its probabilities say; a temperature above 1 takes them back.
/// It is fitted to data that the network was not trained on, as the one at which their log loss is smallest. No class and
/// no order of scores changes.
///
/// Outputs are read by the network's [`meaning`](Network::meaning): logits z are divided by T, and probabilities p are
/// taken for logits ln p. Outputs of which nothing is known are read as logits.
///
/// Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_losses::{Loss, SoftmaxCrossEntropy};
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
/// use downhill_tune::Temperature;
/// use ndarray::array;
///
/// // It gives odds of e¹⁰, but is right three times of four: odds of 3.
/// let mut network = Network::<f64>::build([1], Affine::new(2), Seed(1))?;
/// network.parameters_mut().copy_from_slice(&[0.0, 10.0, 0.0, 0.0]);
/// network.set_meaning(SoftmaxCrossEntropy::new().meaning()); // as training does
/// let validation = Dataset::from_array(array![[1.0], [1.0], [1.0], [1.0]], vec![1, 1, 0, 1])?;
///
/// let temperature = Temperature::fit(&network, &validation)?;
/// assert!((temperature.value() - 10.0 / 3f64.ln()).abs() < 1e-12);
/// let p = temperature.probabilities(&network, &array![[1.0]])?;
/// assert!((p[[0, 1]] - 0.75).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Temperature(f64);

/// An error of calibrating a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The network can't be judged on the data.
    #[error(transparent)]
    Evaluation(#[from] TrainError),
    /// No temperature is the best, since no example counts or an output is not a number.
    #[error(
        "no temperature can be fitted: no target of the data counts, or an output of the network is not a number; look at \
         the weights and at the ignored targets, and at the network's parameters"
    )]
    NoTemperature,
    /// A temperature that is not positive or not finite.
    #[error("the temperature is {0}, but must be positive and finite")]
    NotPositive(f64),
}

impl Temperature {
    /// Makes a temperature that is known, such as one that was saved.
    ///
    /// # Errors
    /// Returns an error if `temperature` is not positive or not finite.
    pub fn new(temperature: f64) -> Result<Self, CalibrationError> {
        if temperature > 0.0 && temperature.is_finite() {
            Ok(Self(temperature))
        } else {
            Err(CalibrationError::NotPositive(temperature))
        }
    }

    /// Finds the temperature from 1/1000 to 1000 at which the log loss on `validation` is smallest.
    ///
    /// The log loss is convex in 1 / T; Newton's method finds the minimum. It lies at an end of the range if the network
    /// makes no error, or does no better than chance.
    ///
    /// # Errors
    /// Returns an error if the data do not fit the network, if its outputs are no probabilities and can't be turned into
    /// them, or if no target counts.
    pub fn fit<T: Scalar>(network: &Network<T>, validation: &Dataset<T>) -> Result<Self, CalibrationError> {
        let mut judged = CalibratedLogLoss::new();
        evaluate(network, &NoLoss(network.meaning()), validation, [&mut judged])?;
        Self::new(judged.temperature()).map_err(|_| CalibrationError::NoTemperature)
    }

    /// The temperature itself.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }

    /// Divides logits by the temperature.
    pub fn scale_logits<T: Scalar>(self, z: &mut [T]) {
        z.iter_mut().for_each(|z| *z = T::from_f64(z.to_f64() / self.0));
    }

    /// Overwrites the probabilities of several classes, of which one is right, with the corrected ones.
    pub fn scale_probabilities<T: Scalar>(self, p: &mut [T]) {
        let meaning = Meaning::new(Outputs::ClassProbabilities);
        self.correct(meaning, Shape::from([p.len()]), p);
    }

    /// Corrects the probability of yes.
    #[must_use]
    pub fn scale_probability<T: Scalar>(self, p: T) -> T {
        T::from_f64(self.yes(Some(Outputs::Probabilities), p.to_f64()))
    }

    /// Predicts the corrected probabilities of a batch, as [`Network::probabilities`] predicts those that are not.
    ///
    /// # Errors
    /// Returns an error if x does not fit the network, or if its outputs are known not to be probabilities, their
    /// logarithms, or logits.
    pub fn probabilities<T: Scalar>(
        self,
        network: &Network<T>,
        x: impl Examples<T>,
    ) -> Result<Array2<T>, PredictError> {
        let (meaning, shape) = (network.meaning(), network.output_shape());
        if let Some(outputs @ (Outputs::Numbers | Outputs::Scores | Outputs::ClassScores)) = meaning.outputs {
            let reason = format!("they are {}", outputs.name());
            return Err(PredictError::Meaning { wanted: "probabilities", reason });
        }
        let mut y = network.predict(x)?;
        for mut row in y.rows_mut() {
            // The rows of an owned array lie one number after another.
            self.correct(meaning, shape, row.as_slice_mut().unwrap_or_default());
        }
        Ok(y)
    }

    /// Overwrites the outputs for one example with corrected probabilities.
    fn correct<T: Scalar>(self, meaning: Meaning, shape: Shape, y: &mut [T]) {
        let outputs = meaning.outputs;
        let (outer, classes, inner) = match (shape.axes(), meaning.class_axis) {
            _ if outputs.is_some_and(|outputs| !outputs.is_one_of_several()) => (y.len(), 1, 1),
            ([], _) => (y.len(), 1, 1),
            (&[classes, ref positions @ ..], ClassAxis::First) => (1, classes, positions.iter().product()),
            (&[ref positions @ .., classes], ClassAxis::Last) => (positions.iter().product(), classes, 1),
        };
        if classes == 1 {
            y.iter_mut().for_each(|y| *y = T::from_f64(self.yes(outputs, y.to_f64())));
            return;
        }
        let mut row = vec![0.0; classes];
        for position in 0..outer * inner {
            let place = |class: usize| (position / inner * classes + class) * inner + position % inner;
            for (class, z) in row.iter_mut().enumerate() {
                let y = y[place(class)].to_f64();
                *z = if outputs == Some(Outputs::ClassProbabilities) { y.ln() } else { y } / self.0;
            }
            // softmax(z)
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|z| *z = (*z - largest).exp());
            let sum: f64 = row.iter().sum();
            for (class, p) in row.iter().enumerate() {
                y[place(class)] = T::from_f64(p / sum);
            }
        }
    }

    /// The corrected probability of yes: σ(z / T).
    fn yes(self, outputs: Option<Outputs>, y: f64) -> f64 {
        let z = match outputs {
            Some(Outputs::Probabilities | Outputs::ClassProbabilities) => y.ln() - (-y).ln_1p(),
            Some(Outputs::LogProbabilities | Outputs::ClassLogProbabilities) => y - (-y.exp_m1()).ln(),
            _ => y,
        };
        1.0 / (1.0 + (-z / self.0).exp())
    }
}

/// A loss of which nothing but the reading of outputs and targets matters.
#[derive(Debug)]
struct NoLoss(Meaning);

impl Loss for NoLoss {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        _: Target<'_, T>,
        _: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        Ok(Total::mean(0.0, y.examples() as f64))
    }

    fn evaluate_weighted<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        _: &[T],
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        self.evaluate(y, target, dy)
    }

    fn meaning(&self) -> Meaning {
        self.0
    }
}

impl From<BuildError> for CalibrationError {
    fn from(error: BuildError) -> Self {
        Self::Evaluation(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_corrected_as_their_logits_are() {
        let temperature = Temperature::new(2.5).unwrap();
        let z: [f64; 3] = [1.0, -2.0, 4.0];
        let mut scaled = z;
        temperature.scale_logits(&mut scaled);
        assert_eq!(scaled, [0.4, -0.8, 1.6]);
        let softmax = |z: [f64; 3]| {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            z.map(|z| z.exp() / sum)
        };
        let mut p = softmax(z);
        temperature.scale_probabilities(&mut p);
        assert!(p.iter().zip(softmax(scaled)).all(|(a, b)| (a - b).abs() < 1e-15), "{p:?}");
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        assert!((temperature.scale_probability(sigmoid(4.0)) - sigmoid(1.6)).abs() < 1e-15);
        assert_eq!([0.0, 0.5, 1.0].map(|p: f64| temperature.scale_probability(p)), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn each_position_has_its_classes_on_either_axis() {
        let temperature = Temperature::new(2.0).unwrap();
        let (first, last) = ([0.0, 4.0, 2.0, 0.0], [0.0, 2.0, 4.0, 0.0]);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let mut y = first;
        temperature.correct(Meaning::new(Outputs::ClassLogits), Shape::from([2, 2]), &mut y);
        assert!((y[2] - sigmoid(1.0)).abs() < 1e-15 && (y[1] - sigmoid(2.0)).abs() < 1e-15, "{y:?}");
        let mut y = last;
        let meaning = Meaning::new(Outputs::ClassLogits).class_axis(ClassAxis::Last);
        temperature.correct(meaning, Shape::from([2, 2]), &mut y);
        assert!((y[1] - sigmoid(1.0)).abs() < 1e-15 && (y[2] - sigmoid(2.0)).abs() < 1e-15, "{y:?}");
    }

    #[test]
    fn a_temperature_is_positive() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Temperature::new(value).unwrap_err().to_string();
            assert_eq!(error, format!("the temperature is {value}, but must be positive and finite"));
        }
    }
}
