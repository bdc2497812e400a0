use downhill_tensor::Scalar;

use crate::precompiled::precompile;
use crate::{Chain, DecoupledDecay, Precompiled, ScaleByAdam, ScaleByRate, Stepper};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
///
/// ```text
/// m ← β₁ m + (1 − β₁) g                v ← β₂ v + (1 − β₂) g²
/// θ ← θ (1 − γλ) − γ m/(1 − β₁ᵗ) / ( √(v/(1 − β₂ᵗ)) + ε )
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, λ = 0.01, like `torch.optim.AdamW` (PyTorch 2.15), whose numbers it gives.
/// The decay is scaled by the scheduled learning rate, as in PyTorch; the paper scales it by the schedule alone.
/// Derivation: `docs/derivations/optimizers/adam-w.md`.
///
/// ```
/// use downhill_optim::{AdamW, Optimizer};
/// let mut optimizer = AdamW::new(1e-3).weight_decay(0.05).no_decay_on_biases();
/// let mut theta = [1.0_f32, 2.0];
/// optimizer.step(&mut theta, &[0.1, -0.1]);
/// ```
pub type AdamW<T> = Stepper<Precompiled<Chain<(ScaleByAdam, ScaleByRate, DecoupledDecay)>>, T>;
precompile!(Chain<(ScaleByAdam, ScaleByRate, DecoupledDecay)>);

impl<T: Scalar> AdamW<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 1e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((ScaleByAdam::new(), ScaleByRate, DecoupledDecay::new(0.01))), learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByAdam;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAdam;
        /// Sets the decoupled weight decay λ.
        weight_decay of DecoupledDecay;
    }
}
