//! Layers at known numbers, at their edges, with what does not fit, and next to the numbers of PyTorch.
//! One program for all of them, so that each layer's loops are compiled once.

mod arrays;
mod attention;
mod compiled;
mod convolution;
mod embedding;
mod gates;
mod known_values;
mod normalisation;
#[cfg(feature = "serde")]
mod parity;
mod pooling;
mod recurrent;
mod resize;
mod shape;
mod sums;
