//! Sequences of calls as a program makes them over its days: a network is built, trained, saved, opened, resumed,
//! changed and trained again, with data that fit and that don't, and with files that something has damaged.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use downhill::formats::{npz, safetensors};
use downhill::layers::{BatchNorm, Conv1d, Gru, Inputs};
use downhill::losses::{DynLoss, Hinge, Huber, PoissonNll, Quantile};
use downhill::model::Model;
use downhill::network::{CustomLayers, Frozen, Sequential, Shared};
use downhill::optim::schedule::{OneCycle, ReduceOnPlateau};
use downhill::optim::{Lookahead, Penalty, RmsProp, ScheduleFreeAdamW};
use downhill::prelude::*;
use downhill::tensor::Shape;
use downhill::tensor::threads::Threads;
use downhill::train::{Cause, Checkpoints, Every, StopHandle, TrainError};

use crate::draw::Draw;
use crate::{answer, data, networks, optimizers};

type Any<'a> = Trainer<'a, f64, Box<dyn DynLoss>, Box<dyn Optimizer<f64>>>;

pub(crate) fn scene(draw: &mut Draw) {
    // Half of all programs make no mistake on purpose, so that they come far.
    let careful = draw.chance(0.5);
    let temporary = tempfile::tempdir().expect("tests have a place for files");
    let folder = temporary.path();
    let Some(mut network) = network(draw) else { return };
    let Some(validation) = dataset(draw, careful, &network) else { return };
    let Some(mut data) = dataset(draw, careful, &network) else { return };
    let mut trainer = any_trainer(draw, careful, &data, &validation, folder);
    for _ in 0..draw.within(3..12) {
        match draw.below(20) {
            0..6 => {
                // A program that starts again has another trainer with the same settings, or others.
                if draw.chance(0.7) {
                    trainer = any_trainer(draw, careful, &data, &validation, folder);
                }
                draw.note("fit");
                train(&mut network, |network| trainer.fit(network, &data).map(drop));
            }
            6 | 7 => {
                draw.note("continue_fit");
                train(&mut network, |network| trainer.continue_fit(network, &data).map(drop));
            }
            8 | 9 => step(draw, &mut trainer, &mut network),
            10 => {
                network = self::network(draw).unwrap_or(network);
                if careful {
                    data = dataset(draw, careful, &network).unwrap_or(data);
                }
            }
            11 => {
                // The same layers as in the first program, with other parameters.
                let description = answer(network.description());
                draw.note("build the description");
                network = description.and_then(|network| answer(network.build())).unwrap_or(network);
            }
            12 | 13 => data = dataset(draw, careful, &network).unwrap_or(data),
            14 => network = saved(draw, network, &data, folder),
            15 => weights(draw, &mut network, folder),
            16 => damage(draw, folder),
            17 if !careful => disturb(draw, &mut network, &mut trainer),
            _ => ask(draw, &network, &data),
        }
    }
}

/// A network of a few layers that usually fit, or of any.
fn network(draw: &mut Draw) -> Option<Network<f64>> {
    if draw.chance(0.2) {
        return networks::network(draw);
    }
    let mut layers = Sequential::new();
    let input: Shape = match draw.below(8) {
        0 => {
            layers = layers.then(Gru::new(draw.small()).last_state());
            [4, 2].into()
        }
        1 => {
            layers = layers.then(Conv1d::new(2, 2)).then(Flatten);
            [2, 5].into()
        }
        _ => [draw.small()].into(),
    };
    for _ in 0..draw.below(5) {
        layers = match draw.below(9) {
            0 => layers.then(Relu),
            1 => layers.then(Tanh),
            2 => layers.then(BatchNorm::new()),
            3 => layers.then(Dropout::new(0.3)),
            4 => layers.then(LayerNorm::new()),
            5 => layers.then(Frozen(Affine::new(draw.small()))),
            6 => layers.then(Residual(Shared::new(Tanh))),
            _ => layers.then(Affine::new(draw.small())),
        };
    }
    let layers = layers.then(Affine::new(draw.small()));
    draw.note(format!("build for {input}: {layers:?}"));
    answer(Network::build(input, layers, Seed(draw.below(3) as u64)))
}

/// Data that fit the network, as a rule.
fn dataset(draw: &mut Draw, careful: bool, network: &Network<f64>) -> Option<Dataset<f64>> {
    if !careful && draw.chance(0.2) {
        return data::dataset(draw);
    }
    let examples = if careful || draw.chance(0.8) { draw.within(2..20) } else { draw.below(2) };
    let output = network.output_shape();
    let mut inputs = network.input_shapes().into_iter().enumerate().map(|(index, shape)| {
        let mut numbers = draw.numbers(shape.len() * examples);
        if network.holds_whole_numbers(index) {
            numbers.iter_mut().for_each(|x| *x = 1.0);
        }
        (numbers, shape)
    });
    let (numbers, shape) = inputs.next()?;
    let inputs: Vec<_> = inputs.collect();
    let targets = if draw.chance(0.4) {
        Targets::classes((0..examples).map(|_| draw.below(output.len()) as u32).collect(), output.len())
    } else {
        Targets::values(draw.numbers(examples * output.len()), output)
    };
    draw.note(format!("Dataset::new({examples} x {shape}, {targets:?})"));
    let mut data = answer(Dataset::new(numbers, shape, targets))?;
    for (numbers, shape) in inputs {
        data = answer(data.with_input(numbers, shape))?;
    }
    if draw.chance(0.1) {
        draw.note("with_weights");
        return answer(data.with_weights(draw.numbers(examples)));
    }
    Some(data)
}

fn loss(draw: &mut Draw, careful: bool, data: &Dataset<f64>) -> Box<dyn DynLoss> {
    match if careful { 9 } else { draw.below(10) } {
        0 => Box::new(Hinge::new()),
        1 => Box::new(PoissonNll::new()),
        2 => Box::new(Quantile::new(draw.number())),
        3 => Box::new(BinaryCrossEntropyWithLogits::new()),
        4 => Box::new(Huber::new(1.0)),
        _ if data.classes().is_some() => Box::new(SoftmaxCrossEntropy::new()),
        _ => Box::new(MeanSquaredError::new()),
    }
}

/// A trainer that may write checkpoints and go on from them.
fn any_trainer<'a>(
    draw: &mut Draw,
    careful: bool,
    data: &Dataset<f64>,
    validation: &'a Dataset<f64>,
    folder: &Path,
) -> Any<'a> {
    let optimizer: Box<dyn Optimizer<f64>> = match draw.below(8) {
        0 if !careful => optimizers::optimizer(draw),
        1 => Box::new(Sgd::new(0.1).momentum(0.9)),
        2 => Box::new(RmsProp::new(0.01).centered()),
        3 => Box::new(Lookahead::new(Adam::new(0.01)).every(2)),
        4 => Box::new(ScheduleFreeAdamW::new(0.01)),
        // Its steps leave the finite numbers.
        5 if !careful => Box::new(GradientDescent::new(1e150)),
        _ => Box::new(Adam::new(0.01)),
    };
    let epochs = if careful || draw.chance(0.9) { draw.within(1..4) } else { 0 };
    let batch_size = if careful || draw.chance(0.8) { draw.small() } else { draw.size() };
    let mut trainer = Trainer::new(loss(draw, careful, data), optimizer).epochs(epochs as u64).batch_size(batch_size);
    let mut settings = Vec::new();
    let number = |draw: &mut Draw| if careful { 0.5 } else { draw.number() };
    for _ in 0..draw.below(5) {
        let kind = draw.below(17);
        settings.push(kind);
        trainer = match kind {
            0 => trainer.validate(validation),
            1 => trainer.metric(Accuracy::new()),
            2 => trainer.early_stopping(EarlyStopping::new().patience(draw.below(2) as u64)),
            3 => {
                let rule = EarlyStopping::new().on_metric("accuracy").min_delta(number(draw));
                let trainer = if draw.chance(0.8) { trainer.metric(Accuracy::new()) } else { trainer };
                trainer.early_stopping(rule)
            }
            4 => trainer.accumulate(draw.below(4).max(usize::from(careful)) as u64),
            5 => trainer.exponential_average(number(draw)),
            6 => trainer.average_from_epoch(draw.below(4) as u64),
            7 => trainer.schedule(OneCycle::new(10)),
            8 if !careful => trainer.schedule_per_epoch(optimizers::schedule(draw)),
            9 => trainer.reduce_on_plateau(ReduceOnPlateau::new()),
            10 => trainer.penalty(Penalty::elastic(number(draw), 0.1)),
            11 => trainer.clip_norm(number(draw)),
            12 => trainer.clip_value(number(draw)),
            13 => trainer.drop_last(),
            14 => {
                let last = draw.below(7) as u64;
                trainer.on_step(
                    move |step| {
                        if step.step < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    },
                )
            }
            15 => {
                let stop = StopHandle::new();
                stop.stop();
                trainer.stop_handle(stop)
            }
            _ => match answer(Threads::new(draw.below(4))) {
                Some(threads) => trainer.threads(threads),
                None => trainer,
            },
        };
    }
    if careful || draw.chance(0.5) {
        let every = match draw.below(5) {
            0 => Every::Epochs(draw.below(3).max(usize::from(careful)) as u64),
            1 => Every::Time(draw.pick(&[Duration::ZERO, Duration::MAX])),
            2 if !careful => Every::Steps(draw.size() as u64),
            _ => Every::Steps(draw.within(1..4) as u64),
        };
        let checkpoints = Checkpoints::new(place(draw, careful, folder), every).keep_best(draw.below(3));
        let checkpoints = if draw.chance(0.3) { checkpoints.keep_last(draw.small()) } else { checkpoints };
        let checkpoints = if !careful && draw.chance(0.2) { checkpoints.best_by("accuracy") } else { checkpoints };
        draw.note(format!("{checkpoints:?}"));
        trainer = trainer.checkpoints(checkpoints);
    }
    if careful || draw.chance(0.5) {
        let from = place(draw, careful, folder);
        draw.note(format!("resume {}", from.display()));
        trainer = if careful || draw.chance(0.8) { trainer.resume_or_start(from) } else { trainer.resume(from) };
    }
    draw.note(format!("{trainer:?}, with settings {settings:?}"));
    trainer
}

/// A folder for checkpoints, usually the same.
fn place(draw: &mut Draw, careful: bool, folder: &Path) -> PathBuf {
    if careful {
        return folder.join("run");
    }
    folder.join(draw.pick(&["run", "run", "run", "run", "other", "a/b", "weights.safetensors", ""]))
}

/// Trains, and looks at what is left if training diverges.
fn train(network: &mut Network<f64>, run: impl FnOnce(&mut Network<f64>) -> Result<(), TrainError>) {
    let result = run(network);
    if let Err(TrainError::Diverged(divergence)) = &result
        && !matches!(divergence.cause, Cause::Start { .. })
    {
        assert!(network.parameters().iter().all(|x| x.is_finite()), "{divergence} leaves such parameters");
    }
    answer(result);
}

/// One step by a batch, with targets or with a derivative, which need not be finite.
fn step(draw: &mut Draw, trainer: &mut Any<'_>, network: &mut Network<f64>) {
    let examples = draw.pick(&[0, 1, 2, 3, 5]);
    let all = networks::batch(draw, network, examples);
    let Some(x) = networks::inputs(draw, &all) else { return };
    let before = network.parameters().to_vec();
    let stepped = if draw.chance(0.5) {
        let count = examples * network.output_shape().len();
        let count = if draw.chance(0.9) { count } else { draw.below(20) };
        let (values, labels) = (draw.numbers(count), vec![draw.below(4) as u32; examples]);
        let target = if draw.chance(0.6) { Target::Values(&values) } else { Target::Classes(&labels) };
        draw.note(format!("partial_fit to {target:?}"));
        answer(trainer.partial_fit(network, x, target))
    } else {
        let (j, slope) = (draw.number(), draw.number());
        draw.note(format!("partial_fit_with J = {j}, dJ/dy = {slope}"));
        answer(trainer.partial_fit_with(network, x, |y, dy| {
            assert_eq!(y.slice().len(), dy.len());
            dy.fill(slope);
            j
        }))
    };
    match stepped {
        Some(loss) => assert!(loss.is_finite()),
        None => assert!(
            network.parameters().iter().map(|x| x.to_bits()).eq(before.iter().map(|x| x.to_bits())),
            "a step that was refused moves nothing"
        ),
    }
}

/// Saves the network as a model, and goes on with what is in the file.
fn saved(draw: &mut Draw, network: Network<f64>, data: &Dataset<f64>, folder: &Path) -> Network<f64> {
    let mut builder = Model::builder(network.clone()).note("why", "to see");
    if draw.chance(0.3)
        && let Some(scaler) = answer(StandardScaler::fit(data.inputs().matrix()))
    {
        builder = builder.input_scaler(scaler);
    }
    if draw.chance(0.3) {
        builder = builder.units(vec!["kg"; draw.below(4)]);
    }
    draw.note("Model::build, save");
    let Some(model) = answer(builder.build()) else { return network };
    let path = folder.join(draw.pick(&["model", "model", "nowhere/model", ""]));
    answer(model.save(&path));
    if draw.chance(0.3) {
        damage(draw, folder);
    }
    draw.note("Model::open, predict");
    let Some(model) = answer(Model::<f64>::open_as(&path, &CustomLayers::new())) else { return network };
    let features = draw.numbers(model.network().input_shapes().first().map_or(1, |shape| shape.len()).min(100));
    answer(model.predict_into(&features, &mut model.buffer()).map(drop));
    answer(model.predict(data.inputs().matrix()).map(drop));
    model.into_network()
}

/// Saves parameters alone, and loads what is there, of this network or of an earlier one.
fn weights(draw: &mut Draw, network: &mut Network<f64>, folder: &Path) {
    let (tensors, archive) = (folder.join("weights.safetensors"), folder.join("weights.npz"));
    if draw.chance(0.6) {
        draw.note("save weights");
        answer(safetensors::save(network, &tensors));
        answer(npz::save(network, &archive));
    }
    if draw.chance(0.3) {
        damage(draw, folder);
    }
    let before = network.parameters().to_vec();
    draw.note("load weights");
    let loaded = if draw.chance(0.5) { safetensors::load(network, tensors) } else { npz::load(network, archive) };
    if answer(loaded).is_none() {
        let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(network.parameters()), bits(&before), "what is refused changes nothing");
    }
}

/// All files below a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    all.sort();
    all
}

/// Does to a file what disks and people do.
fn damage(draw: &mut Draw, folder: &Path) {
    let files = files(folder);
    let Some(path) = (!files.is_empty()).then(|| draw.pick(&files)) else { return };
    let mut bytes = fs::read(&path).unwrap_or_default();
    let way = draw.below(6);
    let place = draw.below(bytes.len().max(1));
    draw.note(format!("damage {} in way {way} at byte {place}", path.display()));
    match way {
        0 => bytes.truncate(place),
        1 => bytes.extend(b"more"),
        2 => bytes.clear(),
        3 => {
            let other = path.with_file_name(draw.pick(&["step-000000000002.safetensors", "step-x.safetensors", "x"]));
            if !other.is_dir() {
                fs::rename(&path, other).expect("a file can be renamed");
            }
            return;
        }
        4 => {
            fs::remove_file(&path).expect("a file can be removed");
            if draw.chance(0.3) {
                fs::create_dir(&path).expect("a name that is free");
            }
            return;
        }
        _ => bytes.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << draw.below(8)),
    }
    fs::write(path, bytes).expect("a file can be written");
}

/// Changes what nothing checks at once.
fn disturb(draw: &mut Draw, network: &mut Network<f64>, trainer: &mut Any<'_>) {
    let (value, count) = (draw.number(), network.parameters().len());
    draw.note(format!("a parameter, the seed and the rate become {value}"));
    match draw.below(4) {
        0 if count > 0 => network.parameters_mut()[draw.below(count)] = value,
        1 => network.statistics_mut().iter_mut().for_each(|x| *x = value),
        2 => network.set_seed(Seed(value as u64)),
        _ => trainer.optimizer_mut().set_learning_rate(value),
    }
}

fn ask(draw: &mut Draw, network: &Network<f64>, data: &Dataset<f64>) {
    let loss = loss(draw, false, data);
    draw.note("evaluate, classify, predict");
    answer(evaluate(network, &loss, data, [Accuracy::new()]));
    answer(network.classify(data.inputs()));
    answer(network.predict(data.inputs()));
    let mut workspace = network.workspace(Purpose::Prediction);
    let mut x = Inputs::empty();
    data.all_inputs().take(8).enumerate().for_each(|(index, input)| x.set(index, input));
    answer(network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).map(drop));
    assert!(!network.summary().to_string().is_empty());
    assert_eq!(network.cast::<f32>().parameters().len(), network.parameters().len());
}
