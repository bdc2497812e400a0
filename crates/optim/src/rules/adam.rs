use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate, not_negative};
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Adam (Kingma & Ba 2015): the averaged gradient over the root of its averaged square.
///
/// ```text
/// g ← g + λθ
/// m ← β₁ m + (1 − β₁) g                v ← β₂ v + (1 − β₂) g²
/// θ ← θ − γ m/(1 − β₁ᵗ) / ( √(v/(1 − β₂ᵗ)) + ε )
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, λ = 0, like `torch.optim.Adam` (PyTorch 2.15), whose numbers it gives.
/// ε stands outside the corrected root; Keras and scikit-learn leave it uncorrected, and burn's default is 1e-5,
/// Keras's 1e-7.
/// The weight decay is coupled; [`AdamW`](crate::AdamW) decouples it.
/// Derivation: `docs/derivations/optimizers/adam.md`.
///
/// ```
/// use downhill_optim::{Adam, Optimizer};
/// let mut optimizer = Adam::new(1e-3);
/// let mut theta = [1.0_f64];
/// optimizer.step(&mut theta, &[250.0]);
/// // Whatever the size of the gradient, the first step is γ.
/// assert!((theta[0] - 0.999).abs() < 1e-9);
/// ```
pub type Adam<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAdam, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAdam, ScaleByRate)>);

impl<T: Scalar> Adam<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 1e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdam::new(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByAdam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAdam;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}

/// The link of [`Adam`]: d ← m̂/(√v̂ + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdam {
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
}

impl ScaleByAdam {
    /// Creates the link with β = (0.9, 0.999), ε = 1e-8.
    #[must_use]
    pub fn new() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// Sets the decay rates β₁ and β₂, in [0, 1).
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.beta1, self.beta2) = (beta1, beta2);
        self
    }

    setters! {
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon: f64;
    }
}

default_is_new!(ScaleByAdam);

/// The scalars of [`ScaleByAdam`] and its relatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamScalars<T> {
    pub(crate) beta1: T,
    pub(crate) weight1: T,
    pub(crate) beta2: T,
    pub(crate) weight2: T,
    /// 1/(1 − β₁ᵗ).
    pub(crate) correction1: T,
    /// 1/√(1 − β₂ᵗ).
    pub(crate) correction2: T,
    pub(crate) epsilon: T,
}

impl<T: Scalar> AdamScalars<T> {
    pub(crate) fn new(link: &ScaleByAdam, step: &StepContext) -> Self {
        let &ScaleByAdam { beta1, beta2, epsilon } = link;
        Self {
            beta1: T::from_f64(beta1),
            weight1: T::from_f64(1.0 - beta1),
            beta2: T::from_f64(beta2),
            weight2: T::from_f64(1.0 - beta2),
            correction1: T::from_f64(1.0 / (1.0 - step.power(beta1))),
            correction2: T::from_f64(1.0 / (1.0 - step.power(beta2)).sqrt()),
            epsilon: T::from_f64(epsilon),
        }
    }

    /// Moves the averages of g and g² on.
    #[inline(always)]
    pub(crate) fn average(&self, g: T, m: &mut T, v: &mut T) {
        *m = self.beta1 * *m + self.weight1 * g;
        *v = self.beta2 * *v + self.weight2 * g * g;
    }
}

impl<T: Scalar> Link<T> for ScaleByAdam {
    type Slots = [T; 2];
    type Scalars = AdamScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["adam.m", "adam.v"]
    }

    fn scalars(&self, step: &StepContext) -> AdamScalars<T> {
        AdamScalars::new(self, step)
    }

    #[inline(always)]
    fn apply(s: &AdamScalars<T>, _theta: T, g: T, [m, v]: &mut [T; 2]) -> T {
        s.average(g, m, v);
        *m * s.correction1 / (v.sqrt() * s.correction2 + s.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("beta1", &mut self.beta1, decay_rate);
        settings.setting("beta2", self.beta2, decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}
