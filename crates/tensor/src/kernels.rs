//! All loops over numbers: products, convolutions, reductions, normalisation, softmax and element-wise loops.
//!
//! The other modules of this crate are its vocabulary; no loop that is worth vectorising is outside this one.
//! `kernel.rs` says what a loop is, and compiles it for each instruction set; `lanes.rs` are vectors of one
//! instruction set, for the loops that are written with registers.

pub mod convolution;
pub mod elementwise;
pub(crate) mod kernel;
#[cfg(target_arch = "x86_64")]
pub(crate) mod lanes;
pub mod normalise;
pub mod permute;
pub mod product;
pub mod reduce;
pub mod softmax;
