//! Layers that slide one small weight over signals and images.

use downhill_tensor::convolution::{Axis, Convolution};
use downhill_tensor::{BuildError, Init, Scalar, Shape};

use crate::errors::wrong_rank;
use crate::{Backward, Extent, Forward, Parameter, Signature};

mod conv1d;
mod conv2d;
mod conv_transpose2d;

pub use conv_transpose2d::ConvTranspose2d;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;

/// The zeros that a convolution sees around its input. `S` holds the number for each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Padding<S> {
    /// The number on each side: (before, after), of each axis if there are two.
    Sides(S),
    /// Zeros that make the output as long as the input, with a stride of 1.
    ///
    /// If their number along an axis is odd, which it is for kernels of even length, the one more is after the
    /// input, as in PyTorch's and Keras's `"same"`.
    Same,
}

/// As many zeros on either side.
impl From<usize> for Padding<[usize; 2]> {
    fn from(either: usize) -> Self {
        Self::Sides([either; 2])
    }
}

/// Zeros (before, after).
impl From<[usize; 2]> for Padding<[usize; 2]> {
    fn from(sides: [usize; 2]) -> Self {
        Self::Sides(sides)
    }
}

/// As many zeros on all four sides.
impl From<usize> for Padding<[[usize; 2]; 2]> {
    fn from(all: usize) -> Self {
        Self::Sides([[all; 2]; 2])
    }
}

/// Zeros (above and below, left and right), as PyTorch's `padding` has them.
impl From<[usize; 2]> for Padding<[[usize; 2]; 2]> {
    fn from([height, width]: [usize; 2]) -> Self {
        Self::Sides([[height; 2], [width; 2]])
    }
}

/// Zeros ((above, below), (left, right)).
impl From<[[usize; 2]; 2]> for Padding<[[usize; 2]; 2]> {
    fn from(sides: [[usize; 2]; 2]) -> Self {
        Self::Sides(sides)
    }
}

/// The settings of a convolution along one axis.
#[derive(Clone, Copy)]
struct AxisSettings {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// `None` for "same".
    padding: Option<[usize; 2]>,
}

/// An axis that is not there.
const ABSENT: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, padding: 0 };

impl AxisSettings {
    /// The axis of a convolution of `input` numbers.
    fn convolution(self, by: &'static str, input: usize) -> Result<Axis, BuildError> {
        let Self { kernel, stride, dilation, .. } = self;
        let span = self.span(by)?;
        let padding = match self.padding {
            Some(padding) => padding,
            None if stride == 1 => [(span - 1) / 2, (span - 1).div_ceil(2)],
            None => {
                return refuse!(by, "padding \"same\" needs a stride of 1, but the stride is {stride}");
            }
        };
        let padded = input.checked_add(padding[0]).and_then(|sum| sum.checked_add(padding[1]));
        let padded = padded.ok_or_else(|| too_large(by))?;
        let Some(rest) = padded.checked_sub(span) else {
            return refuse!(
                by,
                "a kernel of {kernel} with dilation {dilation} spans {span} numbers, but an input of {input} with \
                     padding {} and {} has only {padded}; take a smaller kernel or more padding",
                padding[0],
                padding[1]
            );
        };
        Ok(Axis { input, output: rest / stride + 1, kernel, stride, dilation, padding: padding[0] })
    }

    /// The axis of the convolution whose transpose makes an output from `input` numbers:
    /// (input − 1)·stride + span + `more` − padding.
    fn transposed(self, by: &'static str, input: usize, more: usize) -> Result<Axis, BuildError> {
        let Self { kernel, stride, dilation, .. } = self;
        let span = self.span(by)?;
        if more >= stride && more >= dilation {
            return refuse!(
                by,
                "the output padding {more} must be smaller than the stride {stride} or the dilation {dilation}"
            );
        }
        let [before, after] = self.padding.unwrap_or_default();
        let whole = input.saturating_sub(1).checked_mul(stride).and_then(|reach| reach.checked_add(span));
        let (whole, cut) = match (whole.and_then(|whole| whole.checked_add(more)), before.checked_add(after)) {
            (Some(whole), Some(cut)) => (whole, cut),
            _ => return Err(too_large(by)),
        };
        if cut >= whole {
            return refuse!(by, "of {whole} numbers the padding {before} and {after} leaves none; take less padding");
        }
        Ok(Axis { input: whole - cut, output: input, kernel, stride, dilation, padding: before })
    }

    /// The distance from the first tap to the last, both included.
    fn span(self, by: &'static str) -> Result<usize, BuildError> {
        let Self { kernel, stride, dilation, .. } = self;
        if kernel == 0 || stride == 0 || dilation == 0 {
            return refuse!(by, "kernel {kernel}, stride {stride} and dilation {dilation} must all be at least 1");
        }
        let span = (kernel - 1).checked_mul(dilation).and_then(|taps| taps.checked_add(1));
        span.ok_or_else(|| too_large(by))
    }
}

/// The initialisers of a convolution, and whether it has a bias.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Weights {
    bias: bool,
    init: Init,
    bias_init: Init,
}

impl Default for Weights {
    fn default() -> Self {
        Self { bias: true, init: Init::FanInUniform, bias_init: Init::FanInUniform }
    }
}

impl Weights {
    /// Weight and bias of a layer with this output. `weight` has the axes in which it lies; its fans are PyTorch's:
    /// those of the convolution, the transposed one for a transposed layer.
    fn signature(
        &self,
        by: &'static str,
        output: &[usize],
        weight: &[usize],
        workspace: usize,
    ) -> Result<Signature, BuildError> {
        let (output, weight) = (shape(by, output)?, shape(by, weight)?);
        self.init.check()?;
        self.bias_init.check()?;
        let fans = [weight.len() / weight[0], weight.len() / weight[1]];
        let parameter = |name, shape: Shape, init| Parameter::new(name, shape, init).fans(fans[0], fans[1]);
        Ok(Signature::new(by, output)
            .parameter(parameter("weight", weight, self.init))
            .parameter_if(self.bias, parameter("bias", [output[0]].into(), self.bias_init))
            .scratch("workspace", [workspace], Extent::PerBatch)
            .backward_without_y())
    }
}

/// Checks the channels before a convolution is made of them.
fn convolution(
    by: &'static str,
    [channels, outputs, groups]: [usize; 3],
    axes: [Axis; 2],
) -> Result<Convolution, BuildError> {
    if channels == 0 || outputs == 0 || groups == 0 {
        return refuse!(by, "{channels} channels, {outputs} outputs and {groups} groups are not all at least 1");
    }
    if channels % groups > 0 || outputs % groups > 0 {
        return refuse!(by, "{groups} groups must divide both the {channels} input channels and the {outputs} outputs");
    }
    if axes.iter().any(|axis| axis.input == 0 || axis.output == 0) {
        return refuse!(by, "an axis of the input is empty, but must hold at least one number");
    }
    Convolution::new(channels, outputs, groups, axes).ok_or_else(|| too_large(by))
}

fn too_large(by: &'static str) -> BuildError {
    BuildError::Setting { by, reason: "the sizes are larger than can be counted; take smaller ones".into() }
}

fn shape(by: &'static str, axes: &[usize]) -> Result<Shape, BuildError> {
    Shape::new(axes).ok_or_else(|| too_large(by))
}

/// (channels, height, width) of an image.
fn image(by: &'static str, x: Shape) -> Result<[usize; 3], BuildError> {
    let expected = "an image of (channels, height, width) per example";
    x.axes().try_into().map_err(|_| wrong_rank(by, x, expected, "put Reshape before it"))
}

/// The convolution of a pass, made again from the shape: 570 instructions, 1 % of a pass over even an 8 x 8 image.
fn known(convolution: Result<Convolution, BuildError>) -> Convolution {
    match convolution {
        Ok(convolution) => convolution,
        Err(error) => unreachable!("the signature has checked the sizes: {error}"),
    }
}

/// y = w ⋆ x + b.
fn forward<T: Scalar>(convolution: &Convolution, bias: bool, pass: &mut Forward<'_, T>) {
    let (weight, bias) = (pass.params.vector(0), bias.then(|| pass.params.vector(1)));
    convolution.forward(pass.x[0].slice(), weight, bias, pass.y.slice(), pass.scratch.vector(0));
}

/// dJ/dw, dJ/db, and dJ/dx if it is asked for.
fn backward<T: Scalar>(convolution: &Convolution, bias: bool, pass: &mut Backward<'_, T>) {
    let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
    let (dweight, dbias) = pass.dparams.weight_and_bias(bias);
    convolution.weight_gradient(x, dy, dweight, dbias, pass.scratch.vector(0));
    if let Some(dx) = pass.dx.get(0) {
        convolution.input_gradient(dy, pass.params.vector(0), None, dx.slice(), pass.scratch.vector(0));
    }
}
