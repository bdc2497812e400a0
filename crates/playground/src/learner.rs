//! A network that learns from points of the plane.

use downhill_data::{Batches, Dataset, Targets};
use downhill_formats::rust_source::RustSource;
use downhill_layers::{Affine, BatchNorm, Dropout, LayerNorm, Mode, RmsNorm};
use downhill_losses::{DynLoss, Loss, Target};
use downhill_model::Model;
use downhill_network::{Network, Purpose, Sequential, Workspace};
use downhill_optim::{Optimizer, Penalty, gradient_norm};
use downhill_tensor::{Batch, Seed};
use downhill_train::{TrainError, Trainer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::catalogue::{self, Kind};
use crate::data::Points;
use crate::error::in_range;
use crate::optimizers::Chosen;

/// One of the library's, with the settings that differ from their defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: String,
    #[serde(default)]
    settings: Value,
}

impl Named {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn settings(&self) -> &Value {
        &self.settings
    }
}

/// A hidden layer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hidden {
    units: usize,
    activation: Named,
    #[serde(default)]
    normalisation: Normalisation,
    #[serde(default)]
    dropout: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Normalisation {
    #[default]
    None,
    BatchNorm,
    LayerNorm,
    RmsNorm,
}

/// All that a page sets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnerSettings {
    /// The name of a data set, or `own`.
    data: String,
    /// Custom points: two coordinates and the class or the value.
    #[serde(default)]
    points: Vec<[f64; 3]>,
    /// Whether the targets of custom points are values.
    #[serde(default)]
    values: bool,
    examples: usize,
    noise: f64,
    /// The part of the points that is learnt from.
    share: f64,
    seed: u64,
    inputs: Vec<String>,
    layers: Vec<Hidden>,
    loss: Named,
    optimizer: Chosen,
    schedule: Named,
    batch: usize,
    l1: f64,
    l2: f64,
    /// The largest norm of a gradient; 0 for any.
    clip: f64,
}

const MOST_LAYERS: usize = 6;
const MOST_UNITS: usize = 64;

/// What a page draws next.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    /// The numbers along each side of the boundary's picture; 0 for none.
    boundary: usize,
    /// The numbers along each side of a unit's picture; 0 for none.
    units: usize,
    /// Half the side of the square that is shown.
    reach: f64,
}

/// A network with its data and its trainer.
pub(crate) struct Learner {
    settings: LearnerSettings,
    points: Points,
    training: Dataset<f32>,
    test: Dataset<f32>,
    network: Network<f32>,
    /// A copy of the network at the point at which the optimizer is judged.
    judged: Network<f32>,
    trainer: Trainer<'static, f32, Box<dyn DynLoss>, Box<dyn Optimizer<f32>>>,
    loss: Box<dyn DynLoss>,
    predicting: Workspace<f32>,
    learning: Workspace<f32>,
    steps: u64,
    /// The name of the step in each hidden layer whose output is drawn: its activation.
    shown: Vec<String>,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").field("settings", &self.settings).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Learner {
    pub(crate) fn new(settings: LearnerSettings) -> Result<Self, Error> {
        let seed = Seed(settings.seed);
        let points = match settings.data.as_str() {
            "own" => Points::given(&settings.points, settings.values)?,
            name => Points::named(name, settings.examples, settings.noise, seed)?,
        };
        if settings.inputs.is_empty() {
            return Err(Error::new("Choose at least one input."));
        }
        in_range("The share of the points to learn from", settings.share, 0.1, 0.9)?;
        in_range("The number of hidden layers", settings.layers.len() as f64, 0.0, MOST_LAYERS as f64)?;
        in_range("The batch size", settings.batch as f64, 1.0, 2000.0)?;
        in_range("The weight of the L1 penalty", settings.l1, 0.0, 10.0)?;
        in_range("The weight of the L2 penalty", settings.l2, 0.0, 10.0)?;
        in_range("The largest norm of a gradient", settings.clip, 0.0, 1e9)?;
        let (training, test) = split(&points, &settings, seed)?;

        let mut chain = Sequential::new();
        let (mut place, mut shown) = (0, Vec::new());
        for layer in &settings.layers {
            in_range("The number of units of a layer", layer.units as f64, 1.0, MOST_UNITS as f64)?;
            chain = chain.then(Affine::new(layer.units));
            place += 1;
            match layer.normalisation {
                Normalisation::None => {}
                Normalisation::BatchNorm => chain = chain.then(BatchNorm::new()),
                Normalisation::LayerNorm => chain = chain.then(LayerNorm::new()),
                Normalisation::RmsNorm => chain = chain.then(RmsNorm::new()),
            }
            place += usize::from(layer.normalisation != Normalisation::None);
            chain = chain.then(catalogue::activation(&layer.activation.name, &layer.activation.settings)?);
            shown.push(place.to_string());
            place += 1;
            if layer.dropout != 0.0 {
                chain = chain.then(Dropout::new(layer.dropout));
                place += 1;
            }
        }
        chain = chain.then(Affine::new(points.classes.unwrap_or(1)));
        let network = Network::<f32>::build([settings.inputs.len()], chain, seed)?;

        let kind = if points.classes.is_some() { Kind::Classes } else { Kind::Values };
        let make_loss = || catalogue::loss(&settings.loss.name, &settings.loss.settings, kind);
        let optimizer = settings.optimizer.make::<f32>()?;
        let schedule = catalogue::schedule(&settings.schedule.name, &settings.schedule.settings)?;
        optimizer.check_schedule(&schedule)?;
        let mut trainer = Trainer::new(make_loss()?, optimizer).schedule(schedule);
        if settings.l1 > 0.0 || settings.l2 > 0.0 {
            trainer = trainer.penalty(Penalty::elastic(settings.l1, settings.l2).except_biases());
        }
        if settings.clip > 0.0 {
            trainer = trainer.clip_norm(settings.clip);
        }
        let loss = make_loss()?;
        let predicting = network.workspace(Purpose::Prediction);
        let learning = network.workspace(Purpose::Training);
        let judged = network.clone();
        let predicting =
            if judged.parameters().is_empty() { predicting } else { judged.workspace(Purpose::Prediction) };
        Ok(Self {
            settings,
            points,
            training,
            test,
            network,
            judged,
            trainer,
            loss,
            predicting,
            learning,
            steps: 0,
            shown,
        })
    }

    /// What a page needs to draw the network and the points.
    pub(crate) fn start(&self) -> (Value, Vec<f32>) {
        let segments: Vec<Value> = self
            .network
            .segments()
            .iter()
            .map(|segment| json!({ "name": segment.name, "start": segment.range.start, "shape": segment.shape.axes() }))
            .collect();
        let (training, count) = (self.training.len(), self.points.at.len());
        let mut numbers = Vec::with_capacity(3 * count);
        for index in self.order() {
            let (at, target) = (self.points.at[index], self.points.targets[index]);
            numbers.extend([at[0] as f32, at[1] as f32, target as f32]);
        }
        let about = json!({
            "segments": segments,
            "parameters": self.network.parameters().len(),
            "classes": self.points.classes,
            "training": training,
            "test": count - training,
            "steps_per_epoch": training.div_ceil(self.settings.batch),
            "summary": self.network.summary().to_string(),
        });
        (about, numbers)
    }

    /// The places of the points: first those that are learnt from.
    fn order(&self) -> Vec<usize> {
        order(self.points.at.len(), Seed(self.settings.seed))
    }

    /// Takes steps, fewer if one fails.
    pub(crate) fn step(&mut self, steps: u32) -> Result<Value, Error> {
        let seed = Seed(self.settings.seed).derive(1);
        let mut batches = Batches::shuffled(&self.training, self.settings.batch, seed)?;
        let per_epoch = batches.batches_per_epoch() as u64;
        batches.start_epoch(self.steps / per_epoch);
        batches.skip_to((self.steps % per_epoch) as usize);
        let mut last = f64::NAN;
        for _ in 0..steps {
            if self.steps > 0 && self.steps.is_multiple_of(per_epoch) {
                batches.start_epoch(self.steps / per_epoch);
            }
            let Some(batch) = batches.next_batch() else {
                return Err(Error::new("An epoch has no more batches."));
            };
            match self.trainer.partial_fit(&mut self.network, batch.inputs, batch.targets) {
                Ok(loss) => last = loss,
                Err(error) => {
                    let rate = self.trainer.optimizer().learning_rate();
                    return Ok(json!({ "steps": self.steps, "stopped": stopped(error, rate).reply() }));
                }
            }
            self.steps += 1;
        }
        Ok(json!({ "steps": self.steps, "batch_loss": finite(last) }))
    }

    /// What there is to see after the last step.
    pub(crate) fn view(&mut self, view: &View) -> Result<(Value, Vec<f32>), Error> {
        if view.boundary > 256 || view.units > 64 || !(0.1..=100.0).contains(&view.reach) {
            return Err(Error::new("A picture may have up to 256 numbers a side, and show a square of up to 100."));
        }
        self.judge();
        let mut numbers = Vec::new();
        let mut parts = Vec::new();
        let mut add = |name: &str, count: usize| parts.push(json!([name, count]));

        numbers.extend_from_slice(self.network.parameters());
        add("parameters", numbers.len());

        if view.boundary > 0 {
            let predicted = self.answers_on_grid(view.boundary, view.reach)?;
            add("boundary", predicted.len());
            numbers.extend(predicted);
        }
        if view.units > 0 {
            let units = self.units_on_grid(view.units, view.reach)?;
            add("units", units.len());
            numbers.extend(units);
        }
        let (train_loss, train_accuracy) = self.judge_on(true)?;
        let (test_loss, test_accuracy) = self.judge_on(false)?;
        let gradients = self.gradient_norms()?;
        Ok((
            json!({
                "steps": self.steps,
                "epoch": self.steps as f64 / self.training.len().div_ceil(self.settings.batch) as f64,
                "rate": finite(self.trainer.optimizer().learning_rate()),
                "train": { "loss": finite(train_loss), "accuracy": train_accuracy },
                "test": { "loss": finite(test_loss), "accuracy": test_accuracy },
                "gradients": gradients,
                "norm": finite(gradient_norm(self.network.parameters())),
                "parts": parts,
            }),
            numbers,
        ))
    }

    /// Copies the parameters at which the optimizer is judged, and the running statistics.
    fn judge(&mut self) {
        let theta = self.network.parameters();
        let point = self.judged.parameters_mut();
        if !self.trainer.optimizer().evaluation_point(theta, point) {
            point.copy_from_slice(theta);
        }
        self.judged.statistics_mut().copy_from_slice(self.network.statistics());
    }

    /// The inputs that the network takes, for points of the plane.
    fn inputs(&self, points: &[[f64; 2]]) -> Result<Vec<f32>, Error> {
        inputs(&self.settings.inputs, points)
    }

    /// For two classes the probability of the second as the difference of scores tells it, for more the likeliest class
    /// with the fraction by which it leads, for values the value.
    fn answer(&self, y: &[f32]) -> f32 {
        match (self.points.classes, y) {
            (Some(2), &[first, second]) => 1.0 / (1.0 + (first - second).exp()),
            (Some(_), scores) => {
                let (best, lead) = best(scores);
                best as f32 + (1.0 - (-lead).exp()).clamp(0.0, 0.999)
            }
            (None, values) => values.first().copied().unwrap_or(f32::NAN),
        }
    }

    fn answers_on_grid(&mut self, side: usize, reach: f64) -> Result<Vec<f32>, Error> {
        let x = self.inputs(&grid(side, reach))?;
        let batch = Batch::new(&x, side * side, [self.settings.inputs.len()])?;
        let y = self.judged.forward(self.judged.parameters(), batch, &mut self.predicting, Mode::Evaluation)?;
        let width = y.shape().len();
        let y = y.slice().to_vec();
        Ok(y.chunks(width).map(|y| self.answer(y)).collect())
    }

    /// The outputs of each hidden layer's units, unit after unit.
    fn units_on_grid(&mut self, side: usize, reach: f64) -> Result<Vec<f32>, Error> {
        let x = self.inputs(&grid(side, reach))?;
        let (count, width) = (side * side, self.settings.inputs.len());
        let batch = Batch::new(&x, count, [width])?;
        let mut maps = Vec::new();
        // The inputs first: they are drawn as units are.
        for unit in 0..width {
            maps.extend(x.iter().skip(unit).step_by(width));
        }
        let shown = &self.shown;
        self.judged.forward_observed(
            self.judged.parameters(),
            batch,
            &mut self.predicting,
            Mode::Evaluation,
            |name, y| {
                if shown.iter().any(|shown| shown == name) {
                    let width = y.shape().len();
                    for unit in 0..width {
                        maps.extend(y.slice().iter().skip(unit).step_by(width));
                    }
                }
            },
        )?;
        Ok(maps)
    }

    /// The loss, and the part of the right classes if targets are some.
    fn judge_on(&mut self, training: bool) -> Result<(f64, Option<f64>), Error> {
        let data = if training { &self.training } else { &self.test };
        let inputs = data.inputs();
        let y = self.judged.forward(self.judged.parameters(), inputs, &mut self.predicting, Mode::Evaluation)?;
        let loss = self.loss.value(y, data.targets())?;
        let accuracy = match data.targets() {
            Target::Classes(classes) => {
                let predicted = y.slice().chunks(y.shape().len()).map(|scores| best(scores).0);
                let right = predicted.zip(classes).filter(|(predicted, class)| *predicted == **class as usize).count();
                Some(right as f64 / classes.len().max(1) as f64)
            }
            Target::Values(_) => None,
        };
        Ok((f64::from(loss), accuracy))
    }

    /// The norm of dJ/dθ of each layer, over all points that are learnt from.
    fn gradient_norms(&mut self) -> Result<Vec<Value>, Error> {
        let mode = Mode::Training { step: self.steps };
        let (x, targets) = (self.training.inputs(), self.training.targets());
        self.network.backpropagate(x, targets, &self.loss, &mut self.learning, mode)?;
        let gradient = self.learning.gradient();
        let segments = self.network.segments().iter().filter(|segment| segment.name.ends_with("weight"));
        let norms =
            segments.map(|segment| json!([segment.name, finite(gradient_norm(&gradient[segment.range.clone()]))]));
        Ok(norms.collect())
    }

    /// Sets one number of θ.
    pub(crate) fn set_weight(&mut self, index: usize, value: f64) -> Result<Value, Error> {
        let count = self.network.parameters().len();
        let weight = self.network.parameters_mut().get_mut(index).filter(|_| value.is_finite());
        let weight = weight.ok_or_else(|| {
            Error::new("There are {count} parameters, and each is a finite number.").with("count", count)
        })?;
        *weight = value as f32;
        Ok(json!({ "steps": self.steps }))
    }

    /// What the network answers for points of the plane: its outputs, one after the other.
    pub(crate) fn predict(&mut self, points: &[[f64; 2]]) -> Result<(Value, Vec<f32>), Error> {
        self.judge();
        let x = self.inputs(points)?;
        let batch = Batch::new(&x, points.len(), [self.settings.inputs.len()])?;
        let y = self.judged.forward(self.judged.parameters(), batch, &mut self.predicting, Mode::Evaluation)?;
        Ok((json!({ "outputs": y.shape().len(), "inputs": self.settings.inputs }), y.slice().to_vec()))
    }

    /// What whoever uses the network must know of its inputs and outputs, with what the page knows `about` its data.
    fn notes(&self, about: &[String]) -> Vec<String> {
        let outputs = match self.points.classes {
            Some(_) => "The outputs are a score for each class; the largest names the likeliest.",
            None => "The output is the value.",
        };
        let mut notes =
            vec![format!("The inputs, in this order: {}.", self.settings.inputs.join(", ")), outputs.into()];
        notes.extend(about.iter().map(|line| line.chars().filter(|letter| !letter.is_control()).collect()));
        notes
    }

    /// The network as a model file, which [`Model::open`] reads.
    pub(crate) fn model(&mut self, about: &[String]) -> Result<Vec<u8>, Error> {
        self.judge();
        let builder = Model::builder(self.judged.clone());
        Ok(builder.note("about", self.notes(about).join(" ")).build()?.to_bytes()?)
    }

    /// The network as Rust source without dependencies.
    pub(crate) fn source(&mut self, about: &[String]) -> Result<String, Error> {
        self.judge();
        let source = RustSource::new().name("from the playground").render(&self.judged)?;
        let notes: String = self.notes(about).iter().map(|note| format!("//! {note}\n")).collect();
        Ok(format!("{notes}//!\n{source}"))
    }

    /// A number that stands for the bits of all parameters (FNV-1a).
    pub(crate) fn hash(&self) -> u64 {
        let bytes = self.network.parameters().iter().flat_map(|parameter| parameter.to_bits().to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// Why no further step was taken.
fn stopped(error: TrainError, rate: f64) -> Error {
    match error {
        // Its inputs and targets are about 1: no data are to blame.
        TrainError::Diverged(_) => Error::new(
            "The loss or a gradient is no longer a finite number. Lower the learning rate, which is {rate}, or bound the \
             gradient.",
        )
        .with("rate", rate),
        other => other.into(),
    }
}

/// The place of the largest score, and by how much it leads.
fn best(scores: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    let mut second = f32::NEG_INFINITY;
    for (place, &score) in scores.iter().enumerate() {
        if score > best.1 {
            second = best.1;
            best = (place, score);
        } else {
            second = second.max(score);
        }
    }
    (best.0, best.1 - second)
}

/// JSON has no numbers that are not finite.
pub(crate) fn finite(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

/// The middles of the cells of a square, row after row from above.
fn grid(side: usize, reach: f64) -> Vec<[f64; 2]> {
    let along = |index: usize| reach * ((2 * index + 1) as f64 / side as f64 - 1.0);
    (0..side).flat_map(|row| (0..side).map(move |column| [along(column), -along(row)])).collect()
}

fn inputs(names: &[String], points: &[[f64; 2]]) -> Result<Vec<f32>, Error> {
    type Input = fn(f64, f64) -> f64;
    let input = |name: &String| -> Result<Input, Error> {
        Ok(match name.as_str() {
            "x1" => |x, _| x,
            "x2" => |_, y| y,
            "x1^2" => |x, _| x * x,
            "x2^2" => |_, y| y * y,
            "x1*x2" => |x, y| x * y,
            "sin(3*x1)" => |x, _| (3.0 * x).sin(),
            "sin(3*x2)" => |_, y| (3.0 * y).sin(),
            _ => return Err(Error::new("There is no input of the name `{name}`.").with("name", name)),
        })
    };
    let functions = names.iter().map(input).collect::<Result<Vec<_>, _>>()?;
    Ok(points.iter().flat_map(|&[x, y]| functions.iter().map(move |input| input(x, y) as f32)).collect())
}

/// The places of points in an order by chance.
fn order(count: usize, seed: Seed) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let seed = seed.derive(2);
    order.sort_by_key(|&place| (seed.bits_at(place as u64), place));
    order
}

fn split(points: &Points, settings: &LearnerSettings, seed: Seed) -> Result<(Dataset<f32>, Dataset<f32>), Error> {
    let count = points.at.len();
    let training = ((count as f64 * settings.share).round() as usize).clamp(1, count - 1);
    let order = order(count, seed);
    let part = |places: &[usize]| -> Result<Dataset<f32>, Error> {
        let at: Vec<[f64; 2]> = places.iter().map(|&place| points.at[place]).collect();
        let x = inputs(&settings.inputs, &at)?;
        let targets = places.iter().map(|&place| points.targets[place]);
        let targets = match points.classes {
            Some(classes) => Targets::classes(targets.map(|class| class as u32).collect(), classes),
            None => Targets::values(targets.map(|value| value as f32).collect(), [1]),
        };
        Ok(Dataset::new(x, [settings.inputs.len()], targets)?)
    };
    Ok((part(&order[..training])?, part(&order[training..])?))
}
