use downhill_tensor::Scalar;

use crate::error::not_negative;
use crate::{Link, SettingError, Step};

/// d ← d + λθ, at the head of a chain: the gradient of the penalty ½λ‖θ‖² is part of the gradient ("L2").
///
/// A group's own weight decay goes before λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoupledDecay {
    pub(crate) weight_decay: f64,
}

impl CoupledDecay {
    /// The decay λ.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { weight_decay }
    }
}

/// d ← d + λθ, behind a chain's scaling: a decay that is no part of the averages, but of the direction
/// that a trust ratio, a rate or an average then works on.
///
/// A group's own weight decay goes before λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddDecay {
    pub(crate) weight_decay: f64,
}

impl AddDecay {
    /// The decay λ.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { weight_decay }
    }
}

/// d ← d + (θ − (1 − γλ)θ), at the end of a chain: θ shrinks by the factor 1 − γλ, with the scheduled rate γ, whatever
/// the scaling of the gradient (Loshchilov & Hutter 2019).
///
/// It is γλθ; written so that in f32 it rounds as PyTorch's θ ← θ(1 − γλ) does, a thousand steps on.
/// A group's own weight decay goes before λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoupledDecay {
    pub(crate) weight_decay: f64,
}

impl DecoupledDecay {
    /// The decay λ.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { weight_decay }
    }
}

impl<T: Scalar> Link<T> for DecoupledDecay {
    type Slots = [T; 0];
    /// 1 − γλ.
    type Scalars = T;

    fn scalars(&self, step: &Step) -> T {
        T::from_f64(1.0 - step.learning_rate * step.decay(self.weight_decay))
    }

    #[inline(always)]
    fn apply(keep: &T, theta: T, direction: T, _slots: &mut [T; 0]) -> T {
        direction + (theta - *keep * theta)
    }

    fn check(&self) -> Result<(), SettingError> {
        not_negative("the weight decay", self.weight_decay)
    }
}

/// d ← θ − (θ − d)/(1 + γλ), at the end of a chain: the proximal step of the penalty ½λ‖θ‖², which no decay makes
/// unstable.
///
/// A group's own weight decay goes before λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProximalDecay {
    pub(crate) weight_decay: f64,
}

impl ProximalDecay {
    /// The decay λ.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { weight_decay }
    }
}

impl<T: Scalar> Link<T> for ProximalDecay {
    type Slots = [T; 0];
    /// 1 + γλ.
    type Scalars = T;

    fn scalars(&self, step: &Step) -> T {
        T::from_f64(1.0 + step.learning_rate * step.decay(self.weight_decay))
    }

    #[inline(always)]
    fn apply(shrink: &T, theta: T, direction: T, _slots: &mut [T; 0]) -> T {
        theta - (theta - direction) / *shrink
    }

    fn check(&self) -> Result<(), SettingError> {
        not_negative("the weight decay", self.weight_decay)
    }
}

macro_rules! decay {
    ($link:ty) => {
        impl<T: Scalar> Link<T> for $link {
            type Slots = [T; 0];
            type Scalars = T;

            fn scalars(&self, step: &Step) -> T {
                T::from_f64(step.decay(self.weight_decay))
            }

            #[inline(always)]
            fn apply(decay: &T, theta: T, direction: T, _slots: &mut [T; 0]) -> T {
                direction + *decay * theta
            }

            fn check(&self) -> Result<(), SettingError> {
                not_negative("the weight decay", self.weight_decay)
            }
        }
    };
}

decay!(CoupledDecay);
decay!(AddDecay);
