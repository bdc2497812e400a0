//! Looks at a run on request: norms of its steps, and warnings of what is likely to be wrong.
//!
//! A run holds a `dyn Watch`, so that a program that asks for no diagnosis compiles none.

mod activations;
mod data;
mod findings;
mod gradients;
mod labels;
mod norms;
mod observer;
mod rates;
mod warning;
mod watcher;

use downhill_data::{Dataset, MiniBatch};
use downhill_losses::Loss;
use downhill_network::{BackwardObserver, Network, Workspace};
use downhill_tensor::Scalar;

pub use self::findings::{BadValue, Findings, StepRecord};
pub use self::norms::{LayerNorms, Norms, ParameterNorms};
pub use self::warning::{Warned, Warning};
use self::watcher::Watcher;
use crate::feed::Known;
use crate::{Place, StepEnd};

/// The settings of [`Trainer::diagnose`](crate::Trainer::diagnose).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Diagnosis {
    every: u64,
}

impl Default for Diagnosis {
    fn default() -> Self {
        Self::new()
    }
}

impl Diagnosis {
    /// Observes every tenth step. By the clock that adds 4 % to 100 steps of 600 µs (784-256-128-10, batches of 128), with
    /// the look at the data that a run begins with, and 2 % to 600 of them. To 1,000 steps of 6 µs (16-64-32-3, batches
    /// of 32) it adds 5 to 7 %. Observing all steps adds about a third.
    #[must_use]
    pub fn new() -> Self {
        Self { every: 10 }
    }

    /// Observes the steps whose number, counted from 0, is a multiple of `steps`; 10 unless set.
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps;
        self
    }

    pub(crate) fn watch<T: Scalar, L: Loss>(self) -> Box<dyn Watch<T, L>> {
        Box::new(Watcher::new(self))
    }
}

/// The place of a pass in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The step that it is for, counted from 0.
    pub(crate) step: u64,
    /// The epoch, counted from 1.
    pub(crate) epoch: u64,
    /// The micro-batches of the step that came before it.
    pub(crate) waiting: u64,
}

/// What a run tells whoever diagnoses it. Nothing here changes the run.
pub(crate) trait Watch<T: Scalar, L>: Send {
    /// Begins anew, for a run that has `said` something before this step.
    fn start(&mut self, network: &Network<T>, data: &Known<'_, T>, said: &[Warned], step: u64);

    /// Takes note of a batch, and observes its pass if there is someone to.
    fn before_pass(
        &mut self,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        moment: Moment,
    ) -> Option<&mut dyn BackwardObserver<T>>;

    fn after_pass(
        &mut self,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        moment: Moment,
        workspace: &Workspace<T>,
        loss: &L,
    );

    /// Takes note of a step, and returns its norms if it was observed.
    fn after_step(&mut self, end: &StepEnd<'_, T>) -> Option<&Norms>;

    fn after_epoch(&mut self, network: &Network<T>, loss: &L, validation: Option<&Dataset<T>>);

    /// What was found since the last call and not said before.
    fn news(&mut self) -> &[Warned];

    /// Finds the first bad number of a batch, while the network still is at the parameters that made it.
    fn locate(
        &mut self,
        place: &Place,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        gradient: &[T],
        workspace: &mut Workspace<T>,
    );

    /// What is known of a number that is not finite.
    fn findings(&mut self, network: &Network<T>, gradient: &[T], place: &Place) -> Findings;
}
