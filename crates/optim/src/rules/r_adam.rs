use downhill_tensor::Scalar;

use super::adam::{AdamScalars, ScaleByAdam};
use crate::precompiled::precompile;
use crate::settings::Settings;
use crate::{Chain, CoupledDecay, DecoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// RAdam (Liu et al. 2020): Adam that scales only once its second moment can be trusted.
///
/// ```text
/// g ← g + λθ;   m, v as Adam;   m̂ = m/(1 − β₁ᵗ)
/// ρ∞ = 2/(1 − β₂) − 1           ρₜ = ρ∞ − 2t β₂ᵗ/(1 − β₂ᵗ)
/// ρₜ > 5:  r = √[ (ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ) ],    θ ← θ − γ m̂ r √(1 − β₂ᵗ)/(√v + ε)
/// else:    θ ← θ − γ m̂
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, λ = 0, coupled, like `torch.optim.RAdam` (PyTorch 2.15; its learning rate is
/// 1e-3). The threshold is 5; the paper's is 4. ε comes before the correction.
/// Derivation: `docs/derivations/optimizers/radam.md`.
///
/// ```
/// use downhill_optim::{Optimizer, RAdam};
/// let mut theta = [1.0_f64];
/// RAdam::new(1e-3).step(&mut theta, &[2.0]);
/// assert!((theta[0] - 0.998).abs() < 1e-12);
/// ```
pub type RAdam<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByRAdam, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByRAdam, ScaleByRate)>);

/// [`RAdam`] with decoupled weight decay.
pub type RAdamW<T> = Stepper<Precompiled<Chain<(ScaleByRAdam, ScaleByRate, DecoupledDecay)>>, T>;
precompile!(Chain<(ScaleByRAdam, ScaleByRate, DecoupledDecay)>);

impl<T: Scalar> RAdam<T> {
    /// Creates the optimizer; it steps by about γ for each parameter, once the second moment is trusted; usually 1e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByRAdam::default(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByRAdam.adam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByRAdam.adam;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }

    /// Decouples the weight decay, as [`AdamW`](crate::AdamW) does.
    #[must_use]
    pub fn decoupled(self) -> RAdamW<T> {
        self.renamed(|Chain((decay, scale, rate))| Chain((scale, rate, DecoupledDecay::new(decay.weight_decay))))
    }
}

/// The link of [`RAdam`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScaleByRAdam {
    adam: ScaleByAdam,
}

/// The scalars of [`ScaleByRAdam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RAdamScalars<T> {
    adam: AdamScalars<T>,
    /// r √(1 − β₂ᵗ), in steps that are rectified.
    rectification: Option<T>,
}

impl<T: Scalar> Link<T> for ScaleByRAdam {
    type Slots = [T; 2];
    type Scalars = RAdamScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adam.m", "adam.v"]
    }

    fn scalars(&self, step: &StepContext) -> RAdamScalars<T> {
        let power = step.power(self.adam.beta2);
        let limit = 2.0 / (1.0 - self.adam.beta2) - 1.0;
        let rho = limit - 2.0 * step.number as f64 * power / (1.0 - power);
        let rectification = (rho > 5.0).then(|| {
            let r = (rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho);
            T::from_f64(r.sqrt() * (1.0 - power).sqrt())
        });
        RAdamScalars { adam: AdamScalars::new(&self.adam, step), rectification }
    }

    #[inline(always)]
    fn apply(s: &RAdamScalars<T>, _theta: T, g: T, [m, v]: &mut [T; 2]) -> T {
        s.adam.average(g, m, v);
        let mean = *m * s.adam.correction1;
        match s.rectification {
            Some(rectification) => mean * rectification / (v.sqrt() + s.adam.epsilon),
            None => mean,
        }
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        Link::<T>::settings(&mut self.adam, settings);
    }
}
