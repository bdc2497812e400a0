use downhill_tensor::Scalar;

use super::default_is_new;
use super::sign;
use crate::precompiled::precompile;
use crate::settings::{Settings, positive, require};
use crate::{Chain, Link, Precompiled, StepContext, Stepper};

/// Resilient propagation (Riedmiller & Braun 1993): a step size for each parameter, from the gradient's signs alone.
/// It needs the gradient of the whole data set.
///
/// ```text
/// σ = sign(g ⊙ p)                      s ← clip(s · (η⁺ if σ > 0, η⁻ if σ < 0, 1), lo, hi)
/// if σ < 0: g ← 0                      θ ← θ − sign(g) ⊙ s                  p ← g
/// ```
///
/// s starts at the learning rate, which plays no part afterwards; p starts at 0.
/// Defaults: η = (0.5, 1.2), steps within (1e-6, 50), like `torch.optim.Rprop` (PyTorch 2.15; its learning rate is 1e-2).
/// Derivation: `docs/derivations/optimizers/rprop.md`.
///
/// ```
/// use downhill_optim::{Optimizer, Rprop};
/// let mut theta = [1.0_f64];
/// Rprop::new(0.1).step(&mut theta, &[1e-30]);
/// assert_eq!(theta, [0.9]);
/// ```
pub type Rprop<T> = Stepper<Precompiled<Chain<ResilientDescent>>, T>;
precompile!(Chain<ResilientDescent>);

impl<T: Scalar> Rprop<T> {
    /// Creates the optimizer, with a first step of γ for each parameter; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain(ResilientDescent::new()), learning_rate)
    }

    setters! {
        /// Sets the factors η⁻ after a change of sign, and η⁺ without one.
        factors(shrink: f64, grow: f64) |link: ResilientDescent| link.factors = (shrink, grow);
        /// Sets the smallest and the largest step.
        step_limits(smallest: f64, largest: f64) |link: ResilientDescent| link.limits = (smallest, largest);
    }
}

/// The link of [`Rprop`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResilientDescent {
    factors: (f64, f64),
    limits: (f64, f64),
}

impl ResilientDescent {
    /// Creates the link with η = (0.5, 1.2), steps within (1e-6, 50).
    #[must_use]
    pub fn new() -> Self {
        Self { factors: (0.5, 1.2), limits: (1e-6, 50.0) }
    }
}

default_is_new!(ResilientDescent);

impl<T: Scalar> Link<T> for ResilientDescent {
    type Slots = [T; 2];
    /// η⁻, η⁺, the smallest and the largest step.
    type Scalars = [T; 4];

    fn names(&self) -> Vec<&'static str> {
        vec!["rprop.step", "rprop.gradient"]
    }

    fn scalars(&self, _step: &StepContext) -> [T; 4] {
        [self.factors.0, self.factors.1, self.limits.0, self.limits.1].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[shrink, grow, low, high]: &[T; 4], _theta: T, g: T, [step, previous]: &mut [T; 2]) -> T {
        let agreement = g * *previous;
        let factor = if agreement > T::ZERO { grow } else { T::ONE };
        let factor = if agreement < T::ZERO { shrink } else { factor };
        *step = (*step * factor).max(low).min(high);
        // The sign is enough: a product of two gradients would overflow or vanish.
        *previous = if agreement < T::ZERO { T::ZERO } else { sign(g) };
        *previous * *step
    }

    fn initial(&self, _theta: T, step: &StepContext) -> [T; 2] {
        [T::from_f64(step.learning_rate), T::ZERO]
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        let ((shrink, grow), (smallest, largest)) = (self.factors, self.limits);
        settings.check(require(shrink > 0.0 && shrink < 1.0, "the shrinking factor", shrink, "between 0 and 1"));
        settings.check(require(
            grow > 1.0 && grow.is_finite(),
            "the growing factor",
            grow,
            "finite and greater than 1",
        ));
        settings.setting("the smallest step", smallest, positive);
        settings.check(require(largest >= smallest, "the largest step", largest, "at least the smallest"));
    }
}
