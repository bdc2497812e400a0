//! Observers of a training run, which write what they see.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "csv")]
mod csv_log;
mod error;
#[cfg(feature = "json")]
mod json_lines;
#[cfg(any(feature = "csv", feature = "json"))]
mod keeper;
#[cfg(any(feature = "csv", feature = "json"))]
mod lines;

#[cfg(feature = "csv")]
pub use csv_log::CsvLog;
pub use error::LogError;
#[cfg(feature = "json")]
pub use json_lines::JsonLines;
