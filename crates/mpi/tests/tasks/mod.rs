//! What is trained, and what that leaves.

use std::fmt::Write as _;

use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, BatchNorm, Dropout, Embedding, Flatten, Relu};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_network::{Network, TransformerEncoderBlock, sequential};
use downhill_optim::AdamW;
use downhill_optim::schedule::Cosine;
use downhill_tensor::Seed;
use downhill_train::metrics::Accuracy;
use downhill_train::{EarlyStopping, History, Trainer};
use ndarray::Array2;

pub(crate) fn mlp() -> Network<f32> {
    let layers = sequential![Affine::new(48), BatchNorm::new(), Relu, Dropout::new(0.2), Affine::new(10)];
    Network::build([64], layers, Seed(1)).unwrap()
}

/// Does the word 0 stand more often in the first half of a sentence than in the second?
fn transformer() -> Network<f32> {
    let block = TransformerEncoderBlock::new(2, 16);
    let layers = sequential![Embedding::new(8, 8), block, Flatten, Affine::new(2)];
    Network::build([12], layers, Seed(2)).unwrap()
}

fn sentences() -> Dataset<f32> {
    let mut stream = Seed(5).stream(0);
    let words = Array2::from_shape_fn((350, 12), |_| (stream.uniform() * 8.0).floor() as f32);
    let zeros = |sentence: &[f32]| sentence.iter().filter(|&&word| word == 0.0).count();
    let rows = words.rows();
    let labels: Vec<u32> = rows
        .into_iter()
        .map(|row| {
            let row = row.to_vec();
            u32::from(zeros(&row[..6]) > zeros(&row[6..]))
        })
        .collect();
    Dataset::from_array(words, labels).unwrap()
}

type AnyTrainer<'a> = Trainer<'a, f32, SoftmaxCrossEntropy, AdamW<f32>>;

pub(crate) fn trainer<'a>(epochs: u64) -> AnyTrainer<'a> {
    Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.01)).epochs(epochs).batch_size(16).seed(Seed(3))
}

/// A network, its data and its trainer, by name: the same on all ranks, and in one process.
pub(crate) fn task(name: &str) -> (Network<f32>, Dataset<f32>, AnyTrainer<'static>) {
    match name {
        "mlp" => {
            let data = digits().unwrap().select(&(0..700).collect::<Vec<_>>()).unwrap();
            (mlp(), data, trainer(3).schedule(Cosine::new(150)).metric(Accuracy::new()))
        }
        // Its gradient is sent in several pieces.
        "wide" => {
            let layers = sequential![Affine::new(30_000), Relu, Affine::new(10)];
            let data = digits().unwrap().select(&(0..100).collect::<Vec<_>>()).unwrap();
            (Network::build([64], layers, Seed(1)).unwrap(), data, trainer(1))
        }
        // Two layers gather while its gradient is sent in several pieces.
        "normalised" => {
            let (first, second) = (Affine::new(6_000), Affine::new(300));
            let layers = sequential![first, BatchNorm::new(), Relu, second, BatchNorm::new(), Relu, Affine::new(10)];
            let data = digits().unwrap().select(&(0..100).collect::<Vec<_>>()).unwrap();
            (Network::build([64], layers, Seed(1)).unwrap(), data, trainer(1))
        }
        "transformer" => (transformer(), sentences(), trainer(3).early_stopping(EarlyStopping::new().patience(5))),
        other => panic!("there is no task {other}"),
    }
}

/// What a run leaves: the bits of all numbers and the losses, as text.
pub(crate) fn left(network: &Network<f32>, history: &History) -> String {
    let mut text = String::new();
    for epoch in &history.epochs {
        let _ = writeln!(text, "{:?} {:?}", epoch.training_loss, epoch.metrics);
    }
    for x in network.parameters().iter().chain(network.statistics()) {
        let _ = write!(text, "{:08x}", x.to_bits());
    }
    text
}

/// What one process leaves that accumulates this number of batches.
pub(crate) fn alone(name: &str, batches: u64) -> String {
    let (mut network, data, trainer) = task(name);
    let history = trainer.accumulate(batches).fit(&mut network, &data).unwrap();
    left(&network, &history)
}
