//! A small transformer learns to sort ten digits.
//!
//! `cargo run --release --example attention` trains on random sequences, and judges by the share of sequences that are
//! wholly right, among sequences none of which holds the same digits as one that it was trained on.

use std::collections::HashSet;
use std::error::Error;

use downhill::layers::{Embedding, LayerNorm, LearntPositions};
use downhill::losses::{ClassAxis, Meaning, TargetError};
use downhill::ndarray::ArrayView2;
use downhill::network::TransformerEncoderBlock;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;

/// The number of digits of a sequence.
const STEPS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    // Sequences whose digits, in whatever order, were seen in training are not used to judge.
    let train = draw(20_000, Seed(1), |_| true);
    let seen: HashSet<_> = train.iter().copied().map(sorted).collect();
    let test = draw(2_000, Seed(2), |digits| !seen.contains(&sorted(digits)));
    let (train, test) = (dataset(&train)?, dataset(&test)?);

    // Each digit is a vector that is learnt, and so is each place. The first block lets every place see how many of
    // each digit there are, and every place predicts the sorted sequence's digit.
    let block = || TransformerEncoderBlock::new(4, 128).norm_first().activation(Gelu::new()).dropout(0.0);
    let model = sequential![
        Embedding::new(10, 64),
        LearntPositions::new(),
        block(),
        block(),
        LayerNorm::new(),
        Affine::new(10)
    ];
    let mut network = Network::<f32>::build([STEPS], model, Seed(3))?;
    println!("{}\n", network.summary());

    let (epochs, batch_size) = (8, 64);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let loss = SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last);
    let history = Trainer::new(loss, Adam::new(3e-3))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .validate(&test)
        .metric(WhollyRight::default())
        .progress(Progress::Auto)
        .stop_on_interrupt()
        .fit(&mut network, &train)?;
    println!("\n{} after {} steps in {:.1} s\n", history.reason, history.steps, history.seconds);

    // The third is unlike nearly everything it has seen: nine of ten digits are equal once in ten million sequences.
    for digits in ["3141592653", "9876543210", "0000000001", "2718281828"] {
        let x: Vec<f32> = digits.bytes().map(|digit| f32::from(digit - b'0')).collect();
        let told = network.classify(ArrayView2::from_shape((1, STEPS), &x)?)?;
        let text: String = told.into_iter().filter_map(|digit| char::from_digit(digit, 10)).collect();
        let mut truth: Vec<char> = digits.chars().collect();
        truth.sort_unstable();
        let verdict = if text.chars().eq(truth) { "right" } else { "wrong" };
        println!("{digits} -> {text}  {verdict}");
    }
    Ok(())
}

type Digits = [u8; STEPS];

fn sorted(mut digits: Digits) -> Digits {
    digits.sort_unstable();
    digits
}

/// Random sequences that are `wanted`.
fn draw(count: usize, seed: Seed, wanted: impl Fn(Digits) -> bool) -> Vec<Digits> {
    let mut stream = seed.stream(0);
    let sequences = std::iter::repeat_with(|| Digits::default().map(|_| (10.0 * stream.uniform()) as u8));
    sequences.filter(|&digits| wanted(digits)).take(count).collect()
}

/// The digits as they come, and as classes those of the sorted sequence: one for each step.
fn dataset(sequences: &[Digits]) -> Result<Dataset<f32>, Box<dyn Error>> {
    let inputs = sequences.iter().flatten().map(|&digit| f32::from(digit)).collect();
    let labels = sequences.iter().copied().flat_map(sorted).map(u32::from).collect();
    let targets = Targets::classes(labels, 10).with_shape([STEPS]);
    Ok(Dataset::new(inputs, [STEPS], targets)?)
}

fn largest(row: &[f32]) -> u32 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(digit, _)| digit as u32)
}

/// A custom metric: the share of sequences that are right at every step.
#[derive(Debug, Default)]
struct WhollyRight {
    right: usize,
    sequences: usize,
}

impl Metric<f32> for WhollyRight {
    fn name(&self) -> String {
        "wholly right".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, _: Meaning) {
        *self = Self::default();
    }

    fn update(
        &mut self,
        y: Batch<'_, f32>,
        target: Target<'_, f32>,
        _weights: Option<&[f32]>, // these sequences have none
    ) -> Result<(), TargetError> {
        let Target::Classes(digits) = target else {
            return Err(TargetError::kind("WhollyRight", "a class for each step"));
        };
        for (index, digits) in digits.chunks(STEPS).enumerate() {
            let told = y.example(index).chunks(10).map(largest);
            self.right += usize::from(told.eq(digits.iter().copied()));
            self.sequences += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.sequences as f64
    }
}
