use super::*;
use downhill_tensor::reduce::norm_max;

/// Evaluates the objective: it counts, keeps to the limits, and remembers the best point.
pub struct Evaluator<'a, T: Scalar> {
    objective: &'a mut dyn Objective<T>,
    evaluations: u64,
    limit: u64,
    start: Instant,
    time: Option<Duration>,
    /// Where the lowest value was found.
    best: Vec<T>,
    best_value: f64,
    best_gradient_norm: f64,
    last_is_finite: bool,
    last_gradient_norm: f64,
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
    pub(super) fn new(objective: &'a mut dyn Objective<T>, len: usize, limit: u64, time: Option<Duration>) -> Self {
        Self {
            objective,
            evaluations: 0,
            limit,
            start: Instant::now(),
            time,
            best: vec![T::ZERO; len],
            best_value: f64::INFINITY,
            best_gradient_norm: f64::NAN,
            last_is_finite: false,
            last_gradient_norm: f64::NAN,
        }
    }

    /// f(x); overwrites `gradient` with ∇f(x). Not a number where the value or the gradient is not finite.
    ///
    /// # Errors
    /// Where a limit is met or the objective can't be evaluated: the reason to stop.
    pub fn evaluate(&mut self, x: &[T], gradient: &mut [T]) -> Result<f64, Reason> {
        if self.evaluations >= self.limit {
            return Err(Reason::EvaluationLimit);
        }
        if self.time.is_some_and(|time| self.start.elapsed() >= time) {
            return Err(Reason::TimeLimit);
        }
        self.evaluations += 1;
        let value = self.objective.value_and_gradient(x, gradient).map_err(Reason::EvaluationFailed)?.to_f64();
        self.last_gradient_norm = norm_max(gradient);
        self.last_is_finite = value.is_finite() && self.last_gradient_norm.is_finite();
        if !self.last_is_finite {
            return Ok(f64::NAN);
        }
        if value < self.best_value {
            self.best.copy_from_slice(x);
            self.best_value = value;
            self.best_gradient_norm = self.last_gradient_norm;
        }
        Ok(value)
    }

    /// The number of evaluations so far.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// ‖∇f‖∞ at the last evaluation.
    #[must_use]
    pub fn last_gradient_norm(&self) -> f64 {
        self.last_gradient_norm
    }

    /// Whether the value and the gradient of the last evaluation were finite.
    #[must_use]
    pub fn last_was_finite(&self) -> bool {
        self.last_is_finite
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn outcome(self, at: Iterate<T>, reason: Reason, path: Vec<Vec<T>>) -> Outcome<T> {
        let elapsed = self.elapsed();
        let best = Lowest { x: self.best, value: self.best_value, gradient_norm: self.best_gradient_norm };
        let here = Lowest { x: at.x, value: at.value, gradient_norm: self.last_gradient_norm };
        // A rule that was met was met here; any other end hands back the lowest point.
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
