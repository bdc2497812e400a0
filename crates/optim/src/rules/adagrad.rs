use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, not_negative};
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, StepContext, Stepper};

/// Adagrad (Duchi et al. 2011): the gradient over the root of the sum of all its squares.
///
/// ```text
/// g ← g + λθ
/// s ← s + g²                                      (s starts at s₀)
/// θ ← θ − γ/(1 + (t−1)η) · g/(√s + ε)
/// ```
///
/// Defaults: η = 0, λ = 0, s₀ = 0, ε = 1e-10, like `torch.optim.Adagrad` (PyTorch 2.15; its learning rate is 1e-2).
/// Keras and optax start s at 0.1; TensorFlow puts ε inside the root.
/// Derivation: `docs/derivations/optimizers/adagrad.md`.
///
/// ```
/// use downhill_optim::{Adagrad, Optimizer};
/// let mut theta = [1.0_f64];
/// Adagrad::new(0.1).step(&mut theta, &[5.0]);
/// assert!((theta[0] - 0.9).abs() < 1e-9);
/// ```
pub type Adagrad<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAdagrad, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAdagrad, ScaleByRate)>);

impl<T: Scalar> Adagrad<T> {
    /// Creates the optimizer; its steps of γ shrink as squares of gradients add up; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdagrad::new(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay η of the learning rate.
        rate_decay of ScaleByAdagrad;
        /// Sets s₀, at which the sum of squares starts.
        initial_sum of ScaleByAdagrad;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByAdagrad;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }
}

/// The link of [`Adagrad`]: d ← d/(√s + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdagrad {
    rate_decay: f64,
    initial_sum: f64,
    epsilon: f64,
}

impl ScaleByAdagrad {
    /// Creates the link with η = 0, s₀ = 0, ε = 1e-10.
    #[must_use]
    pub fn new() -> Self {
        Self { rate_decay: 0.0, initial_sum: 0.0, epsilon: 1e-10 }
    }
}

default_is_new!(ScaleByAdagrad);

impl<T: Scalar> Link<T> for ScaleByAdagrad {
    type Slots = [T; 1];
    /// 1/(1 + (t−1)η), and ε.
    type Scalars = (T, T);

    fn names(&self) -> Vec<&'static str> {
        vec!["adagrad.sum"]
    }

    fn scalars(&self, step: &StepContext) -> (T, T) {
        let decayed = 1.0 / (1.0 + (step.number - 1) as f64 * self.rate_decay);
        (T::from_f64(decayed), T::from_f64(self.epsilon))
    }

    #[inline(always)]
    fn apply(&(decayed, epsilon): &(T, T), _theta: T, g: T, [sum]: &mut [T; 1]) -> T {
        *sum += g * g;
        decayed * g / (sum.sqrt() + epsilon)
    }

    fn initial(&self, _theta: T, _step: &StepContext) -> [T; 1] {
        [T::from_f64(self.initial_sum)]
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("the decay of the learning rate", self.rate_decay, not_negative);
        settings.setting("the initial sum of squares", self.initial_sum, not_negative);
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}
