//! Observers of a training run, which write what they see.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "csv")]
mod csv_log;
#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(any(feature = "csv", feature = "json", feature = "tensorboard"))]
mod error;
#[cfg(feature = "json")]
mod json_lines;
#[cfg(any(feature = "csv", feature = "json", feature = "tensorboard"))]
mod keeper;
#[cfg(any(feature = "csv", feature = "json"))]
mod lines;
#[cfg(feature = "tensorboard")]
mod tensorboard;

#[cfg(feature = "csv")]
pub use csv_log::CsvLog;
#[cfg(feature = "dashboard")]
pub use dashboard::{Dashboard, Warnings};
#[cfg(any(feature = "csv", feature = "json", feature = "tensorboard"))]
pub use error::LogError;
#[cfg(feature = "json")]
pub use json_lines::JsonLines;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
