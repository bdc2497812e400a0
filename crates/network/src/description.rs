use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use downhill_layers::Description;
use downhill_layers::erased::ErasedLayer;
use downhill_optim::Segment;
use downhill_tensor::{BuildError, Scalar, Seed, Shape};

use crate::graph::at;
use crate::network::divide;
use crate::{CustomLayers, Graph, Network, Node};

/// The wiring of a network as data, without its numbers: what a file holds in addition to θ.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([4], sequential![Affine::new(8), Relu, Affine::new(3)], Seed(1))?;
/// let description = network.description()?;
/// let again: Network<f32> = description.build()?;
/// assert_eq!(again.parameters(), network.parameters());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NetworkDescription {
    /// The shape of one example of each input; these are the nodes 0, 1, ...
    pub inputs: Vec<Shape>,
    /// The layers, in the order in which they run; each makes the next node.
    pub steps: Vec<StepDescription>,
    /// The node that is the prediction.
    pub output: usize,
    /// The seed that the parameters started from, and that random layers draw from.
    pub seed: Seed,
}

/// One layer at its place.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "written::Step", into = "written::Step"))]
#[non_exhaustive]
pub struct StepDescription {
    /// The dotted name, such as `2.0`.
    pub name: String,
    /// The layer.
    pub layer: LayerDescription,
    /// The nodes it reads.
    pub inputs: Vec<usize>,
    /// Whether its parameters stay as they are.
    pub frozen: bool,
    /// The earlier step whose parameters it shares.
    pub shares: Option<usize>,
}

/// One of the library's own layers, or a custom one.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerDescription {
    /// A layer of downhill-layers.
    Library(Description),
    /// A layer that [`CustomLayers`] know.
    Custom {
        /// The name that it is registered under.
        name: String,
        /// Its settings, as its own functions write and read them.
        settings: String,
    },
}

impl LayerDescription {
    /// The layer, if it is one of the library's own.
    #[must_use]
    pub fn library(&self) -> Option<&Description> {
        if let Self::Library(layer) = self { Some(layer) } else { None }
    }
}

/// The form of a step in a file: `"layer": {"type": "Relu"}`, or `"custom": {"name": ..., "settings": ...}`.
#[cfg(feature = "serde")]
mod written {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Step {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layer: Option<Description>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        custom: Option<Custom>,
        inputs: Vec<usize>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        frozen: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shares: Option<usize>,
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Custom {
        name: String,
        #[serde(default)]
        settings: String,
    }

    impl From<StepDescription> for Step {
        fn from(step: StepDescription) -> Self {
            let StepDescription { name, layer, inputs, frozen, shares } = step;
            let (layer, custom) = match layer {
                LayerDescription::Library(layer) => (Some(layer), None),
                LayerDescription::Custom { name, settings } => (None, Some(Custom { name, settings })),
            };
            Self { name, layer, custom, inputs, frozen, shares }
        }
    }

    impl TryFrom<Step> for StepDescription {
        type Error = String;

        fn try_from(step: Step) -> Result<Self, String> {
            let Step { name, layer, custom, inputs, frozen, shares } = step;
            let layer = match (layer, custom) {
                (Some(layer), None) => LayerDescription::Library(layer),
                (None, Some(Custom { name, settings })) => LayerDescription::Custom { name, settings },
                _ => return Err(format!("the step `{name}` must hold either `layer` or `custom`")),
            };
            Ok(Self { name, layer, inputs, frozen, shares })
        }
    }
}

/// Why a network can't be written as a description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescriptionError {
    /// A layer is neither one of the library's own nor registered.
    Unknown {
        /// Its place; empty outside any chain.
        place: String,
        /// Its name.
        layer: &'static str,
    },
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Unknown { place, layer } = self;
        if place.is_empty() {
            write!(f, "the layer {layer}")?
        } else {
            write!(f, "layer `{place}` ({layer})")?
        }
        f.write_str(
            " is not one of downhill-layers, so it can't be described as data; register it with `CustomLayers`, or \
             rebuild the network in code and load its parameters",
        )
    }
}

impl Error for DescriptionError {}

impl<T: Scalar> Network<T> {
    /// Describes the wiring of this network as data.
    ///
    /// # Errors
    /// Returns an error if a layer is a custom one, for which [`describe_with`](Network::describe_with) is made.
    pub fn description(&self) -> Result<NetworkDescription, DescriptionError> {
        self.describe_with(&CustomLayers::new())
    }

    /// Describes the wiring of this network, which may hold these custom layers, as data.
    ///
    /// # Errors
    /// Returns an error if a layer is neither of the library nor registered.
    pub fn describe_with(&self, custom: &CustomLayers) -> Result<NetworkDescription, DescriptionError> {
        let program = self.program();
        let number = program.numbers();
        let steps = program.steps.iter().zip(&program.owners).enumerate().map(|(index, (step, &owner))| {
            let layer = step.layer.as_any();
            let layer = Description::of(layer).map(LayerDescription::Library).or_else(|| custom.describe(layer));
            let unknown = || DescriptionError::Unknown { place: step.name.clone(), layer: step.signature.name() };
            let inputs = step.inputs.iter().map(|&node| number[node]).collect();
            let shares = Some(owner).filter(|&owner| owner != index);
            let layer = layer.ok_or_else(unknown)?;
            Ok(StepDescription { name: step.name.clone(), layer, inputs, frozen: step.frozen, shares })
        });
        Ok(NetworkDescription {
            inputs: self.input_shapes(),
            steps: steps.collect::<Result<_, _>>()?,
            output: number[program.output],
            seed: self.seed(),
        })
    }
}

impl NetworkDescription {
    /// Builds the network, with parameters started from the seed. [`Network::restore`] sets those of a saved state.
    ///
    /// # Errors
    /// Returns an error if the description does not fit together, as one from a file may not, or holds a custom layer.
    pub fn build<T: Scalar>(&self) -> Result<Network<T>, BuildError> {
        self.build_with(&CustomLayers::new())
    }

    /// Builds the network, which may hold these custom layers.
    ///
    /// # Errors
    /// Returns the errors of [`build`](Self::build), and one if a custom layer is not registered or refuses its
    /// settings.
    pub fn build_with<T: Scalar>(&self, custom: &CustomLayers) -> Result<Network<T>, BuildError> {
        let (graph, output) = self.wire(custom)?;
        Network::from_graph(&graph, output, self.seed)
    }

    /// Builds the network with zero for every parameter and running statistic, for numbers that are read from a file to
    /// overwrite: drawing a start takes longer than reading it.
    ///
    /// # Errors
    /// Returns the errors of [`build_with`](Self::build_with).
    #[cfg_attr(not(feature = "serde"), inline)]
    pub fn build_zeroed<T: Scalar>(&self, custom: &CustomLayers) -> Result<Network<T>, BuildError> {
        let (graph, output) = self.wire(custom)?;
        Network::zeroed(&graph, output, self.seed)
    }

    /// The parameters and the running statistics that the network would have, without making any: what a reader
    /// compares with the numbers in a file before it asks for memory.
    ///
    /// # Errors
    /// Returns the errors of [`build_with`](Self::build_with).
    // Compiled here, it would bring the code of all layers into every program: 40 s of a processor's time.
    #[cfg_attr(not(feature = "serde"), inline)]
    pub fn segments(&self, custom: &CustomLayers) -> Result<(Vec<Segment>, Vec<Segment>), BuildError> {
        let (graph, output) = self.wire(custom)?;
        let division = divide(&graph.program(output)?);
        Ok((division.segments, division.statistic_segments))
    }

    #[cfg_attr(not(feature = "serde"), inline)]
    fn wire(&self, custom: &CustomLayers) -> Result<(Graph, Node), BuildError> {
        let mut graph = Graph::new();
        for &input in &self.inputs {
            graph.input(input);
        }
        let lenders: HashSet<usize> = self.steps.iter().filter_map(|step| step.shares).collect();
        for (index, step) in self.steps.iter().enumerate() {
            let inputs: Vec<Node> = step.inputs.iter().map(|&node| graph.nth(node)).collect();
            if let Some(owner) = step.shares
                && (owner >= index || self.steps[owner].shares.is_some())
            {
                let reason = format!(
                    "step {index} (`{}`) shares the parameters of step {owner}, but only an earlier step that shares \
                     none itself can lend them",
                    step.name
                );
                return Err(BuildError::Wiring { by: "the description", reason });
            }
            let layer: Arc<dyn ErasedLayer> = match &step.layer {
                LayerDescription::Library(layer) => Arc::new(layer.clone()),
                LayerDescription::Custom { name, settings } => {
                    custom.build(name, settings).map_err(|error| at(&step.name, error))?
                }
            };
            let place = |graph: &mut Graph| graph.place_erased(layer, &inputs);
            let place = |graph: &mut Graph| if step.frozen { graph.frozen(place) } else { place(graph) };
            let owner = step.shares.or_else(|| lenders.contains(&index).then_some(index));
            graph.scoped(&step.name, |graph| match owner {
                Some(owner) => graph.sharing(owner, place),
                None => place(graph),
            })?;
        }
        let output = graph.nth(self.output);
        Ok((graph, output))
    }
}
