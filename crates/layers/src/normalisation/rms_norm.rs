use downhill_tensor::normalise::NormGroups;
use downhill_tensor::{BuildError, Scalar, Shape};

use super::{WithinExample, check, last_axes};
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Divides the last axes of each example by their root mean square: y = x / √(mean(x²) + ε) · weight.
///
/// With x̂ = x r, r = 1/√(mean(x²) + ε), g = dy · weight, and means over the normalised axes:
///
/// ```text
/// dJ/dweight = Σ dy x̂        (over all other axes)
/// dJ/dx = r (g − x̂ mean(g x̂))
/// ```
///
/// It is [`LayerNorm`](crate::LayerNorm) without the mean and the bias. Zeros stay zeros.
///
/// # Shapes
/// x and y are (batch, ..., features); weight has the shape of the normalised axes, which is the last axis,
/// or the last k of them with [`axes`](RmsNorm::axes).
///
/// # Errors
/// Building a network returns an error for more axes than an example has, or none, an empty axis, and an ε that is
/// negative or not finite.
///
/// # Elsewhere
/// As in PyTorch's `RMSNorm`, ε is the distance from 1 to the next number of the precision unless it is set.
/// Llama and most of its kin set it to 1e-5 or 1e-6.
///
/// Source: Zhang and Sennrich 2019 (arXiv 1910.07467).
/// Derivation: `docs/derivations/layers/rms-norm.md`.
///
/// ```
/// use downhill_layers::{Layer, RmsNorm};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut norm = RmsNorm::new().epsilon(0.0).bind::<f64>([2], Seed(1))?;
/// let y = norm.forward([[3.0, 5.0]])?; // √((9 + 25)/2) = √17
/// assert!((y - array![[3.0, 5.0]] / 17f64.sqrt()).iter().all(|off| off.abs() < 1e-15));
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RmsNorm {
    axes: usize,
    epsilon: Option<f64>,
    affine: bool,
}

impl Default for RmsNorm {
    fn default() -> Self {
        Self { axes: 1, epsilon: None, affine: true }
    }
}

impl RmsNorm {
    /// Creates a normalisation over the last axis, with a weight, and the machine epsilon of the precision for ε.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Normalises over the last `axes` axes.
        axes: usize;
        /// Sets ε.
        epsilon(epsilon: f64) epsilon = Some(epsilon);
        /// Leaves the weight out.
        no_affine() affine = false;
    }
}

impl WithinExample for RmsNorm {
    fn affine(&self) -> (bool, bool) {
        (self.affine, false)
    }

    fn sizes<T: Scalar>(&self, x: Shape) -> NormGroups {
        let features = x.axes()[x.rank() - self.axes..].iter().product();
        let epsilon = self.epsilon.unwrap_or_else(|| T::EPSILON.to_f64());
        NormGroups { groups: 1, channels: features, plane: 1, epsilon, centred: false }
    }
}

impl Layer for RmsNorm {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("RmsNorm", inputs)?;
        check("RmsNorm", self.epsilon.unwrap_or_default(), x)?;
        let features = last_axes("RmsNorm", x, self.axes)?;
        // Keeps 0 and 1/√(mean(x²) + ε) of each row.
        Ok(WithinExample::signature(self, "RmsNorm", x, x.len() / features.len(), features))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        self.normalise(pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        self.go_back(pass);
    }
}
