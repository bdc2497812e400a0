//! Whole runs of several epochs, each done in several ways: by the trainer, with what may look on, and by a
//! hand-written loop, next to which the others stand.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use downhill::data::Batches;
use downhill::data::source::{InMemory, SourceBatches};
use downhill::log::{JsonLines, TensorBoard};
use downhill::prelude::*;
use downhill::tensor::threads::Threads;
use downhill::train::Diagnosis;

use crate::common::{COMPARED, INPUT, STILL, TARGET, fill};
use crate::workload::{Aim, Call, Workload, data};

/// A run of `workloads.json`, and the ways in which it is done.
#[derive(Clone, Debug)]
pub struct Run(pub(crate) Workload);

impl Run {
    /// The run that the workload is, if it is one.
    #[must_use]
    pub fn of(workload: &Workload) -> Option<Self> {
        (workload.entry.suite == "run").then(|| Self(workload.clone()))
    }

    /// All that the file lists.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Workload::of_suite("run").into_iter().map(Self).collect()
    }

    /// `run/name`, as tables and files call it.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// The ways in which it is done; the others are measured by the first.
    #[must_use]
    pub fn ways(&self) -> Vec<String> {
        let ways = self.0.entry.settings["ways"].as_array().into_iter().flatten();
        ways.filter_map(|way| way.as_str().map(str::to_owned)).collect()
    }

    /// The steps of a run.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.epochs() * self.0.entry.number("rows").div_ceil(self.0.entry.examples)
    }

    /// Sets it up to be repeated in one of its ways, on these threads.
    ///
    /// # Panics
    /// If there is no such way.
    #[must_use]
    pub fn start(&self, way: &str, threads: &Threads) -> Call {
        let network = self.0.network::<f32>(Aim::Timing);
        let dataset = self.dataset(self.0.entry.number("rows"), &network, |row| fill(TARGET, row));
        match way {
            "steps" => self.steps_over(network, dataset),
            "steps on one batch" => {
                let (mut call, steps) = (self.0.step(network, Aim::Timing), self.steps());
                Box::new(move || (0..steps).map(|_| call()).last().unwrap_or(f64::NAN))
            }
            _ => self.fit(way, network, dataset, threads.clone()),
        }
    }

    /// The loop that a reader of the guide would write.
    fn steps_over(&self, mut network: Network<f32>, dataset: Dataset<f32>) -> Call {
        let (examples, epochs) = (self.0.entry.examples, self.epochs() as u64);
        let (loss, mut optimizer) = (SoftmaxCrossEntropy::new(), Adam::new(STILL));
        let mut workspace = network.workspace(Purpose::Training);
        Box::new(move || {
            let mut batches = Batches::shuffled(&dataset, examples, Seed(0)).expect("there are examples");
            let (mut step, mut last) = (0, f64::NAN);
            for epoch in 0..epochs {
                batches.start_epoch(epoch);
                while let Some(batch) = batches.next_batch() {
                    let mode = Mode::Training { step };
                    let total = network.backpropagate(batch.inputs, batch.targets, &loss, &mut workspace, mode);
                    last = total.expect("the batch fits").value();
                    network.step(&mut optimizer, &mut workspace).expect("there is a gradient");
                    step += 1;
                }
            }
            last
        })
    }

    /// The trainer, with the addition that the way names.
    fn fit(&self, way: &str, mut network: Network<f32>, dataset: Dataset<f32>, threads: Threads) -> Call {
        let (examples, epochs) = (self.0.entry.examples, self.epochs() as u64);
        let trainer_at = move |rate| {
            let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(rate)).threads(threads.clone());
            trainer.epochs(epochs).batch_size(examples)
        };
        let rate = self.0.entry.rate();
        let trainer = {
            let trainer_at = trainer_at.clone();
            move || trainer_at(STILL)
        };
        let loss = |history: downhill::train::History| history.epochs.last().expect("it ran").training_loss;
        let folder = tempfile::tempdir().expect("there is room for a folder");
        match way {
            "fit" => Box::new(move || loss(trainer().fit(&mut network, &dataset).expect("the data fit"))),
            "fit, accumulating 4" => Box::new(move || {
                let mut trainer = trainer().batch_size(examples / 4).accumulate(4);
                loss(trainer.fit(&mut network, &dataset).expect("the data fit"))
            }),
            // A run of which there is nothing to be warned: it learns, and there is something to be learnt.
            "fit, diagnosing" => {
                let features = network.input_shapes()[0].len() as u64;
                let dataset = self.dataset(dataset.len(), &network, |row| fill(INPUT, row * features));
                Box::new(move || {
                    let mut trainer = trainer_at(rate).diagnose(Diagnosis::new());
                    loss(trainer.fit(&mut network, &dataset).expect("the data fit"))
                })
            }
            "fit, JSON lines" => Box::new(move || {
                let lines = JsonLines::new(folder.path().join("run.jsonl")).every_step(1);
                loss(trainer().callback(lines).fit(&mut network, &dataset).expect("the data fit"))
            }),
            "fit, TensorBoard" => Box::new(move || {
                let events = events(folder.path());
                loss(trainer().callback(events).fit(&mut network, &dataset).expect("the data fit"))
            }),
            "fit from a source" | "fit from a source, reading ahead" => {
                let (dataset, ahead) = (Arc::new(dataset), if way.ends_with("ahead") { 2 } else { 0 });
                Box::new(move || {
                    let source = InMemory::new(Arc::clone(&dataset));
                    let batches = SourceBatches::shuffled(source, examples, Seed(0)).expect("there are examples");
                    let mut batches = batches.prefetch(ahead);
                    loss(trainer().fit_batches(&mut network, &mut batches).expect("the data fit"))
                })
            }
            way => panic!("there is no way `{way}`"),
        }
    }

    /// The losses of the first steps over batches in their order, by which others are seen to do the same work.
    pub(crate) fn values(&self) -> Vec<f64> {
        let (mut network, examples) = (self.0.network::<f32>(Aim::Comparing), self.0.entry.examples);
        let dataset = self.dataset(COMPARED * examples, &network, |row| fill(TARGET, row));
        let source = InMemory::new(&dataset);
        let mut batches = SourceBatches::sequential(source, examples).expect("there are examples");
        let mut losses = Vec::new();
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(self.0.entry.rate())).epochs(1);
        trainer = trainer.batch_size(examples).on_step(|end| {
            losses.push(end.loss);
            std::ops::ControlFlow::Continue(())
        });
        trainer.fit_batches(&mut network, &mut batches).expect("the data fit");
        drop(trainer);
        losses
    }

    fn epochs(&self) -> usize {
        self.0.entry.number("epochs")
    }

    /// Rows, and for each the class that a number of at least 0 and below 1 stands for.
    fn dataset(&self, rows: usize, network: &Network<f32>, class: impl Fn(u64) -> f64) -> Dataset<f32> {
        let (input, classes) = (network.input_shapes()[0], network.output_shape().len() as f64);
        let labels: Vec<u32> = (0..rows as u64).map(|row| (class(row) * classes) as u32).collect();
        Dataset::new(data(INPUT, rows * input.len()), input, labels).expect("the rows fit")
    }
}

/// Scalars of every step, in a folder that is new for each run.
fn events(folder: &Path) -> TensorBoard {
    let name = format!("run{}", std::fs::read_dir(folder).map_or(0, Iterator::count));
    TensorBoard::new(folder.join(name)).every_step(1)
}

/// The time in which a number goes from one core to another and back, in seconds: the smallest median of several
/// tries, since two threads may be left on one core for a while. `None` if there is one core.
#[must_use]
pub fn round_trip() -> Option<f64> {
    use std::sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    };
    const TURNS: u64 = 20_000;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let wait = |ball: &AtomicU64, until: u64| {
        while ball.load(Acquire) != until {
            std::hint::spin_loop();
        }
    };
    let tries = (0..9).map(|_| {
        let ball = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0..TURNS {
                    wait(&ball, 2 * turn + 1);
                    ball.store(2 * turn + 2, Release);
                }
            });
            // The first turn waits until the other thread has begun.
            ball.store(1, Release);
            wait(&ball, 2);
            let start = Instant::now();
            for turn in 1..TURNS {
                ball.store(2 * turn + 1, Release);
                wait(&ball, 2 * turn + 2);
            }
            start.elapsed().as_secs_f64() / (TURNS - 1) as f64
        })
    });
    tries.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_a_run_takes_its_steps() {
        let run = Run::all().into_iter().min_by_key(|run| run.steps() * run.0.entry.number("operations"));
        let run = run.expect("there are runs");
        for way in run.ways() {
            let loss = run.start(&way, &Threads::one())();
            assert!(loss.is_finite(), "{way}: {loss}");
        }
    }

    #[test]
    fn the_trainer_takes_the_steps_that_are_compared() {
        let run = &Run::all()[0];
        let mut alone = Workload::named("step/784-256-128-10, Adam, batch 128").expect("it is listed").values();
        let values = run.values();
        // The first batch of the run is that of the step.
        assert!((alone.swap_remove(0) - values[0]).abs() < 1e-6, "{values:?}");
        assert_eq!(values.len(), COMPARED);
        assert!(values.iter().all(|loss| loss.is_finite()));
    }
}
