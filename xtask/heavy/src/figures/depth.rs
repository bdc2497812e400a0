//! Gradients on their way through a deep network.

use downhill::data::{Dataset, digits as handwritten};
use downhill::layers::{Affine, Mode, Relu, Sigmoid};
use downhill::losses::{SoftmaxCrossEntropy, Target};
use downhill::network::{Network, Purpose, Residual, Sequential, sequential};
use downhill::optim::{Sgd, gradient_norm};
use downhill::plot::{Chart, Panels, Theme};
use downhill::tensor::{Gain, Init, Seed};
use downhill::train::metrics::Accuracy;
use downhill::train::{TrainError, Trainer};

use super::Files;
use super::table::{digits, table};
use crate::Result;

/// Hidden layers, each this wide.
const DEPTH: usize = 20;
const WIDTH: usize = 64;

pub(super) fn add(files: &mut Files) -> Result {
    let (train, test) = handwritten::<f64>()?.stratified_split(0.8, Seed(1))?;
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for kind in KINDS {
        let signals = kind.signals(&train)?;
        let gradient = |layer: usize| digits(signals.backward[layer - 1], 1);
        rows.push([kind.name.to_owned(), gradient(1), gradient(DEPTH), kind.accuracy(&train, &test)?]);
        lines.push((kind, signals));
    }
    let header = ["", "‖∂J/∂b‖ of layer 1", "of layer 20", "test accuracy after 10 epochs"];
    files.insert("depth.md".into(), table(header, rows));
    files.insert("depth.svg".into(), draw(&lines));
    Ok(())
}

/// A hidden layer: an activation with a start of its weights.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    block: fn() -> Sequential,
    /// How the name of its output ends.
    output: &'static str,
}

fn affine(outputs: usize, init: Init) -> Affine {
    Affine::new(outputs).init(init).bias_init(Init::Zeros)
}

fn relu(init: Init) -> Sequential {
    sequential![affine(WIDTH, init), Relu]
}

fn sigmoid() -> Sequential {
    sequential![affine(WIDTH, Init::XavierNormal { gain: Gain::Linear }), Sigmoid]
}

const KINDS: [Kind; 5] = [
    Kind { name: "sigmoid, Xavier", block: sigmoid, output: ".1" },
    Kind { name: "ReLU, U(±1/√in)", block: || relu(Init::FanInUniform), output: ".1" },
    Kind {
        name: "ReLU, twice Kaiming",
        block: || relu(Init::KaimingNormal { gain: Gain::Custom(2.0 * Gain::Relu.value()) }),
        output: ".1",
    },
    Kind { name: "ReLU, Kaiming", block: || relu(Init::KaimingNormal { gain: Gain::Relu }), output: ".1" },
    Kind {
        name: "sigmoid, Xavier, with a skip connection",
        block: || sequential![Residual(sigmoid())],
        output: ".add",
    },
];

/// What arrives at each hidden layer from either end, before the first step.
struct Signals {
    /// The root mean square of its output.
    forward: Vec<f64>,
    /// ‖dJ/db‖ of its bias: the length of the sum of dJ/dz over the batch.
    backward: Vec<f64>,
}

impl Kind {
    fn network(&self, seed: u64) -> Result<Network<f64>> {
        let hidden = (0..DEPTH).fold(Sequential::new(), |chain, _| chain.then((self.block)()));
        let init = Init::XavierNormal { gain: Gain::Linear };
        Ok(Network::build([64], hidden.then(affine(10, init)), Seed(seed))?)
    }

    /// The geometric means over ten seeds.
    fn signals(&self, data: &Dataset<f64>) -> Result<Signals> {
        const SEEDS: u64 = 10;
        let Target::Classes(labels) = data.targets() else { return Err("digits have classes".into()) };
        let (x, mode) = (data.inputs(), Mode::Training { step: 0 });
        let (mut forward, mut backward) = (vec![0.0; DEPTH], vec![0.0; DEPTH]);
        for seed in 0..SEEDS {
            let network = self.network(seed)?;
            let theta = network.parameters();
            let mut workspace = network.workspace(Purpose::Training);
            let mut layers = forward.iter_mut();
            network.forward_observed(theta, x, &mut workspace, mode, |name, y| {
                if name.ends_with(self.output)
                    && let Some(sum) = layers.next()
                {
                    *sum += (gradient_norm(y.slice()) / (y.slice().len() as f64).sqrt()).ln();
                }
            })?;
            let (loss, target) = (SoftmaxCrossEntropy::new(), Target::Classes(labels));
            network.value_and_gradient(theta, x, target, &loss, &mut workspace, mode)?;
            let biases = network.segments().iter().filter(|segment| segment.name.ends_with("bias"));
            for (sum, bias) in backward.iter_mut().zip(biases) {
                *sum += gradient_norm(&workspace.gradient()[bias.range.clone()]).ln();
            }
        }
        let mean = |sums: Vec<f64>| sums.into_iter().map(|sum| (sum / SEEDS as f64).exp()).collect();
        Ok(Signals { forward: mean(forward), backward: mean(backward) })
    }

    /// The best of three learning rates.
    fn accuracy(&self, train: &Dataset<f64>, test: &Dataset<f64>) -> Result<String> {
        let mut best: Option<f64> = None;
        for rate in [0.003, 0.01, 0.03] {
            let mut network = self.network(0)?;
            let trained = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(rate).momentum(0.9))
                .epochs(10)
                .seed(Seed(1))
                .validate(test)
                .metric(Accuracy::new())
                .fit(&mut network, train);
            match trained {
                Ok(history) => {
                    let last = history.epochs.last().and_then(|epoch| epoch.metric("accuracy"));
                    best = if last > best { last } else { best };
                }
                Err(TrainError::Diverged(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(best.map_or("diverged".to_owned(), |accuracy| format!("{}%", digits(100.0 * accuracy, 2))))
    }
}

fn draw(lines: &[(Kind, Signals)]) -> String {
    let chart = |name: &str, values: fn(&Signals) -> &[f64]| {
        let chart = Chart::new("hidden layer", name).logarithmic_y().x_range(0.0, 21.0);
        lines.iter().fold(chart, |chart, (kind, signals)| chart.path(kind.name, numbered(values(signals))))
    };
    let forward = chart("size of the output y", |signals| &signals.forward).y_range(1e-10, 1e8).title("forward →");
    let backward = chart("‖∂J/∂b‖", |signals| &signals.backward).y_range(1e-14, 1e8).title("← backward");
    let panels = Panels::new(2).legend_of(&forward);
    let panels = [forward, backward].into_iter().fold(panels, |all, chart| all.panel(chart.no_legend().size(375, 380)));
    panels.theme(Theme::Page).to_svg()
}

fn numbered(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().enumerate().map(|(layer, &value)| (layer as f64 + 1.0, value)).collect()
}
