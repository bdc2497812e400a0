//! From a CSV file with gaps in it to predictions in grams: how heavy is a penguin?
//!
//! `cargo run --release --example 04_regression` learns to predict the body mass of penguins from species, island, sex
//! and three measures, and is judged on penguins that it has never seen.
//! Then it saves all that an answer needs as one file, and asks that file about a new penguin.

use std::error::Error;

use downhill::data::{Column, Columns, Missing, Table};
use downhill::model::Model;
use downhill::prelude::*;
use downhill::train::metrics;

fn main() -> Result<(), Box<dyn Error>> {
    // 70 % to train on, 15 % to know when to stop, 15 % to be judged on. The table is split before anything is learnt
    // of it: what fills a gap, which categories there are, and the units that the network works in.
    let table = Table::read_path(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv"))?;
    let (train, rest) = table.split(0.7, Seed(1))?;
    let (validation, test) = rest.split(0.5, Seed(2))?;

    // From text to numbers. A penguin that was never weighed is left out. The sex of some others is not known: it
    // becomes the most frequent one, and a number of its own says that it was a guess.
    let schema = Columns::for_values([Column::new("body_mass_g").missing(Missing::Drop)])
        .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm"])
        .categorical(["species", "island"])
        .categorical([Column::new("sex").missing(Missing::MostFrequent).indicator()])
        .missing(Missing::Fill)
        .fit(&train)?;
    for row in schema.dropped(&table)? {
        println!("left out: {row}");
    }
    let dataset = |part: &Table| schema.dataset::<f32>(part);
    let (train, validation, test) = (dataset(&train)?, dataset(&validation)?, dataset(&test)?);
    println!("{} penguins to train on, each as {} numbers:", train.len(), train.input_shape());
    println!("{}\n", train.feature_names().join(", "));

    // Mean 0 and standard deviation 1 suit a network.
    let input_scaler = StandardScaler::fit(train.inputs().matrix())?;
    let mass_scaler = StandardScaler::fit(train.target_values().ok_or("the mass of a penguin is a number")?.matrix())?;
    let scaled = |part: Dataset<f32>| part.scale_inputs(&input_scaler)?.scale_targets(&mass_scaler);
    let (train, validation, test) = (scaled(train)?, scaled(validation)?, scaled(test)?);

    let mut network = Network::build(train.input_shape(), sequential![Affine::new(16), Tanh, Affine::new(1)], Seed(3))?;
    let history = Trainer::new(MeanSquaredError::new(), AdamW::new(2e-3))
        .epochs(300)
        .batch_size(16)
        .validate(&validation)
        .early_stopping(EarlyStopping::new().patience(20))
        .fit(&mut network, &train)?;
    let (epochs, kept) = (history.epochs.len(), history.kept_epoch.ok_or("no epoch was completed")?);
    println!("after {epochs} epochs {}; epoch {kept} is kept", history.reason);

    // Judged in grams, on penguins that nothing was learnt from.
    println!("\n{} penguins that it has not seen, in grams", test.len());
    let metrics: [Box<dyn Metric<f64>>; 3] = [
        Box::new(metrics::MeanAbsoluteError::new()),
        Box::new(metrics::RootMeanSquaredError::new()),
        Box::new(metrics::RSquared::new()), // 0 is always saying the mean
    ];
    let in_grams = metrics.map(|metric| metrics::InUnits::new(metric, mass_scaler.clone()));
    for (name, value) in evaluate(&network, &MeanSquaredError::new(), &test, in_grams)?.metrics {
        println!("  {name:<5} {value:>7.2}");
    }

    // All that an answer needs goes into one file. Months later, elsewhere, everything comes from there; what isn't
    // known of a penguin is filled as it was in training.
    let file = std::env::temp_dir().join("penguins.downhill");
    let model = Model::builder(network).schema(schema).input_scaler(input_scaler).target_scaler(mass_scaler);
    model.units(["g"]).build()?.save(&file)?;

    let model = Model::open(&file)?;
    let found = [
        ("species", "Gentoo"),
        ("island", "Biscoe"),
        ("sex", "NA"),
        ("bill_length_mm", "48.2"),
        ("bill_depth_mm", "15.1"),
        ("flipper_length_mm", "NA"),
    ];
    let bytes = std::fs::metadata(&file)?.len();
    println!("\nFrom a file of {bytes} bytes: a Gentoo with a bill of 48.2 by 15.1 mm weighs about");
    println!("{}", model.predict_one(found)?);
    Ok(())
}
