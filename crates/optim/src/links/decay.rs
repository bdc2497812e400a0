use downhill_tensor::Scalar;

use crate::settings::{Settings, not_negative};
use crate::{Link, StepContext};

/// Defines a link that decays θ by λ, by a number of each step and the direction that it returns.
macro_rules! decay {
    (
        $(#[$doc:meta])* $link:ident,
        |$decay:ident, $rate:ident| $number:expr,
        |$scalar:ident, $theta:ident, $direction:ident| $next:expr
    ) => {
        $(#[$doc])*
        ///
        /// A group's own weight decay replaces λ.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $link {
            pub(crate) weight_decay: f64,
        }

        impl $link {
            /// Creates the link with the decay λ.
            #[must_use]
            pub fn new(weight_decay: f64) -> Self {
                Self { weight_decay }
            }
        }

        impl<T: Scalar> Link<T> for $link {
            type Slots = [T; 0];
            type Scalars = T;

            fn scalars(&self, step: &StepContext) -> T {
                let ($decay, $rate) = (step.decay(self.weight_decay), step.learning_rate);
                T::from_f64($number)
            }

            #[inline(always)]
            fn apply(&$scalar: &T, $theta: T, $direction: T, _slots: &mut [T; 0]) -> T {
                $next
            }

            fn settings(&mut self, settings: &mut Settings<'_>) {
                settings.setting("the weight decay", self.weight_decay, not_negative);
            }
        }
    };
}

decay! {
    /// The coupled decay d ← d + λθ, at the head of a chain: the gradient of the penalty ½λ‖θ‖² is part of the gradient
    /// ("L2").
    CoupledDecay,
    |decay, _rate| decay,
    |decay, theta, direction| direction + decay * theta
}

decay! {
    /// The decay d ← d + λθ, after a chain's scaling: it is no part of the averages, but of the direction that a trust
    /// ratio, a rate or an average then works on.
    AddDecay,
    |decay, _rate| decay,
    |decay, theta, direction| direction + decay * theta
}

decay! {
    /// The decoupled decay d ← d + (θ − (1 − γλ)θ), at the end of a chain: θ shrinks by the factor 1 − γλ, with the
    /// scheduled rate γ, whatever the scaling of the gradient (Loshchilov & Hutter 2019).
    ///
    /// It adds γλθ, written so that in f32 it rounds as PyTorch's θ ← θ(1 − γλ) does, a thousand steps on.
    DecoupledDecay,
    |decay, rate| 1.0 - rate * decay,
    |keep, theta, direction| direction + (theta - keep * theta)
}

decay! {
    /// The proximal decay d ← θ − (θ − d)/(1 + γλ), at the end of a chain: the proximal step of the penalty ½λ‖θ‖², which
    /// no decay makes unstable.
    ProximalDecay,
    |decay, rate| 1.0 + rate * decay,
    |shrink, theta, direction| theta - (theta - direction) / shrink
}
