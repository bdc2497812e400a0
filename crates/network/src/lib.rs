//! Wiring layers into networks.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod block;
mod custom_layers;
mod description;
mod graph;
mod memory;
mod network;
mod objective;
mod passes;
mod place;
mod predict;
mod state;
mod step;
mod summary;
mod transformer;
mod workspace;

pub use block::{Block, Branches, Frozen, Gated, Named, Repeat, Residual, Sequential, Shared};
pub use custom_layers::CustomLayers;
pub use description::{DescriptionError, LayerDescription, NetworkDescription, StepDescription};
pub use graph::{Graph, Node};
pub use memory::Purpose;
pub use network::Network;
pub use objective::{NetworkObjective, PassError};
pub use passes::BackwardObserver;
pub use place::{Passed, Place, PlaceGradients};
pub use predict::PredictError;
pub use state::{NamedArray, NetworkState, StateError};
pub use summary::{Kept, LayerSummary, Summary};
pub use transformer::TransformerEncoderBlock;
pub use workspace::Workspace;
