//! The door: whatever `fit` would refuse is refused here, before anything is changed.

use downhill_data::{Batches, Dataset};
use downhill_layers::Mode;
use downhill_losses::{Loss, Total};
use downhill_network::{Network, Purpose};
use downhill_optim::{Optimizer, SettingError};
use downhill_tensor::{Batch, Scalar};

use super::Trainer;
use crate::divergence::find_segment;
use crate::early_stopping::Best;
use crate::error::Kept;
use crate::evaluation::{check_target_shape, inputs, judge, update};
use crate::{Cause, DataRole, Divergence, Metric, Place, TrainError};

impl<T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'_, T, L, O> {
    /// Checks the settings, the network, the data and the metrics, in this order.
    pub(super) fn check(&mut self, network: &Network<T>, data: &Dataset<T>) -> Result<(), TrainError> {
        self.check_settings()?;
        self.check_start(network)?;
        self.check_data(network, data, DataRole::Training)?;
        let (judged, role) = match self.validation {
            Some(validation) => (validation, DataRole::Validation),
            None => (data, DataRole::Training),
        };
        if role == DataRole::Validation {
            self.check_data(network, judged, role)?;
        }
        self.check_metrics(network, judged).map_err(|error| error.of(role))
    }

    /// Checks the settings, the network and the validation data of a run whose training data are not in memory.
    pub(super) fn check_source(&mut self, network: &Network<T>) -> Result<(), TrainError> {
        self.check_settings()?;
        self.check_start(network)?;
        let Some(judged) = self.validation else {
            if let Some(metric) = self.metrics.first() {
                return Err(TrainError::NothingToJudge { metric: metric.name() });
            }
            return Ok(());
        };
        self.check_data(network, judged, DataRole::Validation)?;
        self.check_metrics(network, judged).map_err(|error| error.of(DataRole::Validation))
    }

    /// Checks that the network is finite: no step mends a number that is not, and none is to blame for it.
    fn check_start(&self, network: &Network<T>) -> Result<(), TrainError> {
        let parameter = find_segment(network.segments(), network.parameters());
        match parameter.or_else(|| find_segment(network.statistic_segments(), network.statistics())) {
            None => Ok(()),
            Some(parameter) => Err(Divergence {
                step: self.clock.steps,
                epoch: self.clock.epochs + 1,
                loss: f64::NAN,
                place: Place::Parameter(parameter.clone()),
                learning_rate: self.optimizer.learning_rate(),
                cause: Cause::Start { parameter },
                findings: None,
                kept: Kept::Epoch,
            }
            .into()),
        }
    }

    pub(super) fn check_settings(&self) -> Result<(), TrainError> {
        self.optimizer.check()?;
        self.rates.check(&self.optimizer)?;
        if let Some(penalty) = &self.penalty {
            penalty.check()?;
        }
        if let Some(rule) = &self.early_stopping {
            Best::<T>::new(rule, &self.metric_directions())?;
        }
        if self.epochs == 0 {
            return Err(SettingError::new("the number of epochs", 0.0, "at least 1").into());
        }
        if self.micro_batches == 0 {
            return Err(SettingError::new("the number of accumulated batches", 0.0, "at least 1").into());
        }
        if let Some(averaging) = &self.averaging {
            averaging.check()?;
            if self.optimizer.evaluation_point(&[], &mut []) {
                let requirement = "left out: this optimizer averages weights itself";
                return Err(SettingError::new("the average of weights", 1.0, requirement).into());
            }
        }
        if self.watch.is_some() && self.exchange.is_some() {
            let requirement = "left out: it observes the passes of one process, and an exchange joins those of several";
            return Err(SettingError::new("the diagnosis", 1.0, requirement).into());
        }
        #[cfg(feature = "checkpoint")]
        self.check_checkpoints()?;
        match self.clipping {
            Some(clipping) => Ok(clipping.check()?),
            None => Ok(()),
        }
    }

    fn check_data(&self, network: &Network<T>, data: &Dataset<T>, role: DataRole) -> Result<(), TrainError> {
        self.try_data(network, data, role).map_err(|error| error.of(role))
    }

    /// Shows the network all inputs, and the loss all targets next to the predictions of one forward pass.
    fn try_data(&self, network: &Network<T>, data: &Dataset<T>, role: DataRole) -> Result<(), TrainError> {
        check_target_shape(network, &self.loss, data)?;
        network.check_inputs(inputs(data.all_inputs())?, Mode::Evaluation)?;
        let mut batches = Batches::sequential(data, self.batch_size)?;
        let whole = self.batch_size.min(data.len());
        // A rank's batch may be too small for a layer that takes all of them as one.
        let is_part = self.exchange.as_ref().is_some_and(|exchange| exchange.is_synchronized()) && network.gathers();
        let prediction = self.predict_once(network, data)?;
        let mut total = Total::default();
        while let Some(batch) = batches.next_batch() {
            let examples = batch.inputs.examples();
            // A last batch that is left out holds other examples in every epoch, so that all are looked at here.
            let is_stepped = role == DataRole::Training && !is_part && (examples == whole || !self.drop_last);
            let mode = if is_stepped {
                Mode::Training { step: self.clock.steps * self.micro_batches }
            } else {
                Mode::Evaluation
            };
            network.check_inputs(inputs(batch.all_inputs())?, mode)?;
            total += judge(&self.loss, rows(&prediction, network, examples)?, &batch)?;
        }
        if total.is_empty() { Err(TrainError::NothingCounts { data: role }) } else { Ok(()) }
    }

    /// Shows the metrics all targets that they will judge.
    fn check_metrics(&mut self, network: &Network<T>, judged: &Dataset<T>) -> Result<(), TrainError> {
        if self.metrics.is_empty() {
            return Ok(());
        }
        let meaning = network.meaning_by(&self.loss);
        let prediction = self.predict_once(network, judged)?;
        let mut batches = Batches::sequential(judged, self.batch_size)?;
        self.metrics.iter_mut().for_each(|metric| metric.start(meaning));
        while let Some(batch) = batches.next_batch() {
            let y = rows(&prediction, network, batch.inputs.examples())?;
            for metric in &mut self.metrics {
                update(&mut **metric, y, &batch)?;
            }
        }
        Ok(())
    }

    /// The predictions for the first batch, which is as large as any.
    fn predict_once(&self, network: &Network<T>, data: &Dataset<T>) -> Result<Vec<T>, TrainError> {
        let mut workspace = network.workspace(Purpose::Prediction);
        let mut batches = Batches::sequential(data, self.batch_size)?;
        let Some(batch) = batches.next_batch() else { return Ok(Vec::new()) };
        let y = network.forward(network.parameters(), inputs(batch.all_inputs())?, &mut workspace, Mode::Evaluation)?;
        Ok(y.slice().to_vec())
    }
}

/// The first predictions of a batch, for this many examples.
fn rows<'p, T: Scalar>(prediction: &'p [T], network: &Network<T>, examples: usize) -> Result<Batch<'p, T>, TrainError> {
    let shape = network.output_shape();
    Ok(Batch::new(&prediction[..examples * shape.len()], examples, shape)?)
}
