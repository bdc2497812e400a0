use downhill_tensor::normalise::NormGroups;
use downhill_tensor::{BuildError, Scalar, Shape};

use super::{WithinExample, check};
use crate::errors;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// Normalises groups of neighbouring channels of each example: y = (x − μ) / √(σ² + ε) · weight + bias.
///
/// μ and σ² are the mean and the (biased) variance of all numbers of a group, over its channels and their places.
/// With x̂ = (x − μ) r, r = 1/√(σ² + ε), g = dy · weight, and means over the group:
///
/// ```text
/// dJ/dweight = Σ dy x̂        dJ/dbias = Σ dy        (over the batch and the places of a channel)
/// dJ/dx = r (g − mean(g) − x̂ mean(g x̂))
/// ```
///
/// Examples do not depend on each other, so a batch of one will do, and training and evaluation are the same.
/// One group normalises over the whole example; as many groups as channels are
/// [`InstanceNorm`](crate::InstanceNorm).
///
/// # Shapes
/// x and y are (batch, channels, ...); weight and bias are (channels).
///
/// # Errors
/// Building a network returns an error for no groups, groups that do not divide the channels, an example without axes
/// or with an empty one, and an ε that is negative or not finite.
///
/// # Elsewhere
/// As PyTorch's `GroupNorm`, which yet refuses one example with one value per group; here that value becomes the bias.
///
/// Source: Wu and He 2018 (arXiv 1803.08494).
/// Derivation: `docs/derivations/layers/group-norm.md`.
///
/// ```
/// use downhill_layers::{GroupNorm, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut norm = GroupNorm::new(2).epsilon(0.0).bind::<f64>([4], Seed(1))?;
/// assert_eq!(norm.forward([[1.0, 3.0, -8.0, 8.0]])?, array![[-1.0, 1.0, -1.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupNorm {
    groups: usize,
    epsilon: f64,
    affine: bool,
}

impl GroupNorm {
    /// Creates a normalisation of this many groups, with ε = 1e-5, a weight and a bias.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { groups, epsilon: 1e-5, affine: true }
    }

    setters! {
        /// Sets ε.
        epsilon: f64;
        /// Leaves weight and bias out.
        no_affine() affine = false;
    }
}

impl WithinExample for GroupNorm {
    fn affine(&self) -> (bool, bool) {
        (self.affine, self.affine)
    }

    fn sizes<T: Scalar>(&self, x: Shape) -> NormGroups {
        let plane = x.axes()[1..].iter().product();
        NormGroups { groups: self.groups, channels: x[0] / self.groups, plane, epsilon: self.epsilon, centred: true }
    }
}

impl Layer for GroupNorm {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("GroupNorm", inputs)?;
        let channels = errors::channels("GroupNorm", x)?;
        check("GroupNorm", self.epsilon, x)?;
        if channels.checked_rem(self.groups) != Some(0) {
            let groups = self.groups;
            return refuse!(
                "GroupNorm",
                "{channels} channels do not fall into {groups} groups of equal size; take a number that divides them"
            );
        }
        Ok(WithinExample::signature(self, "GroupNorm", x, self.groups, [channels]))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        self.normalise(pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        self.go_back(pass);
    }
}
