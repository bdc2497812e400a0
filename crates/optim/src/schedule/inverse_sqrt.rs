use super::Schedule;
use crate::SettingError;
use crate::settings::at_least_one;

/// A linear warm-up, then a decay with the root of the step number; `inverse_sqrt` in fairseq.
///
/// ```text
/// rate(t) = b t/W   for t < W,   b √(W/t)   from then on
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InverseSqrt {
    warmup: u64,
}

impl InverseSqrt {
    /// Creates the schedule, which reaches the base rate after W steps.
    #[must_use]
    pub fn new(warmup: u64) -> Self {
        Self { warmup }
    }
}

impl Schedule for InverseSqrt {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let (step, warmup) = (step as f64, self.warmup.max(1) as f64);
        if step < warmup { base * step / warmup } else { base * (warmup / step).sqrt() }
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of warm-up steps", self.warmup)
    }
}

/// The schedule of the first transformer (Vaswani et al. 2017), for a base rate of 1.
///
/// ```text
/// rate(t) = b d^(−½) min(s^(−½), s W^(−3/2)),   s = t + 1
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransformerDecay {
    width: u64,
    warmup: u64,
}

impl TransformerDecay {
    /// Creates the schedule for a model of width d, with a warm-up over W steps.
    #[must_use]
    pub fn new(width: u64, warmup: u64) -> Self {
        Self { width, warmup }
    }
}

impl Schedule for TransformerDecay {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let (step, warmup) = (step as f64 + 1.0, self.warmup.max(1) as f64);
        base / (self.width.max(1) as f64).sqrt() * (1.0 / step.sqrt()).min(step / (warmup * warmup.sqrt()))
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the width of the model", self.width)?;
        at_least_one("the number of warm-up steps", self.warmup)
    }
}
