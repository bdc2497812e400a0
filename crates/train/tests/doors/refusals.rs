//! Data that do not fit are an error before the first step, which names them.

use std::error::Error;

use downhill_data::{Dataset, Targets};
use downhill_layers::{Affine, BatchNorm, Embedding, Flatten, Tanh};
use downhill_losses::{BinaryCrossEntropyWithLogits, ClassAxis, MeanSquaredError, MultiTask, SoftmaxCrossEntropy};
use downhill_network::{Network, sequential};
use downhill_optim::Sgd;
use downhill_tensor::{Seed, Shape};
use downhill_train::metrics::RSquared;
use downhill_train::{DataRole, NO_METRICS, StopReason, TrainError, Trainer, evaluate};
use ndarray::Array2;

use crate::{classes, line, network, points};

#[test]
fn a_last_batch_of_one_example_under_batch_norm_is_an_error_before_the_first_step() {
    let build = || {
        Network::<f64>::build([2], sequential![Affine::new(4), BatchNorm::new(), Tanh, Affine::new(3)], Seed(3))
            .unwrap()
    };
    let mut untouched = build();
    let trainer = || Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.01)).batch_size(32).epochs(2);
    let error = trainer().fit(&mut untouched, &classes(33)).unwrap_err();
    assert!(matches!(error, TrainError::Inputs { data: DataRole::Training, .. }), "{error}");
    assert_eq!(untouched.state(), build().state());
    let history = trainer().drop_last().fit(&mut untouched, &classes(33)).unwrap();
    assert_eq!((history.steps, history.reason), (2, StopReason::Completed));
    // In evaluation a batch of one is as good as any other.
    trainer().validate(&classes(257)).fit(&mut untouched, &classes(64)).unwrap();
}

#[test]
fn the_examples_that_one_epoch_leaves_out_are_checked_too() {
    let labels = (0..33).map(|i| if i == 32 { 3 } else { i % 3 }).collect();
    let data = Dataset::from_array(points(33), Targets::classes(labels, 4)).unwrap();
    let mut untouched = network(3);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.01)).batch_size(32).drop_last();
    let error = trainer.fit(&mut untouched, &data).unwrap_err();
    assert!(matches!(error, TrainError::Target { data: DataRole::Training, .. }), "{error}");
    assert_eq!(untouched.state(), network(3).state());
}

#[test]
fn data_that_do_not_fit_are_named() {
    let (good, wide) = (line(8), Dataset::from_array(Array2::zeros((8, 3)), Array2::zeros((8, 1))).unwrap());
    let mut untouched = network(1);
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.01));
    let error = trainer().fit(&mut untouched, &wide).unwrap_err();
    assert!(matches!(error, TrainError::Inputs { data: DataRole::Training, .. }), "{error}");
    let error = trainer().validate(&wide).fit(&mut untouched, &good).unwrap_err();
    assert!(matches!(error, TrainError::Inputs { data: DataRole::Validation, .. }), "{error}");
    let error = trainer().validate(&classes(8)).fit(&mut untouched, &good).unwrap_err();
    assert!(matches!(error, TrainError::Target { data: DataRole::Validation, .. }), "{error}");
    assert_eq!(untouched.state(), network(1).state());
}

#[test]
fn an_error_does_not_repeat_its_source() {
    let mut network = network(3);
    let trainer = || Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1));
    let nothing = Dataset::from_array(points(9), Targets::classes(vec![3; 9], 4)).unwrap();
    let mut broken = network.clone();
    broken.parameters_mut()[0] = f64::NAN;
    let errors: [TrainError; 7] = [
        trainer().batch_size(0).fit(&mut network, &classes(9)).unwrap_err(),
        trainer().epochs(0).fit(&mut network, &classes(9)).unwrap_err(),
        trainer().fit(&mut network, &line(9)).unwrap_err(),
        trainer().metric(RSquared::new()).fit(&mut network, &classes(9)).unwrap_err(),
        Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(-1.0)).fit(&mut network, &classes(9)).unwrap_err(),
        Trainer::new(SoftmaxCrossEntropy::new().ignored_index(3), Sgd::new(0.1))
            .fit(&mut network, &nothing)
            .unwrap_err(),
        trainer().fit(&mut broken, &classes(9)).unwrap_err(),
    ];
    for error in &errors {
        let (text, mut source) = (error.to_string(), error.source());
        while let Some(inner) = source {
            assert!(!text.contains(&inner.to_string()), "{text}: {inner}");
            source = inner.source();
        }
    }
}

#[test]
fn targets_whose_axes_stand_in_another_order_are_an_error() {
    let (shape, x) = ([2, 3, 4], vec![0.5; 5 * 24]);
    let build = || Network::<f64>::build(shape, Tanh, Seed(1)).unwrap();
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(1);
    let fits = [Shape::from([2, 3, 4]), Shape::from([1, 2, 3, 4]), Shape::from([24])];
    let data = |targets| Dataset::new(x.clone(), shape, Targets::values(x.clone(), targets)).unwrap();
    for targets in fits {
        assert!(evaluate(&build(), &MeanSquaredError::new(), &data(targets), NO_METRICS).is_ok(), "{targets}");
        assert!(trainer().validate(&data(targets)).fit(&mut build(), &data(targets)).is_ok(), "{targets}");
    }
    for targets in [Shape::from([3, 4, 2]), Shape::from([2, 4, 3]), Shape::from([6, 4])] {
        let error = evaluate(&build(), &MeanSquaredError::new(), &data(targets), NO_METRICS).unwrap_err();
        let told = "the targets of the data do not fit the network: the predictions for an example and its targets";
        assert!(error.to_string().starts_with(told), "{error}");
        assert!(error.to_string().contains(&format!("2x3x4 and the other is {targets}")), "{error}");
        let error = trainer().fit(&mut build(), &data(targets)).unwrap_err();
        assert!(matches!(error, TrainError::TargetShape { data: DataRole::Training, .. }), "{error}");
        let error = trainer().validate(&data(targets)).fit(&mut build(), &data(fits[0])).unwrap_err();
        assert!(matches!(error, TrainError::TargetShape { data: DataRole::Validation, .. }), "{error}");
    }
    // A class for each position, whichever axis the classes lie along.
    for (axis, shape, right, wrong) in
        [(ClassAxis::First, [2, 3, 4], [3, 4], [4, 3]), (ClassAxis::Last, [3, 4, 2], [3, 4], [4, 3])]
    {
        let loss = SoftmaxCrossEntropy::new().class_axis(axis);
        let network = Network::<f64>::build(shape, Tanh, Seed(1)).unwrap();
        let judge = |each: [usize; 2]| {
            let targets = Targets::classes(vec![1; 5 * 12], 2).with_shape(each);
            evaluate(&network, &loss, &Dataset::new(x.clone(), shape, targets).unwrap(), NO_METRICS)
        };
        assert!(judge(right).is_ok());
        assert!(matches!(judge(wrong).unwrap_err(), TrainError::TargetShape { .. }));
    }
}

#[test]
fn errors_name_an_example_by_its_place_in_the_data() {
    let mut targets = vec![1.0; 50];
    targets[41] = 2.0;
    let data = Dataset::from_array(points(50), Targets::values(targets, [1])).unwrap();
    let loss = BinaryCrossEntropyWithLogits::new();
    let error = Trainer::new(loss.clone(), Sgd::new(0.1)).batch_size(8).fit(&mut network(1), &data).unwrap_err();
    assert!(error.to_string().contains("target 0 of example 41 is 2"), "{error}");
    let wide = Dataset::from_array(points(600), Targets::classes((0..600).map(|i| i / 598).collect(), 2)).unwrap();
    let judged = MultiTask::new().part(0..1, SoftmaxCrossEntropy::new(), 1.0);
    let error = evaluate(&network(1), &SoftmaxCrossEntropy::new(), &wide, NO_METRICS).unwrap_err();
    assert!(error.to_string().contains("example 598 has the class 1"), "{error}");
    let wide = Dataset::from_array(points(600), Array2::from_shape_fn((600, 1), |(i, _)| (i / 598) as f64)).unwrap();
    let error = evaluate(&network(1), &judged, &wide, NO_METRICS).unwrap_err();
    assert!(error.to_string().contains("example 598"), "{error}");
    // Places in a table are looked at in all examples at once.
    let table =
        || Network::<f64>::build([1], sequential![Embedding::new(3, 2), Flatten, Affine::new(1)], Seed(1)).unwrap();
    let places = Array2::from_shape_fn((50, 1), |(i, _)| if i == 41 { 3.0 } else { (i % 3) as f64 });
    let data = Dataset::from_array(places, Array2::zeros((50, 1))).unwrap();
    let mut trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).batch_size(8);
    let error = trainer.fit(&mut table(), &data).unwrap_err();
    assert!(error.to_string().contains("number 41 of input 0 is 3"), "{error}");
}
