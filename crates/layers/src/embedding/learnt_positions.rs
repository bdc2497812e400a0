use downhill_tensor::{Batch, BuildError, Init, Scalar, Shape, elementwise, reduce};

use super::sequence;
use crate::{Backward, Forward, Layer, Parameter, Signature};

/// Tells steps apart by a learnt vector for each position: y = x + W.
///
/// ```text
/// dJ/dW = Σ_batch dy        dJ/dx = dy
/// ```
///
/// # Shapes
/// x and y are (batch, steps, width); W is (steps, width): a sequence of another length needs another layer.
///
/// # Errors
/// Building a network returns an error for another number of axes, or an initialiser whose settings are out of range.
///
/// # Start
/// N(0, 0.02²), as in BERT and GPT-2.
///
/// Source: Gehring et al. 2017 (arXiv 1705.03122); in transformers, Devlin et al. 2018 (arXiv 1810.04805).
/// Derivation: `docs/derivations/layers/learnt-positions.md`.
///
/// ```
/// use downhill_layers::{Layer, LearntPositions};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut positions = LearntPositions::new().bind::<f64>([2, 1], Seed(1))?;
/// positions.set("weight", [0.5, -0.5])?;
/// assert_eq!(positions.forward([[1.0, 1.0], [2.0, 2.0]])?, array![[1.5, 0.5], [2.5, 1.5]]);
/// positions.backward([[1.0, 2.0], [3.0, 4.0]])?;
/// assert_eq!(positions.gradient("weight")?, array![[4.0], [6.0]].into_dyn());
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LearntPositions {
    init: Init,
}

impl Default for LearntPositions {
    fn default() -> Self {
        Self { init: Init::Normal { mean: 0.0, std: 0.02 } }
    }
}

impl LearntPositions {
    /// Creates a vector for each step of the input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Starts the vectors as `init` says.
        init: Init;
    }
}

impl Layer for LearntPositions {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = sequence("LearntPositions", inputs)?;
        self.init.check()?;
        let weight = Parameter::new("weight", x, self.init).fans(x[0], x[1]);
        Ok(Signature::new("LearntPositions", x).parameter(weight).in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let weight = pass.params.vector(0);
        for y in pass.y.slice().chunks_exact_mut(weight.len().max(1)) {
            elementwise::add(weight, y);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        // dx = dy
        pass.copy_unless_in_place();
        // dJ/dW = Σ_batch dy
        let mut sum = |dy: Batch<'_, T>| reduce::column_sums(dy.matrix(), pass.dparams.vector(0));
        match pass.dx.get(0) {
            // The plan may have put dy there.
            Some(dx) => sum(dx.as_batch()),
            None => sum(pass.dy),
        }
    }
}
