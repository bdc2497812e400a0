use super::Schedule;
use crate::SettingError;
use crate::settings::{at_least_one, positive};

/// A decay by the factor γ every S steps; `StepLR` in PyTorch.
///
/// ```text
/// rate(t) = b γ^⌊t/S⌋
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StepDecay {
    every: u64,
    factor: f64,
}

impl StepDecay {
    /// Creates a decay every S steps, by the factor γ = 0.1.
    #[must_use]
    pub fn new(every: u64) -> Self {
        Self { every, factor: 0.1 }
    }

    setters! {
        /// Sets the factor γ.
        factor: f64;
    }
}

impl Schedule for StepDecay {
    fn rate(&self, base: f64, step: u64) -> f64 {
        base * self.factor.powf((step / self.every.max(1)) as f64)
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of steps between decays", self.every)?;
        positive("the decay factor", self.factor)
    }
}
