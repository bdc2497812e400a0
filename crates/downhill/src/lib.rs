//! Gradient-descent learning with explicit backpropagation.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use downhill_data as data;
pub use downhill_gradcheck as gradcheck;
pub use downhill_layers as layers;
pub use downhill_losses as losses;
pub use downhill_network as network;
pub use downhill_optim as optim;
pub use downhill_tensor as tensor;
pub use downhill_train as train;
pub use ndarray;

pub use downhill_network::{branches, sequential};

/// What most programs need: `use downhill::prelude::*`.
pub mod prelude {
    pub use std::ops::ControlFlow;

    pub use crate::data::{Batches, Dataset, MinMaxScaler, Scaler, StandardScaler, Targets};
    pub use crate::layers::*;
    pub use crate::losses::{
        BinaryCrossEntropyWithLogits, Huber, Loss, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy, Target,
    };
    pub use crate::network::{
        Block, Branches, Frozen, Gated, Graph, Named, Network, NetworkObjective, Node, Purpose, Repeat, Residual,
        Sequential, Shared, TransformerEncoderBlock,
    };
    pub use crate::optim::{Adam, AdamW, GradientDescent, Objective, Optimizer, Penalty, Sgd};
    pub use crate::tensor::threads::Threads;
    pub use crate::tensor::{Batch, BuildError, Init, Scalar, Seed, Shape, ShapeError};
    pub use crate::train::metrics::{self, Accuracy};
    pub use crate::train::{EarlyStopping, History, Metric, Progress, StopHandle, Trainer, evaluate};
    pub use crate::{branches, sequential};
}
