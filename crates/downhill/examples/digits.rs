//! Learns to read handwritten digits: 1,797 images of 8x8 pixels that are built into the library.
//!
//! `cargo run --release --example digits` trains on four fifths of them and is judged on the rest.

use downhill::data::digits;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = digits::<f32>()?.stratified_split(0.8, Seed(1))?;

    let mlp = sequential![
        Affine::new(256),
        Relu,
        Dropout::new(0.4),
        Affine::new(128),
        Relu,
        Dropout::new(0.4),
        Affine::new(10)
    ];
    let mut network = Network::build([64], mlp, Seed(7))?;
    println!("{}\n", network.summary());

    let (epochs, batch_size) = (60, 32);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let loss = SoftmaxCrossEntropy::new().label_smoothing(0.05);
    let history = Trainer::new(loss, AdamW::new(3e-3).weight_decay(0.05))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .validate(&test)
        .metric(Accuracy::new())
        .progress(Progress::Auto)
        .stop_on_interrupt()
        .fit(&mut network, &train)?;
    println!("\n{} after {} steps in {:.2} s", history.reason, history.steps, history.seconds);

    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()])?;
    println!("test accuracy: {:.4}", judged.metric("accuracy").unwrap_or(f64::NAN));
    Ok(())
}
