//! Inputs of any number, shape and memory order are taken if they fit, and checked before a pass changes anything.

use downhill_layers::{
    Affine, Backward, BatchNorm, Concat, Conv2d, Flatten, Forward, GlobalAveragePool, Inputs, Layer, Lstm, MaxPool2d,
    Mode, MultiHeadAttention, Relu, RotaryPositions, Signature, Tanh, single_input,
};
use downhill_losses::{SoftmaxCrossEntropy, Target};
use downhill_network::{Graph, Network, Purpose, sequential};
use downhill_tensor::{Batch, BuildError, Scalar, Seed, Shape, ShapeError};
use ndarray::{Array2, Array4};

use crate::build;

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
    assert_eq!(error(&[inputs[0].clone(), fewer]), "the batch of input 1 should hold 6 elements, but holds 4");
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
        let passed = network.forward(network.parameters(), x, &mut workspace, mode).map(|_| ());
        assert_eq!(network.check_inputs(x, mode), passed);
        passed.map_err(|error| error.to_string())
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
