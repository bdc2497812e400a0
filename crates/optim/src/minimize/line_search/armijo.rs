use super::*;

/// Backtracking until the value has fallen far enough (Armijo 1966).
///
/// ```text
/// φ(α) ≤ φ(0) + c₁ α φ'(0)
/// ```
///
/// The next trial is the minimum of the parabola through φ(0), φ'(0) and φ(α), kept between a tenth and a half of α.
/// If rounding makes φ(α) equal φ(0), the slope must have shrunk by a tenth, or the step is no progress.
/// Defaults: c₁ = 1e-4, at most 40 trials.
/// It does not ask for curvature, so quasi-Newton methods learn less than with [`MoreThuente`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Armijo {
    c1: f64,
    trials: u32,
}

impl Armijo {
    /// Creates the search with c₁ = 1e-4.
    #[must_use]
    pub fn new() -> Self {
        Self { c1: 1e-4, trials: 40 }
    }

    setters! {
        /// Sets the share c₁ of the first slope that must be gained.
        c1: f64;
    }
}

impl Default for Armijo {
    fn default() -> Self {
        Self::new()
    }
}

impl LineSearch for Armijo {
    fn check(&self) -> Result<(), SettingError> {
        require(self.c1 > 0.0 && self.c1 < 1.0, "c1", self.c1, "greater than 0 and less than 1")
    }

    fn search(
        &self,
        phi: &mut dyn FnMut(f64) -> Result<Trial, Reason>,
        start: Trial,
        first: f64,
    ) -> Result<Search, Reason> {
        let mut step = first;
        let mut best = start;
        for _ in 0..self.trials {
            if !(step > 0.0 && step.is_finite()) {
                break;
            }
            let trial = phi(step)?;
            best = lower(best, trial);
            let is_low = trial.is_finite() && trial.value <= start.value + self.c1 * step * start.slope;
            if is_low && (trial.value < start.value || trial.slope.abs() <= 0.9 * start.slope.abs()) {
                return Ok(Search::Found(trial));
            }
            let parabola = -start.slope * step * step / (2.0 * (trial.value - start.value - start.slope * step));
            // A parabola through a value that is not finite has no minimum.
            step = if parabola.is_finite() { parabola.clamp(0.1 * step, 0.5 * step) } else { 0.1 * step };
        }
        Ok(Search::Failed(best))
    }
}
