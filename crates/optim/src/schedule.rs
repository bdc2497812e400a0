//! Learning rates as functions of the step number.
//!
//! Every schedule but [`ReduceOnPlateau`] is a closed form: it accumulates no rounding, and a resumed run needs only
//! the number of its step.
//! A schedule maps a base rate b and the number t of completed steps to the rate of the next step.
//! The base is the rate that the optimizer was built with; [`Optimizer::follow`](crate::Optimizer::follow) keeps it apart
//! from the scheduled one.
//!
//! ```
//! use downhill_optim::schedule::{Cosine, Linear, Schedule};
//! // Ten steps of warm-up, then a cosine over ninety.
//! let schedule = Linear::warmup(10).then(10, Cosine::new(90).floor(1e-5).held());
//! assert_eq!(schedule.rate(0.3, 0), 0.3 / 3.0);
//! assert_eq!(schedule.rate(0.3, 10), 0.3);
//! assert_eq!(schedule.rate(0.3, 500), 1e-5);
//! ```

use std::f64::consts::PI;
use std::fmt::Debug;
use std::sync::Arc;

use crate::SettingError;

mod combine;
mod constant;
mod cosine;
mod cyclic;
mod exponential;
mod inverse_sqrt;
mod linear;
mod multi_step;
mod one_cycle;
mod plateau;
mod polynomial;
mod step_decay;
mod warm_restarts;
mod warmup_stable_decay;

pub use combine::{ByFactor, Then, Times};
pub use constant::{Constant, ConstantFactor};
pub use cosine::Cosine;
pub use cyclic::Cyclic;
pub use exponential::Exponential;
pub use inverse_sqrt::{InverseSqrt, TransformerDecay};
pub use linear::Linear;
pub use multi_step::MultiStep;
pub use one_cycle::OneCycle;
pub use plateau::ReduceOnPlateau;
pub use polynomial::Polynomial;
pub use step_decay::StepDecay;
pub use warm_restarts::WarmRestarts;
pub use warmup_stable_decay::WarmupStableDecay;

/// A learning rate for every step, in closed form.
pub trait Schedule: Debug + Send + Sync {
    /// Returns the rate after `step` completed steps (0 before the first), from the base rate.
    fn rate(&self, base: f64, step: u64) -> f64;

    /// Returns the momentum after `step` completed steps, if the schedule sets one. It sets one at all steps or at none.
    fn momentum(&self, step: u64) -> Option<f64> {
        let _ = step;
        None
    }

    /// Checks the settings. Call it before the first step, as the trainer does.
    /// A schedule whose settings are not valid gives rates of no use, but never panics.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid.
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    /// Follows this schedule for `steps` steps, then `next`, which counts from there; `SequentialLR` in PyTorch.
    #[must_use]
    fn then<B: Schedule>(self, steps: u64, next: B) -> Then<Self, B>
    where
        Self: Sized,
    {
        Then { first: self, steps, second: next }
    }

    /// Follows both at once, the other on top of this one's rate; `ChainedScheduler` in PyTorch.
    #[must_use]
    fn times<B: Schedule>(self, other: B) -> Times<Self, B>
    where
        Self: Sized,
    {
        Times { first: self, second: other }
    }
}

/// A schedule behind a pointer is a schedule: one may be chosen at run time, or shared.
macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<S: Schedule + ?Sized> Schedule for $pointer {
            fn rate(&self, base: f64, step: u64) -> f64 {
                (**self).rate(base, step)
            }

            fn momentum(&self, step: u64) -> Option<f64> {
                (**self).momentum(step)
            }

            fn check(&self) -> Result<(), SettingError> {
                (**self).check()
            }
        }
    )+};
}

forward!(Box<S>, &S, Arc<S>);

/// Returns min(t, T)/T, and 1 if T is 0.
pub(crate) fn progress(step: u64, steps: u64) -> f64 {
    if steps == 0 { 1.0 } else { step.min(steps) as f64 / steps as f64 }
}

/// Goes from `from` to `to` along half a cosine.
fn half_cosine(from: f64, to: f64, fraction: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * fraction).cos()) / 2.0
}
