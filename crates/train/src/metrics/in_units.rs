use downhill_data::Scaler;
use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::Metric;

/// A metric that judges scaled targets in their own units: both predictions and targets are unscaled first.
///
/// ```
/// use downhill_data::{Dataset, StandardScaler};
/// use downhill_layers::Affine;
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
/// use downhill_train::evaluate;
/// use downhill_train::metrics::{InUnits, RootMeanSquaredError};
/// use ndarray::array;
///
/// let prices = Dataset::from_array(array![[1.0], [2.0], [3.0]], array![[100.0], [200.0], [300.0]])?;
/// let scaler = StandardScaler::fit(prices.target_values().ok_or("prices are numbers")?.matrix())?;
/// let scaled = prices.scale_targets(&scaler)?;
/// let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1))?;
/// network.parameters_mut().fill(0.0); // always the mean, 200
/// let judged = evaluate(&network, &MeanSquaredError::new(), &scaled, [InUnits::new(RootMeanSquaredError::new(), scaler)])?;
/// assert!((judged.metrics[0].1 - (20000.0_f64 / 3.0).sqrt()).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct InUnits<M, S> {
    metric: M,
    scaler: S,
    /// Predictions and targets in their own units, as f64, so that no precision is lost.
    y: Vec<f64>,
    target: Vec<f64>,
    weights: Vec<f64>,
}

impl<M: Metric<f64>, S: Scaler + Send> InUnits<M, S> {
    /// Makes a metric that judges by `metric` in the units that `scaler` was fitted to.
    #[must_use]
    pub fn new(metric: M, scaler: S) -> Self {
        Self { metric, scaler, y: Vec::new(), target: Vec::new(), weights: Vec::new() }
    }
}

impl<T: Scalar, M: Metric<f64>, S: Scaler + Send> Metric<T> for InUnits<M, S> {
    fn name(&self) -> String {
        self.metric.name()
    }

    fn larger_is_better(&self) -> bool {
        self.metric.larger_is_better()
    }

    fn start(&mut self, meaning: Meaning) {
        self.metric.start(meaning);
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        let Target::Values(values) = target else {
            return Err(TargetError::kind("InUnits", "one number for each predicted number"));
        };
        let features = self.scaler.features();
        if y.shape().len() != features {
            return Err(TargetError::setting(
                "InUnits",
                format!("the scaler was fitted to {features} numbers, but a prediction has {}", y.shape().len()),
            ));
        }
        let unscale = |numbers: &[T], out: &mut Vec<f64>| {
            out.clear();
            out.extend(numbers.iter().enumerate().map(|(i, x)| self.scaler.unscale(i % features, x.to_f64())));
        };
        unscale(y.slice(), &mut self.y);
        unscale(values, &mut self.target);
        self.weights.clear();
        self.weights.extend(weights.into_iter().flatten().map(|weight| weight.to_f64()));
        let fits = |_| TargetError::count(y.slice().len(), values.len());
        let y = Batch::new(&self.y, y.examples(), y.shape()).map_err(fits)?;
        self.metric.update(y, Target::Values(&self.target), weights.map(|_| &self.weights[..]))
    }

    fn value(&self) -> f64 {
        self.metric.value()
    }
}
