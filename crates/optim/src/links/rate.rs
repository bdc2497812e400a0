use downhill_tensor::Scalar;

use crate::{Link, StepContext};

/// The scaling d ← γd by the scheduled learning rate γ: the last link of most chains.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScaleByRate;

impl<T: Scalar> Link<T> for ScaleByRate {
    type Slots = [T; 0];
    type Scalars = T;

    fn scalars(&self, step: &StepContext) -> T {
        T::from_f64(step.learning_rate)
    }

    #[inline(always)]
    fn apply(rate: &T, _theta: T, direction: T, _slots: &mut [T; 0]) -> T {
        *rate * direction
    }
}
