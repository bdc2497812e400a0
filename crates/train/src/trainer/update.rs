//! One step by a gradient that is there, within a run and outside.

use downhill_losses::{Loss, Total};
use downhill_network::{Network, Workspace};
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;
use downhill_tensor::reduce::norm;

use super::Trainer;
use crate::TrainError;
use crate::clipping::Clipping;
use crate::exchange::{Exchange, Owned, Sharded, Stepped};

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
    /// Adds the penalty to the gradient, clips it, and moves the parameters: θ ← θ − step(g). If this rank has a part of
    /// the gradient alone, it steps that part, and the others the rest.
    pub(super) fn update(
        &mut self,
        network: &mut Network<T>,
        workspace: &mut Workspace<T>,
        total: Total,
        stepped: Option<&mut Stepped<T>>,
    ) -> Result<Result<Updated, NotFinite>, TrainError> {
        let gradient = workspace.average();
        let penalty = self.penalty.as_ref().map_or(0.0, |penalty| penalty.add(network.parameters(), gradient));
        let loss = total.value() + penalty;
        let clipped = match (&stepped, self.clipping, &mut self.exchange) {
            (_, None, _) => true,
            (Some(stepped), Some(Clipping::Norm(limit)), Some(exchange)) => {
                clip_part(limit, gradient, &stepped.owned, exchange)?
            }
            (_, Some(clipping), _) => clipping.clip(gradient),
        };
        let learning_rate = self.optimizer.learning_rate();
        if !(loss.is_finite() && clipped) {
            return Ok(Err(NotFinite { loss }));
        }
        match (stepped, &mut self.exchange) {
            (Some(stepped), Some(exchange)) => {
                let mut sharded = Sharded { optimizer: &mut self.optimizer, exchange, stepped, completed: Ok(()) };
                network.step(&mut sharded, workspace)?;
                sharded.completed.map_err(TrainError::Exchange)?;
            }
            _ => network.step(&mut self.optimizer, workspace)?,
        }
        self.clock.steps += 1;
        Ok(Ok(Updated { loss, penalty, learning_rate }))
    }
}

/// Clips what is owned of a gradient by the norm of all of it; `false` if that is not finite.
fn clip_part<T: Scalar>(
    limit: f64,
    gradient: &mut [T],
    owned: &Owned,
    exchange: &mut Exchange<'_, T>,
) -> Result<bool, TrainError> {
    let own = owned.ranges().iter().map(|range| norm(&gradient[range.clone()])).fold(0.0, f64::hypot);
    let norms = exchange.gather("the norm of the gradient", &own.to_le_bytes()).map_err(TrainError::Exchange)?;
    let norms = norms.iter().map(|norm| norm.as_slice().try_into().map_or(f64::NAN, f64::from_le_bytes));
    let norm = norms.fold(0.0, f64::hypot);
    if norm > limit && norm.is_finite() {
        let factor = T::from_f64(limit / norm);
        owned.ranges().iter().for_each(|range| gradient[range.clone()].iter_mut().for_each(|g| *g *= factor));
    }
    Ok(norm.is_finite())
}
