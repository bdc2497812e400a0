//! The training loop, the only one there is: the steps of an epoch, what is judged after it, and who may end the run.

use std::ops::ControlFlow::{self, Break, Continue};
use std::ops::Range;
use std::time::Instant;

use downhill_data::{Batches, Dataset, MiniBatch};
use downhill_layers::Mode;
use downhill_losses::{Loss, Total};
use downhill_network::{Network, PassError, Purpose, Workspace};
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

use super::Trainer;
use crate::divergence::{find_cause, find_place, find_segment};
use crate::early_stopping::Best;
use crate::error::{Cause, Place};
use crate::evaluation::{evaluate_with, inputs, placed};
use crate::other_point::OtherPoint;
use crate::progress::Display;
use crate::snapshot::Snapshot;
use crate::{
    Callback, DataRole, Divergence, EpochEnd, EpochRecord, History, RunEnd, RunStart, StepEnd, StopHandle, StopReason,
    TrainError,
};

/// Trains for the epochs of one call of `fit` or `resume`.
pub(super) fn run<T: Scalar, L: Loss, O: Optimizer<T>>(
    trainer: &mut Trainer<'_, T, L, O>,
    network: &mut Network<T>,
    data: &Dataset<T>,
) -> Result<History, TrainError> {
    let mut batches = trainer.batches(data)?;
    let mut run = Run::new(trainer, network, data, batches.batches_per_epoch())?;
    run.tell_start(batches.batches_per_epoch());
    let result = run.train(&mut batches).map(|reason| run.finish(reason));
    let end = RunEnd { result: result.as_ref(), network };
    trainer.callbacks.iter_mut().for_each(|callback| callback.on_end(&end));
    result
}

/// A run under way.
struct Run<'r, 'a, T: Scalar, L, O> {
    trainer: &'r mut Trainer<'a, T, L, O>,
    network: &'r mut Network<T>,
    data: &'r Dataset<T>,
    started: Instant,
    /// The epochs of this run, counted from 0.
    epochs: Range<u64>,
    display: Display,
    training: Workspace<T>,
    judging: Workspace<T>,
    /// The network after the last good epoch.
    good: Snapshot<T>,
    best: Option<Best<T>>,
    other_point: OtherPoint<T>,
    history: History,
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> Run<'_, '_, T, L, O> {
    /// Tells every callback that the run starts.
    fn tell_start(&mut self, steps_per_epoch: usize) {
        let settings = self.trainer.settings();
        let metrics: Vec<String> = self.trainer.metrics.iter().map(|metric| metric.name()).collect();
        let examples = (steps_per_epoch as u64).saturating_mul(self.trainer.batch_size as u64);
        let start = RunStart {
            epochs: self.epochs.clone(),
            step: self.trainer.clock.steps,
            steps_per_epoch: Some(steps_per_epoch as u64),
            // The last batch may be smaller, or be left out.
            examples_per_epoch: Some(examples.min(self.data.len() as u64)),
            metrics: &metrics,
            settings: &settings,
            network: self.network,
        };
        self.trainer.callbacks.iter_mut().for_each(|callback| callback.on_start(&start));
    }

    /// Goes through the epochs.
    fn train(&mut self, batches: &mut Batches<'_, T>) -> Result<StopReason, TrainError> {
        for number in self.epochs.clone() {
            let mut epoch = Epoch::new(number);
            self.display.start_epoch(number + 1);
            batches.start_epoch(number);
            while let Some(batch) = batches.next_batch() {
                if let Break(reason) = self.step(&batch, &mut epoch)? {
                    return Ok(reason);
                }
            }
            let record = self.validate(&epoch)?;
            if let Break(reason) = self.end_epoch(record) {
                return Ok(reason);
            }
        }
        Ok(StopReason::Completed)
    }

    /// Takes one step: θ ← θ − step(g), with g = dJ/dθ of the batch.
    fn step(&mut self, batch: &MiniBatch<'_, T>, epoch: &mut Epoch) -> Result<ControlFlow<StopReason>, TrainError> {
        let Trainer { loss, optimizer, rates, clipping, penalty, clock, .. } = &mut *self.trainer;
        let step = clock.steps;
        epoch.batches += 1;
        rates.before_step(optimizer, step, epoch.number);
        // Forward, the loss, backward: J(θ) and g = dJ/dθ.
        let (x, mode) = (inputs(batch.all_inputs())?, Mode::Training { step });
        let (targets, weights) = (batch.targets, batch.weights);
        let total = self.network.backpropagate_weighted(x, targets, weights, loss, &mut self.training, mode);
        let total = total.map_err(|error| self.good.after(pass_error(error, batch.indices), self.network))?;
        if total.is_empty() {
            epoch.total += total;
            return Ok(Continue(()));
        }
        let gradient = self.training.gradient_mut();
        let penalty = penalty.as_ref().map_or(0.0, |penalty| penalty.add(self.network.parameters(), gradient));
        let loss = total.value() + penalty;
        let clipped = clipping.is_none_or(|clipping| clipping.clip(gradient));
        let learning_rate = optimizer.learning_rate();
        if !(loss.is_finite() && clipped) {
            let place = find_place(self.network, x, gradient, &mut self.judging)?;
            return Err(self.diverged(step, loss, place, epoch)?.into());
        }
        self.network.step(optimizer, &mut self.training)?;
        clock.steps += 1;
        self.history.steps += 1;
        epoch.add(total, penalty);
        self.display.step(loss);
        let (gradient, network) = (self.training.gradient(), &*self.network);
        let end = StepEnd { step, epoch: epoch.number + 1, loss, learning_rate, gradient, network };
        if tell(&mut self.trainer.callbacks, |callback| callback.on_step(&end)) {
            return Ok(Break(StopReason::Callback));
        }
        let is_stopped = self.trainer.stops.iter().any(StopHandle::is_stopped);
        Ok(if is_stopped { Break(StopReason::Interrupted) } else { Continue(()) })
    }

    /// Judges the network after an epoch.
    fn validate(&mut self, epoch: &Epoch) -> Result<EpochRecord, TrainError> {
        let optimizer = &self.trainer.optimizer;
        self.other_point.judge(self.network, optimizer);
        let parameter = find_segment(self.network.segments(), self.network.parameters()).map(Place::Parameter);
        let memory = || optimizer.check_memory().err().map(|error| Place::Memory(error.slot().to_owned()));
        if let Some(place) = parameter.or_else(memory) {
            let step = self.trainer.clock.steps.saturating_sub(1);
            return Err(self.diverged(step, epoch.training_loss(), place, epoch)?.into());
        }
        let Trainer { loss, metrics, validation, .. } = &mut *self.trainer;
        let (judged, role) = match *validation {
            Some(validation) => (Some(validation), DataRole::Validation),
            None => (Some(self.data).filter(|_| !metrics.is_empty()), DataRole::Training),
        };
        let judged = judged.map(|data| {
            let metrics = metrics.iter_mut().map(|metric| &mut **metric as _).collect();
            evaluate_with(self.network, loss, data, metrics, &mut self.judging)
        });
        let judged = judged.transpose().map_err(|error| self.good.after(error.of(role), self.network))?;
        Ok(EpochRecord {
            epoch: epoch.number + 1,
            training_loss: epoch.training_loss(),
            validation_loss: judged.as_ref().filter(|_| validation.is_some()).map(|judged| judged.loss),
            metrics: judged.map(|judged| judged.metrics).unwrap_or_default(),
            learning_rate: self.trainer.optimizer.learning_rate(),
            seconds: epoch.started.elapsed().as_secs_f64(),
        })
    }

    /// Shows and keeps an epoch, and goes back to where the network is trained.
    fn end_epoch(&mut self, record: EpochRecord) -> ControlFlow<StopReason> {
        let Trainer { optimizer, rates, callbacks, clock, .. } = &mut *self.trainer;
        self.display.end_epoch(&record);
        rates.after_epoch(optimizer, record.validation_loss.unwrap_or(record.training_loss));
        clock.epochs = record.epoch;
        let (parameters, statistics) = (self.network.parameters(), self.network.statistics());
        self.good.keep(parameters, statistics);
        let end = EpochEnd { record: &record, network: self.network };
        let stop = tell(callbacks, |callback| callback.on_epoch(&end));
        let exhausted = self.best.as_mut().is_some_and(|best| best.observe(&record, parameters, statistics));
        self.history.epochs.push(record);
        self.other_point.train(self.network);
        match (stop, exhausted) {
            (true, _) => Break(StopReason::Callback),
            (false, true) => Break(StopReason::EarlyStopping),
            (false, false) => Continue(()),
        }
    }
}

impl<'r, 'a, T: Scalar, L: Loss, O: Optimizer<T>> Run<'r, 'a, T, L, O> {
    fn new(
        trainer: &'r mut Trainer<'a, T, L, O>,
        network: &'r mut Network<T>,
        data: &'r Dataset<T>,
        steps_per_epoch: usize,
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let epochs = trainer.clock.epochs..trainer.clock.epochs.saturating_add(trainer.epochs);
        let display = Display::new(trainer.progress, (epochs.start + 1, epochs.end), steps_per_epoch as u64);
        let (training, judging) = (network.workspace(Purpose::Training), network.workspace(Purpose::Prediction));
        let best = match (trainer.best.take(), &trainer.early_stopping) {
            (None, Some(rule)) => Some(Best::new(rule, &trainer.metric_directions())?),
            (best, _) => best,
        };
        let good = Snapshot::of(network);
        let other_point = trainer.other_point.take().filter(|other| other.fits(network));
        let mut other_point = other_point.unwrap_or_else(|| OtherPoint::new(network));
        other_point.go_on(network, &trainer.optimizer, best.as_ref().map(|best| best.snapshot.parameters()));
        let history = History::default();
        Ok(Self {
            trainer,
            network,
            data,
            started,
            epochs,
            display,
            training,
            judging,
            good,
            best,
            other_point,
            history,
        })
    }

    /// Leaves the network at its best epoch, or at the point where it was judged last.
    fn finish(&mut self, reason: StopReason) -> History {
        self.display.finish();
        self.other_point.judge(self.network, &self.trainer.optimizer);
        // After a stop within an epoch the network holds the parameters of none, unless there is a best one.
        let is_complete = self.network.parameters() == self.good.parameters();
        let mut history = std::mem::take(&mut self.history);
        history.reason = reason;
        history.kept_epoch = history.epochs.last().map(|record| record.epoch).filter(|_| is_complete);
        if let Some(best) = self.best.as_ref().filter(|best| best.epoch > 0) {
            best.snapshot.put_back(self.network);
            history.kept_epoch = Some(best.epoch);
        }
        let other_point = std::mem::replace(&mut self.other_point, OtherPoint::empty());
        (self.trainer.best, self.trainer.other_point) = (self.best.take(), Some(other_point));
        history.seconds = self.started.elapsed().as_secs_f64();
        history
    }

    /// Puts the network back to the last good epoch, and finds out what is to blame for what came after it.
    fn diverged(&mut self, step: u64, loss: f64, place: Place, epoch: &Epoch) -> Result<Divergence, TrainError> {
        self.good.put_back(self.network);
        let mut batches = self.trainer.batches(self.data)?;
        batches.start_epoch(epoch.number);
        let suspects = if epoch.number == self.epochs.start { epoch.batches } else { 0 };
        let (trained_on, mode) = (&self.trainer.loss, Mode::Training { step });
        let cause = match find_cause(self.network, trained_on, self.data, &mut batches, suspects, mode)? {
            // A slower walk would overflow as well.
            Cause::LearningRate if matches!(place, Place::Memory(_)) => Cause::LargeGradient,
            cause => cause,
        };
        let learning_rate = self.trainer.optimizer.learning_rate();
        Ok(Divergence { step, epoch: epoch.number + 1, loss, place, learning_rate, cause })
    }
}

/// An epoch under way.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// Counted from 0.
    number: u64,
    started: Instant,
    /// The batches so far, those without a step too.
    batches: usize,
    steps: u64,
    total: Total,
    penalties: f64,
}

impl Epoch {
    fn new(number: u64) -> Self {
        Self { number, started: Instant::now(), batches: 0, steps: 0, total: Total::default(), penalties: 0.0 }
    }

    fn add(&mut self, total: Total, penalty: f64) {
        self.steps += 1;
        self.total += total;
        self.penalties += penalty;
    }

    /// Adds the loss of all batches at once and the mean penalty of the steps.
    fn training_loss(&self) -> f64 {
        self.total.value() + self.penalties / self.steps as f64
    }
}

/// Tells every callback, also after one that wants to stop, and returns whether one does.
fn tell<'a, T>(
    callbacks: &mut [Box<dyn Callback<T> + 'a>],
    mut event: impl FnMut(&mut (dyn Callback<T> + 'a)) -> ControlFlow<()>,
) -> bool {
    callbacks.iter_mut().filter_map(|callback| event(&mut **callback).break_value()).count() > 0
}

/// Turns the error of a pass into one that names examples by these places in the training data.
fn pass_error(error: PassError, indices: &[usize]) -> TrainError {
    let error: TrainError = match error {
        PassError::Target(error) => placed(error, indices).into(),
        other => other.into(),
    };
    error.of(DataRole::Training)
}
