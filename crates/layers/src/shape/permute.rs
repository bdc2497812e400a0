use downhill_tensor::{BuildError, Scalar, Shape, permute};

use crate::{Backward, Forward, Layer, Signature, single_input};

/// Puts the axes of each example in another order.
///
/// Axis k of y is axis `order[k]` of x; dy/dx = 1, and the gradient goes back in the opposite order.
/// The axes are counted without the batch. Those that the order leaves out at the end stay where they are.
///
/// # Shapes
/// With the order (1, 2, 0), x is (batch, channels, height, width) and y is (batch, height, width, channels).
///
/// # Errors
/// Building a network returns an error for an order that names an axis twice, or one that an example does not have, or
/// leaves one out.
///
/// Derivation: `docs/derivations/layers/permute.md`.
///
/// ```
/// use downhill_layers::{Layer, Permute};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut permute = Permute::transpose(0, 1).bind::<f64>([2, 3], Seed(0))?;
/// assert_eq!(permute.forward([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])?, array![[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Permute {
    order: Vec<usize>,
}

impl Permute {
    /// Creates a layer with this order: the first axis of y is axis `order[0]` of x.
    #[must_use]
    pub fn new(order: impl Into<Vec<usize>>) -> Self {
        Self { order: order.into() }
    }

    /// Creates a layer that swaps two axes: `torch.transpose`, without the batch axis.
    #[must_use]
    pub fn transpose(first: usize, second: usize) -> Self {
        // Beyond the six axes that there can be, the order is long enough to be refused.
        let mut order: Vec<usize> = (0..=first.max(second).min(MAX_RANK)).collect();
        let last = order.len() - 1;
        order.swap(first.min(last), second.min(last));
        Self { order }
    }

    /// The whole order for examples of this rank, if it is one; entries from `rank` on are unused.
    fn full(&self, rank: usize) -> Option<[usize; MAX_RANK]> {
        let mut order = SAME;
        let named = order[..rank].get_mut(..self.order.len())?;
        named.copy_from_slice(&self.order);
        named.sort_unstable();
        if named.iter().enumerate().any(|(axis, named)| axis != *named) {
            return None;
        }
        named.copy_from_slice(&self.order);
        Some(order)
    }
}

/// The most axes of a shape.
const MAX_RANK: usize = 6;

/// Each axis where it is.
const SAME: [usize; MAX_RANK] = [0, 1, 2, 3, 4, 5];

impl Layer for Permute {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Permute", inputs)?;
        let permuted = self.full(x.rank()).and_then(|order| {
            let mut axes = [1; MAX_RANK];
            axes.iter_mut().zip(&order[..x.rank()]).for_each(|(length, &axis)| *length = x[axis]);
            Shape::new(&axes[..x.rank()])
        });
        match permuted {
            Some(output) => Ok(Signature::new("Permute", output).backward_without_x().backward_without_y()),
            None => refuse!(
                "Permute",
                "the order {:?} does not put the {} axes of an example of shape {x} in another order; \
                     it must name each of its first axes once, counted from 0",
                self.order,
                x.rank()
            ),
        }
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let x = pass.x[0];
        let rank = x.shape().rank();
        let order = self.full(rank).unwrap_or(SAME);
        permute::permute(x.slice(), x.shape(), &order[..rank], pass.y.slice());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let Some(dx) = pass.dx.get(0) else { return };
        let rank = dx.shape().rank();
        let order = self.full(rank).unwrap_or(SAME);
        let mut opposite = SAME;
        order[..rank].iter().enumerate().for_each(|(place, &axis)| opposite[axis] = place);
        permute::permute(pass.dy.slice(), pass.dy.shape(), &opposite[..rank], dx.slice());
    }
}
