//! `cargo xtask determinism`: the same seed gives the same weights, bit for bit.

use std::ops::ControlFlow;

use downhill::data::Dataset;
use downhill::data::source::{InMemory, SourceBatches};
use downhill::layers::{BatchNorm, LearntPositions};
use downhill::network::TransformerEncoderBlock;
use downhill::prelude::*;
use downhill::sequential;
use downhill::tensor::Shape;
use downhill::tensor::threads::Threads;
use downhill::train::Every;
use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::Result;

/// Trains an MLP, a CNN with batch normalisation and dropout, an LSTM and a transformer on 1, 2, 3, 4 and 8 threads, again,
/// inside a caller's own pool, with batches read ahead or not, and broken off and resumed at random steps, and compares the bits of their weights.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each run is broken off and resumed.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    interruptions: u64,
}

/// A network, and data to train it on.
struct Case {
    name: &'static str,
    network: Network<f32>,
    data: Dataset<f32>,
    batch_size: usize,
}

/// The threads that a run is shared among, and the pool that it is called from.
#[derive(Clone, Copy)]
enum Place {
    Own(usize),
    CallersPool(usize),
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let mut faults = Vec::new();
    for case in cases()? {
        let expected = case.train(Place::Own(1))?;
        println!("\n{}: {} on one thread", case.name, short(&expected));
        let mut compare = |what: String, weights: &str| {
            let verdict = if weights == expected { "the same" } else { "DIFFERS" };
            println!("  {what:<44} {}  {verdict}", short(weights));
            if weights != expected {
                faults.push(format!("{}, {what}", case.name));
            }
        };
        for threads in [2, 3, 4, 8] {
            compare(format!("{threads} threads"), &case.train(Place::Own(threads))?);
        }
        compare("run again".into(), &case.train(Place::Own(1))?);
        for threads in [1, 3] {
            compare(format!("in a caller's pool of {threads}"), &case.train(Place::CallersPool(threads))?);
        }
        for ahead in [0, 2] {
            compare(format!("from a source, {ahead} batches read ahead"), &case.streamed(ahead)?);
        }
        let steps = case.steps();
        for interruption in 0..arguments.interruptions {
            let draw = Seed(31).derive(interruption).stream(0).next_u64();
            let (first, second) = (1 + draw % steps, 1 + (draw >> 32) % steps);
            let weights = case.interrupted(first.min(second), first.max(second))?;
            compare(format!("interrupted after {} and {} of {steps}", first.min(second), first.max(second)), &weights);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("other bits: {}", faults.join("; ")).into()) }
}

fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

impl Case {
    fn trainer(&self) -> Trainer<'static, f32, SoftmaxCrossEntropy, Adam<f32>> {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).epochs(2).batch_size(self.batch_size).seed(Seed(5))
    }

    fn steps(&self) -> u64 {
        2 * self.data.len().div_ceil(self.batch_size) as u64
    }

    fn train(&self, place: Place) -> Result<String> {
        let mut network = self.network.clone();
        let mut fit = |threads: usize| -> Result {
            self.trainer().threads(Threads::new(threads)?).fit(&mut network, &self.data)?;
            Ok(())
        };
        match place {
            Place::Own(threads) => fit(threads)?,
            Place::CallersPool(threads) => {
                let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build()?;
                // The default: all threads that there are, or one for a small network.
                let mut network = self.network.clone();
                pool.install(|| self.trainer().fit(&mut network, &self.data))?;
                return Ok(hash(&network));
            }
        }
        Ok(hash(&network))
    }

    /// Trains on batches that a thread reads this far ahead.
    fn streamed(&self, ahead: usize) -> Result<String> {
        let mut network = self.network.clone();
        let source = InMemory::new(self.data.clone());
        let mut batches = SourceBatches::shuffled(source, self.batch_size, Seed(5))?.prefetch(ahead);
        self.trainer().fit_batches(&mut network, &mut batches)?;
        Ok(hash(&network))
    }

    /// Stops after `first` and after `second` steps in all, each time in a trainer and a network of their own, on other
    /// numbers of threads.
    fn interrupted(&self, first: u64, second: u64) -> Result<String> {
        let folder = tempfile::tempdir()?;
        for (stop, threads) in [(first, 1), (second, 2)] {
            let mut network = self.network.clone();
            let run = self
                .trainer()
                .threads(Threads::new(threads)?)
                .checkpoint(folder.path(), Every::Epochs(1))
                .resume_or_start(folder.path())
                .on_step(|end| if end.step + 1 >= stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            let mut run = run;
            run.fit(&mut network, &self.data)?;
        }
        let mut network = self.network.clone();
        network.parameters_mut().fill(0.5);
        let history = self.trainer().resume(folder.path()).fit(&mut network, &self.data)?;
        match history.resumed {
            Some(resumed) if resumed.steps >= first => Ok(hash(&network)),
            other => Err(format!("{}: resumed from {other:?}", self.name).into()),
        }
    }
}

/// The SHA-256 of all weights and running statistics.
fn hash(network: &Network<f32>) -> String {
    let mut hasher = Sha256::new();
    for x in network.parameters().iter().chain(network.statistics()) {
        hasher.update(x.to_le_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cases() -> Result<[Case; 4]> {
    // Large enough that several threads share each step.
    let mlp = sequential![Affine::new(256), Relu, Dropout::new(0.2), Affine::new(128), Gelu::new(), Affine::new(10)];
    let cnn = sequential![
        Conv2d::new(16, 3).padding(1),
        BatchNorm::new(),
        Relu,
        MaxPool2d::new(2),
        Conv2d::new(32, 3).padding(1),
        BatchNorm::new(),
        Relu,
        MaxPool2d::new(2),
        Flatten,
        Dropout::new(0.3),
        Affine::new(10)
    ];
    let lstm = sequential![Lstm::new(64), Dropout::new(0.1), Lstm::new(32).last_state(), Affine::new(10)];
    let block = || TransformerEncoderBlock::new(4, 128).norm_first().dropout(0.1);
    let transformer = sequential![LearntPositions::new(), block(), block(), LayerNorm::new(), Flatten, Affine::new(10)];
    Ok([
        Case { name: "MLP", network: Network::build([196], mlp, Seed(1))?, data: made(&[196], 640)?, batch_size: 64 },
        Case {
            name: "CNN with batch normalisation and dropout",
            network: Network::build([1, 14, 14], cnn, Seed(2))?,
            data: made(&[1, 14, 14], 320)?,
            batch_size: 32,
        },
        Case {
            name: "LSTM",
            network: Network::build([16, 12], lstm, Seed(3))?,
            data: made(&[16, 12], 256)?,
            batch_size: 32,
        },
        Case {
            name: "transformer",
            network: Network::build([16, 32], transformer, Seed(4))?,
            data: made(&[16, 32], 160)?,
            batch_size: 16,
        },
    ])
}

/// Examples of ten classes, each with a pattern of its own under noise.
fn made(axes: &[usize], examples: usize) -> Result<Dataset<f32>> {
    let each: usize = axes.iter().product();
    let mut random = Seed(11).stream(0);
    let mut inputs = Vec::with_capacity(examples * each);
    let labels: Vec<u32> = (0..examples as u32).map(|example| example * 7 % 10).collect();
    for label in &labels {
        for place in 0..each as u32 {
            let pattern = if (place + 3 * label) % 10 < 3 { 1.0 } else { 0.0 };
            inputs.push(pattern + (random.next_u32() % 1000) as f32 / 1000.0);
        }
    }
    Ok(Dataset::new(inputs, Shape::new(axes).ok_or("too many axes")?, labels)?)
}
