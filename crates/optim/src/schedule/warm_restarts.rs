use super::{Schedule, half_cosine};
use crate::SettingError;
use crate::settings::{at_least_one, not_negative};

/// Cosine decays that start again, each longer than the last (Loshchilov & Hutter 2017);
/// `CosineAnnealingWarmRestarts` in PyTorch.
///
/// ```text
/// rate = m + (b − m)(1 + cos(π u/Tᵢ))/2,   u steps after the last restart;   Tᵢ₊₁ = k Tᵢ
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WarmRestarts {
    first: u64,
    growth: u64,
    floor: f64,
}

impl WarmRestarts {
    /// Creates the schedule, whose first decay lasts T₀ steps; all are equally long (k = 1) and go down to 0.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { first, growth: 1, floor: 0.0 }
    }

    setters! {
        /// Sets the factor k by which each decay is longer than its predecessor.
        growth: u64;
        /// Sets the lowest rate m.
        floor: f64;
    }
}

impl Schedule for WarmRestarts {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let mut period = self.first.max(1);
        let mut since = step;
        if self.growth < 2 {
            since %= period;
        }
        while since >= period {
            since -= period;
            period = period.saturating_mul(self.growth);
        }
        half_cosine(base, self.floor, since as f64 / period as f64)
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of steps to the first restart", self.first)?;
        at_least_one("the growth of the decays", self.growth)?;
        not_negative("the lowest rate of a cosine", self.floor)
    }
}
