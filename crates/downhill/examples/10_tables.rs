//! All that is done around training with a small table: folds, a search over settings, calibration, and what counts.
//!
//! `cargo run --release --example 10_tables` learns to tell male from female penguins, and prints a report: the best
//! settings in a cross-validation, how often the network is right on penguins that it has not seen, whether its
//! probabilities are to be believed, and which columns it needs.

use std::error::Error;
use std::fmt;

use downhill::data::{Column, Columns, Missing, Schema, Table};
use downhill::ndarray::Array2;
use downhill::prelude::*;
use downhill::tune::{PermutationImportance, Search, Temperature, random};

/// What the search looks for.
#[derive(Clone, Copy)]
struct Settings {
    hidden: usize,
    rate: f64,
    decay: f64,
    epochs: u64,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hidden, rate, decay, epochs } = self;
        write!(f, "{hidden:>2} hidden units, rate {rate:.1e}, decay {decay:.1e}, {epochs:>3} epochs")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // A fifth of the penguins is put away, to be judged on in the end.
    let table = Table::read_path(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv"))?;
    let (rest, test) = table.stratified_split("sex", 0.8, Seed(1))?;

    // Each settings learn five times, and are judged on another fifth of the rest each time.
    let settings = random(24, Seed(2), |draw| Settings {
        hidden: draw.integer(2..=64) as usize,
        rate: draw.log_uniform(1e-4, 1e-1),
        decay: draw.log_uniform(1e-4, 1.0),
        epochs: draw.choice([10, 30, 100]),
    });
    let folds = rest.stratified_k_folds("sex", 5, Seed(3))?;
    let report =
        Search::new().larger_is_better().seed(Seed(4)).run_folds(settings, folds, |settings, fold, trial| {
            let numbers = Numbers::fit(&fold.train)?;
            let network = learn(settings, &numbers.of(&fold.train)?, trial.seed)?;
            score(&network, &numbers.of(&fold.validation)?, Accuracy::new())
        })?;
    println!("The best and the worst of {} settings, by the accuracy in five folds", report.trials().len());
    let lines = report.to_string();
    for line in lines.lines().take(6).chain(lines.lines().last()) {
        println!("{line}");
    }
    let best = report.best().ok_or("no settings have a score")?;

    // The best settings learn once more. An accuracy does not tell how sure a network is of itself: a fifth of the rest
    // is kept, to find out there.
    let (train, kept) = rest.stratified_split("sex", 0.8, Seed(5))?;
    let numbers = Numbers::fit(&train)?;
    let (train, kept, test) = (numbers.of(&train)?, numbers.of(&kept)?, numbers.of(&test)?);
    let network = learn(&best.settings, &train, best.seed)?;
    let temperature = Temperature::fit(&network, &kept)?;
    let accuracy = score(&network, &test, Accuracy::new())?;
    println!("\n{} penguins that it has not seen: {:.1} % are recognised", test.len(), 100.0 * accuracy);
    let plain = network.probabilities(test.inputs())?;
    let calibrated = temperature.probabilities(&network, test.inputs())?;
    println!(
        "  log loss {:.3}, and {:.3} at a temperature of {:.2}",
        log_loss(&plain, &test)?,
        log_loss(&calibrated, &test)?,
        temperature.value()
    );

    // The numbers that a category became are one column of the table, and are shuffled together.
    let mut importance = PermutationImportance::new().repeats(20).seed(Seed(6));
    let names = numbers.schema.feature_names();
    for column in ["species", "island"] {
        let those = (0..names.len()).filter(|&place| names[place].starts_with(&format!("{column}=")));
        importance = importance.group(column, those);
    }
    let importances = importance.measure_by(Accuracy::new(), &network, &SoftmaxCrossEntropy::new(), &test)?;
    println!("\nHow many fewer are recognised if a column is shuffled");
    for column in importances.ranked() {
        let bar = "#".repeat((100.0 * column.mean).max(0.0).round() as usize);
        println!("{:>18}  {:>5.1} ± {:>3.1} %  {bar}", column.name, 100.0 * column.mean, 100.0 * column.deviation);
    }
    if accuracy < 0.85 { Err("the network has learnt too little".into()) } else { Ok(()) }
}

/// What turns a table into numbers, by what the training part alone shows: categories, what fills a gap, means and
/// deviations.
struct Numbers {
    schema: Schema,
    scaler: StandardScaler,
}

impl Numbers {
    fn fit(train: &Table) -> Result<Self, Box<dyn Error>> {
        // A penguin whose sex is not known can neither teach nor judge.
        let schema = Columns::for_class(Column::new("sex").missing(Missing::Drop))
            .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])
            .categorical(["species", "island"])
            .missing(Missing::Fill)
            .fit(train)?;
        let scaler = StandardScaler::fit(schema.dataset::<f32>(train)?.inputs().matrix())?;
        Ok(Self { schema, scaler })
    }

    fn of(&self, table: &Table) -> Result<Dataset<f32>, Box<dyn Error>> {
        Ok(self.schema.dataset(table)?.scale_inputs(&self.scaler)?)
    }
}

fn learn(settings: &Settings, train: &Dataset<f32>, seed: Seed) -> Result<Network<f32>, Box<dyn Error>> {
    let layers = sequential![Affine::new(settings.hidden), Relu, Affine::new(2)];
    let mut network = Network::build(train.input_shape(), layers, seed)?;
    Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(settings.rate).weight_decay(settings.decay))
        .epochs(settings.epochs)
        .batch_size(16)
        .seed(seed)
        .fit(&mut network, train)?;
    Ok(network)
}

fn score(network: &Network<f32>, data: &Dataset<f32>, mut metric: impl Metric<f32>) -> Result<f64, Box<dyn Error>> {
    evaluate(network, &SoftmaxCrossEntropy::new(), data, [&mut metric])?;
    Ok(metric.value())
}

/// −ln p of the class that is right, on average.
fn log_loss(probabilities: &Array2<f32>, data: &Dataset<f32>) -> Result<f64, Box<dyn Error>> {
    let Target::Classes(classes) = data.targets() else { return Err("a sex is a class".into()) };
    let terms = probabilities.rows().into_iter().zip(classes).map(|(p, &class)| -f64::from(p[class as usize]).ln());
    Ok(terms.sum::<f64>() / data.len() as f64)
}
