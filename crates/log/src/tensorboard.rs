use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use downhill_network::Network;
use downhill_tensor::Scalar;
use downhill_train::{Callback, EpochEnd, Norms, RunEnd, RunStart, StepEnd};
use prost::Message;

use self::proto::{
    Event, Experiment, HParam, HParams, HParamsData, JsonKind, JsonValue, Metadata, Metric, MetricName, PluginData,
    SessionEnd, SessionLog, SessionStart, Summary, Tensor, Value, What,
};
use crate::LogError;
use crate::keeper::{Keeper, errors};

mod graph;
mod histogram;
mod proto;
mod record;

/// Event files for [TensorBoard](https://www.tensorflow.org/tensorboard): scalars, histograms, the graph of the network,
/// and hyperparameters.
///
/// Each run writes a file of its own into the folder, event by event, so that TensorBoard follows a run that goes on and a
/// killed one keeps what it has written. The step of an event is the number of the run's step, counted from 0; an epoch
/// stands at its last step.
///
/// | tag | what | when |
/// |---|---|---|
/// | `epoch/training_loss`, `epoch/validation_loss`, `epoch/learning_rate`, `epoch/seconds`, `epoch/number` | scalars | each epoch |
/// | `metrics/NAME` | scalar | each epoch |
/// | `step/loss`, `step/learning_rate` | scalars | as [`every_step`](TensorBoard::every_step) asks |
/// | `parameters/NAME`, `gradients/NAME`, such as `parameters/0.weight` | histograms | as [`histograms`](TensorBoard::histograms) asks |
/// | `activations/LAYER`, `backward/LAYER`, such as `backward/0` | scalars: the norms of y and of dJ/dy | as the trainer's diagnosis observes steps |
/// | `gradient_norms/NAME`, `updates/NAME` | scalars: the norm of dJ/dθ, and ‖Δθ‖/‖θ‖ | likewise |
///
/// Scalars have 32 bits, since TensorBoard reads no others; `CsvLog` keeps all. A histogram has 30 buckets of one
/// width, and leaves out numbers that are not finite. The settings of the run are hyperparameters, to which
/// [`hyperparameter`](TensorBoard::hyperparameter) adds your own, and the last losses and metrics their results. With one
/// folder for each run in a common one, the HParams page compares them.
///
/// A run that goes on writes another file into the folder, which tells TensorBoard to forget what came after its
/// beginning; so does a run that begins anew.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_log::TensorBoard;
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::Network;
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
/// use ndarray::array;
///
/// let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0])?;
/// let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1))?;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("runs/first");
/// let mut log = TensorBoard::new(&folder).every_step(1).histograms(10).hyperparameter("hidden layers", 0);
/// let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(0.1)).epochs(30);
/// trainer.callback(&mut log).fit(&mut network, &data)?;
/// log.finish()?;
/// // Then: tensorboard --logdir runs
/// assert_eq!(std::fs::read_dir(&folder)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    every_step: Option<u64>,
    histograms: Option<u64>,
    hyperparameters: Vec<(String, String)>,
    keeper: Keeper,
    file: Option<(PathBuf, File)>,
    /// The step at which an epoch stands.
    last_step: u64,
}

impl TensorBoard {
    /// Makes a log in this folder, which is made when a run starts.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            every_step: None,
            histograms: None,
            hyperparameters: Vec::new(),
            keeper: Keeper::default(),
            file: None,
            last_step: 0,
        }
    }

    /// Writes the loss and the learning rate of the steps whose number is a multiple of `steps`.
    #[must_use]
    pub fn every_step(mut self, steps: u64) -> Self {
        self.every_step = Some(steps.max(1));
        self
    }

    /// Writes histograms of all parameters and gradients, segment by segment, after the steps whose number is a multiple of
    /// `steps`. One reads all parameters and gradients twice.
    #[must_use]
    pub fn histograms(mut self, steps: u64) -> Self {
        self.histograms = Some(steps.max(1));
        self
    }

    /// Adds a hyperparameter to the settings of the run, such as the number of layers. It is a number or a truth value if it
    /// reads as one, and a text otherwise.
    #[must_use]
    pub fn hyperparameter(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.hyperparameters.push((name.into(), value.to_string()));
        self
    }

    errors!();

    /// Writes events to the file as one piece.
    fn write(&mut self, step: u64, all: impl IntoIterator<Item = What>) {
        let Self { keeper, file, .. } = self;
        keeper.attempt(|| {
            let Some((path, file)) = file else { return Ok(()) };
            let wall_time = now().as_secs_f64();
            let mut bytes = Vec::new();
            for what in all {
                let event = Event { wall_time, step: i64::try_from(step).unwrap_or(i64::MAX), what: Some(what) };
                record::append(&event.encode_to_vec(), &mut bytes);
            }
            file.write_all(&bytes).map_err(|error| LogError::io(Some(path), error))
        });
    }

    fn write_values(&mut self, step: u64, values: Vec<Value>) {
        self.write(step, [What::Summary(Summary { value: values })]);
    }

    /// The settings of the run and the user's own, each name once.
    fn all_hyperparameters(&self, settings: &[(&'static str, String)]) -> BTreeMap<String, JsonValue> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let all = settings.chain(self.hyperparameters.iter().cloned());
        all.map(|(name, value)| (name, JsonValue { kind: Some(typed(value)) })).collect()
    }
}

impl<T: Scalar> Callback<T> for TensorBoard {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        self.last_step = start.step.saturating_sub(1);
        let Self { folder, keeper, file, .. } = self;
        // TensorBoard complains of a second graph of a run.
        let goes_on = start.step > 0 && has_events(folder);
        keeper.attempt(|| {
            *file = Some(create(folder)?);
            Ok(())
        });
        let time = now().as_secs_f64();
        let hparams = self.all_hyperparameters(start.settings);
        let names = hparams.iter().map(|(name, value)| HParam { name: name.clone(), data_type: data_type(value) });
        let results = start.metrics.iter().map(|name| format!("metrics/{name}"));
        let results = ["epoch/training_loss", "epoch/validation_loss"].map(str::to_owned).into_iter().chain(results);
        let metrics = results.map(|tag| Metric { name: Some(MetricName { tag }) }).collect();
        let experiment = Experiment { time_created: time, hparams: names.collect(), metrics };
        let begin = What::SessionLog(SessionLog { status: SessionLog::START });
        let graph = (!goes_on).then(|| What::GraphDef(graph::graph(start.network).encode_to_vec()));
        let hparams = vec![
            hparams_value("_hparams_/experiment", HParamsData::Experiment(experiment)),
            hparams_value("_hparams_/session_start_info", HParamsData::SessionStart(SessionStart { hparams, time })),
        ];
        self.write(0, [What::FileVersion("brain.Event:2".to_owned())]);
        self.write(start.step, [begin].into_iter().chain(graph).chain([What::Summary(Summary { value: hparams })]));
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        self.last_step = end.step;
        let is_due = |every: Option<u64>| every.is_some_and(|every| end.step.is_multiple_of(every));
        let mut values = Vec::new();
        if is_due(self.every_step) {
            values.extend([scalar("step/loss", end.loss), scalar("step/learning_rate", end.learning_rate)]);
        }
        if is_due(self.histograms) && self.keeper.error().is_none() {
            values.extend(histograms("parameters", end.network, end.network.parameters()));
            values.extend(histograms("gradients", end.network, end.gradient));
        }
        if !values.is_empty() {
            self.write_values(end.step, values);
        }
        self.keeper.flow()
    }

    fn on_norms(&mut self, norms: &Norms) {
        let mut values = Vec::new();
        for layer in &norms.layers {
            let name = if layer.layer.is_empty() { layer.kind } else { &layer.layer };
            values.push(scalar(&format!("activations/{name}"), layer.activations));
            values.extend(layer.gradients.map(|norm| scalar(&format!("backward/{name}"), norm)));
        }
        for parameter in &norms.parameters {
            values.push(scalar(&format!("gradient_norms/{}", parameter.name), parameter.gradient));
            values.push(scalar(&format!("updates/{}", parameter.name), parameter.relative_change()));
        }
        self.write_values(norms.step, values);
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        let record = end.record;
        let mut values = vec![scalar("epoch/number", record.epoch as f64)];
        values.push(scalar("epoch/training_loss", record.training_loss));
        values.extend(record.validation_loss.map(|loss| scalar("epoch/validation_loss", loss)));
        values.extend(record.metrics.iter().map(|(name, value)| scalar(&format!("metrics/{name}"), *value)));
        values.push(scalar("epoch/learning_rate", record.learning_rate));
        values.push(scalar("epoch/seconds", record.seconds));
        self.write_values(self.last_step, values);
        self.keeper.flow()
    }

    fn on_end(&mut self, end: &RunEnd<'_, T>) {
        let status = if end.result.is_ok() { SessionEnd::SUCCESS } else { SessionEnd::FAILURE };
        let data = HParamsData::SessionEnd(SessionEnd { status, time: now().as_secs_f64() });
        self.write_values(self.last_step, vec![hparams_value("_hparams_/session_end_info", data)]);
        self.file = None;
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The part of a file's name by which TensorBoard knows one of events.
const NAME: &str = "tfevents";

fn has_events(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| file.file_name().to_string_lossy().contains(NAME))
}

/// Makes a file whose name TensorBoard knows for one of events. It reads those of a folder in the order of their names.
fn create(folder: &Path) -> Result<(PathBuf, File), LogError> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fs::create_dir_all(folder).map_err(|error| LogError::io(Some(folder), error))?;
    let (now, made) = (now(), MADE.fetch_add(1, Ordering::Relaxed));
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let path = folder.join(format!("events.out.{NAME}.{seconds:010}.{micros:06}.{:010}.{made:06}", process::id()));
    let file = File::create_new(&path).map_err(|error| LogError::io(Some(&path), error))?;
    Ok((path, file))
}

/// A scalar in the oldest form, which all of TensorBoard's readers know: the one of its pages passes over doubles.
fn scalar(tag: &str, number: f64) -> Value {
    Value { tag: tag.to_owned(), simple_value: Some(number as f32), tensor: None, metadata: None }
}

fn tensor_value(tag: &str, plugin: &str, content: Vec<u8>, tensor: Tensor) -> Value {
    let plugin_data = PluginData { plugin_name: plugin.to_owned(), content };
    let metadata = Metadata { plugin_data: Some(plugin_data), data_class: Metadata::TENSOR };
    Value { tag: tag.to_owned(), simple_value: None, tensor: Some(tensor), metadata: Some(metadata) }
}

fn hparams_value(tag: &str, data: HParamsData) -> Value {
    let content = HParams { data: Some(data) }.encode_to_vec();
    tensor_value(tag, "hparams", content, Tensor::empty())
}

/// A histogram of each segment of θ or of its gradient.
fn histograms<T: Scalar>(group: &str, network: &Network<T>, flat: &[T]) -> impl Iterator<Item = Value> {
    network.segments().iter().filter_map(move |segment| {
        let tensor = histogram::histogram(flat.get(segment.range.clone())?);
        Some(tensor_value(&format!("{group}/{}", segment.name), "histograms", Vec::new(), tensor))
    })
}

/// A setting as the number or the truth value that it reads as.
fn typed(text: String) -> JsonKind {
    match (text.parse(), text.parse::<f64>()) {
        (Ok(flag), _) => JsonKind::Flag(flag),
        (_, Ok(number)) if number.is_finite() => JsonKind::Number(number),
        _ => JsonKind::Text(text),
    }
}

/// The number by which the plugin knows the type.
fn data_type(value: &JsonValue) -> i32 {
    match value.kind {
        Some(JsonKind::Text(_)) => 1,
        Some(JsonKind::Flag(_)) => 2,
        Some(JsonKind::Number(_)) => 3,
        None => 0,
    }
}
