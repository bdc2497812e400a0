use downhill_tensor::Scalar;

use crate::precompiled::precompile;
use crate::{Chain, CoupledDecay, Momentum, Precompiled, ScaleByRate, Stepper};

/// Gradient descent with momentum, dampening, Nesterov's form and coupled weight decay.
///
/// ```text
/// g ← g + λθ
/// v ← μ v + (1 − τ) g        (the first step: v ← g)
/// θ ← θ − γ v                (Nesterov: θ ← θ − γ (g + μ v))
/// ```
///
/// Defaults: μ = 0, τ = 0, λ = 0, like `torch.optim.SGD` (PyTorch 2.15), whose numbers it gives.
/// The velocity holds no learning rate; Keras, Optimisers.jl and Sutskever et al. 2013 keep the rate inside,
/// so paths differ once it changes.
/// Without momentum [`GradientDescent`](crate::GradientDescent) does the same and keeps no velocity.
/// Derivation: `docs/derivations/optimizers/sgd.md`.
///
/// ```
/// use downhill_optim::{Optimizer, Sgd};
/// let mut optimizer = Sgd::new(0.1).momentum(0.9).nesterov().weight_decay(1e-4);
/// optimizer.check()?;
/// let mut theta = [1.0_f32, -1.0];
/// optimizer.step(&mut theta, &[0.5, 0.5]);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
pub type Sgd<T> = Stepper<Precompiled<Chain<(CoupledDecay, Momentum, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, Momentum, ScaleByRate)>);

impl<T: Scalar> Sgd<T> {
    /// Creates the optimizer; it steps by γ times the velocity, without momentum until it is set.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), Momentum::new(0.0), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the momentum μ, in [0, 1); usually 0.9.
        momentum of Momentum;
        /// Sets the dampening τ.
        dampening of Momentum;
        /// Takes Nesterov's form; it needs momentum, and no dampening.
        nesterov() |momentum: Momentum| momentum.nesterov = true;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}
