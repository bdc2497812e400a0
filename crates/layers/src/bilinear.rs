use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::{
    BuildError, Init, Over, Runs, RunsMut, Scalar, Shape, ShapeError, Sweep, parallel_runs, reduce, view,
};

use crate::Extent::PerExample;
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Parameter, Signature};

/// A bilinear map of two vectors: yₖ = uᵀ Wₖ v + bₖ.
///
/// With the outer product z = u vᵀ, seen as a vector, it is the affine map y = W z + b, so that
///
/// ```text
/// dJ/dW = dyᵀ z        dJ/db = Σ_batch dy        dz = dy W        du = dz v        dv = dzᵀ u
/// ```
///
/// # Shapes
/// u is (batch, in1), v is (batch, in2), W is (out, in1, in2), b is (out), y is (batch, out).
///
/// # Errors
/// Building a network returns an error for other than two inputs, inputs that are no vectors, sizes of 0, and
/// initialisers whose settings are out of range.
///
/// # Start
/// Weight and bias start uniformly in ±1/√in1, as in PyTorch.
///
/// Derivation: `docs/derivations/layers/bilinear.md`.
///
/// ```
/// use downhill_layers::{Bilinear, Bound};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut bilinear = Bound::<_, f64>::new(Bilinear::new(1), &[[2].into(), [2].into()], Seed(1))?;
/// bilinear.set("weight", [1.0, 2.0, 3.0, 4.0])?;
/// bilinear.set("bias", [0.5])?;
/// let (u, v) = (array![[1.0, 10.0]], array![[1.0, -1.0]]);
/// assert_eq!(bilinear.forward((&u, &v))?, array![[-10.5]]); // (1 + 30) − (2 + 40) + 0.5
/// bilinear.backward([[1.0]])?;
/// assert_eq!(bilinear.input_gradients(), [array![[-1.0, -1.0]], array![[31.0, 42.0]]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bilinear {
    outputs: usize,
    bias: bool,
    init: Init,
    bias_init: Init,
}

impl Bilinear {
    /// Creates a map to vectors of `outputs` numbers, with a bias.
    #[must_use]
    pub fn new(outputs: usize) -> Self {
        Self { outputs, bias: true, init: Init::FanInUniform, bias_init: Init::FanInUniform }
    }

    setters! {
        /// Leaves the bias out.
        no_bias() bias = false;
        /// Starts the weight as `init` says.
        init: Init;
        /// Starts the bias as `init` says.
        bias_init(init: Init) bias_init = init;
    }
}

impl Layer for Bilinear {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let &[u, v] = inputs else {
            return Err(ShapeError::Inputs { by: "Bilinear", expected: "exactly two inputs", got: inputs.len() }.into());
        };
        let vector = |x: Shape| match x.axes() {
            &[features] => Ok(features),
            _ => Err(wrong_rank("Bilinear", x, "two vectors per example", "put Flatten before it")),
        };
        let (first, second, outputs) = (vector(u)?, vector(v)?, self.outputs);
        if first == 0 || second == 0 || outputs == 0 {
            return refuse!(
                "Bilinear",
                "a map from {first} and {second} to {outputs} numbers has no weights; all must be at least 1"
            );
        }
        let Some(shape) = Shape::new(&[outputs, first, second]) else {
            return refuse!("Bilinear", "a weight of {outputs}x{first}x{second} numbers is too large for this machine");
        };
        self.init.check()?;
        self.bias_init.check()?;
        Ok(Signature::new("Bilinear", [outputs])
            .parameter(Parameter::new("weight", shape, self.init).fans(first, outputs))
            .parameter_if(self.bias, Parameter::new("bias", [outputs], self.bias_init).fans(first, outputs))
            .scratch("outer", [first * second], PerExample) // u vᵀ, then its gradient
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (u, v) = (pass.x[0], pass.x[1]);
        let pairs = u.shape().len() * v.shape().len();
        outer(u.slice(), u.shape().len(), v.slice(), v.shape().len(), pass.scratch.vector(0));
        let z = pass.scratch.matrix(0); // (batch, in1 · in2)
        let w = view::matrix(pass.params.vector(0), (self.outputs, pairs)); // (out, in1 · in2)
        let b = if self.bias { Accumulate::Bias(pass.params.vector(1)) } else { Accumulate::Overwrite };
        product(z.view(), w.t(), b, pass.y.matrix());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (u, v, dy) = (pass.x[0], pass.x[1], pass.dy.matrix());
        let (first, second) = (u.shape().len(), v.shape().len());
        let (examples, pairs) = (u.examples(), first * second);
        outer(u.slice(), first, v.slice(), second, pass.scratch.vector(0));
        // dJ/dW = dyᵀ z
        let z = pass.scratch.as_arrays().matrix(0);
        product(dy.t(), z, Accumulate::Overwrite, view::matrix_mut(pass.dparams.vector(0), (self.outputs, pairs)));
        // dJ/db = Σ_batch dy
        if self.bias {
            reduce::column_sums(dy, pass.dparams.vector(1));
        }
        if pass.dx.iter_mut().next().is_none() {
            return;
        }
        // dz = dy W
        let w = view::matrix(pass.params.vector(0), (self.outputs, pairs));
        product(dy, w, Accumulate::Overwrite, pass.scratch.matrix(0));
        let dz = Runs::new(pass.scratch.as_arrays().vector(0), pairs);
        let work = examples * pairs;
        // du = dz v
        if let Some(du) = pass.dx.get(0) {
            parallel_runs(Over(TimesV, (dz, Runs::new(v.slice(), second), RunsMut::new(du.slice(), first))), work);
        }
        // dv = dzᵀ u
        if let Some(dv) = pass.dx.get(1) {
            parallel_runs(Over(TimesU, (dz, Runs::new(u.slice(), first), RunsMut::new(dv.slice(), second))), work);
        }
    }
}

/// z = u vᵀ, for each example.
fn outer<T: Scalar>(u: &[T], first: usize, v: &[T], second: usize, z: &mut [T]) {
    let work = z.len();
    parallel_runs(Over(Outer, (Runs::new(u, first), Runs::new(v, second), RunsMut::new(z, first * second))), work);
}

type Parts<'a, T> = (Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>);

#[derive(Clone, Copy)]
struct Outer;

impl<T: Scalar> Sweep<Parts<'_, T>> for Outer {
    #[inline(always)]
    fn sweep(self, (u, v, z): Parts<'_, T>) {
        for ((u, v), z) in u.iter().zip(v.iter()).zip(z.iter_mut()) {
            for (&u, z) in u.iter().zip(z.chunks_exact_mut(v.len())) {
                for (z, &v) in z.iter_mut().zip(v) {
                    *z = u * v;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct TimesV;

impl<T: Scalar> Sweep<Parts<'_, T>> for TimesV {
    #[inline(always)]
    fn sweep(self, (dz, v, du): Parts<'_, T>) {
        for ((dz, v), du) in dz.iter().zip(v.iter()).zip(du.iter_mut()) {
            for (du, dz) in du.iter_mut().zip(dz.chunks_exact(v.len())) {
                *du = reduce::lanes::zip_sum(dz, v, |dz, v| dz * v);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct TimesU;

impl<T: Scalar> Sweep<Parts<'_, T>> for TimesU {
    #[inline(always)]
    fn sweep(self, (dz, u, dv): Parts<'_, T>) {
        for ((dz, u), dv) in dz.iter().zip(u.iter()).zip(dv.iter_mut()) {
            dv.fill(T::ZERO);
            for (&u, dz) in u.iter().zip(dz.chunks_exact(dv.len())) {
                for (dv, &dz) in dv.iter_mut().zip(dz) {
                    *dv += u * dz;
                }
            }
        }
    }
}
