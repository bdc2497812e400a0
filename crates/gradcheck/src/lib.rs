//! Finite-difference checks of explicit derivatives.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod difference;
mod layer;
mod loss;
mod network;
mod report;
#[cfg(any(test, feature = "suite"))]
pub mod suite;

pub use difference::differentiate;
pub use layer::{LayerCheck, check_layer};
pub use loss::check_loss;
pub use network::{check_network, check_objective};
pub use report::{GradcheckError, Report, TOLERANCE};
