//! From a CSV file with gaps in it to predictions in grams: how heavy is a penguin?
//!
//! `cargo run --release --example 04_regression` learns to predict the body mass of penguins from species, island, sex
//! and three measures, and is judged on penguins that it has never seen.
//! Then it saves all that a prediction needs, and predicts a new penguin from what was saved.

use std::error::Error;

use downhill::data::{Columns, Missing, Schema, Table};
use downhill::losses::MeanSquaredError;
use downhill::ndarray::{ArrayView2, Axis, aview1};
use downhill::network::NetworkDescription;
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
    // From text to numbers. Two of the 344 penguins were never weighed and are left out; the sex of nine others is not
    // known, and becomes the most frequent one. Only that, and which categories there are, is learnt from all rows.
    let table = Table::read_path(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv"))?;
    let schema = Columns::for_values(["body_mass_g"])
        .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm"])
        .categorical(["species", "island", "sex"])
        .missing(Missing::Fill)
        .fit(&table)?;
    let penguins: Dataset<f32> = schema.dataset(&table)?;
    println!("{} penguins, each as {} numbers:", penguins.len(), penguins.input_shape());
    println!("{}\n", penguins.feature_names().join(", "));

    // 70 % to train on, 15 % to know when to stop, 15 % to be judged on. The units in which the network works, mean 0
    // and standard deviation 1, are learnt from the first part alone.
    let (train, rest) = penguins.split(0.7, Seed(1))?;
    let (validation, test) = rest.split(0.5, Seed(2))?;
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
    println!("after {} epochs {}; epoch {} is kept", history.epochs.len(), history.reason, history.kept_epoch.unwrap_or(0));

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
        metric.update(y, Target::Values(truth))?;
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
