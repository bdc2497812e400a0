use downhill_tensor::{Scalar, elementwise};

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate, positive};
use crate::{Chain, DecoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Sophia-G (Liu et al. 2023, arXiv 2305.14342): the averaged gradient over a diagonal estimate of the Hessian, clipped.
///
/// ```text
/// every k steps:   h ← β₂ h + (1 − β₂) ĝ²
/// m ← β₁ m + (1 − β₁) g
/// θ ← θ(1 − γλ) − γ sign(m) min( |m|/(ρ B h + 1e-15), 1 )
/// ```
///
/// Defaults: β = (0.965, 0.99), ρ = 0.04, λ = 0.1, B = 1, as the authors' code (its learning rate is 1e-4).
/// B is the number of samples (tokens) in a batch, because the estimator of the Hessian is B ĝ².
/// ĝ is the gradient of the mean loss on labels drawn from the model's own softmax: a second backward pass, about every
/// k = 10 steps, given to [`update_hessian`](SophiaG::update_hessian).
/// Derivation: `docs/derivations/optimizers/sophia-g.md`.
///
/// ```
/// use downhill_optim::{Optimizer, SophiaG};
/// let mut optimizer = SophiaG::new(1e-4).batch_size(32.0);
/// let mut theta = [1.0_f64, 2.0];
/// for step in 0..100 {
///     optimizer.step(&mut theta, &[0.1, -0.2]);
///     if step % 10 == 0 {
///         optimizer.update_hessian(&[0.3, 0.1]);
///     }
/// }
/// ```
pub type SophiaG<T> = Stepper<Precompiled<Chain<(ScaleBySophia, ScaleByRate, DecoupledDecay)>>, T>;
precompile!(Chain<(ScaleBySophia, ScaleByRate, DecoupledDecay)>);

impl<T: Scalar> SophiaG<T> {
    /// Creates the optimizer; it steps by at most γ for each parameter; usually 1e-4.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((ScaleBySophia::new(), ScaleByRate, DecoupledDecay::new(0.1))), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ of the gradient and β₂ of the Hessian, in [0, 1).
        betas of ScaleBySophia;
        /// Sets ρ: a smaller one clips more.
        rho of ScaleBySophia;
        /// Sets the number B of samples in a batch.
        batch_size of ScaleBySophia;
        /// Sets the decoupled weight decay λ.
        weight_decay of DecoupledDecay;
    }

    /// Takes ĝ, the gradient on labels drawn from the model, into the estimate of the Hessian; before the first step too.
    /// If it is not as long as θ, the optimizer starts anew, as with a θ of another length.
    pub fn update_hessian(&mut self, sampled_gradient: &[T]) {
        let Chain((sophia, ..)) = self.rule();
        let beta = sophia.beta2;
        let (beta, weight) = (T::from_f64(beta), T::from_f64(1.0 - beta));
        if let [_, hessian] = self.prepare(sampled_gradient.len()) {
            elementwise::update(sampled_gradient, hessian, |g, h| beta * h + weight * g * g);
        }
    }
}

/// The link of [`SophiaG`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleBySophia {
    beta1: f64,
    beta2: f64,
    rho: f64,
    batch_size: f64,
}

impl ScaleBySophia {
    /// Creates the link with β = (0.965, 0.99), ρ = 0.04, B = 1.
    #[must_use]
    pub fn new() -> Self {
        Self { beta1: 0.965, beta2: 0.99, rho: 0.04, batch_size: 1.0 }
    }
}

default_is_new!(ScaleBySophia);

impl<T: Scalar> Link<T> for ScaleBySophia {
    type Slots = [T; 2];
    /// β₁, 1 − β₁, ρB, 1e-15.
    type Scalars = [T; 4];

    fn names(&self) -> Vec<&'static str> {
        vec!["sophia.m", "sophia.hessian"]
    }

    fn scalars(&self, _step: &StepContext) -> [T; 4] {
        [self.beta1, 1.0 - self.beta1, self.rho * self.batch_size, 1e-15].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[beta1, weight1, scale, epsilon]: &[T; 4], _theta: T, g: T, [m, hessian]: &mut [T; 2]) -> T {
        *m = beta1 * *m + weight1 * g;
        (*m / (scale * *hessian + epsilon)).max(-T::ONE).min(T::ONE)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("beta1", &mut self.beta1, decay_rate);
        settings.setting("beta2", self.beta2, decay_rate);
        settings.setting("rho", self.rho, positive);
        settings.setting("the batch size", self.batch_size, positive);
    }
}
