//! Optimizers that take gradients at one point and are judged at another.

use std::ops::ControlFlow;

use downhill_data::{Batches, Dataset};
use downhill_layers::{Affine, BatchNorm, Mode, Tanh};
use downhill_losses::MeanSquaredError;
use downhill_network::{Frozen, Network, Purpose, sequential};
use downhill_optim::{Lookahead, Optimizer, ScheduleFreeAdamW, ScheduleFreeSgd};
use downhill_tensor::Seed;
use downhill_train::metrics::MeanAbsoluteError;
use downhill_train::{EarlyStopping, NO_METRICS, StopReason, Trainer, evaluate};
use ndarray::Array2;

/// A curve, to train on and to judge by.
fn curve() -> (Dataset<f64>, Dataset<f64>) {
    let part = |offset: f64| {
        let x = Array2::from_shape_fn((48, 1), |(i, _)| (i as f64 + offset) / 12.0 - 2.0);
        let y = x.mapv(|x| x.sin() + 0.1 * (37.0 * x).cos());
        Dataset::from_array(x, y).unwrap()
    };
    (part(0.0), part(0.5))
}

fn network() -> Network<f64> {
    let layers = sequential![Frozen(Affine::new(6)), Tanh, Affine::new(6), BatchNorm::new(), Tanh, Affine::new(1)];
    Network::build([1], layers, Seed(3)).unwrap()
}

fn optimizers() -> Vec<Box<dyn Optimizer<f64>>> {
    vec![
        Box::new(ScheduleFreeSgd::new(0.5).weight_decay(0.01)),
        Box::new(ScheduleFreeAdamW::new(0.02).warmup(5)),
        Box::new(Lookahead::new(ScheduleFreeSgd::new(0.5))),
    ]
}

fn trainer<'a>(
    optimizer: Box<dyn Optimizer<f64>>,
    validation: &'a Dataset<f64>,
) -> Trainer<'a, f64, MeanSquaredError, Box<dyn Optimizer<f64>>> {
    let trainer = Trainer::new(MeanSquaredError::new(), optimizer).batch_size(16).seed(Seed(4));
    trainer.epochs(6).validate(validation).metric(MeanAbsoluteError::new())
}

fn loss(network: &Network<f64>, data: &Dataset<f64>) -> f64 {
    evaluate(network, &MeanSquaredError::new(), data, NO_METRICS).unwrap().loss
}

#[test]
fn a_network_predicts_as_it_was_validated() {
    let (data, validation) = curve();
    for (optimizer, mut by_hand) in optimizers().into_iter().zip(optimizers()) {
        let (mut trained, mut shown) = (network(), Vec::new());
        let history = trainer(optimizer, &validation)
            .on_epoch(|end| {
                shown.push(loss(end.network, &validation));
                ControlFlow::Continue(())
            })
            .fit(&mut trained, &data)
            .unwrap();

        // The same run by hand, judged at the point to evaluate.
        let (mut stepped, mut judged) = (network(), network());
        let mut workspace = stepped.workspace(Purpose::Training);
        let mut batches = Batches::shuffled(&data, 16, Seed(4)).unwrap();
        let (mut step, mut losses) = (0, Vec::new());
        for epoch in 0..6 {
            batches.start_epoch(epoch);
            while let Some(batch) = batches.next_batch() {
                let mode = Mode::Training { step };
                let loss = MeanSquaredError::new();
                stepped.backpropagate(batch.inputs, batch.targets, &loss, &mut workspace, mode).unwrap();
                stepped.step(&mut by_hand, &mut workspace).unwrap();
                step += 1;
            }
            assert!(by_hand.evaluation_point(stepped.parameters(), judged.parameters_mut()));
            judged.statistics_mut().copy_from_slice(stepped.statistics());
            losses.push(loss(&judged, &validation));
            assert_ne!(losses.last(), Some(&loss(&stepped, &validation)));
        }
        let validated: Vec<f64> = history.epochs.iter().map(|record| record.validation_loss.unwrap()).collect();
        assert_eq!((&validated, &shown), (&losses, &losses));
        assert_eq!((trained.parameters(), history.kept_epoch), (judged.parameters(), Some(6)));
        assert_eq!(loss(&trained, &validation), losses[5]);
        assert_eq!(trained.parameter("0.weight").unwrap(), network().parameter("0.weight").unwrap(), "it is frozen");
    }
}

#[test]
fn the_best_epoch_is_kept_as_it_was_validated_and_training_goes_on_from_the_last() {
    let (data, validation) = curve();
    for (optimizer, again) in optimizers().into_iter().zip(optimizers()) {
        let (mut network, mut unbroken) = (network(), network());
        let mut stopping = trainer(optimizer, &validation).epochs(60).early_stopping(EarlyStopping::new().patience(3));
        let history = stopping.fit(&mut network, &data).unwrap();
        let best = history.epochs.iter().map(|record| record.validation_loss.unwrap()).fold(f64::INFINITY, f64::min);
        assert_eq!(history.kept().unwrap().validation_loss, Some(best));
        assert_eq!(loss(&network, &validation), best);

        let epochs = history.epochs.len();
        let next = stopping.continue_fit(&mut network, &data).unwrap().epochs[0].training_loss;
        let history = trainer(again, &validation).epochs(epochs as u64 + 1).fit(&mut unbroken, &data).unwrap();
        assert_eq!(history.epochs[epochs].training_loss, next);
    }
}

#[test]
fn a_run_that_is_resumed_goes_on_from_the_training_point() {
    let (data, validation) = curve();
    for ((first, second), third) in optimizers().into_iter().zip(optimizers()).zip(optimizers()) {
        let (mut whole, mut parts, mut stopped) = (network(), network(), network());
        let unbroken = trainer(first, &validation).fit(&mut whole, &data).unwrap();

        let mut twice = trainer(second, &validation).epochs(3);
        twice.fit(&mut parts, &data).unwrap();
        let mut point = vec![0.0; parts.parameters().len()];
        assert!(twice.optimizer().evaluation_point(twice.training_point().unwrap(), &mut point));
        assert_eq!(point, parts.parameters());
        let resumed = twice.continue_fit(&mut parts, &data).unwrap();
        assert_eq!(parts.parameters(), whole.parameters());
        let losses = |epochs: &[downhill_train::EpochRecord]| {
            epochs.iter().map(|record| (record.training_loss, record.validation_loss)).collect::<Vec<_>>()
        };
        assert_eq!(losses(&resumed.epochs), losses(&unbroken.epochs[3..]));

        // A stop within an epoch leaves the network at the point to evaluate, too.
        let stop_at = 4;
        let mut interrupted = trainer(third, &validation)
            .on_step(|end| if end.step == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        let history = interrupted.fit(&mut stopped, &data).unwrap();
        assert_eq!((history.reason, history.kept_epoch), (StopReason::Callback, None));
        assert!(interrupted.optimizer().evaluation_point(interrupted.training_point().unwrap(), &mut point));
        assert_eq!(point, stopped.parameters());
    }
}

#[test]
fn parameters_that_were_changed_between_two_calls_are_trained_on() {
    let (data, validation) = curve();
    let run = |change: f64| {
        let mut network = network();
        let mut trainer = trainer(Box::new(ScheduleFreeSgd::new(0.5)), &validation).epochs(1);
        trainer.fit(&mut network, &data).unwrap();
        let trained = trainer.training_point().unwrap().to_vec();
        network.parameters_mut().iter_mut().zip(&trained).for_each(|(theta, y)| *theta = y + change);
        let losses = trainer.continue_fit(&mut network, &data).unwrap();
        losses.epochs[0].training_loss
    };
    // From the training point itself as if nothing had happened, and from another otherwise.
    let (data_again, mut unbroken) = (curve().0, network());
    let history = trainer(Box::new(ScheduleFreeSgd::new(0.5)), &validation).epochs(2).fit(&mut unbroken, &data_again);
    assert_eq!(run(0.0), history.unwrap().epochs[1].training_loss);
    assert_ne!(run(0.1), run(0.0));
}
