//! Code that the benchmark suites share.
//!
//! Every benchmark states its work as criterion's throughput: floating-point operations as elements, or memory
//! traffic as bytes. `cargo xtask bench` divides by the time and compares with the machine's own ceilings.
#![forbid(unsafe_code)]

#[path = "peers/common.rs"]
mod common;
mod model;
mod run;
mod workload;

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Throughput, measurement::WallTime};
use downhill::network::Block;
use downhill::prelude::*;
use downhill::tensor::threads::Threads;

pub use common::{Variant, serve};
pub use run::{Run, round_trip};
pub use workload::{Call, Workload};

/// The threads that are measured: one, and all that the machine has.
///
/// # Panics
/// If threads can't be started: then there is nothing to measure.
#[must_use]
pub fn threads() -> Vec<Threads> {
    let all = Threads::all().expect("the machine's threads start");
    if all.count() > 1 { vec![Threads::one(), all] } else { vec![Threads::one()] }
}

/// The name of a benchmark, such as `step/a/2 threads`: `cargo xtask bench` reads it.
#[must_use]
pub fn labelled(name: &str, threads: &Threads) -> String {
    let count = threads.count();
    format!("{name}/{count} thread{}", if count == 1 { "" } else { "s" })
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
pub fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, work: Work, call: impl FnMut() + Send) {
    measure_started(group, name, work, || call);
}

/// Measures the workloads of a suite; those that a filter leaves out are not even set up.
pub fn measure_workloads(group: &mut BenchmarkGroup<'_, WallTime>, suite: &str) {
    for workload in Workload::of_suite(suite) {
        measure_started(group, workload.name(), workload.work(), || {
            let mut call = workload.start();
            move || {
                std::hint::black_box(call());
            }
        });
    }
}

/// `start` is called before the first measurement, and only if there is one.
fn measure_started<C: FnMut() + Send>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: Work,
    start: impl FnOnce() -> C,
) {
    group.throughput(match work {
        Work::Operations(operations) => Throughput::Elements(operations as u64),
        Work::Bytes(bytes) => Throughput::Bytes(bytes as u64),
    });
    let (mut start, mut started) = (Some(start), None);
    for threads in threads() {
        group.bench_function(labelled(name, &threads), |bencher| {
            if let Some(start) = start.take() {
                started = Some(start());
            }
            let call = started.as_mut().expect("it was started above");
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

/// The examples and features that layers alone are measured on.
pub const LAYER: [usize; 2] = [128, 256];

/// Forward and backward of one layer alone.
///
/// # Panics
/// If the layer does not take [`LAYER`].
pub fn layer(block: impl Block) -> impl FnMut() + Send {
    let [examples, features] = LAYER;
    let network = Network::<f32>::build([features], block, Seed(1)).expect("the layer fits");
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let data: Vec<f32> = (0..examples * features).map(|i| (i as f32).sin()).collect();
    move || {
        let x = Batch::new(&data, examples, [features]).expect("the batch fits");
        network.forward(network.parameters(), x, &mut workspace, Mode::Training { step: 0 }).expect("the batch fits");
        let (y, mut dy) = workspace.loss_slots().expect("the workspace is for training");
        dy.slice().copy_from_slice(y.slice());
        network.backward(network.parameters(), x, &mut workspace).expect("the batch fits");
    }
}

/// The time for which each benchmark is measured: long enough to trust, unless `DOWNHILL_BENCH_QUICK` is set.
#[must_use]
pub fn criterion() -> criterion::Criterion {
    let criterion = criterion::Criterion::default().without_plots();
    let criterion = if std::env::var_os("DOWNHILL_BENCH_QUICK").is_some() {
        criterion
            .sample_size(10)
            .nresamples(2_000)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(200))
    } else {
        criterion.sample_size(30).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
    };
    criterion.configure_from_args()
}
