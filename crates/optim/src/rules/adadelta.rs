use downhill_tensor::Scalar;

use crate::error::{not_negative, require};
use crate::precompiled::precompile;
use crate::{Chain, CoupledDecay, Link, Precompiled, ScaleByRate, SettingError, Step, Stepper};

/// Adadelta (Zeiler 2012): steps in the units of θ, from the ratio of two averages.
///
/// ```text
/// g ← g + λθ
/// v ← ρ v + (1 − ρ) g²        Δ = √(u + ε)/√(v + ε) · g        u ← ρ u + (1 − ρ) Δ²
/// θ ← θ − γ Δ
/// ```
///
/// Defaults: ρ = 0.9, ε = 1e-6, λ = 0, as `torch.optim.Adadelta` (PyTorch 2.15; its learning rate is 1).
/// Keras has ρ = 0.95, ε = 1e-7 and the learning rate 1e-3.
///
/// ```
/// use downhill_optim::{Adadelta, Optimizer};
/// let mut theta = [1.0_f64];
/// Adadelta::new(1.0).step(&mut theta, &[1.0]);
/// assert!(theta[0] < 1.0);
/// ```
pub type Adadelta<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByAdadelta, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByAdadelta, ScaleByRate)>);

impl<T: Scalar> Adadelta<T> {
    /// γ times Adadelta's own step; usually 1.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByAdadelta::new(), ScaleByRate)), learning_rate)
    }

    /// The decay rate ρ of both averages, in [0, 1].
    #[must_use]
    pub fn rho(self, rho: f64) -> Self {
        self.with(|rule| rule.0.1.rho = rho)
    }

    /// ε, which starts the steps.
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

/// The link of [`Adadelta`]: d ← √(u + ε)/√(v + ε) · d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByAdadelta {
    rho: f64,
    epsilon: f64,
}

impl ScaleByAdadelta {
    /// ρ = 0.9, ε = 1e-6.
    #[must_use]
    pub fn new() -> Self {
        Self { rho: 0.9, epsilon: 1e-6 }
    }
}

impl Default for ScaleByAdadelta {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Link<T> for ScaleByAdadelta {
    type Slots = [T; 2];
    /// ρ, 1 − ρ, ε.
    type Scalars = [T; 3];

    fn names(&self) -> Vec<&'static str> {
        vec!["adadelta.v", "adadelta.u"]
    }

    fn scalars(&self, _step: &Step) -> [T; 3] {
        [self.rho, 1.0 - self.rho, self.epsilon].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[rho, weight, epsilon]: &[T; 3], _theta: T, g: T, [v, u]: &mut [T; 2]) -> T {
        *v = rho * *v + weight * g * g;
        let delta = (*u + epsilon).sqrt() / (*v + epsilon).sqrt() * g;
        *u = rho * *u + weight * delta * delta;
        delta
    }

    fn check(&self) -> Result<(), SettingError> {
        require((0.0..=1.0).contains(&self.rho), "rho", self.rho, "between 0 and 1")?;
        not_negative("epsilon", self.epsilon)
    }
}
