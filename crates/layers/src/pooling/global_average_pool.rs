use downhill_tensor::{BuildError, Scalar, Shape};

use super::average::{self, EVEN};
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// The mean of each channel: y = (1/n) Σ x over all axes after the first.
///
/// dy/dx = 1/n, so that dJ/dx spreads dy evenly over the channel.
///
/// # Shapes
/// x is (batch, channels, ...), y is (batch, channels).
///
/// # Errors
/// Building a network returns an error for examples with fewer than two axes, or without a number to average over.
///
/// PyTorch has no layer of this name: it is `AdaptiveAvgPool2d(1)` and `Flatten`.
///
/// Source: Lin et al. 2013 (arXiv 1312.4400).
/// Derivation: `docs/derivations/layers/global-average-pool.md`.
///
/// ```
/// use downhill_layers::{GlobalAveragePool, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut pool = GlobalAveragePool.bind::<f64>([2, 1, 2], Seed(0))?;
/// assert_eq!(pool.forward([[1.0, 3.0, 5.0, 6.0]])?, array![[2.0, 5.5]]);
/// assert_eq!(pool.backward([[1.0, 2.0]])?, array![[0.5, 0.5, 1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GlobalAveragePool;

impl Layer for GlobalAveragePool {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("GlobalAveragePool", inputs)?;
        if x.rank() < 2 {
            return Err(wrong_rank(
                "GlobalAveragePool",
                x,
                "channels and at least one axis behind them per example",
                "a vector has nothing to average over",
            ));
        }
        if x.axes()[1..].contains(&0) {
            return refuse!(
                "GlobalAveragePool",
                "the channels of examples of shape {x} are empty, and nothing has no mean"
            );
        }
        Ok(Signature::new("GlobalAveragePool", [x[0]]).backward_without_x().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        average::forward(EVEN, pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        average::backward(EVEN, pass);
    }
}
