//! The chapter on tables: is a penguin male or female? In f64, so that the pictures are the same on every machine.

use downhill::data::{Column, Columns, Dataset, Missing, StandardScaler, Table};
use downhill::layers::{Affine, Relu};
use downhill::losses::SoftmaxCrossEntropy;
use downhill::network::{Network, sequential};
use downhill::optim::AdamW;
use downhill::plot::{Align, Chart, PlotHistory, Theme};
use downhill::tensor::Seed;
use downhill::train::metrics::Accuracy;
use downhill::train::{EarlyStopping, History, Trainer};
use downhill::tune::PermutationImportance;

use super::Files;
use super::table::table;
use crate::{Result, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    let penguins = Table::read_path(workspace::root().join("crates/downhill/examples/data/penguins.csv"))?;
    files.insert("sexes.svg".into(), scatter(&penguins)?);
    let run = run(&penguins)?;
    files.insert("sexes-curve.svg".into(), run.curves());
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
    let mut chart = Chart::new("bill depth in mm", "mass in kg")
        .x_range(12.8, 22.2)
        .y_range(2.4, 6.6)
        .label((13.1, 5.9), Align::Left, "Gentoo")
        .label((20.4, 3.0), Align::Middle, "Adelie, Chinstrap");
    for (name, is_female) in [("male", false), ("female", true)] {
        let those = dots.iter().filter(|dot| dot.2 == is_female);
        chart = chart.points(name, those.map(|&(depth, mass, _)| (depth, mass))).width(6.0);
    }
    Ok(chart.size(750, 380).theme(Theme::Page).to_svg())
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

impl Run {
    /// The losses of each epoch, and the epoch that is kept.
    fn curves(&self) -> String {
        self.history.plot().no_learning_rate().size(750, 320).theme(Theme::Page).to_svg()
    }

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
