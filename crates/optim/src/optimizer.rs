use std::error::Error;
use std::fmt::{self, Debug};

use downhill_tensor::Scalar;

use crate::schedule::Schedule;
use crate::{MemoryError, Segment, SettingError};

/// An optimizer: θ ← θ − step(g), in one pass over memory.
///
/// A `Box<dyn Optimizer<T>>` and a `&mut` of an optimizer are optimizers too, so one that is chosen at run time goes
/// wherever a named one does.
///
/// # Base and schedule
/// An optimizer has a *base* learning rate, the one that it was built with, and the rate of its next step, which a
/// schedule moves. Schedules start from the base, so they never start from what an earlier schedule has left:
///
/// ```
/// use downhill_optim::schedule::Cosine;
/// use downhill_optim::{Optimizer, Sgd};
/// let mut optimizer = Sgd::new(0.1).momentum(0.9);
/// let mut theta = [1.0_f64, -2.0];
/// for run in 0..2 {
///     for step in 0..10 {
///         optimizer.follow(&Cosine::new(10), step);
///         let gradient = theta;
///         optimizer.step(&mut theta, &gradient);
///     }
///     assert!(optimizer.learning_rate() < 0.01 && optimizer.base_learning_rate() == 0.1);
///     // Without this the next run goes on with the velocity of this one.
///     optimizer.reset();
/// }
/// ```
pub trait Optimizer<T: Scalar>: Debug + Send {
    /// Checks the settings. Call it before the first step, as the trainer and `minimize` do.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid.
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    /// Says how θ is divided. Without it θ is one segment: groups are empty, and nothing is frozen.
    ///
    /// A call with the segments of the call before changes nothing, costs a comparison and allocates nothing, so it may
    /// stand before every step.
    /// With other segments the optimizer starts anew: it forgets what it remembers of the steps so far.
    /// Memory of a θ that was not divided, as after [`restore`](Optimizer::restore), is kept if it fits.
    fn bind(&mut self, segments: &[Segment]) {
        let _ = segments;
    }

    /// Steps θ against the gradient.
    ///
    /// If θ is not as long as at the step before, the optimizer starts anew.
    ///
    /// # Panics
    /// If the gradient is not as long as θ.
    fn step(&mut self, theta: &mut [T], gradient: &[T]);

    /// Forgets all steps: what is remembered of them, their number, and what schedules have set.
    /// The next run repeats the first bit for bit. The base settings and the segments stay.
    fn reset(&mut self);

    /// Returns the learning rate that schedules start from: the one that the optimizer was built with, or the last given to
    /// [`set_base_learning_rate`](Optimizer::set_base_learning_rate).
    fn base_learning_rate(&self) -> f64;

    /// Sets the base learning rate, and that of the next steps.
    fn set_base_learning_rate(&mut self, learning_rate: f64);

    /// Returns the learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next steps, and leaves the base as it is; schedules call this.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// Returns the momentum (or Adam's β₁), if there is one.
    fn current_momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum (or Adam's β₁) of the next steps, if there is one; one-cycle schedules call this.
    /// [`reset`](Optimizer::reset) puts back the one that the optimizer was built with.
    fn set_momentum(&mut self, momentum: f64) {
        let _ = momentum;
    }

    /// Sets the learning rate and the momentum of the next step by a schedule, after `step` completed steps.
    fn follow(&mut self, schedule: &dyn Schedule, step: u64) {
        self.set_learning_rate(schedule.rate(self.base_learning_rate(), step));
        if let Some(momentum) = schedule.momentum(step) {
            self.set_momentum(momentum);
        }
    }

    /// Checks whether the optimizer can follow a schedule.
    ///
    /// # Errors
    /// Returns an error if a setting of the schedule is not valid, or if it moves the momentum of an optimizer that has
    /// none. PyTorch's `OneCycleLR` raises an error there too; its `RMSprop` counts as having a momentum of 0.
    fn check_schedule(&self, schedule: &dyn Schedule) -> Result<(), SettingError> {
        schedule.check()?;
        match schedule.momentum(0) {
            Some(momentum) if self.current_momentum().is_none() => {
                Err(SettingError::new("the momentum that the schedule sets", momentum, NO_MOMENTUM))
            }
            _ => Ok(()),
        }
    }

    /// Overwrites `point` with the point at which the objective should be evaluated, if that is not θ; returns whether it did.
    ///
    /// Schedule-free rules and averages of weights step one vector and are judged at another.
    /// `false` leaves `point` as it was.
    fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
        let _ = (theta, point);
        false
    }

    /// Tells whether each parameter is stepped by its own gradient and memory alone, so that a step on a part of θ is that
    /// part of the step on all of it: then several processes can each keep the memory of a part. `false` unless a rule
    /// says so.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Checks what is remembered of the steps so far, in one pass over it.
    ///
    /// # Errors
    /// Returns an error if a number is not finite, as after a gradient whose square overflows.
    /// The range of gradients for which each optimizer is right is in the documents of this crate.
    fn check_memory(&self) -> Result<(), MemoryError> {
        Ok(())
    }

    /// Returns all that a later step depends on, as named flat slots: an exact resume. The base settings are in it.
    fn state(&self) -> OptimizerState<T>;

    /// Restores `state`: the optimizer goes on exactly as the one that gave it would have.
    /// [Bind](Optimizer::bind) first if there are groups, or a rule for matrices.
    ///
    /// # Errors
    /// Returns an error if the state is another optimizer's, is for a θ of another length, or holds numbers that no
    /// run saves. Then the optimizer is as it was.
    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError>;
}

const NO_MOMENTUM: &str = "left alone, because this optimizer has no momentum: build it with one, as with \
    `RmsProp::momentum`, or take `OneCycle::no_momentum`";

/// Forwards the rates, the momentum and what is read of an optimizer to the optimizer `inner`.
macro_rules! forward_rates {
    ($self:ident => $inner:expr) => {
        fn base_learning_rate(&$self) -> f64 {
            $inner.base_learning_rate()
        }

        fn set_base_learning_rate(&mut $self, learning_rate: f64) {
            $inner.set_base_learning_rate(learning_rate);
        }

        fn learning_rate(&$self) -> f64 {
            $inner.learning_rate()
        }

        fn set_learning_rate(&mut $self, learning_rate: f64) {
            $inner.set_learning_rate(learning_rate);
        }

        fn current_momentum(&$self) -> Option<f64> {
            $inner.current_momentum()
        }

        fn set_momentum(&mut $self, momentum: f64) {
            $inner.set_momentum(momentum);
        }

        fn evaluation_point(&$self, theta: &[T], point: &mut [T]) -> bool {
            $inner.evaluation_point(theta, point)
        }

        fn check_memory(&$self) -> Result<(), MemoryError> {
            $inner.check_memory()
        }
    };
}
pub(crate) use forward_rates;

/// An optimizer behind a pointer is an optimizer.
macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<T: Scalar, O: Optimizer<T> + ?Sized> Optimizer<T> for $pointer {
            fn check(&self) -> Result<(), SettingError> {
                (**self).check()
            }

            fn bind(&mut self, segments: &[Segment]) {
                (**self).bind(segments);
            }

            fn step(&mut self, theta: &mut [T], gradient: &[T]) {
                (**self).step(theta, gradient);
            }

            fn reset(&mut self) {
                (**self).reset();
            }

            forward_rates!(self => (**self));

            fn is_elementwise(&self) -> bool {
                (**self).is_elementwise()
            }

            fn follow(&mut self, schedule: &dyn Schedule, step: u64) {
                (**self).follow(schedule, step);
            }

            fn check_schedule(&self, schedule: &dyn Schedule) -> Result<(), SettingError> {
                (**self).check_schedule(schedule)
            }

            fn state(&self) -> OptimizerState<T> {
                (**self).state()
            }

            fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
                (**self).restore(state)
            }
        }
    )+};
}

forward!(Box<O>, &mut O);

/// The memory of an optimizer between steps.
///
/// Serialised to a text format, every number is a string that reads back to the same bits, NaN and infinities included.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = "T: Scalar"))]
#[non_exhaustive]
pub struct OptimizerState<T> {
    /// The optimizer that saved it, such as `Adam`: no other one takes it.
    pub name: String,
    /// Named vectors, such as `momentum.velocity`, each as long as θ (or shorter, if a rule keeps less).
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    pub slots: Vec<(String, Vec<T>)>,
    /// Named numbers, always in f64.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    pub scalars: Vec<(String, f64)>,
    /// Named counters, such as `step`.
    pub counters: Vec<(String, u64)>,
}

impl<T> Default for OptimizerState<T> {
    fn default() -> Self {
        Self { name: String::new(), slots: Vec::new(), scalars: Vec::new(), counters: Vec::new() }
    }
}

impl<T> OptimizerState<T> {
    /// Checks that the state is that of the optimizer of this name.
    ///
    /// # Errors
    /// Returns an error if it is another one's.
    pub fn check_name(&self, own: &str) -> Result<(), RestoreError> {
        if self.name == own {
            Ok(())
        } else {
            Err(RestoreError::OtherOptimizer { saved: self.name.clone(), own: own.into() })
        }
    }

    /// Takes the slot of this name out.
    ///
    /// # Errors
    /// Returns an error if there is none, or if it has another length.
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
    /// Returns an error if there is none.
    pub fn take_slot_of_any_length(&mut self, name: &str) -> Result<Vec<T>, RestoreError> {
        take(&mut self.slots, name)
    }

    /// Takes the number of this name out.
    ///
    /// # Errors
    /// Returns an error if there is none, or it is not finite.
    pub fn take_scalar(&mut self, name: &str) -> Result<f64, RestoreError> {
        let value = take(&mut self.scalars, name)?;
        if value.is_finite() { Ok(value) } else { Err(RestoreError::out_of_range(name, value, "finite")) }
    }

    /// Takes the counter of this name out.
    ///
    /// # Errors
    /// Returns an error if there is none, or it is more than any run counts to (2⁵³).
    pub fn take_counter(&mut self, name: &str) -> Result<u64, RestoreError> {
        /// Up to here a step's number is exact in f64, which corrections of averages are computed in.
        const LARGEST: u64 = 1 << 53;
        let count = take(&mut self.counters, name)?;
        if count <= LARGEST { Ok(count) } else { Err(RestoreError::out_of_range(name, count as f64, "at most 2^53")) }
    }

    /// Checks that all has been taken out.
    ///
    /// # Errors
    /// Returns an error if something is left.
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
    // The last: an optimizer around another one adds its own entries after the other's.
    let position = entries.iter().rposition(|(entry, _)| entry == name);
    let position = position.ok_or_else(|| RestoreError::Missing { name: name.into() })?;
    Ok(entries.remove(position).1)
}

/// The reason for which an optimizer can't go on from a state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The state is that of another optimizer.
    OtherOptimizer {
        /// The optimizer that saved it; empty if it does not say.
        saved: String,
        /// The optimizer that should go on from it.
        own: String,
    },
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
        /// The length that it should have.
        expected: usize,
        /// The length that it has.
        got: usize,
    },
    /// A scalar or a counter has a value that no run saves.
    OutOfRange {
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
        /// The requirement: what it "must be".
        requirement: &'static str,
    },
}

impl RestoreError {
    pub(crate) fn out_of_range(name: impl Into<String>, value: f64, requirement: &'static str) -> Self {
        Self::OutOfRange { name: name.into(), value, requirement }
    }
}

impl From<SettingError> for RestoreError {
    fn from(error: SettingError) -> Self {
        Self::out_of_range(error.setting(), error.value(), error.requirement())
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOptimizer { saved, own } if saved.is_empty() => {
                write!(f, "the saved state does not name its optimizer, which must be `{own}`")
            }
            Self::OtherOptimizer { saved, own } => write!(
                f,
                "the saved state is that of the optimizer `{saved}`, but this one is `{own}`; build the one that was \
                 saved, or start anew without the state"
            ),
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
            Self::OutOfRange { name, value, requirement } => write!(
                f,
                "the saved `{name}` is {value}, but it must be {requirement}; the state is damaged, or that of a run \
                 that had diverged"
            ),
        }
    }
}

impl Error for RestoreError {}
