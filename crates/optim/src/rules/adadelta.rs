use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, not_negative, require};
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Adadelta (Zeiler 2012): steps in the units of θ, from the ratio of two averages.
///
/// ```text
/// g ← g + λθ
/// v ← ρ v + (1 − ρ) g²        Δ = √(u + ε)/√(v + ε) · g        u ← ρ u + (1 − ρ) Δ²
/// θ ← θ − γ Δ
/// ```
///
/// Defaults: ρ = 0.9, ε = 1e-6, λ = 0, like `torch.optim.Adadelta` (PyTorch 2.15; its learning rate is 1).
/// Keras has ρ = 0.95, ε = 1e-7 and the learning rate 1e-3.
/// Derivation: `docs/derivations/optimizers/adadelta.md`.
///
/// ```
/// use downhill_optim::{Adadelta, Optimizer};
/// let mut theta = [1.0_f64];
/// Adadelta::new(1.0).step(&mut theta, &[1.0]);
/// assert!(theta[0] < 1.0);
/// ```
pub type Adadelta<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAdadelta, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAdadelta, ScaleByRate)>);

impl<T: Scalar> Adadelta<T> {
    /// Creates the optimizer, which takes γ times Adadelta's own step; usually 1.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdadelta::new(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rate ρ of both averages, in [0, 1].
        rho of ScaleByAdadelta;
        /// Sets ε, which starts the steps.
        epsilon of ScaleByAdadelta;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}

/// The link of [`Adadelta`]: d ← √(u + ε)/√(v + ε) · d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdadelta {
    rho: f64,
    epsilon: f64,
}

impl ScaleByAdadelta {
    /// Creates the link with ρ = 0.9, ε = 1e-6.
    #[must_use]
    pub fn new() -> Self {
        Self { rho: 0.9, epsilon: 1e-6 }
    }
}

default_is_new!(ScaleByAdadelta);

impl<T: Scalar> Link<T> for ScaleByAdadelta {
    type Slots = [T; 2];
    /// ρ, 1 − ρ, ε.
    type Scalars = [T; 3];

    fn names(&self) -> Vec<&'static str> {
        vec!["adadelta.v", "adadelta.u"]
    }

    fn scalars(&self, _step: &StepContext) -> [T; 3] {
        [self.rho, 1.0 - self.rho, self.epsilon].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[rho, weight, epsilon]: &[T; 3], _theta: T, g: T, [v, u]: &mut [T; 2]) -> T {
        *v = rho * *v + weight * g * g;
        let delta = (*u + epsilon).sqrt() / (*v + epsilon).sqrt() * g;
        *u = rho * *u + weight * delta * delta;
        delta
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.check(require((0.0..=1.0).contains(&self.rho), "rho", self.rho, "between 0 and 1"));
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}
