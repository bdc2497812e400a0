use downhill_layers::{
    Add, Affine, Dropout, FinitePadding, Layer, LayerNorm, MultiHeadAttention, Relu, RotaryPositions,
};
use downhill_tensor::BuildError;

use crate::{Block, Graph, Node};

/// The block of a transformer that encodes: self-attention, then a small network for each step, each with a skip
/// connection.
///
/// With N for layer normalisation, A for [`MultiHeadAttention`] and F(x) = f(x W₁ + b₁) W₂ + b₂, which maps each step
/// to `feed_forward` numbers and back:
///
/// ```text
/// by default              with norm_first
/// h = N₁(x + A(x))        h = x + A(N₁(x))
/// y = N₂(h + F(h))        y = h + F(N₂(h))
/// ```
///
/// It is a wiring and no layer: its derivative is the chain rule over its parts. With `norm_first` the gradient reaches
/// x unchanged through the sums, so that deep stacks train without a warm-up; such a stack needs a
/// [`LayerNorm`] at its end.
///
/// # Shapes
/// x and y are (batch, steps, width). The width is that of the input; the number of heads must divide it.
/// Parameters are called as those of PyTorch's `TransformerEncoderLayer`: `self_attn.in_proj_weight`,
/// `linear1.weight`, `norm1.weight` and so on.
///
/// # Defaults
/// PyTorch's: normalisation comes after, f is [`Relu`], and a tenth is dropped in training, of the attention's weights,
/// of f's outputs, and of what A and F give.
///
/// # Errors
/// Returns the errors of its layers; a feed-forward width of 0 is one.
///
/// Source: Vaswani et al. 2017 (arXiv 1706.03762); normalisation first: Xiong et al. 2020 (arXiv 2002.04745).
///
/// ```
/// use downhill_layers::{Embedding, Gelu, LayerNorm, LearntPositions};
/// use downhill_network::{Network, TransformerEncoderBlock, sequential};
/// use downhill_tensor::Seed;
///
/// let block = || TransformerEncoderBlock::new(4, 64).norm_first().activation(Gelu::new()).dropout(0.0);
/// let model = sequential![Embedding::new(50, 16), LearntPositions::new(), block(), block(), LayerNorm::new()];
/// let network = Network::<f32>::build([10], model, Seed(1))?;
/// assert_eq!(network.output_shape(), [10, 16].into());
/// assert_eq!(network.parameter("2.linear1.weight")?.shape(), [64, 16]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoderBlock<F = Relu> {
    attention: MultiHeadAttention,
    feed_forward: usize,
    activation: F,
    norm: LayerNorm,
    norm_first: bool,
    bias: bool,
    dropout: f64,
}

impl TransformerEncoderBlock {
    /// Creates a block with this many heads and this width between the two maps of each step.
    #[must_use]
    pub fn new(heads: usize, feed_forward: usize) -> Self {
        let (attention, norm) = (MultiHeadAttention::new(heads), LayerNorm::new());
        Self { attention, feed_forward, activation: Relu, norm, norm_first: false, bias: true, dropout: 0.1 }
            .dropout(0.1)
    }
}

impl<F: Layer + Clone + 'static> TransformerEncoderBlock<F> {
    /// Normalises what goes into the attention and into the feed-forward maps, and not what the sums give.
    #[must_use]
    pub fn norm_first(mut self) -> Self {
        self.norm_first = true;
        self
    }

    /// Sets f, between the two maps.
    #[must_use]
    pub fn activation<G: Layer + Clone + 'static>(self, activation: G) -> TransformerEncoderBlock<G> {
        let Self { attention, feed_forward, activation: _, norm, norm_first, bias, dropout } = self;
        TransformerEncoderBlock { attention, feed_forward, activation, norm, norm_first, bias, dropout }
    }

    /// Sets the share that is dropped in training, everywhere.
    #[must_use]
    pub fn dropout(mut self, probability: f64) -> Self {
        self.attention = self.attention.dropout(probability);
        self.dropout = probability;
        self
    }

    /// Hides from each step what comes after it, as a transformer that generates does.
    #[must_use]
    pub fn causal(mut self) -> Self {
        self.attention = self.attention.causal();
        self
    }

    /// Turns the heads of queries and keys by rotary positions.
    #[must_use]
    pub fn rotary_positions(mut self, positions: RotaryPositions) -> Self {
        self.attention = self.attention.rotary_positions(positions);
        self
    }

    /// Leaves the biases of all its layers out.
    #[must_use]
    pub fn no_bias(mut self) -> Self {
        self.attention = self.attention.no_bias();
        self.norm = self.norm.no_bias();
        self.bias = false;
        self
    }

    /// Sets ε of both normalisations.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.norm = self.norm.epsilon(epsilon);
        self
    }

    /// Wires the block for padded sequences: `lengths`, an input of the whole network of shape (1), says how
    /// many steps of each example are no padding. No step attends to the others.
    ///
    /// A step of the padding goes through the block as any other, as in PyTorch; one that holds a number that is not
    /// finite does so as zeros, and has a derivative of 0, by [`FinitePadding`]. So if dJ/dy is 0 in the padding, as a
    /// loss that knows of it makes it, nothing depends on what stands there.
    ///
    /// # Errors
    /// Returns the errors of [`wire`](Block::wire), and an error if `lengths` does not fit.
    pub fn wire_with_lengths(&self, graph: &mut Graph, x: Node, lengths: Node) -> Result<Node, BuildError> {
        self.wire_parts(graph, x, Some(lengths))
    }

    fn wire_parts(&self, graph: &mut Graph, x: Node, lengths: Option<Node>) -> Result<Node, BuildError> {
        let x = match lengths {
            Some(lengths) => place(graph, "padding", FinitePadding, &[x, lengths])?,
            None => x,
        };
        if self.norm_first {
            let a = place(graph, "norm1", self.norm, &[x])?;
            let a = self.attend(graph, a, lengths)?;
            let h = place(graph, "add1", Add, &[x, a])?;
            let f = place(graph, "norm2", self.norm, &[h])?;
            let f = self.feed_forward(graph, f)?;
            place(graph, "add2", Add, &[h, f])
        } else {
            let a = self.attend(graph, x, lengths)?;
            let h = place(graph, "add1", Add, &[x, a])?;
            let h = place(graph, "norm1", self.norm, &[h])?;
            let f = self.feed_forward(graph, h)?;
            let y = place(graph, "add2", Add, &[h, f])?;
            place(graph, "norm2", self.norm, &[y])
        }
    }

    /// A(x)
    fn attend(&self, graph: &mut Graph, x: Node, lengths: Option<Node>) -> Result<Node, BuildError> {
        let a = match lengths {
            Some(lengths) => place(graph, "self_attn", self.attention.clone().lengths(), &[x, lengths])?,
            None => place(graph, "self_attn", self.attention.clone(), &[x])?,
        };
        self.drop(graph, "dropout1", a)
    }

    /// F(x) = f(x W₁ + b₁) W₂ + b₂
    fn feed_forward(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let width = graph.shape(x).axes().last().copied().unwrap_or(1);
        let map = |outputs| if self.bias { Affine::new(outputs) } else { Affine::new(outputs).no_bias() };
        let f = place(graph, "linear1", map(self.feed_forward), &[x])?;
        let f = place(graph, "activation", self.activation.clone(), &[f])?;
        let f = self.drop(graph, "dropout", f)?;
        let f = place(graph, "linear2", map(width), &[f])?;
        self.drop(graph, "dropout2", f)
    }

    /// Adds a dropout layer, unless nothing is dropped.
    fn drop(&self, graph: &mut Graph, name: &str, x: Node) -> Result<Node, BuildError> {
        if self.dropout == 0.0 { Ok(x) } else { place(graph, name, Dropout::new(self.dropout), &[x]) }
    }
}

impl<F: Layer + Clone + 'static> Block for TransformerEncoderBlock<F> {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        self.wire_parts(graph, x, None)
    }
}

fn place(graph: &mut Graph, name: &str, layer: impl Layer + 'static, inputs: &[Node]) -> Result<Node, BuildError> {
    graph.scoped(name, |graph| graph.place(layer, inputs))
}
