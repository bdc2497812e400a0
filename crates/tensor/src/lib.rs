//! Numbers, shapes and fast loops: the ground floor of the `downhill` crates.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod buffer;
pub mod ceiling;
mod error;
#[cfg(feature = "serde")]
pub mod exact;
mod examples;
mod init;
pub mod kernels;
pub mod math;
mod outputs;
pub mod random;
mod scalar;
mod shape;
mod target;
pub mod threads;
pub mod view;

pub use batch::{Batch, BatchMut};
pub use buffer::Buffer;
pub use error::{BuildError, ShapeError};
pub use examples::Examples;
pub use init::{Fans, Gain, Init};
pub use kernel::{Divisible, Kernel, Over, Runs, RunsMut, Sweep, parallel, parallel_runs, prefetch, vectorized};
use kernels::kernel;
#[cfg(target_arch = "x86_64")]
use kernels::lanes;
pub use kernels::{convolution, elementwise, normalise, permute, product, reduce, softmax};
pub use outputs::Outputs;
pub use random::{Seed, Stream};
pub use scalar::{Family, PerScalar, Scalar};
pub use shape::Shape;
pub use target::Target;

/// Whether this library was compiled with optimisation.
///
/// Without it, as in a development build by Cargo's defaults, loops take about a hundred times as long.
#[must_use]
pub const fn is_optimized() -> bool {
    cfg!(optimized)
}
