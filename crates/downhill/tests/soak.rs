//! A training process that runs for days needs no more memory and no more files than in its first minute.

#![cfg(target_os = "linux")]

use std::fs;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use downhill::prelude::*;
use downhill::train::Every;

/// The growth that is allowed, in bytes: what the kernel's count of pages is off by, and far less than one allocation a
/// step would leave.
const SLACK: u64 = 1 << 20;

/// What this process holds: the bytes of its memory that are resident, and its open descriptors.
fn held() -> (u64, usize) {
    let pages = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let rss = pages.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"));
    let kilobytes: u64 = rss.unwrap().trim().parse().unwrap();
    (1024 * kilobytes, fs::read_dir("/proc/self/fd").unwrap().count())
}

/// One at a time: each looks at the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn network() -> Network<f32> {
    let layers = sequential![Affine::new(16), Tanh, Affine::new(16), Tanh, Affine::new(1)];
    Network::build([2], layers, Seed(1)).unwrap()
}

/// Two numbers and their product.
fn example(step: u64) -> ([f32; 2], [f32; 1]) {
    let number = |place| Seed(2).bits_at(2 * step + place) as f32 / u32::MAX as f32;
    let (a, b) = (number(0), number(1));
    ([a, b], [a * b])
}

fn compare(steps: u64, (memory, files): (u64, usize), (memory_later, files_later): (u64, usize)) {
    println!("{steps} steps: {memory} bytes and {files} descriptors, then {memory_later} and {files_later}");
    assert!(memory_later <= memory + SLACK, "memory grew from {memory} to {memory_later} bytes in {steps} steps");
    assert_eq!(files_later, files, "descriptors");
}

fn single_steps(steps: u64) {
    let _alone = alone();
    let mut network = network();
    let mut trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3));
    let (mut before, mut last) = (None, f64::NAN);
    for step in 0..steps {
        if step == steps / 10 {
            before = Some(held());
        }
        let (x, y) = example(step);
        let x = Batch::new(&x, 1, [2]).unwrap();
        last = trainer.partial_fit(&mut network, x, Target::Values(&y)).unwrap();
    }
    assert!(last < 0.05, "the network has learnt nothing: {last}");
    compare(steps, before.unwrap(), held());
}

/// Ten epochs with four checkpoints in each, by five programs of which each resumes what the one before has left.
/// A third of it is the warm-up: a resumed run also needs what reads a checkpoint.
fn run_with_checkpoints(steps: u64) {
    let _alone = alone();
    let examples = steps / 10;
    let (inputs, targets): (Vec<_>, Vec<_>) = (0..examples).map(example).unzip();
    let data = Dataset::new(inputs.concat(), [2], Targets::values(targets.concat(), [1])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut network = network();
    let mut after_epochs = Vec::new();
    for epochs in [1, 2, 3, 4, 10] {
        let history = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3))
            .epochs(epochs)
            .batch_size(1)
            .checkpoint(folder.path(), Every::Steps(examples / 4))
            .resume_or_start(folder.path())
            .on_epoch(|_| {
                after_epochs.push(held());
                ControlFlow::Continue(())
            })
            .fit(&mut network, &data)
            .unwrap();
        assert_eq!(history.steps, epochs * examples);
    }
    assert_eq!(after_epochs.len(), 10);
    compare(steps, after_epochs[2], after_epochs[9]);
}

#[test]
fn fifty_thousand_single_steps_hold_no_more_than_the_first() {
    single_steps(50_000);
}

#[test]
fn a_run_of_fifty_thousand_steps_with_checkpoints_holds_no_more_than_its_first() {
    run_with_checkpoints(50_000);
}

/// `cargo test --release -p downhill --test soak -- --ignored --nocapture`
#[test]
#[ignore = "a minute"]
fn a_million_single_steps_hold_no_more_than_the_first() {
    single_steps(1_000_000);
}

/// `cargo test --release -p downhill --test soak -- --ignored --nocapture`
#[test]
#[ignore = "a minute"]
fn a_run_of_a_million_steps_with_checkpoints_holds_no_more_than_its_first() {
    run_with_checkpoints(1_000_000);
}
