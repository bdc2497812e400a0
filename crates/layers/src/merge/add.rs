use downhill_tensor::{BuildError, Scalar, Shape, elementwise};

use super::alike;
use crate::{Backward, Forward, Layer, Signature};

/// The sum of its inputs: y = x₁ + x₂ + ...
///
/// dy/dxᵢ = 1 for each of them: the gradient goes to all branches unchanged, which is what makes
/// residual networks easy to train.
///
/// # Shapes
/// All inputs have the shape of y.
///
/// Derivation: `docs/derivations/layers/add.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Add;

impl Layer for Add {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let shape = alike("Add", "the inputs of Add", inputs)?;
        Ok(Signature::new("Add", shape).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let y = pass.y.slice();
        y.copy_from_slice(pass.x[0].slice());
        for x in pass.x.iter().skip(1) {
            elementwise::add(x.slice(), y);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        for (_, dx) in pass.dx.iter_mut() {
            dx.slice().copy_from_slice(pass.dy.slice());
        }
    }
}
