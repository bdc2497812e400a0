use super::Schedule;
use crate::SettingError;
use crate::settings::positive;

/// A decay by the factor γ at each milestone; `MultiStepLR` in PyTorch.
///
/// ```text
/// rate(t) = b γ^#{milestones ≤ t}
/// ```
/// A milestone that stands twice counts twice.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MultiStep {
    milestones: Vec<u64>,
    factor: f64,
}

impl MultiStep {
    /// Creates a decay at these steps, by the factor γ = 0.1.
    #[must_use]
    pub fn new(milestones: impl Into<Vec<u64>>) -> Self {
        Self { milestones: milestones.into(), factor: 0.1 }
    }

    setters! {
        /// Sets the factor γ.
        factor: f64;
    }
}

impl Schedule for MultiStep {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        base * self.factor.powf(passed as f64)
    }

    fn check(&self) -> Result<(), SettingError> {
        positive("the decay factor", self.factor)
    }
}
