use downhill_tensor::Scalar;

use super::default_is_new;
use super::sign;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate};
use crate::{AddDecay, Chain, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Lion (Chen et al. 2023, arXiv 2302.06675): the sign of an averaged gradient.
///
/// ```text
/// c = sign(β₁ m + (1 − β₁) g)          m ← β₂ m + (1 − β₂) g           (sign(0) = 0)
/// θ ← θ − γ(c + λθ)
/// ```
///
/// Defaults: β = (0.9, 0.99), λ = 0, as the paper's; optax's λ is 1e-3.
/// Take a learning rate 3 to 10 times smaller than AdamW's, and a decay as many times larger.
/// Derivation: `docs/derivations/optimizers/lion.md`.
///
/// ```
/// use downhill_optim::{Lion, Optimizer};
/// let mut theta = [1.0_f64, 1.0];
/// Lion::new(1e-4).step(&mut theta, &[250.0, 0.0]);
/// assert_eq!(theta, [0.9999, 1.0]);
/// ```
pub type Lion<T> = Stepper<Precompiled<Chain<(ScaleByLion, AddDecay, ScaleByRate)>>, T>;
precompile!(Chain<(ScaleByLion, AddDecay, ScaleByRate)>);

impl<T: Scalar> Lion<T> {
    /// Creates the optimizer; it steps by γ for each parameter; usually 1e-4.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((ScaleByLion::new(), AddDecay::new(0.0), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ (of the step) and β₂ (of the average), in [0, 1).
        betas of ScaleByLion;
        /// Sets the decoupled weight decay λ.
        weight_decay of AddDecay;
    }
}

/// The link of [`Lion`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByLion {
    beta1: f64,
    beta2: f64,
}

impl ScaleByLion {
    /// Creates the link with β = (0.9, 0.99).
    #[must_use]
    pub fn new() -> Self {
        Self { beta1: 0.9, beta2: 0.99 }
    }
}

default_is_new!(ScaleByLion);

impl<T: Scalar> Link<T> for ScaleByLion {
    type Slots = [T; 1];
    /// β₁, 1 − β₁, β₂, 1 − β₂.
    type Scalars = [T; 4];

    fn names(&self) -> Vec<&'static str> {
        vec!["lion.m"]
    }

    fn scalars(&self, _step: &StepContext) -> [T; 4] {
        [self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[beta1, weight1, beta2, weight2]: &[T; 4], _theta: T, g: T, [m]: &mut [T; 1]) -> T {
        let direction = sign(beta1 * *m + weight1 * g);
        *m = beta2 * *m + weight2 * g;
        direction
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("beta1", &mut self.beta1, decay_rate);
        settings.setting("beta2", self.beta2, decay_rate);
    }
}
