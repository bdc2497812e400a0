//! Shapes are inferred, layers named and parameters started as the wiring says; a wiring that does not fit is an error.

use downhill_layers::{
    Add, Affine, Backward, BatchNorm, Dropout, Embedding, Flatten, Forward, Layer, Relu, Reshape, Signature, Tanh,
    single_input,
};
use downhill_network::{Block, Graph, Network, Residual, Sequential, Shared, sequential};
use downhill_tensor::{BuildError, Scalar, Seed, Shape, ShapeError};
use ndarray::array;

use crate::{Upsampled, build};

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

#[test]
fn a_network_of_more_inputs_than_a_pass_can_be_given_is_refused() {
    let mut graph = Graph::new();
    let inputs: Vec<_> = (0..9).map(|_| graph.input([2])).collect();
    let y = graph.apply(Affine::new(1), &inputs[..1]).unwrap();
    let error = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap_err();
    assert_eq!(error.to_string(), "the graph: a network has from 1 to 8 inputs, but this one has 9");
}

#[test]
fn an_input_that_is_too_large_is_that_of_the_network_wherever_it_goes() {
    for shape in [Shape::from([1 << 40]), Shape::from([1 << 62, 1, 0, 5])] {
        let error = Network::<f64>::build(shape, sequential![Flatten, Affine::new(1)], Seed(0)).unwrap_err();
        assert_eq!(error, ShapeError::TooLarge { what: "an input of the network".into(), shape }.into());
    }
    let error = Network::<f64>::build([1 << 20], sequential![Tanh, Upsampled(1 << 40)], Seed(0)).unwrap_err();
    assert!(error.to_string().starts_with("layer `1`: the output of Upsampled has the shape 1099511627776"), "{error}");
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
    let layers = summary.layers();
    assert_eq!((layers.len(), layers[4].layer, &*layers[4].place, layers[4].parameters), (5, "Affine", "4", 27));
    assert!(layers.iter().enumerate().all(|(index, layer)| layer.inputs == [index]), "{layers:?}");
}
