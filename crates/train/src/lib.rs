//! The training loop, and what observes it.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod averaging;
mod callback;
#[cfg(feature = "checkpoint")]
mod checkpoint;
mod clipping;
mod diagnosis;
mod divergence;
mod early_stopping;
mod error;
mod evaluation;
mod exchange;
mod feed;
mod history;
pub mod metrics;
mod other_point;
mod progress;
mod rates;
mod snapshot;
mod stop;
mod trainer;

pub use callback::{Callback, EpochEnd, RunEnd, RunStart, Slowest, StepEnd};
#[cfg(feature = "checkpoint")]
pub use checkpoint::{CheckpointError, Checkpoints, Every};
pub use diagnosis::{BadValue, Diagnosis, Findings, LayerNorms, Norms, ParameterNorms, StepRecord, Warned, Warning};
pub use early_stopping::EarlyStopping;
pub use error::{Cause, DataRole, Divergence, ExampleField, Place, TrainError};
pub use evaluation::{Evaluation, NO_METRICS, evaluate};
pub use exchange::{GradientExchange, RankData, part_of};
pub use history::{EpochRecord, History, Resumed, StopReason};
pub use metrics::Metric;
pub use progress::Progress;
pub use stop::StopHandle;
pub use trainer::Trainer;
