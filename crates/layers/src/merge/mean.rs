use downhill_tensor::{BuildError, Scalar, Shape};

use super::over_axis;
use crate::{Backward, Forward, Layer, Signature};

/// The mean over one axis of each example: y = Σ x / n.
///
/// dy/dx = 1/n: each addend gets its share of the gradient.
///
/// # Shapes
/// x is (batch, ..., n, ...), and y is without that axis; [`keep_axis`](Mean::keep_axis) leaves it there, with the
/// length 1. The axis is counted without the batch: 0 is the steps of a sequence, and the channels of an image.
///
/// # Errors
/// Building a network returns an error for an axis that an example does not have, or one of length 0.
///
/// Derivation: `docs/derivations/layers/mean.md`.
///
/// ```
/// use downhill_layers::{Layer, Mean};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut mean = Mean::new(0).bind::<f64>([2, 3], Seed(0))?;
/// assert_eq!(mean.forward([[1.0, 2.0, 3.0, 5.0, 6.0, 7.0]])?, array![[3.0, 4.0, 5.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mean {
    axis: usize,
    keep: bool,
}

impl Mean {
    /// Creates a mean over this axis of the example, which y does not have.
    #[must_use]
    pub fn new(axis: usize) -> Self {
        Self { axis, keep: false }
    }

    setters! {
        /// Keeps the axis, with the length 1.
        keep_axis() keep = true;
    }
}

impl Layer for Mean {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        over_axis::signature("Mean", inputs, self.axis, self.keep)
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        over_axis::forward(pass, self.axis, |count| count);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        over_axis::backward(pass, self.axis, |count| count);
    }
}
