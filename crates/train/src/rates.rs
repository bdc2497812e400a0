use downhill_optim::schedule::{ReduceOnPlateau, Schedule};
use downhill_optim::{Optimizer, SettingError};
use downhill_tensor::Scalar;

/// The rule for the learning rate of a run.
#[derive(Debug)]
pub(crate) enum Rates {
    /// The optimizer's own rate, throughout.
    Constant,
    /// A schedule over steps.
    PerStep(Box<dyn Schedule>),
    /// A schedule over epochs.
    PerEpoch(Box<dyn Schedule>),
    /// A lower rate whenever the monitored loss stalls.
    Plateau(ReduceOnPlateau),
}

impl Rates {
    pub(crate) fn check<T: Scalar>(&self, optimizer: &impl Optimizer<T>) -> Result<(), SettingError> {
        match self {
            Self::Constant => Ok(()),
            Self::PerStep(schedule) | Self::PerEpoch(schedule) => optimizer.check_schedule(&**schedule),
            Self::Plateau(plateau) => plateau.check(),
        }
    }

    /// Forgets earlier runs.
    pub(crate) fn reset(&mut self) {
        if let Self::Plateau(plateau) = self {
            plateau.reset();
        }
    }

    /// What a plateau remembers, for a checkpoint.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn plateau(&self) -> Option<ReduceOnPlateau> {
        if let Self::Plateau(plateau) = self { Some(*plateau) } else { None }
    }

    /// Remembers what a plateau of the same settings did; another one starts anew.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn restore(&mut self, saved: Option<ReduceOnPlateau>) {
        if let (Self::Plateau(plateau), Some(saved)) = (self, saved) {
            let mut settings = saved;
            settings.reset();
            if settings == *plateau {
                *plateau = saved;
            }
        }
    }

    /// The rule without what it remembers.
    pub(crate) fn settings(&self) -> String {
        match self {
            Self::Plateau(plateau) => {
                let mut plateau = *plateau;
                plateau.reset();
                format!("{:?}", Self::Plateau(plateau))
            }
            other => format!("{other:?}"),
        }
    }

    /// Sets the rate of the next step. `epoch` counts from 0.
    pub(crate) fn before_step<T: Scalar>(&self, optimizer: &mut impl Optimizer<T>, step: u64, epoch: u64) {
        match self {
            Self::PerStep(schedule) => optimizer.follow(&**schedule, step),
            Self::PerEpoch(schedule) => optimizer.follow(&**schedule, epoch),
            Self::Constant | Self::Plateau(_) => {}
        }
    }

    /// Takes the loss of an epoch into account.
    pub(crate) fn after_epoch<T: Scalar>(&mut self, optimizer: &mut impl Optimizer<T>, loss: f64) {
        if let Self::Plateau(plateau) = self {
            optimizer.set_learning_rate(plateau.observe(loss, optimizer.learning_rate()));
        }
    }
}
