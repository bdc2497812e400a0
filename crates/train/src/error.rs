use std::fmt;

use downhill_data::DataError;
use downhill_losses::TargetError;
use downhill_network::PassError;
use downhill_optim::SettingError;
use downhill_tensor::ShapeError;
use downhill_tensor::threads::ThreadsError;

/// Why a network could not be trained or evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The data can't be used as they are.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The inputs do not fit the network.
    #[error("the data do not fit the network: {0}")]
    Shape(#[from] ShapeError),
    /// The targets do not fit the network's predictions or the loss.
    #[error("the targets do not fit the network or the loss: {0}")]
    Target(#[from] TargetError),
    /// A setting of the optimizer or the schedule makes no sense.
    #[error(transparent)]
    Optimizer(#[from] SettingError),
    /// A setting of the trainer makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Numbers became infinite or no numbers at all. The network holds the parameters of the last good epoch.
    #[error(transparent)]
    Diverged(Box<Divergence>),
    /// The threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// Ctrl-C can't be watched, because the program has a handler of its own.
    #[error("Ctrl-C can't be watched: {0}; pass a StopHandle to the program's own handler instead")]
    Signal(String),
    /// A pass could not be made for a reason that is new to this crate.
    #[error(transparent)]
    Pass(PassError),
}

impl From<PassError> for TrainError {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Shape(error) => Self::Shape(error),
            PassError::Target(error) => Self::Target(error),
            other => Self::Pass(other),
        }
    }
}

/// Where and why training left the finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The step, counted from 0 over the whole run.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The loss of that step.
    pub loss: f64,
    /// What was found first: a parameter or a layer's output.
    pub place: Place,
    /// The learning rate of the step before, the most likely cause.
    pub learning_rate: f64,
}

/// What was the first to be infinite or not a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A parameter, as `2.weight`: the step before has moved it too far.
    Parameter(String),
    /// The output of a layer, as `2`, or empty for one that stands bare: the parameters are finite but too large.
    Output(String),
    /// The gradient of a parameter, as `2.weight`, while the loss is still finite.
    Gradient(String),
    /// The loss itself: predictions are finite, but too far from their targets.
    Loss,
}

impl std::error::Error for Divergence {}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, epoch, loss, place, learning_rate } = self;
        write!(f, "training diverged at step {step} (epoch {epoch}): the loss is {loss}; ")?;
        match place {
            Place::Parameter(name) => write!(f, "the parameter `{name}` is no longer finite")?,
            Place::Output(name) if name.is_empty() => {
                f.write_str("the layer without a name is the first whose output is not finite")?;
            }
            Place::Output(name) => write!(f, "layer `{name}` is the first whose output is not finite")?,
            Place::Gradient(name) => write!(f, "the gradient of `{name}` is not finite")?,
            Place::Loss => f.write_str("all layers are finite, the loss alone is not")?,
        }
        write!(
            f,
            ". The learning rate of {learning_rate:e} is most likely too large: try a tenth of it, scale the inputs, \
             or clip the gradient. The network holds the parameters of the last good epoch"
        )
    }
}
