//! Several networks that answer as one.

use std::fmt;

use downhill_data::{DataError, Dataset};
use downhill_network::{Network, PredictError};
use downhill_tensor::threads::{Threads, ThreadsError};
use downhill_tensor::{Examples, Outputs, Scalar, Seed, Shape};
use ndarray::Array2;

use crate::parallel;

/// Networks that answer as one, by the mean of their answers: of probabilities if their outputs are such or become such,
/// and of the outputs themselves otherwise, as in regression.
///
/// Members are as different as their seeds and, with [`bag`](EnsembleTrainer::bag), their data make them; the more they
/// disagree on an example, the larger is the [spread](EnsemblePrediction::spread).
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::{TrainError, Trainer};
/// use downhill_tune::EnsembleTrainer;
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((64, 1), |(i, _)| i as f64 / 32.0 - 1.0);
/// let data = Dataset::from_array(x.clone(), x.mapv(|x| (3.0 * x).sin()))?;
/// let ensemble = EnsembleTrainer::new(5).seed(Seed(1)).train(|seed| {
///     let mlp = sequential![Affine::new(16), Tanh, Affine::new(1)];
///     let mut network = Network::build([1], mlp, seed)?;
///     Trainer::new(MeanSquaredError::new(), Adam::new(0.02)).seed(seed).epochs(200).fit(&mut network, &data)?;
///     Ok::<_, TrainError>(network)
/// })?;
/// let answer = ensemble.predict([[0.5], [4.0]])?;
/// assert!((answer.mean[[0, 0]] - 1.5_f64.sin()).abs() < 0.1);
/// // Far from the data the members differ.
/// assert!(answer.spread[[1, 0]] > 3.0 * answer.spread[[0, 0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ensemble<T> {
    members: Vec<Network<T>>,
}

/// The answers of an [`Ensemble`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsemblePrediction<T> {
    /// The mean over the members: (batch, outputs).
    pub mean: Array2<T>,
    /// The standard deviation over the members, the root of their mean squared distance from the mean: (batch, outputs).
    pub spread: Array2<T>,
}

impl<T: Scalar> Ensemble<T> {
    /// Joins networks.
    ///
    /// # Errors
    /// Returns an error if there are none, or if one has other inputs or outputs than the first, or outputs that mean
    /// something else.
    pub fn new(members: Vec<Network<T>>) -> Result<Self, EnsembleError> {
        let first = members.first().ok_or(EnsembleError::Empty)?;
        for (member, network) in members.iter().enumerate().skip(1) {
            let difference = difference(first, network);
            if let Some(difference) = difference {
                return Err(EnsembleError::Different { member, difference });
            }
        }
        Ok(Self { members })
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &[Network<T>] {
        &self.members
    }

    /// Takes the members out.
    #[must_use]
    pub fn into_members(self) -> Vec<Network<T>> {
        self.members
    }

    /// Predicts a batch: the mean and the spread of the members' probabilities, if their outputs are such or become such,
    /// or else of the outputs.
    ///
    /// # Errors
    /// Returns an error if x does not fit the networks.
    pub fn predict(&self, x: impl Examples<T>) -> Result<EnsemblePrediction<T>, PredictError> {
        if self.gives_probabilities() {
            return self.ask(|member| member.probabilities(&x));
        }
        self.ask(|member| Ok(member.predict(&x)?))
    }

    /// Classifies each example of a batch, or each of its positions, by the mean of the members' probabilities.
    ///
    /// # Errors
    /// Returns an error if x does not fit the networks, a probability is not a number, or the outputs are not known to
    /// give probabilities or answer several independent questions.
    pub fn classify(&self, x: impl Examples<T>) -> Result<Vec<u32>, PredictError> {
        let answer = self.ask(|member| member.probabilities(&x))?;
        let Some(member) = self.members.first() else { return Ok(Vec::new()) };
        let classes = answer.mean.rows().into_iter().enumerate().map(|(example, row)| {
            member.classes_by_probability(&row.to_vec()).map_err(|error| match error {
                PredictError::NotANumber { output, .. } => PredictError::NotANumber { example, output },
                other => other,
            })
        });
        Ok(classes.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn gives_probabilities(&self) -> bool {
        let outputs = self.members.first().and_then(|member| member.meaning().outputs);
        !matches!(outputs, None | Some(Outputs::Numbers | Outputs::ClassScores | Outputs::Scores))
    }

    /// The mean and the spread of the members' answers, in f64 and in the order of the members.
    fn ask(
        &self,
        answer: impl Fn(&Network<T>) -> Result<Array2<T>, PredictError>,
    ) -> Result<EnsemblePrediction<T>, PredictError> {
        let answers = self.members.iter().map(answer).collect::<Result<Vec<_>, _>>()?;
        let shape = answers.first().map_or((0, 0), Array2::dim);
        let mean = |number: &dyn Fn(f64, (usize, usize)) -> f64| {
            Array2::from_shape_fn(shape, |place| {
                let sum: f64 = answers.iter().map(|answer| number(answer[place].to_f64(), place)).sum();
                sum / answers.len() as f64
            })
        };
        let center = mean(&|y, _| y);
        let variance = mean(&|y, place| (y - center[place]).powi(2));
        Ok(EnsemblePrediction {
            mean: center.mapv(T::from_f64),
            spread: variance.mapv(|variance| T::from_f64(variance.sqrt())),
        })
    }
}

/// The difference between a network and the first of an ensemble, if there is one that matters.
fn difference<T: Scalar>(first: &Network<T>, network: &Network<T>) -> Option<String> {
    let inputs =
        |network: &Network<T>| network.input_shapes().iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
    let meaning = |network: &Network<T>| {
        let meaning = network.meaning();
        (meaning.outputs, meaning.class_axis)
    };
    let name = |outputs: Option<Outputs>| outputs.map_or("unknown", Outputs::name);
    if network.input_shapes() != first.input_shapes() {
        Some(format!("its inputs are {}, but those of the first are {}", inputs(network), inputs(first)))
    } else if network.output_shape() != first.output_shape() {
        Some(format!("its output is {}, but that of the first is {}", network.output_shape(), first.output_shape()))
    } else if meaning(network) != meaning(first) {
        let (own, others) = (name(meaning(network).0), name(meaning(first).0));
        Some(format!("its outputs are {own}, but those of the first are {others}"))
    } else if network.class_names() != first.class_names() {
        Some(format!(
            "its classes are {:?}, but those of the first are {:?}",
            network.class_names(),
            first.class_names()
        ))
    } else {
        None
    }
}

/// Trains the members of an [`Ensemble`] side by side, each on one thread and with a seed of its own, so that the ensemble
/// has the same bits on any number of threads.
#[derive(Clone, Debug)]
pub struct EnsembleTrainer {
    members: usize,
    seed: Seed,
    threads: Option<Threads>,
}

impl EnsembleTrainer {
    /// Makes a trainer of this number of members, on all threads.
    #[must_use]
    pub fn new(members: usize) -> Self {
        Self { members, seed: Seed(0), threads: None }
    }

    /// Sets the seed that those of the members are derived from.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the threads, of which each trains one member at a time; all that the machine offers unless set.
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Trains the members: the closure builds and trains one from its seed.
    ///
    /// # Errors
    /// Returns the error of the first member that has one, and an error if there are no members, if they don't fit each
    /// other, or if threads can't be started.
    pub fn train<T: Scalar, E: fmt::Display>(
        &self,
        train: impl Fn(Seed) -> Result<Network<T>, E> + Sync,
    ) -> Result<Ensemble<T>, EnsembleError> {
        let threads = parallel::chosen(self.threads.as_ref())?;
        let members = parallel::map(&threads, self.members, |member| {
            let result = train(self.seed.derive(member as u64));
            result.map_err(|error| EnsembleError::Member { member, error: error.to_string() })
        });
        Ensemble::new(members.into_iter().collect::<Result<_, _>>()?)
    }

    /// Trains the members by bagging (Breiman 1996): each on as many examples as there are, drawn with replacement, so
    /// that it misses about a third of them and sees others twice. The closure trains one on its examples, from its seed.
    ///
    /// # Errors
    /// Returns the errors of [`train`](Self::train).
    pub fn bag<T: Scalar, E: fmt::Display>(
        &self,
        data: &Dataset<T>,
        train: impl Fn(&Dataset<T>, Seed) -> Result<Network<T>, E> + Sync,
    ) -> Result<Ensemble<T>, EnsembleError> {
        self.train(|seed| {
            let sample = bootstrap(data, seed).map_err(|error| error.to_string())?;
            train(&sample, seed).map_err(|error| error.to_string())
        })
    }
}

/// As many examples as there are, drawn with replacement.
fn bootstrap<T: Scalar>(data: &Dataset<T>, seed: Seed) -> Result<Dataset<T>, DataError> {
    /// The key of the stream, apart from those of the member that has the same seed.
    const SAMPLE: u64 = u64::MAX;
    let mut stream = seed.stream(SAMPLE);
    let indices: Vec<usize> = (0..data.len()).map(|_| (stream.uniform() * data.len() as f64) as usize).collect();
    data.select(&indices)
}

/// Why there is no ensemble.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// It would have no members.
    #[error("an ensemble of no members has no answer; it needs at least one")]
    Empty,
    /// A member does not answer what the first one does.
    #[error("member {member} can't join the ensemble: {difference}")]
    Different {
        /// The member, counted from 0.
        member: usize,
        /// The rest of the sentence: what differs.
        difference: String,
    },
    /// A member could not be trained.
    #[error("member {member} of the ensemble could not be trained: {error}")]
    Member {
        /// The member, counted from 0.
        member: usize,
        /// The message of its error.
        error: String,
    },
    /// Threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_sample_misses_a_third_of_the_examples() {
        let data = Dataset::new((0..1000).map(f64::from).collect(), [1], vec![0; 1000]).unwrap();
        let drawn = |seed| bootstrap(&data, seed).unwrap().inputs().slice().to_vec();
        let mut sample = drawn(Seed(1));
        assert_eq!((sample.len(), &sample), (1000, &drawn(Seed(1))));
        assert_ne!(sample, drawn(Seed(2)));
        sample.sort_by(f64::total_cmp);
        sample.dedup();
        // 1 − 1/e of them are drawn, give or take 2 %.
        assert!((600..665).contains(&sample.len()), "{}", sample.len());
    }
}
