//! Learns to read the 60,000 handwritten digits of MNIST, and is judged on 10,000 others.
//!
//! `cargo xtask data mnist` fetches the images once; then `cargo run --release --example mnist`.

use std::error::Error;

use downhill::data::mnist;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist");
    // As a sentence, for whoever has not fetched the images yet.
    let (train, test) = mnist::<f32>(folder).map_err(|error| error.to_string())?;

    let mlp = sequential![Affine::new(256), Relu, Affine::new(128), Relu, Affine::new(10)];
    let mut network = Network::build([784], mlp, Seed(7))?;
    println!("{}\n", network.summary());

    // Five epochs are few: the rate goes far up and down again in one cycle, β₂ forgets old gradients sooner than
    // usual, and smoothed labels and weight decay keep so fast a learner from learning the images by heart.
    let (epochs, batch_size) = (5, 128);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let loss = SoftmaxCrossEntropy::new().label_smoothing(0.05);
    let optimizer = AdamW::new(5e-3).betas(0.9, 0.99).weight_decay(0.1);
    let history = Trainer::new(loss, optimizer)
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .progress(Progress::Auto)
        .stop_on_interrupt()
        .fit(&mut network, &train)?;
    println!("\n{} after {} steps in {:.2} s", history.reason, history.steps, history.seconds);

    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()])?;
    println!("test accuracy: {:.4}", judged.metric("accuracy").unwrap_or(f64::NAN));
    Ok(())
}
