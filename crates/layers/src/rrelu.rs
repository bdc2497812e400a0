use downhill_tensor::{BuildError, Scalar, Shape, elementwise};

use crate::Extent::PerExample;
use crate::{Backward, Forward, Layer, Mode, Signature, single_input};

/// A leaky rectifier with random slopes: y = x where x > 0, a x elsewhere.
///
/// dy/dx is 1 where x > 0 and a elsewhere, at the kink too.
/// In training a is drawn uniformly between two bounds for each number, anew in each step;
/// in evaluation it is the mean of the bounds. The bounds are 1/8 and 1/3 by default, as in PyTorch.
/// Random numbers are keyed by (seed, step, layer, example), whatever the number of threads.
///
/// # Shapes
/// y has the shape of x.
///
/// # Errors
/// Building a network returns an error for bounds that are not finite, or a lower one above the upper one.
///
/// Source: Xu et al. 2015 (arXiv 1505.00853).
/// Derivation: `docs/derivations/layers/rrelu.md`.
///
/// ```
/// use downhill_layers::{Layer, Mode, RRelu};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut rrelu = RRelu::new(0.1, 0.4).bind::<f64>([2], Seed(0))?;
/// let y = rrelu.forward([[-1.0, 2.0]])?;
/// assert!(-0.4 <= y[[0, 0]] && y[[0, 0]] <= -0.1 && y[[0, 1]] == 2.0);
/// rrelu.set_mode(Mode::Evaluation);
/// assert_eq!(rrelu.forward([[-1.0, 2.0]])?, array![[-0.25, 2.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RRelu {
    lower: f64,
    upper: f64,
}

impl RRelu {
    /// Creates a rectifier with slopes between these bounds.
    #[must_use]
    pub fn new(lower: f64, upper: f64) -> Self {
        Self { lower, upper }
    }
}

impl Default for RRelu {
    fn default() -> Self {
        Self { lower: 1.0 / 8.0, upper: 1.0 / 3.0 }
    }
}

impl Layer for RRelu {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("RRelu", inputs)?;
        let Self { lower, upper } = self;
        if !((upper - lower).is_finite() && lower <= upper) {
            return refuse!("RRelu", "the slopes must lie between finite bounds, but these are {lower} and {upper}");
        }
        Ok(Signature::new("RRelu", x).saves("slope", x, PerExample).in_place().backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        pass.copy_unless_in_place();
        let mean = T::from_f64(0.5 * (self.lower + self.upper));
        let features = pass.y.shape().len().max(1);
        let y = pass.y.slice();
        let all_slopes = pass.saved.vector(0);
        if let Mode::Training { .. } = pass.mode {
            for (example, slopes) in all_slopes.chunks_exact_mut(features).enumerate() {
                let mut stream = pass.random.example(example);
                slopes.fill_with(|| T::from_f64(self.lower + (self.upper - self.lower) * stream.uniform()));
            }
        } else {
            all_slopes.fill(mean);
        }
        elementwise::update(y, all_slopes, |x, a| if x <= T::ZERO { a } else { T::ONE });
        elementwise::update(all_slopes, y, |slope, x| slope * x);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        pass.copy_unless_in_place();
        if let Some(dx) = pass.dx.get(0) {
            elementwise::update(pass.saved.vector(0), dx.slice(), |slope, dx| slope * dx);
        }
    }
}
