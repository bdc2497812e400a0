use downhill_tensor::Scalar;

use crate::error::not_negative;
use crate::precompiled::precompile;
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, SettingError, Step, Stepper};

/// Adagrad (Duchi et al. 2011): the gradient over the root of the sum of all its squares.
///
/// ```text
/// g ← g + λθ
/// s ← s + g²                                      (s starts at s₀)
/// θ ← θ − γ/(1 + (t−1)η) · g/(√s + ε)
/// ```
///
/// Defaults: η = 0, λ = 0, s₀ = 0, ε = 1e-10, as `torch.optim.Adagrad` (PyTorch 2.15; its learning rate is 1e-2).
/// Keras and optax start s at 0.1; TensorFlow puts ε inside the root.
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
    /// Steps of γ that shrink as squares of gradients add up; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdagrad::new(), ScaleByRate)), learning_rate)
    }

    /// The decay η of the learning rate.
    #[must_use]
    pub fn rate_decay(self, decay: f64) -> Self {
        self.with(|rule| rule.0.1.rate_decay = decay)
    }

    /// What the sum of squares starts at: s₀.
    #[must_use]
    pub fn initial_sum(self, sum: f64) -> Self {
        self.with(|rule| rule.0.1.initial = sum)
    }

    /// ε, which bounds the step where gradients vanish.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        self.with(|rule| rule.0.1.epsilon = epsilon)
    }

    /// The coupled weight decay λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        self.with(|rule| rule.0.0.weight_decay = weight_decay)
    }
}

/// The link of [`Adagrad`]: d ← d/(√s + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdagrad {
    rate_decay: f64,
    initial: f64,
    epsilon: f64,
}

impl ScaleByAdagrad {
    /// η = 0, s₀ = 0, ε = 1e-10.
    #[must_use]
    pub fn new() -> Self {
        Self { rate_decay: 0.0, initial: 0.0, epsilon: 1e-10 }
    }
}

impl Default for ScaleByAdagrad {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Link<T> for ScaleByAdagrad {
    type Slots = [T; 1];
    /// 1/(1 + (t−1)η), and ε.
    type Scalars = (T, T);

    fn names(&self) -> Vec<&'static str> {
        vec!["adagrad.sum"]
    }

    fn scalars(&self, step: &Step) -> (T, T) {
        let decayed = 1.0 / (1.0 + (step.number - 1) as f64 * self.rate_decay);
        (T::from_f64(decayed), T::from_f64(self.epsilon))
    }

    #[inline(always)]
    fn apply(&(decayed, epsilon): &(T, T), _theta: T, g: T, [sum]: &mut [T; 1]) -> T {
        *sum += g * g;
        decayed * g / (sum.sqrt() + epsilon)
    }

    fn initial(&self, _theta: T, _step: &Step) -> [T; 1] {
        [T::from_f64(self.initial)]
    }

    fn check(&self) -> Result<(), SettingError> {
        not_negative("the decay of the learning rate", self.rate_decay)?;
        not_negative("the initial sum of squares", self.initial)?;
        not_negative("epsilon", self.epsilon)
    }
}
