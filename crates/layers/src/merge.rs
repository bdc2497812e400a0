//! Layers that make one value of several.

mod add;
mod concat;

pub use add::Add;
pub use concat::Concat;
