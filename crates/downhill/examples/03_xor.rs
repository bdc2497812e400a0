//! The smallest problem that needs a hidden layer: a network learns exclusive or.
//!
//! `cargo run --release --example 03_xor` prints the truth table before and after training.

use std::error::Error;
use std::ops::ControlFlow;

use downhill::ndarray::{Array2, array};
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let inputs = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let truth = array![[0.0], [1.0], [1.0], [0.0]];
    let xor = Dataset::from_array(inputs.clone(), truth.clone())?;

    // Two inputs, four hidden units, one output: the logit of "true".
    let mut network = Network::<f64>::build([2], sequential![Affine::new(4), Tanh, Affine::new(1)], Seed(1))?;
    println!("{}\n", network.summary());

    println!("Before training");
    print_table(&inputs, &truth, &network)?;

    println!("\n{:>5}  {:>8}", "epoch", "loss");
    let history = Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(0.05))
        .epochs(500)
        .batch_size(4)
        .on_epoch(|end| {
            if end.record.epoch == 1 || end.record.epoch % 100 == 0 {
                println!("{:>5}  {:>8.5}", end.record.epoch, end.record.training_loss);
            }
            ControlFlow::Continue(())
        })
        .fit(&mut network, &xor)?;

    println!("\nAfter {} steps", history.steps);
    print_table(&inputs, &truth, &network)?;
    Ok(())
}

/// The truth table, with the probability that the network gives to "true".
fn print_table(inputs: &Array2<f64>, truth: &Array2<f64>, network: &Network<f64>) -> Result<(), BuildError> {
    println!("  a  b   a xor b   network");
    let logits = network.predict(inputs)?;
    for ((input, truth), logit) in inputs.rows().into_iter().zip(truth).zip(&logits) {
        let right = (*logit > 0.0) == (*truth > 0.5);
        println!(
            "  {}  {}         {truth}    {:.4}  {}",
            input[0],
            input[1],
            logit.sigmoid(),
            if right { "right" } else { "wrong" }
        );
    }
    Ok(())
}
