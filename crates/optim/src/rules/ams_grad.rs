use downhill_tensor::Scalar;

use super::adam::{AdamScalars, ScaleByAdam};
use crate::precompiled::precompile;
use crate::settings::Settings;
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// AMSGrad (Reddi et al. 2018): Adam with the largest averaged square so far in its denominator.
///
/// ```text
/// m, v as Adam;   x ← max(x, v)
/// θ ← θ − γ m/(1 − β₁ᵗ) / ( √x/√(1 − β₂ᵗ) + ε )
/// ```
///
/// Defaults as [`Adam`](crate::Adam)'s; the numbers of `torch.optim.Adam` with `amsgrad=True` (PyTorch 2.15).
/// The maximum is taken before the correction, which the paper doesn't have.
/// Derivation: `docs/derivations/optimizers/ams-grad.md`.
///
/// ```
/// use downhill_optim::{AmsGrad, Optimizer};
/// let mut theta = [1.0_f64];
/// AmsGrad::new(1e-3).step(&mut theta, &[250.0]);
/// assert!((theta[0] - 0.999).abs() < 1e-9);
/// ```
pub type AmsGrad<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAmsGrad, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAmsGrad, ScaleByRate)>);

impl<T: Scalar> AmsGrad<T> {
    /// Creates the optimizer; it steps by at most about γ for each parameter; usually 1e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAmsGrad::default(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByAmsGrad.adam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAmsGrad.adam;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}

/// The link of [`AmsGrad`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScaleByAmsGrad {
    adam: ScaleByAdam,
}

impl<T: Scalar> Link<T> for ScaleByAmsGrad {
    type Slots = [T; 3];
    type Scalars = AdamScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adam.m", "adam.v", "adam.largest_v"]
    }

    fn scalars(&self, step: &StepContext) -> AdamScalars<T> {
        AdamScalars::new(&self.adam, step)
    }

    #[inline(always)]
    fn apply(s: &AdamScalars<T>, _theta: T, g: T, [m, v, largest]: &mut [T; 3]) -> T {
        s.average(g, m, v);
        // In this order, so that a `v` that is not a number shows.
        *largest = v.max(*largest);
        *m * s.correction1 / (largest.sqrt() * s.correction2 + s.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        Link::<T>::settings(&mut self.adam, settings);
    }
}
