use downhill_data::{Batches, Dataset, MiniBatch};
use downhill_layers::{Inputs, MAX_INPUTS, Mode};
use downhill_losses::{Call, ClassAxis, Loss, Outputs, TargetError, Total};
use downhill_network::{Network, Purpose, Workspace};
use downhill_tensor::{Batch, Scalar, Shape, ShapeError};

use crate::exchange::{Exchange, garbled, share};
use crate::metrics::Accuracy;
use crate::{DataRole, Metric, TrainError, part_of};

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
        total += judge_batch(network, loss, &batch, workspace)?;
        let y = workspace.prediction();
        for metric in &mut metrics {
            update(&mut **metric, y, &batch)?;
        }
    }
    evaluation(total, &metrics)
}

/// The most predicted numbers that a rank brings to all at once, unless one batch has more: each rank holds its own and
/// those of one other, 8 MiB in `f32`, on any number of ranks. The latency of a message of 4 MiB hardly matters.
const MOST_PREDICTIONS: usize = 1 << 20;

/// Evaluates to the bits of [`evaluate_with`], each rank a part of the batches: all ranks get the losses of all parts and,
/// if there are metrics, the predictions.
pub(crate) fn evaluate_together<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    mut metrics: Metrics<'_, T>,
    workspace: &mut Workspace<T>,
    exchange: &mut Exchange<'_, T>,
) -> Result<Evaluation, TrainError> {
    let (rank, ranks, shape) = (exchange.rank(), exchange.ranks(), network.output_shape());
    let meaning = network.meaning_by(loss);
    metrics.iter_mut().for_each(|metric| metric.start(meaning));
    let mut batches = Batches::sequential(data, BATCH)?;
    let count = batches.batches_per_epoch();
    let each = (MOST_PREDICTIONS / (BATCH * shape.len()).max(1)).max(1);
    let most = if metrics.is_empty() { count } else { ranks.saturating_mul(each) };
    let (mut total, mut received, mut judged) = (Total::default(), Vec::new(), Ok(()));
    for first in (0..count).step_by(most.max(1)) {
        let round = most.min(count - first);
        // Forward and the loss, for the batches of this rank.
        let (mut own, mut predictions) = (Vec::new(), Vec::new());
        let part = part_of(round, rank, ranks);
        batches.skip_to(first + part.start);
        for _ in part {
            let Some(batch) = batches.next_batch().filter(|_| judged.is_ok()) else { break };
            judged = judge_batch(network, loss, &batch, workspace).map(|total| {
                let bytes = total.to_le_bytes();
                own.extend((bytes.len() as u64).to_le_bytes().into_iter().chain(bytes));
                if !metrics.is_empty() {
                    predictions.extend_from_slice(workspace.prediction().slice());
                }
            });
        }
        let own = std::mem::replace(&mut judged, Ok(())).map(|()| own);
        for totals in share(exchange, "the losses of the validation", own)? {
            total = add_totals(total, &totals).ok_or_else(garbled)?;
        }
        if metrics.is_empty() {
            continue;
        }
        // The metrics, for all batches in their order.
        batches.skip_to(first);
        for from in 0..ranks {
            let part = part_of(round, from, ranks);
            let place = |batch: usize| data.len().min((first + batch) * BATCH);
            let y = if from == rank { &mut predictions } else { &mut received };
            y.resize((place(part.end) - place(part.start)) * shape.len(), T::ZERO);
            exchange.broadcast(from, y).map_err(TrainError::Exchange)?;
            let mut left = &y[..];
            for _ in part {
                let Some(batch) = batches.next_batch() else { break };
                let examples = batch.inputs.examples();
                let (y, behind) = left.split_at(examples * shape.len());
                left = behind;
                let y = Batch::new(y, examples, shape)?;
                for metric in &mut metrics {
                    judged = judged.and_then(|()| update(&mut **metric, y, &batch));
                }
            }
        }
    }
    judged?;
    evaluation(total, &metrics)
}

/// Adds the totals of which these are the bytes, each after their number; `None` if they are those of no totals.
fn add_totals(mut sum: Total, mut bytes: &[u8]) -> Option<Total> {
    while let Some((&len, rest)) = bytes.split_first_chunk::<8>() {
        let (total, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(len)).ok()?)?;
        sum += Total::from_le_bytes(total)?;
        bytes = rest;
    }
    bytes.is_empty().then_some(sum)
}

/// Forward and the loss for a batch, whose predictions are then in the workspace.
fn judge_batch<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    batch: &MiniBatch<'_, T>,
    workspace: &mut Workspace<T>,
) -> Result<Total, TrainError> {
    let y = network.forward(network.parameters(), inputs(batch.all_inputs())?, workspace, Mode::Evaluation)?;
    Ok(judge(loss, y, batch)?)
}

fn evaluation<T: Scalar>(total: Total, metrics: &Metrics<'_, T>) -> Result<Evaluation, TrainError> {
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
