//! Checkpoints: all that decides how a run goes on, in files that are whole or not there.

mod file;
mod fingerprint;
mod folder;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use downhill_formats::FormatError;
use downhill_optim::{RestoreError, SettingError};

use crate::early_stopping::Monitor;
use crate::{EpochRecord, TrainError};

pub(crate) use file::{Continuation, Facts, State, restore};
pub(crate) use fingerprint::Fingerprint;
use folder::Folder;

/// The times at which a run writes a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Every {
    /// After this many steps.
    Steps(u64),
    /// After this many epochs.
    Epochs(u64),
    /// After the first step that ends this long after the last checkpoint.
    Time(Duration),
}

/// The checkpoints of a run: where they are, how often one is written, and which are kept.
///
/// A checkpoint holds parameters, running statistics, the optimizer's memory, the schedule, averages of weights, the
/// place in the data, the best epoch and the history, so that a run that [resumes](crate::Trainer::resume) from it ends
/// with the bits of one that was never broken off. It is a safetensors file, `step-000000001200.safetensors`, whose tensors
/// `network.NAME` any reader of that format finds, with a checksum of all its bytes. It is written under another name,
/// brought to the disk, and renamed: a crash leaves it whole or not there.
///
/// One is also written at the end of the run, and when the run is interrupted or a callback ends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoints {
    folder: PathBuf,
    every: Every,
    keep_last: usize,
    keep_best: usize,
    best_by: Monitor,
}

impl Checkpoints {
    /// Writes checkpoints into this folder, which is created if it is not there; the last three are kept.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, every: Every) -> Self {
        Self { folder: folder.into(), every, keep_last: 3, keep_best: 0, best_by: Monitor::Loss }
    }

    /// Sets the number of the latest checkpoints that are kept, at least 1; 3 unless set.
    #[must_use]
    pub fn keep_last(mut self, count: usize) -> Self {
        self.keep_last = count;
        self
    }

    /// Keeps the best checkpoints too, this many of those written at the end of an epoch, by the validation loss, or by the
    /// training loss without validation data; 0 unless set.
    #[must_use]
    pub fn keep_best(mut self, count: usize) -> Self {
        self.keep_best = count;
        self
    }

    /// Has the best checkpoints be those with the best value of the metric of this name.
    #[must_use]
    pub fn best_by(mut self, metric: impl Into<String>) -> Self {
        self.best_by = Monitor::Metric(metric.into());
        self
    }

    pub(crate) fn check(&self, metrics: &[(String, bool)]) -> Result<(), TrainError> {
        let every = match self.every {
            Every::Steps(count) | Every::Epochs(count) => count as f64,
            Every::Time(_) => 1.0,
        };
        if every < 1.0 {
            return Err(SettingError::new("the steps or epochs between checkpoints", every, "at least 1").into());
        }
        if self.keep_last == 0 {
            return Err(SettingError::new("the number of last checkpoints that are kept", 0.0, "at least 1").into());
        }
        self.best_by.larger_is_better(metrics).map(|_| ())
    }
}

/// An error of writing a checkpoint or of going on from one.
///
/// Every error prints as a whole sentence; none repeats in `source` what it has printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A folder can't be read or changed.
    #[error("the folder of checkpoints `{}` can't be used: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A run that starts anew would write between the checkpoints of another one.
    #[error(
        "the folder `{}` holds checkpoints of an earlier run, such as `{found}`: go on with that run by `resume`, or \
         write to another folder", folder.display()
    )]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// One of its checkpoints.
        found: String,
    },
    /// There is nothing to go on from.
    #[error("the folder `{}` holds no checkpoint to resume from{}", folder.display(), listed(damaged))]
    NoneFound {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with the damaged ones, if there are any.
        damaged: Vec<String>,
    },
    /// A checkpoint can't be written or read.
    #[error("{0}")]
    File(FormatError),
    /// A checkpoint is of a later version.
    #[error(
        "{}: this checkpoint has format {format}, written by version {library} of the library, and this version reads \
         formats up to {known}; update the library", path.display()
    )]
    Newer {
        /// The checkpoint.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The version of the library that wrote it.
        library: String,
        /// The latest format that is read.
        known: u64,
    },
    /// The network of a checkpoint is not the one to train.
    #[error("{}: the checkpoint is of another network: {reason}", path.display())]
    Network {
        /// The checkpoint.
        path: PathBuf,
        /// All that differs.
        reason: String,
    },
    /// An observer does not know what the one at its place has remembered.
    #[error(
        "{}: observer {place}, counted from 0, can't go on from the checkpoint: {reason}", path.display()
    )]
    Callback {
        /// The checkpoint.
        path: PathBuf,
        /// The observer's place among those of the trainer, counted from 0.
        place: usize,
        /// The reason.
        reason: String,
    },
    /// The optimizer of a checkpoint is not the one to train with.
    #[error("{}: the optimizer can't go on from the checkpoint: {error}", path.display())]
    Optimizer {
        /// The checkpoint.
        path: PathBuf,
        /// The reason.
        error: RestoreError,
    },
    /// A checkpoint lacks something.
    #[error("{}: the checkpoint is not complete: {reason}", path.display())]
    Incomplete {
        /// The checkpoint.
        path: PathBuf,
        /// What is not there.
        reason: String,
    },
}

fn listed(damaged: &[String]) -> String {
    if damaged.is_empty() { String::new() } else { format!("; these are damaged: {}", damaged.join("; ")) }
}

impl From<FormatError> for CheckpointError {
    fn from(error: FormatError) -> Self {
        Self::File(error)
    }
}

impl From<CheckpointError> for TrainError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

/// Writes the checkpoints of a run under way.
#[derive(Debug)]
pub(crate) struct Keeper {
    settings: Checkpoints,
    folder: Folder,
    larger_is_better: bool,
    /// The steps of the best checkpoints so far, with their values, the best first.
    best: Vec<(u64, f64)>,
    last_written: Instant,
    last_step: Option<u64>,
}

impl Keeper {
    /// Opens the folder. A run that starts anew takes only one without checkpoints.
    pub(crate) fn open(
        settings: &Checkpoints,
        metrics: &[(String, bool)],
        resumed: Option<(u64, Vec<(u64, f64)>)>,
    ) -> Result<Self, TrainError> {
        let folder = Folder::create(&settings.folder)?;
        if resumed.is_none()
            && let Some((_, found)) = folder.checkpoints()?.pop()
        {
            let found = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(CheckpointError::Occupied { folder: settings.folder.clone(), found }.into());
        }
        folder.clean()?;
        let (last_step, best) = resumed.map_or((None, Vec::new()), |(step, best)| (Some(step), best));
        let larger_is_better = settings.best_by.larger_is_better(metrics)?;
        let settings = settings.clone();
        Ok(Self { settings, folder, larger_is_better, best, last_written: Instant::now(), last_step })
    }

    /// Whether one is due after this many steps in all.
    pub(crate) fn is_due_after_step(&self, steps: u64) -> bool {
        match self.settings.every {
            Every::Steps(count) => steps.is_multiple_of(count),
            Every::Epochs(_) => false,
            Every::Time(time) => self.last_written.elapsed() >= time,
        }
    }

    /// Whether one is due after this epoch: it is its turn, or it is one of the best.
    pub(crate) fn is_due_after_epoch(&self, record: &EpochRecord) -> bool {
        let is_its_turn = matches!(self.settings.every, Every::Epochs(count) if record.epoch.is_multiple_of(count));
        is_its_turn || self.place(record).is_some()
    }

    /// The place of an epoch among the best checkpoints, if it has one, and its value.
    fn place(&self, record: &EpochRecord) -> Option<(usize, f64)> {
        let value = self.settings.best_by.of(record);
        let sign = if self.larger_is_better { -1.0 } else { 1.0 };
        let place = self.best.partition_point(|(_, other)| sign * other <= sign * value);
        Some((place, value)).filter(|_| place < self.settings.keep_best && !value.is_nan())
    }

    /// Writes a checkpoint, unless the last one is of this step and of nothing less, and removes those that are no longer
    /// kept. `ended` is the epoch that has just ended.
    pub(crate) fn write<T: downhill_tensor::Scalar>(
        &mut self,
        state: &mut State<'_, T>,
        ended: Option<&EpochRecord>,
    ) -> Result<(), CheckpointError> {
        let step = state.steps();
        if self.last_step == Some(step) && ended.is_none() {
            return Ok(());
        }
        self.best.retain(|(other, _)| *other != step);
        if let Some((place, value)) = ended.and_then(|record| self.place(record)) {
            self.best.insert(place, (step, value));
            self.best.truncate(self.settings.keep_best);
        }
        state.set_best_checkpoints(&self.best);
        self.folder.write(step, &state.tensors()?)?;
        (self.last_step, self.last_written) = (Some(step), Instant::now());
        self.folder.prune(self.settings.keep_last, &self.best)
    }
}
