//! Search over settings: each trial trains and judges one network, and trials run side by side.

mod space;

use std::cmp::Ordering;
use std::fmt;
use std::time::Instant;

use downhill_data::Fold;
use downhill_tensor::Seed;
use downhill_tensor::threads::{Threads, ThreadsError};

use crate::parallel;

pub use space::{Draw, Grid, Settings, SettingsError, Value, random};

/// A search over settings: a trial for each of them builds, trains and judges one network.
///
/// Settings are those of a [`Grid`], [`random`] ones, or whatever an iterator yields. Trials run side by side, each on one
/// thread whatever threads its trainer asks for, and have seeds of their own, so that the scores have the same bits on
/// any number of threads. A trial that ends with an error, such as one that diverges, is recorded with it.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::{NO_METRICS, Trainer, evaluate};
/// use downhill_tune::{Search, random};
/// use ndarray::Array2;
///
/// #[derive(Debug)]
/// struct Settings {
///     rate: f64,
///     hidden: usize,
/// }
/// let settings = random(6, Seed(1), |draw| Settings {
///     rate: draw.log_uniform(1e-4, 1e-1),
///     hidden: draw.integer(4..=32) as usize,
/// });
///
/// let x = Array2::from_shape_fn((200, 1), |(i, _)| i as f64 / 100.0 - 1.0);
/// let y = x.mapv(|x| (3.0 * x).sin());
/// let (train, test) = Dataset::from_array(x, y)?.split(0.75, Seed(2))?;
///
/// let report = Search::new().seed(Seed(3)).run(settings, |settings, trial| {
///     let mlp = sequential![Affine::new(settings.hidden), Tanh, Affine::new(1)];
///     let mut network = Network::build([1], mlp, trial.seed)?;
///     Trainer::new(MeanSquaredError::new(), Adam::new(settings.rate)).seed(trial.seed).fit(&mut network, &train)?;
///     Ok::<_, Box<dyn std::error::Error>>(evaluate(&network, &MeanSquaredError::new(), &test, NO_METRICS)?.loss)
/// })?;
/// println!("{report}");
/// let best = report.best().ok_or("no trial has a score")?;
/// assert!(best.settings.rate > 1e-3, "{best:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    seed: Seed,
    threads: Option<Threads>,
    larger_is_better: bool,
}

/// A trial under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trial {
    /// The place of its settings, from 0.
    pub number: usize,
    /// The seed for all that is random in it, derived from that of the search and from the number.
    pub seed: Seed,
}

impl Default for Search {
    fn default() -> Self {
        Self::new()
    }
}

impl Search {
    /// Makes a search for the smallest score, such as a loss, on all threads.
    #[must_use]
    pub fn new() -> Self {
        Self { seed: Seed(0), threads: None, larger_is_better: false }
    }

    /// Looks for the largest score, such as an accuracy.
    #[must_use]
    pub fn larger_is_better(mut self) -> Self {
        self.larger_is_better = true;
        self
    }

    /// Sets the seed that those of the trials are derived from.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the threads, of which each runs one trial at a time; all that the machine offers unless set.
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Runs a trial for each of the settings; it returns its score, an `f64` or a [`Score`]. A panic in a trial comes out
    /// of this call.
    ///
    /// # Errors
    /// Returns an error if there are no settings, or threads can't be started. Errors of trials are in the report.
    pub fn run<S: Send + Sync, R: Into<Score>, E: fmt::Display>(
        &self,
        settings: impl IntoIterator<Item = S>,
        trial: impl Fn(&S, Trial) -> Result<R, E> + Sync,
    ) -> Result<SearchReport<S>, SearchError> {
        let settings: Vec<S> = settings.into_iter().collect();
        let threads = self.check(&settings)?;
        let outcomes = parallel::map(&threads, settings.len(), |number| {
            timed(|| trial(&settings[number], self.trial(number)).map(Into::into))
        });
        let trials = settings.into_iter().zip(outcomes).enumerate();
        let record = |(number, (settings, outcome))| self.record(number, settings, None, outcome);
        Ok(self.report(trials.map(record).collect()))
    }

    /// Runs a trial for each of the settings on each of the folds, such as those of
    /// [`k_folds`](downhill_data::Dataset::k_folds); the score of settings is the mean of those on the folds.
    ///
    /// All folds of a trial have its seed. An error on one of them is that of the trial.
    ///
    /// ```
    /// use downhill_data::{Dataset, digits};
    /// use downhill_layers::Affine;
    /// use downhill_losses::SoftmaxCrossEntropy;
    /// use downhill_network::Network;
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::{NO_METRICS, TrainError, Trainer, evaluate};
    /// use downhill_tune::Search;
    ///
    /// let data: Dataset<f32> = digits()?;
    /// let report = Search::new().run_folds([1e-6, 1e-2], data.k_folds(3, Seed(1))?, |&rate, fold, trial| {
    ///     let mut network = Network::build([64], Affine::new(10), trial.seed)?;
    ///     let loss = SoftmaxCrossEntropy::new();
    ///     Trainer::new(loss.clone(), Adam::new(rate)).epochs(2).fit(&mut network, &fold.train)?;
    ///     Ok::<_, TrainError>(evaluate(&network, &loss, &fold.validation, NO_METRICS)?.loss)
    /// })?;
    /// assert_eq!(report.best().map(|best| best.settings), Some(1e-2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there are no settings or no folds, or threads can't be started.
    pub fn run_folds<S: Send + Sync, D: Send + Sync, E: fmt::Display>(
        &self,
        settings: impl IntoIterator<Item = S>,
        folds: impl IntoIterator<Item = Fold<D>>,
        trial: impl Fn(&S, &Fold<D>, Trial) -> Result<f64, E> + Sync,
    ) -> Result<SearchReport<S>, SearchError> {
        let (settings, folds): (Vec<S>, Vec<_>) = (settings.into_iter().collect(), folds.into_iter().collect());
        let threads = self.check(&settings)?;
        if folds.is_empty() {
            return Err(SearchError::NoFolds);
        }
        let outcomes = parallel::map(&threads, settings.len() * folds.len(), |place| {
            let (number, fold) = (place / folds.len(), place % folds.len());
            let judge = || trial(&settings[number], &folds[fold], self.trial(number));
            timed(|| judge().map_err(|error| format!("fold {fold}: {error}")))
        });
        let mut outcomes = outcomes.into_iter();
        let mut record = |(number, settings)| {
            let of_folds: Vec<_> = outcomes.by_ref().take(folds.len()).collect();
            let seconds = of_folds.iter().map(|outcome| outcome.1).sum();
            let scores: Result<Vec<f64>, String> = of_folds.into_iter().map(|outcome| outcome.0).collect();
            self.record(number, settings, None, (scores.map(Score::mean), seconds))
        };
        let trials = settings.into_iter().enumerate().map(&mut record).collect();
        Ok(self.report(trials))
    }

    /// Searches by successive halving (Jamieson and Talwalkar 2016): tries all settings with the smallest budget, such as
    /// a number of epochs, and goes on to the next budget with the best of them, as many as take the same time in all:
    /// with the budgets 1, 3 and 9 a third each time, rounded up.
    ///
    /// A trial starts anew with each budget, with the same seed. The report has a record for each.
    ///
    /// ```
    /// use downhill_tune::Search;
    /// // The score of a setting x after some epochs.
    /// let report = Search::new().run_halving(0..9, &[1, 3, 9], |&x, epochs, _trial| {
    ///     Ok::<_, String>(f64::from(x - 6).powi(2) + 1.0 / epochs as f64)
    /// })?;
    /// let budgets: Vec<_> = report.trials().iter().filter_map(|trial| trial.budget).collect();
    /// assert_eq!(budgets, [1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 9]);
    /// assert_eq!(report.best().map(|best| best.settings), Some(6));
    /// # Ok::<(), downhill_tune::SearchError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there are no settings or no budgets, if these don't rise from above 0, or threads can't be
    /// started.
    pub fn run_halving<S: Clone + Send + Sync, R: Into<Score>, E: fmt::Display>(
        &self,
        settings: impl IntoIterator<Item = S>,
        budgets: &[u64],
        trial: impl Fn(&S, u64, Trial) -> Result<R, E> + Sync,
    ) -> Result<SearchReport<S>, SearchError> {
        let settings: Vec<S> = settings.into_iter().collect();
        let threads = self.check(&settings)?;
        if budgets.is_empty() || budgets[0] == 0 || budgets.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(SearchError::Budgets { budgets: budgets.to_vec() });
        }
        let mut trials = Vec::new();
        let mut left: Vec<usize> = (0..settings.len()).collect();
        for (round, &budget) in budgets.iter().enumerate() {
            let outcomes = parallel::map(&threads, left.len(), |place| {
                let number = left[place];
                timed(|| trial(&settings[number], budget, self.trial(number)).map(Into::into))
            });
            let record = |(&number, outcome)| self.record(number, settings[number].clone(), Some(budget), outcome);
            let report = self.report(left.iter().zip(outcomes).map(record).collect());
            if let Some(&next) = budgets.get(round + 1) {
                let kept = (left.len() as u128 * u128::from(budget)).div_ceil(u128::from(next)) as usize;
                let scored = report.ranking().into_iter().filter(|trial| trial.is_scored());
                left = scored.take(kept).map(|trial| trial.number).collect();
                left.sort_unstable();
            }
            trials.extend(report.trials);
        }
        Ok(self.report(trials))
    }

    fn check<S>(&self, settings: &[S]) -> Result<Threads, SearchError> {
        if settings.is_empty() {
            return Err(SearchError::NoSettings);
        }
        Ok(parallel::chosen(self.threads.as_ref())?)
    }

    fn trial(&self, number: usize) -> Trial {
        Trial { number, seed: self.seed.derive(number as u64) }
    }

    fn record<S>(&self, number: usize, settings: S, budget: Option<u64>, outcome: Timed<Score>) -> TrialRecord<S> {
        let (outcome, seconds) = outcome;
        TrialRecord { number, seed: self.trial(number).seed, settings, budget, outcome, seconds }
    }

    fn report<S>(&self, trials: Vec<TrialRecord<S>>) -> SearchReport<S> {
        SearchReport { trials, larger_is_better: self.larger_is_better }
    }
}

/// A result with its error as text, and the seconds that it took.
type Timed<R> = (Result<R, String>, f64);

fn timed<R, E: fmt::Display>(work: impl FnOnce() -> Result<R, E>) -> Timed<R> {
    let started = Instant::now();
    let result = work().map_err(|error| error.to_string());
    (result, started.elapsed().as_secs_f64())
}

/// Why a search can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// There are no settings.
    #[error("there are no settings to try; give each name of a grid one value at least, and a random search one draw")]
    NoSettings,
    /// There are no folds.
    #[error("there are no folds to try settings on; make some with `k_folds`, or judge on one set with `run`")]
    NoFolds,
    /// The budgets of successive halving don't rise.
    #[error(
        "the budgets of successive halving are {budgets:?}, but each must be larger than the one before it, and the first than 0"
    )]
    Budgets {
        /// The budgets.
        budgets: Vec<u64>,
    },
    /// Threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

/// The score of a trial, the mean of several if it was judged on parts of the data.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Score {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    value: f64,
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    parts: Vec<f64>,
}

impl Score {
    /// Makes the mean of scores, NaN if there are none.
    #[must_use]
    pub fn mean(parts: Vec<f64>) -> Self {
        Self { value: parts.iter().sum::<f64>() / parts.len() as f64, parts }
    }

    /// The score: that of the trial, or the mean.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The scores on the parts of the data; one if there was one judgement.
    #[must_use]
    pub fn parts(&self) -> &[f64] {
        &self.parts
    }

    /// The standard deviation of the parts, the root of their mean squared distance from the mean; `None` for one part.
    #[must_use]
    pub fn standard_deviation(&self) -> Option<f64> {
        let squares: f64 = self.parts.iter().map(|part| (part - self.value).powi(2)).sum();
        (self.parts.len() > 1).then(|| (squares / self.parts.len() as f64).sqrt())
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self { value, parts: vec![value] }
    }
}

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct TrialRecord<S> {
    /// The place of its settings, from 0.
    pub number: usize,
    /// The seed that it had.
    pub seed: Seed,
    /// What was tried.
    pub settings: S,
    /// The budget that it had, in successive halving.
    pub budget: Option<u64>,
    /// The score, or the message of the error that the trial ended with.
    pub outcome: Result<Score, String>,
    /// The time that the trial took on its thread, in seconds.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub seconds: f64,
}

impl<S> TrialRecord<S> {
    /// The score, unless the trial ended with an error.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        self.outcome.as_ref().ok().map(Score::value)
    }

    /// The message of the error that the trial ended with, if there was one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.outcome.as_ref().err().map(String::as_str)
    }

    /// Whether it has a score that is a finite number.
    fn is_scored(&self) -> bool {
        self.score().is_some_and(f64::is_finite)
    }
}

/// What a search has found.
///
/// It prints as a table, the best trial first.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct SearchReport<S> {
    trials: Vec<TrialRecord<S>>,
    larger_is_better: bool,
}

impl<S> SearchReport<S> {
    /// The trials in the order of their settings; those of successive halving budget by budget.
    #[must_use]
    pub fn trials(&self) -> &[TrialRecord<S>] {
        &self.trials
    }

    /// The trial with the best score, the first of equals; with budgets the best of the largest budget that has a finite
    /// score. `None` if no trial has one.
    #[must_use]
    pub fn best(&self) -> Option<&TrialRecord<S>> {
        self.ranking().into_iter().next().filter(|trial| trial.is_scored())
    }

    /// The trials from the best to the worst: first those of larger budgets, and last those without a finite score.
    #[must_use]
    pub fn ranking(&self) -> Vec<&TrialRecord<S>> {
        let mut ranking: Vec<_> = self.trials.iter().collect();
        ranking.sort_by(|a, b| {
            let scores = match (a.score(), b.score()) {
                (Some(a), Some(b)) if self.larger_is_better => b.total_cmp(&a),
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => Ordering::Equal,
            };
            b.is_scored().cmp(&a.is_scored()).then(b.budget.cmp(&a.budget)).then(scores)
        });
        ranking
    }
}

impl<S: fmt::Debug> fmt::Display for SearchReport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_budgets = self.trials.iter().any(|trial| trial.budget.is_some());
        let budget = |text: String| if has_budgets { format!("{text:>8}  ") } else { String::new() };
        write!(f, "{:>5}  {}{:>20}  {:>8}  settings", "trial", budget("budget".into()), "score", "seconds")?;
        for trial in self.ranking() {
            let score = match &trial.outcome {
                Ok(score) => match score.standard_deviation() {
                    Some(deviation) => format!("{:.4} ± {deviation:.4}", score.value()),
                    None => format!("{:.4}", score.value()),
                },
                Err(_) => "error".to_owned(),
            };
            let budget = budget(trial.budget.map(|budget| budget.to_string()).unwrap_or_default());
            write!(f, "\n{:>5}  {budget}{score:>20}  {:>8.2}  {:?}", trial.number, trial.seconds, trial.settings)?;
            if let Some(error) = trial.error() {
                write!(f, ": {error}")?;
            }
        }
        Ok(())
    }
}
