use downhill_data::{Batches, Dataset, MiniBatch};
use downhill_layers::{Inputs, MAX_INPUTS, Mode};
use downhill_losses::{Call, ClassAxis, Loss, Outputs, TargetError, Total};
use downhill_network::{Network, Purpose, Workspace};
use downhill_tensor::{Batch, Scalar, Shape, ShapeError};

use crate::metrics::Accuracy;
use crate::{DataRole, Metric, TrainError};

/// The loss and the metrics of a network on some data.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Evaluation {
    /// The loss over all the data at once.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub loss: f64,
    /// The metrics, by name.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// The metric of this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The number of examples that are evaluated at once.
const BATCH: usize = 256;

/// An empty list of metrics, for an evaluation of the loss alone.
pub const NO_METRICS: [Accuracy; 0] = [];

/// Computes the loss and the metrics of `network` on `data`. Metrics start anew.
///
/// The loss is what it is over all the data at once, also with class weights, ignored targets, weights of examples, or
/// a sum: the sums and divisors of batches are added up, not their values.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_losses::SoftmaxCrossEntropy;
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
/// use downhill_train::metrics::{Accuracy, ConfusionMatrix};
/// use downhill_train::{NO_METRICS, evaluate};
/// use ndarray::array;
///
/// let data = Dataset::from_array(array![[0.0], [1.0], [2.0]], vec![0, 1, 1])?;
/// let network = Network::<f64>::build([1], Affine::new(2), Seed(1))?;
/// let loss = SoftmaxCrossEntropy::new();
/// assert!(evaluate(&network, &loss, &data, NO_METRICS)?.loss > 0.0);
/// assert!(evaluate(&network, &loss, &data, [Accuracy::new()])?.metric("accuracy").is_some());
/// let mut confusion = ConfusionMatrix::new();
/// evaluate(&network, &loss, &data, [&mut confusion])?;
/// println!("{confusion}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error if the data do not fit the network, the loss or a metric, or if no target counts.
pub fn evaluate<T: Scalar, M: Metric<T>>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    metrics: impl IntoIterator<Item = M>,
) -> Result<Evaluation, TrainError> {
    let mut metrics: Vec<M> = metrics.into_iter().collect();
    check_target_shape(network, loss, data)?;
    let metrics = metrics.iter_mut().map(|metric| metric as _).collect();
    evaluate_with(network, loss, data, metrics, &mut network.workspace(Purpose::Prediction))
}

/// Behind pointers, so that the loop is compiled once for all metrics.
pub(crate) type Metrics<'a, T> = Vec<&'a mut (dyn Metric<T> + 'a)>;

pub(crate) fn evaluate_with<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    mut metrics: Metrics<'_, T>,
    workspace: &mut Workspace<T>,
) -> Result<Evaluation, TrainError> {
    let meaning = network.meaning_by(loss);
    metrics.iter_mut().for_each(|metric| metric.start(meaning));
    let mut batches = Batches::sequential(data, BATCH)?;
    let mut total = Total::default();
    while let Some(batch) = batches.next_batch() {
        let y = network.forward(network.parameters(), inputs(batch.all_inputs())?, workspace, Mode::Evaluation)?;
        total += judge(loss, y, &batch)?;
        for metric in &mut metrics {
            update(&mut **metric, y, &batch)?;
        }
    }
    if total.is_empty() {
        return Err(TrainError::NothingCounts { data: DataRole::Evaluation });
    }
    let metrics = metrics.iter().map(|metric| (metric.name(), metric.value())).collect();
    Ok(Evaluation { loss: total.value(), metrics })
}

/// Computes the loss of predictions for a batch.
pub(crate) fn judge<T: Scalar>(
    loss: &impl Loss,
    y: Batch<'_, T>,
    batch: &MiniBatch<'_, T>,
) -> Result<Total, TargetError> {
    let call = Call { y, target: batch.targets, weights: batch.weights, dy: None };
    call.evaluate(loss).map_err(|error| placed(error, batch.indices))
}

/// Makes an error name the example's place in the data set instead of that in the batch.
pub(crate) fn placed(mut error: TargetError, indices: &[usize]) -> TargetError {
    let mut inner = &mut error;
    while let TargetError::Part { error, .. } = inner {
        inner = error;
    }
    if let TargetError::Class { example, .. } | TargetError::Domain { example, .. } = inner
        && let Some(&index) = indices.get(*example)
    {
        *example = index;
    }
    error
}

/// Checks that the targets of an example have the axes of its predictions: their count does not tell 4x5x3 from 3x4x5.
///
/// Vectors are in the order of the predictions, and a loss may take more or fewer targets than there are predictions.
pub(crate) fn check_target_shape<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
) -> Result<(), TrainError> {
    let (output, got) = (network.output_shape(), data.target_shape());
    let meaning = network.meaning_by(loss);
    let expected = match (data.classes(), output.axes(), meaning.class_axis) {
        (Some(_), _, _) if !meaning.outputs.is_some_and(Outputs::is_one_of_several) => Some(output),
        (Some(_), [_, positions @ ..], ClassAxis::First) => Shape::new(positions),
        (Some(_), [positions @ .., _], ClassAxis::Last) => Shape::new(positions),
        _ => Some(output),
    };
    match expected {
        Some(expected)
            if expected.len() == got.len() && expected.rank().min(got.rank()) > 1 && !got.reads_as(expected) =>
        {
            let what = "the predictions for an example and its targets".into();
            let error = ShapeError::Mismatch { what, expected, got };
            Err(TrainError::TargetShape { data: DataRole::Evaluation, error })
        }
        _ => Ok(()),
    }
}

/// Takes predictions for a batch into account.
pub(crate) fn update<T: Scalar>(
    metric: &mut dyn Metric<T>,
    y: Batch<'_, T>,
    batch: &MiniBatch<'_, T>,
) -> Result<(), TrainError> {
    metric.update(y, batch.targets, batch.weights).map_err(|error| TrainError::Metric {
        metric: metric.name(),
        data: DataRole::Evaluation,
        error: placed(error, batch.indices),
    })
}

/// Collects the inputs of a batch or of all data for a network.
pub(crate) fn inputs<'a, T: Scalar>(mut all: impl Iterator<Item = Batch<'a, T>>) -> Result<Inputs<'a, T>, ShapeError> {
    let mut inputs = Inputs::empty();
    for (index, input) in all.by_ref().enumerate() {
        if index == MAX_INPUTS {
            let (expected, got) = ("at most eight inputs", MAX_INPUTS + 1 + all.count());
            return Err(ShapeError::Inputs { by: "a network", expected, got });
        }
        inputs.set(index, input);
    }
    Ok(inputs)
}
