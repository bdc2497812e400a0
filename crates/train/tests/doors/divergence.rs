//! Numbers that are not finite end a run, with the likely cause, and the last good parameters are kept.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_data::Dataset;
use downhill_layers::{Affine, BatchNorm};
use downhill_losses::{MeanSquaredError, PoissonNll, Reduction};
use downhill_network::{Network, sequential};
use downhill_optim::{Adagrad, Sgd};
use downhill_tensor::Seed;
use downhill_train::{Cause, DataRole, Divergence, ExampleField, NO_METRICS, Place, TrainError, Trainer, evaluate};
use ndarray::Array2;

use crate::{line, network, points};

fn diverged(error: TrainError) -> Divergence {
    match error {
        TrainError::Diverged(divergence) => *divergence,
        other => panic!("{other}"),
    }
}

#[test]
fn an_outlier_is_blamed_and_not_the_learning_rate() {
    let mut x = points(40).mapv(|x| x as f32);
    x[[17, 1]] = 1e30;
    let wrong = Dataset::from_array(x, Array2::zeros((40, 1))).unwrap();
    let build = || Network::<f32>::build([2], Affine::new(1), Seed(1)).unwrap();
    for batch_size in [1, 8, 40] {
        let mut network = build();
        let mut trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.01)).batch_size(batch_size);
        let error = trainer.fit(&mut network, &wrong).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Example 17") && text.contains("input is 1") && text.contains("e30"), "{text}");
        assert!(!text.contains("too large"), "{text}");
        let cause = diverged(error).cause;
        assert!(matches!(cause, Cause::Example { example: 17, .. }), "{batch_size}: {cause:?}");
        assert_eq!(network.parameters(), build().parameters());
    }
}

#[test]
fn a_gradient_that_overflows_although_its_loss_is_finite_is_blamed_on_its_example() {
    // dJ/dw = 2 d x is too large for f32 where d² is not; only the loss of the next step is not finite.
    let mut x = points(40).mapv(|x| x as f32);
    x[[17, 1]] = 1e22;
    let data = Dataset::from_array(x, Array2::zeros((40, 1))).unwrap();
    let mut network = Network::<f32>::build([2], Affine::new(1).no_bias(), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[1e-4, 1e-4]);
    let loss = evaluate(&network, &MeanSquaredError::new(), &data, NO_METRICS).unwrap().loss;
    assert!(loss.is_finite() && loss > 1e30, "{loss}");
    let error =
        Trainer::new(MeanSquaredError::new(), Sgd::new(0.01)).batch_size(8).fit(&mut network, &data).unwrap_err();
    let Divergence { step, cause, .. } = diverged(error);
    assert!(matches!(cause, Cause::Example { example: 17, .. }), "step {step}: {cause:?}");
    assert_eq!(network.parameters(), [1e-4, 1e-4]);
}

#[test]
fn a_gradient_whose_square_overflows_ends_the_run_and_says_so() {
    // The loss and the gradient are finite in f32, but not the sum of squares: no later step would move a parameter.
    let x = points(40).mapv(|x| 1e12 * (2.0 + x) as f32);
    let data = Dataset::from_array(x, Array2::zeros((40, 1))).unwrap();
    let mut network = Network::<f32>::build([2], Affine::new(1), Seed(1)).unwrap();
    let before = network.parameters().to_vec();
    let trainer = || Trainer::new(MeanSquaredError::new(), Adagrad::new(0.01)).epochs(3);
    let error = trainer().fit(&mut network, &data).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("(epoch 1)") && text.contains("`adagrad.sum`") && text.contains("clip it"), "{text}");
    let divergence = diverged(error);
    assert_eq!((divergence.place, divergence.cause), (Place::Memory("adagrad.sum".into()), Cause::LargeGradient));
    assert_eq!(network.parameters(), before);
    assert!(trainer().clip_norm(1.0).fit(&mut network, &data).is_ok());
}

#[test]
fn numbers_that_are_finite_but_far_from_all_others_are_blamed() {
    let build = || Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.01)).batch_size(8).epochs(50);
    let mut x = points(40);
    x[[17, 1]] = -1e30;
    let input = Dataset::from_array(x, Array2::zeros((40, 1))).unwrap();
    let cause = diverged(trainer().fit(&mut build(), &input).unwrap_err()).cause;
    assert!(matches!(cause, Cause::Outlier { example: 17, field: ExampleField::Input, value: 1e30, .. }), "{cause:?}");

    let weights = (0..40).map(|i| if i == 5 { 1e300 } else { 1.0 }).collect();
    let weighted = line(40).with_weights(weights).unwrap();
    let loss = MeanSquaredError::new().reduction(Reduction::Sum);
    let error = Trainer::new(loss, Sgd::new(0.01)).batch_size(8).fit(&mut build(), &weighted).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Example 5") && text.contains("largest weight is 1e300, where 1e0 is usual"), "{text}");

    // Without one it is the steps.
    let error =
        Trainer::new(MeanSquaredError::new(), Sgd::new(1e9)).epochs(50).fit(&mut build(), &line(40)).unwrap_err();
    assert!(error.to_string().contains("most likely too large"), "{error}");
    assert_eq!(diverged(error).cause, Cause::LearningRate);
}

#[test]
fn a_parameter_that_is_not_finite_at_the_start_is_named() {
    let data = line(8);
    let mut broken = network(1);
    broken.parameter_mut("2.weight").unwrap()[[0, 3]] = f64::NAN;
    let before: Vec<u64> = broken.parameters().iter().map(|x| x.to_bits()).collect();
    let error = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).fit(&mut broken, &data).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`2.weight`") && text.contains("before the first step"), "{text}");
    assert_eq!(diverged(error).cause, Cause::Start { parameter: "2.weight".into() });
    assert!(broken.parameters().iter().map(|x| x.to_bits()).eq(before));

    let mut broken = Network::<f64>::build([2], sequential![BatchNorm::new(), Affine::new(1)], Seed(1)).unwrap();
    broken.statistics_mut()[0] = f64::INFINITY;
    let error = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).fit(&mut broken, &data).unwrap_err();
    assert_eq!(diverged(error).cause, Cause::Start { parameter: "0.running_mean".into() });
}

#[test]
fn an_error_within_a_run_finds_the_parameters_of_the_last_good_epoch() {
    // Rates that a large step takes below 0.
    let data = Dataset::from_array(points(20), Array2::<f64>::zeros((20, 1))).unwrap();
    let mut trained = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    trained.parameters_mut().copy_from_slice(&[0.0, 0.0, 1.0]);
    let kept = Arc::new(Mutex::new(trained.parameters().to_vec()));
    let keep = Arc::clone(&kept);
    let error = Trainer::new(PoissonNll::new().rates(), Sgd::new(0.03))
        .epochs(100)
        .batch_size(4)
        .on_epoch(move |end| {
            *keep.lock().unwrap() = end.network.parameters().to_vec();
            ControlFlow::Continue(())
        })
        .fit(&mut trained, &data)
        .unwrap_err();
    assert!(matches!(error, TrainError::Target { data: DataRole::Training, .. }), "{error}");
    assert!(error.to_string().contains("rates of at least 0"), "{error}");
    assert_ne!(trained.parameters(), [0.0, 0.0, 1.0], "there were good epochs");
    assert_eq!(trained.parameters(), &kept.lock().unwrap()[..]);
}
