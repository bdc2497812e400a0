//! A network in a program without an operating system: it reads handwritten digits.
//!
//! `predictor.rs` next to this file is the network as Rust that depends on nothing.
//! `cargo run --release --example embedded` checks that it is what the library writes today for the network in
//! `network.json`, and that it answers as that network does.
//! With `-- --write` a network is trained, and both files are written.
//! `bare.rs` is a crate without the standard library that holds the predictor, which `cargo xtask embedded` compiles for
//! machines without an operating system.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use downhill::data::digits;
use downhill::formats::rust_source::RustSource;
use downhill::network::NetworkState;
use downhill::prelude::*;

// The file is formatted as rustfmt does by default, and a module of a library may be public.
#[rustfmt::skip]
#[allow(unreachable_pub)]
mod predictor;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/embedded");
    let (train, test) = digits::<f32>()?.stratified_split(0.8, Seed(1))?;
    let mut network = Network::build([64], sequential![Affine::new(12), Relu, Affine::new(10)], Seed(7))?;
    let writer = RustSource::new().name("Handwritten digits");

    if env::args().any(|argument| argument == "--write") {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3))
            .epochs(40)
            .batch_size(32)
            .fit(&mut network, &train)?;
        fs::write(folder.join("network.json"), serde_json::to_string(&network.state())? + "\n")?;
        fs::write(folder.join("predictor.rs"), writer.render(&network)?)?;
        println!("wrote network.json and predictor.rs; run the example again to try them");
        return Ok(());
    }

    let state: NetworkState<f32> = serde_json::from_str(&fs::read_to_string(folder.join("network.json"))?)?;
    network.restore(&state)?;
    if writer.render(&network)? != fs::read_to_string(folder.join("predictor.rs"))? {
        return Err("predictor.rs is not what the library writes for network.json: run with `-- --write`".into());
    }

    let mut workspace = predictor::Workspace::new();
    let mut y = [0.0; 10];
    let (mut right, mut worst) = (0, 0.0f32);
    let Target::Classes(classes) = test.targets() else { return Err("digits are classes".into()) };
    for (x, &class) in test.inputs().slice().as_chunks::<64>().0.iter().zip(classes) {
        predictor::predict_into(x, &mut y, &mut workspace);
        let expected = network.predict_one(x)?;
        let largest = expected.iter().fold(1.0f32, |largest, y| largest.max(y.abs()));
        worst = y.iter().zip(&expected).fold(worst, |worst, (a, b)| worst.max((a - b).abs() / largest));
        let answer = (0..10).max_by(|&a, &b| y[a as usize].total_cmp(&y[b as usize]));
        right += usize::from(answer == Some(class));
    }
    println!("{} digits: {:.3} right", test.len(), right as f64 / test.len() as f64);
    println!("largest difference from `predict`: {worst:.1e} of the largest number");
    if worst > 1e-6 {
        return Err("the predictor does not answer as the network does".into());
    }
    Ok(())
}
