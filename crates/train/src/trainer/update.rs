//! One step by a gradient that is there, within a run and outside.

use downhill_losses::{Loss, Total};
use downhill_network::{Network, Workspace};
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

use super::Trainer;
use crate::TrainError;

/// A step that was taken.
pub(super) struct Updated {
    pub(super) loss: f64,
    pub(super) penalty: f64,
    pub(super) learning_rate: f64,
}

/// A step that was not taken, since its loss or its gradient is not finite.
pub(super) struct NotFinite {
    pub(super) loss: f64,
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'_, T, L, O> {
    /// Adds the penalty to the gradient, clips it, and moves the parameters: θ ← θ − step(g).
    pub(super) fn update(
        &mut self,
        network: &mut Network<T>,
        workspace: &mut Workspace<T>,
        total: Total,
    ) -> Result<Result<Updated, NotFinite>, TrainError> {
        let gradient = workspace.average();
        let penalty = self.penalty.as_ref().map_or(0.0, |penalty| penalty.add(network.parameters(), gradient));
        let loss = total.value() + penalty;
        let clipped = self.clipping.is_none_or(|clipping| clipping.clip(gradient));
        let learning_rate = self.optimizer.learning_rate();
        if !(loss.is_finite() && clipped) {
            return Ok(Err(NotFinite { loss }));
        }
        network.step(&mut self.optimizer, workspace)?;
        self.clock.steps += 1;
        Ok(Ok(Updated { loss, penalty, learning_rate }))
    }
}
