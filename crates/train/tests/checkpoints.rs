//! Runs that are broken off and resumed end with the bits of unbroken ones, and broken files are named.

#![cfg(feature = "checkpoint")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use downhill_data::Dataset;
use downhill_data::source::{InMemory, SourceBatches};
use downhill_formats::safetensors;
use downhill_layers::{Affine, BatchNorm, Dropout, Relu, Tanh};
use downhill_losses::{Loss, SoftmaxCrossEntropy};
use downhill_network::{Network, sequential};
use downhill_optim::schedule::{OneCycle, ReduceOnPlateau};
use downhill_optim::{Adam, AdamW, Lookahead, Optimizer, Penalty, Sgd};
use downhill_tensor::Seed;
use downhill_train::metrics::Accuracy;
use downhill_train::{
    Callback, Checkpoints, EarlyStopping, Every, History, RunStart, StepEnd, StopReason, TrainError, Trainer,
};
use ndarray::Array2;
use tempfile::tempdir;

const EXAMPLES: usize = 54;

fn data(seed: u32) -> Dataset<f32> {
    let x = Array2::from_shape_fn((EXAMPLES, 3), |(i, j)| {
        (((i as u32 * 7 + j as u32 * 13 + seed) % 11) as f32) / 5.0 - 1.0
    });
    let labels: Vec<u32> = (0..EXAMPLES as u32).map(|i| (i * i + seed) % 3).collect();
    Dataset::from_array(x, labels).unwrap()
}

fn network() -> Network<f32> {
    let layers =
        sequential![Affine::new(8), BatchNorm::new(), Relu, Dropout::new(0.3), Affine::new(6), Tanh, Affine::new(3)];
    Network::build([3], layers, Seed(7)).unwrap()
}

type Build<'a> = &'a dyn Fn() -> Trainer<'a, f32, SoftmaxCrossEntropy, Box<dyn Optimizer<f32>>>;

fn trainer<'a>(
    optimizer: impl Optimizer<f32> + 'static,
) -> Trainer<'a, f32, SoftmaxCrossEntropy, Box<dyn Optimizer<f32>>> {
    let optimizer: Box<dyn Optimizer<f32>> = Box::new(optimizer);
    Trainer::new(SoftmaxCrossEntropy::new(), optimizer).epochs(5).batch_size(8).seed(Seed(3))
}

/// All that a run leaves, without what a clock told.
fn left(network: &Network<f32>, mut history: History) -> (Vec<u32>, Vec<u32>, History) {
    history.seconds = 0.0;
    history.resumed = None;
    history.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect();
    (bits(network.parameters()), bits(network.statistics()), history)
}

/// Runs to the end at once, and broken off after each number of steps, and compares what is left.
fn check(name: &str, build: Build<'_>) {
    let data = data(0);
    let mut whole = network();
    let history = build().fit(&mut whole, &data).unwrap();
    let expected = left(&whole, history);
    let steps = expected.2.steps;
    for stop in (1..=steps).step_by(3).chain([steps]) {
        let folder = tempdir().unwrap();
        let mut broken = network();
        let stopped = build()
            .checkpoint(folder.path(), Every::Epochs(1))
            .on_step(|end| if end.step + 1 == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            .fit(&mut broken, &data)
            .unwrap();
        assert_eq!(stopped.steps, stop, "{name}");
        // Another process: all is built anew, from another start.
        let mut resumed = network();
        resumed.parameters_mut().fill(0.25);
        resumed.statistics_mut().fill(9.0);
        let history = build().resume(folder.path()).fit(&mut resumed, &data).unwrap();
        assert_eq!(history.resumed.as_ref().unwrap().differences, [""; 0], "{name}");
        assert_eq!(left(&resumed, history), expected, "{name}, stopped after {stop} of {steps} steps");
    }
}

#[test]
fn a_resumed_run_ends_with_the_bits_of_an_unbroken_one() {
    let validation = data(5);
    check("Adam", &|| trainer(Adam::new(0.01)));
    check("Sgd and a cycle", &|| trainer(Sgd::new(0.05).momentum(0.9)).schedule(OneCycle::new(35)));
    check("plateau", &|| {
        trainer(AdamW::new(0.05))
            .reduce_on_plateau(ReduceOnPlateau::new().patience(0).factor(0.5))
            .validate(&validation)
    });
    check("early stopping", &|| {
        trainer(Adam::new(0.03))
            .validate(&validation)
            .metric(Accuracy::new())
            .early_stopping(EarlyStopping::new().on_metric("accuracy").patience(1))
    });
    check("an average", &|| trainer(Adam::new(0.02)).exponential_average(0.8).validate(&validation));
    check("a mean of epochs", &|| trainer(Adam::new(0.02)).average_from_epoch(3).validate(&validation));
    check("micro-batches", &|| trainer(Adam::new(0.02)).accumulate(3).clip_norm(0.5).penalty(Penalty::l2(1e-3)));
    check("Lookahead", &|| trainer(Lookahead::new(Sgd::new(0.05))).drop_last());
}

#[test]
fn batches_from_a_source_give_the_bits_of_a_data_set_also_resumed_and_read_ahead() {
    let data = data(0);
    let mut held = network();
    let of_held = trainer(Adam::new(0.01)).fit(&mut held, &data).unwrap();
    let batches = |ahead| SourceBatches::shuffled(InMemory::new(data.clone()), 8, Seed(3)).unwrap().prefetch(ahead);
    for ahead in [0, 1, 3] {
        let mut read = network();
        let of_read = trainer(Adam::new(0.01)).fit_batches(&mut read, &mut batches(ahead)).unwrap();
        assert_eq!(left(&read, of_read), left(&held, of_held.clone()));
        for stop in [1, 9, 20] {
            let folder = tempdir().unwrap();
            trainer(Adam::new(0.01))
                .checkpoint(folder.path(), Every::Epochs(1))
                .on_step(|end| if end.step + 1 == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                .fit_batches(&mut network(), &mut batches(ahead))
                .unwrap();
            let mut resumed = network();
            let history = trainer(Adam::new(0.01))
                .resume(folder.path())
                .fit_batches(&mut resumed, &mut batches(3 - ahead))
                .unwrap();
            assert_eq!(left(&resumed, history), left(&held, of_held.clone()));
        }
    }
}

#[test]
fn a_source_is_checked_as_far_as_it_is_known_and_its_errors_leave_a_whole_epoch() {
    let before = network();
    let mut same = network();
    let plain = || SourceBatches::sequential(InMemory::new(data(0)), 8).unwrap();
    let told = error(trainer(Adam::new(0.01)).metric(Accuracy::new()).fit_batches(&mut same, &mut plain()));
    assert!(told.contains("`accuracy` has nothing to judge"), "{told}");
    // An example that is not finite, in the third batch of the second epoch.
    let batch = AtomicU32::new(0);
    let mut failing = plain().transform(Seed(1), move |rows, _| {
        if batch.fetch_add(1, Ordering::Relaxed) == 9 {
            rows.input_mut(0)[0] = f32::NAN;
        }
        Ok(())
    });
    let validation = data(5);
    let told = error(trainer(Adam::new(0.01)).validate(&validation).fit_batches(&mut same, &mut failing));
    assert!(told.contains("finite"), "{told}");
    let mut one = before.clone();
    trainer(Adam::new(0.01)).epochs(1).validate(&validation).fit_batches(&mut one, &mut plain()).unwrap();
    assert_eq!(same.parameters(), one.parameters());
    // Numbers that grow beyond all bounds, without data to be searched.
    let mut wild = network();
    let told = error(trainer(Sgd::new(1e38)).fit_batches(&mut wild, &mut plain()));
    assert!(told.contains("Either the learning rate of 1e38 is too large or the data"), "{told}");
}

/// The checkpoints in a folder, the earliest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_last_and_the_best_are_kept() {
    let (data, folder) = (data(0), tempdir().unwrap());
    let path = folder.path().join("new/run");
    let mut values = Vec::new();
    let settings = Checkpoints::new(&path, Every::Epochs(1)).keep_last(2).keep_best(1).best_by("accuracy");
    trainer(Adam::new(0.05))
        .metric(Accuracy::new())
        .epochs(6)
        .checkpoints(settings)
        .on_epoch(|end| {
            values.push(end.record.metric("accuracy").unwrap());
            ControlFlow::Continue(())
        })
        .fit(&mut network(), &data)
        .unwrap();
    let best = values.iter().copied().fold(0.0, f64::max);
    let best = values.iter().position(|value| *value == best).unwrap() as u64 + 1;
    let mut kept = vec![best, 5, 6];
    kept.sort_unstable();
    kept.dedup();
    let expected: Vec<_> = kept.iter().map(|epoch| format!("step-{:012}.safetensors", 7 * epoch)).collect();
    assert_eq!(names(&path), expected);
    // Any reader of the format finds the network in it.
    let tensors = safetensors::read(&files(&path)[0]).unwrap();
    assert!(
        tensors.get("network.0.weight").is_some(),
        "{:?}",
        tensors.iter().map(|t| t.name().to_owned()).collect::<Vec<_>>()
    );
}

fn broken_off(folder: &Path) {
    trainer(Adam::new(0.01)).epochs(2).checkpoint(folder, Every::Steps(3)).fit(&mut network(), &data(0)).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_used() {
    let (data, folder) = (data(0), tempdir().unwrap());
    broken_off(folder.path());
    let all = files(folder.path());
    assert_eq!(all.len(), 3);
    for (path, place) in [(&all[2], 100), (&all[1], 3)] {
        let mut bytes = fs::read(path).unwrap();
        bytes[place] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let mut resumed = network();
    let history = trainer(Adam::new(0.01)).resume(folder.path()).fit(&mut resumed, &data).unwrap();
    let told = history.resumed.unwrap();
    assert_eq!(told.checkpoint, all[0].display().to_string());
    assert_eq!(told.damaged.len(), 2);
    assert!(told.damaged[0].contains("step-000000000014.safetensors"), "{:?}", told.damaged);
    assert!(names(folder.path())[1].ends_with(".damaged"));
    let mut whole = network();
    trainer(Adam::new(0.01)).fit(&mut whole, &data).unwrap();
    assert_eq!(resumed.parameters(), whole.parameters());

    let bytes = fs::read(&all[0]).unwrap();
    fs::write(&all[0], &bytes[..bytes.len() - 1]).unwrap();
    let error = trainer(Adam::new(0.01)).resume(folder.path()).fit(&mut network(), &data).unwrap_err().to_string();
    assert!(error.contains("no checkpoint to resume from") && error.contains("step-000000000009"), "{error}");
}

fn error<T>(result: Result<T, TrainError>) -> String {
    match result {
        Ok(_) => "no error".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_can_not_be_resumed_is_refused_and_leaves_the_network_alone() {
    let (data, folder, empty) = (data(0), tempdir().unwrap(), tempdir().unwrap());
    broken_off(folder.path());
    let before = network();
    let mut same = network();
    let told = error(trainer(Adam::new(0.01)).resume(empty.path()).fit(&mut same, &data));
    assert!(told.contains("holds no checkpoint to resume from"), "{told}");
    assert!(
        error(trainer(Adam::new(0.01)).resume_or_start(empty.path()).epochs(1).fit(&mut same, &data)) == "no error"
    );
    let mut same = network();
    let told = error(trainer(Sgd::new(0.01)).resume(folder.path()).fit(&mut same, &data));
    assert!(told.contains("Adam"), "{told}");
    let told = error(trainer(Adam::new(0.01)).checkpoint(folder.path(), Every::Epochs(1)).fit(&mut same, &data));
    assert!(told.contains("of an earlier run, such as `step-000000000014.safetensors`"), "{told}");
    assert_eq!(same.parameters(), before.parameters());
    let mut other = Network::build([3], sequential![Affine::new(9), Tanh, Affine::new(3)], Seed(7)).unwrap();
    let told = error(trainer(Adam::new(0.01)).resume(folder.path()).fit(&mut other, &data));
    assert!(told.contains("of another network") && told.contains("0.weight"), "{told}");
    let file = folder.path().join("step-000000000014.safetensors");
    let told = error(trainer(Adam::new(0.01)).checkpoint(file, Every::Epochs(1)).fit(&mut same, &data));
    assert!(told.contains("can't be used"), "{told}");
    for every in [Every::Steps(0), Every::Epochs(0)] {
        let told = error(trainer(Adam::new(0.01)).checkpoint(empty.path(), every).fit(&mut same, &data));
        assert!(told.contains("at least 1"), "{told}");
    }
    let settings = Checkpoints::new(empty.path(), Every::Epochs(1)).keep_best(1).best_by("f1");
    let told = error(trainer(Adam::new(0.01)).checkpoints(settings).fit(&mut same, &data));
    assert!(told.contains("`f1`"), "{told}");
}

#[test]
fn a_resumed_run_says_what_differs_before_it_goes_on() {
    let folder = tempdir().unwrap();
    broken_off(folder.path());
    let validation = data(5);
    let mut other = Network::build(
        [3],
        sequential![Affine::new(8), BatchNorm::new(), Relu, Dropout::new(0.5), Affine::new(6), Tanh, Affine::new(3)],
        Seed(8),
    )
    .unwrap();
    let mut seen = Differences::default();
    let history = trainer(Adam::new(0.02))
        .batch_size(9)
        .validate(&validation)
        .callback(&mut seen)
        .resume(folder.path())
        .fit(&mut other, &data(1))
        .unwrap();
    let told = history.resumed.unwrap().differences;
    assert_eq!(seen.0, told);
    let all = told.join("\n");
    for expected in [
        "batch_size was 8 and is 9",
        "learning_rate was 0.01 and is 0.02",
        "the network's seed was 7 and is 8",
        "the training data have other numbers",
        "there were no validation data and there are some",
    ] {
        assert!(told.iter().any(|difference| difference == expected), "{expected} is not in\n{all}");
    }
    assert_eq!(other.seed(), Seed(7));
}

#[derive(Default)]
struct Differences(Vec<String>);

impl downhill_train::Callback<f32> for Differences {
    fn on_start(&mut self, start: &downhill_train::RunStart<'_, f32>) {
        self.0 = start.resumed.unwrap().differences.clone();
    }
}

#[test]
fn more_epochs_go_on_after_the_end_and_no_more_leave_it() {
    let (data, folder) = (data(0), tempdir().unwrap());
    broken_off(folder.path());
    let mut same = network();
    let history = trainer(Adam::new(0.01)).epochs(2).resume(folder.path()).fit(&mut same, &data).unwrap();
    assert_eq!((history.epochs.len(), history.steps, history.reason), (2, 14, StopReason::Completed));
    let mut whole = network();
    trainer(Adam::new(0.01)).epochs(2).fit(&mut whole, &data).unwrap();
    assert_eq!(same.parameters(), whole.parameters());
}

#[test]
fn a_checkpoint_by_the_clock_is_written_after_the_first_step_that_is_late() {
    let (data, folder) = (data(0), tempdir().unwrap());
    let mut counts = Vec::new();
    trainer(Adam::new(0.01))
        .epochs(1)
        .checkpoints(Checkpoints::new(folder.path(), Every::Time(Duration::ZERO)).keep_last(100))
        .fit(&mut network(), &data)
        .unwrap();
    counts.push(files(folder.path()).len());
    let slow = tempdir().unwrap();
    trainer(Adam::new(0.01))
        .epochs(1)
        .checkpoint(slow.path(), Every::Time(Duration::from_secs(3600)))
        .fit(&mut network(), &data)
        .unwrap();
    counts.push(files(slow.path()).len());
    assert_eq!(counts, [7, 1]);
}

#[test]
fn micro_batches_take_the_step_of_a_large_batch() {
    let data = data(0);
    let plain = || Network::<f64>::build([3], sequential![Affine::new(8), Tanh, Affine::new(3)], Seed(1)).unwrap();
    let data = Dataset::from_array(
        data.inputs().matrix().mapv(f64::from),
        match data.targets() {
            downhill_data::Target::Classes(labels) => labels.to_vec(),
            downhill_data::Target::Values(_) => unreachable!(),
        },
    )
    .unwrap();
    let fit = |size: usize, micro: u64, network: &mut Network<f64>| {
        let mut trainer =
            Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(4).batch_size(size).accumulate(micro);
        trainer.fit(network, &data).unwrap()
    };
    let (mut large, mut small) = (plain(), plain());
    let (of_large, of_small) = (fit(16, 1, &mut large), fit(4, 4, &mut small));
    assert_eq!(of_large.steps, of_small.steps);
    for (a, b) in large.parameters().iter().zip(small.parameters()) {
        assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{a} and {b}");
    }
    for (a, b) in of_large.epochs.iter().zip(&of_small.epochs) {
        assert!((a.training_loss - b.training_loss).abs() < 1e-12);
    }
}

#[test]
fn an_average_is_judged_and_kept_and_training_goes_on_from_the_weights() {
    let (data, validation) = (data(0), data(5));
    let (mut last, mut averaged) = (network(), network());
    let mut expected: Option<Vec<f32>> = None;
    trainer(Sgd::new(0.1))
        .on_step(|end| {
            let theta = end.network.parameters();
            match &mut expected {
                None => expected = Some(theta.to_vec()),
                Some(mean) => mean.iter_mut().zip(theta).for_each(|(mean, x)| *mean += 0.1 * (x - *mean)),
            }
            ControlFlow::Continue(())
        })
        .fit(&mut last, &data)
        .unwrap();
    let mut trainer = trainer(Sgd::new(0.1)).exponential_average(0.9).validate(&validation);
    let history = trainer.fit(&mut averaged, &data).unwrap();
    for (got, wanted) in averaged.parameters().iter().zip(expected.unwrap()) {
        assert!((got - wanted).abs() < 1e-5, "{got} and {wanted}");
    }
    assert_eq!(trainer.training_point().unwrap(), last.parameters());
    let loss = SoftmaxCrossEntropy::new();
    let judged = downhill_train::evaluate(&averaged, &loss, &validation, downhill_train::NO_METRICS).unwrap();
    assert_eq!(Some(judged.loss), history.epochs.last().unwrap().validation_loss);
    assert_ne!(averaged.statistics(), last.statistics());
    assert!(loss.meaning().outputs.is_some_and(downhill_tensor::Outputs::is_one_of_several));
}

/// Ends a run after as many steps without a new smallest loss.
#[derive(Default)]
struct Patience {
    least: f64,
    waited: u64,
    seen: Vec<u64>,
    /// How many steps it had seen when the run started.
    at_start: usize,
}

impl Callback<f32> for Patience {
    fn on_start(&mut self, _: &RunStart<'_, f32>) {
        self.at_start = self.seen.len();
    }

    fn on_step(&mut self, end: &StepEnd<'_, f32>) -> ControlFlow<()> {
        self.seen.push(end.step);
        self.waited = if self.seen.len() == 1 || end.loss < self.least { 0 } else { self.waited + 1 };
        self.least = if self.waited == 0 { end.loss } else { self.least };
        if self.waited == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn memory(&self) -> Option<String> {
        serde_json::to_string(&(self.least, self.waited, &self.seen)).ok()
    }

    fn remember(&mut self, memory: &str) -> Result<(), String> {
        (self.least, self.waited, self.seen) = serde_json::from_str(memory).map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[test]
fn what_observers_remember_is_in_a_checkpoint() {
    let data = data(0);
    let (mut whole, mut observer) = (network(), Patience::default());
    let history = trainer(Adam::new(0.01)).epochs(50).callback(&mut observer).fit(&mut whole, &data).unwrap();
    assert_eq!(history.reason, StopReason::Callback);
    for stop in [1, history.steps / 2, history.steps - 1] {
        let folder = tempdir().unwrap();
        let broken = trainer(Adam::new(0.01)).epochs(50).checkpoint(folder.path(), Every::Epochs(1));
        broken
            .callback(Patience::default())
            .on_step(|end| if end.step + 1 == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            .fit(&mut network(), &data)
            .unwrap();
        let (mut resumed, mut again) = (network(), Patience::default());
        let trainer = trainer(Adam::new(0.01)).epochs(50).resume(folder.path()).callback(&mut again);
        let mut trainer = trainer.callback(OnEpochs);
        let went_on = trainer.fit(&mut resumed, &data).unwrap();
        drop(trainer);
        assert_eq!(again.at_start as u64, stop, "it remembers before the run starts");
        assert_eq!(again.seen, observer.seen, "broken off after {stop} steps");
        assert_eq!(left(&resumed, went_on), left(&whole, history.clone()));
    }
}

/// An observer that remembers nothing.
struct OnEpochs;

impl Callback<f32> for OnEpochs {}

#[test]
fn an_observer_that_can_not_go_on_is_named_and_the_network_stays() {
    struct Forgetful(Result<(), String>);
    impl Callback<f32> for Forgetful {
        fn memory(&self) -> Option<String> {
            Some("seven".into())
        }
        fn remember(&mut self, memory: &str) -> Result<(), String> {
            assert_eq!(memory, "seven");
            self.0.clone()
        }
    }
    let (data, folder) = (data(0), tempdir().unwrap());
    let first = trainer(Adam::new(0.01)).epochs(1).checkpoint(folder.path(), Every::Epochs(1));
    first.callback(OnEpochs).callback(Forgetful(Ok(()))).fit(&mut network(), &data).unwrap();
    let resumed = || trainer(Adam::new(0.01)).epochs(2).resume(folder.path());
    let mut other = network();
    let before = other.parameters().to_vec();
    let refused = Forgetful(Err("`seven` is no number".into()));
    let error = resumed().callback(OnEpochs).callback(refused).fit(&mut other, &data).unwrap_err().to_string();
    assert!(
        error.ends_with("observer 1, counted from 0, can't go on from the checkpoint: `seven` is no number"),
        "{error}"
    );
    assert_eq!(other.parameters(), before);
    let history = resumed().fit(&mut other, &data).unwrap();
    let differences = history.resumed.unwrap().differences;
    assert!(
        differences.contains(&"there were 2 observers, some with a memory, and there are 0".into()),
        "{differences:?}"
    );
}
