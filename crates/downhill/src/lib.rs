//! Gradient-descent learning with explicit backpropagation.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use downhill_data as data;
#[cfg(feature = "explain")]
pub use downhill_explain as explain;
#[cfg(feature = "formats")]
pub use downhill_formats as formats;
#[cfg(feature = "gradcheck")]
pub use downhill_gradcheck as gradcheck;
pub use downhill_layers as layers;
#[cfg(any(feature = "log", feature = "dashboard"))]
pub use downhill_log as log;
pub use downhill_losses as losses;
#[cfg(feature = "model")]
pub use downhill_model as model;
pub use downhill_network as network;
pub use downhill_optim as optim;
#[cfg(feature = "plot")]
pub use downhill_plot as plot;
pub use downhill_tensor as tensor;
pub use downhill_train as train;
#[cfg(feature = "tune")]
pub use downhill_tune as tune;
pub use ndarray;

pub use downhill_network::{branches, sequential};

/// The names that most programs need: `use downhill::prelude::*`.
///
/// They are those that the examples share; import any other from its crate, such as `downhill::layers` or
/// `downhill::optim::schedule`.
pub mod prelude {
    pub use crate::data::{Dataset, Scaler, StandardScaler, Targets};
    #[cfg(feature = "explain")]
    pub use crate::explain::Explain;
    pub use crate::layers::{
        Affine, Conv2d, Dropout, Embedding, Flatten, Gelu, Layer, LayerNorm, Lstm, MaxPool2d, Mode, Relu, Sigmoid, Tanh,
    };
    pub use crate::losses::{BinaryCrossEntropyWithLogits, Loss, MeanSquaredError, SoftmaxCrossEntropy, Target};
    pub use crate::network::{Network, Purpose, Residual};
    pub use crate::optim::{Adam, AdamW, GradientDescent, Optimizer, Sgd};
    pub use crate::tensor::{Batch, BuildError, Scalar, Seed, ShapeError};
    pub use crate::train::metrics::Accuracy;
    pub use crate::train::{EarlyStopping, Metric, Progress, Trainer, evaluate};
    pub use crate::{branches, sequential};
}
