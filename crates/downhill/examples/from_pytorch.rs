//! A network from PyTorch: its state dict is loaded, its answers are PyTorch's, and it trains on.
//!
//! `cargo run --release --example from_pytorch` builds the network that `examples/data/digits_cnn.py` has trained for two
//! passes through the digits, loads the weights that the script saved, compares what both say of digits that were not
//! learnt from, and trains for five more passes.

use std::error::Error;
use std::path::Path;

use downhill::formats::safetensors;
use downhill::layers::BatchNorm;
use downhill::prelude::*;

/// The digits behind these were not learnt from in PyTorch.
const LEARNT: usize = 1437;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut network, test) = (from_pytorch()?, digits(LEARNT..1797)?);
    println!("{}\n", network.summary());
    println!("largest difference to PyTorch's logits: {:.1e}", difference_to_pytorch(&network, &test)?);
    println!("test accuracy as it came:   {:.4}", accuracy(&network, &test)?);

    let steps = train_on(&mut network)?;
    println!("test accuracy after {steps} steps: {:.4}", accuracy(&network, &test)?);

    // And back: `network.load_state_dict(safetensors.torch.load_file(...))` takes this file.
    safetensors::save(&network, std::env::temp_dir().join("digits_cnn.safetensors"))?;
    Ok(())
}

/// The parts of the network in the script, in their order, so that each has the name that it has there: `0.weight`,
/// `1.running_mean`, `9.bias`. What the file has must fit by name and shape, to the last tensor.
fn from_pytorch() -> Result<Network<f32>, Box<dyn Error>> {
    let layers = sequential![
        Conv2d::new(16, 3).padding(1).no_bias(),
        BatchNorm::new(),
        Relu,
        MaxPool2d::new(2),
        Conv2d::new(32, 3).padding(1).no_bias(),
        BatchNorm::new(),
        Relu,
        MaxPool2d::new(2),
        Flatten,
        Affine::new(10)
    ];
    let mut network = Network::build([1, 8, 8], layers, Seed(1))?;
    safetensors::load(&mut network, data().join("digits_cnn.safetensors"))?;
    Ok(network)
}

/// Trains from the loaded weights on, and returns the number of steps.
fn train_on(network: &mut Network<f32>) -> Result<u64, Box<dyn Error>> {
    let data = digits(0..LEARNT)?;
    let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(5).batch_size(32);
    Ok(trainer.fit(network, &data)?.steps)
}

/// The largest difference between the logits here and those that the script stored.
fn difference_to_pytorch(network: &Network<f32>, test: &Dataset<f32>) -> Result<f32, Box<dyn Error>> {
    let stored = safetensors::read(data().join("digits_cnn_logits.safetensors"))?;
    let theirs = stored.get("logits").ok_or("the file holds no logits")?.to_array::<f32>()?;
    let ours = network.predict(test.inputs())?;
    Ok((&ours.into_dyn() - &theirs).iter().fold(0.0, |largest, x| x.abs().max(largest)))
}

fn accuracy(network: &Network<f32>, data: &Dataset<f32>) -> Result<f64, Box<dyn Error>> {
    let judged = evaluate(network, &SoftmaxCrossEntropy::new(), data, [Accuracy::new()])?;
    judged.metric("accuracy").ok_or_else(|| "no accuracy was measured".into())
}

fn digits(rows: std::ops::Range<usize>) -> Result<Dataset<f32>, Box<dyn Error>> {
    let digits = downhill::data::digits()?.select(&rows.collect::<Vec<_>>())?;
    Ok(digits.reshape([1, 8, 8])?)
}

fn data() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_pytorch_and_training_goes_on_from_there() {
        let (mut network, test) = (from_pytorch().unwrap(), digits(LEARNT..1797).unwrap());
        assert!(difference_to_pytorch(&network, &test).unwrap() < 1e-4);
        let before = accuracy(&network, &test).unwrap();
        assert!((before - 0.9083).abs() < 1e-4, "{before}");
        train_on(&mut network).unwrap();
        let after = accuracy(&network, &test).unwrap();
        assert!(after > 0.95, "{before} and then {after}");
    }
}
