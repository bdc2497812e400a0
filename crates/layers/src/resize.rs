//! Layers that make sequences and images longer.

mod pad;
mod upsample;

pub use pad::{Pad, PadMode};
pub use upsample::{Interpolation, Upsample};
