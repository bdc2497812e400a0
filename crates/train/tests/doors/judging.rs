//! Metrics read outputs and targets as the loss and `classify` do, and refuse those that they can't judge.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_data::{Dataset, Targets};
use downhill_layers::{Affine, Sigmoid, Softmax};
use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, ClassAxis, Loss, MeanSquaredError, SoftmaxCrossEntropy, Target,
};
use downhill_network::{Network, sequential};
use downhill_optim::{Adam, Sgd};
use downhill_tensor::Seed;
use downhill_train::metrics::{
    Accuracy, AveragePrecision, ConfusionMatrix, F1, MeanAbsoluteError, RSquared, RocAuc, RootMeanSquaredError,
    TopKAccuracy,
};
use downhill_train::{DataRole, EarlyStopping, Metric, TrainError, Trainer, evaluate};
use ndarray::{Array2, array};

use crate::{classes, line, network, points, standing_still};

/// The share of examples that `classify` gets right.
fn share(network: &Network<f64>, data: &Dataset<f64>, truth: &[u32]) -> f64 {
    let told = network.classify(data.inputs().matrix()).unwrap();
    told.iter().zip(truth).filter(|(told, truth)| told == truth).count() as f64 / truth.len() as f64
}

/// Shows a network its loss, and changes none of its parameters.
fn shown(mut network: Network<f64>, loss: impl Loss + Clone, data: &Dataset<f64>, truth: &[u32]) -> f64 {
    let before = network.parameters().to_vec();
    let trainer = Trainer::new(loss.clone(), standing_still()).epochs(1).metric(Accuracy::new());
    let history = { trainer }.fit(&mut network, data).unwrap();
    assert!(network.parameters().iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-290));
    let accuracy = evaluate(&network, &loss, data, [Accuracy::new()]).unwrap().metric("accuracy").unwrap();
    assert_eq!(history.epochs[0].metric("accuracy"), Some(accuracy));
    assert_eq!(share(&network, data, truth), accuracy, "{loss:?}");
    accuracy
}

#[test]
fn classify_and_accuracy_say_the_same() {
    // y = x, of which a threshold of 0 gets four right, and one of a half all six.
    let truth = [0, 0, 0, 0, 1, 1];
    let x = array![[-2.0], [-0.1], [0.1], [0.4], [0.6], [0.9]];
    let identity = |last: bool| {
        let mut network: Network<f64> = match last {
            true => Network::build([1], sequential![Affine::new(1), Sigmoid], Seed(1)).unwrap(),
            false => Network::build([1], Affine::new(1), Seed(1)).unwrap(),
        };
        network.parameters_mut().copy_from_slice(&[1.0, 0.0]);
        network
    };
    let numbers = Array2::from_shape_fn((6, 1), |(i, _)| f64::from(truth[i]));
    let values = Dataset::from_array(x.clone(), numbers).unwrap();
    assert_eq!(shown(identity(false), BinaryCrossEntropyWithLogits::new(), &values, &truth), 4.0 / 6.0);
    assert_eq!(shown(identity(true), BinaryCrossEntropy::new(), &values, &truth), 4.0 / 6.0);
    assert_eq!(shown(identity(true), MeanSquaredError::new(), &values, &truth), 4.0 / 6.0);
    assert_eq!(shown(identity(false), MeanSquaredError::new(), &values, &truth), 1.0);
    // Outputs that are probabilities as they are.
    let inner = values.select(&[2, 3, 4, 5]).unwrap();
    assert_eq!(shown(identity(false), BinaryCrossEntropy::new(), &inner, &truth[2..]), 1.0);

    let data = classes(80);
    let Target::Classes(labels) = data.targets() else { unreachable!() };
    let accuracy = shown(network(3), SoftmaxCrossEntropy::new(), &data, labels);
    assert!(accuracy < 1.0);
    let probable = Network::build([2], sequential![Affine::new(3), Softmax], Seed(2)).unwrap();
    shown(probable, MeanSquaredError::new(), &data.clone().one_hot_targets().unwrap(), labels);
}

#[test]
fn labels_of_independent_questions_are_judged_one_by_one() {
    // Forty examples, all three answers of each right. No number is 0, which the least step would take to either side.
    let x = points(40) + 0.01;
    let truth = Array2::from_shape_fn((40, 3), |(i, j)| if j < 2 { f64::from(x[[i, j]] > 0.0) } else { 1.0 });
    let mut network = Network::<f64>::build([2], Affine::new(3), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let answers = truth.mapv(|truth| truth > 0.5);
    let data = Dataset::from_array(x.clone(), truth).unwrap();
    let loss = BinaryCrossEntropyWithLogits::new();
    Trainer::new(loss.clone(), standing_still()).epochs(1).fit(&mut network, &data).unwrap();
    let right = evaluate(&network, &loss, &data, [Accuracy::new()]).unwrap();
    assert_eq!(right.metric("accuracy"), Some(1.0));
    assert_eq!(network.answers(&x).unwrap(), answers);
}

/// Metrics of every kind, which judge classes or numbers.
fn of_classes() -> Vec<Box<dyn Metric<f64>>> {
    vec![
        Box::new(Accuracy::new()),
        Box::new(TopKAccuracy::new(2)),
        Box::new(F1::default()),
        Box::new(ConfusionMatrix::new()),
        Box::new(RocAuc::new()),
        Box::new(AveragePrecision::new()),
    ]
}

fn of_numbers() -> Vec<Box<dyn Metric<f64>>> {
    vec![Box::new(MeanAbsoluteError::new()), Box::new(RootMeanSquaredError::new()), Box::new(RSquared::new())]
}

#[test]
fn a_metric_that_can_not_judge_is_an_error_before_the_first_step() {
    let (numbers, labels) = (line(40), classes(40));
    let refuse = |metric: Box<dyn Metric<f64>>, data: &Dataset<f64>, validate: bool, outputs: usize| {
        let (name, mut untouched) = (metric.name(), network(outputs));
        let steps = Arc::new(Mutex::new(0));
        let taken = Arc::clone(&steps);
        let count = move |_: &downhill_train::StepEnd<'_, f64>| {
            *taken.lock().unwrap() += 1;
            ControlFlow::Continue(())
        };
        let result = if outputs == 1 {
            let trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).metric(metric).on_step(count);
            if validate { trainer.validate(data) } else { trainer }.fit(&mut untouched, data)
        } else {
            let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1)).metric(metric).on_step(count);
            if validate { trainer.validate(data) } else { trainer }.fit(&mut untouched, data)
        };
        let error = result.expect_err(&name);
        let TrainError::Metric { metric, data, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!((metric, *data), (&name, if validate { DataRole::Validation } else { DataRole::Training }));
        assert!(error.to_string().contains(&format!("`{name}` can't judge {data}")), "{error}");
        assert_eq!(*steps.lock().unwrap(), 0);
        assert_eq!(untouched.state(), network(outputs).state(), "{name} has changed the network");
    };
    for validate in [false, true] {
        for metric in of_classes() {
            refuse(metric, &numbers, validate, 1);
        }
        for metric in of_numbers() {
            refuse(metric, &labels, validate, 3);
        }
    }
}

#[test]
fn each_position_of_a_sequence_is_judged() {
    let labels = (0..24).map(|place| place * place % 5 % 2).collect();
    let inputs = (0..48).map(|i| f64::from(i % 5)).collect();
    let data = Dataset::new(inputs, [3, 2], Targets::classes(labels, 2).with_shape([3])).unwrap();
    let mut network = Network::<f64>::build([3, 2], Affine::new(2), Seed(3)).unwrap();
    let loss = SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last);
    let history =
        Trainer::new(loss, Sgd::new(0.01)).validate(&data).metric(Accuracy::new()).epochs(1).fit(&mut network, &data);
    let accuracy = history.unwrap().epochs[0].metric("accuracy").unwrap();
    let Target::Classes(labels) = data.targets() else { unreachable!() };
    let told = network.classify(data.inputs().sequences()).unwrap();
    let right = told.iter().zip(labels).filter(|(told, truth)| told == truth).count();
    assert_eq!(accuracy, right as f64 / 24.0);
}

#[test]
fn without_validation_data_a_metric_judges_the_training_data() {
    let data = classes(40);
    let mut network = network(3);
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.05))
        .epochs(20)
        .metric(Accuracy::new())
        .early_stopping(EarlyStopping::new().on_metric("accuracy").patience(30))
        .fit(&mut network, &data)
        .unwrap();
    let kept = history.kept().unwrap();
    assert_eq!(kept.validation_loss, None);
    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &data, [Accuracy::new()]).unwrap();
    assert_eq!(kept.metric("accuracy"), judged.metric("accuracy"));
    let best = history.epochs.iter().filter_map(|epoch| epoch.metric("accuracy")).fold(0.0, f64::max);
    assert_eq!(kept.metric("accuracy"), Some(best));
}

#[test]
fn metrics_take_weights_into_account() {
    let kept: Vec<usize> = (0..40).filter(|i| i % 3 != 0).collect();
    let weights = || (0..40).map(|i| f64::from(u8::from(i % 3 != 0))).collect::<Vec<f64>>();
    let judge = |metric: Box<dyn Metric<f64>>, data: &Dataset<f64>, outputs: usize| {
        let network = network(outputs);
        let judged = if outputs == 1 {
            evaluate(&network, &MeanSquaredError::new(), data, [metric])
        } else {
            evaluate(&network, &SoftmaxCrossEntropy::new(), data, [metric])
        };
        judged.unwrap().metrics[0].1
    };
    for (data, outputs, metrics) in
        [(line(40), 1, of_numbers as fn() -> Vec<Box<dyn Metric<f64>>>), (classes(40), 3, of_classes)]
    {
        let weighted = data.clone().with_weights(weights()).unwrap();
        let subset = data.select(&kept).unwrap();
        for (of_weights, (of_subset, of_all)) in metrics().into_iter().zip(metrics().into_iter().zip(metrics())) {
            let name = of_weights.name();
            let a = judge(of_weights, &weighted, outputs);
            let b = judge(of_subset, &subset, outputs);
            assert!((a - b).abs() < 1e-12, "{name}: {a} with weights, {b} for the subset");
            assert_ne!(a, judge(of_all, &data, outputs), "{name} must depend on the weights to show anything");
        }
    }
}

#[test]
fn a_network_learns_what_its_outputs_mean_and_what_its_classes_are_called() {
    let data = Dataset::from_array(
        array![[-1.0, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.0, 0.0]],
        Targets::named_classes(vec![0, 0, 1, 1], ["left", "right"]),
    )
    .unwrap();
    let mut network = network(2);
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.05)).epochs(60).fit(&mut network, &data).unwrap();
    assert_eq!(network.meaning(), SoftmaxCrossEntropy::new().meaning());
    assert_eq!(network.classify_names([[-0.8, 0.0], [0.8, 0.0]]).unwrap(), ["left", "right"]);
    let p = network.probabilities([[-0.8, 0.0]]).unwrap();
    assert!(p[[0, 0]] > 0.9 && (p.sum() - 1.0).abs() < 1e-12, "{p}");
}
