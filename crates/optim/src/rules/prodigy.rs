use downhill_tensor::Scalar;

use crate::fused::{descend, views};
use crate::group::Partition;
use crate::precompiled::precompile;
use crate::reduce::sweep;
use crate::settings::{Settings, decay_rate, not_negative, positive, require};
use crate::{Pass, Precompiled, Rule, Stepper};

/// Prodigy (Mishchenko & Defazio 2023, arXiv 2306.06101): Adam that estimates its learning rate from the distance to
/// the solution. It has no learning rate to tune: leave it at 1, schedules included.
///
/// ```text
/// D = d γ                          (with bias correction: · √(1 − β₂ᵗ)/(1 − β₁ᵗ))
/// N ← β₃ N + Σ (d/d₀) D ⟨g, θ₀ − θ⟩
/// m ← β₁ m + d(1 − β₁) g           v ← β₂ v + d²(1 − β₂) g²          s ← β₃ s + (d/d₀) D g
/// d̂ = c N/Σ‖s‖₁;  if d = d₀: d ← max(d, d̂);   d_max ← max(d_max, d̂);   d ← min(d_max, d · growth)
/// θ ← θ − λDθ − D m/(√v + d ε)     (D with the old d, ε with the new)
/// ```
///
/// d, d_max and N are shared by all parameters.
/// Defaults: γ = 1, β = (0.9, 0.999), β₃ = √β₂, ε = 1e-8, λ = 0 (decoupled), d₀ = 1e-6, c = 1, no bound on growth,
/// no bias correction, no safeguard, as the authors' code.
/// Derivation: `docs/derivations/optimizers/prodigy.md`.
///
/// ```
/// use downhill_optim::{Optimizer, Prodigy};
/// let mut optimizer = Prodigy::new();
/// let mut theta = [3.0_f64];
/// for _ in 0..300 {
///     let gradient = [2.0 * (theta[0] - 1.0)];
///     optimizer.step(&mut theta, &gradient);
/// }
/// assert!((theta[0] - 1.0).abs() < 0.1);
/// ```
pub type Prodigy<T> = Stepper<Precompiled<ProdigyRule>, T>;
precompile!(ProdigyRule);

/// The rule of [`Prodigy`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProdigyRule {
    beta1: f64,
    beta2: f64,
    beta3: Option<f64>,
    epsilon: f64,
    weight_decay: f64,
    d0: f64,
    coefficient: f64,
    growth: f64,
    corrects_bias: bool,
    safeguards_warmup: bool,
    d: f64,
    d_max: f64,
    numerator: f64,
}

impl<T: Scalar> Prodigy<T> {
    /// Creates the optimizer with the learning rate 1.
    #[must_use]
    pub fn new() -> Self {
        let rule = ProdigyRule {
            beta1: 0.9,
            beta2: 0.999,
            beta3: None,
            epsilon: 1e-8,
            weight_decay: 0.0,
            d0: 1e-6,
            coefficient: 1.0,
            growth: f64::INFINITY,
            corrects_bias: false,
            safeguards_warmup: false,
            d: 1e-6,
            d_max: 1e-6,
            numerator: 0.0,
        };
        Self::named(rule, 1.0)
    }

    setters! {
        /// Sets the decay rates β₁ and β₂, in [0, 1).
        betas of ProdigyRule;
        /// Sets the decay rate β₃ of the distance's estimate; √β₂ unless set.
        beta3(beta3: f64) |rule: ProdigyRule| rule.beta3 = Some(beta3);
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ProdigyRule;
        /// Sets the decoupled weight decay λ.
        weight_decay of ProdigyRule;
        /// Sets the first estimate d₀ of the distance.
        initial_distance(d0: f64) |rule: ProdigyRule| (rule.d0, rule.d, rule.d_max) = (d0, d0, d0);
        /// Sets the factor c on the estimate.
        coefficient of ProdigyRule;
        /// Sets the largest factor by which the estimate grows in one step.
        growth of ProdigyRule;
        /// Corrects the averages' bias, as Adam does.
        bias_correction() |rule: ProdigyRule| rule.corrects_bias = true;
        /// Keeps a warm-up of the rate out of the denominator of the estimate.
        safeguard_warmup() |rule: ProdigyRule| rule.safeguards_warmup = true;
    }

    /// Returns the present estimate d of the distance to the solution.
    #[must_use]
    pub fn distance(&self) -> f64 {
        self.rule().d
    }
}

impl<T: Scalar> Default for Prodigy<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns D/d: the rate, with Adam's bias corrections if they are on.
pub(super) fn corrected_rate(rate: f64, number: u64, beta1: f64, beta2: f64, corrects_bias: bool) -> f64 {
    let power = |beta: f64| beta.powf(number as f64);
    if corrects_bias { rate * (1.0 - power(beta2)).sqrt() / (1.0 - power(beta1)) } else { rate }
}

impl<T: Scalar> Rule<T> for ProdigyRule {
    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        ["prodigy.m", "prodigy.v", "prodigy.s", "prodigy.start"].map(|name| (name, partition.len())).to_vec()
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        if pass.number == 1 {
            pass.slots[3].copy_from_slice(pass.theta);
        }
        let beta3 = self.beta3.unwrap_or(self.beta2.sqrt());
        let old = self.d;
        let corrected =
            |rate: f64, number: u64| old * corrected_rate(rate, number, self.beta1, self.beta2, self.corrects_bias);
        let mut numerator = beta3 * self.numerator;
        let mut denominator = 0.0;
        for run in pass.partition.runs() {
            let step = pass.context(run.treatment, 0.0);
            let rate = corrected(step.learning_rate, step.number);
            let of_s = old / self.d0 * if self.safeguards_warmup { old } else { rate };
            let [b1, w1, b2, w2, b3, w3] =
                [self.beta1, old * (1.0 - self.beta1), self.beta2, old * old * (1.0 - self.beta2), beta3, of_s]
                    .map(T::from_f64);
            let (theta, gradient) = (&pass.theta[run.range.clone()], &pass.gradient[run.range.clone()]);
            let slots = views::<[T; 4], T>(pass.slots, run.range.clone());
            let [inner, sum] = sweep(theta, gradient, slots, move |theta, g, [m, v, s, start]: &mut [T; 4]| {
                *m = b1 * *m + w1 * g;
                *v = b2 * *v + w2 * g * g;
                *s = b3 * *s + w3 * g;
                [g.to_f64() * (*start - theta).to_f64(), s.abs().to_f64()]
            });
            numerator += old / self.d0 * rate * inner;
            denominator += sum;
        }
        self.numerator = numerator;
        if denominator == 0.0 {
            return true;
        }
        let estimate = self.coefficient * numerator / denominator;
        if self.d == self.d0 {
            self.d = self.d.max(estimate);
        }
        self.d_max = self.d_max.max(estimate);
        self.d = self.d_max.min(self.d * self.growth);
        let epsilon = T::from_f64(self.d * self.epsilon);
        for run in pass.partition.runs() {
            let step = pass.context(run.treatment, 0.0);
            let rate = corrected(step.learning_rate, step.number);
            let (decay, rate) = (T::from_f64(step.decay(self.weight_decay) * rate), T::from_f64(rate));
            let slots = views::<[T; 2], T>(pass.slots, run.range.clone());
            let (theta, gradient) = (&mut pass.theta[run.range.clone()], &pass.gradient[run.range.clone()]);
            descend(theta, gradient, slots, move |theta, _, [m, v]: &mut [T; 2]| {
                decay * theta + rate * *m / (v.sqrt() + epsilon)
            });
        }
        true
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("beta1", &mut self.beta1, decay_rate);
        settings.setting("beta2", self.beta2, decay_rate);
        settings.setting("beta3", self.beta3.unwrap_or(0.0), decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
        settings.setting("the weight decay", self.weight_decay, not_negative);
        settings.setting("the initial distance", self.d0, positive);
        settings.setting("the coefficient of the distance", self.coefficient, positive);
        settings.check(require(self.growth >= 1.0, "the growth of the distance", self.growth, "at least 1"));
        settings.memory("prodigy.d", &mut self.d);
        settings.memory("prodigy.d_max", &mut self.d_max);
        settings.memory("prodigy.numerator", &mut self.numerator);
    }
}
