use std::cell::Cell;

use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::{dot, norm};

/// How a method chooses its directions from the gradients it has seen.
pub trait Direction<T: Scalar>: Debug {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Where one does not.
    fn check(&self) -> Result<(), SettingError>;

    /// Gets ready for vectors of this length, and forgets what an earlier run has left.
    fn begin(&mut self, len: usize);

    /// Forgets all it has learnt: the next direction is that of steepest descent.
    fn forget(&mut self);

    /// Whether the next direction is that of steepest descent.
    fn is_steepest(&self) -> bool;

    /// Overwrites `direction`, which holds the one before.
    fn point(&mut self, gradient: &[T], direction: &mut [T]);

    /// Learns from a step.
    fn learn(&mut self, step: &Taken<'_, T>);

    /// Whether the natural step along a direction is 1.
    const IS_SCALED: bool;
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Taken<'a, T> {
    /// Where it began.
    pub x_before: &'a [T],
    /// Where it ended.
    pub x: &'a [T],
    /// The gradient where it began.
    pub gradient_before: &'a [T],
    /// The gradient where it ended.
    pub gradient: &'a [T],
    /// The direction that it took.
    pub direction: &'a [T],
}

/// A method that searches along lines: directions by `D`, step lengths by `S`.
///
/// A direction that does not point downhill, or along which the search fails, makes it forget what it has learnt and go
/// on along the steepest descent; only where that fails too does it stop.
#[derive(Clone, Debug)]
pub struct Directional<D, S, T> {
    pub(super) direction: D,
    pub(super) search: S,
    d: Vec<T>,
    trial_x: Vec<T>,
    trial_gradient: Vec<T>,
    /// The step and the slope of the iteration before.
    last: Option<(f64, f64)>,
}

impl<D, S, T> Directional<D, S, T> {
    /// Directions by `direction`, step lengths by `search`.
    #[must_use]
    pub fn of(direction: D, search: S) -> Self {
        Self { direction, search, d: Vec::new(), trial_x: Vec::new(), trial_gradient: Vec::new(), last: None }
    }

    /// Chooses step lengths in another way.
    #[must_use]
    pub fn line_search<N: LineSearch>(self, search: N) -> Directional<D, N, T> {
        Directional::of(self.direction, search)
    }
}

#[cfg(test)]
impl<D, S, T> Directional<D, S, T> {
    /// How many numbers it holds, without those of the direction's rule.
    pub(super) fn numbers(&self) -> usize {
        self.d.capacity() + self.trial_x.capacity() + self.trial_gradient.capacity()
    }
}

impl<D: Direction<T>, S: LineSearch, T: Scalar> Directional<D, S, T> {
    /// The length of the first trial step.
    fn first_step(&self, gradient: &[T], slope: f64) -> f64 {
        match self.last {
            _ if D::IS_SCALED && !self.direction.is_steepest() => 1.0,
            // What the step before would have gained to first order (Nocedal & Wright, 3.60).
            Some((step, slope_before)) if !D::IS_SCALED => step * (slope_before / slope).min(10.0),
            _ => (1.0 / norm(gradient)).min(1.0),
        }
    }

    /// One search along the present direction; `at` moves to the step that was found, or to the lowest trial.
    fn walk(&mut self, at: &mut Iterate<T>, slope: f64, evaluator: &mut Evaluator<'_, T>) -> Result<bool, Reason> {
        let first = self.first_step(&at.gradient, slope);
        let Self { d, trial_x, trial_gradient, search, .. } = self;
        let here = Cell::new(0.0);
        let mut phi = |step: f64| {
            here.set(step);
            let length = T::of(step);
            elementwise::zip_map(&at.x, d, trial_x, |x, d| x + length * d);
            let value = evaluator.evaluate(trial_x, trial_gradient)?;
            let slope = dot(trial_gradient, d);
            Ok(Trial { step, value, slope })
        };
        let start = Trial { step: 0.0, value: at.value, slope };
        let taken = match search.search(&mut phi, start, first)? {
            Search::Found(trial) => trial,
            Search::Failed(best) if best.value < start.value => best,
            Search::Failed(_) => return Ok(false),
        };
        // The iterate must be where the last evaluation was.
        let taken = if here.get() == taken.step { taken } else { phi(taken.step)? };
        let x_before = &at.x;
        let gradient_before = &at.gradient;
        let (x, gradient, direction) = (&*trial_x, &*trial_gradient, &*d);
        self.direction.learn(&Taken { x_before, x, gradient_before, gradient, direction });
        std::mem::swap(&mut at.x, &mut self.trial_x);
        std::mem::swap(&mut at.gradient, &mut self.trial_gradient);
        at.value = taken.value;
        self.last = Some((taken.step, slope));
        Ok(true)
    }
}

impl<D: Direction<T>, S: LineSearch, T: Scalar> Method<T> for Directional<D, S, T> {
    fn check(&self) -> Result<(), SettingError> {
        self.direction.check()?;
        self.search.check()
    }

    fn begin(&mut self, len: usize) {
        self.direction.begin(len);
        for vector in [&mut self.d, &mut self.trial_x, &mut self.trial_gradient] {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        self.last = None;
    }

    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        loop {
            self.direction.point(&at.gradient, &mut self.d);
            let slope = dot(&at.gradient, &self.d);
            let falls = slope < 0.0 && slope.is_finite();
            if falls && self.walk(at, slope, evaluator)? {
                return Ok(());
            }
            if self.direction.is_steepest() && self.last.is_none() {
                return Err(Reason::LineSearchFailed);
            }
            self.direction.forget();
            self.last = None;
        }
    }
}
