use super::*;

/// An evaluator of the objective that counts, keeps to the limits and remembers the best point.
pub struct Evaluator<'a, T: Scalar> {
    objective: &'a mut dyn Objective<T>,
    penalty: Option<Penalty>,
    evaluations: u64,
    limit: u64,
    start: Instant,
    time: Option<Duration>,
    /// The point with the lowest value.
    best: Vec<T>,
    best_value: f64,
    best_gradient_norm: f64,
    convergence: Convergence,
    /// The results of the last evaluation.
    value: f64,
    smooth_value: f64,
    gradient_norm: f64,
    meets_rule: bool,
}

impl<T: Scalar> Debug for Evaluator<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("evaluations", &self.evaluations)
            .field("best_value", &self.best_value)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Scalar> Evaluator<'a, T> {
    pub(super) fn new(
        objective: &'a mut dyn Objective<T>,
        penalty: Option<Penalty>,
        len: usize,
        limit: u64,
        time: Option<Duration>,
    ) -> Self {
        Self {
            objective,
            penalty,
            evaluations: 0,
            limit,
            start: Instant::now(),
            time,
            best: vec![T::ZERO; len],
            best_value: f64::INFINITY,
            best_gradient_norm: f64::NAN,
            convergence: Convergence::default(),
            value: f64::NAN,
            smooth_value: f64::NAN,
            gradient_norm: f64::NAN,
            meets_rule: false,
        }
    }

    /// Returns f(x), with the method's penalty if it has one; overwrites `gradient` with ∇f(x), without it.
    /// Not a number if the value or the gradient is not finite.
    ///
    /// # Errors
    /// Returns the reason to stop if a limit is met or the objective can't be evaluated.
    pub fn evaluate(&mut self, x: &[T], gradient: &mut [T]) -> Result<f64, Reason> {
        if self.evaluations >= self.limit {
            return Err(Reason::EvaluationLimit);
        }
        if self.time.is_some_and(|time| self.start.elapsed() >= time) {
            return Err(Reason::TimeLimit);
        }
        self.evaluations += 1;
        self.smooth_value = self.objective.value_and_gradient(x, gradient).map_err(Reason::EvaluationFailed)?.to_f64();
        self.value = self.penalty.as_ref().map_or(self.smooth_value, |penalty| self.smooth_value + penalty.value(x));
        self.gradient_norm = self.gradient_norm(x, gradient);
        self.meets_rule = false;
        if !self.last_was_finite() {
            return Ok(f64::NAN);
        }
        if self.value <= self.best_value {
            self.meets_rule = self.convergence.reason(self.value, self.gradient_norm).is_some();
        }
        if self.value < self.best_value {
            self.best.copy_from_slice(x);
            self.best_value = self.value;
            self.best_gradient_norm = self.gradient_norm;
        }
        Ok(self.value)
    }

    /// Returns the number of evaluations so far.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Returns ‖∇f‖∞ at the last evaluation; with a penalty, that of the least subgradient of the sum.
    #[must_use]
    pub fn last_gradient_norm(&self) -> f64 {
        self.gradient_norm
    }

    /// Returns whether the value and the gradient of the last evaluation were finite.
    #[must_use]
    pub fn last_was_finite(&self) -> bool {
        self.value.is_finite() && self.gradient_norm.is_finite()
    }

    /// Returns whether the last evaluation met a rule of success, at the lowest value so far.
    /// A search need not go on then: an iteration may end at this point.
    #[must_use]
    pub fn last_meets_rule(&self) -> bool {
        self.meets_rule
    }

    /// Returns the value of the last evaluation as it came, finite or not.
    pub(super) fn last_value(&self) -> f64 {
        self.value
    }

    /// Returns the value of the last evaluation without the penalty.
    pub(super) fn last_smooth_value(&self) -> f64 {
        self.smooth_value
    }

    pub(super) fn penalty(&self) -> Option<&Penalty> {
        self.penalty.as_ref()
    }

    /// Returns ‖∇f‖∞; with a penalty, that of the least subgradient of the sum.
    pub(super) fn gradient_norm(&self, x: &[T], gradient: &[T]) -> f64 {
        let norm = norm_max(gradient);
        // A gradient that is not finite stays so.
        match &self.penalty {
            Some(penalty) if norm.is_finite() => penalty.least_subgradient_norm(x, gradient),
            _ => norm,
        }
    }

    pub(super) fn set_convergence(&mut self, convergence: Convergence) {
        self.convergence = convergence;
    }

    /// Returns whether a point with this value is a success if rounding hides every lower one: not if the run has been lower, as one
    /// that diverges has.
    pub(super) fn takes_rounding_for_success(&self, value: f64) -> bool {
        let hidden = T::EPSILON.to_f64().sqrt() * self.best_value.abs();
        self.convergence.is_scaled && value <= self.best_value + hidden
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn outcome(self, at: Iterate<T>, gradient_norm: f64, reason: Reason, path: Vec<Vec<T>>) -> Outcome<T> {
        let elapsed = self.elapsed();
        let best = Lowest { x: self.best, value: self.best_value, gradient_norm: self.best_gradient_norm };
        let here = Lowest { x: at.x, value: at.value, gradient_norm };
        // A rule that was met was met here; any other end returns the lowest point.
        let (point, lowest) = if reason.is_converged() {
            let lower = best.value < here.value;
            (here, lower.then_some(best))
        } else if best.value.is_finite() {
            (best, None)
        } else {
            (here, None)
        };
        Outcome {
            x: point.x,
            value: point.value,
            gradient_norm: point.gradient_norm,
            reason,
            iterations: at.iteration,
            evaluations: self.evaluations,
            elapsed,
            lowest,
            path,
        }
    }
}
