//! Sequences of different lengths: a recurrent network reads brackets, and says whether they are balanced.
//!
//! `cargo run --release --example 12_sequences` trains on sequences of up to 32 brackets, and is judged on others that it
//! has not seen. To be right it has to count what is open, from the first bracket to the last.

use std::error::Error;

use downhill::network::Graph;
use downhill::optim::schedule::OneCycle;
use downhill::prelude::*;
use downhill::tensor::Stream;

/// The length of the longest sequence; shorter ones are padded.
const LONGEST: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    // Short sequences are few, so that some are drawn again: those are not unseen.
    let seen = sequences(8000, Seed(1));
    let unseen: Vec<String> = sequences(4000, Seed(2)).into_iter().filter(|text| !seen.contains(text)).collect();
    let train = dataset(&seen)?;

    // The second input says how long each sequence is: the state after its last bracket is the one that counts.
    let mut graph = Graph::new();
    let (symbols, length) = (graph.input([LONGEST]), graph.input([1]));
    let vectors = graph.apply(Embedding::new(3, 8), &[symbols])?;
    let state = graph.apply(Lstm::new(32).lengths().last_state(), &[vectors, length])?;
    let scores = graph.apply(Affine::new(2), &[state])?;
    let mut network = Network::<f32>::from_graph(&graph, scores, Seed(3))?;
    println!("{}\n", network.summary());

    // A batch holds sequences of all lengths.
    let (epochs, batch_size) = (10, 32);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .clip_norm(1.0)
        .progress(Progress::Auto)
        .stop_on_interrupt()
        .fit(&mut network, &train)?;
    println!("\n{} after {} steps in {:.1} s\n", history.reason, history.steps, history.seconds);

    println!("brackets   unseen   right");
    for longest in [8, 16, 24, 32] {
        let those: Vec<String> =
            unseen.iter().filter(|text| (longest - 7..=longest).contains(&text.len())).cloned().collect();
        println!("{:>2} to {longest:>2} {:>8}   {:.4}", longest - 7, those.len(), accuracy(&network, &those)?);
    }
    let all = accuracy(&network, &unseen)?;
    println!("all      {:>8}   {all:.4}\n", unseen.len());

    let texts = ["()", ")(", "(()())", "(()))(", "((((()))))(()(()))", "((((())))(()(())))(("].map(String::from);
    let data = dataset(&texts)?;
    let mut inputs = data.all_inputs();
    let (symbols, lengths) = (inputs.next().ok_or("no symbols")?, inputs.next().ok_or("no lengths")?);
    for (text, class) in texts.iter().zip(network.classify((symbols, lengths))?) {
        println!("{text:<20} is {}", if class == 1 { "balanced" } else { "not balanced" });
    }
    if all < 0.98 { Err("the network has not learnt to count".into()) } else { Ok(()) }
}

/// Brackets of random lengths, every other sequence balanced.
fn sequences(count: usize, seed: Seed) -> Vec<String> {
    (0..count)
        .map(|index| {
            let mut stream = seed.stream(index as u64);
            let balanced = balanced(2 * (1 + below(LONGEST / 2, &mut stream)), &mut stream);
            if index % 2 == 0 { balanced } else { broken(&balanced, &mut stream) }
        })
        .collect()
}

fn below(end: usize, stream: &mut Stream) -> usize {
    (end as f64 * stream.uniform()) as usize
}

/// A balanced sequence: a bracket is opened as long as there is room to close it, and closed if one is open.
fn balanced(length: usize, stream: &mut Stream) -> String {
    let (mut text, mut open) = (String::new(), 0);
    for rest in (1..=length).rev() {
        let opens = open == 0 || (open < rest && stream.uniform() < 0.5);
        text.push(if opens { '(' } else { ')' });
        open = if opens { open + 1 } else { open - 1 };
    }
    text
}

/// Turns one of the brackets, or has two change places, so that they are not balanced.
fn broken(balanced: &str, stream: &mut Stream) -> String {
    loop {
        let mut brackets: Vec<char> = balanced.chars().collect();
        let (one, other) = (below(brackets.len(), stream), below(brackets.len(), stream));
        if stream.uniform() < 0.5 {
            brackets[one] = if brackets[one] == '(' { ')' } else { '(' };
        } else {
            brackets.swap(one, other);
        }
        let text = brackets.into_iter().collect::<String>();
        if !is_balanced(&text) {
            return text;
        }
    }
}

fn is_balanced(text: &str) -> bool {
    let mut open = 0_i32;
    let never_below = text.chars().all(|bracket| {
        open += if bracket == '(' { 1 } else { -1 };
        open >= 0
    });
    never_below && open == 0
}

/// Padded sequences as the first input, 1 for each bracket that opens, 2 for one that closes and 0 for what is no longer
/// read; their lengths as the second; class 1 for those that are balanced.
fn dataset(texts: &[String]) -> Result<Dataset<f32>, Box<dyn Error>> {
    let mut symbols = vec![0.0; LONGEST * texts.len()];
    for (text, symbols) in texts.iter().zip(symbols.chunks_exact_mut(LONGEST)) {
        text.chars().zip(symbols).for_each(|(bracket, symbol)| *symbol = if bracket == '(' { 1.0 } else { 2.0 });
    }
    let lengths = texts.iter().map(|text| text.len() as f32).collect();
    let classes = texts.iter().map(|text| u32::from(is_balanced(text))).collect();
    Ok(Dataset::new(symbols, [LONGEST], Targets::classes(classes, 2))?.with_input(lengths, [1])?)
}

fn accuracy(network: &Network<f32>, texts: &[String]) -> Result<f64, Box<dyn Error>> {
    let judged = evaluate(network, &SoftmaxCrossEntropy::new(), &dataset(texts)?, [Accuracy::new()])?;
    Ok(judged.metric("accuracy").ok_or("no accuracy")?)
}
