use std::fmt;

use super::Schedule;
use crate::SettingError;

/// One schedule, then another that counts its steps from the switch; made by [`Schedule::then`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Then<A, B> {
    pub(super) first: A,
    pub(super) steps: u64,
    pub(super) second: B,
}

impl<A: Schedule, B: Schedule> Schedule for Then<A, B> {
    fn rate(&self, base: f64, step: u64) -> f64 {
        match step.checked_sub(self.steps) {
            Some(local) => self.second.rate(base, local),
            None => self.first.rate(base, step),
        }
    }

    fn momentum(&self, step: u64) -> Option<f64> {
        match step.checked_sub(self.steps) {
            Some(local) => self.second.momentum(local),
            None => self.first.momentum(step),
        }
    }

    fn check(&self) -> Result<(), SettingError> {
        self.first.check()?;
        self.second.check()
    }
}

/// Two schedules at once: the second takes the first's rate as its base; made by [`Schedule::times`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Times<A, B> {
    pub(super) first: A,
    pub(super) second: B,
}

impl<A: Schedule, B: Schedule> Schedule for Times<A, B> {
    fn rate(&self, base: f64, step: u64) -> f64 {
        self.second.rate(self.first.rate(base, step), step)
    }

    fn momentum(&self, step: u64) -> Option<f64> {
        self.second.momentum(step).or_else(|| self.first.momentum(step))
    }

    fn check(&self) -> Result<(), SettingError> {
        self.first.check()?;
        self.second.check()
    }
}

/// A custom schedule: a function from the step number to a factor on the base rate; `LambdaLR` in PyTorch.
///
/// ```
/// use downhill_optim::schedule::{ByFactor, Schedule};
/// let schedule = ByFactor(|step| 1.0 / (1.0 + 0.01 * step as f64));
/// assert_eq!(schedule.rate(0.2, 100), 0.1);
/// ```
#[derive(Clone, Copy)]
pub struct ByFactor<F>(pub F);

impl<F: Fn(u64) -> f64 + Send + Sync> Schedule for ByFactor<F> {
    fn rate(&self, base: f64, step: u64) -> f64 {
        base * (self.0)(step)
    }
}

impl<F> fmt::Debug for ByFactor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByFactor(..)")
    }
}
