//! Networks of several inputs, as padded sequences of different lengths need them, through the trainer.

use downhill_data::{Batches, DataError, Dataset};
use downhill_layers::{Affine, Concat, Gru, Inputs, Lstm, Mode};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy, Target};
use downhill_network::{Graph, Network, Purpose, sequential};
use downhill_optim::{Adam, Sgd};
use downhill_tensor::{Batch, Scalar, Seed};
use downhill_train::metrics::Accuracy;
use downhill_train::{Metric, NO_METRICS, TrainError, Trainer, evaluate};
use ndarray::ArrayD;

const STEPS: usize = 7;

/// Noise all along, of which only the first steps belong to the example; its class is the sign at the last of these.
/// Steps and lengths.
fn sequences<T: Scalar>(examples: usize, seed: u64) -> (Vec<T>, Vec<T>, Vec<u32>) {
    let mut stream = Seed(seed).stream(0);
    let x: Vec<f64> = (0..examples * STEPS).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    let lengths: Vec<usize> = (0..examples).map(|_| 1 + (stream.uniform() * STEPS as f64) as usize).collect();
    let last = |(x, &length): (&[f64], &usize)| u32::from(x[length - 1] > 0.0);
    let classes = x.chunks(STEPS).zip(&lengths).map(last).collect();
    let numbers = |numbers: &[f64]| numbers.iter().map(|&x| T::from_f64(x)).collect();
    (numbers(&x), lengths.iter().map(|&length| T::from_f64(length as f64)).collect(), classes)
}

fn padded<T: Scalar>(examples: usize, seed: u64) -> Dataset<T> {
    let (x, lengths, classes) = sequences(examples, seed);
    Dataset::new(x, [STEPS, 1], classes).unwrap().with_input(lengths, [1]).unwrap()
}

fn aware<T: Scalar>() -> Network<T> {
    let mut graph = Graph::new();
    let (x, lengths) = (graph.input([STEPS, 1]), graph.input([1]));
    let state = graph.apply(Gru::new(8).lengths().last_state(), &[x, lengths]).unwrap();
    let scores = graph.apply(Affine::new(2), &[state]).unwrap();
    Network::from_graph(&graph, scores, Seed(1)).unwrap()
}

#[test]
fn what_lies_beyond_the_end_is_not_read_and_a_network_that_knows_the_end_learns() {
    let (train, test) = padded::<f32>(600, 1).split(0.75, Seed(2)).unwrap();
    let accuracy = |network: &mut Network<f32>, train: &Dataset<f32>, test: &Dataset<f32>| {
        let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.02))
            .epochs(15)
            .validate(test)
            .metric(Accuracy::new())
            .fit(network, train)
            .unwrap();
        let mut metrics: [Box<dyn Metric<f32>>; 1] = [Box::new(Accuracy::new())];
        let judged = evaluate(network, &SoftmaxCrossEntropy::new(), test, &mut metrics).unwrap();
        assert_eq!(judged.metrics, history.epochs.last().unwrap().metrics);
        judged.metric("accuracy").unwrap()
    };
    let mut network = aware();
    let reached = accuracy(&mut network, &train, &test);
    assert!(reached > 0.97, "{reached}");

    let inputs: Vec<ArrayD<f32>> = test.all_inputs().map(|input| input.matrix().to_owned().into_dyn()).collect();
    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    let Target::Classes(classes) = test.targets() else { unreachable!() };
    let right = network.classify(&views[..]).unwrap().iter().zip(classes).filter(|(a, b)| a == b).count();
    assert!((right as f64 / test.len() as f64 - reached).abs() < 1e-12);

    // Whoever is not told where an example ends can't know its class.
    let blind = sequential![Gru::new(8).last_state(), Affine::new(2)];
    let mut network = Network::build([STEPS, 1], blind, Seed(1)).unwrap();
    let without_lengths = |data: &Dataset<f32>| {
        let Target::Classes(classes) = data.targets() else { unreachable!() };
        Dataset::new(data.inputs().slice().to_vec(), [STEPS, 1], classes.to_vec()).unwrap()
    };
    let reached = accuracy(&mut network, &without_lengths(&train), &without_lengths(&test));
    assert!(reached < 0.8, "{reached}");
}

#[test]
fn the_gradient_is_the_mean_of_those_of_the_examples_alone_without_padding() {
    const EXAMPLES: usize = 6;
    let (x, lengths, classes) = sequences::<f64>(EXAMPLES, 3);
    let layer = || Lstm::new(5).bidirectional().last_state();
    let mut graph = Graph::new();
    let nodes = [graph.input([STEPS, 1]), graph.input([1])];
    let state = graph.apply(layer().lengths(), &nodes).unwrap();
    let scores = graph.apply(Affine::new(2), &[state]).unwrap();
    let network = Network::<f64>::from_graph(&graph, scores, Seed(4)).unwrap();
    let (loss, mode) = (SoftmaxCrossEntropy::new(), Mode::Training { step: 0 });

    let data = Dataset::new(x.clone(), [STEPS, 1], classes.clone()).unwrap().with_input(lengths.clone(), [1]).unwrap();
    let mut batches = Batches::sequential(&data, EXAMPLES).unwrap();
    let mut inputs = Inputs::empty();
    let batch = batches.next_batch().unwrap();
    batch.all_inputs().enumerate().for_each(|(index, input)| inputs.set(index, input));
    let mut workspace = network.workspace(Purpose::Training);
    let (theta, target) = (network.parameters(), Target::Classes(&classes));
    let value = network.value_and_gradient(theta, inputs, target, &loss, &mut workspace, mode).unwrap();

    let (mut mean, mut gradient) = (0.0, vec![0.0; theta.len()]);
    for (example, &length) in lengths.iter().enumerate() {
        let steps = length as usize;
        let alone = Network::<f64>::build([steps, 1], sequential![layer(), Affine::new(2)], Seed(4)).unwrap();
        let mut workspace = alone.workspace(Purpose::Training);
        let x = Batch::new(&x[example * STEPS..][..steps], 1, [steps, 1]).unwrap();
        let target = Target::Classes(&classes[example..=example]);
        mean += alone.value_and_gradient(theta, x, target, &loss, &mut workspace, mode).unwrap() / EXAMPLES as f64;
        gradient.iter_mut().zip(workspace.gradient()).for_each(|(sum, g)| *sum += g / EXAMPLES as f64);
    }
    assert!((value - mean).abs() < 1e-14, "{value} {mean}");
    for (index, (padded, mean)) in workspace.gradient().iter().zip(&gradient).enumerate() {
        assert!((padded - mean).abs() < 1e-14, "{index}: {padded} {mean}");
    }
}

/// y = x W + b, where x comes in two parts, is trained as if it came in one.
#[test]
fn a_run_on_parts_gives_the_bits_of_a_run_on_the_whole() {
    let whole = ndarray::Array2::from_shape_fn((40, 5), |(i, j)| ((7 * i + j) as f64).sin());
    let y = whole.sum_axis(ndarray::Axis(1));
    let part = |columns: std::ops::Range<usize>| whole.slice(ndarray::s![.., columns]).to_owned();
    let parts = Dataset::from_array(part(0..2), y.clone()).unwrap();
    let parts = parts.with_input(part(2..5).iter().copied().collect(), [3]).unwrap();
    let mut graph = Graph::new();
    let (a, b) = (graph.input([2]), graph.input([3]));
    let both = graph.apply(Concat::new(0), &[a, b]).unwrap();
    let out = graph.apply(Affine::new(1), &[both]).unwrap();
    let mut of_parts = Network::<f64>::from_graph(&graph, out, Seed(1)).unwrap();
    let mut of_whole = Network::<f64>::build([5], sequential![Concat::new(0), Affine::new(1)], Seed(1)).unwrap();
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.05)).epochs(3).batch_size(7);
    let first = trainer().validate(&parts).fit(&mut of_parts, &parts).unwrap();
    let whole = Dataset::from_array(whole, y).unwrap();
    let second = trainer().validate(&whole).fit(&mut of_whole, &whole).unwrap();
    assert_eq!(of_parts.parameters(), of_whole.parameters());
    assert_eq!(first.epochs.last().unwrap().validation_loss, second.epochs.last().unwrap().validation_loss);
}

#[test]
fn inputs_that_do_not_fit_are_errors_before_the_first_step() {
    let mut network = aware::<f64>();
    let before = network.parameters().to_vec();
    let mut fit = |data: &Dataset<f64>| {
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1)).batch_size(4);
        let error = trainer.fit(&mut network, data).unwrap_err();
        assert!(matches!(error, TrainError::Inputs { .. }), "{error}");
        assert_eq!(network.parameters(), before);
        error.to_string()
    };
    let (x, mut lengths, classes) = sequences::<f64>(20, 1);
    let alone = Dataset::new(x, [STEPS, 1], classes).unwrap();
    assert_eq!(
        fit(&alone),
        "the inputs of the training data do not fit the network: the network: the number of its inputs is 2, but it was given 1"
    );
    let with = |values: &[f64], shape: &[usize]| {
        alone.clone().with_input(values.to_vec(), downhill_tensor::Shape::new(shape).unwrap())
    };
    let twice = with(&lengths, &[1]).unwrap().with_input(lengths.clone(), [1]).unwrap();
    assert!(fit(&twice).ends_with("is 2, but it was given 3"));
    assert!(fit(&with(&[1.0; 40], &[2]).unwrap()).contains("one is 1 and the other is 2"));
    let many = (1..9).try_fold(alone.clone(), |data, _| data.with_input(vec![1.0; 20], [1])).unwrap();
    assert!(fit(&many).ends_with("a network takes at most eight inputs, but was given 9"));

    // The last length is one that no sequence can have; it is found, by its place in the data set, before any batch is
    // used.
    for wrong in [0.0, 8.0, 2.5] {
        lengths[19] = wrong;
        let error = fit(&with(&lengths, &[1]).unwrap());
        let expected = format!(
            "layer `0`: Gru: number 19 of input 1 is {wrong}, but only whole numbers from 1 to 7 are allowed there"
        );
        assert!(error.ends_with(&expected), "{error}");
    }
    let short: Result<_, DataError> = with(&lengths[1..], &[1]);
    assert_eq!(
        short.unwrap_err().to_string(),
        "input 1 has 19 examples, but the data set has 20; every input needs one row for each example"
    );

    let error = evaluate(&aware(), &SoftmaxCrossEntropy::new(), &alone, NO_METRICS).unwrap_err();
    assert!(error.to_string().ends_with("is 2, but it was given 1"), "{error}");
    assert!(aware::<f64>().classify([[0.0; STEPS]]).is_err());
}
