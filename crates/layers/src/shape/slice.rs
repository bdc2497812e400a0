use std::ops::Range;

use downhill_tensor::{BuildError, Scalar, Shape};

use crate::errors::length_of;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Keeps a range of one axis of each example: y = x[..., start..end, ...].
///
/// dy/dx is 1 for what is kept and 0 for the rest. It undoes [`Concat`](crate::Concat).
///
/// # Shapes
/// x is (batch, ..., n, ...), y is (batch, ..., end − start, ...).
/// The axis is counted without the batch: 0 is the features of a vector, and the channels of an image.
///
/// # Errors
/// Building a network returns an error for an axis that an example does not have, a range that is empty or goes beyond
/// the axis.
///
/// Derivation: `docs/derivations/layers/slice.md`.
///
/// ```
/// use downhill_layers::{Layer, Slice};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut slice = Slice::new(0, 1..3).bind::<f64>([4], Seed(0))?;
/// assert_eq!(slice.forward([[1.0, 2.0, 3.0, 4.0]])?, array![[2.0, 3.0]]);
/// assert_eq!(slice.backward([[5.0, 6.0]])?, array![[0.0, 5.0, 6.0, 0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slice {
    axis: usize,
    start: usize,
    end: usize,
}

impl Slice {
    /// Creates a layer that keeps this range of this axis.
    #[must_use]
    pub fn new(axis: usize, range: Range<usize>) -> Self {
        Self { axis, start: range.start, end: range.end }
    }

    /// The range that is kept of a block of the axis and all within it, and the length of the block.
    fn kept(self, x: Shape) -> (Range<usize>, usize) {
        let within: usize = x.axes()[self.axis + 1..].iter().product();
        (self.start * within..self.end * within, x[self.axis] * within)
    }
}

impl Layer for Slice {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Slice", inputs)?;
        let Self { axis, start, end } = *self;
        let length = length_of(axis, "Slice", x)?;
        if start >= end || end > length {
            return refuse!(
                "Slice",
                "the range {start}..{end} does not lie in axis {axis} of an example of shape {x}; \
                     it must hold at least one place and end at {length} or before"
            );
        }
        let mut axes = x.axes().to_vec();
        axes[axis] = end - start;
        let Some(output) = Shape::new(&axes) else { unreachable!("a part of a shape is a shape") };
        Ok(Signature::new("Slice", output).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let x = pass.x[0];
        let (kept, block) = self.kept(x.shape());
        // Of an axis without length there is nothing to copy.
        let blocks = x.slice().chunks_exact(block.max(1));
        for (y, x) in pass.y.slice().chunks_exact_mut(kept.len().max(1)).zip(blocks) {
            y.copy_from_slice(&x[kept.clone()]);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let Some(dx) = pass.dx.get(0) else { return };
        let (kept, block) = self.kept(dx.shape());
        let blocks = dx.slice().chunks_exact_mut(block.max(1));
        for (dy, dx) in pass.dy.slice().chunks_exact(kept.len().max(1)).zip(blocks) {
            dx[..kept.start].fill(T::ZERO);
            dx[kept.clone()].copy_from_slice(dy);
            dx[kept.end..].fill(T::ZERO);
        }
    }
}
