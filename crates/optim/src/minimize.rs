//! Minimisation of differentiable functions.
//!
//! [`minimize`] walks downhill on any [`Objective`] until the gradient vanishes or a limit is met, and always
//! returns the best point it found together with the true reason for which it stopped.
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
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use downhill_tensor::Scalar;
use downhill_tensor::reduce::norm_max;

use crate::objective::AnyObjective;
use crate::settings::{not_negative, require};
use crate::{ByTrait, Objective, Optimizer, Penalty, Segment, SettingError};

mod bfgs;
mod conjugate_gradient;
mod directional;
mod evaluator;
mod lbfgs;
mod line_search;
mod obstacle;
mod outcome;
mod owl_qn;
mod proximal_gradient;
mod stepping;
mod watch;

pub use bfgs::{Bfgs, FullMatrix};
pub use conjugate_gradient::{Conjugate, ConjugateGradient, Steepest, SteepestDescent};
pub use directional::{Direction, Directional, Taken};
pub use evaluator::Evaluator;
pub use lbfgs::{Lbfgs, LimitedMemory};
pub use line_search::{Armijo, FixedStep, HagerZhang, LineSearch, MoreThuente, Search, Trial};
pub use obstacle::Obstacle;
pub use outcome::{Lowest, Outcome, Reason};
pub use owl_qn::OwlQn;
pub use proximal_gradient::ProximalGradient;
pub use stepping::Stepping;

/// A method that gets from one point to a lower one.
pub trait Method<T: Scalar>: Debug {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
    fn check(&self) -> Result<(), SettingError>;

    /// Prepares for a run on vectors of this length and forgets what an earlier run left behind.
    ///
    /// # Errors
    /// Returns an error if there is not enough memory for this many variables.
    fn begin(&mut self, len: usize) -> Result<(), SettingError>;

    /// Says how x is divided, after [`begin`](Method::begin), if the objective knows. Most methods have no use for it,
    /// since the gradient is 0 where x is frozen.
    fn bind(&mut self, segments: &[Segment]) {
        let _ = segments;
    }

    /// Returns the penalty R that the method adds to the objective f, if it does. All values are then those of f + R, gradients
    /// those of f alone, and the norm that is judged is that of [`Penalty::least_subgradient`].
    fn penalty(&self) -> Option<&Penalty> {
        None
    }

    /// Runs one iteration: moves `at` to the next point, with the value and the gradient there.
    /// Makes at least one evaluation, or returns a reason to stop.
    ///
    /// # Errors
    /// Returns the reason to stop. `at` is then unspecified, as the evaluator has kept the best point, unless the
    /// reason is a success, which holds at `at`.
    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason>;
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<T: Scalar, M: Method<T> + ?Sized> Method<T> for $pointer {
            fn check(&self) -> Result<(), SettingError> {
                (**self).check()
            }

            fn begin(&mut self, len: usize) -> Result<(), SettingError> {
                (**self).begin(len)
            }

            fn bind(&mut self, segments: &[Segment]) {
                (**self).bind(segments);
            }

            fn penalty(&self) -> Option<&Penalty> {
                (**self).penalty()
            }

            fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
                (**self).iterate(at, evaluator)
            }
        }
    };
}

forward!(&mut M);
forward!(Box<M>);

/// A point with the value and the gradient of the objective there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Iterate<T> {
    /// The point.
    pub x: Vec<T>,
    /// ∇f at it, without the method's penalty if there is one.
    pub gradient: Vec<T>,
    /// The value at it.
    pub value: f64,
    /// The number of iterations so far.
    pub iteration: u64,
}

/// The state of a run that an observer sees after the start and after each iteration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a, T> {
    /// The number of iterations so far.
    pub iteration: u64,
    /// The number of evaluations so far.
    pub evaluations: u64,
    /// The present point.
    pub x: &'a [T],
    /// ∇f there, without the method's penalty if there is one.
    pub gradient: &'a [T],
    /// The value there.
    pub value: f64,
    /// ‖∇f‖∞ there; with a penalty, that of the least subgradient of the sum.
    pub gradient_norm: f64,
    /// The time since the start.
    pub elapsed: Duration,
}

/// The rules by which a run stops.
#[derive(Clone, Copy, Debug, Default)]
struct StoppingRules {
    gradient: Option<f64>,
    relative_gradient: Option<f64>,
    function: Option<f64>,
    step: Option<f64>,
    target: Option<f64>,
    iterations: Option<u64>,
    evaluations: Option<u64>,
    time: Option<Duration>,
}

/// The default tolerance of the gradient.
const TOLERANCE: f64 = 1e-6;

type Observer<'o, T> = Box<dyn FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'o>;

/// A minimisation about to run; made by [`minimize`].
#[must_use = "nothing happens before `run`"]
pub struct Minimization<'o, T, F, M, K = ByTrait> {
    objective: F,
    kind: PhantomData<K>,
    x0: Vec<T>,
    method: M,
    rules: StoppingRules,
    observers: Vec<Observer<'o, T>>,
    records: bool,
}

impl<T: Debug, F, M: Debug, K> Debug for Minimization<'_, T, F, M, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minimization")
            .field("x0", &self.x0)
            .field("method", &self.method)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl<'o, T: Scalar, F: Objective<T, K>, M, K> Minimization<'o, T, F, M, K> {
    /// Sets the method.
    pub fn method<N: Method<T>>(self, method: N) -> Minimization<'o, T, F, N, K> {
        let Self { objective, kind, x0, rules, observers, records, .. } = self;
        Minimization { objective, kind, x0, method, rules, observers, records }
    }

    /// Sets the method to the steps of this optimizer.
    pub fn optimizer<O: Optimizer<T>>(self, optimizer: O) -> Minimization<'o, T, F, Stepping<O>, K> {
        self.method(Stepping::new(optimizer))
    }

    /// Sets the largest ‖∇f‖∞ at which the run has converged, whatever the units of f and x.
    ///
    /// Unless one of the rules for the gradient is set, the tolerance is 1e-6 times the largest ‖∇f‖∞ of the run so
    /// far, but at most 1e-6: what is small in the units of f and x is not taken for flat.
    /// In units in which rounding keeps the gradient above 1e-6, a point also counts as converged if the minimum along
    /// its gradient is nearer than the rounding of x.
    pub fn gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.gradient = Some(tolerance);
        self
    }

    /// Sets the largest ‖∇f‖∞ / max(1, |f|) at which the run has converged, which is absolute where |f| is below 1.
    /// If [`gradient_tolerance`](Minimization::gradient_tolerance) is set too, it is enough to meet one of them.
    pub fn relative_gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.relative_gradient = Some(tolerance);
        self
    }

    /// Sets the share of |f| up to which a change of f in an iteration counts as none; off unless set.
    pub fn function_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.function = Some(tolerance);
        self
    }

    /// Sets the share of ‖x‖∞ up to which a change of every entry of x in an iteration counts as none; off unless set.
    pub fn step_tolerance(mut self, tolerance: f64) -> Self {
        self.rules.step = Some(tolerance);
        self
    }

    /// Sets the value of f at or below which the run has converged; off unless set.
    pub fn target(mut self, value: f64) -> Self {
        self.rules.target = Some(value);
        self
    }

    /// Sets the largest number of iterations; 100,000 unless set.
    pub fn iterations(mut self, limit: u64) -> Self {
        self.rules.iterations = Some(limit);
        self
    }

    /// Sets the largest number of evaluations of the objective; no limit unless set.
    pub fn evaluations(mut self, limit: u64) -> Self {
        self.rules.evaluations = Some(limit);
        self
    }

    /// Sets the longest time, which is checked before each evaluation; no limit unless set.
    pub fn time(mut self, limit: Duration) -> Self {
        self.rules.time = Some(limit);
        self
    }

    /// Calls `observer` at the start and after each iteration; `Break` stops the run.
    pub fn observe(mut self, observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'o) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Keeps every point in [`Outcome::path`].
    pub fn record_path(mut self) -> Self {
        self.records = true;
        self
    }
}

impl<T: Scalar, F: Objective<T, K>, M: Method<T>, K> Minimization<'_, T, F, M, K> {
    /// Runs until a rule says to stop.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid, or if there is not enough memory for this many variables.
    /// Whatever happens afterwards is in the outcome.
    pub fn run(mut self) -> Result<Outcome<T>, SettingError> {
        self.method.check()?;
        self.rules.check()?;
        let len = self.x0.len();
        self.method.begin(len)?;
        let mut objective = AnyObjective(&mut self.objective, self.kind);
        let mut penalty = self.method.penalty().cloned();
        let segments = objective.segments();
        if !segments.is_empty() {
            self.method.bind(segments);
            penalty.iter_mut().for_each(|penalty| penalty.bind(segments));
        }
        let limit = self.rules.evaluations.unwrap_or(u64::MAX);
        let mut evaluator = Evaluator::new(&mut objective, penalty, len, limit, self.rules.time);
        let mut run = MinimizationRun {
            at: Iterate { gradient: vec![T::ZERO; len], x: self.x0, value: f64::NAN, iteration: 0 },
            gradient_norm: f64::NAN,
            convergence: self.rules.convergence(),
            rules: self.rules,
            observers: self.observers,
            path: self.records.then(Vec::new),
        };
        let reason = run.until_stopped(&mut self.method, &mut evaluator);
        Ok(evaluator.outcome(run.at, run.gradient_norm, reason, run.path.unwrap_or_default()))
    }
}

struct MinimizationRun<'o, T> {
    at: Iterate<T>,
    /// ‖∇f‖∞ there.
    gradient_norm: f64,
    convergence: Convergence,
    rules: StoppingRules,
    observers: Vec<Observer<'o, T>>,
    path: Option<Vec<Vec<T>>>,
}

impl<T: Scalar> MinimizationRun<'_, T> {
    fn until_stopped(&mut self, method: &mut impl Method<T>, evaluator: &mut Evaluator<'_, T>) -> Reason {
        match evaluator.evaluate(&self.at.x, &mut self.at.gradient) {
            Ok(value) => self.at.value = value,
            Err(reason) => return reason,
        }
        self.gradient_norm = evaluator.last_gradient_norm();
        if !evaluator.last_was_finite() {
            self.at.value = evaluator.last_value();
            return Reason::NotFiniteAtStart;
        }
        // Only the rule for steps needs the point before.
        let mut before = self.rules.step.map(|_| self.at.x.clone());
        loop {
            if let Some(reason) = self.record_and_judge(evaluator) {
                return reason;
            }
            if self.at.iteration >= self.rules.iterations.unwrap_or(100_000) {
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
            self.gradient_norm = evaluator.gradient_norm(&self.at.x, &self.at.gradient);
            if !(self.at.value.is_finite() && self.gradient_norm.is_finite()) {
                return Reason::Diverged;
            }
            let stalled = self.stalled(value_before, before.as_deref());
            if let Some(reason) = stalled {
                return self.record_and_judge(evaluator).unwrap_or(reason);
            }
        }
    }

    /// Records, shows and judges the present point.
    fn record_and_judge(&mut self, evaluator: &mut Evaluator<'_, T>) -> Option<Reason> {
        let gradient_norm = self.gradient_norm;
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
        self.convergence.steepest = self.convergence.steepest.max(gradient_norm);
        evaluator.set_convergence(self.convergence);
        let reason = self.convergence.reason(self.at.value, gradient_norm);
        if reason.is_some() {
            return reason;
        }
        stops.then_some(Reason::Observer)
    }

    fn stalled(&self, value_before: f64, before: Option<&[T]>) -> Option<Reason> {
        let value = self.at.value;
        let scale = value.abs().max(value_before.abs());
        if self.rules.function.is_some_and(|tolerance| (value - value_before).abs() <= tolerance * scale) {
            return Some(Reason::FunctionStalled);
        }
        let (tolerance, before) = (self.rules.step?, before?);
        let mut largest_change = 0.0_f64;
        let mut largest = 0.0_f64;
        for (&x, &before) in self.at.x.iter().zip(before) {
            largest_change = largest_change.max((x - before).to_f64().abs());
            largest = largest.max(x.to_f64().abs()).max(before.to_f64().abs());
        }
        (largest_change <= tolerance * largest).then_some(Reason::StepStalled)
    }
}

impl StoppingRules {
    fn check(&self) -> Result<(), SettingError> {
        not_negative("the gradient tolerance", self.gradient.unwrap_or(0.0))?;
        not_negative("the relative gradient tolerance", self.relative_gradient.unwrap_or(0.0))?;
        not_negative("the function tolerance", self.function.unwrap_or(0.0))?;
        not_negative("the step tolerance", self.step.unwrap_or(0.0))?;
        let target = self.target.unwrap_or(0.0);
        require(!target.is_nan(), "the target", target, "a number")
    }

    fn convergence(&self) -> Convergence {
        let is_chosen = self.gradient.is_some() || self.relative_gradient.is_some();
        Convergence {
            gradient: self.gradient.or((!is_chosen).then_some(TOLERANCE)),
            is_scaled: !is_chosen,
            relative_gradient: self.relative_gradient,
            target: self.target,
            steepest: 0.0,
        }
    }
}

/// The rules of success.
#[derive(Clone, Copy, Debug, Default)]
struct Convergence {
    gradient: Option<f64>,
    /// Whether the tolerance is for a gradient that was at least 1 somewhere, and shrinks with one that was less.
    is_scaled: bool,
    relative_gradient: Option<f64>,
    target: Option<f64>,
    /// The largest ‖∇f‖∞ of the iterates.
    steepest: f64,
}

impl Convergence {
    /// Returns the rule that a point with this value and ‖∇f‖∞ meets.
    fn reason(&self, value: f64, gradient_norm: f64) -> Option<Reason> {
        let meets = |rule: Option<f64>, scale: f64| rule.is_some_and(|tolerance| gradient_norm <= tolerance * scale);
        let scale = if self.is_scaled { self.steepest.min(1.0) } else { 1.0 };
        if meets(self.gradient, scale) || meets(self.relative_gradient, value.abs().max(1.0)) {
            return Some(Reason::GradientVanished);
        }
        self.target.is_some_and(|target| value <= target).then_some(Reason::TargetReached)
    }
}

/// Minimises `objective` from `x0`, by L-BFGS unless another method is set: a builder whose [`run`](Minimization::run) does the
/// work.
///
/// A gradient that is not that of the value is found out by the values: the run ends with
/// [`Obstacle::WrongGradient`] if steps fail, or if the gradients state other changes of the value than those that are
/// measured (by a factor of 4, or with a penalty of 5/3).
/// Two mistakes can't be found out: a gradient, or a part of it, that is 0 is believed; and a method that steps by an
/// [`Optimizer`] does not compare the values.
pub fn minimize<'o, T: Scalar, F: Objective<T, K>, K>(
    objective: F,
    x0: impl Into<Vec<T>>,
) -> Minimization<'o, T, F, Lbfgs<T>, K> {
    Minimization {
        objective,
        kind: PhantomData,
        x0: x0.into(),
        method: Lbfgs::new(),
        rules: StoppingRules::default(),
        observers: Vec::new(),
        records: false,
    }
}
