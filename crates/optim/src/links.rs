//! Links that more than one rule is made of.

mod decay;
mod momentum;
mod rate;

pub use decay::{AddDecay, CoupledDecay, DecoupledDecay, ProximalDecay};
pub use momentum::Momentum;
pub use rate::ScaleByRate;
