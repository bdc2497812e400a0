//! The transformer block against PyTorch's (`xtask/golden/network_transformer.py` made the fixture), and at its edges.

use std::collections::BTreeSet;

use downhill_layers::{Gelu, Inputs, Layer, LayerNorm, Mode, Relu, RotaryPositions};
use downhill_network::{Block, Graph, Network, Purpose, TransformerEncoderBlock, sequential};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Scalar, Seed, Shape};
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use serde::Deserialize;

/// The settings of one case.
#[derive(Debug, Deserialize)]
struct Case {
    norm_first: bool,
    gelu: bool,
    causal: bool,
    bias: bool,
    lengths: Option<Vec<f64>>,
    epsilon: f64,
}

impl Case {
    fn build<T: Scalar>(&self, input: Shape) -> Network<T> {
        let block = TransformerEncoderBlock::new(2, 5);
        if self.gelu { self.wire(block.activation(Gelu::new()), input) } else { self.wire(block, input) }
    }

    fn wire<T: Scalar, F: Layer + Clone + 'static>(
        &self,
        mut block: TransformerEncoderBlock<F>,
        input: Shape,
    ) -> Network<T> {
        block = block.epsilon(self.epsilon);
        if self.norm_first {
            block = block.norm_first();
        }
        if self.causal {
            block = block.causal();
        }
        if !self.bias {
            block = block.no_bias();
        }
        let mut graph = Graph::new();
        let x = graph.input(input);
        let y = match self.lengths {
            Some(_) => {
                let lengths = graph.input([1]);
                block.wire_with_lengths(&mut graph, x, lengths)
            }
            None => block.wire(&mut graph, x),
        };
        Network::from_graph(&graph, y.unwrap(), Seed(1)).unwrap()
    }
}

struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    fn read() -> Self {
        let path = format!("{}/tests/fixtures/transformer_encoder_block.safetensors", env!("CARGO_MANIFEST_DIR"));
        Self { bytes: std::fs::read(path).unwrap() }
    }

    fn cases(&self) -> Vec<Case> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).unwrap();
        serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap()
    }

    fn names(&self) -> Vec<String> {
        SafeTensors::deserialize(&self.bytes).unwrap().names().into_iter().map(str::to_owned).collect()
    }

    fn tensor(&self, name: &str) -> ArrayD<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let numbers = tensor.data().chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
        ArrayD::from_shape_vec(IxDyn(tensor.shape()), numbers).unwrap()
    }
}

/// Checks ‖found − expected‖ ≤ tolerance ‖expected‖.
fn close<T: Scalar>(what: &str, found: impl Iterator<Item = T>, expected: &ArrayD<f64>, tolerance: f64) {
    let found = ArrayD::from_shape_vec(expected.raw_dim(), found.map(T::to_f64).collect()).unwrap();
    let norm = |x: &ArrayD<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let error = norm(&(&found - expected));
    assert!(error <= tolerance * norm(expected), "{what}: {found} for {expected}");
}

fn compare<T: Scalar>(tolerance: f64) {
    let fixture = Fixture::read();
    for (number, case) in fixture.cases().iter().enumerate() {
        let tensor = |name: &str| fixture.tensor(&format!("{number}.{name}"));
        let what = |part: &str| format!("{part} of {case:?} in {}", T::NAME);
        let numbers = |name: &str| tensor(name).mapv(T::from_f64).into_raw_vec_and_offset().0;
        let (x, dy) = (numbers("x"), numbers("dy"));
        let (examples, shape) = (tensor("x").shape()[0], Shape::new(&tensor("x").shape()[1..]).unwrap());
        let mut network = case.build::<T>(shape);

        let names: BTreeSet<_> = network.segments().iter().map(|segment| segment.name.clone()).collect();
        let theirs = fixture.names();
        let prefix = format!("{number}.theta.");
        let theirs: BTreeSet<_> =
            theirs.iter().filter_map(|name| name.strip_prefix(&prefix)).map(String::from).collect();
        assert_eq!(names, theirs, "the names are those of PyTorch");
        for name in &names {
            network.parameter_mut(name).unwrap().assign(&tensor(&format!("theta.{name}")).mapv(T::from_f64));
        }

        let lengths: Vec<T> = case.lengths.iter().flatten().map(|&length| T::from_f64(length)).collect();
        let mut inputs = Inputs::from(Batch::new(&x, examples, shape).unwrap());
        if case.lengths.is_some() {
            inputs.set(1, Batch::new(&lengths, examples, [1]).unwrap());
        }
        let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
        let theta = network.parameters();
        // Dropout is on by default, as in PyTorch, and rests in evaluation.
        let y = network.forward(theta, inputs, &mut workspace, Mode::Evaluation).unwrap();
        close(&what("y"), y.slice().iter().copied(), &tensor("y"), tolerance);
        workspace.loss_slots().unwrap().1.slice().copy_from_slice(&dy);
        network.backward(theta, inputs, &mut workspace).unwrap();
        close(&what("dx"), workspace.input_gradient(0).unwrap().slice().iter().copied(), &tensor("dx"), tolerance);
        // Seen in the shapes of the parameters.
        let mut gradient = network.clone();
        gradient.parameters_mut().copy_from_slice(workspace.gradient());
        for name in &names {
            let found = gradient.parameter(name).unwrap();
            close(&what(name), found.iter().copied(), &tensor(&format!("dtheta.{name}")), tolerance);
        }
    }
}

#[test]
fn the_block_agrees_with_pytorch() {
    compare::<f64>(1e-11);
    compare::<f32>(1e-5);
}

#[test]
fn layers_are_named_as_in_pytorch_and_dropped_where_nothing_drops() {
    let places = |block: TransformerEncoderBlock| {
        let network = Network::<f32>::build([3, 4], block, Seed(0)).unwrap();
        let text = network.summary().to_string();
        let places = text.lines().skip(2).map(|line| line.split_whitespace().next().unwrap().to_owned());
        places.take_while(|place| place != "in").collect::<Vec<_>>()
    };
    let block = TransformerEncoderBlock::new(2, 8);
    assert_eq!(
        places(block.clone()),
        [
            "self_attn",
            "dropout1",
            "add1",
            "norm1",
            "linear1",
            "activation",
            "dropout",
            "linear2",
            "dropout2",
            "add2",
            "norm2"
        ]
    );
    assert_eq!(
        places(block.dropout(0.0).norm_first()),
        ["norm1", "self_attn", "add1", "norm2", "linear1", "activation", "linear2", "add2"]
    );
}

#[test]
fn blocks_stack_and_take_any_activation() {
    let block = || TransformerEncoderBlock::new(2, 8).activation(Relu).norm_first();
    let stack = sequential![block(), block().causal().rotary_positions(RotaryPositions::new()), LayerNorm::new()];
    let network = Network::<f32>::build([3, 4], stack, Seed(0)).unwrap();
    assert_eq!(network.output_shape(), [3, 4].into());
    assert_eq!(network.parameter("1.self_attn.in_proj_weight").unwrap().shape(), [12, 4]);
    assert_eq!(network.parameter("0.linear2.weight").unwrap().shape(), [4, 8]);
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    let error = |input: Shape, block: TransformerEncoderBlock| {
        Network::<f32>::build(input, block, Seed(0)).unwrap_err().to_string()
    };
    let block = TransformerEncoderBlock::new(2, 8);
    assert_eq!(
        error([3, 5].into(), block.clone()),
        "layer `self_attn`: MultiHeadAttention: the width 5 can't be cut into 2 heads of equal size"
    );
    assert!(error([4].into(), block.clone()).contains("takes sequences of shape (steps, width)"));
    assert!(error([3, 4].into(), TransformerEncoderBlock::new(2, 0)).starts_with("layer `linear1`: Affine"));
    assert!(error([3, 4].into(), block.clone().dropout(2.0)).contains("must lie in [0, 1], but is 2"));
    assert!(error([3, 4].into(), block.clone().epsilon(-1.0)).contains("norm1"));
    let mut graph = Graph::new();
    let (x, lengths) = (graph.input([3, 4]), graph.input([2]));
    let error = block.wire_with_lengths(&mut graph, x, lengths).unwrap_err().to_string();
    assert!(error.contains("one number for each example"), "{error}");
}

#[test]
fn bits_do_not_depend_on_threads() {
    let block = || TransformerEncoderBlock::new(4, 64).dropout(0.1).causal();
    let network = Network::<f32>::build([24, 32], sequential![block(), block()], Seed(3)).unwrap();
    let mut stream = Seed(4).stream(0);
    let x: Vec<f32> = (0..16 * 24 * 32).map(|_| stream.uniform() as f32 - 0.5).collect();
    let on = |threads: usize| {
        let mut workspace = network.workspace(Purpose::Training);
        let (x, mode) = (Batch::new(&x, 16, [24, 32]).unwrap(), Mode::Training { step: 5 });
        Threads::new(threads).unwrap().run(|| {
            let y = network.forward(network.parameters(), x, &mut workspace, mode).unwrap().slice().to_vec();
            workspace.loss_slots().unwrap().1.slice().copy_from_slice(&y);
            network.backward(network.parameters(), x, &mut workspace).unwrap();
            (y, workspace.gradient().to_vec())
        })
    };
    let one = on(1);
    assert!(one.1.iter().all(|g| g.is_finite()) && one.1.iter().any(|&g| g != 0.0));
    for threads in 2..=4 {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

/// y, dJ/dx and dJ/dθ of a training step of two blocks whose sequences of five steps are padded with `fill`, and whose
/// dJ/dy in the padding is `dy`.
fn padded<T: Scalar>(block: &TransformerEncoderBlock, fill: f64, dy: f64) -> [Vec<T>; 3] {
    let (lengths, steps, width) = ([3, 5, 1], 5, 4);
    let mut graph = Graph::new();
    let (x, lengths_of_all) = (graph.input([steps, width]), graph.input([1]));
    let y = block.wire_with_lengths(&mut graph, x, lengths_of_all).unwrap();
    let y = graph.scoped("second", |graph| block.wire_with_lengths(graph, y, lengths_of_all)).unwrap();
    let network = Network::<T>::from_graph(&graph, y, Seed(1)).unwrap();

    let mut stream = Seed(2).stream(0);
    let mut numbers =
        || -> Vec<T> { (0..3 * steps * width).map(|_| T::from_f64(2.0 * stream.uniform() - 1.0)).collect() };
    let (mut x, mut slope) = (numbers(), numbers());
    for at in (0..x.len()).filter(|at| at / width % steps >= lengths[at / width / steps]) {
        (x[at], slope[at]) = (T::from_f64(fill), T::from_f64(dy));
    }
    let lengths = lengths.map(|length| T::from_f64(length as f64));
    let mut inputs = Inputs::from(Batch::new(&x, 3, [steps, width]).unwrap());
    inputs.set(1, Batch::new(&lengths, 3, [1]).unwrap());
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let theta = network.parameters();
    let y = network.forward(theta, inputs, &mut workspace, Mode::Training { step: 3 }).unwrap().slice().to_vec();
    workspace.loss_slots().unwrap().1.slice().copy_from_slice(&slope);
    network.backward(theta, inputs, &mut workspace).unwrap();
    let dx = workspace.input_gradient(0).unwrap().slice().to_vec();
    for at in (0..x.len()).filter(|at| at / width % steps >= lengths[at / width / steps].to_f64() as usize) {
        assert!(dy != 0.0 && fill.is_finite() || dx[at] == T::ZERO, "dJ/dx is {} where x is {fill}", dx[at]);
    }
    [y, dx, workspace.gradient().to_vec()]
}

#[test]
fn what_stands_in_the_padding_of_a_block_reaches_no_gradient() {
    fn all<T: Scalar>(largest: f64) {
        let block = TransformerEncoderBlock::new(2, 8);
        for block in [block.clone(), block.clone().norm_first(), block.causal().dropout(0.0)] {
            let expected = padded::<T>(&block, 0.0, 0.0);
            assert!(expected.iter().flatten().all(|number| number.is_finite()));
            for fill in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 7.0, largest] {
                let [y, dx, gradient] = padded::<T>(&block, fill, 0.0);
                assert!(y.iter().all(|y| y.is_finite()), "{fill}");
                for example in 0..3 {
                    let there = example * 20..example * 20 + [12, 20, 4][example];
                    assert_eq!(y[there.clone()], expected[0][there], "{fill} in {block:?}");
                }
                assert_eq!(dx, expected[1], "{fill} in {block:?}");
                assert_eq!(gradient, expected[2], "{fill} in {block:?}");
            }
            // What is not finite is zeros, also for a loss that reads the padding.
            let [y, _, gradient] = padded::<T>(&block, 0.0, 0.5);
            for fill in [f64::NAN, f64::INFINITY] {
                let found = padded::<T>(&block, fill, 0.5);
                assert_eq!((&found[0], &found[2]), (&y, &gradient), "{fill} in {block:?}");
            }
        }
    }
    all::<f32>(1e38);
    all::<f64>(1e300);
}
