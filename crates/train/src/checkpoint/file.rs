//! What a checkpoint holds: numbers as tensors, and the rest as JSON in the file's strings.
//!
//! | tensor | holds |
//! |---|---|
//! | `network.NAME` | a parameter or a running statistic, by PyTorch's name and layout |
//! | `optimizer.NAME` | a vector of the optimizer's memory |
//! | `good.parameters`, `good.statistics` | the network after its last whole epoch, if it is not there now |
//! | `best.parameters`, `best.statistics` | the network after its best epoch, with early stopping |
//! | `average.weights.NAME`, `average.statistics.NAME` | a vector of an average's memory |

use std::path::Path;

use downhill_formats::{FormatError, Load, Save, Tensors, safetensors};
use downhill_network::Network;
use downhill_optim::OptimizerState;
use downhill_optim::schedule::ReduceOnPlateau;
use downhill_tensor::{Scalar, Seed};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::{CheckpointError, Fingerprint};
use crate::History;
use crate::early_stopping::Standing;
use crate::snapshot::Snapshot;
use crate::trainer::{Clock, Epoch};

/// The version of the format that is written, and the latest that is read.
const FORMAT: u64 = 1;

/// The metadata entry that holds the description.
const KEY: &str = "downhill.checkpoint";

/// What every version of the format has.
#[derive(Deserialize)]
struct Header {
    format: u64,
    library: String,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u64,
    library: String,
    clock: Clock,
    /// The first epoch of the run, counted from 0.
    first_epoch: u64,
    /// The epoch under way, if the checkpoint was written within one.
    epoch: Option<Epoch>,
    history: History,
    optimizer: Memory,
    plateau: Option<ReduceOnPlateau>,
    best: Option<Standing>,
    average: Option<[Memory; 2]>,
    /// What each observer remembers.
    #[serde(default)]
    callbacks: Vec<Option<String>>,
    /// The steps of the best checkpoints, and their values.
    #[serde(with = "downhill_tensor::exact::text")]
    best_checkpoints: Vec<(String, f64)>,
    facts: Facts,
}

/// An optimizer's memory without its vectors.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    name: String,
    slots: Vec<String>,
    #[serde(with = "downhill_tensor::exact::text")]
    scalars: Vec<(String, f64)>,
    counters: Vec<(String, u64)>,
}

/// What a run that goes on should have in common with the one before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) settings: Vec<(String, String)>,
    /// The network's layers, as its summary shows them.
    pub(crate) network: String,
    pub(crate) seed: u64,
    pub(crate) training: Fingerprint,
    pub(crate) validation: Option<Fingerprint>,
}

impl Facts {
    /// Says what differs from the facts of a checkpoint.
    pub(crate) fn differences(&self, saved: &Self) -> Vec<String> {
        let value = |settings: &[(String, String)], name: &str| {
            settings.iter().find(|(known, _)| known == name).map_or("not set".to_owned(), |(_, value)| value.clone())
        };
        let mut names: Vec<&String> = saved.settings.iter().chain(&self.settings).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let changed = names.into_iter().filter_map(|name| {
            let (was, is) = (value(&saved.settings, name), value(&self.settings, name));
            (was != is).then(|| format!("{name} was {was} and is {is}"))
        });
        let mut differences: Vec<String> = changed.collect();
        if self.seed != saved.seed {
            differences.push(format!("the network's seed was {} and is {}", saved.seed, self.seed));
        }
        let lines = self.network.lines().zip(saved.network.lines());
        if let Some((is, was)) = lines.into_iter().find(|(is, was)| is != was) {
            let tidy = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            differences.push(format!(
                "the network's layers differ first where `{}` was and `{}` is",
                tidy(was),
                tidy(is)
            ));
        }
        differences.extend(self.training.difference(&saved.training, "the training data"));
        match (&self.validation, &saved.validation) {
            (Some(is), Some(was)) => differences.extend(is.difference(was, "the validation data")),
            (Some(_), None) => differences.push("there were no validation data and there are some".into()),
            (None, Some(_)) => differences.push("there were validation data and there are none".into()),
            (None, None) => {}
        }
        differences
    }
}

/// All that decides how a run goes on, to be written.
pub(crate) struct State<'r, T: Scalar> {
    pub(crate) network: &'r Network<T>,
    pub(crate) optimizer: OptimizerState<T>,
    pub(crate) clock: Clock,
    pub(crate) first_epoch: u64,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) history: &'r History,
    pub(crate) plateau: Option<ReduceOnPlateau>,
    pub(crate) good: &'r Snapshot<T>,
    pub(crate) best: Option<(Standing, &'r Snapshot<T>)>,
    pub(crate) average: Option<[OptimizerState<T>; 2]>,
    pub(crate) callbacks: Vec<Option<String>>,
    pub(crate) facts: &'r Facts,
    pub(crate) best_checkpoints: Vec<(String, f64)>,
}

impl<T: Scalar> State<'_, T> {
    pub(super) fn steps(&self) -> u64 {
        self.clock.steps
    }

    pub(super) fn set_best_checkpoints(&mut self, best: &[(u64, f64)]) {
        self.best_checkpoints = best.iter().map(|(step, value)| (step.to_string(), *value)).collect();
    }

    pub(super) fn tensors(&self) -> Result<Tensors<'static>, FormatError> {
        let mut tensors = Save::new().prefix("network.").tensors(self.network)?;
        if !self.good.is_of(self.network) {
            push_snapshot("good", self.good, &mut tensors)?;
        }
        if let Some((_, snapshot)) = &self.best {
            push_snapshot("best", snapshot, &mut tensors)?;
        }
        let average = self.average.as_ref().map(|[weights, statistics]| {
            let weights = Memory::push("average.weights", weights, &mut tensors)?;
            Ok::<_, FormatError>([weights, Memory::push("average.statistics", statistics, &mut tensors)?])
        });
        let description = Description {
            format: FORMAT,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            clock: self.clock,
            first_epoch: self.first_epoch,
            epoch: self.epoch,
            history: self.history.clone(),
            average: average.transpose()?,
            callbacks: self.callbacks.clone(),
            optimizer: Memory::push("optimizer", &self.optimizer, &mut tensors)?,
            plateau: self.plateau,
            best: self.best.as_ref().map(|(standing, _)| *standing),
            best_checkpoints: self.best_checkpoints.clone(),
            facts: self.facts.clone(),
        };
        let json = serde_json::to_string(&description).map_err(|error| FormatError::Io(error.into()))?;
        tensors.set_metadata(KEY, json);
        Ok(tensors)
    }
}

fn push_snapshot<T: Scalar>(name: &str, snapshot: &Snapshot<T>, to: &mut Tensors<'_>) -> Result<(), FormatError> {
    let parts = [("parameters", snapshot.parameters()), ("statistics", snapshot.statistics())];
    parts
        .into_iter()
        .try_for_each(|(part, numbers)| to.push(format!("{name}.{part}"), &[numbers.len()], numbers.iter().copied()))
}

impl Memory {
    fn push<T: Scalar>(prefix: &str, state: &OptimizerState<T>, to: &mut Tensors<'_>) -> Result<Self, FormatError> {
        for (place, (name, slot)) in state.slots.iter().enumerate() {
            to.push(format!("{prefix}.{place}.{name}"), &[slot.len()], slot.iter().copied())?;
        }
        Ok(Self {
            name: state.name.clone(),
            slots: state.slots.iter().map(|(name, _)| name.clone()).collect(),
            scalars: state.scalars.clone(),
            counters: state.counters.clone(),
        })
    }

    fn read<T: Scalar>(self, prefix: &str, file: &File<'_>) -> Result<OptimizerState<T>, CheckpointError> {
        let mut state = OptimizerState::default();
        for (place, name) in self.slots.into_iter().enumerate() {
            let slot = file.numbers(&format!("{prefix}.{place}.{name}"))?;
            state.slots.push((name, slot));
        }
        (state.name, state.scalars, state.counters) = (self.name, self.scalars, self.counters);
        Ok(state)
    }
}

/// A checkpoint that is being read.
struct File<'p> {
    path: &'p Path,
    tensors: Tensors<'static>,
}

impl File<'_> {
    fn incomplete(&self, reason: impl Into<String>) -> CheckpointError {
        CheckpointError::Incomplete { path: self.path.to_owned(), reason: reason.into() }
    }

    fn numbers<T: Scalar>(&self, name: &str) -> Result<Vec<T>, CheckpointError> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.incomplete(format!("it has no tensor `{name}`")))?;
        let array = tensor.to_array::<T>().map_err(|error| self.incomplete(error.to_string()))?;
        Ok(array.into_iter().collect())
    }

    fn snapshot<T: Scalar>(&self, name: &str, network: &Network<T>) -> Result<Snapshot<T>, CheckpointError> {
        let parameters = self.numbers(&format!("{name}.parameters"))?;
        let snapshot = Snapshot::new(parameters, self.numbers(&format!("{name}.statistics"))?);
        if snapshot.fits(network) {
            Ok(snapshot)
        } else {
            Err(self.incomplete(format!("`{name}` has as many numbers as another network")))
        }
    }

    fn description(&self) -> Result<Description, CheckpointError> {
        let json = self.tensors.metadata().get(KEY).ok_or_else(|| self.incomplete("it is no checkpoint"))?;
        let malformed = |error: serde_json::Error| self.incomplete(error.to_string());
        let Header { format, library } = serde_json::from_str(json).map_err(malformed)?;
        if format > FORMAT {
            return Err(CheckpointError::Newer { path: self.path.to_owned(), format, library, known: FORMAT });
        }
        serde_json::from_str(json).map_err(malformed)
    }
}

/// A run to go on with.
pub(crate) struct Continuation<T> {
    pub(crate) clock: Clock,
    pub(crate) first_epoch: u64,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) history: History,
    pub(crate) optimizer: OptimizerState<T>,
    pub(crate) plateau: Option<ReduceOnPlateau>,
    pub(crate) good: Option<Snapshot<T>>,
    pub(crate) best: Option<(Standing, Snapshot<T>)>,
    pub(crate) average: Option<[OptimizerState<T>; 2]>,
    pub(crate) callbacks: Vec<Option<String>>,
    pub(crate) best_checkpoints: Vec<(u64, f64)>,
    pub(crate) resumed: crate::Resumed,
    seed: Seed,
    file: Tensors<'static>,
}

impl<T: Scalar> Continuation<T> {
    /// Gives the network what it had, or tells all names and shapes in which it differs.
    pub(crate) fn apply(&self, network: &mut Network<T>) -> Result<(), CheckpointError> {
        let load = Load::new().prefix("network.").ignore(|name| !name.starts_with("network."));
        load.apply(network, &self.file).map_err(|error| CheckpointError::Network {
            path: self.resumed.checkpoint.clone().into(),
            reason: error.to_string(),
        })?;
        network.set_seed(self.seed);
        Ok(())
    }
}

/// Reads the latest checkpoint that is not damaged; `None` if there is none at all.
///
/// Damaged ones before it get another name.
pub(crate) fn restore<T: Scalar>(
    path: &Path,
    network: &Network<T>,
    facts: &Facts,
) -> Result<Option<Continuation<T>>, CheckpointError> {
    let folder = Folder::at(path);
    let mut damaged = Vec::new();
    for (_, path) in folder.checkpoints()?.iter().rev() {
        let tensors = match safetensors::read_checked(path) {
            Ok(tensors) => tensors,
            Err(error) => {
                damaged.push((path.clone(), error.to_string()));
                continue;
            }
        };
        damaged.iter().try_for_each(|(path, _)| folder.set_aside(path))?;
        let damaged = damaged.into_iter().map(|(_, reason)| reason).collect();
        return read(File { path, tensors }, network, facts, damaged).map(Some);
    }
    if damaged.is_empty() {
        return Ok(None);
    }
    let damaged = damaged.into_iter().map(|(_, reason)| reason).collect();
    Err(CheckpointError::NoneFound { folder: path.to_owned(), damaged })
}

fn read<T: Scalar>(
    file: File<'_>,
    network: &Network<T>,
    facts: &Facts,
    damaged: Vec<String>,
) -> Result<Continuation<T>, CheckpointError> {
    let read = file.description()?;
    let good = file.tensors.get("good.parameters").is_some().then(|| file.snapshot("good", network)).transpose()?;
    let best = read.best.map(|standing| Ok::<_, CheckpointError>((standing, file.snapshot("best", network)?)));
    let average = read.average.map(|[weights, statistics]| {
        let weights = weights.read("average.weights", &file)?;
        Ok::<_, CheckpointError>([weights, statistics.read("average.statistics", &file)?])
    });
    let best_checkpoints =
        read.best_checkpoints.into_iter().filter_map(|(step, value)| Some((step.parse().ok()?, value)));
    let resumed = crate::Resumed {
        checkpoint: file.path.display().to_string(),
        steps: read.clock.steps,
        epochs: read.clock.epochs,
        damaged,
        differences: facts.differences(&read.facts),
    };
    Ok(Continuation {
        clock: read.clock,
        first_epoch: read.first_epoch,
        epoch: read.epoch,
        history: read.history,
        optimizer: read.optimizer.read("optimizer", &file)?,
        callbacks: read.callbacks,
        plateau: read.plateau,
        good,
        best: best.transpose()?,
        average: average.transpose()?,
        best_checkpoints: best_checkpoints.collect(),
        resumed,
        seed: Seed(read.facts.seed),
        file: file.tensors,
    })
}
