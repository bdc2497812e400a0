//! A workspace serves its own network for batches of any size, in as little memory as the wiring allows.

use downhill_layers::{Affine, BatchNorm, Flatten, Gelu, Mode, Relu, Softmax, Tanh};
use downhill_network::{Graph, Network, Purpose, Repeat, Residual, Sequential, sequential};
use downhill_tensor::{Batch, BuildError, Seed, ShapeError};

use crate::{Upsampled, build};

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
    // Each Tanh runs over its affine layer's output, which is kept; two more hold the gradient in the backward pass.
    assert_eq!(bytes(Purpose::Training), 30 + 2);
}
