use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, not_negative, positive};
use crate::{Chain, CoupledDecay, Link, Precompiled, StepContext, Stepper};

/// Averaged stochastic gradient descent (Polyak & Juditsky 1992).
///
/// ```text
/// g ← g + λθ
/// η = γ/(1 + Λγ(t−1))^α                 μ = 1/max(1, t − 1 − t₀)
/// θ ← θ(1 − Λη) − η g                   a ← a + μ(θ − a)
/// ```
///
/// Defaults: Λ = 1e-4, α = 0.75, t₀ = 1e6, λ = 0, like `torch.optim.ASGD` (PyTorch 2.15; its learning rate is 1e-2).
/// η is that of the scheduled rate of the same step; PyTorch takes the rate of the step before.
/// The average a is θ itself until step t₀: set t₀ to where averaging should begin, and take
/// [`average`](Asgd::average) at the end.
/// Derivation: `docs/derivations/optimizers/asgd.md`.
///
/// ```
/// use downhill_optim::{Asgd, Optimizer};
/// let mut optimizer = Asgd::new(0.1).start(10.0);
/// let mut theta = [1.0_f64];
/// for step in 0..100 {
///     let noise = if step % 2 == 0 { 1.0 } else { -1.0 };
///     let gradient = [theta[0] + noise];
///     optimizer.step(&mut theta, &gradient);
/// }
/// assert!(optimizer.average()[0].abs() < theta[0].abs());
/// ```
pub type Asgd<T> = Stepper<Precompiled<Chain<(CoupledDecay, AveragedDescent)>>, T>;
precompile!(Chain<(CoupledDecay, AveragedDescent)>);

impl<T: Scalar> Asgd<T> {
    /// Creates the optimizer; it steps by η times the gradient, from γ on; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), AveragedDescent::new())), learning_rate)
    }

    setters! {
        /// Sets Λ, which decays both θ and the rate.
        lambda of AveragedDescent;
        /// Sets the power α of the rate's decay.
        alpha of AveragedDescent;
        /// Sets the step t₀ after which points are averaged.
        start of AveragedDescent;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }

    /// Returns the averaged parameters; empty before the first step.
    #[must_use]
    pub fn average(&self) -> &[T] {
        self.slots().first().map_or(&[], |average| average)
    }
}

/// The link of [`Asgd`]: the step and the average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragedDescent {
    lambda: f64,
    alpha: f64,
    start: f64,
}

impl AveragedDescent {
    /// Creates the link with Λ = 1e-4, α = 0.75, t₀ = 1e6.
    #[must_use]
    pub fn new() -> Self {
        Self { lambda: 1e-4, alpha: 0.75, start: 1e6 }
    }
}

default_is_new!(AveragedDescent);

impl<T: Scalar> Link<T> for AveragedDescent {
    type Slots = [T; 1];
    /// η, 1 − Λη, μ.
    type Scalars = [T; 3];

    fn names(&self) -> Vec<&'static str> {
        vec!["asgd.average"]
    }

    fn scalars(&self, step: &StepContext) -> [T; 3] {
        let before = (step.number - 1) as f64;
        let rate = step.learning_rate / (1.0 + self.lambda * step.learning_rate * before).powf(self.alpha);
        [rate, 1.0 - self.lambda * rate, 1.0 / (before - self.start).max(1.0)].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[rate, keep, weight]: &[T; 3], theta: T, g: T, [average]: &mut [T; 1]) -> T {
        let direction = rate * g + (theta - keep * theta);
        let next = theta - direction;
        *average = if weight == T::ONE { next } else { *average + weight * (next - *average) };
        direction
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("lambda", self.lambda, not_negative);
        settings.setting("alpha", self.alpha, positive);
        settings.setting("the step at which averaging starts", self.start, not_negative);
    }
}
