//! The seconds of the fastest of a few epochs on one thread: `epoch NETWORK COUNT`.
//!
//! The network is the `classifier` of 60,000 vectors of 784 numbers through 784-256-128-10, or the `autoencoder` of
//! 20,000 of them through 784-64-784, whose gradient is clipped. What is learnt does not matter to the time, so the
//! vectors are made up.

#![forbid(unsafe_code)]

use std::error::Error;

use downhill::data::Targets;
use downhill::prelude::*;
use downhill::tensor::threads::Threads;
use downhill::train::History;

const FEATURES: usize = 784;
const CLASSES: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let network = arguments.next().ok_or("say which network")?;
    let epochs = arguments.next().ok_or("say how many epochs")?.parse()?;
    let seconds = match network.as_str() {
        "classifier" => classifier(60_000, epochs)?,
        "autoencoder" => autoencoder(20_000, epochs)?,
        other => return Err(format!("there is no network `{other}`; say `classifier` or `autoencoder`").into()),
    };
    println!("{seconds}");
    Ok(())
}

/// A repeated pattern of numbers between 0 and 1: whole slices are copied, since this crate may be built unoptimised.
fn pattern(length: usize) -> Vec<f32> {
    let mut numbers: Vec<f32> = (0..997u16).map(|i| f32::from(i * 31 % 997) / 997.0).collect();
    while numbers.len() < length {
        let more = numbers.len().min(length - numbers.len());
        numbers.extend_from_within(..more);
    }
    numbers.truncate(length);
    numbers
}

/// The seconds of the fastest epoch of a network that tells ten classes apart.
fn classifier(examples: usize, epochs: u64) -> Result<f64, Box<dyn Error>> {
    let labels = (0..CLASSES).cycle().take(examples).collect();
    let data = Dataset::new(pattern(examples * FEATURES), [FEATURES], Targets::classes(labels, 10))?;
    let mlp = sequential![Affine::new(256), Relu, Affine::new(128), Relu, Affine::new(10)];
    let mut network = Network::build([FEATURES], mlp, Seed(7))?;
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3))
        .epochs(epochs)
        .batch_size(128)
        .threads(Threads::one())
        .progress(Progress::Quiet)
        .fit(&mut network, &data)?;
    Ok(fastest(&history))
}

/// The seconds of the fastest epoch of an autoencoder, which learns to give its input.
fn autoencoder(examples: usize, epochs: u64) -> Result<f64, Box<dyn Error>> {
    let inputs = pattern(examples * FEATURES);
    let data = Dataset::new(inputs.clone(), [FEATURES], Targets::values(inputs, [FEATURES]))?;
    let narrow = sequential![Affine::new(64), Relu, Affine::new(FEATURES)];
    let mut network = Network::build([FEATURES], narrow, Seed(7))?;
    let history = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3))
        .epochs(epochs)
        .batch_size(128)
        .clip_norm(1.0)
        .threads(Threads::one())
        .progress(Progress::Quiet)
        .fit(&mut network, &data)?;
    Ok(fastest(&history))
}

fn fastest(history: &History) -> f64 {
    history.epochs.iter().map(|epoch| epoch.seconds).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_its_time() -> Result<(), Box<dyn Error>> {
        for seconds in [classifier(256, 2)?, autoencoder(256, 2)?] {
            assert!(seconds > 0.0 && seconds.is_finite(), "{seconds}");
        }
        Ok(())
    }
}
