//! The command line of downhill.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod error;
pub mod judge;
pub mod learn;
pub mod look;
pub mod recipe;
pub mod search;
pub mod settings;

pub use error::CliError;
