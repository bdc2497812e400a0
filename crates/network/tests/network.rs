//! Wiring, shapes, names, and passes of whole networks.

use downhill_layers::{
    Add, Affine, Backward, BatchNorm, Concat, Conv2d, Dropout, Embedding, Flatten, Forward, Gelu, GlobalAveragePool,
    Inputs, Layer, Lstm, MaxPool2d, Mode, MultiHeadAttention, Relu, Reshape, RotaryPositions, Sigmoid, Signature,
    Softmax, Tanh, single_input,
};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy, Target};
use downhill_network::{
    Block, Frozen, Graph, Network, Purpose, Repeat, Residual, Sequential, Shared, branches, sequential,
};
#[cfg(feature = "serde")]
use downhill_network::{Named, NetworkDescription};
use downhill_optim::{Optimizer, Sgd};
use downhill_tensor::{Batch, BuildError, Scalar, Seed, Shape, ShapeError, threads};
use ndarray::{Array2, Array4, array};

fn build(input: impl Into<Shape>, block: impl Block) -> Network<f64> {
    Network::build(input, block, Seed(1)).unwrap()
}

#[test]
fn sizes_are_inferred_and_named_as_in_a_state_dict() {
    let inner = sequential![Affine::new(8), Relu];
    let network = build([4], sequential![Affine::new(8), Relu, Residual(inner), Affine::new(3)]);
    let names: Vec<&str> = network.segments().iter().map(|segment| segment.name.as_str()).collect();
    assert_eq!(names, ["0.weight", "0.bias", "2.0.weight", "2.0.bias", "3.weight", "3.bias"]);
    assert_eq!(network.parameter("0.weight").unwrap().shape(), [8, 4], "(out, in), whatever lies in memory");
    assert_eq!(network.parameters().len(), 8 * 4 + 8 + 8 * 8 + 8 + 3 * 8 + 3);
    let last = network.segments().last().unwrap();
    assert_eq!(last.range.end, network.parameters().len());
}

#[test]
fn a_parameter_can_be_set_in_its_usual_shape() {
    let mut network = build([2], Affine::new(1));
    network.parameter_mut("weight").unwrap().assign(&array![[2.0, 3.0]].into_dyn());
    network.parameter_mut("bias").unwrap().fill(0.5);
    assert_eq!(network.predict([[1.0, 10.0]]).unwrap(), array![[32.5]]);
    let error = network.parameter("0.weight").unwrap_err().to_string();
    assert_eq!(error, "the network: there is no parameter `0.weight`; there are `weight`, `bias`");
}

#[test]
fn a_layer_that_does_not_fit_is_named_with_both_shapes() {
    let error = |input: Shape, block: Sequential| Network::<f32>::build(input, block, Seed(1)).unwrap_err().to_string();
    assert_eq!(
        error([].into(), sequential![Relu, Affine::new(10)]),
        "layer `1`: Affine takes vectors along the last axis of an example, but was given the shape scalar; \
         put Reshape::new([1]) before it to see a number as a vector of one"
    );
    assert_eq!(
        error([4].into(), sequential![Tanh, Residual(sequential![Affine::new(5)])]),
        "layer `1.add`: the inputs of Add must have equal shapes, but one is 4 and the other is 5"
    );
    assert_eq!(
        error([6].into(), sequential![Reshape::new([2, 2])]),
        "layer `0`: Reshape: an example of shape 6 has 6 numbers, but the shape 2x2 has 4"
    );
    assert_eq!(
        error([6].into(), sequential![Affine::new(2), Dropout::new(1.5)]),
        "layer `1`: Dropout: the probability must lie in [0, 1], but is 1.5"
    );
    assert_eq!(error([6].into(), sequential![]), "the graph: a network has at least one layer, but this one has none");
    assert!(error([0].into(), sequential![Affine::new(2)]).contains("must be at least 1"));
}

#[test]
fn nodes_of_another_graph_and_repeated_names_are_refused() {
    let mut other = Graph::new();
    let foreign = (0..5).map(|_| other.input([2])).last().unwrap();
    let mut graph = Graph::new();
    let x = graph.input([2]);
    assert!(graph.apply(Tanh, &[foreign]).unwrap_err().to_string().contains("another graph"));
    graph.scoped("a", |graph| Relu.wire(graph, x)).unwrap();
    let error = graph.scoped("a", |graph| Relu.wire(graph, x)).unwrap_err();
    assert!(error.to_string().starts_with("layer `a`: the graph: there is another layer of this name"), "{error}");
    assert!(graph.apply(Add, &[x; 9]).is_err());
}

#[test]
fn a_layer_that_stands_bare_is_called_by_its_kind() {
    let dropout = Network::<f64>::build([4], Dropout::new(1.5), Seed(0)).unwrap_err();
    assert_eq!(dropout.to_string(), "Dropout: the probability must lie in [0, 1], but is 1.5");
    let flat = Network::<f64>::build([], Residual(Affine::new(2)), Seed(0)).unwrap_err();
    assert!(flat.to_string().starts_with("Affine takes vectors along the last axis"), "{flat}");

    let mut graph = Graph::new();
    let x = graph.input([5]);
    let shared = Shared::new(Affine::new(3));
    let y = shared.wire(&mut graph, x).unwrap();
    assert_eq!(
        Relu.wire(&mut graph, y).unwrap_err().to_string(),
        "the graph: there is another layer without a name; wire this one in a scope of its own"
    );
    assert_eq!(
        graph.scoped("b", |graph| shared.wire(graph, y)).unwrap_err().to_string(),
        "layer `b`: the graph: it shares the parameters of the layer Affine, but for inputs of these shapes they \
         would be others"
    );

    let network = Network::<f64>::build([2], Embedding::new(3, 1), Seed(0)).unwrap();
    let error = network.predict([[1.0, 7.0]]).unwrap_err().to_string();
    assert!(error.starts_with("Embedding: number 1 of input 0 is 7, but only whole numbers"), "{error}");

    /// y = x.
    #[derive(Clone, Debug)]
    struct Mine;
    impl Layer for Mine {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Mine", single_input("Mine", inputs)?))
        }
        fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
            pass.y.slice().copy_from_slice(pass.x[0].slice());
        }
        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            if let Some(dx) = pass.dx.get(0) {
                dx.slice().copy_from_slice(pass.dy.slice());
            }
        }
    }
    let description = |network: Network<f64>| network.description().unwrap_err().to_string();
    let bare = description(Network::build([2], Mine, Seed(0)).unwrap());
    assert!(bare.starts_with("the layer Mine is not one of downhill-layers, so it can't be described"), "{bare}");
    let named = description(Network::build([2], sequential![Relu, Mine], Seed(0)).unwrap());
    assert!(named.starts_with("layer `1` (Mine) is not one of downhill-layers, so it can't be described"), "{named}");
}

#[test]
fn what_the_output_does_not_need_is_left_out() {
    let mut graph = Graph::new();
    let x = graph.input([3]);
    let _unused = graph.apply(Affine::new(100), &[x]).unwrap();
    let y = graph.apply(Affine::new(2), &[x]).unwrap();
    let network = Network::<f32>::from_graph(&graph, y, Seed(1)).unwrap();
    assert_eq!(network.parameters().len(), 8);
    assert_eq!(network.segments()[0].name, "1.weight");
}

#[test]
fn the_same_seed_starts_the_same_network_in_either_precision() {
    let block = || sequential![Affine::new(5), Tanh, Affine::new(2)];
    let single = Network::<f32>::build([3], block(), Seed(9)).unwrap();
    let double = Network::<f64>::build([3], block(), Seed(9)).unwrap();
    assert_eq!(double.cast::<f32>().parameters(), single.parameters());
    assert_ne!(Network::<f32>::build([3], block(), Seed(10)).unwrap().parameters(), single.parameters());
}

/// A network with every kind of wiring, computed once by hand from its parameters.
#[test]
fn the_forward_pass_is_the_composition_of_its_layers() {
    let network = build(
        [3],
        sequential![
            Affine::new(4),
            Tanh,
            Residual(sequential![Affine::new(4), Sigmoid]),
            branches![concat 0; Affine::new(2), Tanh]
        ],
    );
    let x = array![[0.1, -0.4, 0.9], [1.0, 0.0, -1.0]];
    let affine = |x: &Array2<f64>, name: &str| {
        let weight = network.parameter(&format!("{name}.weight")).unwrap();
        let weight = weight.into_dimensionality::<ndarray::Ix2>().unwrap();
        let bias = network.parameter(&format!("{name}.bias")).unwrap();
        x.dot(&weight.t()) + bias.into_dimensionality::<ndarray::Ix1>().unwrap()
    };
    let hidden = affine(&x, "0").mapv(f64::tanh);
    let hidden = &hidden + &affine(&hidden, "2.0").mapv(|x| 1.0 / (1.0 + (-x).exp()));
    let expected = ndarray::concatenate![ndarray::Axis(1), affine(&hidden, "3.0"), hidden.mapv(f64::tanh)];
    let y = network.predict(&x).unwrap();
    assert!((&y - &expected).iter().all(|error| error.abs() < 1e-14), "{y} {expected}");
}

#[test]
fn all_purposes_agree_and_a_workspace_serves_batches_of_any_size() {
    let network = build(
        [6],
        sequential![Flatten, Affine::new(9), Gelu::new(), Residual(sequential![Relu, Tanh]), Affine::new(4), Softmax],
    );
    let data: Vec<f64> = (0..60).map(|i| f64::from(i).sin()).collect();
    let mut training = network.workspace(Purpose::TrainingWithInputGradient);
    let mut predicting = network.workspace(Purpose::Prediction);
    for examples in [3, 10, 1, 7] {
        let x = Batch::new(&data[..6 * examples], examples, [6]).unwrap();
        let theta = network.parameters();
        let a = network.forward(theta, x, &mut training, Mode::Evaluation).unwrap().slice().to_vec();
        let b = network.forward(theta, x, &mut predicting, Mode::Evaluation).unwrap().slice().to_vec();
        assert_eq!(a, b);
        assert_eq!(a.len(), 4 * examples);
    }
}

#[test]
fn several_inputs_are_checked_one_by_one() {
    let mut graph = Graph::new();
    let (a, b) = (graph.input([2]), graph.input([3]));
    let both = graph.apply(Concat::new(0), &[a, b]).unwrap();
    let y = graph.apply(Affine::new(1), &[both]).unwrap();
    let network = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap();
    let mut workspace = network.workspace(Purpose::Training);
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
    let mut inputs = Inputs::from(Batch::new(&a, 2, [2]).unwrap());
    let error = network.forward(network.parameters(), inputs, &mut workspace, Mode::Evaluation).unwrap_err();
    let too_few = "the network: the number of its inputs is 2, but it was given 1";
    assert_eq!(error.to_string(), too_few);
    inputs.set(1, Batch::new(&b, 2, [3]).unwrap());
    assert!(network.forward(network.parameters(), inputs, &mut workspace, Mode::Evaluation).is_ok());
    inputs.set(1, Batch::new(&b[..3], 1, [3]).unwrap());
    assert!(network.forward(network.parameters(), inputs, &mut workspace, Mode::Evaluation).is_err());
    assert_eq!(network.predict([[1.0, 2.0]]).unwrap_err().to_string(), too_few);
    // One that is left out is missed, however many come after it.
    let mut gap = Inputs::empty();
    (1..3).for_each(|index| gap.set(index, Batch::new(&b, 2, [3]).unwrap()));
    let error = network.check_inputs(gap, Mode::Evaluation).unwrap_err();
    assert_eq!(error.to_string(), "the network: the number of its inputs is 2, but it was given 0");
}

#[test]
fn several_inputs_are_predicted_from_as_one_is() {
    let mut graph = Graph::new();
    let (a, b) = (graph.input([2]), graph.input([3]));
    let both = graph.apply(Concat::new(0), &[a, b]).unwrap();
    let y = graph.apply(Affine::new(4), &[both]).unwrap();
    let network = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap();
    let chain = build([5], sequential![Concat::new(0), Affine::new(4)]);
    let mut same = chain.clone();
    same.parameters_mut().copy_from_slice(network.parameters());
    let x = Array2::from_shape_fn((6, 5), |(i, j)| ((5 * i + j) as f64).sin());
    let (a, b) = x.view().split_at(ndarray::Axis(1), 2);
    assert!(!a.is_standard_layout());
    let inputs = [a.into_dyn(), b.into_dyn()];
    assert_eq!(network.predict(&inputs[..]).unwrap(), same.predict(&x).unwrap());
    assert_eq!(network.classify(&inputs[..]).unwrap(), same.classify(&x).unwrap());
    assert_eq!(network.predict((&inputs[0], &inputs[1])).unwrap(), same.predict(&x).unwrap());

    let error = |inputs: &[ndarray::ArrayViewD<'_, f64>]| network.predict(inputs).unwrap_err().to_string();
    assert_eq!(error(&inputs[..1]), "the network: the number of its inputs is 2, but it was given 1");
    assert_eq!(error(&[]), "the network: the number of its inputs is 2, but it was given 0");
    assert_eq!(error(&vec![inputs[0].clone(); 9]), "the network: the number of its inputs is 2, but it was given 9");
    let fewer = inputs[1].slice_axis(ndarray::Axis(0), (..4).into());
    assert_eq!(error(&[inputs[0].clone(), fewer]), "the batch of a further input should hold 6 elements, but holds 4");
}

#[test]
fn a_network_of_more_inputs_than_a_pass_can_be_given_is_refused() {
    let mut graph = Graph::new();
    let inputs: Vec<_> = (0..9).map(|_| graph.input([2])).collect();
    let y = graph.apply(Affine::new(1), &inputs[..1]).unwrap();
    let error = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap_err();
    assert_eq!(error.to_string(), "the graph: a network has from 1 to 8 inputs, but this one has 9");
}

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    let network = build([3], sequential![Affine::new(2)]);
    let error = network.predict([[1.0, 2.0]]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an example and the network's input must have equal shapes, but one is 3 and the other is 2"
    );
    let mut workspace = network.workspace(Purpose::Training);
    let x = Batch::new(&[1.0, 2.0, 3.0], 1, [3]).unwrap();
    let short = &network.parameters()[1..];
    assert!(network.forward(short, x, &mut workspace, Mode::Evaluation).is_err());
    let loss = SoftmaxCrossEntropy::new();
    let mode = Mode::Training { step: 0 };
    let error = network
        .value_and_gradient(network.parameters(), x, Target::Classes(&[2]), &loss, &mut workspace, mode)
        .unwrap_err();
    assert!(error.to_string().contains("class 2"), "{error}");
    let mut predicting = network.workspace(Purpose::Prediction);
    let error = network
        .value_and_gradient(network.parameters(), x, Target::Classes(&[1]), &loss, &mut predicting, mode)
        .unwrap_err();
    assert!(error.to_string().contains("prediction only"), "{error}");
    let error = network.backward(network.parameters(), Batch::new(&[0.0; 6], 2, [3]).unwrap(), &mut workspace);
    assert!(error.is_err(), "another batch than that of the forward pass");
}

#[test]
fn an_empty_batch_gives_an_empty_prediction() {
    let network = build([3], sequential![Affine::new(2), Relu]);
    assert_eq!(network.predict(Array2::<f64>::zeros((0, 3)).view()).unwrap().dim(), (0, 2));
}

/// Layers with something to keep for a batch, or that take one from the next, never see an empty one.
#[test]
fn an_empty_batch_goes_through_any_network_and_has_no_gradient() {
    let recurrent = sequential![BatchNorm::new(), Lstm::new(2).layers(2).bidirectional(), Flatten, Affine::new(2)];
    let attention = sequential![RotaryPositions::new(), MultiHeadAttention::new(1), GlobalAveragePool];
    for network in [build([3, 2], recurrent), build([3, 2], attention)] {
        let mut network = network;
        let before = network.statistics().to_vec();
        let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
        for examples in [0, 2, 0] {
            let data = vec![0.5; 6 * examples];
            let x = Batch::new(&data, examples, [3, 2]).unwrap();
            let mut seen = 0;
            let mode = Mode::Training { step: 0 };
            network
                .forward_observed(network.parameters(), x, &mut workspace, mode, |_, y| {
                    assert_eq!(y.examples(), examples);
                    seen += 1;
                })
                .unwrap();
            assert!(seen >= 3);
            assert_eq!(workspace.prediction().examples(), examples);
            workspace.loss_slots().unwrap().1.slice().fill(1.0);
            network.backward(network.parameters(), x, &mut workspace).unwrap();
            assert_eq!(workspace.gradient().iter().all(|&g| g == 0.0), examples == 0);
            assert_eq!(workspace.input_gradient(0).unwrap().examples(), examples);
        }
        network.absorb_statistics(&workspace).unwrap();
        assert_eq!(network.statistics(), before, "no examples say nothing");
    }
}

#[test]
fn images_come_with_all_their_axes_and_in_any_memory_order() {
    let network = build([2, 3, 4], sequential![Flatten, Affine::new(2)]);
    let images = Array4::from_shape_fn((5, 2, 3, 4), |(a, b, c, d)| (a + 2 * b + 3 * c + 5 * d) as f64);
    let numbers: Vec<f64> = images.iter().copied().collect();
    let expected = network.predict(Batch::new(&numbers, 5, [2, 3, 4]).unwrap().array()).unwrap();
    assert_eq!(network.predict(&images).unwrap(), expected);
    let columns_first = images.t().as_standard_layout().into_owned();
    assert_eq!(network.predict(columns_first.t()).unwrap(), expected);
}

/// Numbers of another shape mean something else, however many they are.
#[test]
fn examples_have_the_shape_of_the_input_not_only_as_many_numbers() {
    let network = build([3, 2, 2], sequential![MaxPool2d::new(2), Flatten, Affine::new(2)]);
    let mut workspace = network.workspace(Purpose::Training);
    let numbers: Vec<f64> = (0..24).map(f64::from).collect();
    let mut forward = |shape: &[usize]| {
        let x = Batch::new(&numbers, 2, Shape::new(shape).unwrap()).unwrap();
        let checked = network.check_inputs(x, Mode::Evaluation);
        let passed =
            network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).map(|y| y.slice().to_vec());
        assert_eq!(checked.as_ref().err(), passed.as_ref().err());
        // `predict` goes by the same rule.
        let predicted = network.predict(x.array()).map(|y| y.into_raw_vec_and_offset().0);
        assert_eq!(predicted, passed);
        passed
    };
    let expected = forward(&[3, 2, 2]).unwrap();
    for other in [&[2, 2, 3][..], &[2, 3, 2], &[12], &[3, 4], &[6, 2], &[2, 3, 2, 1]] {
        let shape = Shape::new(other).unwrap();
        let error: BuildError = ShapeError::Mismatch {
            what: "an example and the network's input".into(),
            expected: [3, 2, 2].into(),
            got: shape,
        }
        .into();
        assert!(error.to_string().contains(&format!("reshape {shape} to 3x2x2")), "{error}");
        assert_eq!(forward(other).unwrap_err(), error);
    }
    // Axes of 1 that are more or fewer change no order of numbers.
    for same in [&[1, 3, 2, 2][..], &[3, 2, 2, 1], &[3, 1, 2, 1, 2]] {
        assert_eq!(forward(same).unwrap(), expected);
    }
    let gray = build([1, 2, 2], sequential![Conv2d::new(1, 2), Flatten]);
    let x = Batch::new(&numbers[..8], 2, [2, 2]).unwrap();
    let mut workspace = gray.workspace(Purpose::Training);
    gray.forward(gray.parameters(), x, &mut workspace, Mode::Training { step: 0 }).unwrap();
    workspace.loss_slots().unwrap().1.slice().fill(1.0);
    gray.backward(gray.parameters(), x, &mut workspace).unwrap();
    assert!(gray.backward(gray.parameters(), x.reshaped([2, 2, 1]).unwrap(), &mut workspace).is_err());
    let one = build([1], Affine::new(1));
    assert_eq!(one.predict([1.0, 2.0]).unwrap().dim(), (2, 1));
}

#[test]
fn a_workspace_serves_the_network_that_has_made_it_alone() {
    let chain = || sequential![Affine::new(3), BatchNorm::new()];
    let (mut network, mut other) = (build([2], chain()), build([2], chain()));
    let x = Batch::new(&[1.0, 2.0, 3.0, 4.0], 2, [2]).unwrap();
    let mut workspace = other.workspace(Purpose::Training);
    let error = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).unwrap_err().to_string();
    assert!(error.contains("made by another network"), "{error}");
    assert!(network.backward(network.parameters(), x, &mut workspace).is_err());
    assert!(network.absorb_statistics(&workspace).is_err());
    let clone = other.clone();
    clone.forward(clone.parameters(), x, &mut workspace, Mode::Training { step: 0 }).unwrap();
    other.absorb_statistics(&workspace).unwrap();
    let prediction = other.workspace(Purpose::Prediction);
    assert!(other.absorb_statistics(&prediction).unwrap_err().to_string().contains("prediction only"));
}

#[test]
fn what_there_is_no_memory_for_is_an_error_before_anything_is_lost() {
    // 2^45 numbers: more bytes than can be addressed. Each parameter alone could be counted.
    let huge = || Repeat::new(64, Affine::new(1 << 19));
    let error = Network::<f64>::build([1 << 19], huge(), Seed(0)).unwrap_err();
    assert!(matches!(error, BuildError::Shape(ShapeError::Memory { .. })), "{error}");
    assert!(error.to_string().starts_with("the parameters of the network would need 1407"), "{error}");

    let error = Network::<f64>::build([1 << 62, 1, 0, 5], Flatten, Seed(0)).unwrap_err();
    assert!(matches!(error, BuildError::At { .. } | BuildError::Shape(ShapeError::TooLarge { .. })), "{error}");
    let mut graph = Graph::new();
    let (x, _unused) = (graph.input([1]), graph.input([usize::MAX, 2]));
    let y = graph.apply(Affine::new(1), &[x]).unwrap();
    assert!(matches!(
        Network::<f64>::from_graph(&graph, y, Seed(0)),
        Err(BuildError::Shape(ShapeError::TooLarge { .. }))
    ));
    assert!(Network::<f64>::build([2], Repeat::new(usize::MAX, Relu), Seed(0)).is_err());

    // A batch that does not fit leaves the workspace to the one before.
    let network = build([1], Upsampled(1 << 39));
    let mut workspace = network.workspace(Purpose::Training);
    let data = vec![1.0; 1 << 9];
    let x = Batch::new(&data, 1 << 9, [1]).unwrap();
    let error = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).unwrap_err();
    assert_eq!(error, ShapeError::Memory { what: "a batch in the workspace".into(), bytes: 1 << 51 }.into());
    assert_eq!(workspace.prediction().examples(), 0);
}

/// Its output is so long; it is never computed.
#[derive(Clone, Debug)]
struct Upsampled(usize);

impl Layer for Upsampled {
    fn signature(&self, _: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Upsampled", [self.0]))
    }
    fn forward<T: Scalar>(&self, _: &mut Forward<'_, T>) {}
    fn backward<T: Scalar>(&self, _: &mut Backward<'_, T>) {}
}

#[test]
fn a_node_of_another_graph_is_told_from_ones_own() {
    let (mut graph, mut other) = (Graph::new(), Graph::new());
    let (mine, theirs) = (graph.input([2]), other.input([2]));
    let told = |error: BuildError| assert!(error.to_string().contains("belongs to another graph"), "{error}");
    told(graph.apply(Relu, &[theirs]).unwrap_err());
    let y = graph.apply(Relu, &[mine]).unwrap();
    let z = other.apply(Relu, &[theirs]).unwrap();
    told(Network::<f64>::from_graph(&graph, z, Seed(0)).unwrap_err());
    assert!(Network::<f64>::from_graph(&graph.clone(), y, Seed(0)).is_ok());
}

#[test]
fn dropout_drops_in_training_alone_and_the_same_in_the_same_step() {
    let network = build([50], sequential![Affine::new(50), Dropout::new(0.5)]);
    let mut workspace = network.workspace(Purpose::Training);
    let data = vec![1.0; 100];
    let x = Batch::new(&data, 2, [50]).unwrap();
    let mut zeros = |mode| {
        let y = network.forward(network.parameters(), x, &mut workspace, mode).unwrap();
        y.slice().iter().map(|y| *y == 0.0).collect::<Vec<bool>>()
    };
    let first = zeros(Mode::Training { step: 3 });
    assert_eq!(zeros(Mode::Training { step: 3 }), first);
    assert_ne!(zeros(Mode::Training { step: 4 }), first);
    assert_ne!(first[..50], first[50..], "each example has a stream of its own");
    assert!(zeros(Mode::Evaluation).iter().all(|zero| !zero));
    let dropped = first.iter().filter(|zero| **zero).count();
    assert!((30..=70).contains(&dropped), "{dropped}");
}

#[test]
fn one_network_serves_many_threads() {
    let network = build([4], sequential![Affine::new(16), Tanh, Affine::new(2)]);
    let x = array![[0.1, 0.2, 0.3, 0.4]];
    let expected = network.predict(&x).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(network.predict(&x).unwrap(), expected)));
        }
    });
}

#[test]
fn a_small_step_stays_on_its_thread_and_a_prediction_need_not() {
    /// As many as threads may share its work.
    #[derive(Clone, Debug)]
    struct Count;
    impl Layer for Count {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Count", single_input("Count", inputs)?))
        }
        fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
            pass.y.slice().fill(T::from_f64(threads::current() as f64));
        }
        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            if let Some(dx) = pass.dx.get(0) {
                dx.slice().fill(T::from_f64(threads::current() as f64));
            }
        }
    }
    let network = build([100], sequential![Affine::new(200), Count]);
    // 20,000 multiply-adds for each example, and some for the loops beside.
    assert!(!network.is_worth_sharing(50) && network.is_worth_sharing(100));
    // Without the feature there is only one.
    let two = threads::Threads::new(2).unwrap();
    let all = two.count() as f64;
    for (examples, in_training) in [(50, 1.0), (100, all)] {
        let x = vec![0.0; examples * 100];
        let x = Batch::new(&x, examples, [100]).unwrap();
        let mut workspace = network.workspace(Purpose::Training);
        two.run(|| {
            for (mode, seen) in [(Mode::Evaluation, all), (Mode::Training { step: 0 }, in_training)] {
                let y = network.forward(network.parameters(), x, &mut workspace, mode).unwrap();
                assert_eq!(y.slice()[0], seen, "{examples} examples, {mode:?}");
            }
            network.backward(network.parameters(), x, &mut workspace).unwrap();
        });
        let biases = &workspace.gradient()[100 * 200..];
        assert_eq!(biases[0], in_training * examples as f64);
    }
    let images = |layer: Conv2d| build([3, 32, 32], sequential![layer]);
    assert!(!images(Conv2d::new(4, 3)).is_worth_sharing(1) && images(Conv2d::new(128, 3)).is_worth_sharing(1));
    // A table is looked up, however long it is.
    assert!(!build([8], sequential![Embedding::new(100_000, 4)]).is_worth_sharing(100));
}

#[test]
fn buffers_are_shared_where_values_do_not_meet() {
    let deep = (0..30).fold(Sequential::new(), |chain, _| chain.then(Affine::new(64)).then(Tanh));
    let network = build([64], deep);
    let data = vec![0.5; 64 * 10];
    let x = Batch::new(&data, 10, [64]).unwrap();
    let bytes = |purpose| {
        let mut workspace = network.workspace(purpose);
        network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).unwrap();
        (workspace.bytes() - size_of_val(workspace.gradient())) / (64 * 10 * 8)
    };
    assert_eq!(bytes(Purpose::Prediction), 2, "two buffers, in turn");
    // Each Tanh runs over its affine layer's output, which is kept; two more hold the gradient on its way back.
    assert_eq!(bytes(Purpose::Training), 30 + 2);
}

#[test]
fn a_residual_over_everything_keeps_what_it_needs() {
    // x is read by the first layer and by the sum, so nothing may run over it.
    let network = build([5], sequential![Tanh, Residual(sequential![Tanh, Affine::new(5), Relu]), Affine::new(1)]);
    let data: Vec<f64> = (0..15).map(|i| f64::from(i).cos()).collect();
    let x = Batch::new(&data, 3, [5]).unwrap();
    let target = [0.1, 0.2, 0.3];
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let value = |data: &[f64]| {
        let x = Batch::new(data, 3, [5]).unwrap();
        let mode = Mode::Evaluation;
        let mut workspace = network.workspace(Purpose::Prediction);
        network
            .value(network.parameters(), x, Target::Values(&target), &MeanSquaredError::new(), &mut workspace, mode)
            .unwrap()
    };
    network
        .value_and_gradient(
            network.parameters(),
            x,
            Target::Values(&target),
            &MeanSquaredError::new(),
            &mut workspace,
            Mode::Evaluation,
        )
        .unwrap();
    let dx = workspace.input_gradient(0).unwrap().slice().to_vec();
    for i in 0..15 {
        let (mut above, mut below) = (data.clone(), data.clone());
        above[i] += 1e-5;
        below[i] -= 1e-5;
        let numeric = (value(&above) - value(&below)) / 2e-5;
        assert!((dx[i] - numeric).abs() < 1e-9, "dx[{i}]: {} {numeric}", dx[i]);
    }
    assert!(network.workspace(Purpose::Training).input_gradient(0).is_none());
}

#[test]
fn shared_layers_have_one_set_of_parameters_whose_gradients_add_up() {
    let shared = Shared::new(Affine::new(3));
    let twice = build([3], sequential![shared.clone(), Tanh, shared]);
    assert_eq!(twice.parameters().len(), 12);
    assert_eq!(twice.summary().parameters(), 12);
    // The same chain with parameters apart, set to the same numbers: its gradients are the two terms.
    let mut apart = build([3], sequential![Affine::new(3), Tanh, Affine::new(3)]);
    let both = [twice.parameters(), twice.parameters()].concat();
    apart.parameters_mut().copy_from_slice(&both);
    let x: Vec<f64> = (0..6).map(|i| f64::from(i) * 0.3 - 1.0).collect();
    let x = Batch::new(&x, 2, [3]).unwrap();
    let target = [0.5; 6];
    let gradient = |network: &Network<f64>| {
        let mut workspace = network.workspace(Purpose::Training);
        for step in 0..2 {
            // The second time over what the first has left.
            let mode = Mode::Training { step };
            let (theta, loss) = (network.parameters(), MeanSquaredError::new());
            network.value_and_gradient(theta, x, Target::Values(&target), &loss, &mut workspace, mode).unwrap();
        }
        workspace.gradient().to_vec()
    };
    let (sum, terms) = (gradient(&twice), gradient(&apart));
    for (index, sum) in sum.iter().enumerate() {
        assert!((sum - (terms[index] + terms[index + 12])).abs() < 1e-15);
    }
}

#[test]
fn layers_that_share_must_agree_on_their_shapes() {
    let shared = Shared::new(Affine::new(3));
    let error = Network::<f64>::build([5], sequential![shared.clone(), shared], Seed(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer `1`: the graph: it shares the parameters of layer `0`, but for inputs of these shapes they would be \
         others"
    );
}

#[test]
fn frozen_layers_have_no_gradient_and_what_lies_before_them_is_not_asked_for() {
    let network = build([4], sequential![Frozen(Affine::new(5)), Tanh, Frozen(Affine::new(5)), Affine::new(2)]);
    let mut workspace = network.workspace(Purpose::Training);
    let (x, mode) = (Batch::new(&[1.0; 8], 2, [4]).unwrap(), Mode::Training { step: 0 });
    let (theta, loss) = (network.parameters(), MeanSquaredError::new());
    network.value_and_gradient(theta, x, Target::Values(&[0.0; 4]), &loss, &mut workspace, mode).unwrap();
    let frozen = 4 * 5 + 5 + 5 * 5 + 5;
    assert!(workspace.gradient()[..frozen].iter().all(|&g| g == 0.0));
    assert!(workspace.gradient()[frozen..].iter().all(|&g| g != 0.0));

    let mut optimizer = Sgd::new(0.1).weight_decay(0.5);
    optimizer.bind(network.segments());
    let mut theta = network.parameters().to_vec();
    optimizer.step(&mut theta, workspace.gradient());
    assert_eq!(theta[..frozen], network.parameters()[..frozen]);
    assert!(theta[frozen..].iter().zip(&network.parameters()[frozen..]).all(|(a, b)| a != b));
}

#[test]
fn whole_numbers_are_checked_at_the_door_and_must_come_through_it() {
    /// y = x, for whole numbers from 1 to 3.
    #[derive(Clone, Debug)]
    struct Dice;
    impl Layer for Dice {
        fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
            Ok(Signature::new("Dice", single_input("Dice", inputs)?).whole_numbers(0, 1, 3).least_examples(2))
        }
        fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
            pass.y.slice().copy_from_slice(pass.x[0].slice());
        }
        fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
            if let Some(dx) = pass.dx.get(0) {
                dx.slice().fill(T::ZERO);
            }
        }
    }
    let network = build([2], sequential![Dice, Affine::new(1)]);
    let forward = |x: &[f64], mode: Mode| {
        let mut workspace = network.workspace(Purpose::Training);
        let x = Batch::new(x, x.len() / 2, [2]).unwrap();
        network.forward(network.parameters(), x, &mut workspace, mode).map(|_| ()).map_err(|error| error.to_string())
    };
    let training = Mode::Training { step: 0 };
    forward(&[1.0, 3.0, 2.0, 1.0], training).unwrap();
    forward(&[1.0, 3.0], Mode::Evaluation).unwrap();
    forward(&[], training).unwrap();
    for wrong in [0.0, 4.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
        let error = forward(&[1.0, 3.0, wrong, 1.0], training).unwrap_err();
        assert!(error.contains("layer `0`") && error.contains(&format!("number 2 of input 0 is {wrong}")), "{error}");
    }
    assert!(forward(&[1.0, 3.0], training).unwrap_err().contains("at least 2 examples"));
    let error = Network::<f64>::build([2], sequential![Tanh, Dice], Seed(0)).unwrap_err();
    assert!(error.to_string().contains("must be an input of the whole network"), "{error}");
}

#[test]
fn the_summary_is_a_table() {
    let network = build([4], sequential![Affine::new(8), BatchNorm::new(), Relu, Dropout::new(0.5), Affine::new(3)]);
    let expected = "\
place  layer      output  parameters  keeps
       input           4
0      Affine          8          40
1      BatchNorm       8          16  mean 64 B, variance 64 B, inverse_deviation 64 B, count 8 B
2      Relu            8           0
3      Dropout         8           0  mask 64 B/example
4      Affine          3          27
       in all                     83";
    let summary = network.summary();
    assert_eq!(summary.to_string(), expected);
    assert_eq!(summary.parameters(), network.parameters().len());
    assert_eq!(summary.kept().map(|kept| kept.bytes).sum::<usize>(), 264);
}

#[cfg(feature = "serde")]
#[test]
fn a_description_survives_json() {
    let network = build(
        [2, 3],
        sequential![Flatten, Affine::new(4), Residual(sequential![Affine::new(4), Gelu::tanh()]), Dropout::new(0.1)],
    );
    let json = serde_json::to_string_pretty(&network.description().unwrap()).unwrap();
    assert!(json.contains("\"type\": \"Affine\""), "{json}");
    let again: NetworkDescription = serde_json::from_str(&json).unwrap();
    let rebuilt = again.build::<f64>().unwrap();
    assert_eq!(rebuilt.parameters(), network.parameters());
    let x = array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]];
    assert_eq!(rebuilt.predict(&x).unwrap(), network.predict(&x).unwrap());
}

#[cfg(feature = "serde")]
#[test]
fn a_description_keeps_what_is_shared_and_what_is_frozen() {
    let shared = Shared::new(Affine::new(4));
    let network = build([4], sequential![shared.clone(), Frozen(Affine::new(4)), Named("last", shared)]);
    let written = serde_json::to_string(&network.description().unwrap()).unwrap();
    let again: Network<f64> = serde_json::from_str::<NetworkDescription>(&written).unwrap().build().unwrap();
    assert_eq!(again.segments(), network.segments());
    assert_eq!(again.parameters().len(), 2 * 20);
    let circular = written.replace(r#""shares":0"#, r#""shares":2"#);
    let error = serde_json::from_str::<NetworkDescription>(&circular).unwrap().build::<f64>().unwrap_err();
    assert!(error.to_string().contains("only an earlier step"), "{error}");
}

#[cfg(feature = "serde")]
#[test]
fn a_hostile_description_is_an_error() {
    for json in [
        r#"{"inputs":[[2]],"steps":[],"output":0,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[7]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[0]}],"output":99,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[1]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Dropout","probability":-1.0},"inputs":[0]}],"output":1,"seed":0}"#,
    ] {
        let description: NetworkDescription = serde_json::from_str(json).unwrap();
        assert!(description.build::<f32>().is_err(), "{json}");
    }
}
