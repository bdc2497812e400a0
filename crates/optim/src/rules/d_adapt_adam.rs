use downhill_tensor::Scalar;

use super::prodigy::corrected_rate;
use crate::fused::{descend, views};
use crate::group::Partition;
use crate::precompiled::precompile;
use crate::reduce::sweep;
use crate::settings::{Settings, decay_rate, not_negative, positive, require};
use crate::{Pass, Precompiled, Rule, Stepper};

/// Adam with D-Adaptation (Defazio & Mishchenko 2023, arXiv 2301.07733): it estimates its learning rate from below.
/// Leave the learning rate at 1, schedules included. [`Prodigy`](crate::Prodigy) is its successor.
///
/// ```text
/// q = √β₂                          D = d γ              (with bias correction: · √(1 − β₂ᵗ)/(1 − β₁ᵗ))
/// A = Σ D ⟨g, s/(√v + ε)⟩          (v before this step)
/// m ← β₁ m + D(1 − β₁) g           v ← β₂ v + (1 − β₂) g²            s ← q s + (1 − q) D g
/// N ← q N + (1 − q) A              d̂ = N/((1 − q) Σ‖s‖₁)             d ← max(d, min(d̂, d · growth))
/// θ ← θ − λDθ − m/(√v + ε)
/// ```
///
/// Defaults: γ = 1, β = (0.9, 0.999), ε = 1e-8, λ = 0 (decoupled), d₀ = 1e-6, no bound on growth, no bias correction, as
/// the authors' code, except for the decay, which is coupled there by default.
/// Derivation: `docs/derivations/optimizers/dadapt-adam.md`.
///
/// ```
/// use downhill_optim::{DAdaptAdam, Optimizer};
/// let mut optimizer = DAdaptAdam::new();
/// let mut theta = [3.0_f64];
/// for _ in 0..1000 {
///     let gradient = [2.0 * (theta[0] - 1.0)];
///     optimizer.step(&mut theta, &gradient);
/// }
/// assert!((theta[0] - 1.0).abs() < 0.1);
/// ```
pub type DAdaptAdam<T> = Stepper<Precompiled<DAdaptAdamRule>, T>;
precompile!(DAdaptAdamRule);

/// The rule of [`DAdaptAdam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DAdaptAdamRule {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    growth: f64,
    corrects_bias: bool,
    d: f64,
    numerator: f64,
}

impl<T: Scalar> DAdaptAdam<T> {
    /// Creates the optimizer with the learning rate 1.
    #[must_use]
    pub fn new() -> Self {
        let rule = DAdaptAdamRule {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            growth: f64::INFINITY,
            corrects_bias: false,
            d: 1e-6,
            numerator: 0.0,
        };
        Self::named(rule, 1.0)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of DAdaptAdamRule;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of DAdaptAdamRule;
        /// Sets the decoupled weight decay λ.
        weight_decay of DAdaptAdamRule;
        /// Sets the first estimate d₀ of the distance.
        initial_distance(d0: f64) |rule: DAdaptAdamRule| rule.d = d0;
        /// Sets the largest factor by which the estimate grows in one step.
        growth of DAdaptAdamRule;
        /// Corrects the averages' bias, as Adam does.
        bias_correction() |rule: DAdaptAdamRule| rule.corrects_bias = true;
    }

    /// Returns the present estimate d of the distance to the solution.
    #[must_use]
    pub fn distance(&self) -> f64 {
        self.rule().d
    }
}

impl<T: Scalar> Default for DAdaptAdam<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Rule<T> for DAdaptAdamRule {
    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        ["d_adapt.m", "d_adapt.v", "d_adapt.s"].map(|name| (name, partition.len())).to_vec()
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        let q = self.beta2.sqrt();
        let old = self.d;
        let corrected =
            |rate: f64, number: u64| old * corrected_rate(rate, number, self.beta1, self.beta2, self.corrects_bias);
        let (mut alignment, mut denominator) = (0.0, 0.0);
        let epsilon = T::from_f64(self.epsilon);
        for run in pass.partition.runs() {
            let step = pass.context(run.treatment, 0.0);
            let rate = corrected(step.learning_rate, step.number);
            let [b1, w1, b2, w2, bq, wq] =
                [self.beta1, rate * (1.0 - self.beta1), self.beta2, 1.0 - self.beta2, q, rate * (1.0 - q)]
                    .map(T::from_f64);
            let (theta, gradient) = (&pass.theta[run.range.clone()], &pass.gradient[run.range.clone()]);
            let slots = views::<[T; 3], T>(pass.slots, run.range.clone());
            let [inner, sum] = sweep(theta, gradient, slots, move |_, g, [m, v, s]: &mut [T; 3]| {
                let inner = g.to_f64() * (*s / (v.sqrt() + epsilon)).to_f64();
                *m = b1 * *m + w1 * g;
                *v = b2 * *v + w2 * g * g;
                *s = bq * *s + wq * g;
                [inner, s.abs().to_f64()]
            });
            alignment += rate * inner;
            denominator += sum;
        }
        self.numerator = q * self.numerator + (1.0 - q) * alignment;
        if denominator == 0.0 {
            return true;
        }
        let estimate = self.numerator / ((1.0 - q) * denominator);
        self.d = self.d.max(estimate.min(self.d * self.growth));
        for run in pass.partition.runs() {
            let step = pass.context(run.treatment, 0.0);
            let decay = T::from_f64(step.decay(self.weight_decay) * corrected(step.learning_rate, step.number));
            let slots = views::<[T; 2], T>(pass.slots, run.range.clone());
            let (theta, gradient) = (&mut pass.theta[run.range.clone()], &pass.gradient[run.range.clone()]);
            descend(theta, gradient, slots, move |theta, _, [m, v]: &mut [T; 2]| {
                decay * theta + *m / (v.sqrt() + epsilon)
            });
        }
        true
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("beta1", &mut self.beta1, decay_rate);
        settings.setting("beta2", self.beta2, decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
        settings.setting("the weight decay", self.weight_decay, not_negative);
        settings.setting("the distance", self.d, positive);
        settings.check(require(self.growth >= 1.0, "the growth of the distance", self.growth, "at least 1"));
        settings.memory("d_adapt.d", &mut self.d);
        settings.memory("d_adapt.numerator", &mut self.numerator);
    }
}
