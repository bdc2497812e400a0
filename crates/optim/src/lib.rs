//! Optimizers on flat vectors.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[macro_use]
mod setters;

mod average;
mod clip;
mod error;
mod fused;
mod group;
mod layerwise;
mod link;
mod links;
mod lookahead;
mod loops;
pub mod minimize;
mod objective;
mod optimizer;
mod penalty;
mod precompiled;
mod range_test;
mod reduce;
mod rules;
mod saved;
pub mod schedule;
mod segment;
pub mod settings;
mod stepper;
#[cfg(feature = "test_functions")]
pub mod test_functions;

pub use average::{Ema, Swa};
pub use clip::{ClipNorm, ClipValue, clip_norm, clip_value, gradient_norm};
pub use error::{MemoryError, SettingError};
pub use group::{Group, Part, Partition};
pub use layerwise::{Layerwise, Trust};
pub use link::{Link, Slots, StepContext};
pub use links::*;
pub use lookahead::Lookahead;
pub use objective::{ByClosure, ByTrait, EvaluationError, Objective};
pub use optimizer::{Optimizer, OptimizerState, RestoreError};
pub use penalty::{Penalized, Penalty};
pub use precompiled::Precompiled;
pub use range_test::{RangeCurve, RangeTest};
pub use rules::*;
pub use segment::Segment;
pub use stepper::{Chain, Pass, Rule, Stepper};
