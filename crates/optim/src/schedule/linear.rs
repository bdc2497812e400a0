use super::{Schedule, progress};
use crate::SettingError;
use crate::settings::not_negative;

/// A straight line between two shares of the base rate; `LinearLR` in PyTorch.
///
/// ```text
/// rate(t) = b [ f₀ + (f₁ − f₀) min(t, T)/T ]
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Linear {
    from: f64,
    to: f64,
    steps: u64,
}

impl Linear {
    /// Creates a line from the share f₀ to the share f₁ over T steps.
    #[must_use]
    pub fn new(from: f64, to: f64, steps: u64) -> Self {
        Self { from, to, steps }
    }

    /// Creates a warm-up over T steps, from a third of the base rate (PyTorch's default) to all of it.
    #[must_use]
    pub fn warmup(steps: u64) -> Self {
        Self::new(1.0 / 3.0, 1.0, steps)
    }
}

impl Schedule for Linear {
    fn rate(&self, base: f64, step: u64) -> f64 {
        base * (self.from + (self.to - self.from) * progress(step, self.steps))
    }

    fn check(&self) -> Result<(), SettingError> {
        not_negative("the first factor of a line", self.from)?;
        not_negative("the last factor of a line", self.to)
    }
}
