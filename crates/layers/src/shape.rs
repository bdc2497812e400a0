//! Layers that move numbers and change none.

mod flatten;
mod reshape;

pub use flatten::Flatten;
pub use reshape::Reshape;
