//! The seconds of the fastest of a few epochs of 60,000 vectors of 784 numbers through 784-256-128-10, on one thread:
//! `epoch COUNT`.
//!
//! What is learnt does not matter to the time, so the vectors are made up.

#![forbid(unsafe_code)]

use std::error::Error;

use downhill::data::Targets;
use downhill::prelude::*;
use downhill::tensor::threads::Threads;

const EXAMPLES: usize = 60_000;
const FEATURES: usize = 784;
const CLASSES: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let epochs = std::env::args().nth(1).ok_or("say how many epochs")?.parse()?;
    println!("{}", fastest(EXAMPLES, epochs)?);
    Ok(())
}

/// The seconds of the fastest epoch.
fn fastest(examples: usize, epochs: u64) -> Result<f64, Box<dyn Error>> {
    // A repeated pattern of numbers between 0 and 1: whole slices are copied, since this crate may be built unoptimised.
    let mut inputs: Vec<f32> = (0..997u16).map(|i| f32::from(i * 31 % 997) / 997.0).collect();
    while inputs.len() < examples * FEATURES {
        let more = inputs.len().min(examples * FEATURES - inputs.len());
        inputs.extend_from_within(..more);
    }
    inputs.truncate(examples * FEATURES);
    let labels = (0..CLASSES).cycle().take(examples).collect();
    let data = Dataset::new(inputs, [FEATURES], Targets::classes(labels, 10))?;

    let mlp = sequential![Affine::new(256), Relu, Affine::new(128), Relu, Affine::new(10)];
    let mut network = Network::build([FEATURES], mlp, Seed(7))?;
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3))
        .epochs(epochs)
        .batch_size(128)
        .threads(Threads::one())
        .progress(Progress::Quiet)
        .fit(&mut network, &data)?;
    Ok(history.epochs.iter().map(|epoch| epoch.seconds).fold(f64::INFINITY, f64::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_its_time() -> Result<(), Box<dyn Error>> {
        let seconds = fastest(256, 2)?;
        assert!(seconds > 0.0 && seconds.is_finite(), "{seconds}");
        Ok(())
    }
}
