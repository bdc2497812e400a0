//! The chapter on tables: is a penguin male or female? In f64, so that the pictures are the same on every machine.

use downhill::data::{Column, Columns, Dataset, Missing, StandardScaler, Table};
use downhill::layers::{Affine, Relu};
use downhill::losses::SoftmaxCrossEntropy;
use downhill::network::{Network, sequential};
use downhill::optim::AdamW;
use downhill::tensor::Seed;
use downhill::train::metrics::Accuracy;
use downhill::train::{EarlyStopping, History, Trainer};
use downhill::tune::PermutationImportance;
use plotters::style::text_anchor::HPos;

use super::Files;
use super::plot::{Axis, BLUE, GREY, INK, ORANGE, Plot, figure};
use super::table::table;
use crate::{Result, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    let penguins = Table::read_path(workspace::root().join("crates/downhill/examples/data/penguins.csv"))?;
    files.insert("sexes.svg".into(), scatter(&penguins)?);
    let run = run(&penguins)?;
    files.insert("sexes-curve.svg".into(), curves(&run.history)?);
    files.insert("sexes.md".into(), run.importance()?);
    Ok(())
}

/// Mass over the depth of the bill, in a colour for each sex.
fn scatter(penguins: &Table) -> Result<String> {
    let (depths, masses) = (penguins.column("bill_depth_mm")?, penguins.column("body_mass_g")?);
    let mut dots = Vec::new();
    for ((depth, mass), sex) in depths.zip(masses).zip(penguins.column("sex")?) {
        if sex != "NA" {
            dots.push((depth.parse::<f64>()?, mass.parse::<f64>()? / 1000.0, sex == "female"));
        }
    }
    // Many penguins have the same two numbers.
    dots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    dots.dedup();
    figure(360, |area| {
        let x = Axis::new("bill depth in mm", 12.8, 22.2, [14.0, 16.0, 18.0, 20.0, 22.0]);
        let mut plot = Plot::new(area, "", x, Axis::new("mass in kg", 2.4, 6.6, [3.0, 4.0, 5.0, 6.0]))?;
        for (is_female, color) in [(false, BLUE), (true, ORANGE)] {
            let those = dots.iter().filter(|dot| dot.2 == is_female);
            plot.dots(those.map(|&(depth, mass, _)| (depth, mass)), color, 3.0)?;
        }
        plot.label((13.1, 5.9), "Gentoo", INK, HPos::Left)?;
        plot.label((20.4, 3.0), "Adelie, Chinstrap", INK, HPos::Center)?;
        plot.label((21.9, 6.2), "male", BLUE, HPos::Right)?;
        plot.label((21.9, 5.9), "female", ORANGE, HPos::Right)
    })
}

/// A network that stopped in time, and what it is judged on.
struct Run {
    network: Network<f64>,
    history: History,
    test: Dataset<f64>,
}

/// The run of the chapter.
fn run(penguins: &Table) -> Result<Run> {
    let (train, rest) = penguins.stratified_split("sex", 0.6, Seed(1))?;
    let (validation, test) = rest.stratified_split("sex", 0.5, Seed(2))?;
    let schema = Columns::for_class(Column::new("sex").missing(Missing::Drop))
        .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])
        .categorical(["species", "island"])
        .missing(Missing::Fill)
        .fit(&train)?;
    let scaler = StandardScaler::fit(schema.dataset::<f64>(&train)?.inputs().matrix())?;
    let numbers = |part: &Table| schema.dataset::<f64>(part)?.scale_inputs(&scaler);
    let (train, validation, test) = (numbers(&train)?, numbers(&validation)?, numbers(&test)?);
    let mlp = sequential![Affine::new(16), Relu, Affine::new(2)];
    let mut network = Network::build(train.input_shape(), mlp, Seed(3))?;
    let history = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.01))
        .epochs(200)
        .batch_size(16)
        .validate(&validation)
        .early_stopping(EarlyStopping::new().patience(15))
        .fit(&mut network, &train)?;
    Ok(Run { network, history, test })
}

/// The losses of each epoch, and the epoch that is kept.
fn curves(history: &History) -> Result<String> {
    let last = history.epochs.len() as f64;
    figure(300, |area| {
        let x = Axis::new("epoch", 0.0, last + 1.0, [1.0, 5.0, 10.0, 15.0, 20.0]);
        let mut plot = Plot::new(area, "", x, Axis::new("loss", 0.0, 0.7, [0.0, 0.2, 0.4, 0.6]))?;
        if let Some(kept) = history.kept() {
            let epoch = kept.epoch as f64;
            plot.line([(epoch, 0.0), (epoch, 0.7)], GREY, 1.2)?;
            plot.label((epoch + 0.2, 0.65), "this epoch is kept", GREY, HPos::Left)?;
        }
        let validation = history.epochs.iter().filter_map(|end| Some((end.epoch as f64, end.validation_loss?)));
        plot.line(validation, ORANGE, 2.4)?;
        plot.line(history.epochs.iter().map(|end| (end.epoch as f64, end.training_loss)), BLUE, 2.4)?;
        plot.label((17.0, 0.27), "validation", ORANGE, HPos::Center)?;
        plot.label((17.0, 0.08), "training", BLUE, HPos::Center)
    })
}

impl Run {
    /// How many right answers are lost if a column is shuffled.
    fn importance(&self) -> Result<String> {
        let importances = PermutationImportance::new()
            .group("species", 4..7)
            .group("island", 7..10)
            .repeats(20)
            .measure_by(Accuracy::new(), &self.network, &SoftmaxCrossEntropy::new(), &self.test)?;
        let name = |name: &str| match name {
            "bill_length_mm" => "bill length",
            "bill_depth_mm" => "bill depth",
            "flipper_length_mm" => "flipper length",
            "body_mass_g" => "mass",
            "species" => "species",
            _ => "island",
        };
        let ranked = importances.ranked();
        let rows = ranked.iter().map(|column| {
            let percent = |share: f64| format!("{:.0}", 100.0 * share).replace("-0", "0").replace('-', "−");
            [name(&column.name).to_owned(), format!("{} ± {}", percent(column.mean), percent(column.deviation))]
        });
        Ok(table(["shuffled", "right answers lost, of 100"], rows))
    }
}
