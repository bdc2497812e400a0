use downhill_optim::schedule::{ReduceOnPlateau, Schedule};
use downhill_optim::{Optimizer, SettingError};
use downhill_tensor::Scalar;

/// How the learning rate moves through a run.
#[derive(Debug)]
pub(crate) enum Rates {
    /// It does not.
    Constant,
    /// By the number of steps.
    PerStep(Box<dyn Schedule>),
    /// By the number of epochs.
    PerEpoch(Box<dyn Schedule>),
    /// By how the monitored loss goes.
    Plateau(ReduceOnPlateau),
}

impl Rates {
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        match self {
            Self::Constant => Ok(()),
            Self::PerStep(schedule) | Self::PerEpoch(schedule) => schedule.check(),
            Self::Plateau(plateau) => plateau.check(),
        }
    }

    /// Sets the rate of the step to come. `epoch` counts from 0.
    pub(crate) fn before_step<T: Scalar>(&self, optimizer: &mut impl Optimizer<T>, base: f64, step: u64, epoch: u64) {
        let (schedule, time) = match self {
            Self::PerStep(schedule) => (schedule, step),
            Self::PerEpoch(schedule) => (schedule, epoch),
            Self::Constant | Self::Plateau(_) => return,
        };
        optimizer.set_learning_rate(schedule.rate(base, time));
        if let Some(momentum) = schedule.momentum(time) {
            optimizer.set_momentum(momentum);
        }
    }

    /// Takes the loss of an epoch into account.
    pub(crate) fn after_epoch<T: Scalar>(&mut self, optimizer: &mut impl Optimizer<T>, loss: f64) {
        if let Self::Plateau(plateau) = self {
            optimizer.set_learning_rate(plateau.observe(loss, optimizer.learning_rate()));
        }
    }
}
