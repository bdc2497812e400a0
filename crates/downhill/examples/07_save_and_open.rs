//! A model as one file: what an application opens and asks, without the program that trained it.
//!
//! `cargo run --release --example 07_save_and_open` teaches a network the three species of penguins, saves it, and then
//! plays the application: it opens the file, says what is in it, and answers for a table, for one record from many
//! threads at once, and for numbers in a loop that allocates nothing.

use std::error::Error;
use std::path::Path;
use std::thread;

use downhill::data::{Columns, Missing, Table};
use downhill::model::Model;
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join("species.downhill");
    train(&file)?;
    ask(&file)
}

fn penguins() -> Result<Table, Box<dyn Error>> {
    Ok(Table::read_path(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv"))?)
}

/// Trains a classifier and saves it with all that its answers need.
fn train(file: &Path) -> Result<(), Box<dyn Error>> {
    let (train, validation) = penguins()?.stratified_split("species", 0.8, Seed(1))?;
    let schema = Columns::for_class("species")
        .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])
        .categorical(["island"])
        .missing(Missing::Fill)
        .fit(&train)?;
    let (train, validation): (Dataset<f32>, Dataset<f32>) = (schema.dataset(&train)?, schema.dataset(&validation)?);
    let scaler = StandardScaler::fit(train.inputs().matrix())?;
    let (train, validation) = (train.scale_inputs(&scaler)?, validation.scale_inputs(&scaler)?);

    let layers = sequential![Affine::new(16), Tanh, Affine::new(3)];
    let mut network = Network::build(train.input_shape(), layers, Seed(2))?;
    let history = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(5e-3))
        .epochs(60)
        .validate(&validation)
        .metric(Accuracy::new())
        .fit(&mut network, &train)?;
    println!("trained for {} epochs", history.epochs.len());

    // Class names come from the schema, and that the outputs are logits from the loss.
    let model = Model::builder(network).schema(schema).input_scaler(scaler).note("trained on", "Palmer penguins");
    model.build()?.save(file)?;
    Ok(())
}

/// What the application does.
fn ask(file: &Path) -> Result<(), Box<dyn Error>> {
    let model = Model::open(file)?;
    println!("opened a model of downhill {}, trained on {}", model.library_version(), model.notes()["trained on"]);
    println!("it tells {} by\n  {}", model.class_names().join(", "), model.network().summary());

    // A table, whatever other columns it has.
    let table = penguins()?;
    let labels = model.predict(&table)?.labels()?;
    let right = table.column("species")?.zip(labels).filter(|(species, label)| species == label).count();
    println!("{right} of {} penguins are named right", table.len());

    // Records, from many threads: a model is only read.
    let bills = ["38.0", "46.5", "50.0"];
    thread::scope(|scope| {
        for bill in bills {
            let model = &model;
            scope.spawn(move || {
                let found = [
                    ("island", "Biscoe"),
                    ("bill_length_mm", bill),
                    ("bill_depth_mm", "15.1"),
                    ("flipper_length_mm", "NA"), // filled as in training
                    ("body_mass_g", "4800"),
                ];
                match model.predict_one(found) {
                    Ok(answer) => println!("a bill of {bill} mm: {answer}"),
                    Err(error) => println!("a bill of {bill} mm: {error}"),
                }
            });
        }
    });

    // Numbers, in space of the caller's: nothing is allocated for an answer.
    let features = model.schema().ok_or("the model knows no columns")?.transform(&[
        ("island", "Dream"),
        ("bill_length_mm", "50.2"),
        ("bill_depth_mm", "18.7"),
        ("flipper_length_mm", "198"),
        ("body_mass_g", "3775"),
    ])?;
    let mut buffer = model.buffer();
    let probabilities = model.predict_into(&features, &mut buffer)?;
    println!("probabilities: {probabilities:.3?}");
    Ok(())
}
