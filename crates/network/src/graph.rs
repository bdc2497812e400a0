use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use downhill_layers::erased::ErasedLayer;
use downhill_layers::{Layer, MAX_INPUTS, Parameter, Signature};
use downhill_tensor::{BuildError, Outputs, Shape};

/// Layers and how they are wired: a directed acyclic graph, in the order in which it runs.
///
/// [`Network::build`](crate::Network::build) wires a chain for you; a graph is the form for several inputs,
/// shared nodes and skips.
///
/// ```
/// use downhill_layers::{Affine, Concat, Relu};
/// use downhill_network::{Graph, Network};
/// use downhill_tensor::Seed;
///
/// let mut graph = Graph::new();
/// let image = graph.input([64]);
/// let age = graph.input([1]);
/// let hidden = graph.apply(Affine::new(16), &[image])?;
/// let hidden = graph.apply(Relu, &[hidden])?;
/// let both = graph.apply(Concat::new(0), &[hidden, age])?;
/// let score = graph.apply(Affine::new(1), &[both])?;
/// let network = Network::<f32>::from_graph(&graph, score, Seed(1))?;
/// assert_eq!(network.parameter("3.weight")?.shape(), [1, 17]); // (out, in)
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    /// Which graph it is, so that nodes of another one are known; a clone goes on with the same nodes.
    id: usize,
    nodes: Vec<Shape>,
    inputs: Vec<usize>,
    steps: Vec<Step>,
    /// The names of the steps.
    names: HashSet<String>,
    scopes: Vec<Scope>,
    /// The number of layers that have been applied outside of any scope.
    applied: usize,
    /// Whether what is placed now is frozen.
    frozen: bool,
    /// Whose parameters what is placed now shares.
    sharing: Option<Sharing>,
    /// The first step of each shared wiring's places.
    lenders: HashMap<SharedMark, usize>,
}

#[derive(Clone, Debug)]
struct Scope {
    name: String,
    /// Whether the name is a number that a chain has given, so that a name replaces it.
    numbered: bool,
    applied: usize,
}

/// A wiring whose layers share parameters with those of every other wiring of this key, in order.
#[derive(Clone, Copy, Debug)]
struct Sharing {
    key: usize,
    placed: usize,
}

/// The most layers of a graph, and the most times that a block is repeated: more are a slip.
pub(crate) const MOST_LAYERS: usize = 1 << 16;

/// A value in a [`Graph`]: an input, or the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    graph: usize,
    index: usize,
}

/// One layer at its place.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The dotted name, such as `2.0`.
    pub(crate) name: String,
    pub(crate) layer: Arc<dyn ErasedLayer>,
    pub(crate) signature: Signature,
    /// The nodes it reads.
    pub(crate) inputs: Vec<usize>,
    /// The node it writes.
    pub(crate) output: usize,
    /// Whether its parameters stay as they are.
    pub(crate) frozen: bool,
    /// Steps with an equal mark share their parameters.
    pub(crate) shared: Option<SharedMark>,
}

impl Step {
    /// The layer's name in messages, or its kind if it is outside any chain and has no name.
    pub(crate) fn title(&self) -> String {
        match self.name.as_str() {
            "" => format!("the layer {}", self.signature.name()),
            name => format!("layer `{name}`"),
        }
    }
}

/// The error, said to have happened at the layer of this name.
/// One outside any chain has none; then the error itself says of which kind the layer is.
pub(crate) fn at(name: &str, error: BuildError) -> BuildError {
    if name.is_empty() { error } else { error.at(name) }
}

/// The layer at this place of a shared wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SharedMark {
    key: usize,
    place: usize,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// Creates a graph without nodes.
    #[must_use]
    pub fn new() -> Self {
        static GRAPHS: AtomicUsize = AtomicUsize::new(0);
        Self {
            id: GRAPHS.fetch_add(1, Ordering::Relaxed),
            nodes: Vec::new(),
            inputs: Vec::new(),
            steps: Vec::new(),
            names: HashSet::new(),
            scopes: Vec::new(),
            applied: 0,
            frozen: false,
            sharing: None,
            lenders: HashMap::new(),
        }
    }

    /// Adds an input of the whole network, of this per-example shape.
    pub fn input(&mut self, shape: impl Into<Shape>) -> Node {
        let node = self.node(shape.into());
        self.inputs.push(node.index);
        node
    }

    /// Applies a layer to nodes; its name is the next number of the current scope.
    ///
    /// # Errors
    /// Returns an error if the layer does not take inputs of these shapes, with its place and the shapes.
    pub fn apply(&mut self, layer: impl Layer + 'static, inputs: &[Node]) -> Result<Node, BuildError> {
        let applied = self.scopes.last_mut().map_or(&mut self.applied, |scope| &mut scope.applied);
        let name = applied.to_string();
        *applied += 1;
        self.scoped(name, |graph| graph.place(layer, inputs))
    }

    /// Wires in a scope: the names of the layers within are `name`, or begin with `name.`.
    ///
    /// # Errors
    /// Returns the errors of `wire`.
    pub fn scoped<R>(
        &mut self,
        name: impl Into<String>,
        wire: impl FnOnce(&mut Self) -> Result<R, BuildError>,
    ) -> Result<R, BuildError> {
        self.within(Scope { name: name.into(), numbered: false, applied: 0 }, wire)
    }

    /// Wires the part of a chain that has no name but its number.
    pub(crate) fn numbered<R>(
        &mut self,
        number: usize,
        wire: impl FnOnce(&mut Self) -> Result<R, BuildError>,
    ) -> Result<R, BuildError> {
        self.within(Scope { name: number.to_string(), numbered: true, applied: 0 }, wire)
    }

    /// Wires under this name, which replaces the number that a chain has given, if there is one.
    ///
    /// # Errors
    /// Returns the errors of `wire`.
    pub fn named<R>(
        &mut self,
        name: &str,
        wire: impl FnOnce(&mut Self) -> Result<R, BuildError>,
    ) -> Result<R, BuildError> {
        let number = match self.scopes.last_mut() {
            Some(scope) if scope.numbered && scope.applied == 0 => {
                scope.numbered = false;
                std::mem::replace(&mut scope.name, name.to_owned())
            }
            _ => return self.scoped(name, wire),
        };
        let result = wire(self);
        if let Some(scope) = self.scopes.last_mut() {
            (scope.name, scope.numbered) = (number, true);
        }
        result
    }

    fn within<R>(&mut self, scope: Scope, wire: impl FnOnce(&mut Self) -> R) -> R {
        self.scopes.push(scope);
        let result = wire(self);
        self.scopes.pop();
        result
    }

    /// Wires layers whose parameters training does not change: dJ/dθ is 0 there, and optimizers leave them out.
    ///
    /// # Errors
    /// Returns the errors of `wire`.
    pub fn frozen<R>(&mut self, wire: impl FnOnce(&mut Self) -> Result<R, BuildError>) -> Result<R, BuildError> {
        let before = std::mem::replace(&mut self.frozen, true);
        let result = wire(self);
        self.frozen = before;
        result
    }

    /// Wires layers that share their parameters with those of every other wiring under this key, layer by layer.
    ///
    /// # Errors
    /// Returns the errors of `wire`, and an error if layers that share would need parameters of different shapes.
    pub(crate) fn sharing<R>(
        &mut self,
        key: usize,
        wire: impl FnOnce(&mut Self) -> Result<R, BuildError>,
    ) -> Result<R, BuildError> {
        let before = self.sharing.replace(Sharing { key, placed: 0 });
        let result = wire(self);
        self.sharing = before;
        result
    }

    /// Applies a layer under the name of the current scope itself, where [`apply`](Graph::apply) adds a number to it.
    ///
    /// # Errors
    /// Returns the errors of [`apply`](Graph::apply), and an error if there is another layer of this name.
    pub fn place(&mut self, layer: impl Layer + 'static, inputs: &[Node]) -> Result<Node, BuildError> {
        self.place_erased(Arc::new(layer), inputs)
    }

    pub(crate) fn place_erased(&mut self, layer: Arc<dyn ErasedLayer>, inputs: &[Node]) -> Result<Node, BuildError> {
        let parts: Vec<&str> = self.scopes.iter().map(|scope| scope.name.as_str()).collect();
        let name = parts.join(".");
        let fail = |reason: String| at(&name, BuildError::Wiring { by: "the graph", reason });
        if self.steps.len() == MOST_LAYERS {
            return Err(fail(format!("it has {MOST_LAYERS} layers, which are the most there can be")));
        }
        if self.names.contains(&name) {
            let like_it = if name.is_empty() { "without a name" } else { "of this name" };
            return Err(fail(format!("there is another layer {like_it}; wire this one in a scope of its own")));
        }
        if let Some(node) = inputs.iter().find(|&&node| !self.has(node)) {
            let what = "an input of the layer";
            return Err(at(&name, BuildError::OtherGraph { what, node: node.index }));
        }
        if inputs.len() > MAX_INPUTS {
            return Err(fail(format!("a layer has at most {MAX_INPUTS} inputs, but this one has {}", inputs.len())));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&node| self.shape(node)).collect();
        // The output of a layer was checked with its signature, so only an input of the whole network can be too large.
        shapes.iter().try_for_each(|shape| shape.check("an input of the network"))?;
        let signature = layer.signature(&shapes).map_err(|error| at(&name, error))?;
        // Only inputs of the whole network are checked before a pass.
        for (index, node) in inputs.iter().enumerate() {
            if signature.whole_numbers_of(index).is_some() && !self.inputs.contains(&node.index) {
                return Err(fail(format!(
                    "input {index} of {} holds whole numbers, so it must be an input of the whole network, not the \
                     output of another layer",
                    signature.name()
                )));
            }
        }
        let shared = self.sharing.as_mut().map(|sharing| {
            sharing.placed += 1;
            SharedMark { key: sharing.key, place: sharing.placed }
        });
        let owner = shared.and_then(|mark| self.lenders.get(&mark)).and_then(|&index| self.steps.get(index));
        if let Some(owner) = owner
            && (owner.signature.parameters() != signature.parameters()
                || owner.signature.statistics() != signature.statistics())
        {
            return Err(fail(format!(
                "it shares the parameters of {}, but for inputs of these shapes they would be others",
                owner.title()
            )));
        }
        // The layer that is wired first decides for all that share its parameters.
        let frozen = owner.map_or(self.frozen, |owner| owner.frozen);
        if let Some(mark) = shared {
            self.lenders.entry(mark).or_insert(self.steps.len());
        }
        let output = self.node(signature.output());
        self.names.insert(name.clone());
        let inputs = inputs.iter().map(|node| node.index).collect();
        self.steps.push(Step { name, layer, signature, inputs, output: output.index, frozen, shared });
        Ok(output)
    }

    /// The per-example shape of a node.
    ///
    /// # Panics
    /// Panics if the node belongs to another graph.
    #[must_use]
    pub fn shape(&self, node: Node) -> Shape {
        assert!(self.has(node), "node {} belongs to another graph", node.index);
        self.nodes[node.index]
    }

    fn has(&self, node: Node) -> bool {
        node.graph == self.id && node.index < self.nodes.len()
    }

    /// The node of this index, which an error tells from those there are where it is used.
    pub(crate) fn nth(&self, index: usize) -> Node {
        Node { graph: self.id, index }
    }

    fn node(&mut self, shape: Shape) -> Node {
        self.nodes.push(shape);
        self.nth(self.nodes.len() - 1)
    }

    /// About how many multiply-adds the layer takes for one example.
    fn work(&self, step: &Step) -> usize {
        let signature = &step.signature;
        let inputs = step.inputs.iter().map(|&node| self.nodes[node].len()).max().unwrap_or(0);
        let output = signature.output().len();
        // A table is only looked up.
        let looks_up = (0..step.inputs.len()).any(|input| signature.whole_numbers_of(input).is_some());
        let weights = signature.parameters().iter().filter(|weight| weight.shape.rank() > 1 && !looks_up);
        // Every output is a sum over as many numbers as go in, and every input goes into as many as come out.
        let products = weights
            .map(|Parameter { fans, .. }| output.saturating_mul(fans.fan_in).max(inputs.saturating_mul(fans.fan_out)));
        // A function of one number takes as long as some multiply-adds.
        products.fold(inputs.max(output).saturating_mul(8), usize::saturating_add)
    }

    /// The layers that `output` depends on, in the order in which they run.
    pub(crate) fn program(&self, output: Node) -> Result<Program, BuildError> {
        let fail = |reason: String| BuildError::Wiring { by: "the graph", reason };
        if !self.has(output) {
            return Err(BuildError::OtherGraph { what: "the output", node: output.index });
        }
        let mut wanted = vec![false; self.nodes.len()];
        wanted[output.index] = true;
        for step in self.steps.iter().rev() {
            if wanted[step.output] {
                step.inputs.iter().for_each(|&input| wanted[input] = true);
            }
        }
        let steps: Vec<Step> = self.steps.iter().filter(|step| wanted[step.output]).cloned().collect();
        if steps.is_empty() {
            return Err(fail("a network has at least one layer, but this one has none".into()));
        }
        if !(1..=MAX_INPUTS).contains(&self.inputs.len()) {
            let inputs = self.inputs.len();
            return Err(fail(format!("a network has from 1 to {MAX_INPUTS} inputs, but this one has {inputs}")));
        }
        self.inputs.iter().try_for_each(|&input| self.nodes[input].check("an input of the network"))?;
        let checked_steps = (0..steps.len()).filter(|&step| steps[step].signature.checks_batch()).collect();
        let work = steps.iter().map(|step| self.work(step)).fold(0, usize::saturating_add);
        let mut lenders = HashMap::new();
        let owner =
            |(index, step): (usize, &Step)| step.shared.map_or(index, |mark| *lenders.entry(mark).or_insert(index));
        let owners = steps.iter().enumerate().map(owner).collect();
        Ok(Program {
            nodes: self.nodes.clone(),
            inputs: self.inputs.clone(),
            steps,
            owners,
            checked_steps,
            output: output.index,
            work,
        })
    }
}

/// A graph made ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The per-example shape of every node.
    pub(crate) nodes: Vec<Shape>,
    /// The nodes that the caller provides.
    pub(crate) inputs: Vec<usize>,
    /// The layers, in the order in which they run forward.
    pub(crate) steps: Vec<Step>,
    /// For each step the first of those that share its parameters, usually itself.
    pub(crate) owners: Vec<usize>,
    /// The steps whose layers look at a batch before they take it.
    pub(crate) checked_steps: Vec<usize>,
    /// The node that is the prediction.
    pub(crate) output: usize,
    /// About how many multiply-adds a forward pass takes for one example.
    pub(crate) work: usize,
}

impl Program {
    /// The number of every node: first come the inputs, then the output of each step.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        let mut numbers = vec![0; self.nodes.len()];
        let made = self.inputs.iter().copied().chain(self.steps.iter().map(|step| step.output));
        made.enumerate().for_each(|(index, node)| numbers[node] = index);
        numbers
    }

    /// The meaning of the last layer's outputs, leaving out layers that only give them another shape.
    pub(crate) fn meaning(&self) -> Option<Outputs> {
        let mut node = self.output;
        for step in self.steps.iter().rev() {
            if step.output == node && step.signature.is_another_shape_alone() && step.inputs.len() == 1 {
                node = step.inputs[0];
            } else if step.output == node {
                return step.signature.meaning_of_outputs();
            }
        }
        None
    }

    /// Which of the caller's inputs this node is, if it is one.
    pub(crate) fn input_index(&self, node: usize) -> Option<usize> {
        self.inputs.iter().position(|&input| input == node)
    }
}
