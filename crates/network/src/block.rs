use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use downhill_layers::{Add, Concat, Layer, Multiply};
use downhill_tensor::ShapeError;

use crate::graph::MOST_LAYERS;
use crate::{Graph, Node};

/// Anything that can be wired into a graph: one layer, a chain, a residual block, a user's own.
///
/// A block is a wiring and not a layer with hidden buffers, so that memory is planned once for the whole network.
///
/// ```
/// use downhill_layers::{Affine, Tanh};
/// use downhill_network::{Block, Graph, Network, Node};
/// use downhill_tensor::{Seed, ShapeError};
///
/// /// A highway: the input goes to every one of `depth` layers.
/// #[derive(Debug)]
/// struct Highway {
///     depth: usize,
/// }
///
/// impl Block for Highway {
///     fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
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
/// # Ok::<(), ShapeError>(())
/// ```
pub trait Block: Debug {
    /// Adds the block's layers to the graph, from `x` on, and gives the node of its output.
    ///
    /// # Errors
    /// Where a layer does not take what it is given.
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError>;
}

impl<L: Layer + Clone + 'static> Block for L {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        graph.place(self.clone(), &[x])
    }
}

impl Block for Box<dyn Block> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        (**self).wire(graph, x)
    }
}

/// A chain of blocks, each taking what the one before it makes; the first is named `0`.
///
/// [`sequential!`](crate::sequential) lists the blocks; [`then`](Sequential::then) adds one where a loop decides.
#[derive(Debug, Default)]
pub struct Sequential {
    blocks: Vec<Box<dyn Block>>,
}

impl Sequential {
    /// A chain of nothing: y = x.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The chain with one more block at its end.
    #[must_use]
    pub fn then(mut self, block: impl Block + 'static) -> Self {
        self.blocks.push(Box::new(block));
        self
    }
}

impl Block for Sequential {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
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
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
#[macro_export]
macro_rules! sequential {
    ($($block:expr),* $(,)?) => {
        $crate::Sequential::new()$(.then($block))*
    };
}

/// A block and a way around it: y = x + f(x).
///
/// dJ/dx = dJ/dy + f'(x)ᵀ dJ/dy: the gradient reaches x unchanged, whatever f does.
/// f must keep the shape.
///
/// Source: He et al. 2015 (arXiv 1512.03385).
#[derive(Clone, Copy, Debug, Default)]
pub struct Residual<B>(pub B);

impl<B: Block> Block for Residual<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        let y = self.0.wire(graph, x)?;
        graph.scoped("add", |graph| graph.place(Add, &[x, y]))
    }
}

/// A block and a gate that lets it through: y = f(x) ⊙ g(x), with the gate mostly ending in a sigmoid.
///
/// dJ/df = g ⊙ dJ/dy and dJ/dg = f ⊙ dJ/dy.
/// The names are `value` and `gate`. Source: Dauphin et al. 2016 (arXiv 1612.08083).
///
/// ```
/// use downhill_layers::{Affine, Sigmoid};
/// use downhill_network::{Gated, Network, sequential};
/// use downhill_tensor::Seed;
///
/// let gated = Gated { value: Affine::new(4), gate: sequential![Affine::new(4), Sigmoid] };
/// let network = Network::<f32>::build([3], gated, Seed(0))?;
/// assert_eq!(network.parameter("gate.0.weight")?.shape(), [4, 3]);
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gated<V, G> {
    /// What is let through, f.
    pub value: V,
    /// How much of it, g.
    pub gate: G,
}

impl<V: Block, G: Block> Block for Gated<V, G> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        let value = graph.scoped("value", |graph| self.value.wire(graph, x))?;
        let gate = graph.scoped("gate", |graph| self.gate.wire(graph, x))?;
        graph.scoped("multiply", |graph| graph.place(Multiply, &[value, gate]))
    }
}

/// The same block a number of times, one after the other, each with parameters of its own; the first is named `0`.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, Repeat, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([16], Repeat { times: 3, block: sequential![Affine::new(16), Relu] }, Seed(0))?;
/// assert_eq!(network.parameter("2.0.bias")?.shape(), [16]);
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeat<B> {
    /// How often.
    pub times: usize,
    /// What.
    pub block: B,
}

impl<B: Block> Block for Repeat<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        if self.times > MOST_LAYERS {
            let reason = format!("it is to repeat its block {} times, but at most {MOST_LAYERS} can be", self.times);
            return Err(ShapeError::Setting { by: "Repeat", reason });
        }
        (0..self.times).try_fold(x, |x, index| graph.numbered(index, |graph| self.block.wire(graph, x)))
    }
}

/// A block under a name of one's own: in a chain it stands in the place of the number.
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
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Named<B>(pub &'static str, pub B);

impl<B: Block> Block for Named<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        graph.named(self.0, |graph| self.1.wire(graph, x))
    }
}

/// A block whose parameters no training changes: dJ/dθ is 0 there, and optimizers leave them out.
/// The gradient still goes through it, to what lies before.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Frozen, Network, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([4], sequential![Frozen(Affine::new(8)), Relu, Affine::new(2)], Seed(0))?;
/// assert!(network.segments()[0].frozen && !network.segments()[2].frozen);
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Frozen<B>(pub B);

impl<B: Block> Block for Frozen<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        graph.frozen(|graph| self.0.wire(graph, x))
    }
}

/// A block whose parameters are the same wherever it, or a clone of it, is wired.
///
/// dJ/dθ is the sum of what each of the places says.
/// The first place gives the parameters their names, and decides whether they are frozen.
/// Where the shapes of the inputs ask for other parameters at another place, wiring fails.
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
/// # Ok::<(), downhill_tensor::ShapeError>(())
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
    /// A block with parameters that its clones share.
    #[must_use]
    pub fn new(block: B) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { block: Arc::new(block), key: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl<B: Block> Block for Shared<B> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
        graph.sharing(self.key, |graph| self.block.wire(graph, x))
    }
}

/// Several blocks that all take the same input; their outputs are summed or put side by side.
///
/// [`branches!`](crate::branches) lists the blocks, which are named `0`, `1`, ...
#[derive(Debug)]
pub struct Branches {
    blocks: Vec<Box<dyn Block>>,
    merge: Merge,
}

#[derive(Clone, Copy, Debug)]
enum Merge {
    Sum,
    Concat { axis: usize },
}

impl Branches {
    /// No branches yet; their outputs will be summed.
    #[must_use]
    pub fn sum() -> Self {
        Self { blocks: Vec::new(), merge: Merge::Sum }
    }

    /// No branches yet; their outputs will be put side by side along this axis of the example.
    #[must_use]
    pub fn concat(axis: usize) -> Self {
        Self { blocks: Vec::new(), merge: Merge::Concat { axis } }
    }

    /// The same with one more branch.
    #[must_use]
    pub fn with(mut self, block: impl Block + 'static) -> Self {
        self.blocks.push(Box::new(block));
        self
    }
}

impl Block for Branches {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, ShapeError> {
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

/// Several blocks that all take the same input: `branches![sum; f, g]` gives f(x) + g(x), and
/// `branches![concat 0; f, g]` puts the two side by side along axis 0 of the example.
///
/// ```
/// use downhill_layers::{Affine, Relu, Tanh};
/// use downhill_network::{Network, branches, sequential};
/// use downhill_tensor::Seed;
///
/// let two = branches![concat 0; sequential![Affine::new(8), Relu], sequential![Affine::new(4), Tanh]];
/// let network = Network::<f32>::build([5], sequential![two, Affine::new(1)], Seed(0))?;
/// assert_eq!(network.parameter("1.weight")?.shape(), [1, 12]);
/// # Ok::<(), downhill_tensor::ShapeError>(())
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
