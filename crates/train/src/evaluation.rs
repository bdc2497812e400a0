use downhill_data::{Batches, Dataset, MiniBatch};
use downhill_layers::{Inputs, MAX_INPUTS, Mode};
use downhill_losses::Loss;
use downhill_network::{Network, Purpose, Workspace};
use downhill_tensor::{Scalar, ShapeError};

use crate::{Metric, TrainError};

/// The mean loss and the metrics of a network on some data.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evaluation {
    /// The mean loss over the examples.
    pub loss: f64,
    /// The metrics, by name.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// The metric of this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// How many examples are evaluated at once.
const BATCH: usize = 256;

/// The mean loss and the metrics of `network` on `data`. Metrics start anew.
///
/// # Errors
/// Where the data do not fit the network or the loss.
pub fn evaluate<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    metrics: &mut [Box<dyn Metric<T>>],
) -> Result<Evaluation, TrainError> {
    evaluate_with(network, loss, data, metrics, &mut network.workspace(Purpose::Prediction))
}

pub(crate) fn evaluate_with<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    metrics: &mut [Box<dyn Metric<T>>],
    workspace: &mut Workspace<T>,
) -> Result<Evaluation, TrainError> {
    metrics.iter_mut().for_each(|metric| metric.reset());
    let mut batches = Batches::sequential(data, BATCH)?;
    let mut mean = Mean::default();
    while let Some(batch) = batches.next_batch() {
        let target = batch.targets;
        let y = network.forward(network.parameters(), inputs(&batch)?, workspace, Mode::Evaluation)?;
        mean.add(loss.value(y, target)?.to_f64(), y.examples());
        for metric in metrics.iter_mut() {
            metric.update(y, target)?;
        }
    }
    let metrics = metrics.iter().map(|metric| (metric.name(), metric.value())).collect();
    Ok(Evaluation { loss: mean.value(), metrics })
}

/// A mean over examples, from means over batches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    sum: f64,
    examples: usize,
}

impl Mean {
    pub(crate) fn add(&mut self, mean: f64, examples: usize) {
        self.sum += mean * examples as f64;
        self.examples += examples;
    }

    pub(crate) fn value(self) -> f64 {
        self.sum / self.examples as f64
    }
}

/// What the data hold, as a network takes it.
pub(crate) fn inputs<'a, T: Scalar>(batch: &MiniBatch<'a, T>) -> Result<Inputs<'a, T>, ShapeError> {
    let mut inputs = Inputs::none();
    for (index, input) in batch.all_inputs().enumerate() {
        if index == MAX_INPUTS {
            let (expected, got) = ("at most eight inputs", batch.all_inputs().count());
            return Err(ShapeError::Inputs { by: "a network", expected, got });
        }
        inputs.set(index, input);
    }
    Ok(inputs)
}
