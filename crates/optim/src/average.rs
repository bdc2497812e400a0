use downhill_tensor::Scalar;

use crate::loops;
use crate::settings::decay_rate;
use crate::{OptimizerState, RestoreError, SettingError};

/// An exponential moving average of weights: smoother, and often better, than the last ones.
///
/// ```text
/// e ← e + (1 − d)(θ − e)                                        (the first update: e ← θ)
/// ```
///
/// Default: d = 0.999, as PyTorch's `get_ema_multi_avg_fn`.
/// Statistics of batch normalisation must be recomputed, or averaged too, before the average is evaluated.
///
/// ```
/// use downhill_optim::Ema;
/// let mut average = Ema::new(0.9);
/// average.update(&[1.0_f64]);
/// average.update(&[2.0]);
/// assert!((average.weights()[0] - 1.1).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ema<T> {
    decay: f64,
    mean: Mean<T>,
}

impl<T: Scalar> Ema<T> {
    /// Creates an average that keeps the share `decay` of itself at each update.
    #[must_use]
    pub fn new(decay: f64) -> Self {
        Self { decay, mean: Mean::default() }
    }

    /// Checks the decay rate.
    ///
    /// # Errors
    /// Returns an error if it is not at least 0 and less than 1.
    pub fn check(&self) -> Result<(), SettingError> {
        decay_rate("the decay of an average", self.decay)
    }

    /// Takes the weights after a step. If their number is not that of the update before, the average starts anew.
    pub fn update(&mut self, theta: &[T]) {
        self.mean.update(theta, 1.0 - self.decay);
    }

    /// Returns the averaged weights; empty before the first update.
    #[must_use]
    pub fn weights(&self) -> &[T] {
        &self.mean.weights
    }

    /// Forgets all weights.
    pub fn reset(&mut self) {
        self.mean = Mean::default();
    }

    /// Returns all that a later update depends on, to be restored in a later run.
    #[must_use]
    pub fn state(&self) -> OptimizerState<T> {
        self.mean.state()
    }

    /// Restores what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// Returns an error if it is not an average's, or is damaged.
    pub fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        self.mean.restore(state)
    }
}

/// Stochastic weight averaging (Izmailov et al. 2018): the plain mean of the weights at the end of each cycle.
///
/// ```text
/// a ← a + (θ − a)/(n + 1)
/// ```
///
/// Statistics of batch normalisation must be recomputed before the average is evaluated.
///
/// ```
/// use downhill_optim::Swa;
/// let mut average = Swa::new();
/// for theta in [[1.0_f64], [2.0], [6.0]] {
///     average.update(&theta);
/// }
/// assert_eq!(average.weights(), [3.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Swa<T> {
    mean: Mean<T>,
}

impl<T: Scalar> Swa<T> {
    /// Creates the mean of no weights.
    #[must_use]
    pub fn new() -> Self {
        Self { mean: Mean::default() }
    }

    /// Takes the weights at the end of a cycle. If their number is not that of the update before, the average starts
    /// anew.
    pub fn update(&mut self, theta: &[T]) {
        self.mean.update(theta, 1.0 / (self.mean.count + 1) as f64);
    }

    /// Returns the averaged weights; empty before the first update.
    #[must_use]
    pub fn weights(&self) -> &[T] {
        &self.mean.weights
    }

    /// Forgets all weights.
    pub fn reset(&mut self) {
        self.mean = Mean::default();
    }

    /// Returns all that a later update depends on, to be restored in a later run.
    #[must_use]
    pub fn state(&self) -> OptimizerState<T> {
        self.mean.state()
    }

    /// Restores what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// Returns an error if it is not an average's, or is damaged.
    pub fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        self.mean.restore(state)
    }
}

impl<T: Scalar> Default for Swa<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Mean<T> {
    weights: Vec<T>,
    /// The part of each weight that rounding has lost, for the next update.
    lost: Vec<T>,
    count: u64,
}

impl<T> Default for Mean<T> {
    fn default() -> Self {
        Self { weights: Vec::new(), lost: Vec::new(), count: 0 }
    }
}

const NAME: &str = "average";
const WEIGHTS: &str = "average.weights";
const LOST: &str = "average.lost";
const COUNT: &str = "average.count";

impl<T: Scalar> Mean<T> {
    fn update(&mut self, theta: &[T], share: f64) {
        if self.count == 0 || self.weights.len() != theta.len() {
            self.count = 0;
            self.weights.clear();
            self.weights.extend_from_slice(theta);
            self.lost.clear();
            self.lost.resize(theta.len(), T::ZERO);
        } else {
            loops::approach_exactly(&mut self.weights, &mut self.lost, theta, T::from_f64(share));
        }
        self.count += 1;
    }

    fn state(&self) -> OptimizerState<T> {
        OptimizerState {
            name: NAME.into(),
            slots: vec![(WEIGHTS.into(), self.weights.clone()), (LOST.into(), self.lost.clone())],
            counters: vec![(COUNT.into(), self.count)],
            ..OptimizerState::default()
        }
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        state.check_name(NAME)?;
        let mut state = state.clone();
        let weights = state.take_slot_of_any_length(WEIGHTS)?;
        let lost = state.take_slot(LOST, weights.len())?;
        let restored = Self { weights, lost, count: state.take_counter(COUNT)? };
        state.finish()?;
        *self = restored;
        Ok(())
    }
}
