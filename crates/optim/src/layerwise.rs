use std::fmt::Debug;

use downhill_tensor::Scalar;

use crate::fused::{descend, initialise, views};
use crate::group::Partition;
use crate::loops::quotient;
use crate::settings::{Settings, not_negative, positive};
use crate::{Link, Pass, Rule, Slots, StepContext};
use downhill_tensor::reduce::norm;

/// A rule with a trust ratio between two chains of links: each parameter's step is scaled by the ratio of its norm to
/// that of its direction.
///
/// ```text
/// d ← Before(g)        q ← trust(‖θ‖, ‖d‖)   for each parameter        θ ← θ − After(q d)
/// ```
///
/// Two passes over memory, and the norms between them. [`Lamb`](crate::Lamb) and [`Lars`](crate::Lars) are made of it.
/// Group parameters that should not be scaled (biases, gains of normalisations) with
/// [`Group::as_vector`](crate::Group::as_vector), or let [`exempt_vectors`](Layerwise::exempt_vectors) find them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layerwise<B, A> {
    pub(crate) before: B,
    pub(crate) trust: Trust,
    pub(crate) after: A,
    pub(crate) exempts_vectors: bool,
}

/// The trust ratio q = η‖θ‖/(‖d‖ + ε); 1 if either norm is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trust {
    pub(crate) coefficient: f64,
    pub(crate) epsilon: f64,
}

impl Trust {
    /// Creates the ratio with the coefficient η, and ε = 0.
    #[must_use]
    pub fn new(coefficient: f64) -> Self {
        Self { coefficient, epsilon: 0.0 }
    }

    setters! {
        /// Sets ε, which keeps the ratio finite where directions vanish.
        epsilon: f64;
    }

    /// Returns q as a quotient.
    fn ratio(self, theta_norm: f64, direction_norm: f64) -> (f64, f64) {
        if theta_norm == 0.0 || direction_norm == 0.0 {
            (1.0, 1.0)
        } else {
            (self.coefficient * theta_norm, direction_norm + self.epsilon)
        }
    }
}

impl<B, A> Layerwise<B, A> {
    /// Creates the rule from the links up to the ratio, the ratio, and the links that follow it.
    #[must_use]
    pub fn new(before: B, trust: Trust, after: A) -> Self {
        Self { before, trust, after, exempts_vectors: false }
    }

    setters! {
        /// Sets the ratio of parameters that are no matrices to 1, as is usual for biases and gains.
        exempt_vectors() exempts_vectors = true;
    }
}

impl<T: Scalar, B: Link<T>, A: Link<T>> Rule<T> for Layerwise<B, A> {
    fn name(&self) -> String {
        format!("Layerwise, {}; {}", self.before.name(), self.after.name())
    }

    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        let mut names = self.before.names();
        names.resize(B::Slots::COUNT, "slot");
        names.extend(self.after.names());
        names.resize(B::Slots::COUNT + A::Slots::COUNT, "slot");
        names.into_iter().map(|name| (name, partition.len())).collect()
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        pass.scratch.resize(pass.theta.len(), T::ZERO);
        let whole = pass.context(0, 0.0);
        self.before.advance(&whole);
        self.after.advance(&whole);
        for part in pass.partition.parts() {
            let step = pass.context(part.treatment, 0.0);
            let range = part.range.clone();
            let theta = &mut pass.theta[range.clone()];
            let directions = &mut pass.scratch[range.clone()];
            let (before, after) = pass.slots.split_at_mut(B::Slots::COUNT);
            if pass.number == 1 {
                initialise(&self.before, &step, theta, views::<B::Slots, T>(before, range.clone()));
                initialise(&self.after, &step, theta, views::<A::Slots, T>(after, range.clone()));
            }
            let scalars = self.before.scalars(&step);
            let slots = (views::<B::Slots, T>(before, range.clone()), [&mut *directions]);
            let gradient = &pass.gradient[range.clone()];
            // This loop leaves θ as it is.
            descend(theta, gradient, slots, move |theta, g, (slots, out): &mut (B::Slots, [T; 1])| {
                *out = [B::apply(&scalars, theta, g, slots)];
                T::ZERO
            });
            let [theta_norm, direction_norm] = [&*theta, &*directions].map(norm);
            let exempt = self.exempts_vectors && part.shape.rank() < 2;
            let (above, below) = if exempt { (1.0, 1.0) } else { self.trust.ratio(theta_norm, direction_norm) };
            let scalars = self.after.scalars(&StepContext { trust: above / below, ..step });
            let [a, b]: [T; 2] = quotient(above, below);
            let slots = views::<A::Slots, T>(after, range);
            descend(theta, directions, slots, move |theta, d, slots| A::apply(&scalars, theta, a * d * b, slots));
        }
        true
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        self.before.settings(settings);
        settings.setting("the trust coefficient", self.trust.coefficient, positive);
        settings.setting("epsilon", self.trust.epsilon, not_negative);
        self.after.settings(settings);
    }
}
