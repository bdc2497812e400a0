//! What the benchmark suites share.
//!
//! Every benchmark states its work as criterion's throughput: floating-point operations as elements, or memory
//! traffic as bytes. `cargo xtask bench` divides by the time and compares with the machine's own ceilings.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Throughput, measurement::WallTime};
use downhill::prelude::*;

/// The threads that are measured: one, and all that the machine has.
///
/// # Panics
/// Where threads can't be started: then there is nothing to measure.
#[must_use]
pub fn threads() -> Vec<Threads> {
    let all = Threads::all().expect("the machine's threads start");
    if all.count() > 1 { vec![Threads::one(), all] } else { vec![Threads::one()] }
}

/// The work of one call.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Floating-point operations; a multiply-add counts as two.
    Operations(usize),
    /// Bytes read and written.
    Bytes(usize),
}

/// Measures `call` once for each number of threads, inside their pool, as a training loop runs.
pub fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, work: Work, mut call: impl FnMut() + Send) {
    group.throughput(match work {
        Work::Operations(operations) => Throughput::Elements(operations as u64),
        Work::Bytes(bytes) => Throughput::Bytes(bytes as u64),
    });
    for threads in threads() {
        let count = threads.count();
        let call = &mut call;
        group.bench_function(format!("{name}/{count} thread{}", if count == 1 { "" } else { "s" }), |bencher| {
            bencher.iter_custom(|iterations| {
                threads.run(|| {
                    let start = Instant::now();
                    (0..iterations).for_each(|_| call());
                    start.elapsed()
                })
            });
        });
    }
}

/// A training step of `network` on random data: forward, loss, backward, update.
pub struct Step<O> {
    network: Network<f32>,
    workspace: downhill::network::Workspace<f32>,
    optimizer: O,
    x: Vec<f32>,
    labels: Vec<u32>,
    examples: usize,
    steps: u64,
}

impl<O: Optimizer<f32>> Step<O> {
    /// A step of batches of this size.
    ///
    /// # Panics
    /// Where the network does not fit together.
    #[must_use]
    pub fn new(inputs: usize, block: impl Block, mut optimizer: O, examples: usize) -> Self {
        let network = Network::<f32>::build([inputs], block, Seed(1)).expect("the layers fit");
        optimizer.bind(network.segments());
        let mut stream = Seed(2).stream(0);
        let classes = network.output_shape().len() as u32;
        Self {
            workspace: network.workspace(Purpose::Training),
            x: (0..examples * inputs).map(|_| stream.uniform() as f32).collect(),
            labels: (0..examples).map(|_| stream.bits() % classes).collect(),
            network,
            optimizer,
            examples,
            steps: 0,
        }
    }

    /// One step.
    ///
    /// # Panics
    /// Where the batch does not fit the network.
    pub fn take(&mut self) {
        let Self { network, workspace, optimizer, x, labels, examples, steps } = self;
        let inputs = x.len() / *examples;
        let x = Batch::new(x, *examples, [inputs]).expect("the batch fits");
        let mode = Mode::Training { step: *steps };
        let loss = SoftmaxCrossEntropy::new();
        network
            .value_and_gradient(network.parameters(), x, Target::Classes(labels), &loss, workspace, mode)
            .expect("the batch fits");
        optimizer.step(network.parameters_mut(), workspace.gradient());
        *steps += 1;
    }

    /// The floating-point operations of the products of one step: forward, and back to every parameter.
    /// The first layer's gradient with respect to its input is not computed, and not counted.
    #[must_use]
    pub fn operations(&self) -> usize {
        let weights = self.network.segments().iter().filter(|segment| segment.shape.rank() == 2);
        weights.enumerate().map(|(i, weight)| weight.shape.len() * if i == 0 { 4 } else { 6 }).sum::<usize>()
            * self.examples
    }
}

impl<O> std::fmt::Debug for Step<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("network", &self.network).field("examples", &self.examples).finish_non_exhaustive()
    }
}

/// How long each benchmark is measured: long enough to trust, unless `DOWNHILL_BENCH_QUICK` is set.
#[must_use]
pub fn criterion() -> criterion::Criterion {
    let criterion = criterion::Criterion::default().without_plots();
    let criterion = if std::env::var_os("DOWNHILL_BENCH_QUICK").is_some() {
        criterion.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300))
    } else {
        criterion.sample_size(30).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
    };
    criterion.configure_from_args()
}
