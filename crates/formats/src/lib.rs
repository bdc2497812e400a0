#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod error;
#[cfg(any(feature = "safetensors", feature = "npz"))]
mod files;
#[cfg(feature = "npz")]
pub mod npz;
#[cfg(feature = "onnx")]
pub mod onnx;
#[cfg(feature = "rust-source")]
pub mod rust_source;
#[cfg(feature = "safetensors")]
pub mod safetensors;
#[cfg(any(feature = "onnx", feature = "rust-source"))]
mod settings;
#[cfg(any(feature = "safetensors", feature = "npz"))]
mod state;
#[cfg(any(feature = "safetensors", feature = "npz"))]
mod tensors;

pub use error::{FormatError, Misfit};
#[cfg(any(feature = "safetensors", feature = "npz"))]
pub use state::{Load, Save};
#[cfg(any(feature = "safetensors", feature = "npz"))]
pub use tensors::{ElementType, Tensor, Tensors};
