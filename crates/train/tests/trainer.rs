//! Whole training runs: what they reach, how they end, and what they refuse.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, BatchNorm, Dropout, Relu, Tanh};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy, Target};
use downhill_network::{Network, NetworkObjective, sequential};
use downhill_optim::minimize::minimize;
use downhill_optim::schedule::{Exponential, Linear, OneCycle, ReduceOnPlateau};
use downhill_optim::{Adam, GradientDescent, Penalty, Sgd};
use downhill_tensor::Seed;
use downhill_tensor::threads::Threads;
use downhill_train::metrics::{Accuracy, ConfusionMatrix, F1, MeanAbsoluteError, RSquared};
use downhill_train::{
    Cause, DataRole, EarlyStopping, EpochRecord, Metric, NO_METRICS, Place, StopHandle, StopReason, TrainError,
    Trainer, evaluate,
};
use ndarray::{Array2, array};

/// y = 2a − 3b + 1, on a grid.
fn line() -> Dataset<f64> {
    let x =
        Array2::from_shape_fn(
            (64, 2),
            |(i, j)| if j == 0 { (i / 8) as f64 / 4.0 - 1.0 } else { (i % 8) as f64 / 4.0 - 1.0 },
        );
    let y = Array2::from_shape_fn((64, 1), |(i, _)| 2.0 * x[[i, 0]] - 3.0 * x[[i, 1]] + 1.0);
    Dataset::from_array(x, y).unwrap()
}

fn linear() -> Network<f64> {
    Network::build([2], sequential![Affine::new(1)], Seed(1)).unwrap()
}

#[test]
fn an_affine_map_finds_the_line_that_the_data_lie_on() {
    let (mut network, data) = (linear(), line());
    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1).momentum(0.9))
        .epochs(120)
        .batch_size(16)
        .fit(&mut network, &data)
        .unwrap();
    assert_eq!((history.reason, history.steps, history.kept_epoch), (StopReason::Completed, 480, Some(120)));
    let weight = network.parameter("0.weight").unwrap();
    assert!((weight[[0, 0]] - 2.0).abs() < 1e-6 && (weight[[0, 1]] + 3.0).abs() < 1e-6, "{weight}");
    let metrics: [Box<dyn Metric<f64>>; 2] = [Box::new(MeanAbsoluteError::new()), Box::new(RSquared::new())];
    let judged = evaluate(&network, &MeanSquaredError::new(), &data, metrics).unwrap();
    assert!(judged.metric("mae").unwrap() < 1e-6 && judged.metric("r2").unwrap() > 1.0 - 1e-12);
}

#[test]
fn a_penalty_is_a_term_of_the_objective() {
    let (mut network, data) = (linear(), line());
    let penalty = Penalty::elastic(0.1, 0.5).except_biases();
    let history = Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.2))
        .epochs(300)
        .batch_size(64)
        .penalty(penalty.clone())
        .fit(&mut network, &data)
        .unwrap();

    let mut bound = penalty;
    bound.bind(network.segments());
    let objective = NetworkObjective::new(&network, data.inputs(), data.targets(), MeanSquaredError::new());
    let outcome = minimize(bound.on(objective), [0.0; 3]).gradient_tolerance(1e-10).run().unwrap();
    for (trained, least) in network.parameters().iter().zip(&outcome.x) {
        assert!((trained - least).abs() < 1e-8, "{:?}, not {:?}", network.parameters(), outcome.x);
    }
    assert!((history.epochs.last().unwrap().training_loss - outcome.value).abs() < 1e-8);
    assert!(outcome.x[0].abs() < 1.7, "the slope of 2 is pulled towards 0: {:?}", outcome.x);

    let mut refused = Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.2)).penalty(Penalty::l1(-1.0));
    assert!(refused.fit(&mut network, &data).unwrap_err().to_string().contains("L1 penalty is -1"));
}

#[test]
fn one_whole_batch_and_plain_descent_follow_the_formula() {
    let (mut network, data) = (linear(), line());
    let start = network.parameters().to_vec();
    Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.05))
        .epochs(1)
        .batch_size(1000)
        .fit(&mut network, &data)
        .unwrap();
    // dJ/dw = 2/n Σ (wx + b − y) x, by hand.
    let Target::Values(targets) = data.targets() else { unreachable!() };
    let mut gradient = [0.0; 3];
    for (x, y) in data.inputs().matrix().rows().into_iter().zip(targets) {
        let error = start[0] * x[0] + start[1] * x[1] + start[2] - y;
        let terms = [error * x[0], error * x[1], error];
        gradient.iter_mut().zip(terms).for_each(|(sum, term)| *sum += 2.0 * term / 64.0);
    }
    for ((theta, start), gradient) in network.parameters().iter().zip(&start).zip(gradient) {
        assert!((theta - (start - 0.05 * gradient)).abs() < 1e-14);
    }
}

#[test]
fn digits_are_learnt_and_the_run_repeats_to_the_bit() {
    let (train, test) = digits::<f32>().unwrap().stratified_split(0.8, Seed(1)).unwrap();
    let run = || {
        let mlp = sequential![Affine::new(64), Relu, Dropout::new(0.1), Affine::new(10)];
        let mut network = Network::build([64], mlp, Seed(7)).unwrap();
        let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3))
            .epochs(12)
            .validate(&test)
            .metric(Accuracy::new())
            .metric(F1::default())
            .schedule(OneCycle::new(12 * 45))
            .fit(&mut network, &train)
            .unwrap();
        (history, network)
    };
    let ((first, network), (second, again)) = (run(), run());
    assert_eq!(network.parameters(), again.parameters());
    let untimed = |mut record: EpochRecord| {
        record.seconds = 0.0;
        record
    };
    let strip = |records: Vec<EpochRecord>| records.into_iter().map(untimed).collect::<Vec<_>>();
    let last = first.epochs.last().unwrap().clone();
    assert_eq!(strip(first.epochs), strip(second.epochs));
    assert!(last.metric("accuracy").unwrap() > 0.95, "{last:?}");
    assert!((last.metric("f1").unwrap() - last.metric("accuracy").unwrap()).abs() < 0.02);
    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [ConfusionMatrix::new()]).unwrap();
    assert_eq!(judged.metric("accuracy"), last.metric("accuracy"));
}

#[test]
fn early_stopping_gives_back_the_best_epoch() {
    let (train, test) = digits::<f32>().unwrap().stratified_split(0.2, Seed(3)).unwrap();
    let mut network = Network::build([64], sequential![Affine::new(64), Tanh, Affine::new(10)], Seed(1)).unwrap();
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.02))
        .epochs(200)
        .validate(&test)
        .early_stopping(EarlyStopping::new().patience(3))
        .fit(&mut network, &train)
        .unwrap();
    assert_eq!(history.reason, StopReason::EarlyStopping);
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.validation_loss.unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(history.kept().unwrap().validation_loss, Some(best));
    assert_eq!(history.epochs.len() as u64, history.kept_epoch.unwrap() + 4, "one more than patience");
    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, NO_METRICS).unwrap();
    assert_eq!(judged.loss, best, "the network holds the best parameters");
}

#[test]
fn a_rate_that_is_too_large_is_reported_and_the_last_good_parameters_are_kept() {
    let (mut network, data) = (linear(), line());
    Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.1)).epochs(3).fit(&mut network, &data).unwrap();
    let good = network.parameters().to_vec();
    // The step of the first epoch goes far away, but to finite numbers; the loss of the second does not.
    let error = Trainer::new(MeanSquaredError::new(), GradientDescent::new(1e200))
        .epochs(3)
        .batch_size(64)
        .fit(&mut network, &data)
        .unwrap_err();
    let TrainError::Diverged(divergence) = &error else { panic!("{error}") };
    assert_eq!((divergence.epoch, divergence.learning_rate), (2, 1e200));
    assert_eq!(divergence.place, Place::Loss);
    let text = error.to_string();
    assert!(text.contains("step 1 (epoch 2)") && text.contains("learning rate of 1e200"), "{text}");
    assert!(network.parameters().iter().all(|x| x.is_finite()));
    assert_ne!(network.parameters(), good);
}

#[test]
fn divergence_in_the_first_epoch_leaves_the_network_as_it_was() {
    let (mut network, data) = (linear(), line());
    let before = network.parameters().to_vec();
    let error = Trainer::new(MeanSquaredError::new(), GradientDescent::new(1e308))
        .batch_size(4)
        .fit(&mut network, &data)
        .unwrap_err();
    let TrainError::Diverged(divergence) = &error else { panic!("{error}") };
    assert!(matches!(&divergence.place, Place::Parameter(name) if name.starts_with("0.")), "{divergence:?}");
    assert_eq!(network.parameters(), before);
}

#[test]
fn clipping_bounds_the_step() {
    let (mut network, data) = (linear(), line());
    let before = network.parameters().to_vec();
    Trainer::new(MeanSquaredError::new(), GradientDescent::new(1.0))
        .epochs(1)
        .batch_size(64)
        .clip_norm(0.01)
        .fit(&mut network, &data)
        .unwrap();
    let moved: f64 = network.parameters().iter().zip(&before).map(|(a, b)| (a - b) * (a - b)).sum();
    assert!((moved.sqrt() - 0.01).abs() < 1e-6, "{moved}");
}

#[test]
fn schedules_move_the_rate_by_step_by_epoch_and_by_loss() {
    let rates = |trainer: Trainer<'_, f64, MeanSquaredError, Sgd<f64>>| {
        let (mut network, data) = (linear(), line());
        let history = trainer.epochs(3).batch_size(32).fit(&mut network, &data).unwrap();
        history.epochs.iter().map(|epoch| epoch.learning_rate).collect::<Vec<f64>>()
    };
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.1));
    assert_eq!(rates(trainer()), [0.1, 0.1, 0.1]);
    let warm = rates(trainer().schedule(Linear::new(0.0, 1.0, 10)));
    assert!((warm[0] - 0.01).abs() < 1e-15 && (warm[2] - 0.05).abs() < 1e-15, "two steps an epoch: {warm:?}");
    let decay = rates(trainer().schedule_per_epoch(Exponential::new(0.5)));
    assert!((decay[1] - 0.05).abs() < 1e-15 && (decay[2] - 0.025).abs() < 1e-15, "{decay:?}");
    let never_better = ReduceOnPlateau::new().patience(0).absolute_threshold(1e9).factor(0.1);
    let plateau = rates(trainer().reduce_on_plateau(never_better));
    assert!(plateau[2] < 0.1, "{plateau:?}");
}

#[test]
fn callbacks_see_every_step_and_may_end_the_run() {
    let (mut network, data) = (linear(), line());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let steps = Arc::clone(&seen);
    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1))
        .epochs(9)
        .batch_size(16)
        .on_step(move |end| {
            steps.lock().unwrap().push((end.step, end.epoch, end.gradient.len()));
            if end.step == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .fit(&mut network, &data)
        .unwrap();
    assert_eq!((history.reason, history.steps, history.epochs.len()), (StopReason::Callback, 6, 1));
    assert_eq!(seen.lock().unwrap().last(), Some(&(5, 2, 3)));

    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1))
        .epochs(9)
        .on_epoch(|end| if end.record.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .fit(&mut network, &data)
        .unwrap();
    assert_eq!((history.reason, history.epochs.len()), (StopReason::Callback, 2));
}

/// An average of a run before is of no use to a network with other numbers, and neither is where that one was trained.
#[test]
fn a_run_that_goes_on_with_a_network_of_another_size_begins_its_average_anew() {
    let affine =
        |hidden: usize| Network::build([2], sequential![Affine::new(hidden), Affine::new(1)], Seed(1)).unwrap();
    // As many parameters, with running statistics and without.
    let normalised = |layers| Network::build([2], layers, Seed(1)).unwrap();
    let with = normalised(sequential![Affine::new(3), BatchNorm::new().no_affine(), Affine::new(1)]);
    let data = line();
    let first = Arc::new(Mutex::new(false));
    for (before, after) in [(affine(3), affine(5)), (with.clone(), affine(3)), (affine(3), with.clone())] {
        for exponential in [true, false] {
            let stops = first.clone();
            *stops.lock().unwrap() = false;
            let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).epochs(2).on_step(move |_| {
                if *stops.lock().unwrap() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let mut trainer =
                if exponential { trainer.exponential_average(0.9) } else { trainer.average_from_epoch(1) };
            trainer.fit(&mut before.clone(), &data).unwrap();
            // It ends before there is an average of its own.
            *first.lock().unwrap() = true;
            let mut network = after.clone();
            let history = trainer.continue_fit(&mut network, &data).unwrap();
            assert_eq!((history.reason, history.steps), (StopReason::Callback, 1));
            assert!(network.parameters().iter().chain(network.statistics()).all(|x| x.is_finite()));
        }
    }
}

#[test]
fn a_single_step_is_not_part_of_an_average() {
    let data = line();
    let target = data.targets();
    let mut network = linear();
    let mut trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(1).exponential_average(0.5);
    trainer.partial_fit(&mut network, data.inputs(), target).unwrap();
    let mut other = linear();
    other.parameters_mut().copy_from_slice(network.parameters());
    let mut plain = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(1).exponential_average(0.5);
    trainer.continue_fit(&mut network, &data).unwrap();
    plain.fit(&mut other, &data).unwrap();
    assert_eq!(network.parameters(), other.parameters());
}

#[test]
fn single_steps_that_diverge_blame_no_batch_for_the_steps_before_it() {
    let data = line();
    let mut network = linear();
    let mut trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(1e30));
    let mut before = network.parameters().to_vec();
    let divergence = loop {
        match trainer.partial_fit(&mut network, data.inputs(), data.targets()) {
            Ok(_) => before.copy_from_slice(network.parameters()),
            Err(TrainError::Diverged(divergence)) => break divergence,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(divergence.step > 0);
    assert_eq!(divergence.cause, Cause::Unknown);
    let said = divergence.to_string();
    assert!(said.contains("Either the learning rate of 1e30 is too large or the data"), "{said}");
    assert!(said.ends_with("The network holds the parameters from before this step"), "{said}");
    assert_eq!(network.parameters(), before);

    // No step came before this one: the batch is to blame.
    let huge = Dataset::from_array(array![[1e200, 1e200]], array![[1e200]]).unwrap();
    let mut trainer = Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.1));
    match trainer.partial_fit(&mut linear(), huge.inputs(), huge.targets()) {
        Err(TrainError::Diverged(divergence)) => assert_eq!(divergence.cause, Cause::Batch),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stop_handle_ends_the_run_after_the_step() {
    let (mut network, data) = (linear(), line());
    let handle = StopHandle::new();
    let pulled = handle.clone();
    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1))
        .batch_size(16)
        .stop_handle(handle)
        .on_step(move |end| {
            if end.step == 2 {
                pulled.stop();
            }
            ControlFlow::Continue(())
        })
        .fit(&mut network, &data)
        .unwrap();
    assert_eq!((history.reason, history.steps), (StopReason::Interrupted, 3));
}

#[test]
fn a_run_that_is_resumed_is_the_unbroken_one() {
    let data = line();
    let (mut whole, mut halves) = (linear(), linear());
    let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(16);
    trainer().epochs(6).fit(&mut whole, &data).unwrap();
    let mut twice = trainer().epochs(3);
    twice.fit(&mut halves, &data).unwrap();
    let second = twice.continue_fit(&mut halves, &data).unwrap();
    assert_eq!(whole.parameters(), halves.parameters());
    assert_eq!((second.epochs[0].epoch, second.kept_epoch), (4, Some(6)));
}

#[test]
fn settings_that_are_not_valid_are_errors_before_the_first_step() {
    let data = line();
    let before = linear().parameters().to_vec();
    let message = |mut trainer: Trainer<'_, f64, MeanSquaredError, Sgd<f64>>| {
        let mut network = linear();
        let error = trainer.fit(&mut network, &data).unwrap_err().to_string();
        assert_eq!(network.parameters(), before);
        error
    };
    let trainer = |rate| Trainer::new(MeanSquaredError::new(), Sgd::new(rate));
    for rate in [0.0, -0.1, f64::NAN, f64::INFINITY] {
        let error = message(trainer(rate));
        assert!(error.contains("learning rate") && error.contains(&rate.to_string()), "{error}");
    }
    assert!(message(trainer(0.1).epochs(0)).contains("number of epochs is 0"));
    assert!(message(trainer(0.1).batch_size(0)).contains("batch"), "{}", message(trainer(0.1).batch_size(0)));
    assert!(message(trainer(0.1).clip_norm(-1.0)).contains("is -1, but it must be above 0"));
    assert!(message(trainer(0.1).early_stopping(EarlyStopping::new().on_metric("f1"))).contains("`f1`"));
    assert!(message(trainer(0.1).early_stopping(EarlyStopping::new().min_delta(f64::NAN))).contains("NaN"));
    assert!(Threads::new(0).is_err());
}

#[test]
fn data_that_do_not_fit_are_errors_before_the_first_step() {
    let mut network = linear();
    let before = network.parameters().to_vec();
    let wide = Dataset::from_array(array![[1.0, 2.0, 3.0]], array![[1.0]]).unwrap();
    let error = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).fit(&mut network, &wide).unwrap_err().to_string();
    assert!(error.contains("2") && error.contains("3"), "{error}");
    let labelled = Dataset::from_array(array![[1.0, 2.0]], vec![0]).unwrap();
    let error = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).fit(&mut network, &labelled).unwrap_err();
    assert!(matches!(error, TrainError::Target { data: DataRole::Training, .. }), "{error}");
    // The last example's label is one that the network can't predict.
    let many = Array2::from_elem((100, 2), 0.5);
    let labels: Vec<u32> = (0..100).map(|i| if i == 99 { 1 } else { 0 }).collect();
    let out_of_range = Dataset::from_array(many, labels).unwrap();
    let error = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1)).fit(&mut network, &out_of_range).unwrap_err();
    assert!(error.to_string().contains("class 1"), "{error}");
    assert_eq!(network.parameters(), before);
}
