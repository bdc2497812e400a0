//! A recurrent network learns to write, one character after the other, from the chapters of this project's guide.
//!
//! `cargo run --release --example text` prints the loss as it falls, and what the network writes before and after.

use std::error::Error;
use std::fs;
use std::path::Path;

use downhill::losses::ClassAxis;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;

/// The characters that the network sees at once, from the first to the last.
const STEPS: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let (alphabet, text) = read()?;
    println!("{} characters of {} kinds\n", text.len(), alphabet.len());

    // Each character is a vector that is learnt, and the network predicts the next character at each step.
    let writer = sequential![Embedding::new(alphabet.len(), 32), Lstm::new(128), Affine::new(alphabet.len())];
    let mut network = Network::<f32>::build([STEPS], writer, Seed(1))?;
    println!("{}\n", network.summary());
    println!("before: {}\n", write(&network, &alphabet, &text[..STEPS])?);

    let data = windows(&text, alphabet.len())?;
    let (epochs, batch_size) = (30, 32);
    let steps = epochs * data.len().div_ceil(batch_size) as u64;
    let history = Trainer::new(SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last), Adam::new(0.01))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .clip_norm(1.0)
        .progress(Progress::Auto)
        .stop_on_interrupt()
        .fit(&mut network, &data)?;

    if let (Some(first), Some(last)) = (history.epochs.first(), history.epochs.last()) {
        println!("\nloss: {:.3} in the first epoch, {:.3} in the last", first.training_loss, last.training_loss);
    }
    println!("\nafter: {}", write(&network, &alphabet, &text[..STEPS])?);
    Ok(())
}

/// The kinds of characters, and the text as their numbers.
fn read() -> Result<(Vec<char>, Vec<usize>), Box<dyn Error>> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/src");
    let mut text = String::new();
    for chapter in ["introduction.md", "walking-downhill.md", "chain-rule.md", "your-own-network.md"] {
        let path = guide.join(chapter);
        let chapter = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Prose alone: neither programs nor tables, and only the letters and signs of plain text.
        let prose =
            chapter.split("```").step_by(2).flat_map(str::lines).filter(|line| !line.starts_with(['|', '<', '!']));
        for line in prose {
            text.extend(line.chars().filter(|letter| letter.is_ascii() && !letter.is_ascii_control()));
            text.push('\n');
        }
    }
    let mut alphabet: Vec<char> = text.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    let numbers = text.chars().filter_map(|letter| alphabet.binary_search(&letter).ok()).collect();
    Ok((alphabet, numbers))
}

/// Windows of the text, each beginning in the middle of the one before; the target of each step is the next character.
fn windows(text: &[usize], classes: usize) -> Result<Dataset<f32>, Box<dyn Error>> {
    let starts = (0..text.len() - STEPS).step_by(STEPS / 2);
    let inputs = starts.clone().flat_map(|start| &text[start..start + STEPS]).map(|&letter| letter as f32).collect();
    let labels = starts.flat_map(|start| &text[start + 1..=start + STEPS]).map(|&letter| letter as u32).collect();
    let targets = Targets::classes(labels, classes).with_shape([STEPS]);
    Ok(Dataset::new(inputs, [STEPS], targets)?)
}

/// Continues `prompt`: each character is drawn from what the network thinks likely, then it is read as well.
fn write(network: &Network<f32>, alphabet: &[char], prompt: &[usize]) -> Result<String, Box<dyn Error>> {
    let mut seen: Vec<f32> = prompt.iter().map(|&letter| letter as f32).collect();
    let mut stream = Seed(3).stream(0);
    let mut written = String::new();
    for _ in 0..300 {
        let recent = &seen[seen.len() - STEPS..];
        let y = network.predict_one(recent)?;
        let logits = &y[(STEPS - 1) * alphabet.len()..];
        let letter = draw(logits, stream.uniform());
        written.push(alphabet[letter]);
        seen.push(letter as f32);
    }
    Ok(written)
}

/// The class at which the running sum of probabilities passes `chance`. At half the temperature: bolder than it is sure.
fn draw(logits: &[f32], chance: f64) -> usize {
    const TEMPERATURE: f32 = 0.5;
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&logit| f64::from((logit - largest) / TEMPERATURE).exp()).collect();
    let mut left = chance * weights.iter().sum::<f64>();
    for (class, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return class;
        }
    }
    weights.len() - 1
}
