use super::{Schedule, half_cosine};
use crate::SettingError;
use crate::settings::{at_least_one, decay_rate, positive, require};

/// A rise to the base rate, then a decay far below the start, with the momentum running opposite (Smith 2017);
/// `OneCycleLR` in PyTorch, with the base rate as its `max_lr`.
///
/// ```text
/// start = b/div   →   b   over steps 0 … pN−1,      b   →   start/final_div   over pN−1 … N−1
/// three phases:   start → b,  end pN−1;   b → start,  end 2pN−2;   start → start/final_div,  end N−1
/// ```
///
/// Between two rates a and e at the fraction x of a phase: e + (a−e)(1 + cos πx)/2, or a + (e−a)x.
/// The ends of phases are real numbers, not rounded.
/// Defaults, as PyTorch's: p = 0.3, div = 25, final_div = 1e4, cosine, two phases, momentum 0.95 → 0.85 → 0.95.
/// After step N − 1 the last rate is kept; PyTorch raises an error.
///
/// As in PyTorch the momentum of a rule that has one is moved even if it is 0, as [`Sgd`](crate::Sgd)'s is at first, and a
/// rule without one is refused ([`Optimizer::check_schedule`](crate::Optimizer::check_schedule)).
/// [`RmsProp`](crate::RmsProp) is such a rule until its momentum is set: it keeps no velocity, whereas
/// PyTorch's `RMSprop` makes one at the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OneCycle {
    steps: u64,
    rise: f64,
    start_divisor: f64,
    final_divisor: f64,
    linear: bool,
    three_phases: bool,
    momentum: Option<(f64, f64)>,
}

impl OneCycle {
    /// Creates a cycle of N steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        Self {
            steps,
            rise: 0.3,
            start_divisor: 25.0,
            final_divisor: 1e4,
            linear: false,
            three_phases: false,
            momentum: Some((0.85, 0.95)),
        }
    }

    setters! {
        /// Sets the share p of the steps in which the rate rises.
        rise(share: f64) rise = share;
    }

    /// Sets the divisors of the base rate at the start, and of that rate at the end.
    #[must_use]
    pub fn divisors(mut self, start: f64, last: f64) -> Self {
        (self.start_divisor, self.final_divisor) = (start, last);
        self
    }

    setters! {
        /// Takes straight lines instead of cosines.
        linear() linear = true;
        /// Goes down to the first rate for as long as it went up, then on to the last.
        three_phases() three_phases = true;
        /// Sets the lowest momentum, which goes with the highest rate, and the highest.
        momentum_between(lowest: f64, highest: f64) momentum = Some((lowest, highest));
        /// Leaves the momentum as it is; `cycle_momentum=False` in PyTorch.
        no_momentum() momentum = None;
    }

    /// Returns the value at `step` of a cycle through start, peak, (start,) end.
    fn value_at(&self, step: u64, start: f64, peak: f64, end: f64) -> f64 {
        let last = self.steps.max(1) as f64 - 1.0;
        let top = self.rise * self.steps as f64 - 1.0;
        let phases: &[(f64, f64, f64)] = if self.three_phases {
            &[(top, start, peak), (2.0 * top, peak, start), (last, start, end)]
        } else {
            &[(top, start, peak), (last, peak, end)]
        };
        let step = (step as f64).min(last);
        let mut begin = 0.0;
        for &(finish, from, to) in phases {
            if step <= finish {
                let fraction = if finish > begin { (step - begin) / (finish - begin) } else { 1.0 };
                return if self.linear { from + (to - from) * fraction } else { half_cosine(from, to, fraction) };
            }
            begin = finish;
        }
        end
    }
}

impl Schedule for OneCycle {
    fn rate(&self, base: f64, step: u64) -> f64 {
        let start = base / self.start_divisor;
        self.value_at(step, start, base, start / self.final_divisor)
    }

    fn momentum(&self, step: u64) -> Option<f64> {
        self.momentum.map(|(lowest, highest)| self.value_at(step, highest, lowest, highest))
    }

    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of steps of a cycle", self.steps)?;
        require((0.0..=1.0).contains(&self.rise), "the rising share of a cycle", self.rise, "between 0 and 1")?;
        positive("the first divisor of a cycle", self.start_divisor)?;
        positive("the last divisor of a cycle", self.final_divisor)?;
        let (lowest, highest) = self.momentum.unwrap_or_default();
        decay_rate("the lowest momentum of a cycle", lowest)?;
        decay_rate("the highest momentum of a cycle", highest)
    }
}
