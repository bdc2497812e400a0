//! Data-parallel training over MPI.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod engine;
mod exchange;
mod link;
mod plan;
mod ranks;
mod rounding;
mod timeline;

pub use exchange::MpiExchange;
pub use link::Link;
pub use plan::{Estimate, Plan};
pub use ranks::{Ranks, StartError, run};

/// Its example is a test too.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/scaling.md")]
struct Scaling;
