//! From a CSV file with gaps in it to predictions in grams: how heavy is a penguin?
//!
//! `cargo run --release --example 04_regression` learns to predict the body mass of penguins from species, island, sex
//! and three measures, and is judged on penguins that it has never seen.
//! Then it saves all that a prediction needs, and predicts a new penguin from what was saved.

use std::error::Error;

use downhill::data::{Column, Columns, Missing, Schema, Table};
use downhill::losses::MeanSquaredError;
use downhill::ndarray::{ArrayView2, Axis, aview1};
use downhill::network::{NetworkDescription, NetworkState};
use downhill::prelude::*;

/// All that a prediction needs: what a cell means, the units that the network was trained in, and the network.
struct Model {
    schema: Schema,
    input_scaler: StandardScaler,
    mass_scaler: StandardScaler,
    network: Network<f32>,
}

impl Model {
    /// Body masses in grams. inputs: (penguins, features), in the units of the table.
    fn predict(&self, inputs: ArrayView2<'_, f32>) -> Result<Vec<f32>, Box<dyn Error>> {
        let mut x = inputs.to_owned();
        self.input_scaler.transform(x.view_mut())?;
        let mut mass = self.network.predict(x.view())?;
        self.mass_scaler.inverse(mass.view_mut())?;
        Ok(mass.into_iter().collect())
    }

    fn to_json(&self) -> Result<String, Box<dyn Error>> {
        let network = (self.network.description()?, self.network.state());
        Ok(serde_json::to_string(&(&self.schema, &self.input_scaler, &self.mass_scaler, network))?)
    }

    fn from_json(json: &str) -> Result<Self, Box<dyn Error>> {
        type Saved = (Schema, StandardScaler, StandardScaler, (NetworkDescription, NetworkState<f32>));
        let (schema, input_scaler, mass_scaler, (description, state)): Saved = serde_json::from_str(json)?;
        let mut network = description.build()?;
        network.restore(&state)?;
        Ok(Self { schema, input_scaler, mass_scaler, network })
    }
}

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
        .categorical([Column::new("sex").missing(Missing::MostFrequent).with_indicator()])
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
    let mass_scaler = StandardScaler::fit(masses(&train)?.matrix())?;
    let scaled = |part: Dataset<f32>| part.scale_inputs(&input_scaler)?.scale_targets(&mass_scaler);
    let (train, validation) = (scaled(train)?, scaled(validation)?);

    let mut network = Network::build(train.input_shape(), sequential![Affine::new(16), Tanh, Affine::new(1)], Seed(3))?;
    let history = Trainer::new(MeanSquaredError::new(), AdamW::new(2e-3))
        .epochs(300)
        .batch_size(16)
        .validate(&validation)
        .early_stopping(EarlyStopping::new().patience(20))
        .fit(&mut network, &train)?;
    println!(
        "after {} epochs {}; epoch {} is kept",
        history.epochs.len(),
        history.reason,
        history.kept_epoch.unwrap_or(0)
    );

    // Judged in grams, on penguins that nothing was learnt from.
    let model = Model { schema, input_scaler, mass_scaler, network };
    let predicted = model.predict(test.inputs().matrix())?;
    let (y, truth) = (Batch::new(&predicted, test.len(), [1])?, masses(&test)?.slice());
    println!("\n{} penguins that it has not seen", test.len());
    let judges: [(&str, Box<dyn Metric<f32>>); 3] = [
        ("mean absolute error, in g", Box::new(metrics::MeanAbsoluteError::new())),
        ("root mean squared error, in g", Box::new(metrics::RootMeanSquaredError::new())),
        ("R² (0 is always saying the mean)", Box::new(metrics::RSquared::new())),
    ];
    for (name, mut metric) in judges {
        metric.update(y, Target::Values(truth), None)?;
        println!("  {name:<34} {:>7.2}", metric.value());
    }
    println!("\n  predicted     true");
    for (predicted, truth) in predicted.iter().zip(truth).take(8) {
        println!("  {predicted:>7.0} g  {truth:>5.0} g");
    }

    // Months later, elsewhere: everything comes from the text. What isn't known is filled as it was in training.
    let json = model.to_json()?;
    let model = Model::from_json(&json)?;
    let found = [
        ("species", "Gentoo"),
        ("island", "Biscoe"),
        ("sex", "NA"),
        ("bill_length_mm", "48.2"),
        ("bill_depth_mm", "15.1"),
        ("flipper_length_mm", "NA"),
    ];
    let inputs = model.schema.transform(&found)?;
    let mass = model.predict(aview1(&inputs).insert_axis(Axis(0)))?;
    println!(
        "\nFrom {} bytes of JSON: a Gentoo with a bill of 48.2 by 15.1 mm weighs about {:.0} g",
        json.len(),
        mass[0]
    );
    Ok(())
}

/// The targets, in grams until they are scaled.
fn masses(penguins: &Dataset<f32>) -> Result<Batch<'_, f32>, &'static str> {
    penguins.target_values().ok_or("the mass of a penguin is a number")
}
