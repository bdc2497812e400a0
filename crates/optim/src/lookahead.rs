use downhill_tensor::Scalar;

use crate::loops;
use crate::optimizer::forward_rates;
use crate::saved::PARAMETERS;
use crate::settings::{at_least_one, require};
use crate::{MemoryError, Optimizer, OptimizerState, RestoreError, Segment, SettingError};

/// Look-ahead (Zhang et al. 2019) around any optimizer: every k steps it goes back part of the way.
///
/// ```text
/// every k steps:   φ ← φ + α(θ − φ),   θ ← φ                    (φ starts at θ)
/// ```
///
/// Defaults: k = 5, α = 0.5, as the paper's and optax's. It costs one more vector, and a pass every k steps.
///
/// ```
/// use downhill_optim::{Adam, Lookahead, Optimizer};
/// let mut optimizer = Lookahead::new(Adam::new(0.1));
/// let mut theta = [1.0_f64];
/// for _ in 0..5 {
///     optimizer.step(&mut theta, &[1.0]);
/// }
/// assert!((theta[0] - 0.75).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Lookahead<O, T> {
    inner: O,
    every: u64,
    alpha: f64,
    slow: Vec<T>,
    number: u64,
    segments: Option<Vec<Segment>>,
}

impl<O: Optimizer<T>, T: Scalar> Lookahead<O, T> {
    /// Wraps an optimizer, with k = 5 and α = 0.5.
    #[must_use]
    pub fn new(inner: O) -> Self {
        Self { inner, every: 5, alpha: 0.5, slow: Vec::new(), number: 0, segments: None }
    }

    setters! {
        /// Sets the number k of steps between two looks back.
        every(steps: u64) every = steps;
        /// Sets the share α of the way that is kept.
        alpha: f64;
    }
}

/// The start of the name, which the name of the optimizer inside follows.
const NAME: &str = "Lookahead around ";
const SLOW: &str = "lookahead.slow";
const NUMBER: &str = "lookahead.step";

impl<O: Optimizer<T>, T: Scalar> Optimizer<T> for Lookahead<O, T> {
    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of steps between looks back", self.every)?;
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", self.alpha, "greater than 0 and at most 1")?;
        self.inner.check()
    }

    fn bind(&mut self, segments: &[Segment]) {
        self.inner.bind(segments);
        if self.segments.as_deref() != Some(segments) {
            if self.segments.is_some() {
                self.slow.clear();
                self.number = 0;
            }
            self.segments = Some(segments.to_vec());
        }
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        if self.number == 0 || self.slow.len() != theta.len() {
            self.number = 0;
            self.slow.clear();
            self.slow.extend_from_slice(theta);
        }
        self.inner.step(theta, gradient);
        self.number += 1;
        if self.number.is_multiple_of(self.every.max(1)) {
            loops::approach(&mut self.slow, theta, T::from_f64(self.alpha));
            theta.copy_from_slice(&self.slow);
        }
    }

    fn reset(&mut self) {
        self.inner.reset();
        self.slow.clear();
        self.number = 0;
    }

    forward_rates!(self => self.inner);

    fn state(&self) -> OptimizerState<T> {
        let mut state = self.inner.state();
        state.name.insert_str(0, NAME);
        state.slots.push((SLOW.into(), self.slow.clone()));
        state.counters.push((NUMBER.into(), self.number));
        state
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        let mut inner = state.clone();
        inner.name = match state.name.strip_prefix(NAME) {
            Some(name) => name.into(),
            None => return state.check_name(&self.state().name),
        };
        let slow = inner.take_slot_of_any_length(SLOW)?;
        let number = inner.take_counter(NUMBER)?;
        // Before its first step the slow vector is empty; afterwards it is as long as θ.
        let len = inner.counters.iter().find(|(name, _)| name == PARAMETERS).map(|&(_, len)| len as usize);
        if let Some(expected) = len.filter(|&len| number > 0 && slow.len() != len) {
            return Err(RestoreError::Length { name: SLOW.into(), expected, got: slow.len() });
        }
        self.inner.restore(&inner).map_err(|error| match error {
            RestoreError::OtherOptimizer { saved, own } => {
                RestoreError::OtherOptimizer { saved: format!("{NAME}{saved}"), own: format!("{NAME}{own}") }
            }
            error => error,
        })?;
        (self.slow, self.number) = (slow, number);
        Ok(())
    }
}
