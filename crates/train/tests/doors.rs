//! What a training run promises at its door and at its end: losses of whole data sets, batches in which nothing counts,
//! runs that start anew, metrics that read what the loss reads, and errors that come before the first step.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use downhill_data::{Batches, Dataset, Targets};
use downhill_layers::{Affine, BatchNorm, Embedding, Flatten, Sigmoid, Softmax, Tanh};
use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, ClassAxis, Loss, MeanSquaredError, MultiTask, PoissonNll,
    Reduction, SoftmaxCrossEntropy, Target,
};
use downhill_network::{Network, sequential};
use downhill_optim::schedule::{Cosine, OneCycle, ReduceOnPlateau};
use downhill_optim::{Adagrad, Adam, GradientDescent, Optimizer, Sgd};
use downhill_tensor::{Batch, Seed, Shape};
use downhill_train::metrics::{
    Accuracy, AveragePrecision, ConfusionMatrix, F1, MeanAbsoluteError, RSquared, RocAuc, RootMeanSquaredError,
    TopKAccuracy,
};
use downhill_train::{
    Cause, DataRole, Divergence, EarlyStopping, ExampleField, History, Metric, NO_METRICS, Place, StopReason,
    TrainError, Trainer, evaluate,
};
use ndarray::{Array2, array};

/// A step of this size moves no parameter.
fn standing_still() -> GradientDescent<f64> {
    GradientDescent::new(1e-300)
}

fn points(examples: usize) -> Array2<f64> {
    Array2::from_shape_fn((examples, 2), |(i, j)| ((i * 37 + j * 11) % 101) as f64 / 50.0 - 1.0)
}

/// Three classes of points.
fn classes(examples: usize) -> Dataset<f64> {
    let x = points(examples);
    let labels = x.rows().into_iter().map(|x| u32::from(x[0] > 0.0) + u32::from(x[0] + x[1] > 0.5)).collect();
    Dataset::from_array(x, Targets::classes(labels, 3)).unwrap()
}

/// Three classes of points, with every third label ignored: class 3.
fn partly_ignored(examples: usize) -> Dataset<f64> {
    let data = classes(examples);
    let Target::Classes(labels) = data.targets() else { unreachable!() };
    let labels = labels.iter().enumerate().map(|(i, &label)| if i % 3 == 0 { 3 } else { label }).collect();
    Dataset::from_array(points(examples), Targets::classes(labels, 4)).unwrap()
}

fn line(examples: usize) -> Dataset<f64> {
    let x = points(examples);
    let y = Array2::from_shape_fn((examples, 1), |(i, _)| 2.0 * x[[i, 0]] - 3.0 * x[[i, 1]] + 1.0);
    Dataset::from_array(x, y).unwrap()
}

fn network(outputs: usize) -> Network<f64> {
    Network::build([2], sequential![Affine::new(6), Tanh, Affine::new(outputs)], Seed(1)).unwrap()
}

fn diverged(error: TrainError) -> Divergence {
    match error {
        TrainError::Diverged(divergence) => *divergence,
        other => panic!("{other}"),
    }
}

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
fn each_fold_of_one_trainer_starts_anew() {
    let data = line(60);
    let folds: Vec<_> = data.k_folds(3, Seed(5)).unwrap().collect();
    let trainer = || Trainer::new(MeanSquaredError::new(), Sgd::new(0.1).momentum(0.9)).epochs(6).batch_size(8);
    type Make<'a> = Box<dyn Fn() -> Trainer<'a, f64, MeanSquaredError, Sgd<f64>> + 'a>;
    let makes: [Make<'_>; 4] = [
        Box::new(|| trainer().schedule(Cosine::new(30))),
        Box::new(|| trainer().schedule(OneCycle::new(30))),
        Box::new(|| trainer().reduce_on_plateau(ReduceOnPlateau::new().patience(0).absolute_threshold(1e9))),
        Box::new(|| trainer().early_stopping(EarlyStopping::new().patience(0))),
    ];
    for (index, make) in makes.iter().enumerate() {
        let mut one = make();
        for fold in &folds {
            let run = |trainer: &mut Trainer<'_, f64, MeanSquaredError, Sgd<f64>>| {
                let mut network = network(1);
                let history = trainer.fit(&mut network, &fold.train).unwrap();
                let epochs = history.epochs.iter().map(|epoch| (epoch.training_loss, epoch.learning_rate));
                let memory = Optimizer::<f64>::state(trainer.optimizer());
                (network.parameters().to_vec(), epochs.collect::<Vec<_>>(), history.kept_epoch, memory)
            };
            assert_eq!(run(&mut one), run(&mut make()), "run {index}");
        }
    }
}

#[test]
fn the_first_rate_of_every_fold_is_the_base_rate() {
    let data = line(60);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let rates = Arc::clone(&seen);
    let mut trainer =
        Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(5).batch_size(60).schedule(Cosine::new(5)).on_step(
            move |end| {
                rates.lock().unwrap().push((end.step, end.learning_rate));
                ControlFlow::Continue(())
            },
        );
    for fold in data.k_folds(3, Seed(5)).unwrap() {
        trainer.fit(&mut network(1), &fold.train).unwrap();
    }
    let firsts: Vec<f64> = seen.lock().unwrap().iter().filter(|(step, _)| *step == 0).map(|(_, rate)| *rate).collect();
    assert_eq!(firsts, [0.1; 3]);
    let lasts: Vec<f64> = seen.lock().unwrap().iter().filter(|(step, _)| *step == 4).map(|(_, rate)| *rate).collect();
    assert!(lasts[0] < 0.02 && lasts == [lasts[0]; 3], "{lasts:?}");
}

#[test]
fn each_epoch_that_is_resumed_has_an_order_of_its_own() {
    let data = line(12);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let losses = Arc::clone(&seen);
    let mut trainer =
        Trainer::new(MeanSquaredError::new(), standing_still()).epochs(1).batch_size(1).on_step(move |end| {
            losses.lock().unwrap().push(end.loss);
            ControlFlow::Continue(())
        });
    let mut network = network(1);
    trainer.fit(&mut network, &data).unwrap();
    for _ in 0..3 {
        trainer.resume(&mut network, &data).unwrap();
    }
    trainer.fit(&mut network, &data).unwrap();
    let seen = seen.lock().unwrap();
    let orders: Vec<&[f64]> = seen.chunks(12).collect();
    for (index, order) in orders[..4].iter().enumerate() {
        assert!(orders[..index].iter().all(|earlier| earlier != order), "epoch {index} has the order of another");
    }
    assert_eq!(orders[4], orders[0], "anew");
}

#[test]
fn a_run_in_single_epochs_is_the_unbroken_one() {
    let data = line(60);
    let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(8).schedule(Cosine::new(48));
    let (mut whole, mut parts) = (network(1), network(1));
    trainer().epochs(6).fit(&mut whole, &data).unwrap();
    let mut single = trainer().epochs(1);
    single.fit(&mut parts, &data).unwrap();
    let later: Vec<History> = (0..5).map(|_| single.resume(&mut parts, &data).unwrap()).collect();
    assert_eq!(parts.parameters(), whole.parameters());
    assert_eq!(later.iter().map(|history| history.epochs[0].epoch).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
}

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
fn a_last_batch_of_one_example_under_batch_norm_is_an_error_before_the_first_step() {
    let build = || {
        Network::<f64>::build([2], sequential![Affine::new(4), BatchNorm::new(), Tanh, Affine::new(3)], Seed(3))
            .unwrap()
    };
    let mut untouched = build();
    let trainer = || Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.01)).batch_size(32).epochs(2);
    let error = trainer().fit(&mut untouched, &classes(33)).unwrap_err();
    assert!(matches!(error, TrainError::Shape { data: DataRole::Training, .. }), "{error}");
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
    assert!(matches!(error, TrainError::Shape { data: DataRole::Training, .. }), "{error}");
    let error = trainer().validate(&wide).fit(&mut untouched, &good).unwrap_err();
    assert!(matches!(error, TrainError::Shape { data: DataRole::Validation, .. }), "{error}");
    let error = trainer().validate(&classes(8)).fit(&mut untouched, &good).unwrap_err();
    assert!(matches!(error, TrainError::Target { data: DataRole::Validation, .. }), "{error}");
    assert_eq!(untouched.state(), network(1).state());
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
fn a_run_that_ends_within_its_first_epoch_has_kept_none() {
    let mut network = network(1);
    let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1))
        .batch_size(4)
        .early_stopping(EarlyStopping::new())
        .on_step(|end| if end.step == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .fit(&mut network, &line(40))
        .unwrap();
    assert_eq!((history.reason, history.steps), (StopReason::Callback, 2));
    assert_eq!((history.kept_epoch, history.kept()), (None, None));
    // Within a later epoch the parameters are those of no epoch either, unless one is the best.
    let run = |early: bool| {
        let trainer = Trainer::new(MeanSquaredError::new(), Sgd::new(0.01))
            .batch_size(4)
            .on_step(|end| if end.step == 25 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        let mut trainer = if early { trainer.early_stopping(EarlyStopping::new()) } else { trainer };
        trainer.fit(&mut self::network(1), &line(40)).unwrap().kept_epoch
    };
    assert_eq!((run(false), run(true)), (None, Some(2)));
}

#[test]
fn every_callback_is_told_the_last_event() {
    let told = Arc::new(Mutex::new((0, 0)));
    let (steps, epochs) = (Arc::clone(&told), Arc::clone(&told));
    let data = line(40);
    let trainer = |last_step: u64| {
        Trainer::new(MeanSquaredError::new(), Sgd::new(0.01))
            .batch_size(10)
            .on_step(move |end| if end.step == last_step { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            .on_epoch(|end| if end.record.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let mut watched = trainer(6)
        .on_step(move |_| {
            steps.lock().unwrap().0 += 1;
            ControlFlow::Continue(())
        })
        .on_epoch(move |_| {
            epochs.lock().unwrap().1 += 1;
            ControlFlow::Continue(())
        });
    assert_eq!(watched.fit(&mut network(1), &data).unwrap().steps, 7);
    assert_eq!(*told.lock().unwrap(), (7, 1), "the step that ended the run too");
    let epochs = Arc::clone(&told);
    let mut watched = trainer(u64::MAX).on_epoch(move |_| {
        epochs.lock().unwrap().1 += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(watched.fit(&mut network(1), &data).unwrap().epochs.len(), 2);
    assert_eq!(told.lock().unwrap().1, 3, "the epoch that ended the run too");
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
fn weights_of_0_and_1_train_as_the_examples_of_weight_1_do() {
    let kept: Vec<usize> = (0..30).filter(|i| i % 4 != 1).collect();
    let weights = |data: &Dataset<f64>| (0..data.len()).map(|i| f64::from(u8::from(i % 4 != 1))).collect::<Vec<f64>>();
    let (all, labelled) = (line(30), classes(30));
    let in_order = |data: &Dataset<f64>, trained: &mut Network<f64>, classes: bool| {
        // One batch in the order of the data: shuffling would draw another order for fewer examples.
        let mut optimizer = Adam::new(0.05);
        let mut workspace = trained.workspace(downhill_network::Purpose::Training);
        for step in 0..20 {
            let mut batches = Batches::sequential(data, 100).unwrap();
            let batch = batches.next_batch().unwrap();
            let mode = downhill_layers::Mode::Training { step };
            let (x, t, w) = (batch.inputs, batch.targets, batch.weights);
            if classes {
                let loss = SoftmaxCrossEntropy::new();
                trained.backpropagate_weighted(x, t, w, &loss, &mut workspace, mode).unwrap();
            } else {
                let loss = MeanSquaredError::new();
                trained.backpropagate_weighted(x, t, w, &loss, &mut workspace, mode).unwrap();
            }
            trained.step(&mut optimizer, &mut workspace).unwrap();
        }
    };
    for (data, outputs) in [(all, 1), (labelled, 3)] {
        let weighted = data.clone().with_weights(weights(&data)).unwrap();
        let (mut a, mut b) = (network(outputs), network(outputs));
        in_order(&weighted, &mut a, outputs == 3);
        in_order(&data.select(&kept).unwrap(), &mut b, outputs == 3);
        for (a, b) in a.parameters().iter().zip(b.parameters()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
}

#[test]
fn what_weighs_nothing_is_never_read() {
    // A target of weight 0 may be anything: the bits are those of any other.
    let run = |hidden: f64| {
        let mut y = Array2::from_shape_fn((16, 1), |(i, _)| i as f64 / 16.0);
        let mut x = points(16);
        for example in [3, 11] {
            y[[example, 0]] = hidden;
            x[[example, 0]] = hidden;
        }
        let weights = (0..16).map(|i| if i == 3 || i == 11 { 0.0 } else { 1.0 }).collect();
        let data = Dataset::from_array(x, y).unwrap().with_weights(weights).unwrap();
        let mut network = network(1);
        let history = Trainer::new(MeanSquaredError::new(), Adam::new(0.01))
            .epochs(5)
            .batch_size(16)
            .validate(&data)
            .metric(RootMeanSquaredError::new())
            .fit(&mut network, &data)
            .unwrap();
        let last = history.epochs[4].clone();
        (network.parameters().to_vec(), last.training_loss, last.validation_loss, last.metrics)
    };
    assert_eq!(run(0.5), run(1e100));
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
fn a_mask_for_each_target_leaves_out_what_it_hides() {
    // Two numbers for each example, the second of which is unknown in half of them.
    let x = points(40);
    let y =
        |hidden: f64| Array2::from_shape_fn((40, 2), |(i, j)| if j == 1 && i % 2 == 0 { hidden } else { x[[i, j]] });
    let mask: Vec<f64> = (0..80).map(|place| f64::from(u8::from(place % 4 != 1))).collect();
    let run = |hidden: f64| {
        let data = Dataset::from_array(x.clone(), y(hidden)).unwrap().with_weights(mask.clone()).unwrap();
        let mut network = network(2);
        let mut trainer =
            Trainer::new(MeanSquaredError::new(), Adam::new(0.02)).epochs(10).metric(MeanAbsoluteError::new());
        let history = trainer.fit(&mut network, &data).unwrap();
        (network.parameters().to_vec(), history.epochs[9].training_loss, history.epochs[9].metrics.clone())
    };
    let (parameters, loss, _) = run(0.0);
    assert_eq!(run(9.0).0, parameters);
    assert_eq!(run(9.0), run(0.0));
    assert!(loss.is_finite());
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

#[test]
fn an_optimizer_that_is_chosen_at_run_time_trains_to_the_same_bits() {
    let data = line(30);
    let (mut named, mut boxed) = (network(1), network(1));
    Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).epochs(3).fit(&mut named, &data).unwrap();
    let optimizer: Box<dyn Optimizer<f64>> = Box::new(Adam::new(0.01));
    Trainer::new(MeanSquaredError::new(), optimizer).epochs(3).fit(&mut boxed, &data).unwrap();
    assert_eq!(named.parameters(), boxed.parameters());
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
        assert!(error.to_string().contains(&format!("2x3x4 and the other is {targets}")), "{error}");
        let error = trainer().fit(&mut build(), &data(targets)).unwrap_err();
        assert!(matches!(error, TrainError::Shape { data: DataRole::Training, .. }), "{error}");
        let error = trainer().validate(&data(targets)).fit(&mut build(), &data(fits[0])).unwrap_err();
        assert!(matches!(error, TrainError::Shape { data: DataRole::Validation, .. }), "{error}");
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
        assert!(matches!(judge(wrong).unwrap_err(), TrainError::Shape { .. }));
    }
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
