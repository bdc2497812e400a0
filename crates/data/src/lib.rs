//! Data sets and what is done to them before a model sees them.
#![cfg_attr(feature = "csv", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod any_scaler;
mod augmentation;
mod batches;
#[cfg(feature = "csv")]
mod cells;
mod channel_scaler;
#[cfg(feature = "csv")]
mod chunks;
mod dataset;
#[cfg(feature = "digits")]
mod digits;
mod error;
#[cfg(feature = "idx")]
pub mod idx;
mod input;
mod min_max_scaler;
#[cfg(feature = "idx")]
mod mnist;
pub mod npy;
mod one_hot;
mod permutation;
mod power_scaler;
mod raw_array;
mod robust_scaler;
mod sampler;
mod scaler;
#[cfg(feature = "csv")]
mod schema;
pub mod source;
mod split;
mod standard_scaler;
#[cfg(feature = "csv")]
mod table;
mod targets;
mod windows;

pub use any_scaler::AnyScaler;
pub use augmentation::{Augmentation, Border, Mixup};
pub use batches::{Batches, MiniBatch};
pub use channel_scaler::ChannelScaler;
#[cfg(feature = "csv")]
pub use chunks::Chunks;
pub use dataset::Dataset;
#[cfg(feature = "digits")]
pub use digits::digits;
pub use downhill_tensor::Target;
pub use error::{DataError, ExampleNumber, RuleError, TargetKind};
pub use min_max_scaler::MinMaxScaler;
#[cfg(feature = "idx")]
pub use mnist::mnist;
pub use one_hot::{OneHot, one_hot};
pub use power_scaler::{PowerScaler, PowerTransform};
pub use raw_array::{ElementType, Elements, Half, RawArray};
pub use robust_scaler::RobustScaler;
pub use sampler::Sampler;
pub use scaler::Scaler;
#[cfg(feature = "csv")]
pub use schema::{Column, Columns, DroppedRow, Encoded, Hashing, LearntColumn, Missing, Schema, Unseen};
pub use split::{Fold, Folds};
pub use standard_scaler::StandardScaler;
#[cfg(feature = "csv")]
pub use table::{Table, TableOptions};
pub use targets::Targets;
pub use windows::Windows;
