use downhill_tensor::{
    BuildError, Init, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs,
    reduce::{self, lanes},
};

use crate::Extent::PerExample;
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Parameter, Signature, single_input};

/// A leaky rectifier that learns its slope: y = x where x > 0, w x elsewhere, with one w or one for each channel.
///
/// dy/dx is 1 where x > 0 and w elsewhere, at the kink too; dy/dw is 0 where x > 0 and x elsewhere.
///
/// # Shapes
/// y has the shape of x; w is (1), or (channels) where the examples are (channels, ...).
///
/// # Errors
/// Building a network returns an error for one slope for each channel of examples that have no axis.
///
/// # Start
/// w starts at 0.25 as in PyTorch; in Keras at 0, with one for each number of an example.
///
/// Source: He et al. 2015 (arXiv 1502.01852).
/// Derivation: `docs/derivations/layers/prelu.md`.
///
/// ```
/// use downhill_layers::{Layer, PRelu};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut prelu = PRelu::new().bind::<f64>([3], Seed(0))?;
/// assert_eq!(prelu.forward([[-4.0, -2.0, 8.0]])?, array![[-1.0, -0.5, 8.0]]);
/// assert_eq!(prelu.backward([[1.0, 2.0, 3.0]])?, array![[0.25, 0.5, 3.0]]);
/// assert_eq!(prelu.gradient("weight")?, array![-8.0].into_dyn());
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PRelu {
    per_channel: bool,
}

impl PRelu {
    /// Creates a rectifier with one slope for all numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Creates a rectifier with one slope for each channel, the first axis of an example.
        per_channel() per_channel = true;
    }
}

impl Layer for PRelu {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("PRelu", inputs)?;
        let slopes = match x.axes() {
            _ if !self.per_channel => 1,
            [channels, ..] => *channels,
            [] => return Err(wrong_rank("PRelu", x, "channels per example", "take one slope for all numbers")),
        };
        Ok(Signature::new("PRelu", x)
            .parameter(Parameter::new("weight", [slopes], Init::Constant(0.25)))
            .backward_scratch("sums", [slopes], PerExample)
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (x, y) = (pass.x[0], pass.y.slice());
        let (features, x) = (x.shape().len(), x.slice());
        let chain = Chain(pass.params.vector(0));
        // y = x · slope is the chain rule with x instead of dy.
        let work = x.len();
        parallel_runs(Over(chain, (Runs::new(x, features), Runs::new(x, features), RunsMut::new(y, features))), work);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (w, features) = (pass.params.vector(0), pass.dy.shape().len());
        let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
        let work = x.len();
        let (x, dy) = (Runs::new(x, features), Runs::new(dy, features));
        if let Some(dx) = pass.dx.get(0) {
            parallel_runs(Over(Chain(w), (x, dy, RunsMut::new(dx.slice(), features))), work);
        }
        // dJ/dw = Σ_batch Σ_channel x dy where x ≤ 0; the inner sum of each example and channel first.
        let sums = pass.scratch.vector(0);
        sums.fill(T::ZERO); // where examples are empty
        parallel_runs(Over(Sums, (x, dy, RunsMut::new(sums, w.len()))), work);
        reduce::column_sums(pass.scratch.as_arrays().matrix(0), pass.dparams.vector(0));
    }
}

/// dx = dy where x > 0, w dy elsewhere.
#[derive(Clone, Copy)]
struct Chain<'a, T>(&'a [T]);

/// The sum over each channel of x dy where x ≤ 0.
#[derive(Clone, Copy)]
struct Sums;

impl<T: Scalar> Sweep<(Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)> for Chain<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, dy, dx): (Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)) {
        let slope = |x: T, w: T| if x > T::ZERO { T::ONE } else { w };
        for ((x, dy), dx) in x.iter().zip(dy.iter()).zip(dx.iter_mut()) {
            let channel = x.len() / self.0.len();
            if channel == 1 {
                for ((dx, &w), (&x, &dy)) in dx.iter_mut().zip(self.0).zip(x.iter().zip(dy)) {
                    *dx = dy * slope(x, w);
                }
                continue;
            }
            let channels = x.chunks_exact(channel).zip(dy.chunks_exact(channel)).zip(dx.chunks_exact_mut(channel));
            for (((x, dy), dx), &w) in channels.zip(self.0) {
                for (dx, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                    *dx = dy * slope(x, w);
                }
            }
        }
    }
}

impl<T: Scalar> Sweep<(Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)> for Sums {
    #[inline(always)]
    fn sweep(self, (x, dy, sums): (Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)) {
        let term = |x: T, dy: T| if x > T::ZERO { T::ZERO } else { x * dy };
        for ((x, dy), sums) in x.iter().zip(dy.iter()).zip(sums.iter_mut()) {
            let channel = x.len() / sums.len();
            if channel == 1 {
                for (sum, (&x, &dy)) in sums.iter_mut().zip(x.iter().zip(dy)) {
                    *sum = term(x, dy);
                }
                continue;
            }
            for (sum, (x, dy)) in sums.iter_mut().zip(x.chunks_exact(channel).zip(dy.chunks_exact(channel))) {
                *sum = lanes::zip_sum(x, dy, term);
            }
        }
    }
}
