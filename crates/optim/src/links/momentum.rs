use downhill_tensor::Scalar;

use crate::settings::{Settings, decay_rate, require};
use crate::{Link, StepContext};

/// A velocity in which the directions add up (Polyak 1964; Nesterov's form after Sutskever et al. 2013).
///
/// ```text
/// v ← μ v + (1 − τ) d        (the first step ignores the dampening: v ← d)
/// d ← v                      (Nesterov: d ← d + μ v)
/// ```
///
/// The velocity holds no learning rate, as in PyTorch; in Keras and in Optimisers.jl it does, which is the same
/// until the rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) nesterov: bool,
}

impl Momentum {
    /// Creates a velocity that keeps the share `momentum` of itself at each step.
    #[must_use]
    pub fn new(momentum: f64) -> Self {
        Self { momentum, dampening: 0.0, nesterov: false }
    }

    setters! {
        /// Sets the dampening: new directions come in with the weight 1 − `dampening`.
        dampening: f64;
        /// Looks ahead along the velocity.
        nesterov() nesterov = true;
    }
}

/// The scalars of [`Momentum`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumScalars<T> {
    momentum: T,
    weight: T,
    nesterov: bool,
}

impl<T: Scalar> Link<T> for Momentum {
    type Slots = [T; 1];
    type Scalars = MomentumScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["momentum.velocity"]
    }

    fn scalars(&self, step: &StepContext) -> MomentumScalars<T> {
        let undamped = step.number == 1 || self.momentum == 0.0;
        MomentumScalars {
            momentum: T::from_f64(self.momentum),
            weight: if undamped { T::ONE } else { T::from_f64(1.0 - self.dampening) },
            nesterov: self.nesterov,
        }
    }

    #[inline(always)]
    fn apply(scalars: &MomentumScalars<T>, _theta: T, direction: T, [velocity]: &mut [T; 1]) -> T {
        *velocity = scalars.momentum * *velocity + scalars.weight * direction;
        if scalars.nesterov { direction + scalars.momentum * *velocity } else { *velocity }
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("the momentum", &mut self.momentum, decay_rate);
        settings.check(require(self.dampening.is_finite(), "the dampening", self.dampening, "finite"));
        if self.nesterov {
            let [momentum, dampening] = [self.momentum, self.dampening];
            settings.check(require(momentum > 0.0, "the momentum", momentum, "greater than 0 for Nesterov's form"));
            settings.check(require(dampening == 0.0, "the dampening", dampening, "0 for Nesterov's form"));
        }
    }
}
