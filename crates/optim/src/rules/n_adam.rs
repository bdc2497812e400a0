use downhill_tensor::Scalar;

use super::adam::{AdamScalars, ScaleByAdam};
use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, not_negative};
use crate::{Chain, CoupledDecay, DecoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// NAdam (Dozat 2016): Adam with Nesterov's look ahead and a momentum that warms up.
///
/// ```text
/// g ← g + λθ
/// μₜ = β₁(1 − ½·0.96^(tψ))            Π ← Π μₜ                         (Π starts at 1)
/// m ← β₁ m + (1 − β₁) g               v ← β₂ v + (1 − β₂) g²           D = √(v/(1 − β₂ᵗ)) + ε
/// θ ← θ − γ [ (1 − μₜ)/(1 − Π) · g + μₜ₊₁/(1 − Π μₜ₊₁) · m ] / D
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, ψ = 4e-3, λ = 0, coupled, like `torch.optim.NAdam` (PyTorch 2.15; its learning
/// rate is 2e-3). Π is kept in f64; PyTorch keeps it in f32, so that its runs in f32 differ by 3e-6.
/// optax's `nadam` is another rule, without the schedule of μ.
/// Derivation: `docs/derivations/optimizers/nadam.md`.
///
/// ```
/// use downhill_optim::{NAdam, Optimizer};
/// let mut optimizer = NAdam::new(2e-3).weight_decay(0.01).decoupled();
/// let mut theta = [1.0_f32];
/// optimizer.step(&mut theta, &[1.0]);
/// ```
pub type NAdam<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByNAdam, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByNAdam, ScaleByRate)>);

/// [`NAdam`] with decoupled weight decay.
pub type NAdamW<T> = Stepper<Precompiled<Chain<(ScaleByNAdam, ScaleByRate, DecoupledDecay)>>, T>;
precompile!(Chain<(ScaleByNAdam, ScaleByRate, DecoupledDecay)>);

impl<T: Scalar> NAdam<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 2e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByNAdam::new(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByNAdam.adam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByNAdam.adam;
        /// Sets the momentum decay ψ.
        momentum_decay of ScaleByNAdam;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }

    /// Decouples the weight decay, as [`AdamW`](crate::AdamW) does.
    #[must_use]
    pub fn decoupled(self) -> NAdamW<T> {
        self.renamed(|Chain((decay, scale, rate))| Chain((scale, rate, DecoupledDecay::new(decay.weight_decay))))
    }
}

/// The link of [`NAdam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByNAdam {
    adam: ScaleByAdam,
    momentum_decay: f64,
    /// Π, of all steps so far.
    product: f64,
}

impl ScaleByNAdam {
    /// Creates the link with β = (0.9, 0.999), ε = 1e-8, ψ = 4e-3.
    #[must_use]
    pub fn new() -> Self {
        Self { adam: ScaleByAdam::new(), momentum_decay: 4e-3, product: 1.0 }
    }

    /// Returns μ at step t.
    fn mu(&self, number: f64) -> f64 {
        self.adam.beta1 * (1.0 - 0.5 * 0.96_f64.powf(number * self.momentum_decay))
    }
}

default_is_new!(ScaleByNAdam);

/// The scalars of [`ScaleByNAdam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NAdamScalars<T> {
    adam: AdamScalars<T>,
    /// (1 − μₜ)/(1 − Π).
    of_gradient: T,
    /// μₜ₊₁/(1 − Π μₜ₊₁).
    of_average: T,
}

impl<T: Scalar> Link<T> for ScaleByNAdam {
    type Slots = [T; 2];
    type Scalars = NAdamScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adam.m", "adam.v"]
    }

    fn advance(&mut self, step: &StepContext) {
        self.product *= self.mu(step.number as f64);
    }

    fn scalars(&self, step: &StepContext) -> NAdamScalars<T> {
        let number = step.number as f64;
        let next = self.mu(number + 1.0);
        NAdamScalars {
            adam: AdamScalars::new(&self.adam, step),
            of_gradient: T::from_f64((1.0 - self.mu(number)) / (1.0 - self.product)),
            of_average: T::from_f64(next / (1.0 - self.product * next)),
        }
    }

    #[inline(always)]
    fn apply(s: &NAdamScalars<T>, _theta: T, g: T, [m, v]: &mut [T; 2]) -> T {
        s.adam.average(g, m, v);
        (s.of_gradient * g + s.of_average * *m) / (v.sqrt() * s.adam.correction2 + s.adam.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("the momentum decay", self.momentum_decay, not_negative);
        Link::<T>::settings(&mut self.adam, settings);
        settings.memory("nadam.product", &mut self.product);
    }
}
