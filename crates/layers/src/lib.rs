//! Layers that state their own local derivatives.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[macro_use]
#[doc(hidden)]
pub mod erased;
#[macro_use]
mod errors;
#[macro_use]
mod setters;

mod activation;
mod activations;
mod affine;
mod arrays;
mod attention;
mod bilinear;
mod bound;
mod convolution;
mod description;
mod dropout;
mod embedding;
mod few;
mod finite_padding;
mod glu;
mod layer;
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

pub use activation::Activation;
pub use activations::{
    Celu, Elu, Gelu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, Mish, Relu, Relu6,
    Selu, Sigmoid, Silu, Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use affine::Affine;
pub use arrays::{Arrays, ArraysMut, Declaration, Extent, Layout};
pub use attention::MultiHeadAttention;
pub use bilinear::Bilinear;
pub use bound::Bound;
pub use convolution::{Conv1d, Conv2d, ConvTranspose2d, Padding};
pub use description::Description;
pub use dropout::Dropout;
pub use embedding::{Embedding, LearntPositions, RotaryPositions, SinusoidalPositions};
pub use finite_padding::FinitePadding;
pub use glu::Glu;
pub use layer::Layer;
pub use merge::{Add, Concat, Mean, Multiply, Sum};
pub use normalisation::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm};
pub use pair::Pair;
pub use pass::{AllGather, Backward, Forward, Inputs, InputsMut, MAX_INPUTS, Mode, Streams};
pub use pooling::{
    AdaptiveAveragePool1d, AdaptiveAveragePool2d, AveragePool1d, AveragePool2d, GlobalAveragePool, MaxPool1d, MaxPool2d,
};
pub use prelu::PRelu;
pub use recurrent::{Cell, CellGradient, Gru, GruCell, Lstm, LstmCell, Recurrent, Rnn, RnnCell};
pub use resize::{Interpolation, Pad, PadMode, Upsample};
pub use rrelu::RRelu;
pub use scale::Scale;
pub use shape::{Flatten, Permute, Reshape, Slice};
pub use signature::{Parameter, Signature, WholeNumbers, single_input};
pub use softmax::{LogSoftmax, Softmax, Softmin};
pub use spatial_dropout::SpatialDropout;
