use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::{BuildError, Init, Scalar, Shape, reduce};

use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Parameter, Signature, single_input};

/// An affine map of vectors: y = x W + b.
///
/// The local derivatives are dy/dx = Wᵀ, dy/dW = xᵀ and dy/db = 1, so that
///
/// ```text
/// dJ/dW = xᵀ dy        dJ/db = Σ_rows dy        dJ/dx = dy Wᵀ
/// ```
///
/// If an example is more than a vector, every vector along its last axis is mapped, as PyTorch's `Linear` does:
/// each step of a sequence, each row of an image. All of them are the rows of one product.
/// Put [`Flatten`](crate::Flatten) before it to map a whole example as one vector.
///
/// Other frameworks call it `Linear` or `Dense`.
///
/// # Shapes
/// x is (batch, ..., in), W is (in, out), b is (out), y is (batch, ..., out).
/// W lies (in, out) in memory, because the products of training then need no copy in another order;
/// files and `parameter("0.weight")` show it as (out, in), as PyTorch does.
///
/// # Errors
/// Examples without an axis, and maps from or to vectors of nothing, are errors when the network is built.
///
/// # Start
/// Weight and bias start uniformly in ±1/√in, as in PyTorch. Keras and Flux start with Glorot's uniform weights
/// and a bias of zero: [`init`](Affine::init) and [`bias_init`](Affine::bias_init).
///
/// Derivation: `docs/derivations/layers/affine.md`.
///
/// ```
/// use downhill_layers::{Affine, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut affine = Affine::new(2).bind::<f64>([3], Seed(1))?;
/// affine.set("weight", [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])?; // (out, in)
/// affine.set("bias", [0.5, -0.5])?;
/// let y = affine.forward([[1.0, 0.0, 2.0]])?;
/// assert_eq!(y, array![[11.5, 13.5]]);
/// let dx = affine.backward([[1.0, -1.0]])?;
/// assert_eq!(dx, array![[-1.0, -1.0, -1.0]]); // dy Wᵀ
/// assert_eq!(affine.gradient("weight")?, array![[1.0, 0.0, 2.0], [-1.0, 0.0, -2.0]].into_dyn()); // (xᵀ dy)ᵀ
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Affine {
    outputs: usize,
    bias: bool,
    init: Init,
    bias_init: Init,
}

impl Affine {
    /// Creates a map to vectors of `outputs` numbers, with a bias.
    #[must_use]
    pub fn new(outputs: usize) -> Self {
        Self { outputs, bias: true, init: Init::FanInUniform, bias_init: Init::FanInUniform }
    }

    setters! {
        /// Leaves the bias out: the linear map y = x W.
        no_bias() bias = false;
        /// Starts the weight as `init` says.
        init: Init;
        /// Starts the bias as `init` says.
        bias_init(init: Init) bias_init = init;
    }
}

impl Layer for Affine {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Affine", inputs)?;
        let Some((&features, before)) = x.axes().split_last() else {
            return Err(wrong_rank(
                "Affine",
                x,
                "vectors along the last axis of an example",
                "put Reshape::new([1]) before it to see a number as a vector of one",
            ));
        };
        let outputs = self.outputs;
        if features == 0 || outputs == 0 {
            return refuse!(
                "Affine",
                "a map from {features} to {outputs} numbers has no weights; both must be at least 1"
            );
        }
        self.init.check()?;
        self.bias_init.check()?;
        let sizes = Shape::new(&[before, &[outputs]].concat()).zip(Shape::new(&[features, outputs]));
        let Some((output, weight)) = sizes else {
            return refuse!("Affine", "a map from {x} to vectors of {outputs} numbers has too many elements");
        };
        let weight = Parameter::new("weight", weight, self.init).fans(features, outputs);
        let bias = Parameter::new("bias", [outputs], self.bias_init).fans(features, outputs);
        Ok(Signature::new("Affine", output)
            .parameter(weight.transposed())
            .parameter_if(self.bias, bias)
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        // y = x W + b
        let (x, w) = (pass.x[0].rows(), pass.params.matrix(0)); // (rows, in), (in, out)
        let b = if self.bias { Accumulate::Bias(pass.params.vector(1)) } else { Accumulate::Overwrite };
        product(x, w, b, pass.y.rows());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, w) = (pass.x[0].rows(), pass.params.matrix(0));
        let dy = pass.dy.rows(); // (rows, out)
        // dJ/dW = xᵀ dy
        product(x.t(), dy, Accumulate::Overwrite, pass.dparams.matrix(0));
        // dJ/db = Σ_rows dy
        if self.bias {
            reduce::column_sums(dy, pass.dparams.vector(1));
        }
        // dJ/dx = dy Wᵀ
        if let Some(dx) = pass.dx.get(0) {
            product(dy, w.t(), Accumulate::Overwrite, dx.rows());
        }
    }
}
