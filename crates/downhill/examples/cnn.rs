//! A convolutional network learns to read the handwritten digits of MNIST, in five epochs.
//!
//! `cargo xtask data mnist` fetches the images once; then `cargo run --release --example cnn`.

use std::error::Error;

use downhill::data::mnist;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist");
    // As a sentence, for whoever has not fetched the images yet.
    let (train, test) = mnist::<f32>(folder).map_err(|error| error.to_string())?;
    let (train, test) = (train.reshape([1, 28, 28])?, test.reshape([1, 28, 28])?);

    // Images of 28x28 pixels in one channel, then 14x14 in 16, then 7x7 in 32.
    let cnn = sequential![
        Conv2d::new(16, 3).padding(1),
        Relu,
        MaxPool2d::new(2),
        Conv2d::new(32, 3).padding(1),
        Relu,
        MaxPool2d::new(2),
        Flatten,
        Affine::new(128),
        Relu,
        Dropout::new(0.3),
        Affine::new(10)
    ];
    let mut network = Network::build([1, 28, 28], cnn, Seed(7))?;
    println!("{}\n", network.summary());

    let (epochs, batch_size) = (5, 64);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let loss = SoftmaxCrossEntropy::new().label_smoothing(0.05);
    let history = Trainer::new(loss, AdamW::new(4e-3).betas(0.9, 0.99).weight_decay(0.05))
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
