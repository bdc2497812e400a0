//! Gradients on their way through a deep network.

use downhill::data::{Dataset, TargetsView, digits as handwritten};
use downhill::layers::{Affine, Mode, Relu, Sigmoid, Tanh};
use downhill::losses::{SoftmaxCrossEntropy, Target};
use downhill::network::{Network, Purpose, Sequential};
use downhill::optim::{Sgd, gradient_norm};
use downhill::tensor::{Gain, Init, Seed};
use downhill::train::metrics::Accuracy;
use downhill::train::{TrainError, Trainer};
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::Files;
use super::plot::{Axis, BLUE, GREEN, GREY, ORANGE, PURPLE, Plot, figure};
use super::table::{digits, power, table};
use crate::Result;

/// Hidden layers, each this wide.
const DEPTH: usize = 20;
const WIDTH: usize = 64;

pub(super) fn add(files: &mut Files) -> Result {
    let (train, test) = handwritten::<f64>()?.stratified_split(0.8, Seed(1))?;
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for kind in KINDS {
        let norms = kind.norms(&train)?;
        let accuracy = kind.accuracy(&train, &test)?;
        rows.push([
            kind.name.to_owned(),
            power(norms[0], 1),
            power(norms[DEPTH - 1], 1),
            accuracy,
        ]);
        lines.push((kind, norms));
    }
    let header = ["", "‖∂J/∂W‖ of layer 1", "of layer 20", "test accuracy after 10 epochs"];
    files.insert("depth.md".into(), table(header, rows));
    files.insert("depth.svg".into(), draw(&lines)?);
    Ok(())
}

/// An activation with a start of its weights.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    color: RGBColor,
    block: fn() -> Sequential,
}

fn affine(outputs: usize, init: Init) -> Affine {
    Affine::new(outputs).with_init(init).with_bias_init(Init::Zeros)
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "ReLU, Kaiming with twice its gain",
        color: PURPLE,
        block: || {
            let init = Init::KaimingNormal { gain: Gain::Custom(2.0 * Gain::Relu.value()) };
            Sequential::new().then(affine(WIDTH, init)).then(Relu)
        },
    },
    Kind {
        name: "ReLU, Kaiming",
        color: GREEN,
        block: || Sequential::new().then(affine(WIDTH, Init::KaimingNormal { gain: Gain::Relu })).then(Relu),
    },
    Kind {
        name: "tanh, Xavier",
        color: GREY,
        block: || Sequential::new().then(affine(WIDTH, Init::XavierNormal { gain: Gain::Linear })).then(Tanh),
    },
    Kind {
        name: "ReLU, U(±1/√in)",
        color: BLUE,
        block: || Sequential::new().then(affine(WIDTH, Init::FanInUniform)).then(Relu),
    },
    Kind {
        name: "sigmoid, Xavier",
        color: ORANGE,
        block: || Sequential::new().then(affine(WIDTH, Init::XavierNormal { gain: Gain::Linear })).then(Sigmoid),
    },
];

impl Kind {
    fn network(&self, seed: u64) -> Result<Network<f64>> {
        let hidden = (0..DEPTH).fold(Sequential::new(), |chain, _| chain.then((self.block)()));
        let init = Init::XavierNormal { gain: Gain::Linear };
        Ok(Network::build([64], hidden.then(affine(10, init)), Seed(seed))?)
    }

    /// ‖dJ/dW‖ of each hidden layer before the first step: the geometric mean over ten seeds.
    fn norms(&self, data: &Dataset<f64>) -> Result<Vec<f64>> {
        const SEEDS: u64 = 10;
        let TargetsView::Classes(labels) = data.targets() else { return Err("digits have classes".into()) };
        let mut logarithms = vec![0.0; DEPTH];
        for seed in 0..SEEDS {
            let network = self.network(seed)?;
            let mut workspace = network.workspace(Purpose::Training);
            let loss = SoftmaxCrossEntropy::new();
            let (theta, x, mode) = (network.parameters(), data.inputs(), Mode::Training { step: 0 });
            network.value_and_gradient(theta, x, Target::Classes(labels), &loss, &mut workspace, mode)?;
            let weights = network.segments().iter().filter(|segment| segment.name.ends_with("weight"));
            for (sum, segment) in logarithms.iter_mut().zip(weights) {
                *sum += gradient_norm(&workspace.gradient()[segment.range.clone()]).ln() / SEEDS as f64;
            }
        }
        Ok(logarithms.into_iter().map(f64::exp).collect())
    }

    fn accuracy(&self, train: &Dataset<f64>, test: &Dataset<f64>) -> Result<String> {
        let mut network = self.network(0)?;
        let trained = Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.02).momentum(0.9))
            .epochs(10)
            .seed(Seed(1))
            .validate(test)
            .metric(Accuracy::new())
            .fit(&mut network, train);
        match trained {
            Ok(history) => {
                let last = history.epochs.last().and_then(|epoch| epoch.metric("accuracy"));
                Ok(format!("{}%", digits(100.0 * last.ok_or("there is an accuracy")?, 2)))
            }
            Err(TrainError::Diverged(_)) => Ok("diverged".to_owned()),
            Err(error) => Err(error.into()),
        }
    }
}

fn draw(lines: &[(Kind, Vec<f64>)]) -> Result<String> {
    figure(420, |area| {
        let x = Axis::new("hidden layer, from the input on", 0.5, 20.5, [1.0, 5.0, 10.0, 15.0, 20.0]);
        let mut plot = Plot::new(area, "", x, Axis::decades("‖∂J/∂W‖", -16, 8, 4))?;
        for (kind, norms) in lines {
            let points = || norms.iter().enumerate().map(|(layer, &norm)| (layer as f64 + 1.0, norm));
            plot.line(points(), kind.color, 4)?;
            plot.dots(points(), kind.color, 6)?;
            plot.label((1.0, norms[0] * 3.0), kind.name, kind.color, HPos::Left, VPos::Bottom)?;
        }
        Ok(())
    })
}
