use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate, not_negative, require};
use crate::{AddDecay, Chain, CoupledDecay, Link, Precompiled, StepContext, Stepper};

/// Schedule-free gradient descent (Defazio et al. 2024, arXiv 2405.15682): the average of the points is part of the rule,
/// and no schedule is needed.
///
/// ```text
/// γₜ = γ min(1, t/W)        L ← max(L, γₜ)        w = tʳ Lᵖ        S ← S + w        c = w/S
/// G = g + λy
/// y ← y + c(z − y) + γₜ(β(1 − c) − 1) G            z ← z − γₜ G
/// ```
///
/// θ holds y, where gradients are taken; z starts at θ.
/// The weights to judge and to keep are x = y + (1 − 1/β)(z − y): take them from
/// [`evaluation_point`](crate::Optimizer::evaluation_point), and recompute statistics of batch normalisation there.
/// `Trainer` of `downhill-train` validates, keeps and ends with x by itself, and leaves the statistics as they are.
/// Defaults: β = 0.9, λ = 0, W = 0, r = 0, p = 2, as the authors' code (its learning rate is 1).
/// Derivation: `docs/derivations/optimizers/schedule-free-sgd.md`.
///
/// ```
/// use downhill_optim::{Optimizer, ScheduleFreeSgd};
/// let mut optimizer = ScheduleFreeSgd::new(0.5);
/// let (mut y, mut x) = ([1.0_f64], [0.0]);
/// for _ in 0..100 {
///     let gradient = [y[0]];
///     optimizer.step(&mut y, &gradient);
/// }
/// assert!(optimizer.evaluation_point(&y, &mut x));
/// assert!(x[0].abs() < 0.05);
/// ```
pub type ScheduleFreeSgd<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScheduleFree)>>, T>;
precompile!(Chain<(CoupledDecay, ScheduleFree)>);

/// Schedule-free AdamW (Defazio et al. 2024): as [`ScheduleFreeSgd`], on gradients over the root of their averaged square.
///
/// ```text
/// v ← β₂ v + (1 − β₂) g²                G = g/( √(v/(1 − β₂ᵗ)) + ε ) + λy
/// ```
///
/// Defaults: β = (0.9, 0.999), ε = 1e-8, λ = 0, W = 0, r = 0, p = 2, as the authors' code (its learning rate is 2.5e-3).
///
/// ```
/// use downhill_optim::{Optimizer, ScheduleFreeAdamW};
/// let mut optimizer = ScheduleFreeAdamW::new(2.5e-3).warmup(100);
/// let (mut y, mut x) = ([1.0_f32, 2.0], [0.0; 2]);
/// optimizer.step(&mut y, &[0.1, 0.2]);
/// assert!(optimizer.evaluation_point(&y, &mut x));
/// ```
pub type ScheduleFreeAdamW<T> = Stepper<Precompiled<Chain<(ScaleBySecondMoment, AddDecay, ScheduleFree)>>, T>;
precompile!(Chain<(ScaleBySecondMoment, AddDecay, ScheduleFree)>);

impl<T: Scalar> ScheduleFreeSgd<T> {
    /// Creates the optimizer; it steps by γ times the gradient; usually 1 or more, because points are averaged.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScheduleFree::new())), learning_rate)
    }

    setters! {
        /// Sets the interpolation β between average and iterate, in (0, 1).
        beta of ScheduleFree;
        /// Sets the number W of steps over which the rate grows to γ.
        warmup(steps: u64) |free: ScheduleFree| free.warmup = steps;
        /// Sets the powers r of the step number and p of the rate in the weights of the average.
        weights(r: f64, p: f64) |free: ScheduleFree| (free.step_power, free.rate_power) = (r, p);
        /// Sets the weight decay λ, taken at y.
        weight_decay of CoupledDecay;
    }
}

impl<T: Scalar> ScheduleFreeAdamW<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 2.5e-3.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((ScaleBySecondMoment::new(), AddDecay::new(0.0), ScheduleFree::new())), learning_rate)
    }

    /// Sets the interpolation β₁, in (0, 1), and the decay rate β₂, in [0, 1).
    #[must_use]
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        self.set(|free: &mut ScheduleFree| free.beta = beta1).set(|link: &mut ScaleBySecondMoment| link.beta = beta2)
    }

    setters! {
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleBySecondMoment;
        /// Sets the number W of steps over which the rate grows to γ.
        warmup(steps: u64) |free: ScheduleFree| free.warmup = steps;
        /// Sets the powers r of the step number and p of the rate in the weights of the average.
        weights(r: f64, p: f64) |free: ScheduleFree| (free.step_power, free.rate_power) = (r, p);
        /// Sets the weight decay λ, taken at y.
        weight_decay of AddDecay;
    }
}

/// The link that averages in [`ScheduleFreeSgd`] and [`ScheduleFreeAdamW`]; it stands last, in place of the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleFree {
    beta: f64,
    warmup: u64,
    step_power: f64,
    rate_power: f64,
    /// L.
    largest_rate: f64,
    /// S.
    weight_sum: f64,
    /// c of the present step.
    share: f64,
}

impl ScheduleFree {
    /// Creates the link with β = 0.9, W = 0, r = 0, p = 2.
    #[must_use]
    pub fn new() -> Self {
        let (largest_rate, weight_sum, share) = (0.0, 0.0, 0.0);
        Self { beta: 0.9, warmup: 0, step_power: 0.0, rate_power: 2.0, largest_rate, weight_sum, share }
    }

    fn rate(&self, step: &StepContext) -> f64 {
        step.learning_rate * crate::schedule::progress(step.number, self.warmup)
    }
}

default_is_new!(ScheduleFree);

impl<T: Scalar> Link<T> for ScheduleFree {
    type Slots = [T; 1];
    /// c, γₜ(β(1 − c) − 1), γₜ.
    type Scalars = [T; 3];

    fn names(&self) -> Vec<&'static str> {
        vec!["schedule_free.z"]
    }

    fn advance(&mut self, step: &StepContext) {
        self.largest_rate = self.largest_rate.max(self.rate(step));
        let weight = (step.number as f64).powf(self.step_power) * self.largest_rate.powf(self.rate_power);
        self.weight_sum += weight;
        self.share = if self.weight_sum == 0.0 { 0.0 } else { weight / self.weight_sum };
    }

    fn scalars(&self, step: &StepContext) -> [T; 3] {
        let rate = self.rate(step);
        [self.share, rate * (self.beta * (1.0 - self.share) - 1.0), rate].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[share, of_gradient, rate]: &[T; 3], y: T, g: T, [z]: &mut [T; 1]) -> T {
        let direction = share * (y - *z) - of_gradient * g;
        *z -= rate * g;
        direction
    }

    fn initial(&self, theta: T, _step: &StepContext) -> [T; 1] {
        [theta]
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.check(require(self.beta > 0.0 && self.beta < 1.0, "beta", self.beta, "between 0 and 1"));
        settings.setting("the power of the step number", self.step_power, not_negative);
        settings.setting("the power of the rate", self.rate_power, not_negative);
        settings.evaluation("schedule_free.z", 1.0 - 1.0 / self.beta);
        settings.memory("schedule_free.largest_rate", &mut self.largest_rate);
        settings.memory("schedule_free.weight_sum", &mut self.weight_sum);
    }
}

/// d ← d/( √(v/(1 − βᵗ)) + ε ): Adam's scaling without its momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleBySecondMoment {
    beta: f64,
    epsilon: f64,
}

impl ScaleBySecondMoment {
    /// Creates the link with β = 0.999, ε = 1e-8.
    #[must_use]
    pub fn new() -> Self {
        Self { beta: 0.999, epsilon: 1e-8 }
    }
}

default_is_new!(ScaleBySecondMoment);

impl<T: Scalar> Link<T> for ScaleBySecondMoment {
    type Slots = [T; 1];
    /// β, 1 − β, 1/√(1 − βᵗ), ε.
    type Scalars = [T; 4];

    fn names(&self) -> Vec<&'static str> {
        vec!["second_moment.v"]
    }

    fn scalars(&self, step: &StepContext) -> [T; 4] {
        let correction = 1.0 / (1.0 - step.power(self.beta)).sqrt();
        [self.beta, 1.0 - self.beta, correction, self.epsilon].map(T::from_f64)
    }

    #[inline(always)]
    fn apply(&[beta, weight, correction, epsilon]: &[T; 4], _theta: T, g: T, [v]: &mut [T; 1]) -> T {
        *v = beta * *v + weight * g * g;
        g / (v.sqrt() * correction + epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("beta2", self.beta, decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}
