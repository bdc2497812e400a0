//! One picture of each kind, of networks that were trained on digits, on two moons and on a slope.

use std::error::Error;

use downhill_data::{Columns, Dataset, StandardScaler, Table, Target, Targets, digits};
use downhill_explain::Explain;
use downhill_layers::{Affine, Conv2d, Flatten, MaxPool2d, Relu, Sigmoid, Tanh};
use downhill_losses::{MeanSquaredError, SoftmaxCrossEntropy};
use downhill_model::Model;
use downhill_network::{Network, Residual, branches, sequential};
use downhill_optim::minimize::minimize;
use downhill_optim::schedule::Cosine;
use downhill_optim::test_functions::rosenbrock;
use downhill_optim::{Adam, Sgd};
use downhill_plot::{
    Align, Chart, ConfusionPlot, DecisionRegions, DescentPlot, Diagram, FiltersPlot, GradientFlow, HistogramPlot,
    Landscape, Language, ModelReport, Panels, Picture, PlotHistory, PlotNetwork, PlotPasses, PlotRates,
    PrecisionRecallPlot, PredictedPlot, ReliabilityPlot, Report, ResidualPlot, RocPlot, Tone, Trajectory,
};
use downhill_tensor::{Batch, Seed};
use downhill_train::metrics::{Accuracy, ConfusionMatrix, ExpectedCalibrationError};
use downhill_train::{EarlyStopping, Trainer, evaluate};
use downhill_tune::RateFinder;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Each kind of picture with a name for its file.
pub(crate) fn all(language: Language) -> Result<Vec<(&'static str, Picture)>> {
    let mut all = of_digits(language)?;
    all.extend(of_moons(language)?);
    all.extend(of_functions(language)?);
    Ok(all)
}

fn of_digits(language: Language) -> Result<Vec<(&'static str, Picture)>> {
    let loss = SoftmaxCrossEntropy::new();
    let (train, test) = digits::<f32>()?.stratified_split(0.5, Seed(1))?;
    let mut network = Network::build([1, 8, 8], sequential![Flatten, Affine::new(24), Relu, Affine::new(10)], Seed(2))?;
    let train = train.reshape([1, 8, 8])?;
    let test = test.reshape([1, 8, 8])?;
    let curve = RateFinder::new().batch_size(32).find(&network, &train, loss.clone(), &Adam::new(1e-3))?;
    let mut trajectory = Trajectory::new();
    let history = Trainer::new(loss.clone(), Adam::new(5e-3))
        .epochs(60)
        .schedule(Cosine::new(60 * 28))
        .validate(&test)
        .metric(Accuracy::new())
        .early_stopping(EarlyStopping::new().patience(12))
        .callback(&mut trajectory)
        .fit(&mut network, &train)?;
    let (mut confusion, mut calibration) = (ConfusionMatrix::new(), ExpectedCalibrationError::new().bins(10));
    evaluate(&network, &loss, &test, [&mut confusion])?;
    evaluate(&network, &loss, &test, [&mut calibration])?;
    let few = test.select(&Vec::from_iter(0..200))?;

    // Deep, with sigmoids: its gradient vanishes.
    let deep = sequential![
        Flatten,
        Affine::new(16),
        Sigmoid,
        Affine::new(16),
        Sigmoid,
        Affine::new(16),
        Sigmoid,
        Affine::new(10)
    ];
    let mut deep = Network::build([1, 8, 8], deep, Seed(3))?;
    let mut flow = GradientFlow::new();
    Trainer::new(loss.clone(), Adam::new(5e-3)).epochs(20).callback(&mut flow).fit(&mut deep, &train)?;

    let convolution = sequential![Conv2d::new(12, 3), Relu, MaxPool2d::new(2), Flatten, Affine::new(10)];
    let mut convolution = Network::build([1, 8, 8], convolution, Seed(4))?;
    Trainer::new(loss.clone(), Adam::new(5e-3)).epochs(5).fit(&mut convolution, &train)?;

    let side = branches![concat 0; Affine::new(6), sequential![Affine::new(4), Relu], Affine::new(2)];
    let wired = sequential![Affine::new(12), side, Residual(sequential![Affine::new(12), Relu]), Affine::new(3)];
    let wired = Network::<f32>::build([4], wired, Seed(1))?;

    let landscape = Landscape::new().resolution(21);
    Ok(vec![
        ("history", history.plot().language(language).into()),
        ("rates", curve.plot().language(language).into()),
        ("confusion", ConfusionPlot::from(&confusion).language(language).into()),
        ("reliability", ReliabilityPlot::from(&calibration).language(language).into()),
        ("weights", HistogramPlot::weights(&network).language(language).into()),
        ("activations", HistogramPlot::activations(&deep, few.inputs())?.language(language).into()),
        ("gradient_flow", flow.plot().language(language).into()),
        ("filters", FiltersPlot::of(&network)?.language(language).into()),
        ("kernels", FiltersPlot::of(&convolution)?.language(language).into()),
        ("network", network.plot().language(language).into()),
        ("wired", wired.plot().language(language).title("Branches").into()),
        ("landscape_random", landscape.clone().random(&network, &few, &loss)?.language(language).into()),
        ("landscape_path", landscape.along(&network, &few, &loss, &trajectory)?.language(language).into()),
    ])
}

/// Two half circles that reach into each other, with noise.
pub(crate) fn moons(count: usize, noise: f64, seed: Seed) -> Result<Dataset<f64>> {
    let mut stream = seed.stream(0);
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for index in 0..count {
        let class = (index % 2) as u32;
        let angle = std::f64::consts::PI * stream.uniform();
        let (u, v) = (1.0 - stream.uniform(), stream.uniform());
        let off = noise * (-2.0 * u.ln()).sqrt();
        let (sin, cos) = angle.sin_cos();
        let (a, b) = if class == 0 { (cos, sin) } else { (1.0 - cos, 0.5 - sin) };
        let turn = std::f64::consts::TAU * v;
        x.extend([a + off * turn.cos(), b + off * turn.sin()]);
        labels.push(class);
    }
    Ok(Dataset::new(x, [2], Targets::classes(labels, 2))?)
}

fn of_moons(language: Language) -> Result<Vec<(&'static str, Picture)>> {
    let (train, test) = (moons(200, 0.25, Seed(1))?, moons(400, 0.25, Seed(2))?);
    let loss = SoftmaxCrossEntropy::new();
    let mut network = Network::build([2], sequential![Affine::new(16), Tanh, Affine::new(2)], Seed(1))?;
    let mut line = Network::build([2], Affine::new(2), Seed(1))?;
    Trainer::new(loss.clone(), Adam::new(0.03)).epochs(60).fit(&mut network, &train)?;
    Trainer::new(loss.clone(), Adam::new(0.03)).epochs(60).fit(&mut line, &train)?;
    let Target::Classes(labels) = test.targets() else { return Err("moons are classes".into()) };
    let truth = || labels.iter().map(|&label| label == 1);
    let scores = |network: &Network<f64>| {
        Ok::<Vec<f64>, Box<dyn Error>>(network.probabilities(test.inputs())?.column(1).to_vec())
    };
    let (good, poor) = (scores(&network)?, scores(&line)?);
    let names = match language {
        Language::Korean => ["은닉층 있음", "은닉층 없음"],
        _ => ["a hidden layer", "no hidden layer"],
    };
    let roc = RocPlot::empty().curve(names[0], good.clone(), truth())?.curve(names[1], poor.clone(), truth())?;
    let precision = PrecisionRecallPlot::empty().curve(names[0], good, truth())?.curve(names[1], poor, truth())?;

    // Five classes on a ring.
    let mut stream = Seed(7).stream(0);
    let (mut x, mut ring) = (Vec::new(), Vec::new());
    for index in 0..250 {
        let class = index % 5;
        let angle = (f64::from(class) + 0.8 * stream.uniform()) * std::f64::consts::TAU / 5.0;
        let radius = 1.0 + 1.5 * stream.uniform();
        x.extend([radius * angle.cos(), radius * angle.sin()]);
        ring.push(class as u32);
    }
    let ring = Dataset::new(x, [2], Targets::classes(ring, 5))?;
    let mut five = Network::build([2], sequential![Affine::new(24), Tanh, Affine::new(5)], Seed(1))?;
    Trainer::new(loss, Adam::new(0.02)).epochs(60).fit(&mut five, &ring)?;
    Ok(vec![
        ("regions", DecisionRegions::of(&network, &train)?.language(language).into()),
        ("regions_of_five", DecisionRegions::of(&five, &ring)?.language(language).into()),
        ("roc", roc.language(language).into()),
        ("precision_recall", precision.language(language).into()),
    ])
}

fn of_functions(language: Language) -> Result<Vec<(&'static str, Picture)>> {
    let valley = rosenbrock();
    let mut descent = DescentPlot::of(&valley).language(language).x_range(-1.7, 1.7).y_range(-0.8, 1.8);
    let path = |points: Vec<Vec<f64>>| points.into_iter().map(|x| (x[0], x[1]));
    let objective = |x: &[f64], gradient: &mut [f64]| valley.evaluate(x, gradient);
    let run = minimize(objective, valley.start()).optimizer(Sgd::new(1.5e-3)).iterations(150).record_path().run()?;
    descent = descent.path("SGD", path(run.path));
    let run = minimize(objective, valley.start())
        .optimizer(Sgd::new(2e-4).momentum(0.95))
        .iterations(150)
        .record_path()
        .run()?;
    descent = descent.path(if language == Language::Korean { "모멘텀" } else { "momentum" }, path(run.path));
    let run = minimize(objective, valley.start()).optimizer(Adam::new(0.1)).iterations(150).record_path().run()?;
    descent = descent.path("Adam", path(run.path));

    let mut stream = Seed(5).stream(0);
    let x: Vec<f64> = (0..160).map(|_| 6.0 * stream.uniform() - 3.0).collect();
    let y: Vec<f64> = x.iter().map(|x| 20.0 + 4.0 * x.sin() + 2.0 * (stream.uniform() - 0.5)).collect();
    let data = Dataset::new(x, [1], Targets::values(y.iter().map(|y| y - 20.0).collect(), [1]))?;
    let mut network = Network::build([1], sequential![Affine::new(12), Tanh, Affine::new(1)], Seed(1))?;
    Trainer::new(MeanSquaredError::new(), Adam::new(0.03)).epochs(80).fit(&mut network, &data)?;
    let predicted: Vec<f64> = network.predict(data.inputs())?.iter().map(|y| y + 20.0).collect();

    let activations = (-40..=40).map(|i| f64::from(i) / 10.0);
    let chart = Chart::new("x", "f(x)")
        .line("tanh", activations.clone().map(|x| (x, x.tanh())))
        .line("sigmoid", activations.clone().map(|x| (x, 1.0 / (1.0 + (-x).exp()))))
        .line("ReLU", activations.map(|x| (x, x.max(0.0))))
        .y_range(-1.2, 2.2);
    let target = |t: &[f64]| network_passes(t, language);
    Ok(vec![
        ("passes", target(&[0.5, 1.0])?),
        ("passes_norms", target(&[0.5, 1.0, -1.0, 0.2, 2.0, 0.0])?),
        ("descent", descent.into()),
        ("predicted", PredictedPlot::new(predicted.clone(), y.clone())?.unit("°C").language(language).into()),
        ("residuals", ResidualPlot::new(predicted, y)?.unit("°C").language(language).into()),
        ("chart", chart.language(language).into()),
        ("panels", walks(language)?),
        ("diagram", diagram(language)),
    ])
}

/// Two walks into a valley that is steep in one direction, each with its errors by step.
fn walks(language: Language) -> Result<Picture> {
    let valley = |x: &[f64], gradient: &mut [f64]| {
        (gradient[0], gradient[1]) = (x[0], 10.0 * x[1]);
        0.5 * (x[0] * x[0] + 10.0 * x[1] * x[1])
    };
    let mut panels = Panels::new(2);
    for (series, rate) in [0.05, 0.19].into_iter().enumerate() {
        let run = minimize(valley, [5.0, 1.0]).optimizer(Sgd::new(rate)).iterations(20).record_path().run()?;
        let path = run.path.iter().map(|x| (x[0], x[1]));
        let errors = run.path.iter().enumerate().map(|(step, x)| (step as f64, x[0].hypot(x[1])));
        let plane = DescentPlot::new(move |x, y| valley(&[x, y], &mut [0.0; 2]))
            .levels([0.1, 1.0, 3.0, 6.0, 10.0])
            .path(format!("γ = {rate}"), path)
            .tone(Tone::Series(series))
            .minimum(0.0, 0.0)
            .equal_axes()
            .mark_every_step();
        let chart = Chart::new("", "").path("", errors).tone(Tone::Series(series)).logarithmic_y();
        let chart = chart.label((19.5, 4.0), Align::Right, format!("γ = {rate}"));
        panels = panels.panel(plane.language(language).size(560, 300)).panel(chart.language(language).size(300, 300));
    }
    Ok(panels.into())
}

/// A layer with what goes in and out of it.
fn diagram(language: Language) -> Picture {
    let (forward, backward) = (Tone::Series(0), Tone::Series(1));
    let mut diagram = Diagram::new().block((130.0, 40.0), (250.0, 130.0), "affine", "z = x W + b");
    for (from, to, value, gradient) in [(20.0, 128.0, "x", "∂J/∂x"), (252.0, 360.0, "z", "∂J/∂z")] {
        let middle = (from + to) / 2.0;
        diagram = diagram
            .arrow((from, 65.0), (to, 65.0), forward)
            .text((middle, 51.0), Align::Middle, value, forward)
            .arrow((to, 105.0), (from, 105.0), backward)
            .text((middle, 121.0), Align::Middle, gradient, backward);
    }
    diagram.language(language).size(380, 170).into()
}

/// The passes of a network with a skip connection over examples of two numbers with these targets.
fn network_passes(targets: &[f64], language: Language) -> Result<Picture> {
    let block = sequential![Affine::new(2), Residual(sequential![Affine::new(2), Tanh]), Affine::new(1)];
    let network = Network::<f64>::build([2], block, Seed(1))?;
    let x: Vec<f64> = (0..2 * targets.len()).map(|index| 0.5 * index as f64 - 1.0).collect();
    let x = Batch::new(&x, targets.len(), [2])?;
    let explanation = network.explain(x, Target::Values(targets), &MeanSquaredError::new())?;
    Ok(explanation.plot().language(language).into())
}

/// A report of a model of flowers' sizes, whose classes overlap a little.
pub(crate) fn report(language: Language) -> Result<Report> {
    let mut stream = Seed(3).stream(0);
    let mut rows = String::from("length,width,kind\n");
    for index in 0..240 {
        let (name, length, width) =
            [("setosa", 5.0, 3.4), ("versicolor", 6.0, 2.8), ("virginica", 6.8, 3.0)][index % 3];
        let (a, b) = (stream.uniform() + stream.uniform() - 1.0, stream.uniform() + stream.uniform() - 1.0);
        rows += &format!("{:.2},{:.2},{name}\n", length + 0.9 * a, width + 0.6 * b);
    }
    let table = Table::read(rows.as_bytes())?;
    let schema = Columns::for_class("kind").numeric(["length", "width"]).fit(&table)?;
    let data = schema.dataset::<f32>(&table)?;
    let scaler = StandardScaler::fit(data.inputs().matrix())?;
    let mut network = Network::build([2], sequential![Affine::new(12), Relu, Affine::new(3)], Seed(1))?;
    let scaled = data.scale_inputs(&scaler)?;
    let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.02)).epochs(30);
    let history = trainer.fit(&mut network, &scaled)?;
    let model = Model::builder(network).schema(schema).input_scaler(scaler).note("rows", "240").build()?;
    let mut report = ModelReport::new(&model)?.language(language).history(&history);
    report.add(&table)?;
    Ok(report.report()?)
}
