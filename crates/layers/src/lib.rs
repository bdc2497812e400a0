//! Layers that state their own local derivatives.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[macro_use]
#[doc(hidden)]
pub mod erased;

mod activation;
mod activations;
mod affine;
mod attention;
mod bilinear;
mod bound;
mod convolution;
mod description;
mod dropout;
mod embedding;
mod glu;
mod merge;
mod normalisation;
mod pair;
mod pass;
mod pooling;
mod prelu;
mod recurrent;
mod resize;
mod rrelu;
mod scale;
mod shape;
mod signature;
mod softmax;
mod spatial_dropout;

use std::fmt::Debug;

use downhill_tensor::{Scalar, Seed, Shape, ShapeError};

pub use activation::Activation;
pub use activations::{
    Celu, Elu, Gelu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, Mish, Relu, Relu6,
    Selu, Sigmoid, Silu, Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use affine::Affine;
pub use attention::MultiHeadAttention;
pub use bilinear::Bilinear;
pub use bound::Bound;
pub use convolution::{Conv1d, Conv2d, ConvTranspose2d, Padding};
pub use description::Description;
pub use dropout::Dropout;
pub use embedding::{Embedding, LearntPositions, RotaryPositions, SinusoidalPositions};
pub use glu::Glu;
pub use merge::{Add, Concat, Mean, Multiply, Sum};
pub use normalisation::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm};
pub use pair::Pair;
pub use pass::{Backward, Forward, Inputs, InputsMut, MAX_INPUTS, Mode, Params, ParamsMut, Streams};
pub use pooling::{
    AdaptiveAveragePool1d, AdaptiveAveragePool2d, AveragePool1d, AveragePool2d, GlobalAveragePool, MaxPool1d, MaxPool2d,
};
pub use prelu::PRelu;
pub use recurrent::{Cell, CellGradient, Gru, GruCell, Lstm, LstmCell, Recurrent, Rnn, RnnCell};
pub use resize::{Interpolation, Pad, PadMode, Upsample};
pub use rrelu::RRelu;
pub use scale::Scale;
pub use shape::{Flatten, Permute, Reshape, Slice};
pub use signature::{Parameter, Signature, WholeNumbers, sole};
pub use softmax::{LogSoftmax, Softmax, Softmin};
pub use spatial_dropout::SpatialDropout;

/// A differentiable function y = f(x; θ) and its chain rule, written once for every precision.
///
/// A layer owns no weights: it is a description, and pure functions that are handed their stretch of θ.
/// The three methods without a default are the whole contract.
///
/// ```
/// use downhill_layers::{Backward, Forward, Layer, Signature, sole};
/// use downhill_tensor::{Scalar, Shape, ShapeError, elementwise};
///
/// /// y = x²
/// #[derive(Clone, Debug)]
/// struct Square;
///
/// impl Layer for Square {
///     fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError> {
///         Ok(Signature::new("Square", sole("Square", inputs)?))
///     }
///     fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
///         elementwise::map(pass.x[0].slice(), pass.y.slice(), |x| x * x);
///     }
///     fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
///         // dy/dx = 2x
///         if let Some(dx) = pass.dx.get(0) {
///             let two = T::of(2.0);
///             elementwise::zip_map(pass.x[0].slice(), pass.dy.slice(), dx.slice(), |x, dy| two * x * dy);
///         }
///     }
/// }
/// ```
pub trait Layer: Debug + Send + Sync {
    /// What the layer makes of inputs of these per-example shapes: the output's shape, the parameters it wants,
    /// how many numbers it keeps for `backward`, and what the memory plan may assume.
    ///
    /// This is the only fallible method: after it, sizes are known to fit.
    ///
    /// # Errors
    /// Where the inputs do not fit the layer, or a setting of the layer lies outside its range.
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError>;

    /// Overwrites all of y, and in `saved` whatever local derivatives can't be had from x and y.
    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>);

    /// The chain rule at this layer: from dJ/dy to dJ/dx (for those inputs that ask) and dJ/dθ.
    ///
    /// Overwrites all it is asked for. Who needs a sum (fan-out, shared weights, micro-batches) adds.
    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>);

    /// Takes what a training pass has saved into the running statistics. Few layers have any.
    fn absorb<T: Scalar>(&self, saved: &[T], examples: usize, statistics: &mut ParamsMut<'_, T>) {
        let _ = (saved, examples, statistics);
    }

    passes! {
        #[doc(hidden)]
        #[inline]
        [self] [&self]
    }

    /// This layer alone, with parameters and buffers of its own, for inputs of one shape.
    ///
    /// # Errors
    /// As for [`signature`](Layer::signature).
    fn bind<T: Scalar>(self, input: impl Into<Shape>, seed: Seed) -> Result<Bound<Self, T>, ShapeError>
    where
        Self: Sized,
    {
        Bound::new(self, &[input.into()], seed)
    }
}
