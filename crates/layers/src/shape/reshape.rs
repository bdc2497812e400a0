use downhill_tensor::{BuildError, Scalar, Shape};

use crate::{Backward, Forward, Layer, Signature, single_input};

/// Gives each example another shape: the same numbers, in the same order.
///
/// dy/dx = 1. The memory plan lets y lie where x does, so that this costs nothing.
///
/// # Shapes
/// x is (batch, ...), y is (batch, shape), with as many numbers per example.
///
/// Derivation: `docs/derivations/layers/reshape.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reshape {
    shape: Shape,
}

impl Reshape {
    /// Creates a layer that makes examples of this shape.
    #[must_use]
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into() }
    }
}

impl Layer for Reshape {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Reshape", inputs)?;
        if x.len() != self.shape.len() {
            return refuse!(
                "Reshape",
                "an example of shape {x} has {} numbers, but the shape {} has {}",
                x.len(),
                self.shape,
                self.shape.len()
            );
        }
        Ok(Signature::new("Reshape", self.shape).keeps_numbers().in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
    }
}
