use super::Schedule;
use crate::SettingError;
use crate::settings::{at_least_one, not_negative, positive};

/// A cycle between the base rate and a higher one (Smith 2017); `CyclicLR` in PyTorch.
///
/// ```text
/// c = ⌊1 + t/P⌋,  x = 1 + t/P − c,  r = up/P,  P = up + down
/// rate(t) = b + (hi − b) z k,   z = x/r  for x ≤ r,  (x − 1)/(r − 1)  after it
/// k = 1  (triangular),   2^(1−c)  (halved at each cycle),   γᵗ  (decaying)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cyclic {
    highest: f64,
    up: u64,
    down: u64,
    amplitude: Amplitude,
}

/// The change of the height of a [`Cyclic`] schedule's peaks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Amplitude {
    Constant,
    Halved,
    Decaying(f64),
}

impl Cyclic {
    /// Creates a cycle between the base rate and `highest`, 2000 steps up and 2000 down, all peaks equally high.
    #[must_use]
    pub fn new(highest: f64) -> Self {
        Self { highest, up: 2000, down: 2000, amplitude: Amplitude::Constant }
    }

    /// Sets the numbers of steps up and down.
    #[must_use]
    pub fn steps(mut self, up: u64, down: u64) -> Self {
        (self.up, self.down) = (up, down);
        self
    }

    setters! {
        /// Halves the height at each cycle (`triangular2`).
        halved() amplitude = Amplitude::Halved;
        /// Multiplies the height by γ at every step (`exp_range`).
        decaying(factor: f64) amplitude = Amplitude::Decaying(factor);
    }
}

impl Schedule for Cyclic {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let period = self.up.saturating_add(self.down).max(1);
        // In whole numbers nothing is lost, however many cycles have passed.
        let (cycle, within) = (step / period, step % period);
        let height = if within <= self.up {
            within as f64 / self.up.max(1) as f64
        } else {
            (period - within) as f64 / self.down.max(1) as f64
        };
        let amplitude = match self.amplitude {
            Amplitude::Constant => 1.0,
            Amplitude::Halved => 0.5_f64.powf(cycle as f64),
            Amplitude::Decaying(factor) => factor.powf(step as f64),
        };
        base + (self.highest - base) * height * amplitude
    }

    fn check(&self) -> Result<(), SettingError> {
        not_negative("the highest rate of a cycle", self.highest)?;
        at_least_one("the number of rising steps of a cycle", self.up)?;
        at_least_one("the number of falling steps of a cycle", self.down)?;
        match self.amplitude {
            Amplitude::Decaying(factor) => positive("the decay factor of a cycle", factor),
            _ => Ok(()),
        }
    }
}
