use downhill_tensor::{BuildError, Scalar, Shape};

use crate::{Backward, Forward, Layer, Signature, single_input};

/// Makes a vector of each example: the same numbers, in the same order, with one axis.
///
/// dy/dx = 1. The memory plan lets y lie where x does, so that this costs nothing.
///
/// # Shapes
/// x is (batch, ...), y is (batch, features).
///
/// Derivation: `docs/derivations/layers/flatten.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Flatten;

impl Layer for Flatten {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Flatten", inputs)?;
        Ok(Signature::new("Flatten", [x.len()]).keeps_numbers().in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
    }
}
