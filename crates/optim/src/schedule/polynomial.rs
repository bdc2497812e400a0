use super::{Schedule, progress};
use crate::SettingError;
use crate::settings::positive;

/// A decay to 0 along a power; `PolynomialLR` in PyTorch.
///
/// ```text
/// rate(t) = b (1 − min(t, T)/T)ᵖ
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Polynomial {
    steps: u64,
    power: f64,
}

impl Polynomial {
    /// Creates a decay over T steps, with the power p = 1.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        Self { steps, power: 1.0 }
    }

    setters! {
        /// Sets the power p.
        power: f64;
    }
}

impl Schedule for Polynomial {
    fn rate(&self, base: f64, step: u64) -> f64 {
        base * (1.0 - progress(step, self.steps)).powf(self.power)
    }

    fn check(&self) -> Result<(), SettingError> {
        positive("the power of a polynomial decay", self.power)
    }
}
