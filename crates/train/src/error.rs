use std::fmt;

use downhill_data::DataError;
use downhill_losses::TargetError;
use downhill_network::PassError;
use downhill_optim::SettingError;
use downhill_tensor::threads::ThreadsError;
use downhill_tensor::{BuildError, ShapeError};

#[cfg(feature = "checkpoint")]
use crate::CheckpointError;
use crate::Findings;

/// An error of training or evaluating a network.
///
/// Every error prints as a whole sentence; none repeats in `source` what it has printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The data can't be used as they are.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The inputs do not fit the network, or a batch of them does not.
    #[error("the inputs of {data} do not fit the network: {error}")]
    Inputs {
        /// Which data.
        data: DataRole,
        /// The reason why they do not.
        error: BuildError,
    },
    /// The targets have as many numbers as the network's predictions, but other axes.
    #[error("the targets of {data} do not fit the network: {error}")]
    TargetShape {
        /// Which data.
        data: DataRole,
        /// The two shapes.
        error: ShapeError,
    },
    /// The targets do not fit the network's predictions or the loss.
    #[error("{}: {error}", blamed(*data, error))]
    Target {
        /// Which data.
        data: DataRole,
        /// The reason why they do not.
        error: TargetError,
    },
    /// A metric can't judge the data.
    #[error("the metric `{metric}` can't judge {data}: {error}")]
    Metric {
        /// The metric's name.
        metric: String,
        /// Which data.
        data: DataRole,
        /// The reason why it can't.
        error: TargetError,
    },
    /// All targets are ignored or have a weight of 0.
    #[error(
        "no target of {data} counts: all are ignored or have a weight of 0, so there is nothing to learn or to judge by; \
         look at the loss's ignored index and class weights, and at the weights of the data"
    )]
    NothingCounts {
        /// Which data.
        data: DataRole,
    },
    /// A setting of the trainer, the optimizer or the schedule is not valid.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Early stopping watches a metric that is not computed.
    #[error(
        "early stopping watches the metric `{metric}`, but the validation metrics are {known:?}; add it with `metric`, \
         and give validation data with `validate`"
    )]
    UnknownMetric {
        /// The metric's name.
        metric: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A metric has no data to judge.
    #[error(
        "the metric `{metric}` has nothing to judge: training data that are read batch by batch are not read once more, so \
         give validation data with `validate`"
    )]
    NothingToJudge {
        /// The metric's name.
        metric: String,
    },
    /// Numbers became infinite or NaN. The network holds the parameters of the last good epoch, or from before the step if
    /// it was taken by itself.
    #[error(transparent)]
    Diverged(Box<Divergence>),
    /// A checkpoint can't be written, or the run can't go on from one.
    #[cfg(feature = "checkpoint")]
    #[error(transparent)]
    Checkpoint(Box<CheckpointError>),
    /// The threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// Ctrl-C can't be watched, because the program already has a handler.
    #[error("Ctrl-C can't be watched: {0}; pass a StopHandle to the program's own handler instead")]
    Signal(String),
    /// Another rank of the run has ended it by an error.
    #[error("rank {rank} has ended the run: {message}")]
    OtherRank {
        /// The rank's number.
        rank: usize,
        /// What its error says.
        message: String,
    },
    /// A rank was started with something else than the others.
    #[error(
        "rank {rank} differs from rank 0 in {difference}; start all ranks with the same program, data and settings"
    )]
    RanksDiffer {
        /// The rank's number.
        rank: usize,
        /// What differs, and how.
        difference: String,
    },
    /// The weights of a rank are not those of the others.
    #[error(
        "after epoch {epoch} rank {rank} holds other weights than rank 0, although both have taken the same steps; check \
         that all ranks run on the same kind of processor, and that no callback changes the network"
    )]
    RanksDiverged {
        /// The epoch, counted from 1.
        epoch: u64,
        /// The rank's number.
        rank: usize,
    },
    /// A metric would judge other data on each rank.
    #[error(
        "the metric `{metric}` would judge the training data of each rank by themselves; give validation data, the same on \
         all ranks, with `validate`"
    )]
    OwnDataToJudge {
        /// The metric's name.
        metric: String,
    },
    /// The ranks of the run can't reach one another.
    #[error("the ranks can't exchange gradients: {0}")]
    Exchange(String),
    /// The number of batches in an epoch is not known, so that the ranks can't agree on their steps.
    #[error(
        "the number of batches in an epoch is not known, so that several ranks can't agree on their steps; tell the number \
         of examples of the source"
    )]
    UnknownSteps,
    /// A pass could not be made for a reason that is new to this crate.
    #[error(transparent)]
    Pass(PassError),
}

/// The role of data in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataRole {
    /// The network learns from them.
    Training,
    /// They judge the network after every epoch.
    Validation,
    /// They are those of a call of [`evaluate`](crate::evaluate).
    Evaluation,
}

impl fmt::Display for DataRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Training => "the training data",
            Self::Validation => "the validation data",
            Self::Evaluation => "the data",
        })
    }
}

/// A kind of number that belongs to an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExampleField {
    /// One of its inputs.
    Input,
    /// One of its targets.
    Target,
    /// Its weight, or that of one of its targets.
    Weight,
}

impl fmt::Display for ExampleField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Target => "target",
            Self::Weight => "weight",
        })
    }
}

impl TrainError {
    /// An error that another rank has sent.
    pub(crate) fn of_rank(rank: usize, message: &[u8]) -> Self {
        Self::OtherRank { rank, message: String::from_utf8_lossy(message).into_owned() }
    }

    /// Tells how well an error of one of several ranks knows what is to blame, from 1 up: numbers that are not finite may have
    /// come to a rank from another one, whose data it does not see.
    pub(crate) fn knowledge(&self) -> u8 {
        let Self::Diverged(divergence) = self else { return 4 };
        let blames_data = !matches!(divergence.cause, Cause::LearningRate | Cause::LargeGradient | Cause::Unknown);
        1 + 2 * u8::from(blames_data) + u8::from(matches!(divergence.place, Place::Output(_)))
    }

    /// Names the data that the error is about.
    pub(crate) fn of(self, data: DataRole) -> Self {
        match self {
            Self::Inputs { error, .. } => Self::Inputs { data, error },
            Self::TargetShape { error, .. } => Self::TargetShape { data, error },
            Self::Target { error, .. } => Self::Target { data, error },
            Self::Metric { metric, error, .. } => Self::Metric { metric, data, error },
            Self::NothingCounts { .. } => Self::NothingCounts { data },
            other => other,
        }
    }
}

impl From<ShapeError> for TrainError {
    fn from(error: ShapeError) -> Self {
        BuildError::from(error).into()
    }
}

/// The subject of a sentence about an error of a loss: its settings know nothing of the data.
fn blamed(data: DataRole, error: &TargetError) -> String {
    match error {
        TargetError::Setting { .. } => "the loss has a setting that is not valid".into(),
        _ => format!("the targets of {data} do not fit the network or the loss"),
    }
}

impl From<BuildError> for TrainError {
    fn from(error: BuildError) -> Self {
        Self::Inputs { data: DataRole::Evaluation, error }
    }
}

impl From<TargetError> for TrainError {
    fn from(error: TargetError) -> Self {
        Self::Target { data: DataRole::Evaluation, error }
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

/// A report of where and why training left the finite numbers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Divergence {
    /// The step, counted from 0 over the whole run.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The loss of that step.
    pub loss: f64,
    /// The place that was found first: a parameter, a layer's output, a gradient, the loss, or the optimizer's memory.
    pub place: Place,
    /// The learning rate of the step before.
    pub learning_rate: f64,
    /// The likely cause, as far as can be told.
    pub cause: Cause,
    /// The first bad number and what came before it, if the run was [diagnosed](crate::Trainer::diagnose).
    pub findings: Option<Box<Findings>>,
    pub(crate) kept: Kept,
}

/// The parameters that the network holds after numbers have stopped being finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Those of the last good epoch.
    Epoch,
    /// Those from before the step.
    Step,
}

impl From<Divergence> for TrainError {
    fn from(divergence: Divergence) -> Self {
        Self::Diverged(Box::new(divergence))
    }
}

/// The place that was the first to be infinite or NaN.
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
    /// A slot of the optimizer's memory, such as `adam.v`, after the epoch: its parameters are no longer stepped, or are
    /// not finite after the next step.
    Memory(String),
}

/// The likely cause of numbers that are infinite or NaN.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The steps: every batch was finite before them, and no example lies far from the others.
    LearningRate,
    /// A gradient that is finite itself, but not what the optimizer makes of it, which is usually its square.
    LargeGradient,
    /// An example with a number over a million times larger than is usual, so that a step along its gradient goes far.
    Outlier {
        /// The example, by its place in the data set.
        example: usize,
        /// Which of its numbers.
        field: ExampleField,
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
    /// The data, or the steps: the data are read batch by batch, or steps are taken one by one, so that they were not
    /// searched.
    Unknown,
    /// A parameter or a running statistic was not finite before the first step.
    Start {
        /// The name of the first of them.
        parameter: String,
    },
}

impl std::error::Error for Divergence {}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, epoch, loss, place, learning_rate, cause, findings, kept } = self;
        if let Cause::Start { parameter } = cause {
            return write!(
                f,
                "training can't start: `{parameter}` of the network is not finite before the first step; build the \
                 network anew, or look at what has set this parameter"
            );
        }
        match kept {
            Kept::Epoch => write!(f, "training diverged at step {step} (epoch {epoch}): the loss is {loss}; ")?,
            Kept::Step => write!(f, "training diverged at step {step}: the loss is {loss}; ")?,
        }
        match place {
            Place::Parameter(name) => write!(f, "the parameter `{name}` is no longer finite")?,
            Place::Output(name) if name.is_empty() => {
                f.write_str("the layer without a name is the first whose output is not finite")?;
            }
            Place::Output(name) => write!(f, "layer `{name}` is the first whose output is not finite")?,
            Place::Gradient(name) => write!(f, "the gradient of `{name}` is not finite")?,
            Place::Loss => f.write_str("all layers are finite, the loss alone is not")?,
            Place::Memory(slot) => write!(f, "`{slot}`, which the optimizer remembers, is no longer finite")?,
        }
        f.write_str(". ")?;
        match cause {
            Cause::LearningRate => write!(
                f,
                "The learning rate of {learning_rate:e} is most likely too large: try a tenth of it, scale the inputs, \
                 or clip the gradient"
            )?,
            Cause::Unknown => write!(
                f,
                "Either the learning rate of {learning_rate:e} is too large or the data have numbers far from the others: try \
                 a tenth of it, scale the inputs, or clip the gradient"
            )?,
            Cause::LargeGradient => f.write_str(
                "The gradient is most likely too large to be squared: clip it, scale inputs, targets or the loss, or train \
                 in f64",
            )?,
            Cause::Outlier { example, field, value, usual } => write!(
                f,
                "Example {example} of the training data is most likely to blame, not the learning rate: its largest \
                 {field} is {value:e}, where {usual:e} is usual; scale the data, or leave it out"
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
        if let Some(findings) = findings {
            findings.write(place, f)?;
        }
        f.write_str(match kept {
            Kept::Epoch => ". The network holds the parameters of the last good epoch",
            Kept::Step => ". The network holds the parameters from before this step",
        })
    }
}
