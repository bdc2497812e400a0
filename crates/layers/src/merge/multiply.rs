use downhill_tensor::{BuildError, Scalar, Shape, elementwise};

use super::alike;
use crate::{Backward, Forward, Layer, Signature};

/// The product of its inputs, element by element: y = x₁ x₂ ⋯
///
/// dy/dxᵢ is the product of all the others, so that dxᵢ = dy Πⱼ xⱼ over j ≠ i: a gate that is shut lets no gradient by.
///
/// # Shapes
/// All inputs have the shape of y.
///
/// # Errors
/// Building a network returns an error for no inputs, more than eight, or inputs of different shapes.
///
/// Derivation: `docs/derivations/layers/multiply.md`.
///
/// ```
/// use downhill_layers::{Bound, Multiply};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut multiply = Bound::<_, f64>::new(Multiply, &[[2].into(), [2].into()], Seed(0))?;
/// let (a, b) = (array![[1.0, 2.0]], array![[3.0, 4.0]]);
/// assert_eq!(multiply.forward((&a, &b))?, array![[3.0, 8.0]]);
/// multiply.backward([[1.0, 1.0]])?;
/// assert_eq!(multiply.input_gradients(), [b, a]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Multiply;

impl Layer for Multiply {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Multiply", alike("Multiply", "the inputs of Multiply", inputs)?).backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let y = pass.y.slice();
        y.copy_from_slice(pass.x[0].slice());
        for x in pass.x.iter().skip(1) {
            elementwise::update(x.slice(), y, |x, y| y * x);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        for (index, dx) in pass.dx.iter_mut() {
            let dx = dx.slice();
            dx.copy_from_slice(pass.dy.slice());
            for (_, x) in pass.x.iter().enumerate().filter(|(other, _)| *other != index) {
                elementwise::update(x.slice(), dx, |x, dx| dx * x);
            }
        }
    }
}
