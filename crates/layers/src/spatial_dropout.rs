use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use crate::Extent::PerExample;
use crate::errors;
use crate::{Backward, Dropout, Forward, Layer, Signature, single_input};

/// Drops whole channels with probability p in training: y = x m, with one m = 0 or 1/(1 − p) for each channel of each
/// example, drawn anew each step.
///
/// dy/dx = m. Neighbouring numbers of a channel say much the same, so that dropping one at a time would hardly hide
/// anything. As in [`Dropout`](crate::Dropout), what stays is scaled, prediction changes nothing, and the same step
/// drops the same channels whatever the number of threads.
///
/// # Shapes
/// x and y are (batch, channels, ...): the channels are the first axis of an example.
///
/// # Errors
/// p outside [0, 1], or an example without axes, is an error when the network is built. p = 1 gives zeros.
///
/// # Elsewhere
/// PyTorch calls it `Dropout1d`, `Dropout2d` and `Dropout3d`; Keras `SpatialDropout`, with the channels last.
///
/// Source: Tompson et al. 2015 (arXiv 1411.4280).
/// Derivation: `docs/derivations/layers/spatial-dropout.md`.
///
/// ```
/// use downhill_layers::{Layer, SpatialDropout};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut dropout = SpatialDropout::new(0.5).bind::<f64>([2, 2], Seed(0))?;
/// let y = dropout.forward([[1.0, 1.0, 1.0, 1.0]])?;
/// assert!(y[[0, 0]] == y[[0, 1]] && y[[0, 2]] == y[[0, 3]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SpatialDropout {
    probability: f64,
}

impl SpatialDropout {
    /// Creates a layer that drops each channel with this probability.
    #[must_use]
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }
}

impl Layer for SpatialDropout {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("SpatialDropout", inputs)?;
        Dropout::new(self.probability).check("SpatialDropout")?;
        let channels = errors::channels("SpatialDropout", x)?;
        Ok(Signature::new("SpatialDropout", x).saves("mask", [channels], PerExample).in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let (m, shape) = (pass.saved.vector(0), pass.y.shape());
        if !pass.mode.is_training() {
            m.fill(T::ONE);
            return;
        }
        Dropout::new(self.probability).draw(m, pass.random.seed(), 0);
        mask(m, pass.y.slice(), shape);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        // dx = dy m
        pass.copy_unless_in_place();
        if let Some(dx) = pass.dx.get(0) {
            let shape = dx.shape();
            mask(pass.saved.vector(0), dx.slice(), shape);
        }
    }
}

/// y ← y m, for the m of each channel.
fn mask<T: Scalar>(m: &[T], y: &mut [T], shape: Shape) {
    let plane = shape.axes()[1..].iter().product();
    let work = y.len();
    parallel_runs(Over(Mask { plane }, (Runs::new(m, shape[0]), RunsMut::new(y, shape.len()))), work);
}

#[derive(Clone, Copy)]
struct Mask {
    plane: usize,
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Mask {
    #[inline(always)]
    fn sweep(self, (m, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        for (m, y) in m.iter().zip(y.iter_mut()) {
            for (&m, y) in m.iter().zip(y.chunks_exact_mut(self.plane)) {
                if m == T::ZERO {
                    // Even of what is not a number.
                    y.fill(T::ZERO);
                } else {
                    y.iter_mut().for_each(|y| *y *= m);
                }
            }
        }
    }
}
