use downhill_tensor::convolution::Convolution;
use downhill_tensor::{BuildError, Init, Scalar, Shape, reduce};

use super::{AxisSettings, Weights};
use crate::{Backward, Forward, Layer, Pair, Signature, single_input};

/// A transposed convolution: each input pixel paints the kernel, times its value, into a larger image.
///
/// With stride s, dilation d and padding p,
///
/// ```text
/// y[o, k, l] = b[o] + Σ x[c, i, j] · w[c, o, u, v]   over i·s + u·d − p = k, j·s + v·d − p = l
/// ```
///
/// with c over the channels of o's group: the map is the transpose of a [`Conv2d`](crate::Conv2d) with the same
/// settings, so that what is y there is x here. Its local derivatives are those of that convolution, exchanged:
///
/// ```text
/// dJ/dx[c, i, j]    = Σ_o Σ_u Σ_v w[c, o, u, v] · dy[o, i·s + u·d − p, j·s + v·d − p]
/// dJ/dw[c, o, u, v] = Σ_batch Σ_i Σ_j x[c, i, j] · dy[o, i·s + u·d − p, j·s + v·d − p]
/// dJ/db[o]          = Σ_batch Σ_k Σ_l dy[o, k, l]
/// ```
///
/// It is often called a deconvolution, which it is not: it undoes the shape of a convolution, not its values.
///
/// # Shapes
/// x is (batch, channels, height, width), w is (channels, outputs / groups, kernel height, kernel width),
/// b is (outputs), y is (batch, outputs, height', width'), where each axis becomes
/// (length − 1)·stride − 2·padding + dilation·(kernel − 1) + 1 + output padding.
/// With a stride above 1 several lengths of a convolution's input give the same output; the output padding says
/// which of them is meant. It adds rows below and columns to the right that the kernel reaches or else the bias alone.
///
/// # Start
/// Weight and bias start uniformly in ±1/√n for n = outputs/groups · kernel height · kernel width, as in PyTorch,
/// which takes the convolution's outputs for the inputs here. Keras starts with Glorot's uniform weights
/// and a bias of zero.
///
/// # Errors
/// Returns an error if x is no image, the groups do not divide the channels, the padding leaves nothing, the output
/// padding is not smaller than the stride or the dilation, or a size is zero.
///
/// # Source
/// Zeiler, Krishnan, Taylor and Fergus 2010, "Deconvolutional networks"; Dumoulin and Visin 2016, "A guide to
/// convolution arithmetic for deep learning".
/// Derivation: `docs/derivations/layers/conv-transpose2d.md`.
///
/// ```
/// use downhill_layers::{ConvTranspose2d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // Each pixel becomes four.
/// let mut larger = ConvTranspose2d::new(1, 2).stride(2).no_bias().bind::<f64>([1, 1, 2], Seed(1))?;
/// larger.set("weight", [1.0, 2.0, 3.0, 4.0])?;
/// let y = larger.forward([[1.0, 10.0]])?; // 1 x 1 x 2
/// assert_eq!(y, array![[1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0]]); // 1 x 2 x 4
/// let dx = larger.backward([[1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]])?;
/// assert_eq!(dx, array![[10.0, 4.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConvTranspose2d {
    outputs: usize,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: usize,
    #[cfg_attr(feature = "serde", serde(flatten))]
    weights: Weights,
}

impl ConvTranspose2d {
    /// Creates a transposed convolution to `outputs` channels with a kernel of this (height, width), or of one size for
    /// both: stride 1, no padding, with a bias.
    #[must_use]
    pub fn new(outputs: usize, kernel: impl Into<Pair>) -> Self {
        Self {
            outputs,
            kernel: kernel.into(),
            stride: Pair([1; 2]),
            padding: Pair([0; 2]),
            output_padding: Pair([0; 2]),
            dilation: Pair([1; 2]),
            groups: 1,
            weights: Weights::default(),
        }
    }

    setters! {
        /// Sets the stride: the distance in the output from one pixel's kernel to the next one's.
        stride(stride: impl Into<Pair>) stride = stride.into();
        /// Sets the rows cut off above and below, and the columns left and right: the padding of the convolution that
        /// this transposes.
        padding(padding: impl Into<Pair>) padding = padding.into();
        /// Sets the number of rows added below and of columns added to the right.
        output_padding(padding: impl Into<Pair>) output_padding = padding.into();
        /// Sets the dilation: the distance from one tap of the kernel to the next.
        dilation(dilation: impl Into<Pair>) dilation = dilation.into();
        /// Sets the number of groups of channels and outputs.
        groups: usize;
        /// Leaves the bias out, as before a normalisation.
        no_bias() weights.bias = false;
        /// Starts the weight as `init` says.
        init(init: Init) weights.init = init;
        /// Starts the bias as `init` says.
        bias_init(init: Init) weights.bias_init = init;
    }

    /// The convolution from y to x.
    fn convolution(&self, x: Shape) -> Result<Convolution, BuildError> {
        let [channels, height, width] = super::image("ConvTranspose2d", x)?;
        let along = |axis: usize, length: usize| {
            let along = AxisSettings {
                kernel: self.kernel.0[axis],
                stride: self.stride.0[axis],
                dilation: self.dilation.0[axis],
                padding: Some([self.padding.0[axis]; 2]),
            };
            along.transposed("ConvTranspose2d", length, self.output_padding.0[axis])
        };
        let axes = [along(0, height)?, along(1, width)?];
        super::convolution("ConvTranspose2d", [self.outputs, channels, self.groups], axes)
    }
}

impl Layer for ConvTranspose2d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("ConvTranspose2d", inputs)?;
        let convolution = self.convolution(x)?;
        let [height, width] = convolution.axes();
        let output = [self.outputs, height.input, width.input];
        let weight = [x[0], self.outputs / self.groups, height.kernel, width.kernel];
        self.weights.signature("ConvTranspose2d", &output, &weight, convolution.scratch_len())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let convolution = super::known(self.convolution(pass.x[0].shape()));
        let (weight, bias) = (pass.params.vector(0), self.weights.bias.then(|| pass.params.vector(1)));
        convolution.input_gradient(pass.x[0].slice(), weight, bias, pass.y.slice(), pass.scratch.vector(0));
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let convolution = super::known(self.convolution(pass.x[0].shape()));
        let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
        convolution.weight_gradient(dy, x, pass.dparams.vector(0), None, pass.scratch.vector(0));
        if self.weights.bias {
            let shape = pass.dy.shape();
            reduce::channel_sums(dy, pass.dparams.vector(1), shape.len() / shape[0]);
        }
        if let Some(dx) = pass.dx.get(0) {
            convolution.forward(dy, pass.params.vector(0), None, dx.slice(), pass.scratch.vector(0));
        }
    }
}
