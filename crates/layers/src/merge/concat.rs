use downhill_tensor::{BuildError, Scalar, Shape, ShapeError};

use super::one_or_more;
use crate::errors::length_of;
use crate::signature::countable;
use crate::{Backward, Forward, Layer, Signature};

/// Concatenates its inputs along one axis of the example.
///
/// dy/dxᵢ = 1 for the slice of y that xᵢ became.
///
/// # Shapes
/// Inputs (batch, ..., nᵢ, ...) that agree on all other axes give (batch, ..., Σ nᵢ, ...).
/// The axis is counted without the batch: 0 is the features of a vector, and the channels of an image.
///
/// Derivation: `docs/derivations/layers/concat.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Concat {
    axis: usize,
}

impl Concat {
    /// Creates a layer that concatenates along this axis of the example.
    #[must_use]
    pub fn new(axis: usize) -> Self {
        Self { axis }
    }

    /// The number of elements of one example that lie side by side in a block: the axis itself and all within it.
    fn block(self, shape: Shape) -> usize {
        shape.axes()[self.axis..].iter().product()
    }
}

impl Layer for Concat {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let (first, others) = one_or_more("Concat", inputs)?;
        let axis = self.axis;
        length_of(axis, "Concat", first)?;
        let mut axes = countable("Concat", first)?.axes().to_vec();
        for other in others {
            countable("Concat", *other)?;
            let agree = other.rank() == first.rank()
                && (0..first.rank()).all(|other_axis| other_axis == axis || other[other_axis] == first[other_axis]);
            if !agree {
                let what = format!("the inputs of Concat, apart from axis {axis},");
                return Err(ShapeError::Mismatch { what: what.into(), expected: first, got: *other }.into());
            }
            axes[axis] = axes[axis].saturating_add(other[axis]);
        }
        let Some(output) = Shape::new(&axes) else {
            return refuse!("Concat", "the joined shape {axes:?} has too many elements");
        };
        Ok(Signature::new("Concat", output).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let whole = self.block(pass.y.shape());
        let mut offset = 0;
        for x in pass.x.iter() {
            let part = self.block(x.shape());
            for (y, x) in pass.y.slice().chunks_exact_mut(whole.max(1)).zip(x.slice().chunks_exact(part.max(1))) {
                y[offset..offset + part].copy_from_slice(x);
            }
            offset += part;
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let whole = self.block(pass.dy.shape());
        let mut offset = 0;
        for (index, x) in pass.x.iter().enumerate() {
            let part = self.block(x.shape());
            if let Some(dx) = pass.dx.get(index) {
                for (dy, dx) in pass.dy.slice().chunks_exact(whole.max(1)).zip(dx.slice().chunks_exact_mut(part.max(1)))
                {
                    dx.copy_from_slice(&dy[offset..offset + part]);
                }
            }
            offset += part;
        }
    }
}
