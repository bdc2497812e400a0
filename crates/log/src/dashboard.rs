use std::collections::VecDeque;
use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_tensor::Scalar;
use downhill_train::{Callback, EpochEnd, RunEnd, RunStart, StepEnd, StopHandle, Warned};

use self::screen::{Screen, lock};
use self::state::State;

mod curve;
mod screen;
mod state;
mod view;

/// A picture of the run on the terminal: curves of losses and metrics, the learning rate, the throughput, the progress of
/// the epoch and of the run, an estimate of the time that is left, and the latest warnings, which are those of the
/// trainer's diagnosis and what [`warnings`](Dashboard::warnings) receives.
///
/// A thread draws it on the terminal's other screen, ten times a second, so that the run does not wait for the terminal.
/// `q` or Ctrl-C asks for a stop after the step, and a second Ctrl-C ends the program. What the program printed stays;
/// the terminal is as it was when the run has ended, by a panic or an error too.
///
/// If the standard output is not a terminal, as in a pipe, nothing is drawn, and the standard error says so once.
/// Whatever else writes to the terminal while the picture is there spoils it: leave the trainer's progress
/// [`Quiet`](downhill_train::Progress::Quiet).
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_log::Dashboard;
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::Network;
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::{StopHandle, Trainer};
/// use ndarray::array;
///
/// let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0])?;
/// let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1))?;
/// // The trainer has the handle too, so that the history names an interruption as the reason.
/// let stop = StopHandle::new();
/// Trainer::new(MeanSquaredError::new(), Adam::new(0.1))
///     .stop_handle(stop.clone())
///     .callback(Dashboard::new().stop_handle(stop))
///     .fit(&mut network, &data)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Dashboard {
    stop: StopHandle,
    warnings: Warnings,
    screen: Option<Screen>,
    /// Whether the handle had been pulled at the last step.
    was_asked: bool,
}

impl Dashboard {
    /// Makes a dashboard, which is shown while a run goes on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the handle that the keys pull. The trainer should have it too: without it the run ends one step later, and its
    /// history says that a callback ended it.
    #[must_use]
    pub fn stop_handle(mut self, handle: StopHandle) -> Self {
        self.stop = handle;
        self
    }

    /// A list to which other observers, in whatever thread, add what the dashboard shows as warnings.
    #[must_use]
    pub fn warnings(&self) -> Warnings {
        self.warnings.clone()
    }
}

impl<T: Scalar> Callback<T> for Dashboard {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        let mut state = State::new(start.epochs.clone(), start.metrics);
        (state.steps_per_epoch, state.examples_per_epoch) = (start.steps_per_epoch, start.examples_per_epoch);
        self.was_asked = false;
        // An earlier run that has not told its end gives the terminal back first.
        self.screen = None;
        self.screen = Screen::open(state, self.stop.clone(), self.warnings.clone());
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        if let Some(screen) = &self.screen {
            screen.state().step(end.loss, end.learning_rate);
        }
        // A trainer that has the handle has ended by now.
        let was_asked = mem::replace(&mut self.was_asked, self.stop.is_stopped());
        if was_asked { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        if let Some(screen) = &self.screen {
            screen.state().epoch(end.record);
        }
        ControlFlow::Continue(())
    }

    fn on_warning(&mut self, warned: &Warned) {
        self.warnings.push(warned.warning.to_string());
    }

    fn on_end(&mut self, _: &RunEnd<'_, T>) {
        self.screen = None;
    }
}

/// A list of warnings that a [`Dashboard`] shows, the latest of them.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<VecDeque<String>>>);

impl Warnings {
    /// The number that is kept.
    const KEPT: usize = 8;

    /// Adds a warning.
    pub fn push(&self, warning: impl Into<String>) {
        let mut warnings = lock(&self.0);
        warnings.push_back(warning.into());
        if warnings.len() > Self::KEPT {
            warnings.pop_front();
        }
    }

    /// The latest warnings, the oldest first.
    #[must_use]
    pub fn latest(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }
}
