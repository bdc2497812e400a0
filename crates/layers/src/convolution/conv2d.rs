use downhill_tensor::convolution::Convolution;
use downhill_tensor::{BuildError, Init, Scalar, Shape};

use super::{AxisSettings, Padding, Weights};
use crate::{Backward, Forward, Layer, Pair, Signature, single_input};

/// A convolution of images: each output pixel is a weighted sum of the input's pixels around it.
///
/// With stride s, dilation d and p zeros before the first row and column,
///
/// ```text
/// y[o, i, j] = b[o] + Σ_c Σ_u Σ_v w[o, c, u, v] · x[c, i·s + u·d − p, j·s + v·d − p]
/// ```
///
/// with x = 0 outside the image; c runs over the channels of o's group.
/// The local derivatives are the numbers that y is linear in:
///
/// ```text
/// dJ/dw[o, c, u, v] = Σ_batch Σ_i Σ_j dy[o, i, j] · x[c, i·s + u·d − p, j·s + v·d − p]
/// dJ/db[o]          = Σ_batch Σ_i Σ_j dy[o, i, j]
/// dJ/dx[c, k, l]    = Σ dy[o, i, j] · w[o, c, u, v]   over i·s + u·d − p = k, j·s + v·d − p = l
/// ```
///
/// As in every framework the kernel is not flipped, which mathematics calls a cross-correlation.
/// With as many groups as channels each channel has its own kernels: a *depthwise* convolution.
///
/// # Shapes
/// x is (batch, channels, height, width), w is (outputs, channels / groups, kernel height, kernel width),
/// b is (outputs), y is (batch, outputs, height', width'), where each axis becomes
/// ⌊(length + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
/// Keras has the channels last; this is PyTorch's order.
///
/// # Start
/// Weight and bias start uniformly in ±1/√n for the n = channels/groups · kernel height · kernel width terms of a sum,
/// as in PyTorch. Keras starts with Glorot's uniform weights and a bias of zero.
///
/// # Errors
/// Returns an error if x is no image, the groups do not divide the channels, the kernel is larger than the padded
/// image, padding "same" meets a stride, or a size is zero.
///
/// # Source
/// LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition".
/// Derivation: `docs/derivations/layers/conv2d.md`.
///
/// ```
/// use downhill_layers::{Conv2d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // Each output is the sum of a pixel and its neighbours to the right and below.
/// let mut conv = Conv2d::new(1, 2).no_bias().bind::<f64>([1, 2, 3], Seed(1))?;
/// conv.set("weight", &array![[[[1.0, 1.0], [1.0, 0.0]]]])?;
/// let y = conv.forward([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])?; // 1 x 2 x 3
/// assert_eq!(y, array![[7.0, 10.0]]); // 1 x 1 x 2
/// let dx = conv.backward([[1.0, 10.0]])?;
/// assert_eq!(dx, array![[1.0, 11.0, 10.0, 1.0, 10.0, 0.0]]);
/// assert_eq!(conv.gradient("weight")?, array![[[[21.0, 32.0], [54.0, 65.0]]]].into_dyn());
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conv2d {
    outputs: usize,
    kernel: Pair,
    stride: Pair,
    padding: Padding<[[usize; 2]; 2]>,
    dilation: Pair,
    groups: usize,
    #[cfg_attr(feature = "serde", serde(flatten))]
    weights: Weights,
}

impl Conv2d {
    /// Creates a convolution to `outputs` channels with a kernel of this (height, width), or of one size for both:
    /// stride 1, no padding, with a bias.
    #[must_use]
    pub fn new(outputs: usize, kernel: impl Into<Pair>) -> Self {
        Self {
            outputs,
            kernel: kernel.into(),
            stride: Pair([1; 2]),
            padding: Padding::from(0),
            dilation: Pair([1; 2]),
            groups: 1,
            weights: Weights::default(),
        }
    }

    setters! {
        /// Sets the stride: the distance from one output to the next.
        stride(stride: impl Into<Pair>) stride = stride.into();
        /// Adds zeros around the image: a number for all sides, `[height, width]`, `[[above, below], [left, right]]`,
        /// or [`Padding::Same`].
        padding(padding: impl Into<Padding<[[usize; 2]; 2]>>) padding = padding.into();
        /// Sets the dilation: the distance from one tap of the kernel to the next.
        dilation(dilation: impl Into<Pair>) dilation = dilation.into();
        /// Sets the number of groups of channels and outputs; as many as channels make a depthwise convolution.
        groups: usize;
        /// Leaves the bias out, as before a normalisation.
        no_bias() weights.bias = false;
        /// Starts the weight as `init` says.
        init(init: Init) weights.init = init;
        /// Starts the bias as `init` says.
        bias_init(init: Init) weights.bias_init = init;
    }

    fn convolution(&self, x: Shape) -> Result<Convolution, BuildError> {
        let [channels, height, width] = super::image("Conv2d", x)?;
        let along = |axis: usize| AxisSettings {
            kernel: self.kernel.0[axis],
            stride: self.stride.0[axis],
            dilation: self.dilation.0[axis],
            padding: match self.padding {
                Padding::Sides(sides) => Some(sides[axis]),
                Padding::Same => None,
            },
        };
        let axes = [along(0).convolution("Conv2d", height)?, along(1).convolution("Conv2d", width)?];
        super::convolution("Conv2d", [channels, self.outputs, self.groups], axes)
    }
}

impl Layer for Conv2d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Conv2d", inputs)?;
        let convolution = self.convolution(x)?;
        let [height, width] = convolution.axes();
        let output = [self.outputs, height.output, width.output];
        let weight = [self.outputs, x[0] / self.groups, height.kernel, width.kernel];
        self.weights.signature("Conv2d", &output, &weight, convolution.scratch_len())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        super::forward(&super::known(self.convolution(pass.x[0].shape())), self.weights.bias, pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        super::backward(&super::known(self.convolution(pass.x[0].shape())), self.weights.bias, pass);
    }
}
