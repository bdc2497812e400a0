//! Trains the network of the page about digits, and writes its model file: `cargo run --release --example train_digits`.

use std::error::Error;

use downhill_data::{Augmentation, Batches, Targets, digits};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_model::Model;
use downhill_optim::AdamW;
use downhill_optim::schedule::OneCycle;
use downhill_playground::digits_network;
use downhill_tensor::{Batch, BatchMut, Seed};
use downhill_train::Trainer;

fn main() -> Result<(), Box<dyn Error>> {
    let data = digits::<f32>()?.reshape([1, 8, 8])?;
    // As in the examples, the last 360 digits are not learnt from: other people wrote them.
    let learnt = data.select(&(0..1437).collect::<Vec<_>>())?;
    let test = data.select(&(1437..1797).collect::<Vec<_>>())?;
    let mut network = digits_network()?;
    println!("{}", network.summary());
    let epochs = 60;
    let mut batches = Batches::shuffled(&learnt, 32, Seed(1))?;
    let steps = epochs * batches.batches_per_epoch() as u64;
    let loss = SoftmaxCrossEntropy::new().label_smoothing(0.05);
    let mut trainer = Trainer::new(loss, AdamW::new(5e-3).weight_decay(0.02)).schedule(OneCycle::new(steps));
    let augmentation = Augmentation::new().shift(1).noise(0.05);
    for epoch in 0..epochs {
        batches.start_epoch(epoch);
        let mut step = 0;
        while let Some(batch) = batches.next_batch() {
            let mut images = batch.inputs.slice().to_vec();
            let count = batch.inputs.examples();
            // Pens are of different widths: some drawings are black and white.
            for image in images.chunks_mut(64).skip(1).step_by(3) {
                image.iter_mut().for_each(|pixel| *pixel = if *pixel > 0.35 { 1.0 } else { 0.0 });
            }
            let seed = Seed(2).derive(epoch).derive(step);
            augmentation.apply_batch(BatchMut::new(&mut images, count, [1, 8, 8])?, seed)?;
            trainer.partial_fit(&mut network, Batch::new(&images, count, [1, 8, 8])?, batch.targets)?;
            step += 1;
        }
    }
    // Eleven bits behind the point are enough, and the file is sent in fewer bytes.
    for parameter in network.parameters_mut() {
        *parameter = f32::from_bits((parameter.to_bits() + 0x800) & !0xfff);
    }
    let read = network.classify(test.inputs())?;
    let (_, Targets::Classes { labels, .. }) = test.into_parts() else {
        return Err("the digits have no classes".into());
    };
    let right = read.iter().zip(&labels).filter(|(read, label)| read == label).count();
    println!("{right} of {} digits that were not learnt from are read right", labels.len());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/playground/digits.safetensors");
    Model::builder(network).note("learnt from", "1,437 digits of downhill-data").build()?.save(file)?;
    Ok(())
}
