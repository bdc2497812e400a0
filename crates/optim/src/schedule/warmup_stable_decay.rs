use super::{Schedule, progress};
use crate::SettingError;
use crate::settings::{not_negative, positive, require};

/// A linear warm-up over W steps, the base rate, and a decay over the last D of N steps
/// (Hu et al. 2024, MiniCPM; Hägele et al. 2024).
///
/// ```text
/// rate(t) = b t/W  for t < W,   b  for t ≤ N − D,   then with x = (t − N + D)/D
///           b (1 − √x)   (the default),   b (1 − x)   (linear),   b fˣ   (exponential)
/// ```
/// D of 10 to 20 % of N is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WarmupStableDecay {
    steps: u64,
    warmup: u64,
    decay: u64,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Form {
    Root,
    Linear,
    Exponential(f64),
}

impl WarmupStableDecay {
    /// Creates a schedule of N steps: W of them warm up, and the last D decay along 1 − √x.
    #[must_use]
    pub fn new(steps: u64, warmup: u64, decay: u64) -> Self {
        Self { steps, warmup, decay, form: Form::Root }
    }

    setters! {
        /// Decays along a straight line.
        linear() form = Form::Linear;
        /// Decays exponentially, to the share f of the base rate.
        exponential(last: f64) form = Form::Exponential(last);
    }
}

impl Schedule for WarmupStableDecay {
    fn rate(&self, base: f64, step: u64) -> f64 {
        if step < self.warmup {
            return base * step as f64 / self.warmup as f64;
        }
        let start = self.steps.saturating_sub(self.decay);
        if step <= start {
            return base;
        }
        let x = progress(step - start, self.decay);
        base * match self.form {
            Form::Root => 1.0 - x.sqrt(),
            Form::Linear => 1.0 - x,
            Form::Exponential(last) => last.powf(x),
        }
    }

    fn check(&self) -> Result<(), SettingError> {
        let together = self.warmup.saturating_add(self.decay);
        let fits = together <= self.steps;
        require(fits, "the number of warm-up and decay steps", together as f64, "at most the number of steps")?;
        not_negative("the number of steps", self.steps as f64)?;
        match self.form {
            Form::Exponential(last) => positive("the last factor of a decay", last),
            _ => Ok(()),
        }
    }
}
