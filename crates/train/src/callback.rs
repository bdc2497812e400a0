use std::ops::{ControlFlow, Range};

use downhill_network::Network;
use downhill_tensor::Scalar;

use crate::{EpochRecord, History, Norms, Resumed, TrainError, Warned};

/// A run that is about to take its first step.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunStart<'a, T> {
    /// The epochs that the run may come to, counted from 0: a run that goes on begins above 0.
    pub epochs: Range<u64>,
    /// The step that comes first, counted from 0: a run that goes on begins above 0.
    pub step: u64,
    /// The number of steps in an epoch, if it is known beforehand.
    pub steps_per_epoch: Option<u64>,
    /// The number of examples in an epoch, if it is known beforehand.
    pub examples_per_epoch: Option<u64>,
    /// The names of the metrics, in the order of [`EpochRecord::metrics`].
    pub metrics: &'a [String],
    /// The settings of the run, such as `("batch_size", "32")`.
    pub settings: &'a [(&'static str, String)],
    /// The checkpoint that the run goes on from, and what differs from the run that wrote it.
    pub resumed: Option<&'a Resumed>,
    /// The network, as it starts.
    pub network: &'a Network<T>,
}

/// A step that was taken.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepEnd<'a, T> {
    /// The step, counted from 0 over the whole run.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The loss of the batch, before the parameters moved.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// dJ/dθ, after clipping; of a rank that [steps a part](crate::GradientExchange::is_sharded) of θ, right in that part
    /// alone.
    pub gradient: &'a [T],
    /// The network, after the step; with a schedule-free optimizer where the next gradient is taken.
    pub network: &'a Network<T>,
}

/// An epoch that was completed and validated.
#[derive(Debug)]
#[non_exhaustive]
pub struct EpochEnd<'a, T> {
    /// The epoch's row of the history.
    pub record: &'a EpochRecord,
    /// The network, after the epoch, as it was validated.
    pub network: &'a Network<T>,
    /// The rank that the others have waited for, if [several ranks](crate::Trainer::exchange) train together.
    pub slowest: Option<Slowest>,
}

/// The rank that was the last to be ready for the exchanges of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Slowest {
    /// The rank's number: that which has waited least for the others.
    pub rank: usize,
    /// The seconds for which another rank has waited longer, on average.
    pub seconds: f64,
}

impl Slowest {
    /// Finds the slowest of ranks that have waited for this many seconds each.
    pub(crate) fn of(waited: &[f64]) -> Option<Self> {
        let (rank, least) = waited.iter().copied().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let others = waited.len() - 1;
        let more = waited.iter().map(|seconds| seconds - least).sum::<f64>();
        (others > 0).then(|| Self { rank, seconds: more / others as f64 })
    }
}

/// A run that has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunEnd<'a, T> {
    /// The history that the run returns, or its error.
    pub result: Result<&'a History, &'a TrainError>,
    /// The network, as it is left.
    pub network: &'a Network<T>,
}

/// An observer of a training run, which may end it.
///
/// It can't change the network: only the optimizer does. Every observer sees every event, also one after which another
/// ends the run.
pub trait Callback<T: Scalar>: Send {
    /// Takes note of the start of a run.
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        let _ = start;
    }

    /// Takes note of a step; `Break` ends the run.
    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        let _ = end;
        ControlFlow::Continue(())
    }

    /// Takes note of the norms of a step, if [`Trainer::diagnose`](crate::Trainer::diagnose) has observed it. It comes after
    /// [`on_step`](Callback::on_step).
    fn on_norms(&mut self, norms: &Norms) {
        let _ = norms;
    }

    /// Takes note of a warning of [`Trainer::diagnose`](crate::Trainer::diagnose).
    fn on_warning(&mut self, warned: &Warned) {
        let _ = warned;
    }

    /// Takes note of an epoch and its validation; `Break` ends the run.
    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        let _ = end;
        ControlFlow::Continue(())
    }

    /// Takes note of the end of a run, also of one that ends with an error.
    fn on_end(&mut self, end: &RunEnd<'_, T>) {
        let _ = end;
    }

    /// Returns what the observer needs to go on as if a run had not been broken off, in a text of its choice: a checkpoint
    /// keeps it. `None` if it needs nothing.
    fn memory(&self) -> Option<String> {
        None
    }

    /// Takes back its [memory](Callback::memory) from a checkpoint, before [`on_start`](Callback::on_start). An
    /// observer is known by its place in the order in which they were added to the trainer.
    ///
    /// # Errors
    /// Returns the reason if the text is not one that it has written; the run does not start then.
    fn remember(&mut self, memory: &str) -> Result<(), String> {
        let _ = memory;
        Ok(())
    }
}

/// A borrowed observer, so that what it has seen can be read after the run.
impl<T: Scalar, C: Callback<T> + ?Sized> Callback<T> for &mut C {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        (**self).on_start(start);
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        (**self).on_step(end)
    }

    fn on_norms(&mut self, norms: &Norms) {
        (**self).on_norms(norms);
    }

    fn on_warning(&mut self, warned: &Warned) {
        (**self).on_warning(warned);
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        (**self).on_epoch(end)
    }

    fn on_end(&mut self, end: &RunEnd<'_, T>) {
        (**self).on_end(end);
    }

    fn memory(&self) -> Option<String> {
        (**self).memory()
    }

    fn remember(&mut self, memory: &str) -> Result<(), String> {
        (**self).remember(memory)
    }
}

/// An observer that is chosen at run time.
impl<T: Scalar, C: Callback<T> + ?Sized> Callback<T> for Box<C> {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        (**self).on_start(start);
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        (**self).on_step(end)
    }

    fn on_norms(&mut self, norms: &Norms) {
        (**self).on_norms(norms);
    }

    fn on_warning(&mut self, warned: &Warned) {
        (**self).on_warning(warned);
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        (**self).on_epoch(end)
    }

    fn on_end(&mut self, end: &RunEnd<'_, T>) {
        (**self).on_end(end);
    }

    fn memory(&self) -> Option<String> {
        (**self).memory()
    }

    fn remember(&mut self, memory: &str) -> Result<(), String> {
        (**self).remember(memory)
    }
}

/// A closure that is called after every epoch.
pub(crate) struct OnEpoch<F>(pub(crate) F);

impl<T: Scalar, F: FnMut(&EpochEnd<'_, T>) -> ControlFlow<()> + Send> Callback<T> for OnEpoch<F> {
    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        (self.0)(end)
    }
}

/// A closure that is called after every step.
pub(crate) struct OnStep<F>(pub(crate) F);

impl<T: Scalar, F: FnMut(&StepEnd<'_, T>) -> ControlFlow<()> + Send> Callback<T> for OnStep<F> {
    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        (self.0)(end)
    }
}
