//! A run that may be broken off at any time: checkpoints, Ctrl-C, and the same end as if nothing had happened.
//!
//! `cargo run --release --example 09_long_run` trains on handwritten digits, and writes a checkpoint every 50 steps.
//! Press Ctrl-C or kill it, and start it again: it goes on, and ends with the accuracy, and with every bit of every
//! weight, of a run that was never broken off. `FOLDER` behind `--` says where checkpoints are kept.
//!
//! `cargo run --release --example 09_long_run -- --demonstrate` does all that by itself: it trains once without a break,
//! and once in programs that end by Ctrl-C's way and by a crash, and compares the weights.

use std::env;
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use downhill::data::digits;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;
use downhill::train::{Every, StopHandle, StopReason};

/// A way in which a run ends early, after this step.
#[derive(Clone, Copy)]
enum End {
    /// As Ctrl-C does it.
    Stop(u64),
    /// As a power cut does it: at once.
    Crash(u64),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => run(&env::temp_dir().join("downhill-long-run"), Progress::Auto, None).map(drop),
        ["--demonstrate"] => demonstrate(),
        ["--stop", step, folder] => run(folder.as_ref(), Progress::Quiet, Some(End::Stop(step.parse()?))).map(drop),
        ["--crash", step, folder] => run(folder.as_ref(), Progress::Quiet, Some(End::Crash(step.parse()?))).map(drop),
        [folder] => run(folder.as_ref(), Progress::Auto, None).map(drop),
        _ => Err("give a folder for the checkpoints, or `--demonstrate`".into()),
    }
}

/// Trains to the end or to a break, and returns a hash of the weights if it is the end.
fn run(folder: &Path, progress: Progress, end: Option<End>) -> Result<Option<u64>, Box<dyn Error>> {
    let (train, test) = digits::<f32>()?.stratified_split(0.8, Seed(1))?;
    let layers = sequential![Affine::new(512), Relu, Dropout::new(0.4), Affine::new(256), Relu, Affine::new(10)];
    let mut network = Network::build([64], layers, Seed(7))?;

    let (epochs, batch_size) = (100, 32);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let stop = StopHandle::new();
    let history = Trainer::new(SoftmaxCrossEntropy::new().label_smoothing(0.05), AdamW::new(3e-3))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .validate(&test)
        .metric(Accuracy::new())
        .checkpoint(folder, Every::Steps(50))
        .resume_or_start(folder)
        .stop_on_interrupt()
        .stop_handle(stop.clone())
        .on_step(|step| {
            match end {
                Some(End::Stop(last)) if step.step + 1 == last => stop.stop(),
                Some(End::Crash(last)) if step.step + 1 == last => process::exit(1),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .progress(progress)
        .fit(&mut network, &train)?;

    // A run that goes on says where, and what is not as it was.
    if let Some(resumed) = &history.resumed {
        println!("went on at step {} of {steps}", resumed.steps);
        resumed.differences.iter().chain(&resumed.damaged).for_each(|line| println!("  {line}"));
    }
    if history.reason == StopReason::Interrupted {
        println!("{} after step {} of {steps}: start it again to go on", history.reason, history.steps);
        return Ok(None);
    }
    let accuracy = history.epochs.last().and_then(|epoch| epoch.metric("accuracy")).ok_or("no epoch was completed")?;
    let hash = hash(network.parameters());
    println!("{} after {} steps: accuracy {accuracy:.4}, weights {hash:016x}", history.reason, history.steps);
    // The next start begins anew.
    fs::remove_dir_all(folder)?;
    Ok(Some(hash))
}

/// A number that is another one if any bit of the weights is another (FNV-1a).
fn hash(weights: &[f32]) -> u64 {
    let bytes = weights.iter().flat_map(|weight| weight.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Compares a run without a break with one in four programs.
fn demonstrate() -> Result<(), Box<dyn Error>> {
    let folder = |name: &str| -> PathBuf { env::temp_dir().join(format!("downhill-{name}-run-{}", process::id())) };
    println!("without a break");
    let whole = run(&folder("whole"), Progress::Quiet, None)?;

    let broken = folder("broken");
    for (way, step) in [("--stop", "333"), ("--crash", "1111"), ("--crash", "1112")] {
        println!("\n{way} after step {step}");
        let status = Command::new(env::current_exe()?).args([way, step]).arg(&broken).status()?;
        println!("the program ended with {status}");
    }
    println!("\nthe rest");
    if run(&broken, Progress::Quiet, None)? != whole {
        return Err("a run that was broken off has ended with other weights".into());
    }
    println!("\nThe weights are the same to the last bit.");
    Ok(())
}
