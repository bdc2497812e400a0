use downhill_tensor::Scalar;

use super::adam::{AdamScalars, ScaleByAdam};
use crate::precompiled::precompile;
use crate::settings::Settings;
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Adamax (Kingma & Ba 2015): Adam with the largest recent gradient in place of the root mean square.
///
/// ```text
/// g ← g + λθ
/// m ← β₁ m + (1 − β₁) g        u ← max(β₂ u, |g| + ε)
/// θ ← θ − γ/(1 − β₁ᵗ) · m/u
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, λ = 0, like `torch.optim.Adamax` (PyTorch 2.15; its learning rate is 2e-3).
/// Derivation: `docs/derivations/optimizers/adamax.md`.
///
/// ```
/// use downhill_optim::{Adamax, Optimizer};
/// let mut theta = [1.0_f64];
/// Adamax::new(2e-3).step(&mut theta, &[250.0]);
/// assert!((theta[0] - 0.998).abs() < 1e-9);
/// ```
pub type Adamax<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAdamax, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAdamax, ScaleByRate)>);

impl<T: Scalar> Adamax<T> {
    /// Creates the optimizer; it steps by at most about γ for each parameter; usually 2e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdamax::default(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByAdamax.adam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAdamax.adam;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}

/// The link of [`Adamax`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScaleByAdamax {
    adam: ScaleByAdam,
}

impl<T: Scalar> Link<T> for ScaleByAdamax {
    type Slots = [T; 2];
    type Scalars = AdamScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adamax.m", "adamax.u"]
    }

    fn scalars(&self, step: &StepContext) -> AdamScalars<T> {
        AdamScalars::new(&self.adam, step)
    }

    #[inline(always)]
    fn apply(s: &AdamScalars<T>, _theta: T, g: T, [m, u]: &mut [T; 2]) -> T {
        *m = s.beta1 * *m + s.weight1 * g;
        *u = (g.abs() + s.epsilon).max(s.beta2 * *u);
        s.correction1 * *m / *u
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        Link::<T>::settings(&mut self.adam, settings);
    }
}
