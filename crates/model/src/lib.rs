//! A trained network with all that an answer needs, in one file.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod builder;
mod error;
mod file;
mod model;
mod predictions;
mod rows;

pub use builder::ModelBuilder;
pub use downhill_network::CustomLayers;
pub use error::ModelError;
pub use model::{Answers, Buffer, Model};
pub use predictions::{Prediction, Predictions};
pub use rows::Rows;
