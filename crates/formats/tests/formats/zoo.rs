//! Networks of every kind of layer, and of the usual combinations, with inputs for them: what exports are tried on.

use downhill_layers::*;
use downhill_network::{Block, Graph, Network, Node, Shared, TransformerEncoderBlock, sequential};
use downhill_tensor::{BuildError, Seed, Shape};

/// What an input holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Numbers between −2 and 2.
    Numbers,
    /// Such numbers, of which some are not finite.
    Gaps,
    /// Whole numbers of this range, both ends included.
    Whole(usize, usize),
}

/// A network and what it reads.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) network: Network<f64>,
    pub(crate) inputs: Vec<Kind>,
}

impl Case {
    /// Numbers for a batch, the same for the same `seed`: a shape and numbers for each input.
    pub(crate) fn inputs(&self, examples: usize, seed: u64) -> Vec<(Vec<usize>, Vec<f64>)> {
        let mut random = Random(seed);
        let shapes = self.network.input_shapes();
        let input = |(shape, kind): (Shape, &Kind)| {
            let numbers = (0..examples * shape.len()).map(|_| random.of(*kind));
            ([&[examples][..], shape.axes()].concat(), numbers.collect())
        };
        shapes.into_iter().zip(&self.inputs).map(input).collect()
    }
}

/// A generator of numbers that look random.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }

    fn of(&mut self, kind: Kind) -> f64 {
        match kind {
            // Of 24 bits, so that they are the same in f32.
            Kind::Numbers => 4.0 * self.uniform() - 2.0,
            Kind::Gaps => match self.of(Kind::Whole(0, 7)) {
                0.0 => f64::NAN,
                1.0 => f64::NEG_INFINITY,
                _ => self.of(Kind::Numbers),
            },
            Kind::Whole(least, most) => least as f64 + (self.uniform() * (most - least + 1) as f64).floor(),
        }
    }
}

type Result<T = ()> = std::result::Result<T, BuildError>;

/// The cases so far.
#[derive(Default)]
struct Zoo(Vec<Case>);

impl Zoo {
    /// A network as a graph wires it.
    fn graph(
        &mut self,
        name: &str,
        inputs: &[(&[usize], Kind)],
        wire: impl FnOnce(&mut Graph, &[Node]) -> Result<Node>,
    ) -> Result {
        let mut graph = Graph::new();
        let shapes = inputs.iter().map(|(shape, _)| Shape::new(shape).unwrap_or(Shape::from([])));
        let nodes: Vec<Node> = shapes.map(|shape| graph.input(shape)).collect();
        let output = wire(&mut graph, &nodes)?;
        let mut network = Network::<f64>::from_graph(&graph, output, Seed(7))?;
        // So that no weight, bias or statistic is where it starts: a 0 or a 1 would hide what is left out.
        let mut random = Random(self.0.len() as u64);
        for x in network.parameters_mut() {
            *x = f64::from((*x + 0.4 * random.uniform() - 0.2) as f32);
        }
        for x in network.statistics_mut() {
            *x = f64::from((*x + 0.5 * random.uniform()) as f32);
        }
        self.0.push(Case { name: name.to_owned(), network, inputs: inputs.iter().map(|(_, kind)| *kind).collect() });
        Ok(())
    }

    /// A network of one layer.
    fn layer(&mut self, name: &str, layer: impl Layer + 'static, inputs: &[(&[usize], Kind)]) -> Result {
        self.graph(name, inputs, |graph, nodes| graph.scoped("layer", |graph| graph.place(layer, nodes)))
    }

    /// A layer of one input of numbers.
    fn one(&mut self, name: &str, layer: impl Layer + 'static, shape: &[usize]) -> Result {
        self.layer(name, layer, &[(shape, Kind::Numbers)])
    }

    /// A network of one input of numbers.
    fn block(&mut self, name: &str, block: impl Block, shape: &[usize]) -> Result {
        self.graph(name, &[(shape, Kind::Numbers)], |graph, nodes| block.wire(graph, nodes[0]))
    }
}

/// All cases.
///
/// # Errors
/// Returns an error if one can't be built.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut zoo = Zoo::default();
    maps(&mut zoo)?;
    pools(&mut zoo)?;
    norms(&mut zoo)?;
    activations(&mut zoo)?;
    shapes(&mut zoo)?;
    recurrent(&mut zoo)?;
    sequences(&mut zoo)?;
    whole(&mut zoo)?;
    Ok(zoo.0)
}

const X: Kind = Kind::Numbers;

fn maps(zoo: &mut Zoo) -> Result {
    zoo.one("affine", Affine::new(3), &[4])?;
    zoo.one("affine_no_bias", Affine::new(3).no_bias(), &[4])?;
    zoo.one("affine_sequence", Affine::new(3), &[5, 4])?;
    zoo.one("affine_image_no_bias", Affine::new(3).no_bias(), &[2, 5, 4])?;
    zoo.layer("bilinear", Bilinear::new(3), &[(&[4], X), (&[5], X)])?;
    zoo.layer("bilinear_no_bias", Bilinear::new(3).no_bias(), &[(&[4], X), (&[5], X)])?;
    zoo.one("scale", Scale::new(0.5), &[3, 2])?;
    zoo.one("conv1d", Conv1d::new(4, 3).stride(2).padding([2, 0]).groups(2), &[2, 9])?;
    zoo.one("conv1d_same", Conv1d::new(4, 4).padding(Padding::Same).dilation(2), &[2, 9])?;
    zoo.one("conv2d", Conv2d::new(4, 3).padding(1), &[3, 8, 7])?;
    let uneven = Conv2d::new(6, [3, 2]).stride([2, 1]).padding([[1, 0], [0, 2]]).dilation([1, 2]).groups(3).no_bias();
    zoo.one("conv2d_uneven", uneven, &[3, 8, 7])?;
    zoo.one("conv2d_same", Conv2d::new(2, [4, 3]).padding(Padding::Same), &[3, 8, 7])?;
    let transposed = ConvTranspose2d::new(4, [3, 2]).stride([2, 3]).padding([1, 0]).output_padding([1, 2]);
    zoo.one("conv_transpose2d", transposed.groups(2), &[2, 4, 5])?;
    zoo.one("conv_transpose2d_dilated", ConvTranspose2d::new(4, 3).dilation(2).no_bias(), &[2, 4, 5])?;
    zoo.layer("embedding", Embedding::new(9, 4), &[(&[5], Kind::Whole(0, 8))])?;
    zoo.layer("embedding_alone", Embedding::new(9, 4).padding(0), &[(&[], Kind::Whole(0, 8))])
}

fn pools(zoo: &mut Zoo) -> Result {
    zoo.one("max_pool1d", MaxPool1d::new(3).stride(2).padding(1), &[2, 9])?;
    zoo.one("max_pool1d_ceil", MaxPool1d::new(3).stride(2).ceil_mode(), &[2, 8])?;
    zoo.one("max_pool1d_ceil_dilated", MaxPool1d::new(2).stride(3).dilation(4).padding(1).ceil_mode(), &[2, 9])?;
    zoo.one("max_pool1d_ceil_dropped", MaxPool1d::new(2).stride(5).padding(1).ceil_mode(), &[2, 9])?;
    zoo.one("max_pool1d_ceil_alone", MaxPool1d::new(5).stride(3).ceil_mode(), &[2, 4])?;
    zoo.one("max_pool2d", MaxPool2d::new(2), &[2, 6, 7])?;
    zoo.one("max_pool2d_ceil", MaxPool2d::new([3, 2]).stride([2, 2]).padding([1, 0]).ceil_mode(), &[2, 6, 7])?;
    zoo.one("average_pool1d", AveragePool1d::new(3).stride(2).padding(1), &[2, 9])?;
    zoo.one("average_pool1d_exclude", AveragePool1d::new(3).stride(2).padding(1).exclude_padding(), &[2, 9])?;
    zoo.one("average_pool1d_ceil", AveragePool1d::new(3).stride(2).ceil_mode(), &[2, 8])?;
    zoo.one("average_pool1d_ceil_padded", AveragePool1d::new(4).stride(3).padding(1).ceil_mode(), &[2, 9])?;
    let exclude = AveragePool1d::new(4).stride(3).padding(1).ceil_mode().exclude_padding();
    zoo.one("average_pool1d_ceil_exclude", exclude, &[2, 9])?;
    zoo.one("average_pool1d_ceil_dropped", AveragePool1d::new(2).stride(5).padding(1).ceil_mode(), &[2, 9])?;
    zoo.one("average_pool1d_ceil_alone", AveragePool1d::new(5).stride(3).ceil_mode(), &[2, 4])?;
    zoo.one("average_pool2d", AveragePool2d::new(2), &[2, 6, 7])?;
    zoo.one("average_pool2d_ceil", AveragePool2d::new([3, 2]).stride(2).padding([1, 0]).ceil_mode(), &[2, 6, 7])?;
    zoo.one("global_average_pool", GlobalAveragePool, &[3, 4, 5])?;
    zoo.one("global_average_pool_signal", GlobalAveragePool, &[3, 4])?;
    zoo.one("global_average_pool_many_axes", GlobalAveragePool, &[3, 2, 2, 3, 2])?;
    zoo.one("adaptive_average_pool1d", AdaptiveAveragePool1d::new(4), &[2, 7])?;
    zoo.one("adaptive_average_pool1d_even", AdaptiveAveragePool1d::new(4), &[2, 8])?;
    zoo.one("adaptive_average_pool2d", AdaptiveAveragePool2d::new([3, 4]), &[2, 7, 6])?;
    zoo.one("adaptive_average_pool2d_even", AdaptiveAveragePool2d::new([3, 1]), &[2, 6, 5])
}

fn norms(zoo: &mut Zoo) -> Result {
    zoo.one("batch_norm", BatchNorm::new(), &[3, 4, 5])?;
    zoo.one("batch_norm_vectors", BatchNorm::new().epsilon(0.1).no_affine(), &[3])?;
    zoo.one("group_norm", GroupNorm::new(2), &[4, 3, 5])?;
    zoo.one("group_norm_vectors", GroupNorm::new(2).no_affine(), &[6])?;
    zoo.one("group_norm_exact", GroupNorm::new(2).epsilon(0.125), &[4, 3])?;
    zoo.one("instance_norm", InstanceNorm::new().affine(), &[3, 4, 5])?;
    zoo.one("instance_norm_signal", InstanceNorm::new().epsilon(0.125), &[3, 4])?;
    zoo.one("layer_norm", LayerNorm::new(), &[3, 5])?;
    zoo.one("layer_norm_axes", LayerNorm::new().axes(2).no_bias(), &[2, 3, 5])?;
    zoo.one("layer_norm_no_affine", LayerNorm::new().no_affine(), &[5])?;
    zoo.one("rms_norm", RmsNorm::new(), &[3, 5])?;
    zoo.one("rms_norm_axes", RmsNorm::new().axes(2).epsilon(1e-3).no_affine(), &[2, 3, 5])
}

fn activations(zoo: &mut Zoo) -> Result {
    let shape = &[3, 5];
    zoo.one("celu", Celu::new(0.3), shape)?;
    zoo.one("elu", Elu::new(0.3), shape)?;
    zoo.one("gelu", Gelu::new(), shape)?;
    zoo.one("gelu_tanh", Gelu::tanh(), shape)?;
    zoo.one("glu", Glu::new(), &[3, 6])?;
    zoo.one("glu_axis", Glu::new().axis(0), &[4, 3])?;
    zoo.one("hardshrink", Hardshrink::new(0.3), shape)?;
    zoo.block("hardsigmoid", sequential![Scale::new(3.0), Hardsigmoid], shape)?;
    zoo.block("hardswish", sequential![Scale::new(3.0), Hardswish], shape)?;
    zoo.one("hardtanh", Hardtanh::new(-0.3, 0.7), shape)?;
    zoo.block("identity", sequential![Identity, Tanh, Identity], shape)?;
    zoo.one("identity_alone", Identity, shape)?;
    zoo.one("leaky_relu", LeakyRelu::default(), shape)?;
    zoo.one("log_sigmoid", LogSigmoid, shape)?;
    zoo.one("log_softmax", LogSoftmax, shape)?;
    zoo.one("mish", Mish, shape)?;
    zoo.one("prelu", PRelu::new(), shape)?;
    zoo.one("prelu_per_channel", PRelu::new().per_channel(), &[3, 2, 4])?;
    zoo.one("rrelu", RRelu::default(), shape)?;
    zoo.one("relu", Relu, shape)?;
    zoo.block("relu6", sequential![Scale::new(6.0), Relu6], shape)?;
    zoo.one("selu", Selu, shape)?;
    zoo.one("sigmoid", Sigmoid, shape)?;
    zoo.one("silu", Silu, shape)?;
    zoo.one("softmax", Softmax, shape)?;
    zoo.one("softmax_of_one", Softmax, &[])?;
    zoo.one("softmin", Softmin, shape)?;
    zoo.one("softplus", Softplus::default(), shape)?;
    zoo.one("softplus_sharp", Softplus::new(2.3), shape)?;
    zoo.one("softshrink", Softshrink::new(0.3), shape)?;
    zoo.one("softsign", Softsign, shape)?;
    zoo.one("tanh", Tanh, shape)?;
    zoo.one("tanhshrink", Tanhshrink, shape)?;
    zoo.one("threshold", Threshold::new(0.1, -0.7), shape)?;
    zoo.one("dropout", Dropout::new(0.5), shape)?;
    zoo.one("spatial_dropout", SpatialDropout::new(0.5), shape)
}

fn shapes(zoo: &mut Zoo) -> Result {
    let (a, b, c) = ((&[3usize, 4][..], X), (&[3usize, 4][..], X), (&[3usize, 4][..], X));
    zoo.layer("add", Add, &[a, b])?;
    zoo.layer("add_three", Add, &[a, b, c])?;
    zoo.layer("add_one", Add, &[a])?;
    zoo.layer("multiply", Multiply, &[a, b, c])?;
    zoo.layer("concat", Concat::new(0), &[a, (&[2, 4], X)])?;
    zoo.layer("concat_last", Concat::new(1), &[a, (&[3, 1], X), c])?;
    zoo.one("mean", Mean::new(0), &[3, 4])?;
    zoo.one("mean_keep", Mean::new(1).keep_axis(), &[3, 4])?;
    zoo.one("sum", Sum::new(1), &[3, 4])?;
    zoo.one("sum_keep", Sum::new(0).keep_axis(), &[3, 4])?;
    zoo.one("flatten", Flatten, &[3, 4, 2])?;
    zoo.one("reshape", Reshape::new([4, 6]), &[3, 4, 2])?;
    zoo.one("reshape_to_number", Reshape::new([]), &[1])?;
    zoo.one("permute", Permute::new([1, 0]), &[3, 4, 2])?;
    zoo.one("slice", Slice::new(1, 1..3), &[3, 4])?;
    zoo.one("pad", Pad::new([1, 2]).mode(PadMode::Constant(0.3)), &[2, 3])?;
    zoo.one("pad_vector", Pad::new([1, 0]), &[3])?;
    zoo.one("pad_reflect", Pad::new([1, 2]).rows([2, 1]).mode(PadMode::Reflect), &[2, 3, 4])?;
    zoo.one("pad_replicate", Pad::new([1, 2]).rows([2, 1]).mode(PadMode::Replicate), &[2, 3, 4])?;
    zoo.one("pad_circular", Pad::new([1, 2]).rows([0, 3]).mode(PadMode::Circular), &[2, 3, 4])?;
    let image = &[2, 5, 4];
    zoo.one("upsample_twice", Upsample::new(2), image)?;
    zoo.one("upsample_nearest", Upsample::new([1.7, 0.6]), image)?;
    zoo.one("upsample_nearest_size", Upsample::to_size([7, 9]), image)?;
    let bilinear = Interpolation::Bilinear;
    zoo.one("upsample_bilinear", Upsample::new(2).interpolation(bilinear), image)?;
    zoo.one("upsample_bilinear_odd", Upsample::new([1.7, 1.1]).interpolation(bilinear), image)?;
    zoo.one("upsample_bilinear_size", Upsample::to_size([7, 3]).interpolation(bilinear), image)?;
    let aligned = Interpolation::BilinearAlignedCorners;
    zoo.one("upsample_aligned", Upsample::new([2.0, 1.5]).interpolation(aligned), image)?;
    zoo.one("upsample_aligned_size", Upsample::to_size([7, 1]).interpolation(aligned), image)
}

fn recurrent(zoo: &mut Zoo) -> Result {
    let (x, lengths) = ((&[6usize, 3][..], X), (&[1usize][..], Kind::Whole(1, 6)));
    zoo.one("rnn", Rnn::new(4), x.0)?;
    zoo.one("rnn_relu", Rnn::new(4).relu().bidirectional().last_state(), x.0)?;
    zoo.layer("rnn_lengths", Rnn::new(4).no_bias().layers(2).lengths(), &[x, lengths])?;
    zoo.one("gru", Gru::new(4), x.0)?;
    zoo.one("gru_last", Gru::new(4).layers(2).bidirectional().last_state(), x.0)?;
    zoo.layer("gru_lengths", Gru::new(4).bidirectional().no_bias().lengths(), &[x, lengths])?;
    zoo.one("lstm", Lstm::new(4), x.0)?;
    zoo.one("lstm_last", Lstm::new(4).last_state().no_bias(), x.0)?;
    zoo.one("lstm_deep", Lstm::new(4).layers(3).bidirectional().dropout(0.3), x.0)?;
    let last = Lstm::new(4).layers(2).bidirectional().lengths().last_state();
    zoo.layer("lstm_lengths", last, &[x, lengths])
}

fn sequences(zoo: &mut Zoo) -> Result {
    let (x, memory) = ((&[6usize, 8][..], X), (&[5usize, 8][..], X));
    let (own, other) = ((&[1usize][..], Kind::Whole(1, 6)), (&[1usize][..], Kind::Whole(1, 5)));
    let positions = RotaryPositions::new;
    zoo.one("attention", MultiHeadAttention::new(2), x.0)?;
    zoo.one("attention_causal", MultiHeadAttention::new(4).causal().no_bias(), x.0)?;
    zoo.layer("attention_lengths", MultiHeadAttention::new(2).lengths().dropout(0.1), &[x, own])?;
    zoo.one("attention_rotary", MultiHeadAttention::new(2).rotary_positions(positions()).causal(), x.0)?;
    zoo.layer("attention_crossed", MultiHeadAttention::new(2), &[x, memory])?;
    let crossed = MultiHeadAttention::new(2).no_bias().causal().lengths();
    let crossed = crossed.rotary_positions(positions().interleaved().base(100.0));
    zoo.layer("attention_crossed_lengths", crossed, &[x, memory, other])?;
    zoo.one("learnt_positions", LearntPositions::new(), x.0)?;
    zoo.one("rotary_positions", positions(), x.0)?;
    zoo.one("rotary_positions_heads", positions().interleaved(), &[6, 2, 4])?;
    zoo.one("sinusoidal_positions", SinusoidalPositions::new().base(50.0), &[6, 5])?;
    zoo.layer("finite_padding", FinitePadding, &[(x.0, Kind::Gaps), own])?;
    zoo.layer("finite_padding_numbers", FinitePadding, &[(&[6], Kind::Gaps), own])
}

fn whole(zoo: &mut Zoo) -> Result {
    zoo.block(
        "mlp",
        sequential![Affine::new(16), Relu, Dropout::new(0.2), Affine::new(8), Tanh, Affine::new(3)],
        &[6],
    )?;
    zoo.block(
        "cnn",
        sequential![
            Conv2d::new(6, 3).padding(1).no_bias(),
            BatchNorm::new(),
            Relu,
            MaxPool2d::new(2),
            Conv2d::new(8, 3),
            BatchNorm::new(),
            Silu,
            AdaptiveAveragePool2d::new(2),
            Flatten,
            Affine::new(10),
            Softmax
        ],
        &[3, 12, 12],
    )?;
    zoo.block(
        "lstm_classifier",
        sequential![Lstm::new(8).layers(2).last_state(), Affine::new(3), LogSoftmax],
        &[7, 4],
    )?;
    zoo.block("gru_tagger", sequential![Gru::new(8).bidirectional(), Affine::new(3)], &[7, 4])?;
    let block = || TransformerEncoderBlock::new(2, 16);
    zoo.graph("transformer", &[(&[7], Kind::Whole(0, 19))], |graph, nodes| {
        let model = sequential![
            Embedding::new(20, 8),
            SinusoidalPositions::new(),
            block(),
            block().norm_first().activation(Gelu::new()),
            LayerNorm::new(),
            Mean::new(0),
            Affine::new(4)
        ];
        model.wire(graph, nodes[0])
    })?;
    zoo.graph("transformer_lengths", &[(&[7, 8], X), (&[1], Kind::Whole(1, 7))], |graph, nodes| {
        graph.scoped("block", |graph| block().wire_with_lengths(graph, nodes[0], nodes[1]))
    })?;
    zoo.graph("shared", &[(&[4], X), (&[4], X)], |graph, nodes| {
        let eyes = Shared::new(sequential![Affine::new(3), Reshape::new([3, 1]), Lstm::new(2).last_state()]);
        let mut twin = |name: &str, node| graph.scoped(name, |graph| eyes.wire(graph, node));
        let (left, right) = (twin("left", nodes[0])?, twin("right", nodes[1])?);
        graph.scoped("difference", |graph| graph.place(Multiply, &[left, right]))
    })?;
    // Lengths that are numbers too, a layer without a name, and a layer with the name of another's parameter.
    zoo.graph("names", &[(&[6, 3], X), (&[1], Kind::Whole(1, 6))], |graph, nodes| {
        let y = graph.scoped("rnn", |graph| graph.place(Gru::new(3).lengths().last_state(), &nodes[..2]))?;
        let y = graph.scoped("map", |graph| graph.place(Affine::new(2), &[y]))?;
        let y = graph.scoped("map.weight", |graph| graph.place(Concat::new(0), &[y, nodes[1]]))?;
        graph.place(Affine::new(2), &[y])
    })
}
