//! Minimisation of differentiable functions.
//!
//! [`minimize`] walks downhill on any [`Objective`] until the gradient vanishes or a limit is met, and always hands
//! back the best point it found together with the true reason for which it stopped.
//!
//! ```
//! use downhill_optim::GradientDescent;
//! use downhill_optim::minimize::{Reason, minimize};
//!
//! let bowl = |x: &[f64], g: &mut [f64]| {
//!     g.copy_from_slice(&[2.0 * (x[0] - 3.0), 20.0 * x[1]]);
//!     (x[0] - 3.0).powi(2) + 10.0 * x[1] * x[1]
//! };
//! let outcome = minimize(bowl, [0.0, 1.0]).optimizer(GradientDescent::new(0.05)).run()?;
//! assert!(matches!(outcome.reason, Reason::GradientVanished));
//! assert!((outcome.x[0] - 3.0).abs() < 1e-6);
//! # Ok::<(), downhill_optim::SettingError>(())
//! ```

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use downhill_tensor::Scalar;

use crate::error::{not_negative, require};
use crate::{Objective, Optimizer, SettingError};

mod bfgs;
mod conjugate_gradient;
mod directional;
mod evaluator;
mod lbfgs;
mod line_search;
mod outcome;
mod stepping;

pub use bfgs::{Bfgs, FullMatrix};
pub use conjugate_gradient::{Conjugate, ConjugateGradient, Steepest, SteepestDescent};
pub use directional::{Direction, Directional, Taken};
pub use evaluator::Evaluator;
pub use lbfgs::{Lbfgs, LimitedMemory};
pub use line_search::{Armijo, FixedStep, HagerZhang, LineSearch, MoreThuente, Search, Trial};
pub use outcome::{Lowest, Outcome, Reason};
pub use stepping::Stepping;

/// A way to get from one point to a lower one.
pub trait Method<T: Scalar>: Debug {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Where one does not.
    fn check(&self) -> Result<(), SettingError>;

    /// Gets ready for a run on vectors of this length; what an earlier run left behind is forgotten.
    fn begin(&mut self, len: usize);

    /// One iteration: moves `at` to the next point, with the value and the gradient there.
    /// The last evaluation must have been that of the point where `at` ends.
    ///
    /// # Errors
    /// The reason to stop. `at` is then unspecified: the evaluator has kept the best point.
    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason>;
}

/// A point with the value and the gradient of the objective there.
#[derive(Clone, Debug)]
pub struct Iterate<T> {
    /// The point.
    pub x: Vec<T>,
    /// The gradient at it.
    pub gradient: Vec<T>,
    /// The value at it.
    pub value: f64,
    /// The number of iterations behind it.
    pub iteration: u64,
}

/// What an observer sees after the start and after each iteration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a, T> {
    /// The number of iterations so far.
    pub iteration: u64,
    /// The number of evaluations so far.
    pub evaluations: u64,
    /// Where the walk is.
    pub x: &'a [T],
    /// The gradient there.
    pub gradient: &'a [T],
    /// The value there.
    pub value: f64,
    /// ‖∇f‖∞ there.
    pub gradient_norm: f64,
    /// The time since the start.
    pub elapsed: Duration,
}

/// When a run stops.
#[derive(Clone, Copy, Debug)]
struct Rules {
    gradient: f64,
    relative_gradient: f64,
    function: Option<f64>,
    step: Option<f64>,
    target: Option<f64>,
    iterations: u64,
    evaluations: u64,
    time: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            gradient: 1e-6,
            relative_gradient: 0.0,
            function: None,
            step: None,
            target: None,
            iterations: 100_000,
            evaluations: u64::MAX,
            time: None,
        }
    }
}

type Observer<'o, T> = Box<dyn FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'o>;

/// A minimisation about to run; made by [`minimize`].
#[must_use = "nothing happens before `run`"]
pub struct Minimization<'o, T, F, M> {
    objective: F,
    x0: Vec<T>,
    method: M,
    rules: Rules,
    observers: Vec<Observer<'o, T>>,
    records: bool,
}

impl<T: Debug, F, M: Debug> Debug for Minimization<'_, T, F, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minimization")
            .field("x0", &self.x0)
            .field("method", &self.method)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl<'o, T: Scalar, F: Objective<T>, M> Minimization<'o, T, F, M> {
    /// Walks by this method.
    pub fn method<N: Method<T>>(self, method: N) -> Minimization<'o, T, F, N> {
        let Self { objective, x0, rules, observers, records, .. } = self;
        Minimization { objective, x0, method, rules, observers, records }
    }

    /// Walks by the steps of this optimizer.
    pub fn optimizer<O: Optimizer<T>>(self, optimizer: O) -> Minimization<'o, T, F, Stepping<O>> {
        self.method(Stepping::new(optimizer))
    }

    /// Converged where ‖∇f‖∞ is at most this; 1e-6 unless set.
    pub fn gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.gradient = tolerance;
        self
    }

    /// Converged also where ‖∇f‖∞ is at most this times max(1, |f|); 0 unless set.
    pub fn relative_gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.relative_gradient = tolerance;
        self
    }

    /// Stalled where an iteration changes f by at most this times max(1, |f|); off unless set.
    pub fn function_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.function = Some(tolerance);
        self
    }

    /// Stalled where an iteration changes no entry of x by more than this times max(1, ‖x‖∞); off unless set.
    pub fn step_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.step = Some(tolerance);
        self
    }

    /// Converged where f is at most this; off unless set.
    pub fn target(mut self, value: f64) -> Self {
        self.rules.target = Some(value);
        self
    }

    /// At most this many iterations; 100,000 unless set.
    pub fn iterations(mut self, limit: u64) -> Self {
        self.rules.iterations = limit;
        self
    }

    /// At most this many evaluations of the objective; no limit unless set.
    pub fn evaluations(mut self, limit: u64) -> Self {
        self.rules.evaluations = limit;
        self
    }

    /// At most this long, looked at before each evaluation; no limit unless set.
    pub fn time(mut self, limit: Duration) -> Self {
        self.rules.time = Some(limit);
        self
    }

    /// Calls `observer` at the start and after each iteration; `Break` stops the run.
    pub fn observe(mut self, observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'o) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Keeps every point of the walk in [`Outcome::path`].
    pub fn record_path(mut self) -> Self {
        self.records = true;
        self
    }
}

impl<T: Scalar, F: Objective<T>, M: Method<T>> Minimization<'_, T, F, M> {
    /// Walks until a rule says to stop.
    ///
    /// # Errors
    /// Where a setting makes no sense. Whatever happens afterwards is in the outcome.
    pub fn run(mut self) -> Result<Outcome<T>, SettingError> {
        self.method.check()?;
        self.rules.check()?;
        let mut evaluator = Evaluator::new(&mut self.objective, self.x0.len(), self.rules.evaluations, self.rules.time);
        self.method.begin(self.x0.len());
        let mut walk = Walk {
            at: Iterate { gradient: vec![T::ZERO; self.x0.len()], x: self.x0, value: f64::NAN, iteration: 0 },
            rules: self.rules,
            observers: self.observers,
            path: self.records.then(Vec::new),
        };
        let reason = walk.run(&mut self.method, &mut evaluator);
        Ok(evaluator.outcome(walk.at, reason, walk.path.unwrap_or_default()))
    }
}

struct Walk<'o, T> {
    at: Iterate<T>,
    rules: Rules,
    observers: Vec<Observer<'o, T>>,
    path: Option<Vec<Vec<T>>>,
}

impl<T: Scalar> Walk<'_, T> {
    fn run(&mut self, method: &mut impl Method<T>, evaluator: &mut Evaluator<'_, T>) -> Reason {
        match evaluator.evaluate(&self.at.x, &mut self.at.gradient) {
            Ok(value) => self.at.value = value,
            Err(reason) => return reason,
        }
        if !evaluator.last_was_finite() {
            return Reason::NotFiniteAtStart;
        }
        // Only the rule that looks at steps needs the point before.
        let mut before = self.rules.step.map(|_| self.at.x.clone());
        loop {
            if let Some(reason) = self.look(evaluator) {
                return reason;
            }
            if self.at.iteration >= self.rules.iterations {
                return Reason::IterationLimit;
            }
            let value_before = self.at.value;
            if let Some(before) = &mut before {
                before.copy_from_slice(&self.at.x);
            }
            if let Err(reason) = method.iterate(&mut self.at, evaluator) {
                return reason;
            }
            self.at.iteration += 1;
            if !evaluator.last_was_finite() {
                return Reason::Diverged;
            }
            let stalled = self.stalled(value_before, before.as_deref());
            if let Some(reason) = stalled {
                return self.look(evaluator).unwrap_or(reason);
            }
        }
    }

    /// Records, shows and judges the present point.
    fn look(&mut self, evaluator: &Evaluator<'_, T>) -> Option<Reason> {
        let gradient_norm = evaluator.last_gradient_norm();
        if let Some(path) = &mut self.path {
            path.push(self.at.x.clone());
        }
        let progress = Progress {
            iteration: self.at.iteration,
            evaluations: evaluator.evaluations(),
            x: &self.at.x,
            gradient: &self.at.gradient,
            value: self.at.value,
            gradient_norm,
            elapsed: evaluator.elapsed(),
        };
        // Every observer sees every point, whatever another says.
        let stops = self.observers.iter_mut().filter_map(|observer| observer(&progress).break_value()).count() > 0;
        let tolerance = self.rules.gradient.max(self.rules.relative_gradient * self.at.value.abs().max(1.0));
        if gradient_norm <= tolerance {
            return Some(Reason::GradientVanished);
        }
        if self.rules.target.is_some_and(|target| self.at.value <= target) {
            return Some(Reason::TargetReached);
        }
        stops.then_some(Reason::Observer)
    }

    fn stalled(&self, value_before: f64, before: Option<&[T]>) -> Option<Reason> {
        let value = self.at.value;
        let scale = value.abs().max(value_before.abs()).max(1.0);
        if self.rules.function.is_some_and(|tolerance| (value - value_before).abs() <= tolerance * scale) {
            return Some(Reason::FunctionStalled);
        }
        let (tolerance, before) = (self.rules.step?, before?);
        let mut largest_change = 0.0_f64;
        let mut largest = 1.0_f64;
        for (&x, &before) in self.at.x.iter().zip(before) {
            largest_change = largest_change.max((x - before).to_f64().abs());
            largest = largest.max(x.to_f64().abs());
        }
        (largest_change <= tolerance * largest).then_some(Reason::StepStalled)
    }
}

impl Rules {
    fn check(&self) -> Result<(), SettingError> {
        not_negative("the gradient tolerance", self.gradient)?;
        not_negative("the relative gradient tolerance", self.relative_gradient)?;
        not_negative("the function tolerance", self.function.unwrap_or(0.0))?;
        not_negative("the step tolerance", self.step.unwrap_or(0.0))?;
        let target = self.target.unwrap_or(0.0);
        require(!target.is_nan(), "the target", target, "a number")
    }
}

/// Minimises `objective` from `x0`, by L-BFGS unless told otherwise: a builder whose [`run`](Minimization::run) does the
/// work.
pub fn minimize<'o, T: Scalar, F: Objective<T>>(
    objective: F,
    x0: impl Into<Vec<T>>,
) -> Minimization<'o, T, F, Lbfgs<T>> {
    Minimization {
        objective,
        x0: x0.into(),
        method: Lbfgs::new(),
        rules: Rules::default(),
        observers: Vec::new(),
        records: false,
    }
}
