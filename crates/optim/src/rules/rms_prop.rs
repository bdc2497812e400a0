use downhill_tensor::Scalar;

use super::default_is_new;
use crate::precompiled::precompile;
use crate::settings::{Settings, decay_rate, not_negative};
use crate::{Chain, CoupledDecay, Link, Momentum, Precompiled, ScaleByRate, StepContext, Stepper};

/// RMSprop (Tieleman & Hinton 2012): the gradient over the root of its averaged square.
///
/// ```text
/// g ← g + λθ
/// v ← α v + (1 − α) g²              D = √v + ε
/// centered:  a ← α a + (1 − α) g    D = √max(v − a², 0) + ε
/// θ ← θ − γ g/D                     with momentum:  b ← μ b + g/D,  θ ← θ − γ b
/// ```
///
/// Defaults: α = 0.99, ε = 1e-8, λ = 0, not centered, no momentum, like `torch.optim.RMSprop` (PyTorch 2.15; its
/// learning rate is 1e-2).
/// In TensorFlow ε stands inside the root, and the learning rate inside the momentum.
/// If rounding makes v − a² negative, PyTorch gives NaN.
///
/// [`centered`](RmsProp::centered) and [`momentum`](RmsProp::momentum) come last: they make another chain, so that neither
/// costs anything if it isn't used.
/// Derivation: `docs/derivations/optimizers/rms-prop.md`.
///
/// ```
/// use downhill_optim::{Optimizer, RmsProp};
/// let mut optimizer = RmsProp::new(1e-2).centered().momentum(0.9);
/// let mut theta = [1.0_f32, -1.0];
/// optimizer.step(&mut theta, &[0.5, -0.5]);
/// ```
pub type RmsProp<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByRms, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByRms, ScaleByRate)>);

/// [`RmsProp`] that divides by the root of the variance.
pub type CenteredRmsProp<T> = Stepper<Precompiled<Chain<(CoupledDecay, ScaleByCenteredRms, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByCenteredRms, ScaleByRate)>);

/// [`RmsProp`] with momentum; `S` is the link that scales.
pub type RmsPropMomentum<T, S = ScaleByRms> = Stepper<Precompiled<Chain<(CoupledDecay, S, Momentum, ScaleByRate)>>, T>;
precompile!(Chain<(CoupledDecay, ScaleByRms, Momentum, ScaleByRate)>);
precompile!(Chain<(CoupledDecay, ScaleByCenteredRms, Momentum, ScaleByRate)>);

impl<T: Scalar> RmsProp<T> {
    /// Creates the optimizer; it steps by about γ for each parameter; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self::named(Chain((CoupledDecay::new(0.0), ScaleByRms::new(), ScaleByRate)), learning_rate)
    }

    setters! {
        /// Sets the decay rate α.
        alpha of ScaleByRms;
        /// Sets ε, which bounds the step where gradients vanish.
        epsilon of ScaleByRms;
        /// Sets the coupled weight decay λ.
        weight_decay of CoupledDecay;
    }

    /// Divides by the root of the variance instead.
    #[must_use]
    pub fn centered(self) -> CenteredRmsProp<T> {
        self.renamed(|Chain((decay, scale, rate))| Chain((decay, ScaleByCenteredRms(scale), rate)))
    }

    /// Adds up the scaled gradients in a velocity.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> RmsPropMomentum<T> {
        self.renamed(|Chain((decay, scale, rate))| Chain((decay, scale, Momentum::new(momentum), rate)))
    }
}

impl<T: Scalar> CenteredRmsProp<T> {
    /// Adds up the scaled gradients in a velocity.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> RmsPropMomentum<T, ScaleByCenteredRms> {
        self.renamed(|Chain((decay, scale, rate))| Chain((decay, scale, Momentum::new(momentum), rate)))
    }
}

/// The link of [`RmsProp`]: d ← d/(√v + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByRms {
    alpha: f64,
    epsilon: f64,
}

impl ScaleByRms {
    /// Creates the link with α = 0.99, ε = 1e-8.
    #[must_use]
    pub fn new() -> Self {
        Self { alpha: 0.99, epsilon: 1e-8 }
    }
}

default_is_new!(ScaleByRms);

/// The link of centered [`RmsProp`]: d ← d/(√(v − a²) + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleByCenteredRms(ScaleByRms);

/// The scalars of [`ScaleByRms`] and [`ScaleByCenteredRms`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsScalars<T> {
    alpha: T,
    weight: T,
    epsilon: T,
}

impl<T: Scalar> RmsScalars<T> {
    fn new(&ScaleByRms { alpha, epsilon }: &ScaleByRms) -> Self {
        Self { alpha: T::from_f64(alpha), weight: T::from_f64(1.0 - alpha), epsilon: T::from_f64(epsilon) }
    }
}

impl<T: Scalar> Link<T> for ScaleByRms {
    type Slots = [T; 1];
    type Scalars = RmsScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["rms.v"]
    }

    fn scalars(&self, _step: &StepContext) -> RmsScalars<T> {
        RmsScalars::new(self)
    }

    #[inline(always)]
    fn apply(s: &RmsScalars<T>, _theta: T, g: T, [v]: &mut [T; 1]) -> T {
        *v = s.alpha * *v + s.weight * g * g;
        g / (v.sqrt() + s.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("alpha", self.alpha, decay_rate);
        settings.setting("epsilon", self.epsilon, not_negative);
    }
}

impl<T: Scalar> Link<T> for ScaleByCenteredRms {
    type Slots = [T; 2];
    type Scalars = RmsScalars<T>;

    fn names(&self) -> Vec<&'static str> {
        vec!["rms.v", "rms.mean"]
    }

    fn scalars(&self, _step: &StepContext) -> RmsScalars<T> {
        RmsScalars::new(&self.0)
    }

    #[inline(always)]
    fn apply(s: &RmsScalars<T>, _theta: T, g: T, [v, mean]: &mut [T; 2]) -> T {
        *v = s.alpha * *v + s.weight * g * g;
        *mean = s.alpha * *mean + s.weight * g;
        let variance = (*v - *mean * *mean).max(T::ZERO);
        g / (variance.sqrt() + s.epsilon)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        Link::<T>::settings(&mut self.0, settings);
    }
}
