//! The builder of a run. `door.rs` checks its settings and data, `run.rs` has the loop.

mod door;
#[cfg(feature = "checkpoint")]
mod resume;
mod run;
mod single;
mod update;

#[cfg(feature = "checkpoint")]
pub(crate) use run::Epoch;

use std::ops::ControlFlow;

use downhill_data::source::SourceBatches;
use downhill_data::{Batches, DataError, Dataset};
use downhill_losses::{Loss, Target};
use downhill_network::{Network, Workspace};
use downhill_optim::schedule::{ReduceOnPlateau, Schedule};
use downhill_optim::{Optimizer, Penalty};
use downhill_tensor::threads::{Threads, is_alone};
use downhill_tensor::{Scalar, Seed};

use crate::averaging::Averaging;
use crate::callback::{OnEpoch, OnStep};
#[cfg(feature = "checkpoint")]
use crate::checkpoint::Checkpoints;
use crate::clipping::Clipping;
use crate::diagnosis::Watch;
use crate::early_stopping::Best;
use crate::exchange::{Checksum, Exchange, agree, compare};
use crate::feed::{Feed, Known};
use crate::other_point::OtherPoint;
use crate::rates::Rates;
use crate::{
    Callback, Diagnosis, EarlyStopping, EpochEnd, GradientExchange, History, Metric, Progress, RankData, StepEnd,
    StopHandle, TrainError,
};

/// A training loop: a loss, an optimizer, and the settings of a run.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::BinaryCrossEntropyWithLogits;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
/// use ndarray::array;
///
/// let xor = Dataset::from_array(
///     array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
///     array![[0.0], [1.0], [1.0], [0.0]],
/// )?;
/// let mut network = Network::<f64>::build([2], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(1))?;
/// let history = Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(0.05))
///     .epochs(300)
///     .batch_size(4)
///     .fit(&mut network, &xor)?;
/// assert!(history.epochs[299].training_loss < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer<'a, T: Scalar, L, O> {
    loss: L,
    optimizer: O,
    epochs: u64,
    batch_size: usize,
    micro_batches: u64,
    drop_last: bool,
    seed: Seed,
    rates: Rates,
    clipping: Option<Clipping>,
    penalty: Option<Penalty>,
    validation: Option<&'a Dataset<T>>,
    metrics: Vec<Box<dyn Metric<T>>>,
    early_stopping: Option<EarlyStopping>,
    callbacks: Vec<Box<dyn Callback<T> + 'a>>,
    watch: Option<Box<dyn Watch<T, L>>>,
    stops: Vec<StopHandle>,
    #[cfg(feature = "signals")]
    watch_interrupts: bool,
    progress: Progress,
    threads: Option<Threads>,
    clock: Clock,
    best: Option<Best<T>>,
    other_point: Option<OtherPoint<T>>,
    averaging: Option<Averaging<T>>,
    exchange: Option<Exchange<'a, T>>,
    /// Memory for steps outside a run.
    single: Option<Workspace<T>>,
    #[cfg(feature = "checkpoint")]
    checkpoints: Option<Checkpoints>,
    #[cfg(feature = "checkpoint")]
    resume_from: Option<resume::From>,
}

impl<T: Scalar, L: Loss, O: Optimizer<T>> std::fmt::Debug for Trainer<'_, T, L, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("loss", &self.loss)
            .field("optimizer", &self.optimizer)
            .field("epochs", &self.epochs)
            .field("batch_size", &self.batch_size)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'a, T, L, O> {
    /// Makes a trainer with this loss and this optimizer: ten epochs of batches of 32, shuffled, without output.
    #[must_use]
    pub fn new(loss: L, optimizer: O) -> Self {
        Self {
            loss,
            optimizer,
            epochs: 10,
            batch_size: 32,
            micro_batches: 1,
            drop_last: false,
            seed: Seed(0),
            rates: Rates::Constant,
            clipping: None,
            penalty: None,
            validation: None,
            metrics: Vec::new(),
            early_stopping: None,
            callbacks: Vec::new(),
            watch: None,
            stops: Vec::new(),
            #[cfg(feature = "signals")]
            watch_interrupts: false,
            progress: Progress::Quiet,
            threads: None,
            clock: Clock::default(),
            best: None,
            other_point: None,
            averaging: None,
            exchange: None,
            single: None,
            #[cfg(feature = "checkpoint")]
            checkpoints: None,
            #[cfg(feature = "checkpoint")]
            resume_from: None,
        }
    }

    /// Sets the number of epochs, each a pass through the data; 10 unless set.
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the number of examples in a step; 32 unless set.
    #[must_use]
    pub fn batch_size(mut self, examples: usize) -> Self {
        self.batch_size = examples;
        self
    }

    /// Adds up the gradients of this many batches, and takes one step by them all; 1 unless set.
    ///
    /// The step is that of one batch with all their examples, within rounding, whatever the loss divides by, except that
    /// each of them is seen by itself: batch normalisation takes the statistics of one, and dropout draws anew for each.
    /// So large a batch needs the memory of a small one. What is left at the end of an epoch makes a smaller step.
    #[must_use]
    pub fn accumulate(mut self, batches: u64) -> Self {
        self.micro_batches = batches;
        self
    }

    /// Judges and keeps an exponential moving average of the weights, e ← d e + (1 − d) θ after every step, instead of
    /// the last ones.
    ///
    /// Running statistics, such as those of batch normalisation, are averaged in the same way. Training goes on from θ,
    /// the [`training_point`](Trainer::training_point); whenever the network is validated, kept or shown to
    /// [`on_epoch`](Trainer::on_epoch), and at the end, it holds the average.
    #[must_use]
    pub fn exponential_average(mut self, decay: f64) -> Self {
        self.averaging = Some(Averaging::exponential(decay));
        self
    }

    /// Judges and keeps the plain mean of the weights at the ends of the epochs from this one on, counted from 1
    /// (stochastic weight averaging, Izmailov et al. 2018), instead of the last ones.
    ///
    /// Everything else is as with [`exponential_average`](Trainer::exponential_average).
    #[must_use]
    pub fn average_from_epoch(mut self, epoch: u64) -> Self {
        self.averaging = Some(Averaging::from_epoch(epoch.saturating_sub(1)));
        self
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Sets the seed of the order in which examples are seen.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the learning rate of every step by a schedule.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.rates = Rates::PerStep(Box::new(schedule));
        self
    }

    /// Sets the learning rate of every epoch by a schedule.
    #[must_use]
    pub fn schedule_per_epoch(mut self, schedule: impl Schedule + 'static) -> Self {
        self.rates = Rates::PerEpoch(Box::new(schedule));
        self
    }

    /// Lowers the learning rate when the validation loss (or the training loss, without validation data) stalls.
    #[must_use]
    pub fn reduce_on_plateau(mut self, plateau: ReduceOnPlateau) -> Self {
        self.rates = Rates::Plateau(plateau);
        self
    }

    /// Scales a gradient whose norm over all parameters exceeds `max_norm` down to it.
    #[must_use]
    pub fn clip_norm(mut self, max_norm: f64) -> Self {
        self.clipping = Some(Clipping::Norm(max_norm));
        self
    }

    /// Clamps every entry of the gradient to ±`limit`.
    #[must_use]
    pub fn clip_value(mut self, limit: f64) -> Self {
        self.clipping = Some(Clipping::Value(limit));
        self
    }

    /// Adds a penalty on the parameters to the loss of every step.
    #[must_use]
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.penalty = Some(penalty);
        self
    }

    /// Judges the network on these examples after every epoch; it is never trained on them.
    #[must_use]
    pub fn validate(mut self, data: &'a Dataset<T>) -> Self {
        self.validation = Some(data);
        self
    }

    /// Adds a metric, which judges the validation data after every epoch; without validation data it judges the training
    /// data, which costs a forward pass over them.
    #[must_use]
    pub fn metric(mut self, metric: impl Metric<T> + 'static) -> Self {
        self.metrics.push(Box::new(metric));
        self
    }

    /// Ends a run that no longer improves, with the best parameters kept.
    #[must_use]
    pub fn early_stopping(mut self, rule: EarlyStopping) -> Self {
        self.early_stopping = Some(rule);
        self
    }

    /// Adds an observer of the run.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<T> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Calls a closure after every epoch; `Break` ends the run.
    #[must_use]
    pub fn on_epoch(self, callback: impl FnMut(&EpochEnd<'_, T>) -> ControlFlow<()> + Send + 'a) -> Self {
        self.callback(OnEpoch(callback))
    }

    /// Calls a closure after every step; `Break` ends the run.
    #[must_use]
    pub fn on_step(self, callback: impl FnMut(&StepEnd<'_, T>) -> ControlFlow<()> + Send + 'a) -> Self {
        self.callback(OnStep(callback))
    }

    /// Takes the norms of layers, gradients and updates at some steps, and warns of what is likely to be wrong: gradients that
    /// vanish or explode, units that are dead or saturated, a learning rate that is too high or too low, labels that look
    /// shuffled, a feature that tells the target, and features that were not scaled.
    ///
    /// Callbacks receive [norms](Callback::on_norms) and [warnings](Callback::on_warning) as they arise, and
    /// [`History::warnings`] keeps these; [`Warning`](crate::Warning) has a variant for each. If numbers become infinite or
    /// NaN, the error says more: see [`Findings`](crate::Findings). Parameters, and all else that the run leaves, have the
    /// same bits as without.
    ///
    /// What is judged are the training batches as they come, and validation data by their predictions. The counts behind a
    /// judgement are not in a checkpoint; the warnings are, so that a run that goes on does not say them again.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_layers::{Affine, Tanh};
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::{Network, sequential};
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::{Diagnosis, Trainer, Warning};
    /// use ndarray::Array2;
    ///
    /// // Years, as they are.
    /// let x = Array2::from_shape_fn((200, 1), |(i, _)| 1900.0 + i as f64 / 2.0);
    /// let y = x.mapv(|year| (year / 10.0).sin());
    /// let data = Dataset::from_array(x, y)?;
    /// let mut network = Network::<f64>::build([1], sequential![Affine::new(8), Tanh, Affine::new(1)], Seed(1))?;
    /// let history = Trainer::new(MeanSquaredError::new(), Adam::new(0.01))
    ///     .diagnose(Diagnosis::new())
    ///     .fit(&mut network, &data)?;
    /// let said = &history.warnings[0];
    /// assert!(matches!(said.warning, Warning::UnscaledFeatures { feature: 0, .. }));
    /// println!("{said}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn diagnose(mut self, settings: Diagnosis) -> Self {
        self.watch = Some(settings.watch());
        self
    }

    /// Ends the run after the step in which this handle is asked to stop.
    #[must_use]
    pub fn stop_handle(mut self, handle: StopHandle) -> Self {
        self.stops.push(handle);
        self
    }

    /// Ends the run after the step in which Ctrl-C is pressed, with the best parameters kept.
    /// A second Ctrl-C ends the program.
    ///
    /// This installs the process's one handler for the signal.
    #[cfg(feature = "signals")]
    #[must_use]
    pub fn stop_on_interrupt(mut self) -> Self {
        self.watch_interrupts = true;
        self
    }

    /// Sets what the run shows while it goes on; nothing unless set.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Has several ranks train one network together, each of which calls [`fit`](Trainer::fit) with its own trainer: see
    /// [`GradientExchange`].
    ///
    /// A step is taken by the mean gradient over the batches of all ranks, so that n ranks learn from n batches at once.
    /// The loss of a step and of an epoch is that of all examples. Each rank judges a part of the validation data and hears
    /// what was found for the others, so that metrics, early stopping and schedules are the same everywhere, with the bits
    /// of one process. All ranks start with the parameters of rank 0.
    ///
    /// * With [data that are dealt](RankData::Dealt), the batches of an epoch are those of one process, in the same order:
    ///   n ranks take the steps of one process that [accumulates](Trainer::accumulate) n batches, bit for bit if each
    ///   rank sees one batch a step, or if [each batch is exchanged by itself](GradientExchange::is_in_order).
    /// * Batch normalisation takes the statistics of each batch, unless [all batches of a step are one to
    ///   it](GradientExchange::is_synchronized): if no layer draws random numbers, as dropout does, n ranks then take the
    ///   steps of one process with n times the batch, within rounding. Running statistics are those of one process that sees
    ///   one batch after another; if each rank first adds up its own batches, they are the mean over the ranks.
    /// * A callback or a [stop handle](Trainer::stop_handle) of one rank ends the run of all ranks after one more step, or
    ///   at the end of the epoch.
    /// * A [diagnosis](Trainer::diagnose) is for one process, and refused here.
    /// * An error on one rank is an error on all: [`TrainError::OtherRank`] says which rank and why.
    /// * [Checkpoints](Trainer::checkpoint) are written by rank 0, in a folder that all ranks can read, and hold the whole
    ///   optimizer's memory: another number of ranks can go on from them.
    #[must_use]
    pub fn exchange(mut self, exchange: impl GradientExchange<T> + 'a) -> Self {
        // One rank has no other to wait for.
        self.exchange = (exchange.ranks() > 1).then(|| Box::new(exchange) as _);
        self
    }

    /// Sets the threads that share the work.
    ///
    /// By default a large network uses all there are, and a small one, which is faster on one thread, uses one. The result
    /// has the same bits either way.
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The optimizer, to save its state or read its learning rate.
    #[must_use]
    pub fn optimizer(&self) -> &O {
        &self.optimizer
    }

    /// The optimizer, to restore its state.
    #[must_use]
    pub fn optimizer_mut(&mut self) -> &mut O {
        &mut self.optimizer
    }

    /// The point where the last run takes its next gradient, if the network was left at another one: see
    /// [`fit`](Trainer::fit).
    #[must_use]
    pub fn training_point(&self) -> Option<&[T]> {
        self.other_point.as_ref()?.of_training()
    }

    /// Trains `network` on `data`, anew: the optimizer forgets earlier runs, the schedule begins at its base, plateau and
    /// early stopping have seen nothing, and epochs and steps are counted from the start. The same call on an equal
    /// network gives the same bits, so one trainer serves all folds of a cross-validation.
    ///
    /// The network is trained on from the parameters that it has. To go on with the optimizer's memory too, see
    /// [`continue_fit`](Trainer::continue_fit).
    ///
    /// While training, the network learns from the loss what its outputs mean, and from the data the names of its
    /// classes: see [`Network::classify`].
    ///
    /// A network of several inputs takes those of the data set in their order, such as padded sequences and their
    /// lengths:
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_layers::{Affine, Lstm};
    /// use downhill_losses::SoftmaxCrossEntropy;
    /// use downhill_network::{Graph, Network};
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::Trainer;
    /// use ndarray::array;
    ///
    /// let mut graph = Graph::new();
    /// let (sequence, length) = (graph.input([4, 1]), graph.input([1]));
    /// let state = graph.apply(Lstm::new(8).lengths().last_state(), &[sequence, length])?;
    /// let scores = graph.apply(Affine::new(2), &[state])?;
    /// let mut network = Network::<f32>::from_graph(&graph, scores, Seed(1))?;
    ///
    /// // Does the sequence rise? What follows its end, a 9 here, is not read.
    /// let sequences = array![[1., 2., 9., 9.], [1., 2., 1., 9.], [3., 2., 9., 9.], [0., 1., 2., 3.], [3., 2., 1., 9.]];
    /// let lengths = vec![2.0, 3.0, 2.0, 4.0, 3.0];
    /// let data = Dataset::from_array(sequences, vec![1, 0, 0, 1, 0])?.reshape([4, 1])?.with_input(lengths, [1])?;
    /// let history = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.05)).epochs(100).fit(&mut network, &data)?;
    /// assert!(history.epochs[99].training_loss < 0.1);
    ///
    /// // The first two again, with other padding.
    /// let (sequences, lengths) = (array![[1., 2., 0., 0.], [1., 2., 1., 0.]], array![2.0, 3.0]);
    /// let classes = network.classify((&sequences, &lengths))?;
    /// assert_eq!(classes, [1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A schedule-free optimizer takes gradients at one point and is judged at another,
    /// [`evaluation_point`](Optimizer::evaluation_point). The network is at that one whenever it is validated, kept or
    /// shown to [`on_epoch`](Trainer::on_epoch), and at the end, so that it predicts as it was validated. Between the
    /// steps of an epoch it is where gradients are taken; running statistics are those that were seen there.
    ///
    /// A batch in which no target counts, since all are ignored or weigh nothing, is passed over: it moves nothing, and
    /// is no step.
    ///
    /// # Errors
    /// Returns an error before the first step if a setting is not valid, or if the training or the validation data do
    /// not fit the network, the loss or a metric; the network is then unchanged. Returns an error if the loss leaves the
    /// finite numbers: it names the step, the place and the likely cause. Returns an error if a prediction leaves the
    /// range that the loss takes, such as a rate that falls below 0. The network then holds the parameters of the last
    /// good epoch.
    pub fn fit(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        let checked = self.check(network, data);
        self.agreed("the settings and the data", checked)?;
        let mut batches = self.batches(data)?;
        self.fit_anew(network, &mut batches, &Known::dataset(data, self.batch_size), data.class_names())
    }

    /// Trains `network` as [`fit`](Trainer::fit) does on batches that are read as they are needed, from files or from a
    /// [source](downhill_data::source) of the caller's: the data need not fit into memory.
    ///
    /// The batches have their own size, seed and order, and may leave out the last one; the trainer's settings of
    /// these names are not used. The bits are those of `fit` if the batches are.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_data::source::{InMemory, SourceBatches};
    /// use downhill_layers::Affine;
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::Network;
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::Trainer;
    /// use ndarray::array;
    ///
    /// let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0])?;
    /// let build = || Network::<f64>::build([1], Affine::new(1), Seed(1));
    /// let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).epochs(5);
    /// let (mut held, mut read) = (build()?, build()?);
    /// trainer().batch_size(2).seed(Seed(4)).fit(&mut held, &data)?;
    /// let mut batches = SourceBatches::shuffled(InMemory::new(data), 2, Seed(4))?.prefetch(2);
    /// trainer().fit_batches(&mut read, &mut batches)?;
    /// assert_eq!(read.parameters(), held.parameters());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of `fit`. The data are not read before they are trained on, so that what does not fit in them is
    /// an error of its batch: the network then holds the parameters of the last whole epoch. Returns an error before the
    /// first step if there are metrics, which want validation data here.
    pub fn fit_batches(
        &mut self,
        network: &mut Network<T>,
        batches: &mut SourceBatches<'_, T>,
    ) -> Result<History, TrainError> {
        let checked = self.check_source(network);
        self.agreed("the settings", checked)?;
        let (known, class_names) = (Known::source(batches), batches.layout().class_names().to_vec());
        self.fit_anew(network, batches, &known, &class_names)
    }

    fn fit_anew(
        &mut self,
        network: &mut Network<T>,
        batches: &mut dyn Feed<T>,
        data: &Known<'_, T>,
        class_names: &[String],
    ) -> Result<History, TrainError> {
        self.optimizer.reset();
        self.rates.reset();
        if let Some(exchange) = &mut self.exchange {
            exchange.restart();
        }
        if let Some(averaging) = &mut self.averaging {
            averaging.reset();
        }
        (self.clock, self.best, self.other_point) = (Clock::default(), None, None);
        #[cfg(feature = "checkpoint")]
        let begin = {
            let begin = self.begin(network, data);
            self.agreed("the checkpoints", begin)?
        };
        #[cfg(not(feature = "checkpoint"))]
        let begin = run::Begin::at(self.clock);
        self.start(network, batches, data, class_names, begin)
    }

    /// Trains on from where the last call ended: the optimizer keeps what it remembers, the schedule and plateau go on,
    /// epochs and steps are counted on (so that each epoch has its own order), and early stopping keeps the best
    /// so far. An epoch that was not completed is begun again.
    ///
    /// A schedule-free optimizer goes on from where the last call took its gradients, unless the network's parameters
    /// have been changed since. Checkpoints, with the feature `checkpoint`, go on in another process.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_layers::Affine;
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::{Network, Workspace};
    /// use downhill_optim::Adam;
    /// use downhill_tensor::Seed;
    /// use downhill_train::Trainer;
    /// use ndarray::array;
    ///
    /// let data = Dataset::from_array(array![[0.0], [1.0], [2.0], [3.0]], array![1.0, 3.0, 5.0, 7.0])?;
    /// let build = || Network::<f64>::build([1], Affine::new(1), Seed(1));
    /// let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(2);
    /// let (mut whole, mut parts) = (build()?, build()?);
    /// trainer().epochs(6).fit(&mut whole, &data)?;
    /// let mut twice = trainer().epochs(3);
    /// twice.fit(&mut parts, &data)?;
    /// twice.continue_fit(&mut parts, &data)?;
    /// assert_eq!(parts.parameters(), whole.parameters());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`fit`](Trainer::fit).
    pub fn continue_fit(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        let checked = self.check(network, data);
        self.agreed("the settings and the data", checked)?;
        self.best = self.best.take().filter(|best| best.fits(network));
        if let Some(best) = &mut self.best {
            best.go_on();
        }
        let (mut batches, begin) = (self.batches(data)?, run::Begin::at(self.clock));
        self.start(network, &mut batches, &Known::dataset(data, self.batch_size), data.class_names(), begin)
    }

    /// The settings of a run, by name, as logs and checkpoints show them.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("loss", format!("{:?}", self.loss)),
            ("optimizer", self.optimizer.state().name),
            ("learning_rate", self.optimizer.base_learning_rate().to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("micro_batches", self.micro_batches.to_string()),
            ("drop_last", self.drop_last.to_string()),
            ("seed", self.seed.0.to_string()),
            ("rates", self.rates.settings()),
        ];
        settings.extend(self.clipping.map(|clipping| ("clipping", format!("{clipping:?}"))));
        settings.extend(self.penalty.as_ref().map(|penalty| ("penalty", format!("{penalty:?}"))));
        settings.extend(self.early_stopping.as_ref().map(|rule| ("early_stopping", format!("{rule:?}"))));
        settings.extend(self.averaging.as_ref().map(|averaging| ("averaging", averaging.to_string())));
        settings
    }

    fn start(
        &mut self,
        network: &mut Network<T>,
        batches: &mut dyn Feed<T>,
        data: &Known<'_, T>,
        class_names: &[String],
        begin: run::Begin<T>,
    ) -> Result<History, TrainError> {
        #[cfg(feature = "signals")]
        if self.watch_interrupts {
            self.stops.push(StopHandle::on_interrupt()?);
            self.watch_interrupts = false;
        }
        self.agree_on_start(network, data)?;
        if let Some(penalty) = &mut self.penalty {
            penalty.bind(network.segments());
        }
        network.set_meaning(self.loss.meaning());
        if !class_names.is_empty() {
            network.set_class_names(class_names);
        }
        let threads = match &self.threads {
            Some(threads) => threads.clone(),
            None => self.choose_threads(network, data.batch_size)?,
        };
        threads.run(|| run::run(self, network, batches, data, begin))
    }

    fn agreed<R>(&mut self, what: &str, own: Result<R, TrainError>) -> Result<R, TrainError> {
        agree(self.exchange.as_mut(), what, own)
    }

    /// Checks that all ranks train the same network in the same way, and starts them with the parameters of rank 0.
    fn agree_on_start(&mut self, network: &mut Network<T>, data: &Known<'_, T>) -> Result<(), TrainError> {
        let Some(exchange) = &self.exchange else { return Ok(()) };
        let (clock, data_of_ranks) = (self.clock, exchange.data());
        let mut facts = vec![
            ("the version of downhill", env!("CARGO_PKG_VERSION").to_owned()),
            ("the precision", std::any::type_name::<T>().to_owned()),
            ("the network", network.summary().to_string()),
            ("the step that the run begins at", clock.steps.to_string()),
            ("the epochs", self.epochs.to_string()),
            ("the batch size of the data", data.batch_size.to_string()),
            ("how the data lie on the ranks", format!("{data_of_ranks:?}")),
            ("whether each batch is exchanged by itself", exchange.is_in_order().to_string()),
            ("whether layers take all batches of a step as one", exchange.is_synchronized().to_string()),
            ("whether the optimizer's memory is sharded", exchange.is_sharded().to_string()),
            ("the metrics", format!("{:?}", self.metric_directions())),
            ("the validation data", self.validation.map_or("none".to_owned(), fingerprint)),
        ];
        if data_of_ranks == RankData::Dealt {
            let examples = data.examples.map_or("unknown".to_owned(), |examples| examples.to_string());
            facts.push(("the training data", data.dataset.map_or(examples, fingerprint)));
        }
        #[cfg(feature = "checkpoint")]
        facts.push(("the checkpoints", format!("{:?}", self.checkpoints)));
        facts.extend(exchange.settings());
        facts.extend(self.settings());
        let judges_own = data_of_ranks == RankData::Own && self.validation.is_none();
        let metric = self.metrics.first().filter(|_| judges_own).map(|metric| metric.name());
        let checked = metric.map_or(Ok(()), |metric| Err(TrainError::OwnDataToJudge { metric }));
        self.agreed("the metrics", checked)?;
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        compare(exchange, &facts)?;
        let seeds = exchange.gather("the seed of the network", &network.seed().0.to_le_bytes());
        let seeds = seeds.map_err(TrainError::Exchange)?;
        if let Some(seed) = seeds.first().and_then(|seed| seed.as_slice().try_into().ok()) {
            network.set_seed(Seed(u64::from_le_bytes(seed)));
        }
        exchange.broadcast(0, network.parameters_mut()).map_err(TrainError::Exchange)?;
        exchange.broadcast(0, network.statistics_mut()).map_err(TrainError::Exchange)
    }

    /// Chooses all threads if a step is worth sharing and may be shared, and one otherwise.
    fn choose_threads(&self, network: &Network<T>, batch_size: usize) -> Result<Threads, TrainError> {
        let shares = network.is_worth_sharing(batch_size) && !is_alone();
        Ok(if shares { Threads::all()? } else { Threads::one() })
    }

    fn metric_directions(&self) -> Vec<(String, bool)> {
        self.metrics.iter().map(|metric| (metric.name(), metric.larger_is_better())).collect()
    }

    /// Makes the training batches.
    fn batches<'d>(&self, data: &'d Dataset<T>) -> Result<Batches<'d, T>, DataError> {
        let batches = Batches::shuffled(data, self.batch_size, self.seed)?;
        Ok(if self.drop_last { batches.drop_last() } else { batches })
    }
}

/// The progress of training since the last call of `fit`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Clock {
    /// Completed epochs.
    pub(crate) epochs: u64,
    /// Completed steps.
    pub(crate) steps: u64,
}

/// The size of a data set and a checksum of its numbers.
fn fingerprint<T: Scalar>(data: &Dataset<T>) -> String {
    let mut sum = data.all_inputs().fold(Checksum::EMPTY, |sum, input| sum.numbers(input.slice()));
    sum = match data.targets() {
        Target::Values(values) => sum.numbers(values),
        Target::Classes(classes) => classes.iter().fold(sum, |sum, &class| sum.word(u64::from(class))),
    };
    sum = data.weights().iter().fold(sum, |sum, weights| sum.numbers(weights.slice()));
    format!("{} examples with the checksum {sum}", data.len())
}
