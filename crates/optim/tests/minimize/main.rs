//! The promises of `minimize` for every walk.

mod ends;
#[path = "../optimizers/fixtures.rs"]
#[allow(dead_code, reason = "the names are for another test")]
mod fixtures;
mod lending;
mod penalties;
mod scipy;
mod units;
mod wrong_gradients;
