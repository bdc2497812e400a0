use std::fmt;

use downhill_data::DataError;
use downhill_losses::TargetError;
use downhill_network::PassError;
use downhill_optim::SettingError;
use downhill_tensor::threads::ThreadsError;
use downhill_tensor::{BuildError, ShapeError};

/// Why a network could not be trained or evaluated.
///
/// Every error prints as a whole sentence; none repeats in `source` what it has printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The data can't be used as they are.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The inputs do not fit the network.
    #[error("{set} do not fit the network: {error}")]
    Shape {
        /// Which data, such as `the validation data`.
        set: &'static str,
        /// What does not fit.
        error: BuildError,
    },
    /// The targets do not fit the network's predictions or the loss.
    #[error("the targets of {set} do not fit the network or the loss: {error}")]
    Target {
        /// Which data, such as `the validation data`.
        set: &'static str,
        /// What does not fit.
        error: TargetError,
    },
    /// A metric can't judge the data.
    #[error("the metric `{metric}` can't judge {set}: {error}")]
    Metric {
        /// The metric's name.
        metric: String,
        /// Which data, such as `the validation data`.
        set: &'static str,
        /// What does not fit.
        error: TargetError,
    },
    /// All targets are ignored or weigh nothing.
    #[error(
        "no target of {set} counts: all are ignored or have a weight of 0, so there is nothing to learn or to judge by; \
         look at the loss's ignored index and class weights, and at the weights of the data"
    )]
    NothingCounts {
        /// Which data, such as `the training data`.
        set: &'static str,
    },
    /// A setting of the optimizer or the schedule is not valid.
    #[error(transparent)]
    Optimizer(#[from] SettingError),
    /// A setting of the trainer is not valid.
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

impl TrainError {
    /// The same error, said of these data.
    pub(crate) fn of(self, set: &'static str) -> Self {
        match self {
            Self::Shape { error, .. } => Self::Shape { set, error },
            Self::Target { error, .. } => Self::Target { set, error },
            Self::Metric { metric, error, .. } => Self::Metric { metric, set, error },
            Self::NothingCounts { .. } => Self::NothingCounts { set },
            other => other,
        }
    }
}

impl From<ShapeError> for TrainError {
    fn from(error: ShapeError) -> Self {
        BuildError::from(error).into()
    }
}

impl From<BuildError> for TrainError {
    fn from(error: BuildError) -> Self {
        Self::Shape { set: "the data", error }
    }
}

impl From<TargetError> for TrainError {
    fn from(error: TargetError) -> Self {
        Self::Target { set: "the data", error }
    }
}

impl From<PassError> for TrainError {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Build(error) => error.into(),
            PassError::Target(error) => error.into(),
            other => Self::Pass(other),
        }
    }
}

/// Where and why training left the finite numbers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Divergence {
    /// The step, counted from 0 over the whole run.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The loss of that step.
    pub loss: f64,
    /// What was found first: a parameter, a layer's output, a gradient, or the loss.
    pub place: Place,
    /// The learning rate of the step before.
    pub learning_rate: f64,
    /// What is to blame, as far as can be told.
    pub cause: Cause,
}

impl From<Divergence> for TrainError {
    fn from(divergence: Divergence) -> Self {
        Self::Diverged(Box::new(divergence))
    }
}

/// What was the first to be infinite or not a number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A parameter, such as `2.weight`: the step before has moved it too far.
    Parameter(String),
    /// The output of a layer, such as `2`, or empty for one outside any chain: the parameters are finite but too large.
    Output(String),
    /// The gradient of a parameter, such as `2.weight`, while the loss is still finite.
    Gradient(String),
    /// The loss itself: predictions are finite, but too far from their targets.
    Loss,
}

/// What made the numbers leave the finite ones.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The steps: every batch was finite before them, and no example lies far from the others.
    LearningRate,
    /// An example with a number over a million times larger than is usual, so that a step along its gradient goes far.
    Outlier {
        /// The example, by its place in the data set.
        example: usize,
        /// Which of its numbers: `input`, `target` or `weight`.
        what: &'static str,
        /// The largest magnitude among these.
        value: f64,
        /// The median of this magnitude over all examples that have one above 0.
        usual: f64,
    },
    /// An example whose loss or gradient is not finite at the parameters that training started from: no step is to blame.
    Example {
        /// The example, by its place in the data set.
        example: usize,
        /// The largest magnitude among its inputs.
        input: f64,
        /// The largest magnitude among its targets, if they are numbers.
        target: Option<f64>,
        /// Its weight, if the data have weights.
        weight: Option<f64>,
    },
    /// A batch whose loss or gradient is not finite at the parameters that training started from, although each of its
    /// examples is finite.
    Batch,
    /// A parameter or a running statistic was not finite before the first step.
    Start {
        /// The name of the first of them.
        parameter: String,
    },
}

impl std::error::Error for Divergence {}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, epoch, loss, place, learning_rate, cause } = self;
        if let Cause::Start { parameter } = cause {
            return write!(
                f,
                "training can't start: `{parameter}` of the network is not finite before the first step; build the \
                 network anew, or look at what has set this parameter"
            );
        }
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
        f.write_str(". ")?;
        match cause {
            Cause::LearningRate => write!(
                f,
                "The learning rate of {learning_rate:e} is most likely too large: try a tenth of it, scale the inputs, \
                 or clip the gradient"
            )?,
            Cause::Outlier { example, what, value, usual } => write!(
                f,
                "Example {example} of the training data is most likely to blame, not the learning rate: its largest \
                 {what} is {value:e}, where {usual:e} is usual; scale the data, or leave it out"
            )?,
            Cause::Example { example, input, target, weight } => {
                write!(
                    f,
                    "Example {example} of the training data is to blame, not the learning rate: its loss or gradient is \
                     not finite at the parameters that training started from either. Its largest input is {input:e}"
                )?;
                if let Some(target) = target {
                    write!(f, ", its largest target {target:e}")?;
                }
                if let Some(weight) = weight {
                    write!(f, ", its weight {weight:e}")?;
                }
                f.write_str("; scale the data, or leave it out")?;
            }
            Cause::Batch => f.write_str(
                "A batch is to blame, not the learning rate: its loss or gradient is not finite at the parameters that \
                 training started from either; scale inputs and targets",
            )?,
            Cause::Start { .. } => {}
        }
        f.write_str(". The network holds the parameters of the last good epoch")
    }
}
