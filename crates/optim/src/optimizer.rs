use std::error::Error;
use std::fmt::{self, Debug};

use downhill_tensor::Scalar;

use crate::{Segment, SettingError};

/// θ ← θ − step(g), in one pass over memory.
pub trait Optimizer<T: Scalar>: Debug + Send {
    /// Whether the settings make sense; who runs an optimizer asks before the first step.
    ///
    /// # Errors
    /// Where a setting does not.
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    /// Says how θ is divided, before the first step. Without it, θ is one segment.
    fn bind(&mut self, segments: &[Segment]) {
        let _ = segments;
    }

    /// One step against the gradient.
    ///
    /// # Panics
    /// Where the two lengths differ from each other or from those of the step before.
    fn step(&mut self, theta: &mut [T], gradient: &[T]);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the steps to come; schedules call this.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The momentum (or Adam's β₁), where there is one.
    fn current_momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum (or Adam's β₁) of the steps to come, where there is one; one-cycle schedules call this.
    fn set_momentum(&mut self, momentum: f64) {
        let _ = momentum;
    }

    /// Overwrites `point` with where the objective should be evaluated, if that is not at θ; whether it did.
    ///
    /// Schedule-free rules and averages of weights step one vector and are judged at another.
    /// `false` leaves `point` as it was.
    fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
        let _ = (theta, point);
        false
    }

    /// All that a later step depends on, as named flat slots: an exact resume.
    fn state(&self) -> OptimizerState<T>;

    /// Goes on from `state` exactly as the optimizer that gave it would have.
    ///
    /// # Errors
    /// Where the slots are not this optimizer's.
    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError>;
}

/// What an optimizer remembers between steps.
///
/// Serialised to a text format, every number is a string that reads back to the same bits, NaN and infinities included.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "exact::Saved<T>", into = "exact::Saved<T>", bound = "T: Scalar"))]
pub struct OptimizerState<T> {
    /// Named vectors, as `momentum.velocity`, each as long as θ (or shorter, where a rule keeps less).
    pub slots: Vec<(String, Vec<T>)>,
    /// Named numbers, always in f64.
    pub scalars: Vec<(String, f64)>,
    /// Named counters, as `step`.
    pub counters: Vec<(String, u64)>,
}

impl<T> Default for OptimizerState<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), scalars: Vec::new(), counters: Vec::new() }
    }
}

impl<T> OptimizerState<T> {
    /// Takes the slot of this name out.
    ///
    /// # Errors
    /// Where there is none, or it has another length.
    pub fn take_slot(&mut self, name: &str, len: usize) -> Result<Vec<T>, RestoreError> {
        let slot = self.take_slot_of_any_length(name)?;
        if slot.len() == len {
            Ok(slot)
        } else {
            Err(RestoreError::Length { name: name.into(), expected: len, got: slot.len() })
        }
    }

    /// Takes the slot of this name out, however long it is.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take_slot_of_any_length(&mut self, name: &str) -> Result<Vec<T>, RestoreError> {
        take(&mut self.slots, name)
    }

    /// Takes the number of this name out.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take_scalar(&mut self, name: &str) -> Result<f64, RestoreError> {
        take(&mut self.scalars, name)
    }

    /// Takes the counter of this name out.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take_counter(&mut self, name: &str) -> Result<u64, RestoreError> {
        take(&mut self.counters, name)
    }

    /// Says that all has been taken out.
    ///
    /// # Errors
    /// Where something is left that nobody knows.
    pub fn finish(self) -> Result<(), RestoreError> {
        let slots = self.slots.into_iter().map(|(name, _)| name);
        let scalars = self.scalars.into_iter().map(|(name, _)| name);
        let counters = self.counters.into_iter().map(|(name, _)| name);
        match slots.chain(scalars).chain(counters).next() {
            Some(name) => Err(RestoreError::Unknown { name }),
            None => Ok(()),
        }
    }
}

fn take<V>(entries: &mut Vec<(String, V)>, name: &str) -> Result<V, RestoreError> {
    let position = entries.iter().position(|(entry, _)| entry == name);
    let position = position.ok_or_else(|| RestoreError::Missing { name: name.into() })?;
    Ok(entries.remove(position).1)
}

#[cfg(feature = "serde")]
mod exact;

/// Why an optimizer can't go on from a state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A slot, scalar or counter that the optimizer needs is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// The state holds something that the optimizer does not know.
    Unknown {
        /// Its name.
        name: String,
    },
    /// A slot has another length than θ.
    Length {
        /// The slot.
        name: String,
        /// How long it should be.
        expected: usize,
        /// How long it is.
        got: usize,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(
                f,
                "the saved state has no `{name}`, which this optimizer needs; it was probably saved by another optimizer"
            ),
            Self::Unknown { name } => write!(
                f,
                "the saved state holds `{name}`, which this optimizer does not keep; it was probably saved by another optimizer"
            ),
            Self::Length { name, expected, got } => {
                write!(f, "the saved `{name}` has {got} numbers, but this optimizer needs {expected}")
            }
        }
    }
}

impl Error for RestoreError {}
