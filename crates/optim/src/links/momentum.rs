use downhill_tensor::Scalar;

use crate::error::{decay_rate, require};
use crate::{Link, SettingError, Step};

/// A velocity that the directions add up in (Polyak 1964; Nesterov's form after Sutskever et al. 2013).
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
    /// The velocity keeps this share of itself at each step.
    #[must_use]
    pub fn new(momentum: f64) -> Self {
        Self { momentum, dampening: 0.0, nesterov: false }
    }

    /// New directions come in with the weight 1 − `dampening`.
    #[must_use]
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.dampening = dampening;
        self
    }

    /// Looks ahead along the velocity.
    #[must_use]
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
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

    fn scalars(&self, step: &Step) -> MomentumScalars<T> {
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

    fn check(&self) -> Result<(), SettingError> {
        decay_rate("the momentum", self.momentum)?;
        require(self.dampening.is_finite(), "the dampening", self.dampening, "finite")?;
        if self.nesterov {
            require(self.momentum > 0.0, "the momentum", self.momentum, "greater than 0 for Nesterov's form")?;
            require(self.dampening == 0.0, "the dampening", self.dampening, "0 for Nesterov's form")?;
        }
        Ok(())
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.momentum)
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.momentum = momentum;
    }
}
