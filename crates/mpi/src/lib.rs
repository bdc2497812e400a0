//! Data-parallel training over MPI.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod engine;
mod exchange;
mod ranks;
mod rounding;
mod timeline;

pub use exchange::MpiExchange;
pub use ranks::{Ranks, StartError, run};
