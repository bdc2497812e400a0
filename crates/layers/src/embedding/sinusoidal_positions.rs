use std::ops::Range;

use downhill_tensor::{BuildError, Over, RunsMut, Scalar, Shape, Sweep, elementwise, parallel_runs};

use super::{check_base, frequency, sequence};
use crate::Extent::PerBatch;
use crate::{Backward, Forward, Layer, Signature};

/// Tells steps apart by sines and cosines of their positions: y = x + P.
///
/// With the pair i of features of a width d, at the position p from 0 on:
///
/// ```text
/// P[p, 2i] = sin(p / base^(2i/d))        P[p, 2i + 1] = cos(p / base^(2i/d))        dy/dx = 1
/// ```
///
/// Nothing is learnt. A width that is odd ends with a sine. Angles are computed as `f64` in either precision.
///
/// # Shapes
/// x and y are (batch, steps, width).
///
/// # Errors
/// Building a network returns an error for another number of axes, and a base that is not a finite number above 0.
///
/// # Elsewhere
/// tensor2tensor and some of its descendants put all sines before all cosines; here they alternate, as in the paper.
///
/// Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, with its base of 10000.
/// Derivation: `docs/derivations/layers/sinusoidal-positions.md`.
///
/// ```
/// use downhill_layers::{Layer, SinusoidalPositions};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut positions = SinusoidalPositions::new().bind::<f64>([2, 2], Seed(1))?;
/// let y = positions.forward([[10.0, 10.0, 10.0, 10.0]])?;
/// assert_eq!(y, array![[10.0, 11.0, 10.0 + 1f64.sin(), 10.0 + 1f64.cos()]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SinusoidalPositions {
    base: f64,
}

impl Default for SinusoidalPositions {
    fn default() -> Self {
        Self { base: 10_000.0 }
    }
}

impl SinusoidalPositions {
    /// Creates positions with the base 10000.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the base.
        base: f64;
    }
}

impl Layer for SinusoidalPositions {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = sequence("SinusoidalPositions", inputs)?;
        check_base("SinusoidalPositions", self.base)?;
        Ok(Signature::new("SinusoidalPositions", x)
            .forward_scratch("positions", x, PerBatch)
            .in_place()
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let shape = pass.y.shape();
        let (steps, width) = (shape[0], shape[1]);
        let positions = pass.scratch.vector(0);
        let table = Table { log_base: self.base.ln(), width };
        parallel_runs(Over(table, (0..steps, RunsMut::new(positions, width))), TABLE_WORK * shape.len());
        for y in pass.y.slice().chunks_exact_mut(shape.len().max(1)) {
            elementwise::add(positions, y);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        // dx = dy
        pass.copy_unless_in_place();
    }
}

/// The cost of the sine or cosine of an angle, in simple operations.
const TABLE_WORK: usize = 16;

#[derive(Clone, Copy)]
struct Table {
    log_base: f64,
    width: usize,
}

impl<T: Scalar> Sweep<(Range<usize>, RunsMut<'_, T>)> for Table {
    #[inline(always)]
    fn sweep(self, (steps, rows): (Range<usize>, RunsMut<'_, T>)) {
        for (step, row) in steps.zip(rows.iter_mut()) {
            let (pairs, last) = row.as_chunks_mut::<2>();
            let angle = |pair| step as f64 * frequency(pair, self.width, self.log_base);
            let count = pairs.len();
            for (pair, features) in pairs.iter_mut().enumerate() {
                let angle = angle(pair);
                *features = [T::from_f64(Scalar::sin(angle)), T::from_f64(Scalar::cos(angle))];
            }
            for feature in last {
                *feature = T::from_f64(Scalar::sin(angle(count)));
            }
        }
    }
}
