use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use downhill_tensor::Scalar;
use downhill_train::{Callback, EpochEnd, EpochRecord, RunStart, StepEnd};

use crate::LogError;
use crate::keeper::{Keeper, errors};
use crate::lines::{Event, Form, Lines, Point};

/// A table with a row for each epoch, and on request for steps, as comma-separated values.
///
/// Each row is written when its epoch ends, so that a run that is killed keeps its rows. The columns are those of
/// `History::write_csv`: `epoch`, `training_loss`, `validation_loss`,
/// `learning_rate`, `seconds`, and one for each metric. With [`every_step`](CsvLog::every_step), `step` and `batch_loss`
/// follow `epoch`. Each number reads back to the same bits, and those that are not finite are `NaN`, `inf` and `-inf`; a
/// cell without a number is empty.
///
/// A run that begins at epoch 1 begins its file anew, if that is a log or empty; another file is left as it is, with an
/// error. A run that goes on appends to the file, from which the rows after its beginning are cut off first.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_log::CsvLog;
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
/// # let path = folder.path().join("run.csv");
/// let mut log = CsvLog::new(&path);
/// let trainer = Trainer::new(MeanSquaredError::new(), Adam::new(0.1)).epochs(3);
/// trainer.callback(&mut log).fit(&mut network, &data)?;
/// log.finish()?;
/// let table = std::fs::read_to_string(&path)?;
/// assert!(table.starts_with("epoch,training_loss,validation_loss,learning_rate,seconds\n1,"));
/// assert_eq!(table.lines().count(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CsvLog {
    lines: Lines,
    every: Option<u64>,
    keeper: Keeper,
    metrics: usize,
    last_step: Option<u64>,
}

impl CsvLog {
    /// Makes a log in this file, which is made when a run starts.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::of(Lines::of_path(path))
    }

    /// Makes a log in this writer, in which several runs follow each other below one header.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self::of(Lines::of_writer(writer))
    }

    fn of(lines: Lines) -> Self {
        Self { lines, every: None, keeper: Keeper::default(), metrics: 0, last_step: None }
    }

    /// Adds rows for the steps whose number, counted from 0, is a multiple of `steps`. In the row of an epoch `step` is
    /// the last step before it.
    #[must_use]
    pub fn every_step(mut self, steps: u64) -> Self {
        self.every = Some(steps.max(1));
        self
    }

    errors!();

    fn epoch_row(&self, record: &EpochRecord) -> Vec<String> {
        let mut cells = vec![record.epoch.to_string()];
        if self.every.is_some() {
            cells.extend([self.last_step.map(|step| step.to_string()).unwrap_or_default(), String::new()]);
        }
        cells.extend([
            record.training_loss.to_string(),
            record.validation_loss.map(|loss| loss.to_string()).unwrap_or_default(),
            record.learning_rate.to_string(),
            record.seconds.to_string(),
        ]);
        cells.extend(record.metrics.iter().map(|(_, value)| value.to_string()));
        cells
    }
}

impl<T: Scalar> Callback<T> for CsvLog {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        let Self { lines, every, keeper, metrics, last_step } = self;
        (*metrics, *last_step) = (start.metrics.len(), start.step.checked_sub(1));
        let mut names = vec!["epoch"];
        if every.is_some() {
            names.extend(["step", "batch_loss"]);
        }
        names.extend(["training_loss", "validation_loss", "learning_rate", "seconds"]);
        names.extend(start.metrics.iter().map(String::as_str));
        let event = if every.is_some() { event_among_steps } else { epoch_of };
        keeper.attempt(|| {
            let header = row(&names)?;
            lines.start(Point::of(start), Form { begin: "epoch,", header: &header, event })
        });
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        self.last_step = Some(end.step);
        if self.every.is_some_and(|every| end.step.is_multiple_of(every)) {
            let mut cells = vec![end.epoch.to_string(), end.step.to_string(), end.loss.to_string()];
            cells.extend([String::new(), String::new(), end.learning_rate.to_string(), String::new()]);
            cells.extend(std::iter::repeat_n(String::new(), self.metrics));
            self.keeper.attempt(|| self.lines.write(&row(&cells)?));
        }
        self.keeper.flow()
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        let cells = self.epoch_row(end.record);
        self.keeper.attempt(|| self.lines.write(&row(&cells)?));
        self.keeper.flow()
    }
}

/// A row with its end; names are quoted where they need it.
fn row<S: AsRef<[u8]>>(cells: &[S]) -> Result<String, LogError> {
    let bytes = || -> io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(cells)?;
        writer.into_inner().map_err(|error| error.into_error())
    };
    bytes()
        .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
        .map_err(|error| LogError::io(None, error))
}

/// The event of a row in a table of epochs.
fn epoch_of(line: &str) -> Option<Event> {
    line.split(',').next()?.parse().ok().map(Event::Epoch)
}

/// The event of a row in a table of epochs and steps: only that of a step has a loss of a batch.
fn event_among_steps(line: &str) -> Option<Event> {
    let mut cells = line.split(',');
    let (epoch, step, batch_loss) = (cells.next()?, cells.next()?, cells.next()?);
    if batch_loss.is_empty() { epoch.parse().ok().map(Event::Epoch) } else { step.parse().ok().map(Event::Step) }
}
