use crate::SettingError;
use crate::settings::{not_negative, require};

/// A reduction of the learning rate when a measure stops improving; `ReduceLROnPlateau` in PyTorch.
///
/// ```text
/// better:  v < best − threshold |best|       →  best ← v, bad ← 0;   otherwise  bad ← bad + 1
/// cooling: cooldown ← cooldown − 1, bad ← 0
/// bad > patience:  rate ← max(rate · factor, floor);  cooling starts again, bad ← 0
/// ```
///
/// Defaults, as PyTorch's: factor 0.1, patience 10, threshold 1e-4 (relative), cooldown 0, floor 0;
/// a change of at most 1e-8 is left out.
/// It fires when the bad measurements are **more** than the patience; Keras fires at as many, with an absolute threshold.
/// NaN is never better.
/// The relative threshold is a share of the size of the best, whatever its sign; in PyTorch, whose best (1 − threshold) is
/// *above* a negative best, a likelihood that stalls below 0 never fires.
///
/// ```
/// use downhill_optim::schedule::ReduceOnPlateau;
/// let mut plateau = ReduceOnPlateau::new().patience(1);
/// let rates: Vec<f64> = [5.0, 5.0, 5.0, 5.0].map(|loss| plateau.observe(loss, 0.1)).to_vec();
/// assert_eq!(rates, [0.1, 0.1, 0.1 * 0.1, 0.1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReduceOnPlateau {
    factor: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    floor: f64,
    smallest_change: f64,
    larger_is_better: bool,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number", default))]
    best: Option<f64>,
    bad: u64,
    cooling: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Threshold {
    Relative(f64),
    Absolute(f64),
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl ReduceOnPlateau {
    /// Creates the schedule for a measure that should fall, with PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            floor: 0.0,
            smallest_change: 1e-8,
            larger_is_better: false,
            best: None,
            bad: 0,
            cooling: 0,
        }
    }

    setters! {
        /// Sets the factor of a reduction.
        factor: f64;
        /// Sets the number of bad measurements that do not reduce the rate.
        patience: u64;
        /// Sets the share of the best's magnitude by which a measurement must be better to count.
        relative_threshold(threshold: f64) threshold = Threshold::Relative(threshold);
        /// Sets the amount by which a measurement must be better to count.
        absolute_threshold(threshold: f64) threshold = Threshold::Absolute(threshold);
        /// Sets the number of measurements after a reduction that do not count as bad.
        cooldown: u64;
        /// Sets the lowest rate.
        floor: f64;
        /// Sets the largest change of the rate that is left out.
        smallest_change(change: f64) smallest_change = change;
        /// Takes a measure that should rise, such as an accuracy.
        larger_is_better() larger_is_better = true;
    }

    /// Returns the best measurement so far.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Forgets all measurements: the next run starts as the first did. The settings stay.
    pub fn reset(&mut self) {
        (self.best, self.bad, self.cooling) = (None, 0, 0);
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
    pub fn check(&self) -> Result<(), SettingError> {
        let shrinks = self.factor > 0.0 && self.factor < 1.0;
        require(shrinks, "the factor on a plateau", self.factor, "between 0 and 1")?;
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = self.threshold;
        not_negative("the threshold of a plateau", threshold)?;
        not_negative("the lowest rate on a plateau", self.floor)?;
        not_negative("the smallest change on a plateau", self.smallest_change)
    }

    /// Observes a measurement and the present rate; returns the rate to go on with.
    pub fn observe(&mut self, value: f64, rate: f64) -> f64 {
        if self.is_better(value) {
            self.best = Some(value);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad <= self.patience {
            return rate;
        }
        self.cooling = self.cooldown;
        self.bad = 0;
        let reduced = (rate * self.factor).max(self.floor);
        if rate - reduced > self.smallest_change { reduced } else { rate }
    }

    fn is_better(&self, value: f64) -> bool {
        let worst = if self.larger_is_better { f64::NEG_INFINITY } else { f64::INFINITY };
        let best = self.best.unwrap_or(worst);
        match (self.threshold, self.larger_is_better) {
            (Threshold::Relative(threshold), false) => value < best * (1.0 - threshold.copysign(best)),
            (Threshold::Relative(threshold), true) => value > best * (1.0 + threshold.copysign(best)),
            (Threshold::Absolute(threshold), false) => value < best - threshold,
            (Threshold::Absolute(threshold), true) => value > best + threshold,
        }
    }
}
