use super::Schedule;
use crate::SettingError;
use crate::settings::positive;

/// The base rate at every step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Constant;

impl Schedule for Constant {
    fn rate(&self, base: f64, _step: u64) -> f64 {
        base
    }
}

/// A share of the base rate for the first T steps, then all of it; `ConstantLR` in PyTorch.
///
/// ```text
/// rate(t) = b f   for t < T,   b   from then on
/// ```
/// PyTorch's defaults are f = ⅓ and T = 5.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConstantFactor {
    factor: f64,
    steps: u64,
}

impl ConstantFactor {
    /// Creates the schedule with the share `factor` for the first `steps` steps.
    #[must_use]
    pub fn new(factor: f64, steps: u64) -> Self {
        Self { factor, steps }
    }
}

impl Schedule for ConstantFactor {
    fn rate(&self, base: f64, step: u64) -> f64 {
        if step < self.steps { base * self.factor } else { base }
    }

    fn check(&self) -> Result<(), SettingError> {
        positive("the constant factor", self.factor)
    }
}
