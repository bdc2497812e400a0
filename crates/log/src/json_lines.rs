use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use downhill_tensor::{Scalar, exact};
use downhill_train::{Callback, EpochEnd, RunEnd, RunStart, Slowest, StepEnd, Warned};
use serde::{Deserialize, Serialize, Serializer};

use crate::LogError;
use crate::keeper::{Keeper, errors};
use crate::lines::{Event, Form, Lines, Point};

/// A JSON object on a line for each event of a run: its start with its settings, each epoch, its end, each warning of the
/// trainer's diagnosis, and on request steps.
///
/// Each line is written when its event happens, so that a run that is killed keeps its lines. The key `event` says what a
/// line is of:
///
/// | `event` | other keys |
/// |---|---|
/// | `start` | `first_epoch`, `last_epoch`, `step` (the first), `steps_per_epoch`, `examples_per_epoch`, `settings` |
/// | `step` | `epoch`, `step`, `loss`, `learning_rate` |
/// | `epoch` | `epoch`, `step` (the last), `training_loss`, `validation_loss`, `metrics`, `learning_rate`, `seconds`; `slowest`, with `rank` and `seconds`, of several ranks |
/// | `warning` | `epoch`, `steps` (those before it), `message` |
/// | `end` | `reason`, `kept_epoch`, `steps`, `seconds`; or `error` |
///
/// Epochs count from 1 and steps from 0. Numbers are numbers, and those that JSON lacks are the strings `"NaN"`, `"inf"`
/// and `"-inf"`; all read back to the same bits where the reader rounds correctly.
///
/// A run that begins at epoch 1 begins its file anew, if that is a log or empty; another file is left as it is, with an
/// error. A run that goes on appends to the file, from which the lines after its beginning are cut off first.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_log::JsonLines;
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
/// # let path = folder.path().join("run.jsonl");
/// let mut log = JsonLines::new(&path);
/// let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(0.1)).epochs(3);
/// trainer.callback(&mut log).fit(&mut network, &data)?;
/// log.finish()?;
/// let lines = std::fs::read_to_string(&path)?;
/// assert_eq!(lines.lines().count(), 5);
/// assert!(lines.contains(r#""event":"epoch","epoch":3,"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JsonLines {
    lines: Lines,
    every: Option<u64>,
    keeper: Keeper,
    last_step: Option<u64>,
}

impl JsonLines {
    /// Makes a log in this file, which is made when a run starts.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::of(Lines::of_path(path))
    }

    /// Makes a log in this writer, in which several runs follow each other.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self::of(Lines::of_writer(writer))
    }

    fn of(lines: Lines) -> Self {
        Self { lines, every: None, keeper: Keeper::default(), last_step: None }
    }

    /// Adds lines for the steps whose number, counted from 0, is a multiple of `steps`.
    #[must_use]
    pub fn every_step(mut self, steps: u64) -> Self {
        self.every = Some(steps.max(1));
        self
    }

    errors!();

    fn write(&mut self, line: &Line<'_>) {
        self.keeper.attempt(|| {
            let text = serde_json::to_string(line).map_err(|error| LogError::io(None, io::Error::other(error)))?;
            self.lines.write(&(text + "\n"))
        });
    }
}

impl<T: Scalar> Callback<T> for JsonLines {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        self.last_step = start.step.checked_sub(1);
        let form = Form { begin: "{\"event\":\"", header: "", event };
        self.keeper.attempt(|| self.lines.start(Point::of(start), form));
        self.write(&Line::Start {
            first_epoch: start.epochs.start.saturating_add(1),
            last_epoch: start.epochs.end,
            step: start.step,
            steps_per_epoch: start.steps_per_epoch,
            examples_per_epoch: start.examples_per_epoch,
            settings: start.settings,
        });
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        self.last_step = Some(end.step);
        if self.every.is_some_and(|every| end.step.is_multiple_of(every)) {
            let StepEnd { epoch, step, loss, learning_rate, .. } = *end;
            self.write(&Line::Step { epoch, step, loss, learning_rate });
        }
        self.keeper.flow()
    }

    fn on_warning(&mut self, warned: &Warned) {
        let Warned { epoch, step, warning, .. } = warned;
        self.write(&Line::Warning { epoch: *epoch, steps: *step, message: warning.to_string() });
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        let record = end.record;
        self.write(&Line::Epoch {
            epoch: record.epoch,
            step: self.last_step,
            training_loss: record.training_loss,
            validation_loss: record.validation_loss,
            metrics: &record.metrics,
            learning_rate: record.learning_rate,
            seconds: record.seconds,
            slowest: end.slowest.map(|Slowest { rank, seconds, .. }| SlowestRank { rank, seconds }),
        });
        self.keeper.flow()
    }

    fn on_end(&mut self, end: &RunEnd<'_, T>) {
        self.write(&match end.result {
            Ok(history) => Line::End {
                reason: history.reason.to_string(),
                kept_epoch: history.kept_epoch,
                steps: history.steps,
                seconds: history.seconds,
            },
            Err(error) => Line::Failure { error: error.to_string() },
        });
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    Start {
        first_epoch: u64,
        last_epoch: u64,
        step: u64,
        steps_per_epoch: Option<u64>,
        examples_per_epoch: Option<u64>,
        #[serde(serialize_with = "as_object")]
        settings: &'a [(&'static str, String)],
    },
    Step {
        epoch: u64,
        step: u64,
        #[serde(with = "exact::number")]
        loss: f64,
        #[serde(with = "exact::number")]
        learning_rate: f64,
    },
    Epoch {
        epoch: u64,
        step: Option<u64>,
        #[serde(with = "exact::number")]
        training_loss: f64,
        #[serde(with = "exact::number")]
        validation_loss: Option<f64>,
        #[serde(serialize_with = "as_exact_object")]
        metrics: &'a [(String, f64)],
        #[serde(with = "exact::number")]
        learning_rate: f64,
        #[serde(with = "exact::number")]
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        slowest: Option<SlowestRank>,
    },
    Warning {
        epoch: u64,
        steps: u64,
        message: String,
    },
    End {
        reason: String,
        kept_epoch: Option<u64>,
        steps: u64,
        #[serde(with = "exact::number")]
        seconds: f64,
    },
    #[serde(rename = "end")]
    Failure {
        error: String,
    },
}

#[derive(Serialize)]
struct SlowestRank {
    rank: usize,
    #[serde(with = "exact::number")]
    seconds: f64,
}

fn as_object<S: Serializer>(pairs: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

fn as_exact_object<S: Serializer>(pairs: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Exact(#[serde(with = "exact::number")] f64);

    serializer.collect_map(pairs.iter().map(|(name, value)| (name, Exact(*value))))
}

/// The event of a line.
fn event(line: &str) -> Option<Event> {
    #[derive(Deserialize)]
    struct Mark<'a> {
        event: &'a str,
        epoch: Option<u64>,
        step: Option<u64>,
        steps: Option<u64>,
    }

    let mark: Mark<'_> = serde_json::from_str(line).ok()?;
    match mark.event {
        "epoch" => mark.epoch.map(Event::Epoch),
        "step" => mark.step.map(Event::Step),
        // It stands behind its last step, and goes with it.
        "warning" => mark.steps.map(|steps| Event::Step(steps.saturating_sub(1))),
        _ => Some(Event::Other),
    }
}
