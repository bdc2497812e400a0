use super::Schedule;
use crate::SettingError;
use crate::settings::positive;

/// A decay by the factor γ at every step; `ExponentialLR` in PyTorch.
///
/// ```text
/// rate(t) = b γᵗ
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Exponential {
    factor: f64,
}

impl Exponential {
    /// Creates a decay by the factor γ, a little less than 1.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        Self { factor }
    }
}

impl Schedule for Exponential {
    fn rate(&self, base: f64, step: u64) -> f64 {
        base * self.factor.powf(step as f64)
    }

    fn check(&self) -> Result<(), SettingError> {
        positive("the decay factor", self.factor)
    }
}
