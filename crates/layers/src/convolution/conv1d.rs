use downhill_tensor::convolution::Convolution;
use downhill_tensor::{BuildError, Init, Scalar, Shape};

use super::{ABSENT, AxisSettings, Padding, Weights};
use crate::errors::wrong_rank;
use crate::{Backward, Forward, Layer, Signature, single_input};

/// A convolution of signals: each output is a weighted sum of the inputs around it.
///
/// With stride s, dilation d and p zeros before the first number,
///
/// ```text
/// y[o, i] = b[o] + Σ_c Σ_u w[o, c, u] · x[c, i·s + u·d − p]
/// ```
///
/// with x = 0 outside the signal; c runs over the channels of o's group.
/// The local derivatives are the numbers that y is linear in:
///
/// ```text
/// dJ/dw[o, c, u] = Σ_batch Σ_i dy[o, i] · x[c, i·s + u·d − p]
/// dJ/db[o]       = Σ_batch Σ_i dy[o, i]
/// dJ/dx[c, k]    = Σ dy[o, i] · w[o, c, u]   over i·s + u·d − p = k
/// ```
///
/// For a *causal* convolution, whose output sees no later input, put all the padding before the signal:
/// `[dilation * (kernel - 1), 0]`.
///
/// # Shapes
/// x is (batch, channels, length), w is (outputs, channels / groups, kernel), b is (outputs),
/// y is (batch, outputs, length') with length' = ⌊(length + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
/// Keras has the channels last; this is PyTorch's order.
///
/// # Start
/// Weight and bias start uniformly in ±1/√n for the n = channels/groups · kernel terms of a sum, as in PyTorch.
/// Keras starts with Glorot's uniform weights and a bias of zero.
///
/// # Errors
/// Returns an error if x is no signal of channels, the groups do not divide the channels, the kernel is larger than the
/// padded signal, padding "same" meets a stride, or a size is zero.
///
/// # Source
/// Waibel, Hanazawa, Hinton, Shikano and Lang 1989, "Phoneme recognition using time-delay neural networks".
/// Derivation: `docs/derivations/layers/conv1d.md`.
///
/// ```
/// use downhill_layers::{Conv1d, Layer};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut differences = Conv1d::new(1, 2).no_bias().bind::<f64>([1, 4], Seed(1))?;
/// differences.set("weight", [-1.0, 1.0])?;
/// let y = differences.forward([[1.0, 4.0, 9.0, 16.0]])?;
/// assert_eq!(y, array![[3.0, 5.0, 7.0]]);
/// let dx = differences.backward([[1.0, 1.0, 1.0]])?;
/// assert_eq!(dx, array![[-1.0, 0.0, 0.0, 1.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conv1d {
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: Padding<[usize; 2]>,
    dilation: usize,
    groups: usize,
    #[cfg_attr(feature = "serde", serde(flatten))]
    weights: Weights,
}

impl Conv1d {
    /// Creates a convolution to `outputs` channels with a kernel of this length: stride 1, no padding, with a bias.
    #[must_use]
    pub fn new(outputs: usize, kernel: usize) -> Self {
        let padding = Padding::from(0);
        Self { outputs, kernel, stride: 1, padding, dilation: 1, groups: 1, weights: Weights::default() }
    }

    setters! {
        /// Sets the stride: the distance from one output to the next.
        stride: usize;
        /// Adds zeros around the signal: a number for either side, `[before, after]`, or [`Padding::Same`].
        padding(padding: impl Into<Padding<[usize; 2]>>) padding = padding.into();
        /// Sets the dilation: the distance from one tap of the kernel to the next.
        dilation: usize;
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
        let &[channels, length] = x.axes() else {
            return Err(wrong_rank("Conv1d", x, "a signal of (channels, length) per example", "put Reshape before it"));
        };
        let along = AxisSettings {
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: match self.padding {
                Padding::Sides(sides) => Some(sides),
                Padding::Same => None,
            },
        };
        let axes = [ABSENT, along.convolution("Conv1d", length)?];
        super::convolution("Conv1d", [channels, self.outputs, self.groups], axes)
    }
}

impl Layer for Conv1d {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Conv1d", inputs)?;
        let convolution = self.convolution(x)?;
        let output = [self.outputs, convolution.axes()[1].output];
        let weight = [self.outputs, x[0] / self.groups, self.kernel];
        self.weights.signature("Conv1d", &output, &weight, convolution.scratch_len())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        super::forward(&super::known(self.convolution(pass.x[0].shape())), self.weights.bias, pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        super::backward(&super::known(self.convolution(pass.x[0].shape())), self.weights.bias, pass);
    }
}
