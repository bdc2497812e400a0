//! Trains the network of the page about digits, and writes its model file: `cargo run --release --example train_digits`.

use std::error::Error;

use downhill_data::{Augmentation, Batches, Targets, digits};
use downhill_losses::{SoftmaxCrossEntropy, Target};
use downhill_model::Model;
use downhill_optim::AdamW;
use downhill_optim::schedule::OneCycle;
use downhill_playground::{digits_network, drawing, seen};
use downhill_tensor::{Batch, BatchMut, Seed, Stream};
use downhill_train::Trainer;

/// Digits with the strokes of a pen on the page. A number is a point: 1845 is x = 18, y = 45.
///
/// The data lacks some of these: almost every 7 there has a bar.
const DRAWN: [(u32, &[&[u16]]); 20] = [
    (0, &[&[3208, 2211, 1622, 1632, 1642, 2253, 3256, 4253, 4842, 4832, 4822, 4211, 3208]]),
    (1, &[&[3208, 3256]]),
    (1, &[&[2220, 3310, 3356]]),
    (1, &[&[2419, 3310, 3356], &[2256, 4456]]),
    (2, &[&[1820, 2411, 3409, 4315, 4224, 3238, 1854, 4654]]),
    (2, &[&[1913, 4410, 4422, 2252, 2655, 4653]]),
    (3, &[&[1913, 3009, 4115, 4024, 3030, 4236, 4447, 3255, 1951]]),
    (3, &[&[1911, 4411, 3028, 4032, 4544, 3655, 2055]]),
    (4, &[&[4010, 1639, 4839], &[4010, 4056]]),
    (4, &[&[2310, 2034, 4432], &[4310, 4156]]),
    (5, &[&[4411, 2411, 2129, 3427, 4437, 4148, 3056, 1952]]),
    (6, &[&[3909, 2522, 1839, 2253, 3456, 4449, 4338, 3333, 2136]]),
    (6, &[&[4410, 3009, 2117, 1734, 1949, 2856, 4053, 4643, 4034, 2632, 1940]]),
    (7, &[&[1711, 4611, 2656]]),
    (7, &[&[1918, 1911, 4512, 4022, 3535, 3356]]),
    (7, &[&[1711, 4611, 2656], &[2234, 4434]]),
    (8, &[&[3231, 2225, 2213, 3208, 4213, 4225, 3231, 2038, 2051, 3256, 4451, 4438, 3231]]),
    (8, &[&[4315, 3309, 2216, 2825, 4040, 4252, 3156, 2150, 2439, 3728, 4315]]),
    (9, &[&[4321, 3110, 2115, 2027, 3131, 4223, 4311, 4056]]),
    (9, &[&[4219, 3109, 2116, 2127, 3431, 4218, 4436, 3854, 2555]]),
];
/// Of these, each batch has this many.
const DRAWN_OF_BATCH: u64 = 8;

/// What the network sees of a drawn digit, which is stretched, slanted, turned and unsteady, by a pen of some width.
fn drawn(mut random: Stream) -> Result<(Vec<f32>, u32), Box<dyn Error>> {
    let mut between = |least: f64, most: f64| least + (most - least) * random.uniform();
    let (label, strokes) = DRAWN[between(0.0, DRAWN.len() as f64) as usize];
    let (wide, slant, turn, high) = (between(0.7, 1.2), between(-0.4, 0.4), between(-0.2, 0.2), between(0.85, 1.1));
    let radius = between(2.5, 6.5);
    let mut moved = |&point: &u16| {
        let (x, y) = (f64::from(point / 100) - 32.0, f64::from(point % 100) - 32.0);
        let (unsteady_x, unsteady_y) = (between(-1.7, 1.7), between(-1.7, 1.7));
        [32.0 + wide * x + slant * y + unsteady_x, 32.0 + turn * x + high * y + unsteady_y]
    };
    let strokes: Vec<Vec<_>> = strokes.iter().map(|stroke| stroke.iter().map(&mut moved).collect()).collect();
    Ok((seen(&drawing(&strokes, radius)).map_err(|error| error.to_string())?.ok_or("a pen has left no ink")?, label))
}

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
            let Target::Classes(known) = batch.targets else { return Err("the digits have no classes".into()) };
            let mut labels = known.to_vec();
            // Pens are of different widths: some drawings are black and white.
            for image in images.chunks_mut(64).skip(1).step_by(3) {
                image.iter_mut().for_each(|pixel| *pixel = if *pixel > 0.35 { 1.0 } else { 0.0 });
            }
            let seed = Seed(2).derive(epoch).derive(step);
            for at in 0..DRAWN_OF_BATCH {
                let (image, label) = drawn(Seed(3).derive(epoch).derive(step).stream(at))?;
                images.extend(image);
                labels.push(label);
            }
            let count = labels.len();
            augmentation.apply_batch(BatchMut::new(&mut images, count, [1, 8, 8])?, seed)?;
            trainer.partial_fit(&mut network, Batch::new(&images, count, [1, 8, 8])?, Target::Classes(&labels))?;
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
    Model::builder(network).note("learnt from", "1,437 digits of downhill-data, and drawings").build()?.save(file)?;
    Ok(())
}
