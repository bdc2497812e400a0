use std::error::Error;
use std::fmt;

use downhill_layers::Description;
use downhill_tensor::{BuildError, Scalar, Seed, Shape};

use crate::{Graph, Network, Node};

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
#[non_exhaustive]
pub struct StepDescription {
    /// The dotted name, such as `2.0`.
    pub name: String,
    /// The layer.
    pub layer: Description,
    /// The nodes it reads.
    pub inputs: Vec<usize>,
    /// Whether its parameters stay as they are.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub frozen: bool,
    /// The earlier step whose parameters it shares.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub shares: Option<usize>,
}

/// Why a network can't be written as a description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescriptionError {
    /// A layer is not one of the library's own.
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
            " is not one of downhill-layers, so it can't be described as data; rebuild the network in code and load \
             its parameters",
        )
    }
}

impl Error for DescriptionError {}

impl<T: Scalar> Network<T> {
    /// Describes the wiring of this network as data.
    ///
    /// # Errors
    /// Returns an error if a layer is a custom one.
    pub fn description(&self) -> Result<NetworkDescription, DescriptionError> {
        let program = self.program();
        let mut number = vec![0; program.nodes.len()];
        let made = program.inputs.iter().copied().chain(program.steps.iter().map(|step| step.output));
        made.enumerate().for_each(|(index, node)| number[node] = index);
        let steps = program.steps.iter().enumerate().map(|(index, step)| {
            let layer = Description::of(step.layer.as_any())
                .ok_or_else(|| DescriptionError::Unknown { place: step.name.clone(), layer: step.signature.name() })?;
            let inputs = step.inputs.iter().map(|&node| number[node]).collect();
            let shares = Some(program.owner(index)).filter(|&owner| owner != index);
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
    /// Returns an error if the description does not fit together: it may come from a file.
    pub fn build<T: Scalar>(&self) -> Result<Network<T>, BuildError> {
        let mut graph = Graph::new();
        for &input in &self.inputs {
            graph.input(input);
        }
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
            let place = |graph: &mut Graph| graph.place(step.layer.clone(), &inputs);
            let place = |graph: &mut Graph| if step.frozen { graph.frozen(place) } else { place(graph) };
            let lends = self.steps.iter().any(|other| other.shares == Some(index));
            let owner = step.shares.or(lends.then_some(index));
            graph.scoped(&step.name, |graph| match owner {
                Some(owner) => graph.sharing(owner, place),
                None => place(graph),
            })?;
        }
        Network::from_graph(&graph, graph.nth(self.output), self.seed)
    }
}
