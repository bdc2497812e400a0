//! The predictor in a crate without the standard library and without an allocator.
#![no_std]
#![forbid(unsafe_code)]

pub mod predictor;
