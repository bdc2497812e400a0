//! The process that is killed.

use std::fmt::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use downhill::data::Dataset;
use downhill::layers::BatchNorm;
use downhill::prelude::*;
use downhill::sequential;
use downhill::train::{Checkpoints, Every};

use crate::Result;

/// Steps between checkpoints.
pub(crate) const EVERY: u64 = 5;

/// Trains in a folder, and goes on from what is in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of the checkpoints.
    folder: PathBuf,
    /// Steps in all.
    #[arg(long, default_value_t = 400)]
    steps: u64,
    /// Microseconds that each step waits, so that a kill comes at any instant.
    #[arg(long, default_value_t = 0)]
    wait: u64,
    /// The file that tells each step that was taken; its last line may be cut off.
    #[arg(long)]
    told: Option<PathBuf>,
}

const EXAMPLES: u64 = 160;
const BATCH: u64 = 8;

/// Prints `resumed STEP` or `started`, and at the end `done` and the bits of all weights.
pub(crate) fn run(arguments: &Arguments) -> Result {
    let mut told = arguments.told.as_ref().map(std::fs::File::create).transpose()?;
    let numbers: Vec<f32> = (0..EXAMPLES * 4).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let labels: Vec<u32> = (0..EXAMPLES as u32).map(|i| i * i % 3).collect();
    let data = Dataset::new(numbers, [4], labels)?;
    let layers = sequential![Affine::new(8), BatchNorm::new(), Relu, Dropout::new(0.2), Affine::new(3)];
    let mut network = Network::<f32>::build([4], layers, Seed(1))?;
    let wait = Duration::from_micros(arguments.wait);
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01))
        .batch_size(BATCH as usize)
        .epochs(arguments.steps * BATCH / EXAMPLES)
        .checkpoints(Checkpoints::new(&arguments.folder, Every::Steps(EVERY)).keep_last(2).keep_best(1))
        .resume_or_start(&arguments.folder)
        .on_step(move |end| {
            if let Some(told) = &mut told {
                // What can't be told is not counted on.
                let _ = std::io::Write::write_all(told, format!("{}\n", end.step + 1).as_bytes());
            }
            thread::sleep(wait);
            std::ops::ControlFlow::Continue(())
        })
        .fit(&mut network, &data)?;
    match &history.resumed {
        Some(resumed) => println!("resumed {}", resumed.steps),
        None => println!("started"),
    }
    if let Some(difference) = history.resumed.iter().flat_map(|resumed| &resumed.differences).next() {
        return Err(format!("the run differs from the one before: {difference}").into());
    }
    let mut bits = String::new();
    for x in network.parameters().iter().chain(network.statistics()) {
        write!(bits, "{:08x}", x.to_bits())?;
    }
    println!("done {bits}");
    Ok(())
}
