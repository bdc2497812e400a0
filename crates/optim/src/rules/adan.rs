use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate, not_negative};
use crate::{Chain, DecoupledDecay, Link, Precompiled, ProximalDecay, ScaleByRate, StepContext, Stepper};

/// Adan (Xie et al. 2022, arXiv 2208.06677): Nesterov's momentum from the differences of gradients.
///
/// ```text
/// δ = g − g_prev                                               (δ = 0 at the first step)
/// m ← β₁ m + (1 − β₁) g        d ← β₂ d + (1 − β₂) δ           n ← β₃ n + (1 − β₃)(g + β₂ δ)²
/// u = [ m/(1 − β₁ᵗ) + β₂ d/(1 − β₂ᵗ) ] / ( √(n/(1 − β₃ᵗ)) + ε )
/// θ ← (θ − γ u)/(1 + γλ)       decoupled:  θ ← θ(1 − γλ) − γ u
/// ```
///
/// Defaults: β = (0.98, 0.92, 0.99), ε = 1e-8, λ = 0, as the authors' code (its learning rate is 1e-3).
/// The β are decay rates; the paper writes 1 − β.
/// Derivation: `docs/derivations/optimizers/adan.md`.
///
/// ```
/// use downhill_optim::{Adan, Optimizer};
/// let mut optimizer = Adan::new(1e-3).weight_decay(0.02);
/// let mut theta = [1.0_f32];
/// optimizer.step(&mut theta, &[1.0]);
/// ```
pub type Adan<T> = Stepper<Precompiled<Chain<(ScaleByAdan, ScaleByRate, ProximalDecay)>>, T>;
precompile!(Chain<(ScaleByAdan, ScaleByRate, ProximalDecay)>);

/// [`Adan`] with the decoupled decay of AdamW; `no_prox` in the authors' code.
pub type AdanW<T> = Stepper<Precompiled<Chain<(ScaleByAdan, ScaleByRate, DecoupledDecay)>>, T>;
precompile!(Chain<(ScaleByAdan, ScaleByRate, DecoupledDecay)>);

impl<T: Scalar> Adan<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 1e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((ScaleByAdan::new(), ScaleByRate, ProximalDecay::new(0.0))), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁, β₂ and β₃, in [0, 1).
        betas(beta1: f64, beta2: f64, beta3: f64) |adan: ScaleByAdan| adan.betas = [beta1, beta2, beta3];
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAdan;
        /// Sets the weight decay λ.
        weight_decay of ProximalDecay;
    }

    /// Decouples the weight decay, as [`AdamW`](crate::AdamW) does.
    #[must_use]
    pub fn decoupled(self) -> AdanW<T> {
        self.renamed(|Chain((scale, rate, decay))| Chain((scale, rate, DecoupledDecay::new(decay.weight_decay))))
    }
}

/// The link of [`Adan`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdan {
    betas: [f64; 3],
    epsilon: f64,
}

impl ScaleByAdan {
    /// Creates the link with β = (0.98, 0.92, 0.99), ε = 1e-8.
    #[must_use]
    pub fn new() -> Self {
        Self { betas: [0.98, 0.92, 0.99], epsilon: 1e-8 }
    }
}

default_is_new!(ScaleByAdan);

/// The scalars of [`ScaleByAdan`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdanScalars<T> {
    betas: [T; 3],
    weights: [T; 3],
    /// 1/(1 − β₁ᵗ), β₂/(1 − β₂ᵗ), 1/√(1 − β₃ᵗ).
    corrections: [T; 3],
    epsilon: T,
    first: bool,
}

impl<T: Scalar> Link<T> for ScaleByAdan {
    type Slots = [T; 4];
    type Scalars = AdanScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adan.m", "adan.d", "adan.n", "adan.gradient"]
    }

    fn scalars(&self, step: &StepContext) -> AdanScalars<T> {
        let [c1, c2, c3] = self.betas.map(|beta| 1.0 - step.power(beta));
        AdanScalars {
            betas: self.betas.map(T::from_f64),
            weights: self.betas.map(|beta| T::from_f64(1.0 - beta)),
            corrections: [1.0 / c1, self.betas[1] / c2, 1.0 / c3.sqrt()].map(T::from_f64),
            epsilon: T::from_f64(self.epsilon),
            first: step.number == 1,
        }
    }

    #[inline(always)]
    fn apply(s: &AdanScalars<T>, _theta: T, g: T, [m, d, n, previous]: &mut [T; 4]) -> T {
        let delta = if s.first { T::ZERO } else { g - *previous };
        *previous = g;
        let ahead = g + s.betas[1] * delta;
        *m = s.betas[0] * *m + s.weights[0] * g;
        *d = s.betas[1] * *d + s.weights[1] * delta;
        *n = s.betas[2] * *n + s.weights[2] * ahead * ahead;
        (s.corrections[0] * *m + s.corrections[1] * *d) / (n.sqrt() * s.corrections[2] + s.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        let [beta1, beta2, beta3] = &mut self.betas;
        settings.momentum("beta1", beta1, decay_rate);
        settings.setting("beta2", *beta2, decay_rate);
        settings.setting("beta3", *beta3, decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}
