//! Runs that write checkpoints, and runs that go on from them.

use std::path::PathBuf;

use downhill_losses::Loss;
use downhill_network::Network;
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

use super::Trainer;
use super::run::Begin;
use crate::TrainError;
use crate::checkpoint::{CheckpointError, Checkpoints, Continuation, Every, Facts, Fingerprint, Keeper, restore};
use crate::early_stopping::Best;
use crate::exchange::{cut_state, sharded_part};
use crate::feed::Known;
use crate::snapshot::Snapshot;

/// The folder that a run goes on from.
#[derive(Clone, Debug)]
pub(super) struct From {
    folder: PathBuf,
    /// Whether a folder without checkpoints is an error.
    is_required: bool,
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'_, T, L, O> {
    /// Writes checkpoints into the folder `path`, this often; the last three are kept.
    ///
    /// A folder that holds checkpoints already is refused, unless the run [resumes](Trainer::resume) from it.
    /// [`checkpoints`](Trainer::checkpoints) has more settings.
    #[must_use]
    pub fn checkpoint(self, path: impl Into<PathBuf>, every: Every) -> Self {
        self.checkpoints(Checkpoints::new(path, every))
    }

    /// Writes checkpoints by these settings.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Has [`fit`](Trainer::fit) go on from the latest checkpoint in the folder `path`, to the number of
    /// [`epochs`](Trainer::epochs) that the run has in all.
    ///
    /// The end is that of a run that was never broken off, bit for bit, if network, data and settings are the same;
    /// [`History::resumed`](crate::History::resumed) says what is not, and callbacks see it before the first step. A
    /// damaged checkpoint is named there too, and the one before it used. What callbacks remember is not in a
    /// checkpoint.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run");
    /// use downhill_data::Dataset;
    /// use downhill_layers::Affine;
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::Network;
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::{Every, Trainer};
    /// use ndarray::array;
    ///
    /// let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0])?;
    /// let build = || Network::<f64>::build([1], Affine::new(1), Seed(1));
    /// let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(2);
    /// let (mut whole, mut resumed) = (build()?, build()?);
    /// trainer().epochs(6).fit(&mut whole, &data)?;
    ///
    /// // The process ends after three epochs, and another one goes on.
    /// trainer().epochs(3).checkpoint(&path, Every::Steps(1)).fit(&mut build()?, &data)?;
    /// let history = trainer().epochs(6).checkpoint(&path, Every::Steps(1)).resume(&path).fit(&mut resumed, &data)?;
    /// assert_eq!(resumed.parameters(), whole.parameters());
    /// assert_eq!(history.epochs.len(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume_from = Some(From { folder: path.into(), is_required: true });
        self
    }

    /// Resumes as [`resume`](Trainer::resume) does, or starts anew if the folder holds no checkpoint: the same program
    /// begins a long run and goes on with it.
    #[must_use]
    pub fn resume_or_start(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume_from = Some(From { folder: path.into(), is_required: false });
        self
    }

    /// Checks the settings of checkpoints.
    pub(super) fn check_checkpoints(&self) -> Result<(), TrainError> {
        self.checkpoints.as_ref().map_or(Ok(()), |checkpoints| checkpoints.check(&self.metric_directions()))
    }

    /// Finds the point that a call of `fit` begins at: the start, or that of a checkpoint.
    pub(super) fn begin(&mut self, network: &mut Network<T>, data: &Known<'_, T>) -> Result<Begin<T>, TrainError> {
        let mut begin = Begin::at(self.clock);
        if self.checkpoints.is_none() && self.resume_from.is_none() {
            return Ok(begin);
        }
        let mut facts = self.facts(network, data);
        let mut resumed = None;
        if let Some(From { folder, is_required }) = self.resume_from.clone() {
            match restore(&folder, network, &facts)? {
                Some(found) => {
                    let before = (Snapshot::of(network), network.seed());
                    found.apply(network)?;
                    facts.seed = network.seed().0;
                    self.restore_memory(network, &found).inspect_err(|_| {
                        before.0.put_back(network);
                        network.set_seed(before.1);
                    })?;
                    self.rates.restore(found.plateau);
                    self.clock = found.clock;
                    self.best = match (&self.early_stopping, found.best) {
                        (Some(rule), Some((standing, snapshot))) => {
                            Some(Best::new(rule, &self.metric_directions())?.with(standing, snapshot))
                        }
                        _ => None,
                    };
                    resumed = Some((found.clock.steps, found.best_checkpoints));
                    let mut history = found.history;
                    let (had, has) = (found.callbacks.len(), self.callbacks.len());
                    let mut resumed_from = found.resumed;
                    if had != has && found.callbacks.iter().any(Option::is_some) {
                        let difference = format!("there were {had} observers, some with a memory, and there are {has}");
                        resumed_from.differences.push(difference);
                    }
                    history.resumed = Some(resumed_from);
                    begin = Begin {
                        first_epoch: found.first_epoch,
                        epoch: found.epoch,
                        history,
                        good: found.good,
                        checkpoints: None,
                    };
                }
                None if is_required => {
                    return Err(CheckpointError::NoneFound { folder, damaged: Vec::new() }.into());
                }
                None => {}
            }
        }
        let is_first = self.exchange.as_ref().is_none_or(|exchange| exchange.rank() == 0);
        if let Some(settings) = self.checkpoints.as_ref().filter(|_| is_first) {
            begin.checkpoints = Some((Keeper::open(settings, &self.metric_directions(), resumed)?, facts));
        }
        Ok(begin)
    }

    /// Gives the optimizer, the average and the observers what they had. A run that goes on with other settings keeps its own: the memory
    /// alone is of the checkpoint.
    fn restore_memory(&mut self, network: &Network<T>, found: &Continuation<T>) -> Result<(), CheckpointError> {
        let refused = |error| CheckpointError::Optimizer { path: found.resumed.checkpoint.clone().into(), error };
        match sharded_part(self.exchange.as_ref(), &self.optimizer, network) {
            None => {
                self.optimizer.bind(network.segments());
                self.optimizer.restore(&found.optimizer).map_err(refused)?;
            }
            Some(part) => {
                self.optimizer.bind(&part.cut(network.segments()));
                let own = cut_state(&found.optimizer, &part, network.parameters().len());
                self.optimizer.restore(&own).map_err(refused)?;
            }
        }
        if let (Some(averaging), Some(states)) = (&mut self.averaging, &found.average) {
            averaging.restore(states).map_err(refused)?;
        }
        for (place, (callback, memory)) in self.callbacks.iter_mut().zip(&found.callbacks).enumerate() {
            let Some(memory) = memory else { continue };
            let path = || found.resumed.checkpoint.clone().into();
            callback.remember(memory).map_err(|reason| CheckpointError::Callback { path: path(), place, reason })?;
        }
        Ok(())
    }

    fn facts(&self, network: &Network<T>, data: &Known<'_, T>) -> Facts {
        Facts {
            settings: self.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            network: network.summary().to_string(),
            seed: network.seed().0,
            training: Fingerprint::of(data),
            validation: self.validation.map(|data| Fingerprint::of(&Known::dataset(data, self.batch_size))),
        }
    }
}
