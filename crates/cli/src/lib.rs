//! The command line of downhill.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod args;
mod commands;
mod error;
mod folded;
pub mod judge;
pub mod learn;
pub mod look;
mod output;
pub mod recipe;
pub mod search;
pub mod session;
/// All that training can be told.
pub mod settings;

pub use commands::{run, run_on_ranks};
pub use error::CliError;
