//! What the playground's pages call.
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod catalogue;
mod chain;
mod data;
mod descent;
mod digits;
mod drawing;
mod engine;
mod error;
mod formula;
mod learner;
pub mod module;
mod optimizers;
mod speed;

pub use digits::digits_network;
pub use drawing::{drawing, seen};
pub use engine::{Engine, Reply};
pub use error::Error;
