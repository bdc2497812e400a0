use downhill_tensor::normalise::NormGroups;
use downhill_tensor::{BuildError, Scalar, Shape};

use super::{WithinExample, check, last_axes};
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Normalises over the last axes of each example: y = (x − μ) / √(σ² + ε) · weight + bias.
///
/// μ and σ² are the mean and the (biased) variance of the numbers that share all axes before those. With
/// x̂ = (x − μ) r, r = 1/√(σ² + ε), g = dy · weight, and means over the normalised axes:
///
/// ```text
/// dJ/dweight = Σ dy x̂        dJ/dbias = Σ dy        (sums over all other axes)
/// dJ/dx = r (g − mean(g) − x̂ mean(g x̂))
/// ```
///
/// Examples do not depend on each other, and training and evaluation are the same.
/// Numbers that are all equal, or one alone, become the bias.
///
/// # Shapes
/// x and y are (batch, ..., features); weight and bias have the shape of the normalised axes, which is the last axis,
/// or the last k of them with [`axes`](LayerNorm::axes).
///
/// # Errors
/// Building a network returns an error for more axes than an example has, or none, an empty axis, and an ε that is
/// negative or not finite.
///
/// # Elsewhere
/// PyTorch's `LayerNorm` takes the sizes of the axes; here they follow from the input. Its ε is 1e-5, Keras's 1e-3.
///
/// Source: Ba, Kiros and Hinton 2016 (arXiv 1607.06450).
/// Derivation: `docs/derivations/layers/layer-norm.md`.
///
/// ```
/// use downhill_layers::{Layer, LayerNorm};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut norm = LayerNorm::new().epsilon(0.0).bind::<f64>([2], Seed(1))?;
/// assert_eq!(norm.forward([[1.0, 3.0], [-8.0, 8.0]])?, array![[-1.0, 1.0], [-1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerNorm {
    axes: usize,
    epsilon: f64,
    affine: bool,
    bias: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { axes: 1, epsilon: 1e-5, affine: true, bias: true }
    }
}

impl LayerNorm {
    /// Creates a normalisation over the last axis, with ε = 1e-5, a weight and a bias.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Normalises over the last `axes` axes.
        axes: usize;
        /// Sets ε.
        epsilon: f64;
        /// Leaves the bias out.
        no_bias() bias = false;
        /// Leaves weight and bias out.
        no_affine() affine = false;
    }
}

impl WithinExample for LayerNorm {
    fn affine(&self) -> (bool, bool) {
        (self.affine, self.affine && self.bias)
    }

    fn sizes<T: Scalar>(&self, x: Shape) -> NormGroups {
        let features = x.axes()[x.rank() - self.axes..].iter().product();
        NormGroups { groups: 1, channels: features, plane: 1, epsilon: self.epsilon, centred: true }
    }
}

impl Layer for LayerNorm {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("LayerNorm", inputs)?;
        check("LayerNorm", self.epsilon, x)?;
        let features = last_axes("LayerNorm", x, self.axes)?;
        Ok(WithinExample::signature(self, "LayerNorm", x, x.len() / features.len(), features))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        self.normalise(pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        self.go_back(pass);
    }
}
