use downhill_tensor::Scalar;

use crate::loops;
use crate::settings::{Settings, positive, require};
use crate::{Link, StepContext};

/// The number that is added to a norm before it divides, as in PyTorch.
const MARGIN: f64 = 1e-6;

/// Returns ‖g‖ over the whole vector, accumulated in f64; squares neither overflow nor vanish.
///
/// ```
/// assert_eq!(downhill_optim::gradient_norm(&[3e30_f32, 4e30]) as f32, 5e30);
/// ```
#[must_use]
pub fn gradient_norm<T: Scalar>(gradient: &[T]) -> f64 {
    loops::norm(gradient)
}

/// Scales the gradient so that its norm is at most `max_norm`; returns the norm before that.
///
/// ```text
/// g ← g · min(1, max_norm / (‖g‖ + 1e-6))
/// ```
///
/// One norm over all parameters, as PyTorch's `clip_grad_norm_`; Keras's `clipnorm` and burn clip each parameter alone.
/// The 1e-6, as in PyTorch, has the units of the gradient: choose a `max_norm` well above it.
/// A norm that is not finite leaves the gradient as it is (PyTorch turns it into zeros and NaN):
/// check the returned norm, and take no step if it is not finite.
///
/// A `max_norm` below 0 or NaN counts as 0, which leaves a gradient of zeros: scaled by it, the gradient would point
/// uphill.
///
/// ```
/// let mut gradient = [3.0, 4.0];
/// assert_eq!(downhill_optim::clip_norm(&mut gradient, 1.0), 5.0);
/// assert!((gradient[1] - 0.8_f64).abs() < 1e-6);
/// ```
#[must_use = "if the norm is not finite, nothing was clipped and no step should be taken"]
pub fn clip_norm<T: Scalar>(gradient: &mut [T], max_norm: f64) -> f64 {
    let (norm, max_norm) = (gradient_norm(gradient), max_norm.max(0.0));
    if norm.is_finite() && exceeds(norm, max_norm) {
        loops::scale(gradient, loops::quotient(max_norm, norm + MARGIN));
    }
    norm
}

/// Clamps every entry to [−`limit`, `limit`]; NaN stays NaN. A `limit` below 0 or NaN counts as 0.
///
/// ```
/// let mut gradient = [3.0_f32, -0.5, -7.0];
/// downhill_optim::clip_value(&mut gradient, 1.0);
/// assert_eq!(gradient, [1.0, -0.5, -1.0]);
/// ```
pub fn clip_value<T: Scalar>(gradient: &mut [T], limit: f64) {
    loops::clamp(gradient, T::from_f64(limit.max(0.0)));
}

/// Returns whether a gradient of this norm is scaled.
fn exceeds(norm: f64, max_norm: f64) -> bool {
    max_norm / (norm + MARGIN) < 1.0
}

/// A link that does what [`clip_norm`] does, in front of a rule; it reads the gradient once more.
///
/// If the norm is not finite, the whole step is left out: neither θ nor the optimizer's memory changes, and
/// [`Stepper::skipped`](crate::Stepper::skipped) counts it.
/// The norm is that of the gradient given to `step`, so put this link first.
///
/// ```
/// use downhill_optim::{Adam, ClipNorm, Optimizer};
/// let mut optimizer = Adam::new(1e-3).after(ClipNorm::new(1.0));
/// let mut theta = [1.0_f32, 2.0];
/// optimizer.step(&mut theta, &[f32::NAN, 1.0]);
/// assert_eq!(theta, [1.0, 2.0]);
/// assert_eq!(optimizer.skipped(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipNorm {
    max_norm: f64,
}

impl ClipNorm {
    /// Creates the link with the largest norm.
    #[must_use]
    pub fn new(max_norm: f64) -> Self {
        Self { max_norm }
    }
}

impl<T: Scalar> Link<T> for ClipNorm {
    type Slots = [T; 0];
    /// Two factors, because their product may be smaller than a normal number.
    type Scalars = [T; 2];

    const WANTS_NORM: bool = true;

    /// Returns no name: runs may go on with or without it.
    fn name(&self) -> String {
        String::new()
    }

    fn scalars(&self, step: &StepContext) -> [T; 2] {
        let norm = step.gradient_norm;
        if exceeds(norm, self.max_norm) { loops::quotient(self.max_norm, norm + MARGIN) } else { [T::ONE; 2] }
    }

    #[inline(always)]
    fn apply(&[a, b]: &[T; 2], _theta: T, direction: T, _slots: &mut [T; 0]) -> T {
        direction * a * b
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("the largest norm of a gradient", self.max_norm, positive);
    }
}

/// A link that does what [`clip_value`] does, at any place in a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipValue {
    limit: f64,
}

impl ClipValue {
    /// Creates the link with the largest magnitude of an entry.
    #[must_use]
    pub fn new(limit: f64) -> Self {
        Self { limit }
    }
}

impl<T: Scalar> Link<T> for ClipValue {
    type Slots = [T; 0];
    type Scalars = T;

    /// Returns no name: runs may go on with or without it.
    fn name(&self) -> String {
        String::new()
    }

    fn scalars(&self, _step: &StepContext) -> T {
        T::from_f64(self.limit)
    }

    #[inline(always)]
    fn apply(limit: &T, _theta: T, direction: T, _slots: &mut [T; 0]) -> T {
        direction.max(-*limit).min(*limit)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.check(require(self.limit > 0.0, "the largest entry of a gradient", self.limit, "greater than 0"));
    }
}
