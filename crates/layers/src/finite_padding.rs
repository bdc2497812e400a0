use downhill_tensor::{Batch, BuildError, Scalar, Shape, ShapeError};

use crate::errors::{check_lengths, wrong_rank};
use crate::{Backward, Forward, Layer, Signature};

/// Passes sequences on, with zeros for those steps of their padding that hold a number that is not finite.
///
/// Maps and normalisations of single steps know of no lengths: they read the padding too, and 0 times NaN in a gradient
/// of a weight is NaN. With this layer in front of them, they meet zeros there.
///
/// ```text
/// y(t) = 0        dJ/dx(t) = 0            if t ≥ length and x(t) is not finite throughout
/// y(t) = x(t)     dJ/dx(t) = dJ/dy(t)     otherwise
/// ```
///
/// # Shapes
/// x and y are (batch, steps, ...); the second input, (batch, 1), tells how many steps of each example are there.
///
/// # Errors
/// Returns an error if there are not two inputs, x has no steps, or the second has another shape; when a pass starts,
/// if a length is no whole number from 0 to the number of steps.
///
/// Derivation: `docs/derivations/layers/finite-padding.md`.
///
/// ```
/// use downhill_layers::{Bound, FinitePadding};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut padding = Bound::<_, f64>::new(FinitePadding, &[[3, 1].into(), [1].into()], Seed(0))?;
/// let y = padding.forward(([[1.0, f64::NAN, 2.0]], [1.0]))?;
/// assert_eq!(y, array![[1.0, 0.0, 2.0]]);
/// assert_eq!(padding.backward([[4.0, 5.0, 6.0]])?, array![[4.0, 0.0, 6.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FinitePadding;

const NAME: &str = "FinitePadding";

impl Layer for FinitePadding {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let &[x, lengths] = inputs else {
            return Err(
                ShapeError::Inputs { by: NAME, expected: "a sequence and its length", got: inputs.len() }.into()
            );
        };
        let &[steps, ..] = x.axes() else {
            return Err(wrong_rank(NAME, x, "sequences of shape (steps, ...)", "put Reshape before it"));
        };
        check_lengths("the lengths of FinitePadding, one number for each example,", lengths)?;
        Ok(Signature::new(NAME, x).whole_numbers(1, 0, steps).backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let y = pass.y.slice();
        y.copy_from_slice(pass.x[0].slice());
        clear(pass.x[0], pass.x[1], y);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        if let Some(dx) = pass.dx.get(0) {
            let dx = dx.slice();
            dx.copy_from_slice(pass.dy.slice());
            clear(pass.x[0], pass.x[1], dx);
        }
        if let Some(lengths) = pass.dx.get(1) {
            lengths.slice().fill(T::ZERO);
        }
    }
}

/// Overwrites with zeros what belongs to those steps of the padding that are not finite.
fn clear<T: Scalar>(x: Batch<'_, T>, lengths: Batch<'_, T>, numbers: &mut [T]) {
    let example = x.shape().len().max(1);
    let step = (example / x.shape()[0].max(1)).max(1);
    let examples = x.slice().chunks_exact(example).zip(numbers.chunks_exact_mut(example));
    for ((x, numbers), length) in examples.zip(lengths.slice()) {
        let padding = x.chunks_exact(step).zip(numbers.chunks_exact_mut(step)).skip(length.to_f64() as usize);
        for (_, numbers) in padding.filter(|(x, _)| !x.iter().all(|x| x.is_finite())) {
            numbers.fill(T::ZERO);
        }
    }
}
