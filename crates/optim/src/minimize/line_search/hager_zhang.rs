use super::*;

/// The search of Hager & Zhang (2005; ACM TOMS 32(1), 2006) for a step that meets the Wolfe conditions, or, if
/// rounding hides the fall of the value, the approximate ones.
///
/// ```text
/// Wolfe:              φ(α) ≤ φ(0) + δ α φ'(0)          φ'(α) ≥ σ φ'(0)
/// approximate Wolfe:  (2δ − 1) φ'(0) ≥ φ'(α) ≥ σ φ'(0)  and  φ(α) ≤ φ(0) + ε |φ(0)|
/// ```
///
/// Defaults, as the paper's: δ = 0.1, σ = 0.9, ε = 1e-6, θ = ½, γ = ⅔, ρ = 5; at most 50 trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HagerZhang {
    delta: f64,
    sigma: f64,
    epsilon: f64,
    trials: u32,
}

/// The place at which the update cuts the interval (θ), the factor by which it must shrink (γ) and by which it opens (ρ).
const CUT: f64 = 0.5;
const SHRINK: f64 = 2.0 / 3.0;
const OPEN: f64 = 5.0;

impl HagerZhang {
    /// Creates the search with δ = 0.1, σ = 0.9, ε = 1e-6.
    #[must_use]
    pub fn new() -> Self {
        Self { delta: 0.1, sigma: 0.9, epsilon: 1e-6, trials: 50 }
    }

    /// Sets δ and σ of the Wolfe conditions.
    #[must_use]
    pub fn wolfe(mut self, delta: f64, sigma: f64) -> Self {
        (self.delta, self.sigma) = (delta, sigma);
        self
    }

    setters! {
        /// Sets the share ε of |φ(0)| by which the value may rise.
        epsilon: f64;
    }
}

impl Default for HagerZhang {
    fn default() -> Self {
        Self::new()
    }
}

impl LineSearch for HagerZhang {
    fn check(&self) -> Result<(), SettingError> {
        check_wolfe(self.delta, self.sigma)?;
        require(self.delta < 0.5, "delta", self.delta, "less than one half")?;
        not_negative("epsilon", self.epsilon)
    }

    fn search(
        &self,
        phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
        start: Trial,
        first: f64,
    ) -> Result<Search, Reason> {
        let mut line = Line { search: self, phi, start, best: start, left: self.trials };
        match line.find(first) {
            Ok(never) => match never {},
            Err(End::Found(trial)) => Ok(Search::Found(trial)),
            Err(End::Failed) => Ok(Search::Failed(line.best)),
            Err(End::Stopped(reason)) => Err(reason),
        }
    }
}

/// The search in progress; it ends through the error of whichever trial ends it.
struct Line<'a> {
    search: &'a HagerZhang,
    phi: &'a mut dyn FnMut(f64) -> Result<Trial, Reason>,
    start: Trial,
    best: Trial,
    left: u32,
}

enum End {
    Found(Trial),
    Failed,
    Stopped(Reason),
}

enum Never {}

/// An interval whose left end is low with a falling slope, and whose right end is high or has a rising slope.
#[derive(Clone, Copy)]
struct Interval {
    a: Trial,
    b: Trial,
}

impl Line<'_> {
    fn find(&mut self, first: f64) -> Result<Never, End> {
        let mut interval = self.open(first)?;
        loop {
            let (width, left) = (interval.b.step - interval.a.step, self.left);
            let mut next = self.double_secant(interval)?;
            if next.b.step - next.a.step > SHRINK * width {
                let middle = self.trial(0.5 * (next.a.step + next.b.step))?;
                next = self.update(next, middle)?;
            }
            // Below the resolution of numbers no secant lies within, and no width shrinks or fails to.
            if self.left == left {
                return Err(End::Failed);
            }
            interval = next;
        }
    }

    /// Returns φ at `step`, if it neither ends the search nor uses up its trials.
    fn trial(&mut self, step: f64) -> Result<Trial, End> {
        if self.left == 0 || !(step > 0.0 && step.is_finite()) {
            return Err(End::Failed);
        }
        self.left -= 1;
        let trial = (self.phi)(step).map_err(End::Stopped)?;
        self.best = lower(self.best, trial);
        if self.is_good(trial) { Err(End::Found(trial)) } else { Ok(trial) }
    }

    fn is_good(&self, trial: Trial) -> bool {
        let HagerZhang { delta, sigma, .. } = *self.search;
        let slope = self.start.slope;
        let wolfe = trial.value <= self.start.value + delta * trial.step * slope;
        let approximate = (2.0 * delta - 1.0) * slope >= trial.slope && self.is_low(trial);
        trial.is_finite() && trial.slope >= sigma * slope && (wolfe || approximate)
    }

    /// Returns whether the value is no higher than rounding explains.
    fn is_low(&self, trial: Trial) -> bool {
        trial.value <= self.start.value + self.search.epsilon * self.start.value.abs()
    }

    fn rises(trial: Trial) -> bool {
        trial.is_finite() && trial.slope >= 0.0
    }

    /// Goes outwards until a minimum is enclosed.
    fn open(&mut self, first: f64) -> Result<Interval, End> {
        let mut low = self.start;
        let mut step = first;
        loop {
            let trial = self.trial(step)?;
            if Self::rises(trial) {
                return Ok(Interval { a: low, b: trial });
            }
            // Too high, or not finite: the minimum lies before it.
            if !self.is_low(trial) {
                return self.bisect(Interval { a: low, b: trial });
            }
            low = trial;
            step *= OPEN;
        }
    }

    /// Cuts an interval whose right end is too high and still falls.
    fn bisect(&mut self, mut interval: Interval) -> Result<Interval, End> {
        loop {
            let Interval { a, b } = interval;
            let middle = self.trial((1.0 - CUT) * a.step + CUT * b.step)?;
            if Self::rises(middle) {
                return Ok(Interval { a, b: middle });
            }
            interval = if self.is_low(middle) { Interval { a: middle, b } } else { Interval { a, b: middle } };
        }
    }

    fn update(&mut self, interval: Interval, trial: Trial) -> Result<Interval, End> {
        let Interval { a, b } = interval;
        if trial.step <= a.step || trial.step >= b.step {
            Ok(interval)
        } else if Self::rises(trial) {
            Ok(Interval { a, b: trial })
        } else if self.is_low(trial) {
            Ok(Interval { a: trial, b })
        } else {
            self.bisect(Interval { a, b: trial })
        }
    }

    /// Returns the interval updated by a trial at `step`, if it lies within.
    fn update_at(&mut self, interval: Interval, step: f64) -> Result<Interval, End> {
        if step > interval.a.step && step < interval.b.step {
            let trial = self.trial(step)?;
            self.update(interval, trial)
        } else {
            Ok(interval)
        }
    }

    fn double_secant(&mut self, interval: Interval) -> Result<Interval, End> {
        let secant = |a: Trial, b: Trial| (a.step * b.slope - b.step * a.slope) / (b.slope - a.slope);
        let Interval { a, b } = interval;
        let step = secant(a, b);
        let next = self.update_at(interval, step)?;
        if next.b.step == step {
            self.update_at(next, secant(b, next.b))
        } else if next.a.step == step {
            self.update_at(next, secant(a, next.a))
        } else {
            Ok(next)
        }
    }
}
