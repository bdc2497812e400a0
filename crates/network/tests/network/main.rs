//! Whole networks, each part of them in a module. One program for all, so that the passes of the layers are compiled once.

#[cfg(feature = "serde")]
mod descriptions;
mod inputs;
mod observed;
mod passes;
mod wiring;
mod workspaces;

use downhill_layers::{Backward, Forward, Layer, Signature};
use downhill_network::{Block, Network};
use downhill_tensor::{BuildError, Scalar, Seed, Shape};

fn build(input: impl Into<Shape>, block: impl Block) -> Network<f64> {
    Network::build(input, block, Seed(1)).unwrap()
}

/// A layer whose output has this length, which is never computed.
#[derive(Clone, Debug)]
struct Upsampled(usize);

impl Layer for Upsampled {
    fn signature(&self, _: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Upsampled", [self.0]))
    }
    fn forward<T: Scalar>(&self, _: &mut Forward<'_, T>) {}
    fn backward<T: Scalar>(&self, _: &mut Backward<'_, T>) {}
}
