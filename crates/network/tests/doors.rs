//! The doors that programs use: a hand-written loop, a state by name, and answers that mean something.

use std::ops::Range;

use downhill_layers::{Affine, BatchNorm, Dropout, Flatten, LogSoftmax, Mode, Reshape, Sigmoid, Softmax, Tanh};
use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, ClassAxis, Huber, Loss, MeanSquaredError, Meaning, MultiTask,
    Outputs, Reduction, SoftmaxCrossEntropy, Target,
};
use downhill_network::{Frozen, Network, PredictError, Purpose, sequential};
use downhill_optim::{Adam, AdamW, Group, Optimizer, Sgd};
use downhill_tensor::{Batch, BuildError, Seed};
use ndarray::{Array2, array};

fn training(step: u64) -> Mode {
    Mode::Training { step }
}

fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 37 % 101) as f64 / 50.0 - 1.0).sin()).collect()
}

/// A linear function of one number, y = x.
fn identity() -> Network<f64> {
    let mut network = Network::build([1], Affine::new(1), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[1.0, 0.0]);
    network
}

#[test]
fn a_step_binds_so_that_frozen_parameters_stay_under_weight_decay() {
    let build = || {
        let layers = sequential![Frozen(Affine::new(3)), Tanh, Affine::new(3), Tanh, Affine::new(1)];
        Network::<f64>::build([2], layers, Seed(1)).unwrap()
    };
    let mut network = build();
    let group = Group::frozen(|segment| segment.name.starts_with("2."));
    let mut optimizer = AdamW::new(0.1).weight_decay(0.5).group(group);
    let mut workspace = network.workspace(Purpose::Training);
    let (x, t) = (numbers(8), numbers(4));
    for step in 0..5 {
        let x = Batch::new(&x, 4, [2]).unwrap();
        let loss = MeanSquaredError::new();
        network.backpropagate(x, Target::Values(&t), &loss, &mut workspace, training(step)).unwrap();
        network.step(&mut optimizer, &mut workspace).unwrap();
    }
    let start = build();
    for segment in network.segments() {
        let same = network.parameters()[segment.range.clone()] == start.parameters()[segment.range.clone()];
        assert_eq!(same, segment.name.starts_with("0.") || segment.name.starts_with("2."), "{}", segment.name);
    }
}

#[test]
fn a_step_needs_a_backward_pass_of_its_own_network() {
    let mut network = identity();
    let mut workspace = network.workspace(Purpose::Training);
    let mut sgd = Sgd::new(0.1);
    let error = network.step(&mut sgd, &mut workspace).unwrap_err().to_string();
    assert!(error.contains("make a backward pass before each step"), "{error}");
    let (x, target) = (Batch::new(&[1.0], 1, [1]).unwrap(), Target::Values(&[3.0]));
    network.backpropagate(x, target, &MeanSquaredError::new(), &mut workspace, training(0)).unwrap();
    network.step(&mut sgd, &mut workspace).unwrap();
    assert!(network.step(&mut sgd, &mut workspace).is_err(), "the gradient has been used");

    let mut other = Network::<f64>::build([1], Affine::new(2), Seed(1)).unwrap();
    network.backpropagate(x, target, &MeanSquaredError::new(), &mut workspace, training(0)).unwrap();
    assert!(other.step(&mut sgd, &mut workspace).is_err());
    let before = network.parameters().to_vec();
    assert!(network.step(&mut Sgd::new(f64::NAN), &mut workspace).is_err());
    assert_eq!(network.parameters(), before);
}

#[test]
fn a_step_absorbs_running_statistics_once() {
    let mut network = Network::<f64>::build([1], sequential![BatchNorm::new(), Affine::new(1)], Seed(1)).unwrap();
    let mut workspace = network.workspace(Purpose::Training);
    let (x, target) = (Batch::new(&[1.0, 3.0], 2, [1]).unwrap(), Target::Values(&[0.0, 1.0]));
    network.backpropagate(x, target, &MeanSquaredError::new(), &mut workspace, training(0)).unwrap();
    network.step(&mut Sgd::new(0.1), &mut workspace).unwrap();
    assert!((network.statistics()[0] - 0.1 * 2.0).abs() < 1e-15, "{:?}", network.statistics());
}

#[test]
fn accumulated_micro_batches_step_like_one_batch() {
    let weighted = SoftmaxCrossEntropy::new().class_weights([1.0, 5.0, 0.5]).ignored_index(7);
    for loss in [weighted.clone(), weighted.reduction(Reduction::Sum)] {
        let build = || Network::<f64>::build([2], sequential![Affine::new(4), Tanh, Affine::new(3)], Seed(2)).unwrap();
        let (x, classes) = (numbers(20), [0, 1, 7, 7, 2, 2, 1, 0, 7, 1]);
        let (mut whole, mut parts) = (build(), build());
        let mut workspace = whole.workspace(Purpose::Training);
        let batch = Batch::new(&x, 10, [2]).unwrap();
        let at_once =
            whole.backpropagate(batch, Target::Classes(&classes), &loss, &mut workspace, training(0)).unwrap();
        whole.step(&mut Adam::new(0.1), &mut workspace).unwrap();

        let mut optimizer = Adam::new(0.1);
        let mut workspace = parts.workspace(Purpose::Training);
        let mut total = downhill_losses::Total::default();
        // The second micro-batch holds ignored targets alone.
        for rows in [0..2, 2..4, 4..9, 9..10] {
            let x = Batch::new(&x[2 * rows.start..2 * rows.end], rows.len(), [2]).unwrap();
            let target = Target::Classes(&classes[rows]);
            total += parts.accumulate(x, target, &loss, &mut workspace, training(0)).unwrap();
        }
        parts.step(&mut optimizer, &mut workspace).unwrap();
        assert!((total.value() - at_once.value()).abs() < 1e-12);
        for (a, b) in whole.parameters().iter().zip(parts.parameters()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        assert!(parts.step(&mut optimizer, &mut workspace).is_err(), "the sum has been used");
    }
}

#[test]
fn an_accumulated_gradient_can_be_clipped_before_the_step() {
    let mut network = identity();
    let before = network.parameters().to_vec();
    let mut workspace = network.workspace(Purpose::Training);
    for (x, t) in [([1.0], [5.0]), ([-1.0], [7.0])] {
        let batch = Batch::new(&x, 1, [1]).unwrap();
        let loss = MeanSquaredError::new();
        network.accumulate(batch, Target::Values(&t), &loss, &mut workspace, training(0)).unwrap();
    }
    // dJ/dw is the mean of 2 (1 - 5) and -2 (-1 - 7), dJ/db that of 2 (1 - 5) and 2 (-1 - 7).
    assert_eq!(workspace.average(), [4.0, -12.0]);
    workspace.average()[0] = 0.0;
    network.step(&mut Sgd::new(0.5), &mut workspace).unwrap();
    assert_eq!(network.parameters(), [before[0], before[1] + 6.0]);
    assert!(network.step(&mut Sgd::new(0.5), &mut workspace).is_err(), "the gradient has been used");
}

#[test]
fn micro_batches_of_a_loss_of_several_parts_step_like_one_batch_or_are_refused() {
    let build = || Network::<f64>::build([2], Affine::new(4), Seed(2)).unwrap();
    let (x, numbers, training) = (numbers(20), numbers(40), training(0));
    let batch = |rows: Range<usize>| Batch::new(&x[2 * rows.start..2 * rows.end], rows.len(), [2]).unwrap();
    let tasks = MultiTask::new().part(0..1, MeanSquaredError::new(), 1.0).part(1..4, Huber::new(0.1), 0.5);
    let (mut whole, mut parts) = (build(), build());
    let mut workspace = whole.workspace(Purpose::Training);
    whole.backpropagate(batch(0..10), Target::Values(&numbers), &tasks, &mut workspace, training).unwrap();
    whole.step(&mut Sgd::new(0.1), &mut workspace).unwrap();
    let mut workspace = parts.workspace(Purpose::Training);
    for rows in [0..3, 3..4, 4..10] {
        let target = Target::Values(&numbers[4 * rows.start..4 * rows.end]);
        parts.accumulate(batch(rows), target, &tasks, &mut workspace, training).unwrap();
    }
    parts.step(&mut Sgd::new(0.1), &mut workspace).unwrap();
    for (a, b) in whole.parameters().iter().zip(parts.parameters()) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    // Of the classes one is ignored in the first batch, none in the second.
    let ignoring = SoftmaxCrossEntropy::new().ignored_index(7);
    let tasks = MultiTask::new().part(0..1, MeanSquaredError::new(), 1.0).part(1..4, ignoring, 0.5);
    let targets = [0.5, 7.0, -0.5, 1.0, 0.1, 2.0, 0.2, 0.0];
    let mut network = build();
    network.accumulate(batch(0..2), Target::Values(&targets[..4]), &tasks, &mut workspace, training).unwrap_err();
    let mut workspace = network.workspace(Purpose::Training);
    network.accumulate(batch(0..2), Target::Values(&targets[..4]), &tasks, &mut workspace, training).unwrap();
    let mut refused =
        || network.accumulate(batch(2..4), Target::Values(&targets[4..]), &tasks, &mut workspace, training);
    let error = refused().unwrap_err().to_string();
    assert!(error.contains("do not add up") && error.contains("BatchMean"), "{error}");
    assert_eq!(refused().unwrap_err().to_string(), error);
    network.step(&mut Sgd::new(0.1), &mut workspace).unwrap();
    let mut alone = build();
    let mut workspace = alone.workspace(Purpose::Training);
    alone.backpropagate(batch(0..2), Target::Values(&targets[..4]), &tasks, &mut workspace, training).unwrap();
    alone.step(&mut Sgd::new(0.1), &mut workspace).unwrap();
    for (a, b) in alone.parameters().iter().zip(network.parameters()) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

#[test]
fn a_batch_in_which_nothing_counts_moves_nothing() {
    let mut network = Network::<f64>::build([1], sequential![BatchNorm::new(), Affine::new(2)], Seed(3)).unwrap();
    let mut workspace = network.workspace(Purpose::Training);
    let mut optimizer = Sgd::new(0.1).momentum(0.9).weight_decay(0.1);
    let x = Batch::new(&[1.0, 2.0], 2, [1]).unwrap();
    let ignoring = SoftmaxCrossEntropy::new().ignored_index(0);
    let weightless = SoftmaxCrossEntropy::new().class_weights([0.0, 1.0]);
    let summed = ignoring.clone().reduction(Reduction::Sum);
    let mut step = |network: &mut Network<f64>, loss: &SoftmaxCrossEntropy, classes: &[u32]| {
        let total = network.backpropagate(x, Target::Classes(classes), loss, &mut workspace, training(0)).unwrap();
        assert!(workspace.gradient().iter().all(|g| g.is_finite()));
        network.step(&mut optimizer, &mut workspace).unwrap();
        total
    };
    step(&mut network, &ignoring, &[1, 1]); // momentum is under way
    let before = (network.parameters().to_vec(), network.statistics().to_vec());
    for loss in [&ignoring, &weightless, &summed] {
        assert!(step(&mut network, loss, &[0, 0]).is_empty());
        assert_eq!((network.parameters(), network.statistics()), (&before.0[..], &before.1[..]));
    }
}

#[test]
fn an_input_gradient_alone_is_that_of_a_whole_backward_pass() {
    let network = Network::<f64>::build([3], sequential![Affine::new(4), Tanh, Affine::new(2)], Seed(3)).unwrap();
    let x = numbers(6);
    let gradient = |purpose| {
        let mut workspace = network.workspace(purpose);
        let x = Batch::new(&x, 2, [3]).unwrap();
        network.forward(network.parameters(), x, &mut workspace, training(0)).unwrap();
        // A hand-made dJ/dy.
        let (_, mut dy) = workspace.loss_slots().unwrap();
        dy.slice().copy_from_slice(&[1.0, -2.0, 0.5, 3.0]);
        network.backward(network.parameters(), x, &mut workspace).unwrap();
        (workspace.input_gradient(0).unwrap().slice().to_vec(), workspace.gradient().len())
    };
    let (alone, parameters) = gradient(Purpose::InputGradient);
    assert_eq!(parameters, 0);
    assert_eq!(alone, gradient(Purpose::TrainingWithInputGradient).0);
}

#[test]
fn one_logit_is_class_1_above_0_and_one_probability_above_a_half() {
    let x = array![[-2.0], [-0.1], [0.1], [2.0]];
    let mut logit = identity();
    assert_eq!(logit.classify(&x).unwrap(), [0, 0, 1, 1]);
    logit.set_meaning(BinaryCrossEntropyWithLogits::new().meaning());
    assert_eq!(logit.classify(&x).unwrap(), [0, 0, 1, 1]);

    // The last layer makes probabilities.
    let mut sigmoid = Network::<f64>::build([1], sequential![Affine::new(1), Sigmoid], Seed(1)).unwrap();
    sigmoid.parameters_mut().copy_from_slice(&[1.0, 0.0]);
    assert_eq!(sigmoid.classify(&x).unwrap(), [0, 0, 1, 1]);
    assert_eq!(sigmoid.classify_one(&[-0.1]).unwrap(), 0);

    // Another shape changes nothing.
    let layers = sequential![Affine::new(1), Sigmoid, Reshape::new([1, 1]), Flatten];
    let mut shaped = Network::<f64>::build([1], layers, Seed(1)).unwrap();
    shaped.parameters_mut().copy_from_slice(&[1.0, 0.0]);
    assert_eq!(shaped.classify(&x).unwrap(), [0, 0, 1, 1]);

    // The loss says that they are probabilities.
    let mut told = identity();
    told.set_meaning(BinaryCrossEntropy::new().meaning());
    assert_eq!(told.classify([[0.4], [0.6]]).unwrap(), [0, 1]);
    // A squared error brings outputs near 0 and 1.
    told.set_meaning(MeanSquaredError::new().meaning());
    assert_eq!(told.classify([[0.4], [0.6]]).unwrap(), [0, 1]);
}

#[test]
fn an_output_that_is_not_a_number_has_no_class() {
    let mut network = Network::<f32>::build([1], Affine::new(3), Seed(1)).unwrap();
    network.parameters_mut()[1] = f32::NAN;
    let error = network.classify([[0.0], [1.0]]).unwrap_err();
    assert_eq!(error, PredictError::NotANumber { example: 0, output: 1 });
    assert!(error.to_string().starts_with("output 1 of example 0 is not a number"), "{error}");
    let mut one = Network::<f32>::build([1], Affine::new(1), Seed(1)).unwrap();
    one.parameters_mut().fill(f32::NAN);
    assert!(one.classify_one(&[0.0]).is_err());
    assert!(one.answers([[0.0]]).is_err());
}

#[test]
fn independent_answers_are_no_classes() {
    let network = Network::<f64>::build([2], sequential![Affine::new(3), Sigmoid], Seed(1)).unwrap();
    let error = network.classify([[0.0, 1.0]]).unwrap_err().to_string();
    assert!(error.contains("use `answers`"), "{error}");
    let x = Array2::from_shape_fn((5, 2), |(i, j)| (i + j) as f64 - 2.0);
    let p = network.predict(&x).unwrap();
    assert_eq!(network.answers(&x).unwrap(), p.mapv(|p| p > 0.5));
    let classes = Network::<f64>::build([2], sequential![Affine::new(3), Softmax], Seed(1)).unwrap();
    assert!(classes.answers(&x).unwrap_err().to_string().contains("use `classify`"));
}

#[test]
fn each_position_has_a_class() {
    let mut network = Network::<f64>::build([2, 2], Affine::new(3), Seed(1)).unwrap();
    let parameters = [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.1];
    network.parameters_mut().copy_from_slice(&parameters);
    network.set_meaning(SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last).meaning());
    let x = array![[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 0.0]]];
    assert_eq!(network.classify(&x).unwrap(), [0, 1, 2, 2]);
    let p = network.probabilities(&x).unwrap();
    assert!(p.rows().into_iter().all(|row| (row.sum() - 2.0).abs() < 1e-12));
    assert!(network.classify_one(x.as_slice().unwrap().split_at(4).0).is_err());
}

#[test]
fn probabilities_are_what_the_outputs_mean() {
    let logits = [1.0_f64, 2.0, 4.0];
    let sum: f64 = logits.iter().map(|y| y.exp()).sum();
    let softmax = logits.map(|y| y.exp() / sum);
    let build = |last: Option<&str>| {
        let mut network: Network<f64> = match last {
            None => Network::build([1], Affine::new(3), Seed(1)),
            Some("log") => Network::build([1], sequential![Affine::new(3), LogSoftmax], Seed(1)),
            Some(_) => Network::build([1], sequential![Affine::new(3), Softmax], Seed(1)),
        }
        .unwrap();
        network.parameters_mut().copy_from_slice(&[0.0, 0.0, 0.0, 1.0, 2.0, 4.0]);
        network
    };
    let close = |network: &Network<f64>, expected: [f64; 3]| {
        let p = network.probabilities([[0.0]]).unwrap();
        p.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-14)
    };
    let mut network = build(None);
    assert!(network.probabilities([[0.0]]).unwrap_err().to_string().contains("set_meaning"));
    network.set_meaning(SoftmaxCrossEntropy::new().meaning());
    assert!(close(&network, softmax));
    network.set_meaning(BinaryCrossEntropyWithLogits::new().meaning());
    assert!(close(&network, logits.map(|y| 1.0 / (1.0 + (-y).exp()))));
    network.set_meaning(MeanSquaredError::new().meaning());
    assert!(network.probabilities([[0.0]]).is_err());
    assert!(close(&build(Some("log")), softmax) && close(&build(Some("softmax")), softmax));
    assert_eq!(build(Some("softmax")).meaning().outputs, Some(Outputs::ClassProbabilities));
}

#[test]
fn a_class_with_its_probabilities_has_the_bits_of_both() {
    for outputs in [Outputs::ClassLogits, Outputs::ClassLogProbabilities, Outputs::ClassProbabilities, Outputs::Logits]
    {
        for classes in [1, 2, 3, 10] {
            let mut network = Network::<f32>::build([1], Affine::new(classes), Seed(1)).unwrap();
            network.set_meaning(Meaning::new(outputs));
            for seed in 0..50_usize {
                let y: Vec<f32> = (0..classes).map(|k| ((seed * 31 + k * 17) % 23) as f32 * 0.7 - 8.0).collect();
                let (mut both, mut apart) = (y.clone(), y.clone());
                match network.class_of(&y) {
                    Ok(class) => {
                        network.to_probabilities(&mut apart).unwrap();
                        assert_eq!(network.class_and_probabilities(&mut both).unwrap(), class);
                        assert!(both.iter().zip(&apart).all(|(a, b)| a.to_bits() == b.to_bits()), "{both:?} {apart:?}");
                    }
                    Err(error) => assert_eq!(network.class_and_probabilities(&mut both), Err(error)),
                }
            }
        }
    }
    let mut network = Network::<f32>::build([1], Affine::new(2), Seed(1)).unwrap();
    assert!(network.class_and_probabilities(&mut [0.0; 2]).is_err(), "nothing says what the outputs are");
    network.set_meaning(Meaning::new(Outputs::ClassLogits));
    assert!(network.class_and_probabilities(&mut [0.0; 3]).is_err());
    let error = network.class_and_probabilities(&mut [0.0, f32::NAN]).unwrap_err();
    assert_eq!(error, PredictError::NotANumber { example: 0, output: 1 });
}

#[test]
fn classes_have_the_names_that_the_data_had() {
    let mut network = Network::<f64>::build([1], Affine::new(2), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[-1.0, 1.0, 0.0, 0.0]);
    assert!(network.classify_names([[1.0]]).is_err());
    network.set_class_names(["cat", "dog"]);
    assert_eq!(network.classify_names([[1.0], [-1.0]]).unwrap(), ["dog", "cat"]);
}

#[test]
fn one_example_is_predicted_as_in_a_batch_without_allocating() {
    let network = Network::<f32>::build([3], sequential![Affine::new(5), Tanh, Affine::new(2)], Seed(1)).unwrap();
    let x = [0.3, -0.2, 0.9];
    let one = network.predict_one(&x).unwrap();
    assert_eq!(one, network.predict([[0.3, -0.2, 0.9]]).unwrap().into_raw_vec_and_offset().0);
    let mut y = [0.0; 2];
    network.predict_into(&x, &mut y).unwrap();
    assert_eq!(one, y);
    assert!(network.predict_one(&x[..2]).is_err() && network.predict_into(&x, &mut [0.0; 3]).is_err());
}

#[test]
fn a_restored_state_predicts_and_trains_on_to_the_same_bits() {
    let build = |seed| {
        let layers = sequential![Affine::new(6), BatchNorm::new(), Tanh, Dropout::new(0.3), Affine::new(2)];
        Network::<f64>::build([3], layers, seed).unwrap()
    };
    let (x, t) = (numbers(24), numbers(16));
    let train = |network: &mut Network<f64>, optimizer: &mut dyn Optimizer<f64>| {
        let mut workspace = network.workspace(Purpose::Training);
        for step in 0..4 {
            let x = Batch::new(&x, 8, [3]).unwrap();
            let loss = MeanSquaredError::new();
            network.backpropagate(x, Target::Values(&t), &loss, &mut workspace, training(step)).unwrap();
            network.step(optimizer, &mut workspace).unwrap();
        }
    };
    let mut network = build(Seed(1));
    let mut optimizer = Adam::new(0.05);
    train(&mut network, &mut optimizer);
    network.set_class_names(["no", "yes"]);
    network.set_meaning(SoftmaxCrossEntropy::new().ignored_index(3).meaning());

    let (state, memory) = (network.state(), Optimizer::<f64>::state(&optimizer));
    let mut again = build(Seed(99));
    again.restore(&state).unwrap();
    assert_eq!(again.state(), state);
    let view = ndarray::ArrayView2::from_shape((8, 3), &x).unwrap();
    assert_eq!(again.predict(view).unwrap(), network.predict(view).unwrap());
    assert_eq!((again.class_names(), again.meaning()), (network.class_names(), network.meaning()));
    let mut resumed = Adam::new(0.05);
    Optimizer::<f64>::restore(&mut resumed, &memory).unwrap();
    train(&mut network, &mut optimizer);
    train(&mut again, &mut resumed);
    assert_eq!(again.state(), network.state());
}

#[test]
fn a_state_of_another_network_is_refused_whole() {
    let mut network = Network::<f64>::build([3], sequential![Affine::new(2), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let before = network.state();
    let other = Network::<f64>::build([3], sequential![Affine::new(4), BatchNorm::new()], Seed(2)).unwrap();
    let error = network.restore(&other.state()).unwrap_err();
    assert_eq!(error.missing, ["2.weight", "2.bias"]);
    assert_eq!(error.unknown, ["1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]);
    assert_eq!(error.mismatched.len(), 2);
    assert!(error.to_string().contains("`0.weight` has the shape 3x2 in the network, but 3x4"), "{error}");
    let mut twice = before.clone();
    twice.parameters.push(twice.parameters[0].clone());
    assert_eq!(network.restore(&twice).unwrap_err().unknown, ["0.weight"]);
    let mut short = before.clone();
    short.parameters[0].values.pop();
    assert!(network.restore(&short).is_err());
    assert_eq!(network.state(), before);
}

#[cfg(feature = "serde")]
#[test]
fn a_state_keeps_its_bits_in_json() {
    let mut network = Network::<f32>::build([3], sequential![Affine::new(2), BatchNorm::new()], Seed(1)).unwrap();
    network.parameters_mut()[0] = f32::INFINITY;
    network.parameters_mut()[1] = 1.0e-45;
    network.set_class_names(["a", "b"]);
    let json = serde_json::to_string(&network.state()).unwrap();
    assert_eq!(serde_json::from_str::<downhill_network::NetworkState<f32>>(&json).unwrap(), network.state());
    let description = network.description().unwrap();
    assert_eq!(description.seed, network.seed());
}

#[test]
fn a_loss_that_is_not_finite_is_no_step() {
    let mut network = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (mut optimizer, mut workspace) = (Sgd::new(0.1), network.workspace(Purpose::Training));
    let (loss, mode) = (MeanSquaredError::new(), Mode::Training { step: 0 });
    let target = Target::Values(&[0.5]);
    let before = network.parameters().to_vec();
    for bad in [f64::NAN, f64::INFINITY] {
        let (x, y) = ([bad, 1.0], [0.5, 1.0]);
        let x = Batch::new(&x, 1, [2]).unwrap();
        assert!(!network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap().value().is_finite());
        assert_eq!(network.step(&mut optimizer, &mut workspace), Err(BuildError::LossNotFinite));
        network.accumulate(x, target, &loss, &mut workspace, mode).unwrap();
        assert_eq!(network.step(&mut optimizer, &mut workspace), Err(BuildError::LossNotFinite));
        assert_eq!(network.parameters(), before);
        assert_eq!(network.step(&mut optimizer, &mut workspace), Err(BuildError::NoGradient), "it was dropped");
        let y = Batch::new(&y, 1, [2]).unwrap();
        network.accumulate(y, target, &loss, &mut workspace, mode).unwrap();
    }
    network.step(&mut optimizer, &mut workspace).unwrap();
    assert_ne!(network.parameters(), before);
}
