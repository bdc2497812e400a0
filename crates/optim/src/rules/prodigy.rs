use downhill_tensor::Scalar;

use crate::error::{decay_rate, not_negative, positive, require};
use crate::fused::{descend, views};
use crate::group::Layout;
use crate::precompiled::precompile;
use crate::reduce::sweep;
use crate::{Pass, Precompiled, Rule, SettingError, Stepper};

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
    /// With the learning rate 1.
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

    /// The decay rates β₁ and β₂, in [0, 1).
    #[must_use]
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        self.with(|rule| (rule.beta1, rule.beta2) = (beta1, beta2))
    }

    /// The decay rate β₃ of the distance's estimate; √β₂ unless set.
    #[must_use]
    pub fn beta3(self, beta3: f64) -> Self {
        self.with(|rule| rule.beta3 = Some(beta3))
    }

    /// ε, which bounds the step where gradients vanish.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        self.with(|rule| rule.epsilon = epsilon)
    }

    /// The decoupled weight decay λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        self.with(|rule| rule.weight_decay = weight_decay)
    }

    /// The first estimate d₀ of the distance.
    #[must_use]
    pub fn initial_distance(self, d0: f64) -> Self {
        self.with(|rule| (rule.d0, rule.d, rule.d_max) = (d0, d0, d0))
    }

    /// The factor c on the estimate.
    #[must_use]
    pub fn coefficient(self, coefficient: f64) -> Self {
        self.with(|rule| rule.coefficient = coefficient)
    }

    /// The largest factor by which the estimate grows in one step.
    #[must_use]
    pub fn growth(self, growth: f64) -> Self {
        self.with(|rule| rule.growth = growth)
    }

    /// Corrects the averages' bias, as Adam does.
    #[must_use]
    pub fn bias_correction(self) -> Self {
        self.with(|rule| rule.corrects_bias = true)
    }

    /// Keeps a warm-up of the rate out of the denominator of the estimate.
    #[must_use]
    pub fn safeguard_warmup(self) -> Self {
        self.with(|rule| rule.safeguards_warmup = true)
    }

    /// The present estimate d of the distance to the solution.
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

/// D/d: the rate with Adam's bias corrections, where they are wanted.
pub(super) fn corrected_rate(rate: f64, number: u64, beta1: f64, beta2: f64, corrects_bias: bool) -> f64 {
    let power = |beta: f64| beta.powf(number as f64);
    if corrects_bias { rate * (1.0 - power(beta2)).sqrt() / (1.0 - power(beta1)) } else { rate }
}

impl<T: Scalar> Rule<T> for ProdigyRule {
    fn slots(&self, layout: &Layout) -> Vec<(&'static str, usize)> {
        ["prodigy.m", "prodigy.v", "prodigy.s", "prodigy.start"].map(|name| (name, layout.len())).to_vec()
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
        for run in pass.layout.runs() {
            let step = pass.at(run.treatment, 0.0);
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
        for run in pass.layout.runs() {
            let step = pass.at(run.treatment, 0.0);
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

    fn check(&self) -> Result<(), SettingError> {
        decay_rate("beta1", self.beta1)?;
        decay_rate("beta2", self.beta2)?;
        decay_rate("beta3", self.beta3.unwrap_or(0.0))?;
        not_negative("epsilon", self.epsilon)?;
        not_negative("the weight decay", self.weight_decay)?;
        positive("the initial distance", self.d0)?;
        positive("the coefficient of the distance", self.coefficient)?;
        require(self.growth >= 1.0, "the growth of the distance", self.growth, "at least 1")
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.beta1)
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.beta1 = momentum;
    }

    fn numbers(&mut self) -> Vec<(&'static str, &mut f64)> {
        vec![("prodigy.d", &mut self.d), ("prodigy.d_max", &mut self.d_max), ("prodigy.numerator", &mut self.numerator)]
    }
}
