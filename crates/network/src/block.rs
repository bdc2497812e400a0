use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use downhill_layers::{Add, Concat, Layer, Multiply};
use downhill_tensor::BuildError;

use crate::graph::MOST_LAYERS;
use crate::{Graph, Node};

/// Anything that can be wired into a graph: one layer, a chain, a residual block, or a custom one.
///
/// A block is a wiring and not a layer with hidden buffers, so that memory is planned once for the whole network.
///
/// ```
/// use downhill_layers::{Affine, Tanh};
/// use downhill_network::{Block, Graph, Network, Node};
/// use downhill_tensor::{BuildError, Seed};
///
/// /// The input goes to every one of `depth` layers.
/// #[derive(Debug)]
/// struct Highway {
///     depth: usize,
/// }
///
/// impl Block for Highway {
///     fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
///         let features = graph.shape(x).len();
///         let mut y = x;
///         for _ in 0..self.depth {
///             y = graph.apply(Affine::new(features), &[y])?;
///             y = graph.apply(Tanh, &[y])?;
///             y = graph.apply(downhill_layers::Add, &[x, y])?;
///         }
///         Ok(y)
///     }
/// }
///
/// let network = Network::<f32>::build([8], Highway { depth: 3 }, Seed(0))?;
/// assert_eq!(network.parameters().len(), 3 * (8 * 8 + 8));
/// # Ok::<(), BuildError>(())
/// ```
pub trait Block: Debug + Send + Sync {
    /// Adds the block's layers to the graph, from `x` on, and returns the node of its output.
    ///
    /// # Errors
    /// Returns an error if a layer does not take the inputs that it would have.
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError>;
}

impl<L: Layer + Clone + 'static> Block for L {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        graph.place(self.clone(), &[x])
    }
}

impl Block for Box<dyn Block> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        (**self).wire(graph, x)
    }
}

/// A chain of blocks, each taking what the one before it makes; the first is named `0`.
///
/// [`sequential!`](crate::sequential) lists the blocks; [`then`](Sequential::then) adds one, as in a loop.
/// A clone is the same chain, and shares its blocks with it, but no parameters: each wiring has its own.
#[derive(Clone, Debug, Default)]
pub struct Sequential {
    blocks: Vec<Arc<dyn Block>>,
}

impl Sequential {
    /// Creates an empty chain: y = x.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a block at the end of the chain.
    #[must_use]
    pub fn then(mut self, block: impl Block + 'static) -> Self {
        self.blocks.push(Arc::new(block));
        self
    }
}

impl Block for Sequential {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let mut y = x;
        for (index, block) in self.blocks.iter().enumerate() {
            y = graph.numbered(index, |graph| block.wire(graph, y))?;
        }
        Ok(y)
    }
}

/// A chain of blocks, in the order in which they run.
///
/// ```
/// use downhill_layers::{Affine, Dropout, Relu};
/// use downhill_network::{Network, Residual, sequential};
/// use downhill_tensor::Seed;
///
/// let mlp = sequential![Affine::new(32), Relu, Residual(sequential![Affine::new(32), Relu]), Affine::new(10)];
/// let network = Network::<f32>::build([64], mlp, Seed(7))?;
/// assert_eq!(network.output_shape(), [10].into());
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[macro_export]
macro_rules! sequential {
    ($($block:expr),* $(,)?) => {
        $crate::Sequential::new()$(.then($block))*
    };
}

/// A block with a skip connection: y = x + f(x).
///
/// dJ/dx = dJ/dy + f'(x)ᵀ dJ/dy: the gradient reaches x unchanged, whatever f does.
/// f must keep the shape.
///
/// Source: He et al. 2015 (arXiv 1512.03385).
#[derive(Clone, Copy, Debug, Default)]
pub struct Residual<B>(pub B);

impl<B: Block> Block for Residual<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let y = self.0.wire(graph, x)?;
        graph.scoped("add", |graph| graph.place(Add, &[x, y]))
    }
}

/// A block and a gate that lets it through: y = f(x) ⊙ g(x), where the gate usually ends in a sigmoid.
///
/// dJ/df = g ⊙ dJ/dy and dJ/dg = f ⊙ dJ/dy.
/// The names are `value` and `gate`. Source: Dauphin et al. 2016 (arXiv 1612.08083).
///
/// ```
/// use downhill_layers::{Affine, Sigmoid};
/// use downhill_network::{Gated, Network, sequential};
/// use downhill_tensor::Seed;
///
/// let gated = Gated::new(Affine::new(4), sequential![Affine::new(4), Sigmoid]);
/// let network = Network::<f32>::build([3], gated, Seed(0))?;
/// assert_eq!(network.parameter("gate.0.weight")?.shape(), [4, 3]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gated<V, G> {
    value: V,
    gate: G,
}

impl<V, G> Gated<V, G> {
    /// Creates the product of a block f and its gate g.
    #[must_use]
    pub fn new(value: V, gate: G) -> Self {
        Self { value, gate }
    }
}

impl<V: Block, G: Block> Block for Gated<V, G> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let value = graph.scoped("value", |graph| self.value.wire(graph, x))?;
        let gate = graph.scoped("gate", |graph| self.gate.wire(graph, x))?;
        graph.scoped("multiply", |graph| graph.place(Multiply, &[value, gate]))
    }
}

/// A block several times, one after the other, each time with its own parameters; the first is named `0`.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, Repeat, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([16], Repeat::new(3, sequential![Affine::new(16), Relu]), Seed(0))?;
/// assert_eq!(network.parameter("2.0.bias")?.shape(), [16]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeat<B> {
    times: usize,
    block: B,
}

impl<B> Repeat<B> {
    /// Creates a chain of `times` blocks like this one.
    #[must_use]
    pub fn new(times: usize, block: B) -> Self {
        Self { times, block }
    }
}

impl<B: Block> Block for Repeat<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        if self.times > MOST_LAYERS {
            let reason = format!("it is to repeat its block {} times, but at most {MOST_LAYERS} can be", self.times);
            return Err(BuildError::Setting { by: "Repeat", reason });
        }
        (0..self.times).try_fold(x, |x, index| graph.numbered(index, |graph| self.block.wire(graph, x)))
    }
}

/// A block with a name, which replaces its number in a chain.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Named, Network, sequential};
/// use downhill_tensor::Seed;
///
/// let chain = sequential![Named("encoder", sequential![Affine::new(8), Relu]), Named("head", Affine::new(2))];
/// let network = Network::<f32>::build([4], chain, Seed(0))?;
/// assert_eq!(network.parameter("encoder.0.weight")?.shape(), [8, 4]);
/// assert_eq!(network.parameter("head.bias")?.shape(), [2]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Named<B>(pub &'static str, pub B);

impl<B: Block> Block for Named<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        graph.named(self.0, |graph| self.1.wire(graph, x))
    }
}

/// A block whose parameters training does not change: dJ/dθ is 0 there, and optimizers leave them out.
/// The gradient still goes through it, to the layers before it.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Frozen, Network, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([4], sequential![Frozen(Affine::new(8)), Relu, Affine::new(2)], Seed(0))?;
/// assert!(network.segments()[0].frozen && !network.segments()[2].frozen);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Frozen<B>(pub B);

impl<B: Block> Block for Frozen<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        graph.frozen(|graph| self.0.wire(graph, x))
    }
}

/// A block whose parameters are the same wherever it, or a clone of it, is wired.
///
/// dJ/dθ is the sum over these places.
/// The first place gives the parameters their names, and decides whether they are frozen.
/// Wiring fails if the shapes of the inputs ask for other parameters at another place.
///
/// ```
/// use downhill_layers::{Affine, Concat, Tanh};
/// use downhill_network::{Block, Graph, Network, Shared, sequential};
/// use downhill_tensor::Seed;
///
/// // Two images are seen with the same eyes.
/// let eyes = Shared::new(sequential![Affine::new(16), Tanh]);
/// let mut graph = Graph::new();
/// let (left, right) = (graph.input([64]), graph.input([64]));
/// let left = graph.scoped("left", |graph| eyes.wire(graph, left))?;
/// let right = graph.scoped("right", |graph| eyes.wire(graph, right))?;
/// let both = graph.apply(Concat::new(0), &[left, right])?;
/// let score = graph.apply(Affine::new(1), &[both])?;
/// let network = Network::<f32>::from_graph(&graph, score, Seed(0))?;
/// assert_eq!(network.parameters().len(), (64 * 16 + 16) + (32 + 1));
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Shared<B> {
    block: Arc<B>,
    key: usize,
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), key: self.key }
    }
}

impl<B> Shared<B> {
    /// Creates a block with parameters that its clones share.
    #[must_use]
    pub fn new(block: B) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { block: Arc::new(block), key: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl<B: Block> Block for Shared<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        graph.sharing(self.key, |graph| self.block.wire(graph, x))
    }
}

/// Several blocks with one input, whose outputs are summed or concatenated.
///
/// [`branches!`](crate::branches) lists the blocks, which are named `0`, `1`, ...
#[derive(Clone, Debug)]
pub struct Branches {
    blocks: Vec<Arc<dyn Block>>,
    merge: Merge,
}

#[derive(Clone, Copy, Debug)]
enum Merge {
    Sum,
    Concat { axis: usize },
}

impl Branches {
    /// Starts without branches; their outputs will be summed.
    #[must_use]
    pub fn sum() -> Self {
        Self { blocks: Vec::new(), merge: Merge::Sum }
    }

    /// Starts without branches; their outputs will be concatenated along this axis of the example.
    #[must_use]
    pub fn concat(axis: usize) -> Self {
        Self { blocks: Vec::new(), merge: Merge::Concat { axis } }
    }

    /// Adds a branch.
    #[must_use]
    pub fn with(mut self, block: impl Block + 'static) -> Self {
        self.blocks.push(Arc::new(block));
        self
    }
}

impl Block for Branches {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let mut outputs = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            outputs.push(graph.numbered(index, |graph| block.wire(graph, x))?);
        }
        match self.merge {
            Merge::Sum => graph.scoped("sum", |graph| graph.place(Add, &outputs)),
            Merge::Concat { axis } => graph.scoped("concat", |graph| graph.place(Concat::new(axis), &outputs)),
        }
    }
}

/// Blocks with one input: `branches![sum; f, g]` gives f(x) + g(x), and
/// `branches![concat 0; f, g]` concatenates the two along axis 0 of the example.
///
/// ```
/// use downhill_layers::{Affine, Relu, Tanh};
/// use downhill_network::{Network, branches, sequential};
/// use downhill_tensor::Seed;
///
/// let two = branches![concat 0; sequential![Affine::new(8), Relu], sequential![Affine::new(4), Tanh]];
/// let network = Network::<f32>::build([5], sequential![two, Affine::new(1)], Seed(0))?;
/// assert_eq!(network.parameter("1.weight")?.shape(), [1, 12]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[macro_export]
macro_rules! branches {
    (sum; $($block:expr),+ $(,)?) => {
        $crate::Branches::sum()$(.with($block))+
    };
    (concat $axis:expr; $($block:expr),+ $(,)?) => {
        $crate::Branches::concat($axis)$(.with($block))+
    };
}
