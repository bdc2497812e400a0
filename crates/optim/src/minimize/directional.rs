use std::cell::{Cell, RefCell};

use super::obstacle::{Probe, probe};
use super::watch::{LENIENT, Watch};
use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::{dot, norm};

/// A choice of directions from the gradients seen so far.
pub trait Direction<T: Scalar>: Debug {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
    fn check(&self) -> Result<(), SettingError>;

    /// Gets ready for vectors of this length, and forgets what an earlier run has left.
    ///
    /// # Errors
    /// Returns an error if there is not enough memory for this many variables.
    fn begin(&mut self, len: usize) -> Result<(), SettingError>;

    /// Forgets all that it has learnt: the next direction is that of steepest descent.
    fn forget(&mut self);

    /// Returns whether the next direction is that of steepest descent.
    fn is_steepest(&self) -> bool;

    /// Overwrites `direction`, which holds the one before.
    fn point(&mut self, gradient: &[T], direction: &mut [T]);

    /// Learns from a step.
    fn learn(&mut self, step: &Taken<'_, T>);

    /// Returns whether the natural step along a direction is 1.
    fn is_scaled(&self) -> bool;
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<T: Scalar, D: Direction<T> + ?Sized> Direction<T> for $pointer {
            fn check(&self) -> Result<(), SettingError> {
                (**self).check()
            }

            fn begin(&mut self, len: usize) -> Result<(), SettingError> {
                (**self).begin(len)
            }

            fn forget(&mut self) {
                (**self).forget();
            }

            fn is_steepest(&self) -> bool {
                (**self).is_steepest()
            }

            fn point(&mut self, gradient: &[T], direction: &mut [T]) {
                (**self).point(gradient, direction);
            }

            fn learn(&mut self, step: &Taken<'_, T>) {
                (**self).learn(step);
            }

            fn is_scaled(&self) -> bool {
                (**self).is_scaled()
            }
        }
    };
}

forward!(&mut D);
forward!(Box<D>);

/// A step that a method has taken.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Taken<'a, T> {
    /// The point at which it began.
    pub x_before: &'a [T],
    /// The point at which it ended.
    pub x: &'a [T],
    /// The gradient at which it began.
    pub gradient_before: &'a [T],
    /// The gradient at which it ended.
    pub gradient: &'a [T],
    /// The direction that it took.
    pub direction: &'a [T],
}

/// A method that searches along lines: directions by `D`, step lengths by `S`.
///
/// A direction that does not point downhill, or along which the search fails, makes it forget what it has learnt and go
/// on along the steepest descent; only if that fails too does it stop.
/// If many evaluations go into steps along which the value does not change as the gradients state, two more evaluations
/// probe the gradient, and a wrong one ends the run.
/// The first step along the steepest descent is as long as a tenth of the root mean square of x, so that it does not
/// depend on the units of f and x.
#[derive(Clone, Debug)]
pub struct Directional<D, S, T> {
    pub(super) direction: D,
    pub(super) search: S,
    d: Vec<T>,
    trial_x: Vec<T>,
    trial_gradient: Vec<T>,
    /// The value at `trial_x`, if it has one.
    trial_value: Option<f64>,
    /// The step and the slope of the iteration before.
    last: Option<(f64, f64)>,
    watch: Watch,
    /// Whether the gradient should be probed.
    is_doubtful: bool,
}

impl<D, S, T> Directional<D, S, T> {
    /// Creates a method that takes directions from `direction` and step lengths from `search`.
    #[must_use]
    pub fn from_direction(direction: D, search: S) -> Self {
        let (d, trial_x, trial_gradient) = (Vec::new(), Vec::new(), Vec::new());
        let (trial_value, last, watch) = (None, None, Watch::new(LENIENT));
        Self { direction, search, d, trial_x, trial_gradient, trial_value, last, watch, is_doubtful: false }
    }

    /// Sets the line search.
    #[must_use]
    pub fn line_search<N: LineSearch>(self, search: N) -> Directional<D, N, T> {
        Directional::from_direction(self.direction, search)
    }
}

#[cfg(test)]
impl<D, S, T> Directional<D, S, T> {
    /// Returns the number of numbers that it holds, without those of the direction's rule.
    pub(super) fn numbers(&self) -> usize {
        self.d.capacity() + self.trial_x.capacity() + self.trial_gradient.capacity()
    }
}

/// Returns the step along the steepest descent whose length is a tenth of the root mean square of x; if x is 0, the step to the
/// minimum of the parabola whose lowest value is 0; if the value is 0 too, the step of length 1.
/// None depends on the units of f, nor the first two on those of x.
pub(super) fn natural_step<T: Scalar>(at: &Iterate<T>) -> f64 {
    natural_step_from(&at.x, at.value, &at.gradient)
}

pub(super) fn natural_step_from<T: Scalar>(x: &[T], value: f64, gradient: &[T]) -> f64 {
    let steepness = norm(gradient);
    let size = 0.1 * norm(x) / (x.len() as f64).sqrt();
    let parabola = 2.0 * value.abs() / steepness / steepness;
    let steps = [size / steepness, parabola, 1.0 / steepness];
    steps.into_iter().find(|step| *step > 0.0 && step.is_finite()).unwrap_or(1.0)
}

/// The number of trials in a row that may be at a point evaluated just before, as by a search that lengthens its steps,
/// before it counts as failed.
const IDLE_TRIALS: u32 = 64;

impl<D: Direction<T>, S: LineSearch, T: Scalar> Directional<D, S, T> {
    /// Returns the length of the first trial step.
    fn first_step(&self, at: &Iterate<T>, slope: f64) -> f64 {
        let is_scaled = self.direction.is_scaled();
        match self.last {
            _ if is_scaled && !self.direction.is_steepest() => 1.0,
            // What the step before would have gained to first order (Nocedal & Wright, 3.60).
            Some((step, slope_before)) if !is_scaled => step * (slope_before / slope).min(10.0),
            _ => natural_step(at),
        }
    }

    /// Searches along the present direction, after `vain` evaluations without a step; moves `at` to the step that was
    /// found, or to the lowest trial.
    fn search_along(
        &mut self,
        at: &mut Iterate<T>,
        slope: f64,
        vain: u64,
        evaluator: &mut Evaluator<'_, T>,
    ) -> Result<bool, Reason> {
        let first = self.first_step(at, slope);
        let evaluations_before = evaluator.evaluations();
        let Self { d, trial_x, trial_gradient, trial_value, search, .. } = self;
        let start = Trial { step: 0.0, value: at.value, slope };
        let lowest = Cell::new(start);
        let mut idle = 0;
        // The search ends early, through an error, if a trial is a success or if it doesn't get away from a point.
        let end = Cell::new(None);
        let buffers = RefCell::new((trial_x, trial_gradient, trial_value));
        let mut phi = |step: f64| {
            let (trial_x, trial_gradient, trial_value) = &mut *buffers.borrow_mut();
            let length = T::from_f64(step);
            let there = |x: T, d: T| x + length * d;
            let known = if is_same(&at.x, d, &at.x, there) {
                Some(Trial { step, ..start })
            } else if let Some(value) = **trial_value
                && is_same(&at.x, d, trial_x, there)
            {
                Some(Trial { step, value, slope: dot(trial_gradient, d) })
            } else {
                None
            };
            if let Some(trial) = known {
                idle += 1;
                if idle > IDLE_TRIALS {
                    end.set(Some(Search::Failed(lowest.get())));
                    return Err(Reason::StepStalled);
                }
                return Ok(trial);
            }
            idle = 0;
            elementwise::zip_map(&at.x, d, trial_x, there);
            **trial_value = None;
            let value = evaluator.evaluate(trial_x, trial_gradient)?;
            **trial_value = Some(value);
            let trial = Trial { step, value, slope: dot(trial_gradient, d) };
            lowest.set(line_search::lower(lowest.get(), trial));
            if evaluator.last_meets_rule() {
                end.set(Some(Search::Found(trial)));
                return Err(Reason::GradientVanished);
            }
            Ok(trial)
        };
        let found = match (search.search(&mut phi, start, first), end.take()) {
            (_, Some(end)) => end,
            (found, None) => found?,
        };
        let taken = match found {
            Search::Found(trial) => trial,
            Search::Failed(best) if best.value < start.value => best,
            Search::Failed(_) => return Ok(false),
        };
        // Evaluates again unless that point was the last.
        let arrived = match phi(taken.step) {
            Ok(trial) => trial,
            Err(reason) => match end.take() {
                Some(Search::Found(trial)) => trial,
                Some(Search::Failed(_)) => return Ok(false),
                None => return Err(reason),
            },
        };
        let length = T::from_f64(arrived.step);
        let is_lower = matches!(found, Search::Found(_)) || arrived.value < start.value;
        if !is_lower || is_same(&at.x, d, &at.x, |x, d| x + length * d) {
            return Ok(false);
        }
        let x_before = &at.x;
        let gradient_before = &at.gradient;
        let (x, gradient, direction) = (&*self.trial_x, &*self.trial_gradient, &*self.d);
        if arrived.value.is_finite() {
            self.direction.learn(&Taken { x_before, x, gradient_before, gradient, direction });
        }
        std::mem::swap(&mut at.x, &mut self.trial_x);
        std::mem::swap(&mut at.gradient, &mut self.trial_gradient);
        // The point before may be evaluated again: a run to and fro must meet its limits.
        self.trial_value = None;
        let stated = 0.5 * arrived.step * (slope + arrived.slope);
        let trials = evaluator.evaluations() - evaluations_before;
        self.is_doubtful = self.watch.is_doubtful::<T>([vain, trials], [at.value, arrived.value], stated);
        at.value = arrived.value;
        self.last = Some((arrived.step, slope));
        Ok(true)
    }

    /// Returns an error if the values do not fit the gradients, and a probe at this point confirms it.
    fn doubt(&mut self, at: &Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        self.trial_value = None;
        let scratch = [&mut self.trial_x[..], &mut self.trial_gradient[..]];
        let found = probe(at, at.value, &at.gradient, LENIENT, evaluator, scratch);
        if found.is_beyond_doubt { Err(Reason::LineSearchFailed(found.obstacle)) } else { Ok(()) }
    }

    /// Returns why no step makes the value fall: a success if only rounding is in the way, and the rules allow it.
    fn give_up(&mut self, at: &Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Reason {
        self.trial_value = None;
        let scratch = [&mut self.trial_x[..], &mut self.trial_gradient[..]];
        let Probe { obstacle, is_at_rounding, .. } = probe(at, at.value, &at.gradient, LENIENT, evaluator, scratch);
        if is_at_rounding && evaluator.takes_rounding_for_success(at.value) {
            Reason::GradientVanished
        } else {
            Reason::LineSearchFailed(obstacle)
        }
    }
}

/// Returns whether f(aᵢ, bᵢ) = cᵢ for all i; stops at the first that differs.
fn is_same<T: Scalar>(a: &[T], b: &[T], c: &[T], f: impl Fn(T, T) -> T) -> bool {
    a.iter().zip(b).zip(c).all(|((&a, &b), &c)| f(a, b) == c)
}

impl<D: Direction<T>, S: LineSearch, T: Scalar> Method<T> for Directional<D, S, T> {
    fn check(&self) -> Result<(), SettingError> {
        self.direction.check()?;
        self.search.check()
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        self.direction.begin(len)?;
        for vector in [&mut self.d, &mut self.trial_x, &mut self.trial_gradient] {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        self.trial_value = None;
        self.last = None;
        (self.watch, self.is_doubtful) = (Watch::new(LENIENT), false);
        Ok(())
    }

    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        let evaluations = evaluator.evaluations();
        // As it has learnt; then along the steepest descent, with no regard to the step before.
        for _ in 0..2 {
            self.direction.point(&at.gradient, &mut self.d);
            let slope = dot(&at.gradient, &self.d);
            let falls = slope < 0.0 && slope.is_finite();
            if falls && self.search_along(at, slope, evaluator.evaluations() - evaluations, evaluator)? {
                if self.watch.is_stuck(at.value, norm_max(&at.gradient)) {
                    return Err(self.give_up(at, evaluator));
                }
                return if self.is_doubtful { self.doubt(at, evaluator) } else { Ok(()) };
            }
            if self.direction.is_steepest() && self.last.is_none() {
                break;
            }
            self.direction.forget();
            self.last = None;
        }
        Err(self.give_up(at, evaluator))
    }
}
