use downhill_tensor::{Scalar, Shape, ShapeError, elementwise};

use crate::{Backward, Forward, Layer, MAX_INPUTS, Signature};

/// The sum of its inputs: y = x₁ + x₂ + ...
///
/// dy/dxᵢ = 1 for each of them: the gradient goes to all branches unchanged, which is what makes
/// residual networks easy to train.
///
/// # Shapes
/// All inputs have the shape of y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Add;

impl Layer for Add {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError> {
        let [first, others @ ..] = inputs else {
            return Err(ShapeError::Inputs { by: "Add", expected: "at least one input", got: 0 });
        };
        if inputs.len() > MAX_INPUTS {
            return Err(ShapeError::Inputs { by: "Add", expected: "at most eight inputs", got: inputs.len() });
        }
        if let Some(other) = others.iter().find(|other| *other != first) {
            return Err(ShapeError::Mismatch { what: "the inputs of Add".into(), expected: *first, got: *other });
        }
        Ok(Signature::new("Add", *first).backward_without_x().backward_without_y())
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
