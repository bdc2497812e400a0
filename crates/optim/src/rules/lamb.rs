use downhill_tensor::Scalar;

use crate::precompiled::precompile;
use crate::{AddDecay, Layerwise, Precompiled, ScaleByAdam, ScaleByRate, Stepper, Trust};

/// LAMB (You et al. 2020, arXiv 1904.00962): Adam's steps, each parameter's as long as its norm says.
///
/// ```text
/// m, v as Adam;   r = [ m/(1 − β₁ᵗ) ] / ( √(v/(1 − β₂ᵗ)) + ε ) + λθ
/// q = ‖θ‖/‖r‖   for each parameter, 1 where a norm is 0
/// θ ← θ − γ q r
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-6, λ = 0, as optax's; the paper's φ is the identity.
/// NVIDIA's version first clips the norm of the whole gradient to 1: use [`clip_norm`](crate::clip_norm).
/// Biases and gains are usually exempt from both λ and q: [`exempt_vectors`](Lamb::exempt_vectors).
/// Derivation: `docs/derivations/optimizers/lamb.md`.
///
/// ```
/// use downhill_optim::{Lamb, Optimizer};
/// let mut optimizer = Lamb::new(1e-2).weight_decay(0.01).exempt_vectors();
/// let mut theta = [1.0_f32, 2.0];
/// optimizer.step(&mut theta, &[0.1, 0.2]);
/// ```
pub type Lamb<T> = Stepper<Precompiled<Layerwise<(ScaleByAdam, AddDecay), ScaleByRate>>, T>;
type LambRule = Layerwise<(ScaleByAdam, AddDecay), ScaleByRate>;
precompile!(LambRule);

impl<T: Scalar> Lamb<T> {
    /// Creates the optimizer; it steps by the share γ of each parameter's norm.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        let adam = (ScaleByAdam::new().epsilon(1e-6), AddDecay::new(0.0));
        let rule = Layerwise::new(adam, Trust::new(1.0), ScaleByRate);
        Self::named(rule, learning_rate)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ScaleByAdam;
        /// Sets ε, which bounds Adam's step where gradients vanish.
        epsilon of ScaleByAdam;
        /// Sets the decoupled weight decay λ.
        weight_decay of AddDecay;
    }

    /// Exempts parameters that are no matrices from both decay and trust ratio.
    #[must_use]
    pub fn exempt_vectors(self) -> Self {
        self.set(|rule: &mut LambRule| rule.exempts_vectors = true).no_decay_on_biases()
    }
}
