use downhill_tensor::normalise::NormGroups;
use downhill_tensor::{BuildError, Scalar, Shape};

use super::{WithinExample, check};
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Normalises each channel of each example: y = (x − μ) / √(σ² + ε), then · weight + bias if wanted.
///
/// μ and σ² are the mean and the (biased) variance over the places of the channel. With x̂ = (x − μ) r,
/// r = 1/√(σ² + ε), g = dy · weight, and means over the channel:
///
/// ```text
/// dJ/dweight = Σ dy x̂        dJ/dbias = Σ dy        (over the batch and the places of a channel)
/// dJ/dx = r (g − mean(g) − x̂ mean(g x̂))
/// ```
///
/// Training and evaluation are the same: there are no running statistics.
///
/// # Shapes
/// x and y are (batch, channels, ...); weight and bias, where there are any, are (channels).
///
/// # Errors
/// Building a network returns an error for fewer than two numbers in a channel, which would all become 0, and an ε that
/// is negative or not finite.
///
/// # Elsewhere
/// As PyTorch's `InstanceNorm1d`, `2d` and `3d`: no weight and bias unless [`affine`](InstanceNorm::affine)
/// asks for them. Its `track_running_stats` is not offered.
///
/// Source: Ulyanov, Vedaldi and Lempitsky 2016 (arXiv 1607.08022).
/// Derivation: `docs/derivations/layers/instance-norm.md`.
///
/// ```
/// use downhill_layers::{InstanceNorm, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut norm = InstanceNorm::new().epsilon(0.0).bind::<f64>([2, 2], Seed(1))?;
/// assert_eq!(norm.forward([[1.0, 3.0, -8.0, 8.0]])?, array![[-1.0, 1.0, -1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InstanceNorm {
    epsilon: f64,
    affine: bool,
}

impl Default for InstanceNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5, affine: false }
    }
}

impl InstanceNorm {
    /// Creates a normalisation with ε = 1e-5, without weight and bias.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets ε.
        epsilon: f64;
        /// Adds a weight and a bias.
        affine() affine = true;
    }
}

impl WithinExample for InstanceNorm {
    fn affine(&self) -> (bool, bool) {
        (self.affine, self.affine)
    }

    fn sizes<T: Scalar>(&self, x: Shape) -> NormGroups {
        NormGroups { groups: x[0], channels: 1, plane: x.len() / x[0], epsilon: self.epsilon, centred: true }
    }
}

impl Layer for InstanceNorm {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("InstanceNorm", inputs)?;
        check("InstanceNorm", self.epsilon, x)?;
        let &[channels, ref places @ ..] = x.axes() else {
            return Err(wrong_rank("InstanceNorm", x, "examples of channels and at least one axis more", ""));
        };
        if places.iter().product::<usize>() < 2 {
            return refuse!(
                "InstanceNorm",
                "a channel of an example of shape {x} is one number, which would always become 0; \
                     take LayerNorm or GroupNorm for vectors"
            );
        }
        Ok(WithinExample::signature(self, "InstanceNorm", x, channels, [channels]))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        self.normalise(pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        self.go_back(pass);
    }
}
