use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use crate::errors::{length_of, shape_of};
use crate::{Backward, Forward, Layer, Signature, single_input};

/// The gated linear unit: y = a σ(b), where a and b are the halves of x along one axis.
///
/// With s = σ(b), dy/da = s and dy/db = a s (1 − s).
///
/// # Shapes
/// x is (batch, ..., 2n, ...), y is (batch, ..., n, ...). The axis is the last one, unless another is named.
///
/// # Errors
/// Building a network returns an error for an axis that an example does not have, or whose length is odd.
///
/// Source: Dauphin et al. 2017 (arXiv 1612.08083).
/// Derivation: `docs/derivations/layers/glu.md`.
///
/// ```
/// use downhill_layers::{Glu, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut glu = Glu::new().bind::<f64>([4], Seed(0))?;
/// assert_eq!(glu.forward([[3.0, 5.0, 0.0, 100.0]])?, array![[1.5, 5.0]]);
/// assert_eq!(glu.backward([[1.0, 0.0]])?, array![[0.5, 0.0, 0.75, 0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Glu {
    axis: Option<usize>,
}

impl Glu {
    /// Creates a unit that halves the last axis, as in PyTorch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Halves this axis of the example: 0 is the features of a vector, and the channels of an image.
        axis(axis: usize) axis = Some(axis);
    }

    fn axis_of(self, shape: Shape) -> usize {
        self.axis.unwrap_or(shape.rank().saturating_sub(1))
    }

    /// The number of elements in each half, side by side.
    fn half(self, x: Shape) -> usize {
        x.axes()[self.axis_of(x)..].iter().product::<usize>() / 2
    }
}

impl Layer for Glu {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Glu", inputs)?;
        let axis = self.axis_of(x);
        let length = length_of(axis, "Glu", x)?;
        if !length.is_multiple_of(2) {
            return refuse!("Glu", "axis {axis} of {x} can't be halved; give it an even length");
        }
        let mut axes = x.axes().to_vec();
        axes[axis] = length / 2;
        Ok(Signature::new("Glu", shape_of(&axes, "Glu")?).backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (x, y) = (pass.x[0], pass.y.slice());
        let half = self.half(x.shape());
        parallel_runs(Over(Gate, (Runs::new(x.slice(), 2 * half), RunsMut::new(y, half))), x.slice().len());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, dy) = (pass.x[0], pass.dy.slice());
        let half = self.half(x.shape());
        let Some(dx) = pass.dx.get(0) else { return };
        let (x, dx) = (x.slice(), dx.slice());
        let work = x.len();
        parallel_runs(Over(Gate, (Runs::new(x, 2 * half), Runs::new(dy, half), RunsMut::new(dx, 2 * half))), work);
    }
}

#[derive(Clone, Copy)]
struct Gate;

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Gate {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        for (x, y) in x.iter().zip(y.iter_mut()) {
            let (a, b) = x.split_at(y.len());
            for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
                *y = a * b.sigmoid();
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)> for Gate {
    #[inline(always)]
    fn sweep(self, (x, dy, dx): (Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)) {
        for ((x, dy), dx) in x.iter().zip(dy.iter()).zip(dx.iter_mut()) {
            let ((a, b), (da, db)) = (x.split_at(dy.len()), dx.split_at_mut(dy.len()));
            for ((da, db), ((&a, &b), &dy)) in da.iter_mut().zip(db).zip(a.iter().zip(b).zip(dy)) {
                let s = b.sigmoid();
                *da = dy * s;
                *db = dy * a * (s * (T::ONE - s));
            }
        }
    }
}
