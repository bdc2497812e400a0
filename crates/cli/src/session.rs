//! What the trainings of one call of the program have in common.

use std::fmt;

use downhill_train::{GradientExchange, StopHandle};

/// Processes that train together, numbered from 0.
pub trait Ranks {
    /// The number of this process.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn count(&self) -> usize;

    /// Connects a trainer with those of the other processes, which make as many in the same order.
    fn exchange(&self) -> Box<dyn GradientExchange<f32>>;
}

/// How trainings are ended early, and which processes share their work.
#[derive(Clone, Default)]
pub struct Session<'a> {
    stop: StopHandle,
    ranks: Option<&'a dyn Ranks>,
}

impl<'a> Session<'a> {
    /// A session of one process that nothing ends early.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the training under way once this handle is asked to: after its step, with what is complete.
    #[must_use]
    pub fn stop_handle(mut self, stop: StopHandle) -> Self {
        self.stop = stop;
        self
    }

    /// Shares the batches of every training among these processes.
    #[must_use]
    pub fn ranks(mut self, ranks: &'a dyn Ranks) -> Self {
        self.ranks = Some(ranks);
        self
    }

    pub(crate) fn stop(&self) -> &StopHandle {
        &self.stop
    }

    /// The number of processes.
    pub(crate) fn count(&self) -> usize {
        self.ranks.map_or(1, Ranks::count)
    }

    /// Whether this process speaks for all.
    pub(crate) fn is_first(&self) -> bool {
        self.ranks.is_none_or(|ranks| ranks.rank() == 0)
    }

    pub(crate) fn exchange(&self) -> Option<Box<dyn GradientExchange<f32>>> {
        self.ranks.map(Ranks::exchange)
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("stop", &self.stop).field("ranks", &self.count()).finish()
    }
}
