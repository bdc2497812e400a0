//! Layers that move numbers and change none.

mod flatten;
mod permute;
mod reshape;
mod slice;

pub use flatten::Flatten;
pub use permute::Permute;
pub use reshape::Reshape;
pub use slice::Slice;
