use super::{Schedule, half_cosine};
use crate::SettingError;
use crate::settings::{at_least_one, not_negative};

/// A decay along half a cosine (Loshchilov & Hutter 2017); `CosineAnnealingLR` in PyTorch.
///
/// ```text
/// rate(t) = m + (b − m)(1 + cos(π t/T))/2
/// ```
///
/// After T the rate rises again, with the period 2T, as in PyTorch; optax's stays at its floor:
/// see [`held`](Cosine::held).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cosine {
    steps: u64,
    floor: f64,
    held: bool,
}

impl Cosine {
    /// Creates a decay from the base rate to 0 over T steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        Self { steps, floor: 0.0, held: false }
    }

    setters! {
        /// Sets the lowest rate m.
        floor: f64;
        /// Keeps the lowest rate after T.
        held() held = true;
    }
}

impl Schedule for Cosine {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let period = self.steps.max(1);
        // The phase is reduced in whole numbers, where it loses nothing.
        let step = if self.held { step.min(period) } else { step % period.saturating_mul(2) };
        half_cosine(base, self.floor, step as f64 / period as f64)
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of steps of a cosine", self.steps)?;
        not_negative("the lowest rate of a cosine", self.floor)
    }
}
