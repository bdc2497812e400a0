//! A small network for each kind of layer and for each way in which layers are wired.

use downhill_layers::*;
use downhill_network::{Graph, Network, Node, Residual, Shared, branches, sequential};
use downhill_tensor::{Seed, Shape};

/// A network, with numbers to ask it about.
pub(crate) struct Case {
    pub(crate) about: String,
    graph: Graph,
    output: Node,
    pub(crate) inputs: Vec<Vec<f64>>,
    /// Whether the answers are the library's, bit for bit.
    pub(crate) exact: bool,
}

/// Numbers from −2 to 2.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut stream = Seed(seed).stream(0);
    (0..count).map(|_| 4.0 * stream.uniform() - 2.0).collect()
}

impl Case {
    /// The network, with parameters and statistics that are not those of a start.
    pub(crate) fn network(&self) -> Network<f64> {
        let mut network = Network::from_graph(&self.graph, self.output, Seed(7)).unwrap();
        let start = noise(network.parameters().len(), 11);
        network.parameters_mut().iter_mut().zip(start).for_each(|(theta, x)| *theta = 0.8 * *theta + 0.25 * x);
        let start = noise(network.statistics().len(), 13);
        // Variances too are positive.
        network.statistics_mut().iter_mut().zip(start).for_each(|(statistic, x)| *statistic = 0.2 + x.abs());
        network
    }

    pub(crate) fn has_weights(&self) -> bool {
        let network = self.network();
        network.segments().iter().any(|segment| segment.shape.rank() >= 2)
    }

    /// Gives an input whole numbers, one after the other.
    fn whole(mut self, input: usize, numbers: &[f64]) -> Self {
        let count = self.inputs[input].len();
        self.inputs[input] = numbers.iter().copied().cycle().take(count).collect();
        self
    }
}

fn wired(about: &str, shapes: &[Shape], wire: impl FnOnce(&mut Graph, &[Node]) -> Node) -> Case {
    let mut graph = Graph::new();
    let nodes: Vec<Node> = shapes.iter().map(|&shape| graph.input(shape)).collect();
    let output = wire(&mut graph, &nodes);
    let inputs = shapes.iter().enumerate().map(|(index, shape)| noise(shape.len(), 20 + index as u64)).collect();
    Case { about: about.to_owned(), graph, output, inputs, exact: false }
}

fn layer(shape: impl Into<Shape>, layer: impl Into<Description>) -> Case {
    layers(&[shape.into()], layer)
}

fn layers(shapes: &[Shape], layer: impl Into<Description>) -> Case {
    let layer = layer.into();
    wired(&format!("{layer:?}"), shapes, |graph, inputs| graph.apply(layer, inputs).unwrap())
}

fn block(about: &str, shape: impl Into<Shape>, block: impl downhill_network::Block) -> Case {
    wired(about, &[shape.into()], |graph, inputs| block.wire(graph, inputs[0]).unwrap())
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = activations();
    cases.extend(maps());
    cases.extend(images());
    cases.extend(arrangements());
    cases.extend(sequences());
    cases.extend(wirings());
    cases
}

fn activations() -> Vec<Case> {
    let all: Vec<Description> = vec![
        Celu::new(0.7).into(),
        Elu::new(1.3).into(),
        Gelu::new().into(),
        Gelu::tanh().into(),
        Hardshrink::new(0.5).into(),
        Hardsigmoid.into(),
        Hardswish.into(),
        Hardtanh::new(-0.5, 1.25).into(),
        Identity.into(),
        LeakyRelu::new(0.01).into(),
        LogSigmoid.into(),
        Mish.into(),
        RRelu::default().into(),
        Relu.into(),
        Relu6.into(),
        Selu.into(),
        Sigmoid.into(),
        Silu.into(),
        Softplus::default().into(),
        Softplus::new(2.5).into(),
        Softshrink::new(0.25).into(),
        Softsign.into(),
        Tanh.into(),
        Tanhshrink.into(),
        Threshold::new(0.5, -1.5).into(),
    ];
    let numbers = [
        -1e30, -104.0, -40.0, -20.0, -9.5, -4.2, -1.7, -0.5, -1e-3, -1e-9, -0.0, 0.0, 1e-9, 1e-3, 0.4, 0.6, 1.0, 2.3,
        3.7, 6.5, 12.0, 33.0, 70.0, 1e30,
    ];
    all.into_iter()
        .map(|activation| {
            let mut case = layer([numbers.len()], activation);
            case.inputs[0] = numbers.to_vec();
            case.exact = true;
            case
        })
        .collect()
}

fn maps() -> Vec<Case> {
    vec![
        layer([7], Affine::new(5)),
        layer([21], Affine::new(3).no_bias()),
        layer([3, 9], Affine::new(4)),
        layers(&[[5].into(), [3].into()], Bilinear::new(4)),
        layers(&[[2].into(), [9].into()], Bilinear::new(3).no_bias()),
        layer([4], Embedding::new(6, 3).padding(0)).whole(0, &[0.0, 5.0, 2.0, 2.0]),
        layer([2, 2], Embedding::new(3, 1)).whole(0, &[1.0, 2.0, 0.0]),
        layer([6], PRelu::new()),
        layer([3, 4], PRelu::new().per_channel()),
        layer([5], PRelu::new().per_channel()),
        layer([6], Scale::new(1.5)),
        layer([6], Dropout::new(0.5)),
        layer([3, 2], SpatialDropout::new(0.5)),
        layer([6], Softmax),
        layer([3, 11], Softmax),
        layer([2, 5], Softmin),
        layer([2, 9], LogSoftmax),
        layer([4, 3, 2], BatchNorm::new()),
        layer([5], BatchNorm::new().no_affine().epsilon(0.01)),
        layer([4, 3, 2], GroupNorm::new(2)),
        layer([4, 3], GroupNorm::new(4).no_affine()),
        layer([3, 5], InstanceNorm::new()),
        layer([3, 2, 2], InstanceNorm::new().affine()),
        layer([3, 10], LayerNorm::new()),
        layer([2, 3, 4], LayerNorm::new().axes(2).no_bias().epsilon(0.1)),
        layer([6], LayerNorm::new().no_affine()),
        layer([3, 5], RmsNorm::new()),
        layer([2, 6], RmsNorm::new().axes(2).epsilon(1e-3).no_affine()),
    ]
}

fn images() -> Vec<Case> {
    let aligned = Interpolation::BilinearAlignedCorners;
    vec![
        layer([3, 9], Conv1d::new(4, 3)),
        layer([4, 10], Conv1d::new(6, 4).stride(2).padding([3, 1]).dilation(2).groups(2).no_bias()),
        layer([2, 7], Conv1d::new(2, 4).padding(Padding::Same)),
        layer([2, 3], Conv1d::new(2, 3).padding([5, 4]).stride(3)),
        layer([2, 6, 5], Conv2d::new(3, 3)),
        layer([1, 5, 6], Conv2d::new(2, [2, 3]).stride([2, 1]).padding([[1, 0], [2, 3]]).dilation([1, 2])),
        layer([4, 4, 4], Conv2d::new(4, 3).groups(4).padding(Padding::Same)),
        layer([2, 4, 4], Conv2d::new(3, 1).padding([1, 2]).no_bias()),
        layer([2, 3, 4], ConvTranspose2d::new(3, 3)),
        layer(
            [4, 3, 2],
            ConvTranspose2d::new(6, [3, 2]).stride([2, 3]).padding([1, 0]).output_padding([1, 2]).groups(2),
        ),
        layer([1, 3, 3], ConvTranspose2d::new(2, 2).dilation([2, 1]).no_bias()),
        layer([2, 9], MaxPool1d::new(3)),
        layer([2, 8], MaxPool1d::new(3).stride(2).padding(1).ceil_mode()),
        layer([2, 6, 6], MaxPool2d::new(2)),
        layer([2, 7, 5], MaxPool2d::new([3, 2]).stride([2, 1]).padding([1, 0]).dilation([2, 1]).ceil_mode()),
        layer([2, 9], AveragePool1d::new(3)),
        layer([2, 8], AveragePool1d::new(3).stride(2).padding(1).ceil_mode()),
        layer([2, 6, 6], AveragePool2d::new(2)),
        layer([2, 7, 5], AveragePool2d::new([3, 2]).stride([2, 2]).padding([1, 1]).ceil_mode()),
        layer([2, 7, 5], AveragePool2d::new(3).stride(2).padding(1).exclude_padding()),
        layer([3, 7], AdaptiveAveragePool1d::new(3)),
        layer([2, 7, 5], AdaptiveAveragePool2d::new([3, 5])),
        layer([2, 2, 2], AdaptiveAveragePool2d::new([3, 4])),
        layer([3, 4, 5], GlobalAveragePool),
        layer([3, 9], GlobalAveragePool),
        layer([5], Pad::new([2, 1]).mode(PadMode::Constant(-1.5))),
        layer([2, 3, 4], Pad::new([1, 2]).rows([2, 0]).mode(PadMode::Constant(0.5))),
        layer([2, 4, 4], Pad::new([2, 3]).rows([1, 2]).mode(PadMode::Reflect)),
        layer([2, 3, 4], Pad::new([5, 0]).rows([0, 3]).mode(PadMode::Replicate)),
        layer([3, 4], Pad::new([3, 4]).mode(PadMode::Circular)),
        layer([2, 3, 4], Upsample::new(2)),
        layer([2, 3, 4], Upsample::new([1.7, 0.6])),
        layer([2, 3, 4], Upsample::to_size([5, 4]).interpolation(Interpolation::Bilinear)),
        layer([1, 3, 4], Upsample::new([1.5, 2.0]).interpolation(Interpolation::Bilinear)),
        layer([2, 3, 4], Upsample::to_size([5, 1]).interpolation(aligned)),
    ]
}

fn arrangements() -> Vec<Case> {
    let pair: [Shape; 2] = [[3, 4].into(); 2];
    vec![
        layer([2, 3], Flatten),
        layer([2, 3], Reshape::new([3, 2])),
        layer([2, 3, 4], Permute::new([2, 0, 1])),
        layer([2, 3, 4], Permute::transpose(0, 1)),
        layer([3, 5, 2], Slice::new(1, 1..4)),
        layer([6], Slice::new(0, 2..3)),
        layers(&pair, Add),
        layers(&pair, Multiply),
        layers(&[[2, 3].into(), [2, 1].into(), [2, 4].into()], Concat::new(1)),
        layers(&[[3].into(), [2].into()], Concat::new(0)),
        layer([2, 5, 3], Sum::new(1)),
        layer([2, 9], Sum::new(1).keep_axis()),
        layer([4, 3], Mean::new(0)),
        layer([7], Mean::new(0)),
        layer([2, 6], Glu::new()),
        layer([4, 3], Glu::new().axis(0)),
        layers(&[[4, 2].into(), [1].into()], FinitePadding).whole(1, &[2.0]),
    ]
}

fn sequences() -> Vec<Case> {
    let lengths = |length: f64, case: Case| case.whole(1, &[length]);
    let with_length: [Shape; 2] = [[6, 3].into(), [1].into()];
    let cross: [Shape; 2] = [[3, 8].into(), [5, 8].into()];
    vec![
        layer([5, 4], LearntPositions::new()),
        layer([5, 4], SinusoidalPositions::new()),
        layer([4, 5], SinusoidalPositions::new().base(100.0)),
        layer([5, 6], RotaryPositions::new()),
        layer([4, 2, 4], RotaryPositions::new().interleaved().base(50.0)),
        layer([5, 3], Rnn::new(4)),
        layer([5, 3], Rnn::new(4).relu().no_bias().bidirectional().last_state()),
        layer([5, 3], Lstm::new(4)),
        layer([6, 3], Lstm::new(9).layers(2).bidirectional().dropout(0.3)),
        layer([5, 2], Lstm::new(3).layers(3).last_state().no_bias()),
        layer([5, 3], Gru::new(4)),
        layer([5, 3], Gru::new(4).layers(2).bidirectional().last_state()),
        lengths(4.0, layers(&with_length, Gru::new(2).lengths().bidirectional())),
        lengths(1.0, layers(&with_length, Lstm::new(2).lengths().layers(2).bidirectional().last_state())),
        lengths(6.0, layers(&with_length, Rnn::new(2).lengths())),
        layer([5, 8], MultiHeadAttention::new(2)),
        layer([5, 8], MultiHeadAttention::new(4).causal().no_bias()),
        layers(&cross, MultiHeadAttention::new(1)),
        layers(&cross, MultiHeadAttention::new(2).rotary_positions(RotaryPositions::new()).causal()),
        lengths(3.0, layers(&[[5, 8].into(), [1].into()], MultiHeadAttention::new(2).lengths())),
        layers(&[[3, 4].into(), [5, 4].into(), [1].into()], MultiHeadAttention::new(2).lengths()).whole(2, &[2.0]),
    ]
}

fn wirings() -> Vec<Case> {
    let shared = Shared::new(sequential![Affine::new(6), Tanh]);
    vec![
        block(
            "a chain",
            [6],
            sequential![Affine::new(9), Relu, Dropout::new(0.2), Affine::new(5), Tanh, Affine::new(3)],
        ),
        block("a residual block", [6], sequential![Affine::new(6), Residual(sequential![Tanh, Affine::new(6), Relu])]),
        block("residual blocks on the input", [6], sequential![Residual(Tanh), Residual(Affine::new(6)), Softmax]),
        block(
            "branches",
            [6],
            branches![concat 0; sequential![Affine::new(3), Tanh], sequential![Affine::new(4), Relu], Identity],
        ),
        block("shared weights", [6], sequential![shared.clone(), Affine::new(6).no_bias(), shared]),
        block(
            "images",
            [1, 8, 8],
            sequential![
                Conv2d::new(4, 3).padding(Padding::Same),
                BatchNorm::new(),
                Relu,
                MaxPool2d::new(2),
                Residual(sequential![Conv2d::new(4, 3).padding(Padding::Same), Relu]),
                Flatten,
                Affine::new(10),
                LogSoftmax
            ],
        ),
        block("a reader of words", [5], sequential![Embedding::new(7, 4), Gru::new(5).last_state(), Affine::new(2)])
            .whole(0, &[3.0, 6.0, 0.0, 1.0, 1.0]),
        block(
            "a transformer",
            [5],
            sequential![
                Embedding::new(7, 8),
                SinusoidalPositions::new(),
                downhill_network::TransformerEncoderBlock::new(2, 16),
                Mean::new(0),
                Affine::new(2)
            ],
        )
        .whole(0, &[3.0, 6.0, 0.0, 1.0, 1.0]),
        wired("a value that is read in many places", &[[4].into(), [4].into()], |graph, inputs| {
            let a = graph.apply(Affine::new(4), &[inputs[0]]).unwrap();
            let flat = graph.apply(Flatten, &[a]).unwrap();
            let b = graph.apply(Tanh, &[a]).unwrap();
            let c = graph.apply(Relu, &[flat]).unwrap();
            let squared = graph.apply(Multiply, &[a, a]).unwrap();
            let sum = graph.apply(Add, &[b, squared, c, inputs[1], b]).unwrap();
            graph.apply(Multiply, &[sum, b]).unwrap()
        }),
        wired("nothing but a change of shape", &[[4].into()], |graph, inputs| {
            graph.apply(Reshape::new([2, 2]), inputs).unwrap()
        }),
    ]
}
