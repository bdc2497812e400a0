use std::any::Any;

use downhill_tensor::{BuildError, Scalar, Shape};

use crate::erased::ErasedLayer;
use crate::*;

macro_rules! description {
    ($($Layer:ident),* $(,)?) => {
        /// Any layer of this crate as data, for files and for lists of layers.
        ///
        /// It is itself a layer. With the feature `serde` it is written with its name:
        /// `{"type": "Affine", "outputs": 256, ...}`.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(tag = "type"))]
        #[non_exhaustive]
        pub enum Description {
            $(
                #[doc = concat!("See [`", stringify!($Layer), "`](crate::", stringify!($Layer), ").")]
                $Layer($Layer),
            )*
        }

        impl Description {
            /// The names of all layers of this crate.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($Layer)),*];

            /// Describes a layer of unknown type, if it is one of this crate.
            #[must_use]
            pub fn of(layer: &dyn Any) -> Option<Self> {
                if let Some(description) = layer.downcast_ref::<Self>() {
                    return Some(description.clone());
                }
                $(
                    if let Some(layer) = layer.downcast_ref::<$Layer>() {
                        return Some(Self::$Layer(layer.clone()));
                    }
                )*
                None
            }

            /// The layer that is described, to find its type.
            #[must_use]
            pub fn inner(&self) -> &dyn Any {
                match self {
                    $(Self::$Layer(layer) => layer,)*
                }
            }

            // Inlined, and so are its callers that are not generic, where the layers are not compiled here: their code
            // is then compiled by programs that build networks from descriptions, and not by those that name their
            // layers.
            #[cfg_attr(not(feature = "serde"), inline)]
            fn layer(&self) -> &dyn ErasedLayer {
                match self {
                    $(Self::$Layer(layer) => layer,)*
                }
            }
        }

        $(
            impl From<$Layer> for Description {
                fn from(layer: $Layer) -> Self {
                    Self::$Layer(layer)
                }
            }
        )*
    };
}

// One line for each layer, so that a change shows as one.
description! {
    AdaptiveAveragePool1d,
    AdaptiveAveragePool2d,
    Add,
    Affine,
    AveragePool1d,
    AveragePool2d,
    BatchNorm,
    Bilinear,
    Celu,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Elu,
    Embedding,
    FinitePadding,
    Flatten,
    Gelu,
    GlobalAveragePool,
    Glu,
    GroupNorm,
    Gru,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    InstanceNorm,
    LayerNorm,
    LeakyRelu,
    LearntPositions,
    LogSigmoid,
    LogSoftmax,
    Lstm,
    MaxPool1d,
    MaxPool2d,
    Mean,
    Mish,
    MultiHeadAttention,
    Multiply,
    PRelu,
    Pad,
    Permute,
    RRelu,
    Relu,
    Relu6,
    Reshape,
    RmsNorm,
    Rnn,
    RotaryPositions,
    Scale,
    Selu,
    Sigmoid,
    Silu,
    SinusoidalPositions,
    Slice,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    SpatialDropout,
    Sum,
    Tanh,
    Tanhshrink,
    Threshold,
    Upsample,
}

impl Layer for Description {
    compiled!();

    #[cfg_attr(not(feature = "serde"), inline)]
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        self.layer().signature(inputs)
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        self.layer().forward(pass);
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        self.layer().backward(pass);
    }

    fn absorb<T: Scalar>(&self, saved: Arrays<'_, T>, statistics: &mut ArraysMut<'_, T>) {
        self.layer().absorb(saved, statistics);
    }
}
