//! Losses of epochs and evaluations are those of whole data sets, and examples that do not count move nothing.

use downhill_data::{Dataset, Targets};
use downhill_losses::{Loss, MeanSquaredError, Reduction, SoftmaxCrossEntropy, Target};
use downhill_optim::Sgd;
use downhill_tensor::Batch;
use downhill_train::{DataRole, NO_METRICS, TrainError, Trainer, evaluate};
use ndarray::array;

use crate::{line, network, partly_ignored, points, standing_still};

/// Losses whose terms do not weigh alike, over 600 examples of three classes.
fn uneven_losses() -> [SoftmaxCrossEntropy; 3] {
    let weighted = SoftmaxCrossEntropy::new().class_weights([1.0, 5.0, 0.5]);
    let ignoring = weighted.clone().ignored_index(3);
    [ignoring.clone(), ignoring.reduction(Reduction::Sum), SoftmaxCrossEntropy::new().ignored_index(3)]
}

#[test]
fn a_loss_is_that_of_all_examples_at_once_whatever_the_batch_size() {
    let data = partly_ignored(600);
    let start = network(3);
    for loss in uneven_losses() {
        let y = start.predict(data.inputs().matrix()).unwrap();
        let y = Batch::new(y.as_slice().unwrap(), 600, [3]).unwrap();
        let whole = loss.value(y, data.targets()).unwrap();
        let near = |value: f64| (value - whole).abs() < 1e-12 * whole;
        let judged = evaluate(&start, &loss, &data, NO_METRICS).unwrap().loss;
        assert!(near(judged), "{judged}, not {whole}");
        for batch_size in [1, 7, 100, 1000] {
            let mut still = start.clone();
            let history = Trainer::new(loss.clone(), standing_still())
                .epochs(1)
                .batch_size(batch_size)
                .validate(&data)
                .fit(&mut still, &data)
                .unwrap();
            assert_eq!(still.parameters(), start.parameters());
            let record = &history.epochs[0];
            assert!(near(record.training_loss), "{batch_size}: {} for {whole}", record.training_loss);
            assert_eq!(record.validation_loss, Some(judged));
        }
    }
}

#[test]
fn a_loss_with_example_weights_is_that_of_all_examples_at_once() {
    let weights: Vec<f64> = (0..600).map(|i| if i < 300 { 0.0 } else { (i % 7) as f64 }).collect();
    let data = line(600).with_weights(weights.clone()).unwrap();
    let start = network(1);
    let y = start.predict(data.inputs().matrix()).unwrap();
    let Target::Values(targets) = data.targets() else { unreachable!() };
    let squares = y.iter().zip(targets).zip(&weights).map(|((y, t), w)| w * (y - t).powi(2));
    let whole = squares.sum::<f64>() / weights.iter().sum::<f64>();
    for batch_size in [1, 64, 1000] {
        let mut still = start.clone();
        let history = Trainer::new(MeanSquaredError::new(), standing_still())
            .epochs(1)
            .batch_size(batch_size)
            .validate(&data)
            .fit(&mut still, &data)
            .unwrap();
        let record = &history.epochs[0];
        assert!((record.training_loss - whole).abs() < 1e-12 * whole, "{} for {whole}", record.training_loss);
        assert!((record.validation_loss.unwrap() - whole).abs() < 1e-12 * whole);
    }
}

#[test]
fn a_batch_in_which_nothing_counts_is_passed_over_and_moves_nothing() {
    let x = array![[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]];
    let data = Dataset::from_array(x.clone(), Targets::classes(vec![3, 3, 1, 3], 4)).unwrap();
    let weighted = Dataset::from_array(x, Targets::classes(vec![0, 0, 1, 0], 3)).unwrap();
    let counted = Dataset::new(vec![0.5, 0.6], [2], Targets::classes(vec![1], 3)).unwrap();
    let run = |loss: SoftmaxCrossEntropy, data: &Dataset<f64>| {
        let mut network = network(3);
        let optimizer = Sgd::new(0.1).momentum(0.9).weight_decay(0.1);
        let history = Trainer::new(loss, optimizer).epochs(4).batch_size(1).fit(&mut network, data).unwrap();
        let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.training_loss).collect();
        (history.steps, losses, network.parameters().to_vec())
    };
    let alone = run(SoftmaxCrossEntropy::new(), &counted);
    assert_eq!(alone.0, 4);
    assert_eq!(run(SoftmaxCrossEntropy::new().ignored_index(3), &data), alone);
    assert_eq!(run(SoftmaxCrossEntropy::new().class_weights([0.0, 1.0, 1.0]), &weighted), alone);
}

#[test]
fn data_in_which_nothing_counts_are_an_error_before_the_first_step() {
    let nothing = Dataset::from_array(points(9), Targets::classes(vec![3; 9], 4)).unwrap();
    let something = partly_ignored(9);
    let loss = SoftmaxCrossEntropy::new().ignored_index(3);
    let mut untouched = network(3);
    let trainer = || Trainer::new(loss.clone(), Sgd::new(0.1)).batch_size(2);
    let training = trainer().fit(&mut untouched, &nothing).unwrap_err();
    assert!(matches!(training, TrainError::NothingCounts { data: DataRole::Training }), "{training}");
    assert!(training.to_string().contains("all are ignored or have a weight of 0"), "{training}");
    let validation = trainer().validate(&nothing).fit(&mut untouched, &something).unwrap_err();
    assert!(matches!(validation, TrainError::NothingCounts { data: DataRole::Validation }), "{validation}");
    assert!(evaluate(&untouched, &loss, &nothing, NO_METRICS).is_err());
    assert_eq!(untouched.state(), network(3).state());
}

#[test]
fn a_loss_that_is_divided_by_examples_counts_those_whose_targets_are_ignored() {
    let data = partly_ignored(60);
    let ignoring = SoftmaxCrossEntropy::new().ignored_index(3).reduction(Reduction::BatchMean);
    for batch_size in [1, 7, 60] {
        let mut trained = network(3);
        let whole = evaluate(&trained, &ignoring, &data, NO_METRICS).unwrap().loss;
        let mut trainer = Trainer::new(ignoring.clone(), standing_still()).epochs(1).batch_size(batch_size);
        let loss = trainer.fit(&mut trained, &data).unwrap().epochs[0].training_loss;
        assert!((loss - whole).abs() < 1e-12, "{loss}, not {whole}, in batches of {batch_size}");
    }
}
