//! The training loop, the only one there is: the steps of an epoch, what is judged after it, and who may end the run.

mod together;

use std::ops::ControlFlow::{self, Break, Continue};
use std::ops::Range;
use std::time::Instant;

use downhill_data::MiniBatch;
use downhill_layers::Mode;
use downhill_losses::{Loss, Total};
use downhill_network::{Network, PassError, Purpose, Workspace};
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

use self::together::Together;
use super::update::{NotFinite, Updated};
use super::{Clock, Trainer};
#[cfg(feature = "checkpoint")]
use crate::averaging::Averaging;
#[cfg(feature = "checkpoint")]
use crate::checkpoint::{Facts, Keeper, State};
use crate::diagnosis::Moment;
use crate::divergence::{find_cause, find_gradient, find_place, find_segment};
use crate::early_stopping::Best;
use crate::error::{Cause, Kept, Place};
use crate::evaluation::{evaluate_together, evaluate_with, inputs, placed};
use crate::exchange::agree;
#[cfg(feature = "checkpoint")]
use crate::exchange::complete_state;
use crate::feed::{Feed, Known};
use crate::other_point::OtherPoint;
use crate::progress::Display;
use crate::snapshot::Snapshot;
use crate::{
    Callback, DataRole, Divergence, EpochEnd, EpochRecord, History, Progress, RunEnd, RunStart, Slowest, StepEnd,
    StopHandle, StopReason, TrainError,
};

/// Trains for the epochs of one call of `fit` or `continue_fit`.
pub(super) fn run<T: Scalar, L: Loss, O: Optimizer<T>>(
    trainer: &mut Trainer<'_, T, L, O>,
    network: &mut Network<T>,
    batches: &mut dyn Feed<T>,
    data: &Known<'_, T>,
    begin: Begin<T>,
) -> Result<History, TrainError> {
    let mut run = Run::new(trainer, network, data, begin)?;
    let rounds = run.agree_on_rounds(batches, 0)?.or_else(|| batches.batches_per_epoch());
    let steps = rounds.map(|batches| (batches as u64).div_ceil(run.trainer.micro_batches));
    run.display.expect_steps(steps.unwrap_or(0));
    run.tell_start(steps);
    let result = run.train(batches).and_then(|reason| run.finish(reason));
    let end = RunEnd { result: result.as_ref(), network };
    trainer.callbacks.iter_mut().for_each(|callback| callback.on_end(&end));
    result
}

/// The point that a run begins at.
pub(crate) struct Begin<T> {
    /// The first epoch of the run, counted from 0, which may have been completed in an earlier process.
    pub(crate) first_epoch: u64,
    /// The epoch under way, if the run begins within one.
    pub(crate) epoch: Option<Epoch>,
    /// What the run has seen so far.
    pub(crate) history: History,
    /// The network after the last whole epoch, unless it is as it begins.
    pub(crate) good: Option<Snapshot<T>>,
    #[cfg(feature = "checkpoint")]
    pub(crate) checkpoints: Option<(Keeper, Facts)>,
}

impl<T> Begin<T> {
    /// Begins an epoch without a history.
    pub(super) fn at(clock: Clock) -> Self {
        Self {
            first_epoch: clock.epochs,
            epoch: None,
            history: History::default(),
            good: None,
            #[cfg(feature = "checkpoint")]
            checkpoints: None,
        }
    }
}

/// A run under way.
struct Run<'r, 'a, T: Scalar, L, O> {
    trainer: &'r mut Trainer<'a, T, L, O>,
    network: &'r mut Network<T>,
    data: &'r Known<'r, T>,
    started: Instant,
    /// The epochs of this run that are left, counted from 0.
    epochs: Range<u64>,
    #[cfg(feature = "checkpoint")]
    first_epoch: u64,
    /// The epoch that an earlier process has begun.
    begun: Option<Epoch>,
    /// The seconds of earlier processes.
    earlier: f64,
    display: Display,
    training: Workspace<T>,
    judging: Workspace<T>,
    /// The network after the last good epoch.
    good: Snapshot<T>,
    best: Option<Best<T>>,
    other_point: OtherPoint<T>,
    /// What other ranks are waited for with, if there are any.
    together: Option<Together<T>>,
    history: History,
    #[cfg(feature = "checkpoint")]
    checkpoints: Option<(Keeper, Facts)>,
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> Run<'_, '_, T, L, O> {
    /// Tells every callback that the run starts.
    fn tell_start(&mut self, steps_per_epoch: Option<u64>) {
        let settings = self.trainer.settings();
        let resumed = self.history.resumed.as_ref();
        if let Some(resumed) = resumed {
            self.display.note(resumed);
        }
        let metrics: Vec<String> = self.trainer.metrics.iter().map(|metric| metric.name()).collect();
        let step = self.trainer.micro_batches.saturating_mul(self.data.batch_size as u64);
        let examples = steps_per_epoch.map(|steps| steps.saturating_mul(step));
        let start = RunStart {
            epochs: self.epochs.clone(),
            step: self.trainer.clock.steps,
            steps_per_epoch,
            // The last batch may be smaller, or be left out.
            examples_per_epoch: examples.map(|examples| examples.min(self.data.examples.unwrap_or(u64::MAX))),
            metrics: &metrics,
            settings: &settings,
            resumed,
            network: self.network,
        };
        self.trainer.callbacks.iter_mut().for_each(|callback| callback.on_start(&start));
        if let Some(watch) = &mut self.trainer.watch {
            let said = &self.history.warnings;
            watch.start(self.network, self.data, said, self.trainer.clock.steps);
        }
    }

    /// Tells of what has been found since the last call.
    fn tell_warnings(&mut self) {
        let Trainer { watch: Some(watch), callbacks, .. } = &mut *self.trainer else { return };
        for warned in watch.news() {
            self.display.note(format_args!("warning, {warned}"));
            callbacks.iter_mut().for_each(|callback| callback.on_warning(warned));
            self.history.warnings.push(warned.clone());
        }
    }

    /// Goes through the epochs.
    fn train(&mut self, batches: &mut dyn Feed<T>) -> Result<StopReason, TrainError> {
        if self.best.as_ref().is_some_and(Best::is_exhausted) {
            return Ok(StopReason::EarlyStopping);
        }
        for number in self.epochs.clone() {
            let mut epoch = self.begun.take().unwrap_or_else(|| Epoch::new(number));
            self.display.start_epoch(number + 1);
            batches.start_epoch(number);
            batches.skip_to(epoch.batches);
            let (mut rounds, mut position) = (self.agree_on_rounds(batches, epoch.batches)?, epoch.batches);
            loop {
                let flow = match (&mut rounds, &self.together) {
                    (Some(0), _) => break,
                    (Some(rounds), Some(together)) => {
                        *rounds -= 1;
                        let batch = together.next_batch(batches, &epoch, &mut position);
                        self.step_together(batch, &mut epoch)?
                    }
                    _ => match batches.next_batch().map_err(|error| self.good.after(error, self.network))? {
                        Some(batch) => self.step(&batch, &mut epoch)?,
                        None => break,
                    },
                };
                if let Break(reason) = flow {
                    self.save(Some(&epoch), None)?;
                    return Ok(reason);
                }
            }
            if let Break(reason) = self.update(&mut epoch)? {
                self.save(Some(&epoch), None)?;
                return Ok(reason);
            }
            let slowest = self.find_slowest()?;
            let record = self.validate(&epoch);
            let record = agree(self.trainer.exchange.as_mut(), "the validation", record);
            let record = record.map_err(|error| self.good.after(error, self.network))?;
            if let Break(reason) = self.end_epoch(record, slowest)? {
                return Ok(reason);
            }
        }
        Ok(StopReason::Completed)
    }

    /// Computes the gradient of a batch, and takes a step if as many batches as make one have been seen.
    fn step(&mut self, batch: &MiniBatch<'_, T>, epoch: &mut Epoch) -> Result<ControlFlow<StopReason>, TrainError> {
        let Trainer { loss, optimizer, rates, micro_batches, clock, watch, .. } = &mut *self.trainer;
        epoch.batches += 1;
        if epoch.waiting == 0 {
            rates.before_step(optimizer, clock.steps, epoch.number);
        }
        // Forward, the loss, backward: J(θ) and g = dJ/dθ.
        let (step, micro_batches) = (clock.steps, *micro_batches);
        let mode = Mode::Training { step: step * micro_batches + epoch.waiting };
        let x = inputs(batch.all_inputs())?;
        let (targets, weights) = (batch.targets, batch.weights);
        let moment = Moment { step, epoch: epoch.number + 1, waiting: epoch.waiting };
        let observer = watch.as_mut().and_then(|watch| watch.before_pass(self.network, batch, moment));
        let (network, workspace) = (&mut *self.network, &mut self.training);
        let total = match (micro_batches, observer) {
            (1, None) => network.backpropagate_weighted(x, targets, weights, loss, workspace, mode),
            (1, Some(observer)) => network.backpropagate_observed(x, targets, weights, loss, workspace, mode, observer),
            (_, None) => network.accumulate_weighted(x, targets, weights, loss, workspace, mode),
            (_, Some(observer)) => network.accumulate_observed(x, targets, weights, loss, workspace, mode, observer),
        };
        let total = total.map_err(|error| self.good.after(pass_error(error, batch.indices), self.network))?;
        epoch.waiting += 1;
        epoch.step_total += total;
        if !total.is_empty() && !total.value().is_finite() {
            self.training.average();
            let place = find_place(self.network, x, Some(self.training.gradient()), &mut self.judging)?;
            if let Some(watch) = &mut self.trainer.watch {
                watch.locate(&place, self.network, batch, self.training.gradient(), &mut self.judging);
            }
            return Err(self.diverged(step, total.value(), place, epoch)?.into());
        }
        if let Some(watch) = &mut self.trainer.watch {
            watch.after_pass(self.network, batch, moment, &self.training, &self.trainer.loss);
        }
        if epoch.waiting < micro_batches { Ok(Continue(())) } else { self.update(epoch) }
    }

    /// Takes one step by the gradients so far, if there are any: θ ← θ − step(g), with g = dJ/dθ.
    fn update(&mut self, epoch: &mut Epoch) -> Result<ControlFlow<StopReason>, TrainError> {
        self.exchange_rest(epoch)?;
        let total = std::mem::take(&mut epoch.step_total);
        epoch.total += total;
        if std::mem::take(&mut epoch.waiting) == 0 || total.is_empty() {
            return Ok(self.agreed_stop());
        }
        self.take_mean(total)?;
        let step = self.trainer.clock.steps;
        let stepped = self.together.as_mut().and_then(|together| together.stepped.as_mut());
        let taken = self.trainer.update(self.network, &mut self.training, total, stepped)?;
        let Updated { loss, penalty, learning_rate } = match taken {
            Ok(updated) => updated,
            Err(NotFinite { loss }) => {
                self.complete_gradient(total)?;
                let place = find_gradient(self.network, self.training.gradient());
                let found = self.diverged(step, loss, place, epoch).map_or_else(|error| error, TrainError::from);
                return Err(self.agree_on_error(Some(found)));
            }
        };
        if let Some(averaging) = &mut self.trainer.averaging {
            averaging.after_step(self.network.parameters(), self.network.statistics());
        }
        self.history.steps += 1;
        epoch.add(penalty);
        self.display.step(loss);
        let (gradient, network) = (self.training.gradient(), &*self.network);
        let end = StepEnd { step, epoch: epoch.number + 1, loss, learning_rate, gradient, network };
        let stop = tell(&mut self.trainer.callbacks, |callback| callback.on_step(&end));
        if let Some(norms) = self.trainer.watch.as_mut().and_then(|watch| watch.after_step(&end)) {
            self.trainer.callbacks.iter_mut().for_each(|callback| callback.on_norms(norms));
        }
        self.tell_warnings();
        let mut flow = Continue(());
        if stop {
            flow = self.stop_for(StopReason::Callback);
        } else if self.trainer.stops.iter().any(StopHandle::is_stopped) {
            flow = self.stop_for(StopReason::Interrupted);
        }
        if flow.is_continue() {
            flow = self.agreed_stop();
        }
        if flow.is_continue() {
            self.save_if_due(epoch)?;
        }
        Ok(flow)
    }

    /// Judges the network after an epoch.
    fn validate(&mut self, epoch: &Epoch) -> Result<EpochRecord, TrainError> {
        let Trainer { optimizer, averaging, .. } = &mut *self.trainer;
        if let Some(averaging) = averaging {
            averaging.after_epoch(epoch.number, self.network.parameters(), self.network.statistics());
        }
        self.other_point.judge(self.network, optimizer, averaging.as_ref());
        let parameter = find_segment(self.network.segments(), self.network.parameters()).map(Place::Parameter);
        let memory = || optimizer.check_memory().err().map(|error| Place::Memory(error.slot().to_owned()));
        let place = parameter.or_else(memory);
        let checked = place.map_or(Ok(()), |place| {
            let step = self.trainer.clock.steps.saturating_sub(1);
            Err(self.diverged(step, epoch.training_loss(), place, epoch).map_or_else(|error| error, TrainError::from))
        });
        let checked = agree(self.trainer.exchange.as_mut(), "the weights after an epoch", checked);
        checked.map_err(|error| self.good.after(error, self.network))?;
        let Trainer { loss, metrics, validation, exchange, .. } = &mut *self.trainer;
        let (judged, role) = match *validation {
            Some(validation) => (Some(validation), DataRole::Validation),
            None => (self.data.dataset.filter(|_| !metrics.is_empty()), DataRole::Training),
        };
        let judged = judged.map(|data| {
            let metrics = metrics.iter_mut().map(|metric| &mut **metric as _).collect();
            match exchange {
                None => evaluate_with(self.network, loss, data, metrics, &mut self.judging),
                Some(exchange) => evaluate_together(self.network, loss, data, metrics, &mut self.judging, exchange),
            }
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
    fn end_epoch(
        &mut self,
        record: EpochRecord,
        slowest: Option<Slowest>,
    ) -> Result<ControlFlow<StopReason>, TrainError> {
        let Trainer { loss, optimizer, rates, validation, callbacks, watch, clock, .. } = &mut *self.trainer;
        self.display.end_epoch(&record, slowest);
        rates.after_epoch(optimizer, record.validation_loss.unwrap_or(record.training_loss));
        clock.epochs = record.epoch;
        let (parameters, statistics) = (self.network.parameters(), self.network.statistics());
        self.good.keep(parameters, statistics);
        let end = EpochEnd { record: &record, network: self.network, slowest };
        let stop = tell(callbacks, |callback| callback.on_epoch(&end));
        if let Some(watch) = watch {
            watch.after_epoch(self.network, loss, *validation);
        }
        let exhausted = self.best.as_mut().is_some_and(|best| best.observe(&record, parameters, statistics));
        self.history.epochs.push(record.clone());
        self.tell_warnings();
        let stop = self.agree_on_epoch(record.epoch, stop)?;
        self.other_point.train(self.network);
        let flow = match (stop, exhausted) {
            (Some(reason), _) => Break(reason),
            (None, true) => Break(StopReason::EarlyStopping),
            (None, false) => Continue(()),
        };
        if flow.is_break() || record.epoch == self.epochs.end || self.is_due_after(&record)? {
            self.save(None, Some(&record))?;
        }
        Ok(flow)
    }

    #[cfg(feature = "checkpoint")]
    fn is_due_after(&mut self, record: &EpochRecord) -> Result<bool, TrainError> {
        let own = self.checkpoints.as_ref().is_some_and(|(keeper, _)| keeper.is_due_after_epoch(record));
        self.by_rank_0(own)
    }

    #[cfg(not(feature = "checkpoint"))]
    fn is_due_after(&mut self, _: &EpochRecord) -> Result<bool, TrainError> {
        Ok(false)
    }

    /// Writes a checkpoint after a step, if it is time.
    fn save_if_due(&mut self, epoch: &Epoch) -> Result<(), TrainError> {
        #[cfg(feature = "checkpoint")]
        {
            let steps = self.trainer.clock.steps;
            let own = self.checkpoints.as_ref().is_some_and(|(keeper, _)| keeper.is_due_after_step(steps));
            if self.by_rank_0(own)? {
                return self.save(Some(epoch), None);
            }
        }
        let _ = epoch;
        Ok(())
    }

    /// Writes a checkpoint, if the run keeps any: within an epoch, or after one. Rank 0 writes it for all.
    fn save(&mut self, epoch: Option<&Epoch>, ended: Option<&EpochRecord>) -> Result<(), TrainError> {
        #[cfg(feature = "checkpoint")]
        if self.trainer.checkpoints.is_some() {
            let written = self.write_checkpoint(epoch, ended);
            return agree(self.trainer.exchange.as_mut(), "a checkpoint", written);
        }
        let _ = (epoch, ended);
        Ok(())
    }

    #[cfg(feature = "checkpoint")]
    fn write_checkpoint(&mut self, epoch: Option<&Epoch>, ended: Option<&EpochRecord>) -> Result<(), TrainError> {
        let part = self.together.as_ref().and_then(|together| Some(&together.stepped.as_ref()?.owned));
        let mut optimizer_state = part.map(|_| self.trainer.optimizer.state());
        if let (Some(part), Some(state), Some(exchange)) = (part, &mut optimizer_state, &mut self.trainer.exchange) {
            complete_state(exchange, state, part, self.network.parameters().len())?;
        }
        if let Some((keeper, facts)) = &mut self.checkpoints {
            self.history.seconds = self.earlier + self.started.elapsed().as_secs_f64();
            let Trainer { optimizer, rates, averaging, callbacks, clock, .. } = &*self.trainer;
            let mut state = State {
                network: self.network,
                optimizer: optimizer_state.unwrap_or_else(|| optimizer.state()),
                clock: *clock,
                first_epoch: self.first_epoch,
                epoch: epoch.copied(),
                history: &self.history,
                plateau: rates.plateau(),
                good: &self.good,
                best: self
                    .best
                    .as_ref()
                    .filter(|best| best.standing.epoch > 0)
                    .map(|best| (best.standing, &best.snapshot)),
                average: averaging.as_ref().map(Averaging::states),
                callbacks: callbacks.iter().map(|callback| callback.memory()).collect(),
                facts,
                best_checkpoints: Vec::new(),
            };
            keeper.write(&mut state, ended)?;
        }
        Ok(())
    }
}

impl<'r, 'a, T: Scalar, L: Loss, O: Optimizer<T>> Run<'r, 'a, T, L, O> {
    fn new(
        trainer: &'r mut Trainer<'a, T, L, O>,
        network: &'r mut Network<T>,
        data: &'r Known<'r, T>,
        begin: Begin<T>,
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let epochs = trainer.clock.epochs..begin.first_epoch.saturating_add(trainer.epochs);
        let together = Together::new(trainer.exchange.as_ref(), trainer.micro_batches, &trainer.optimizer, network);
        let is_first = trainer.exchange.as_ref().is_none_or(|exchange| exchange.rank() == 0);
        let progress = if is_first { trainer.progress } else { Progress::Quiet };
        let display = Display::new(progress, (epochs.start + 1, epochs.end));
        let (training, judging) = (network.workspace(Purpose::Training), network.workspace(Purpose::Prediction));
        let best = match (trainer.best.take(), &trainer.early_stopping) {
            (None, Some(rule)) => Some(Best::new(rule, &trainer.metric_directions())?),
            (best, _) => best,
        };
        if let Some(averaging) = trainer.averaging.as_mut().filter(|averaging| !averaging.fits(network)) {
            averaging.reset();
        }
        let good = begin.good.unwrap_or_else(|| Snapshot::of(network));
        let other_point = trainer.other_point.take().filter(|other| other.fits(network));
        let mut other_point = other_point.unwrap_or_else(|| OtherPoint::new(network));
        let kept = best.as_ref().map(|best| &best.snapshot);
        other_point.go_on(network, &trainer.optimizer, trainer.averaging.as_ref(), kept);
        Ok(Self {
            together,
            trainer,
            network,
            data,
            started,
            epochs,
            #[cfg(feature = "checkpoint")]
            first_epoch: begin.first_epoch,
            begun: begin.epoch,
            earlier: begin.history.seconds,
            display,
            training,
            judging,
            good,
            best,
            other_point,
            history: begin.history,
            #[cfg(feature = "checkpoint")]
            checkpoints: begin.checkpoints,
        })
    }

    /// Leaves the network at its best epoch, or at the point where it was judged last.
    fn finish(&mut self, reason: StopReason) -> Result<History, TrainError> {
        self.display.finish();
        self.other_point.judge(self.network, &self.trainer.optimizer, self.trainer.averaging.as_ref());
        // After a stop within an epoch the network holds the parameters of none, unless there is a best one.
        let is_complete = self.network.parameters() == self.good.parameters();
        let mut history = std::mem::take(&mut self.history);
        history.reason = reason;
        history.kept_epoch = history.epochs.last().map(|record| record.epoch).filter(|_| is_complete);
        if let Some(best) = self.best.as_ref().filter(|best| best.standing.epoch > 0) {
            best.snapshot.put_back(self.network);
            history.kept_epoch = Some(best.standing.epoch);
        }
        let other_point = std::mem::take(&mut self.other_point);
        (self.trainer.best, self.trainer.other_point) = (self.best.take(), Some(other_point));
        history.seconds = self.earlier + self.started.elapsed().as_secs_f64();
        Ok(history)
    }

    /// Puts the network back to the last good epoch, and finds out what is to blame for what came after it.
    fn diverged(&mut self, step: u64, loss: f64, place: Place, epoch: &Epoch) -> Result<Divergence, TrainError> {
        let (network, gradient) = (&*self.network, self.training.gradient());
        let findings = self.trainer.watch.as_mut().map(|watch| Box::new(watch.findings(network, gradient, &place)));
        self.good.put_back(self.network);
        let (learning_rate, kept) = (self.trainer.optimizer.learning_rate(), Kept::Epoch);
        let Some(data) = self.data.dataset else {
            let cause = if matches!(place, Place::Memory(_)) { Cause::LargeGradient } else { Cause::Unknown };
            return Ok(Divergence { step, epoch: epoch.number + 1, loss, place, learning_rate, cause, findings, kept });
        };
        let mut batches = self.trainer.batches(data)?;
        batches.start_epoch(epoch.number);
        let suspects = if epoch.number == self.epochs.start { epoch.batches } else { 0 };
        let (trained_on, mode) = (&self.trainer.loss, Mode::Training { step });
        let cause = match find_cause(self.network, trained_on, data, &mut batches, suspects, mode)? {
            // A slower walk would overflow as well.
            Cause::LearningRate if matches!(place, Place::Memory(_)) => Cause::LargeGradient,
            cause => cause,
        };
        Ok(Divergence { step, epoch: epoch.number + 1, loss, place, learning_rate, cause, findings, kept })
    }
}

/// An epoch under way.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Epoch {
    /// Counted from 0.
    number: u64,
    #[cfg_attr(feature = "serde", serde(skip, default = "Instant::now"))]
    started: Instant,
    /// The batches so far, those without a step too.
    batches: usize,
    /// The batches whose gradients wait for the others of a step.
    #[cfg_attr(feature = "serde", serde(skip))]
    waiting: u64,
    /// The loss of those.
    #[cfg_attr(feature = "serde", serde(skip))]
    step_total: Total,
    steps: u64,
    total: Total,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    penalties: f64,
}

impl Epoch {
    fn new(number: u64) -> Self {
        let (total, step_total) = (Total::default(), Total::default());
        Self { number, started: Instant::now(), batches: 0, waiting: 0, step_total, steps: 0, total, penalties: 0.0 }
    }

    fn add(&mut self, penalty: f64) {
        self.steps += 1;
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
