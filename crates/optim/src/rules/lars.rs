use downhill_tensor::Scalar;

use crate::precompiled::precompile;
use crate::{CoupledDecay, Layerwise, Momentum, Precompiled, ScaleByRate, Stepper, Trust};

/// LARS (You et al. 2017, arXiv 1708.03888): momentum, with each parameter's gradient as long as its norm says.
///
/// ```text
/// u = g + λθ
/// q = η‖θ‖/(‖u‖ + ε)   for each parameter, 1 where a norm is 0
/// b ← μ b + γ q u
/// θ ← θ − b                                                    (Nesterov: θ ← θ − (γ q u + μ b))
/// ```
///
/// Defaults: η = 0.001, μ = 0.9, ε = 0, λ = 0, as optax's form. The paper divides by ‖g‖ + λ‖θ‖ instead of ‖u‖.
/// In both the learning rate stands inside the momentum.
/// Biases and gains are usually exempt from both λ and q: [`exempt_vectors`](Lars::exempt_vectors).
/// Derivation: `docs/derivations/optimizers/lars.md`.
///
/// ```
/// use downhill_optim::{Lars, Optimizer};
/// let mut optimizer = Lars::new(0.1).weight_decay(1e-4);
/// let mut theta = [1.0_f32, 2.0];
/// optimizer.step(&mut theta, &[0.1, 0.2]);
/// ```
pub type Lars<T> = Stepper<Precompiled<Layerwise<CoupledDecay, (ScaleByRate, Momentum)>>, T>;
type LarsRule = Layerwise<CoupledDecay, (ScaleByRate, Momentum)>;
precompile!(LarsRule);

impl<T: Scalar> Lars<T> {
    /// Creates the optimizer; it steps by the share γη of each parameter's norm.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        let rule = Layerwise::new(CoupledDecay::new(0.0), Trust::new(1e-3), (ScaleByRate, Momentum::new(0.9)));
        Self::named(rule, learning_rate)
    }

    setters! {
        /// Sets the trust coefficient η.
        trust(coefficient: f64) |rule: LarsRule| rule.trust.coefficient = coefficient;
        /// Sets ε in the trust ratio.
        epsilon(epsilon: f64) |rule: LarsRule| rule.trust.epsilon = epsilon;
        /// Sets the momentum μ, in [0, 1).
        momentum of Momentum;
        /// Takes Nesterov's form.
        nesterov() |momentum: Momentum| momentum.nesterov = true;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }

    /// Exempts parameters that are no matrices from both decay and trust ratio.
    #[must_use]
    pub fn exempt_vectors(self) -> Self {
        self.set(|rule: &mut LarsRule| rule.exempts_vectors = true).no_decay_on_biases()
    }
}
