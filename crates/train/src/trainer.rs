use std::time::Instant;

use downhill_data::{Batches, Dataset};
use downhill_layers::Mode;
use downhill_losses::{Loss, Total};
use downhill_network::{Network, PassError, Purpose};
use downhill_optim::schedule::{ReduceOnPlateau, Schedule};
use downhill_optim::{Optimizer, Penalty, clip_norm, clip_value};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Scalar, Seed};

use crate::callback::{OnEpoch, OnStep};
use crate::divergence::{find_cause, find_place, find_segment};
use crate::early_stopping::{Best, copy};
use crate::error::{Cause, Divergence, Place};
use crate::evaluation::{check_target_shape, evaluate_with, inputs, judge, placed, update};
use crate::other_point::OtherPoint;
use crate::progress::Display;
use crate::rates::Rates;
use crate::{
    Callback, Control, EarlyStopping, EpochEnd, EpochRecord, History, Metric, Progress, StepEnd, StopHandle,
    StopReason, TrainError,
};

/// Trains networks: a loss, an optimizer, and how to go about it.
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
    drop_last: bool,
    seed: Seed,
    rates: Rates,
    clipping: Option<Clipping>,
    penalty: Option<Penalty>,
    validation: Option<&'a Dataset<T>>,
    metrics: Vec<Box<dyn Metric<T>>>,
    early_stopping: Option<EarlyStopping>,
    callbacks: Vec<Box<dyn Callback<T> + 'a>>,
    stops: Vec<StopHandle>,
    #[cfg(feature = "signals")]
    watch_interrupts: bool,
    progress: Progress,
    threads: Option<Threads>,
    clock: Clock,
    best: Option<Best<T>>,
    other_point: Option<OtherPoint<T>>,
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

#[derive(Clone, Copy, Debug)]
enum Clipping {
    Norm(f64),
    Value(f64),
}

impl<'a, T: Scalar, L: Loss, O: Optimizer<T>> Trainer<'a, T, L, O> {
    /// Trains against this loss with this optimizer: ten epochs of batches of 32, shuffled, quietly.
    #[must_use]
    pub fn new(loss: L, optimizer: O) -> Self {
        Self {
            loss,
            optimizer,
            epochs: 10,
            batch_size: 32,
            drop_last: false,
            seed: Seed(0),
            rates: Rates::Constant,
            clipping: None,
            penalty: None,
            validation: None,
            metrics: Vec::new(),
            early_stopping: None,
            callbacks: Vec::new(),
            stops: Vec::new(),
            #[cfg(feature = "signals")]
            watch_interrupts: false,
            progress: Progress::Quiet,
            threads: None,
            clock: Clock::default(),
            best: None,
            other_point: None,
        }
    }

    /// How often to go through the data.
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// How many examples make one step.
    #[must_use]
    pub fn batch_size(mut self, examples: usize) -> Self {
        self.batch_size = examples;
        self
    }

    /// Leaves out the last batch of an epoch where it is smaller than the others.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// The seed of the order in which examples are seen.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Moves the learning rate with every step.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.rates = Rates::PerStep(Box::new(schedule));
        self
    }

    /// Moves the learning rate with every epoch.
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

    /// Adds a metric, which judges the validation data after every epoch; without validation data the training data, at
    /// the price of a forward pass over them.
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

    /// One more watcher.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<T> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Calls a closure after every epoch; it may end the run.
    #[must_use]
    pub fn on_epoch(self, callback: impl FnMut(&EpochEnd<'_, T>) -> Control + Send + 'a) -> Self {
        self.callback(OnEpoch(callback))
    }

    /// Calls a closure after every step; it may end the run.
    #[must_use]
    pub fn on_step(self, callback: impl FnMut(&StepEnd<'_, T>) -> Control + Send + 'a) -> Self {
        self.callback(OnStep(callback))
    }

    /// Ends the run after the step in which this handle is pulled.
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

    /// What the run shows while it goes on.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The threads that share the work. By default a large network uses all there are and a small one is faster
    /// on one. The result is the same bits either way.
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

    /// Where the last run takes its next gradient, if the network was left at another point: see
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
    /// [`resume`](Trainer::resume).
    ///
    /// While training, the network learns from the loss what its outputs mean, and from the data the names of its
    /// classes: see [`Network::classify`].
    ///
    /// A network of several inputs takes those of the data set in their order. So padded sequences are trained on,
    /// whose lengths are the second input:
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
    /// // Does the sequence rise? What stands beyond its end, a 9 here, is not read.
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
        self.check(network, data)?;
        self.optimizer.reset();
        self.rates.reset();
        (self.clock, self.best, self.other_point) = (Clock::default(), None, None);
        self.start(network, data)
    }

    /// Trains on from where the last call ended: the optimizer keeps what it remembers, the schedule and plateau go on,
    /// epochs and steps are counted on (so that each epoch has an order of its own), and early stopping keeps the best
    /// so far. An epoch that was not completed is begun again.
    ///
    /// A schedule-free optimizer goes on from where the last call took its gradients, unless the network's parameters
    /// have been changed since. To go on in another process, save the [`training_point`](Trainer::training_point) with
    /// the optimizer's state, and make it the network's parameters first.
    ///
    /// ```
    /// use downhill_data::Dataset;
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
    /// let trainer = || Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).batch_size(2);
    /// let (mut whole, mut parts) = (build()?, build()?);
    /// trainer().epochs(6).fit(&mut whole, &data)?;
    /// let mut twice = trainer().epochs(3);
    /// twice.fit(&mut parts, &data)?;
    /// twice.resume(&mut parts, &data)?;
    /// assert_eq!(parts.parameters(), whole.parameters());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`fit`](Trainer::fit).
    pub fn resume(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        self.check(network, data)?;
        self.best = self.best.take().filter(|best| best.fits(network));
        if let Some(best) = &mut self.best {
            best.go_on();
        }
        self.start(network, data)
    }

    fn start(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        #[cfg(feature = "signals")]
        if self.watch_interrupts {
            self.stops.push(crate::stop::on_interrupt()?);
            self.watch_interrupts = false;
        }
        if let Some(penalty) = &mut self.penalty {
            penalty.bind(network.segments());
        }
        network.set_meaning(self.loss.meaning());
        if !data.class_names().is_empty() {
            network.set_class_names(data.class_names());
        }
        let threads = match &self.threads {
            Some(threads) => threads.clone(),
            None => self.choose_threads(network)?,
        };
        threads.run(|| self.run(network, data))
    }

    /// The door: whatever `fit` would refuse is refused here, before anything is changed.
    fn check(&mut self, network: &Network<T>, data: &Dataset<T>) -> Result<(), TrainError> {
        self.check_settings()?;
        self.check_start(network)?;
        self.check_data(network, data, Set::Training).map_err(|error| error.of(TRAINING))?;
        let (judged, set) = match self.validation {
            Some(validation) => (validation, VALIDATION),
            None => (data, TRAINING),
        };
        if self.validation.is_some() {
            self.check_data(network, judged, Set::Validation).map_err(|error| error.of(set))?;
        }
        self.check_metrics(network, judged).map_err(|error| error.of(set))
    }

    /// No step mends a number that is not finite, and none is to blame for it.
    fn check_start(&self, network: &Network<T>) -> Result<(), TrainError> {
        let parameter = find_segment(network.segments(), network.parameters());
        let unusable = parameter.or_else(|| find_segment(network.statistic_segments(), network.statistics()));
        match unusable {
            None => Ok(()),
            Some(parameter) => Err(Divergence {
                step: self.clock.steps,
                epoch: self.clock.epochs + 1,
                loss: f64::NAN,
                place: Place::Parameter(parameter.clone()),
                learning_rate: self.optimizer.learning_rate(),
                cause: Cause::Start { parameter },
            }
            .into()),
        }
    }

    fn check_settings(&self) -> Result<(), TrainError> {
        self.optimizer.check()?;
        self.rates.check(&self.optimizer)?;
        if let Some(penalty) = &self.penalty {
            penalty.check()?;
        }
        if let Some(rule) = &self.early_stopping {
            Best::<T>::new(rule, &self.metric_directions())?;
        }
        if self.epochs == 0 {
            return Err(TrainError::Setting("the number of epochs is 0, but at least 1 is needed".into()));
        }
        let (name, limit) = match self.clipping {
            Some(Clipping::Norm(limit)) => ("the largest norm of the gradient", limit),
            Some(Clipping::Value(limit)) => ("the largest entry of the gradient", limit),
            None => return Ok(()),
        };
        if limit > 0.0 { Ok(()) } else { Err(TrainError::Setting(format!("{name} must be above 0, but is {limit}"))) }
    }

    /// The network looks at all inputs, and the loss is shown all targets next to the predictions of one forward pass.
    fn check_data(&self, network: &Network<T>, data: &Dataset<T>, set: Set) -> Result<(), TrainError> {
        check_target_shape(network, &self.loss, data)?;
        network.check_inputs(inputs(data.all_inputs())?, Mode::Evaluation)?;
        let mut batches = Batches::sequential(data, self.batch_size)?;
        let whole = self.batch_size.min(data.len());
        let prediction = self.predict_once(network, data)?;
        let mut total = Total::default();
        while let Some(batch) = batches.next_batch() {
            let examples = batch.inputs.examples();
            // A last batch that is left out holds other examples in every epoch, so that all are looked at here.
            let mode = match set {
                Set::Training if examples == whole || !self.drop_last => Mode::Training { step: self.clock.steps },
                Set::Training | Set::Validation => Mode::Evaluation,
            };
            network.check_inputs(inputs(batch.all_inputs())?, mode)?;
            total += judge(&self.loss, rows(&prediction, network, examples)?, &batch)?;
        }
        if total.is_empty() { Err(TrainError::NothingCounts { set: "the data" }) } else { Ok(()) }
    }

    /// The metrics are shown all targets that they will judge.
    fn check_metrics(&mut self, network: &Network<T>, judged: &Dataset<T>) -> Result<(), TrainError> {
        if self.metrics.is_empty() {
            return Ok(());
        }
        let meaning = network.meaning_by(&self.loss);
        let prediction = self.predict_once(network, judged)?;
        let mut batches = Batches::sequential(judged, self.batch_size)?;
        self.metrics.iter_mut().for_each(|metric| metric.start(meaning));
        while let Some(batch) = batches.next_batch() {
            let y = rows(&prediction, network, batch.inputs.examples())?;
            for metric in &mut self.metrics {
                update(&mut **metric, y, &batch)?;
            }
        }
        Ok(())
    }

    /// The predictions for the first batch, which is as large as any.
    fn predict_once(&self, network: &Network<T>, data: &Dataset<T>) -> Result<Vec<T>, TrainError> {
        let mut workspace = network.workspace(Purpose::Prediction);
        let mut batches = Batches::sequential(data, self.batch_size)?;
        let Some(batch) = batches.next_batch() else { return Ok(Vec::new()) };
        let y = network.forward(network.parameters(), inputs(batch.all_inputs())?, &mut workspace, Mode::Evaluation)?;
        Ok(y.slice().to_vec())
    }

    /// All, if a step is worth sharing.
    fn choose_threads(&self, network: &Network<T>) -> Result<Threads, TrainError> {
        Ok(if network.is_worth_sharing(self.batch_size) { Threads::all()? } else { Threads::one() })
    }

    /// Clips the gradient as asked; `false` if its norm is not finite, so that no step may be taken.
    fn clip(&self, gradient: &mut [T]) -> bool {
        match self.clipping {
            Some(Clipping::Norm(limit)) => clip_norm(gradient, limit).is_finite(),
            Some(Clipping::Value(limit)) => {
                clip_value(gradient, limit);
                true
            }
            None => true,
        }
    }

    fn metric_directions(&self) -> Vec<(String, bool)> {
        self.metrics.iter().map(|metric| (metric.name(), metric.larger_is_better())).collect()
    }

    /// The training loop: the only one there is.
    fn run(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        let start = Instant::now();
        let mut batches = Batches::shuffled(data, self.batch_size, self.seed)?;
        if self.drop_last {
            batches = batches.drop_last();
        }
        let (first, end) = (self.clock.epochs, self.clock.epochs.saturating_add(self.epochs));
        let display = Display::new(self.progress, (first + 1, end), batches.batches_per_epoch() as u64);
        let mut workspace = network.workspace(Purpose::Training);
        let mut judging = network.workspace(Purpose::Prediction);
        let mut best = self.best.take();
        if let (None, Some(rule)) = (&best, &self.early_stopping) {
            best = Some(Best::new(rule, &self.metric_directions())?);
        }
        let mut good = (network.parameters().to_vec(), network.statistics().to_vec());
        let other_point = self.other_point.take().filter(|other| other.fits(network));
        let mut other_point = other_point.unwrap_or_else(|| OtherPoint::new(network));
        other_point.go_on(network, &self.optimizer, best.as_ref().map(|best| best.theta.as_slice()));
        let mut history = History::default();

        'run: for epoch in first..end {
            let epoch_start = Instant::now();
            let (mut seen, mut batches_seen) = (TrainingLoss::default(), 0);
            display.start_epoch(epoch + 1);
            batches.start_epoch(epoch);
            while let Some(batch) = batches.next_batch() {
                batches_seen += 1;
                let step = self.clock.steps;
                self.rates.before_step(&mut self.optimizer, step, epoch);
                // Forward, the loss, backward: J(θ) and g = dJ/dθ.
                let (x, mode) = (inputs(batch.all_inputs())?, Mode::Training { step });
                let (targets, weights) = (batch.targets, batch.weights);
                let total = network.backpropagate_weighted(x, targets, weights, &self.loss, &mut workspace, mode);
                let total = total.map_err(|error| pass_error(error, batch.indices).of(TRAINING));
                let total = or_put_back(total, network, &good)?;
                if total.is_empty() {
                    seen.pass_over(total);
                    continue;
                }
                let penalty = match &self.penalty {
                    Some(penalty) => penalty.add(network.parameters(), workspace.gradient_mut()),
                    None => 0.0,
                };
                let loss = total.value() + penalty;
                let clipped = self.clip(workspace.gradient_mut());
                let learning_rate = self.optimizer.learning_rate();
                if !(loss.is_finite() && clipped) {
                    let place = find_place(network, x, workspace.gradient(), &mut judging)?;
                    put_back(network, &good);
                    batches.start_epoch(epoch);
                    let suspects = if epoch == first { batches_seen } else { 0 };
                    let cause = find_cause(network, &self.loss, data, &mut batches, suspects, mode)?;
                    let epoch = epoch + 1;
                    return Err(Divergence { step, epoch, loss, place, learning_rate, cause }.into());
                }
                // θ ← θ − step(g)
                network.step(&mut self.optimizer, &mut workspace)?;
                seen.add(total, penalty);
                history.steps += 1;
                self.clock.steps += 1;
                display.step(loss);
                let gradient = workspace.gradient();
                let end = StepEnd { step, epoch: epoch + 1, loss, learning_rate, gradient, network };
                if tell(&mut self.callbacks, |callback| callback.on_step(&end)) == Control::Stop {
                    history.reason = StopReason::Callback;
                    break 'run;
                }
                if self.stops.iter().any(StopHandle::is_stopped) {
                    history.reason = StopReason::Interrupted;
                    break 'run;
                }
            }

            other_point.judge(network, &self.optimizer);
            if let Some(name) = find_segment(network.segments(), network.parameters()) {
                put_back(network, &good);
                let step = self.clock.steps.saturating_sub(1);
                batches.start_epoch(epoch);
                let (mode, suspects) = (Mode::Training { step }, if epoch == first { batches_seen } else { 0 });
                let cause = find_cause(network, &self.loss, data, &mut batches, suspects, mode)?;
                let (loss, place) = (seen.value(), Place::Parameter(name));
                let (epoch, learning_rate) = (epoch + 1, self.optimizer.learning_rate());
                return Err(Divergence { step, epoch, loss, place, learning_rate, cause }.into());
            }
            let (judged, set) = match self.validation {
                Some(validation) => (Some(validation), VALIDATION),
                None => (Some(data).filter(|_| !self.metrics.is_empty()), TRAINING),
            };
            let judged = judged.map(|data| {
                let metrics = self.metrics.iter_mut().map(|metric| &mut **metric as _).collect();
                evaluate_with(network, &self.loss, data, metrics, &mut judging)
            });
            let judged = or_put_back(judged.transpose().map_err(|error| error.of(set)), network, &good)?;
            let record = EpochRecord {
                epoch: epoch + 1,
                training_loss: seen.value(),
                validation_loss: judged.as_ref().filter(|_| self.validation.is_some()).map(|judged| judged.loss),
                metrics: judged.map(|judged| judged.metrics).unwrap_or_default(),
                learning_rate: self.optimizer.learning_rate(),
                seconds: epoch_start.elapsed().as_secs_f64(),
            };
            display.end_epoch(&record);
            self.rates.after_epoch(&mut self.optimizer, record.validation_loss.unwrap_or(record.training_loss));
            self.clock.epochs = epoch + 1;
            copy(network.parameters(), &mut good.0);
            copy(network.statistics(), &mut good.1);
            let end = EpochEnd { record: &record, network };
            let stop = tell(&mut self.callbacks, |callback| callback.on_epoch(&end)) == Control::Stop;
            let exhausted =
                best.as_mut().is_some_and(|best| best.observe(&record, network.parameters(), network.statistics()));
            history.epochs.push(record);
            other_point.train(network);
            if stop || exhausted {
                history.reason = if stop { StopReason::Callback } else { StopReason::EarlyStopping };
                break;
            }
        }

        display.finish();
        other_point.judge(network, &self.optimizer);
        // After a stop within an epoch the network holds the parameters of none, unless there is a best one.
        let complete = network.parameters() == good.0;
        history.kept_epoch = history.epochs.last().map(|record| record.epoch).filter(|_| complete);
        if let Some(best) = best.as_ref().filter(|best| best.epoch > 0) {
            network.parameters_mut().copy_from_slice(&best.theta);
            network.statistics_mut().copy_from_slice(&best.statistics);
            history.kept_epoch = Some(best.epoch);
        }
        (self.best, self.other_point) = (best, Some(other_point));
        history.seconds = start.elapsed().as_secs_f64();
        Ok(history)
    }
}

/// What errors call the data.
const TRAINING: &str = "the training data";
const VALIDATION: &str = "the validation data";

/// What is checked at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Training,
    Validation,
}

/// How far training has come since the last call of `fit`.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Completed epochs.
    epochs: u64,
    /// Completed steps.
    steps: u64,
}

/// The training loss of an epoch: the total of its batches, and the mean penalty of its steps.
#[derive(Clone, Copy, Debug, Default)]
struct TrainingLoss {
    total: Total,
    penalties: f64,
    steps: u64,
}

impl TrainingLoss {
    fn add(&mut self, total: Total, penalty: f64) {
        self.total += total;
        self.penalties += penalty;
        self.steps += 1;
    }

    /// Nothing counts in this batch, but the loss may be divided by its examples.
    fn pass_over(&mut self, total: Total) {
        self.total += total;
    }

    fn value(&self) -> f64 {
        self.total.value() + self.penalties / self.steps as f64
    }
}

/// Tells every callback, also after one that wants to stop.
fn tell<'a, T>(
    callbacks: &mut [Box<dyn Callback<T> + 'a>],
    mut event: impl FnMut(&mut (dyn Callback<T> + 'a)) -> Control,
) -> Control {
    callbacks.iter_mut().fold(Control::Continue, |control, callback| match event(&mut **callback) {
        Control::Stop => Control::Stop,
        Control::Continue => control,
    })
}

/// The first predictions of a batch, for this many examples.
fn rows<'p, T: Scalar>(prediction: &'p [T], network: &Network<T>, examples: usize) -> Result<Batch<'p, T>, TrainError> {
    let shape = network.output_shape();
    Ok(Batch::new(&prediction[..examples * shape.len()], examples, shape)?)
}

/// A result; an error finds the network with the parameters and statistics of the last good epoch.
fn or_put_back<R, T: Scalar>(
    result: Result<R, TrainError>,
    network: &mut Network<T>,
    good: &(Vec<T>, Vec<T>),
) -> Result<R, TrainError> {
    if result.is_err() {
        put_back(network, good);
    }
    result
}

/// Why a pass for the examples at these places could not be made.
fn pass_error(error: PassError, indices: &[usize]) -> TrainError {
    match error {
        PassError::Target(error) => placed(error, indices).into(),
        other => other.into(),
    }
}

/// Gives the network back the parameters and statistics that it had.
fn put_back<T: Scalar>(network: &mut Network<T>, before: &(Vec<T>, Vec<T>)) {
    network.parameters_mut().copy_from_slice(&before.0);
    network.statistics_mut().copy_from_slice(&before.1);
}
