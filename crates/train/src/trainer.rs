use std::time::Instant;

use downhill_data::{Batches, Dataset};
use downhill_layers::{Inputs, Mode};
use downhill_losses::Loss;
use downhill_network::{Network, Purpose, Workspace};
use downhill_optim::schedule::{ReduceOnPlateau, Schedule};
use downhill_optim::{Optimizer, Penalty, clip_norm, clip_value};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Scalar, Seed};

use crate::callback::{OnEpoch, OnStep};
use crate::early_stopping::{Best, copy};
use crate::error::{Divergence, Place};
use crate::evaluation::{Mean, evaluate_with, inputs, target};
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

    /// One more metric on the validation data.
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

    /// Trains `network` on `data`.
    ///
    /// The optimizer keeps what it remembers: a second call trains on.
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
    /// let state = graph.apply(Lstm::new(8).with_lengths().last_state(), &[sequence, length])?;
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
    /// let classes = network.classify_inputs(&[sequences.view().into_dyn(), lengths.view().into_dyn()])?;
    /// assert_eq!(classes, [1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where settings make no sense or the data do not fit, before the first step; and where the loss leaves the
    /// finite numbers: the error names the step, the place and the likely cause, and the network holds the
    /// parameters of the last good epoch.
    pub fn fit(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        self.check()?;
        self.check_data(network, data)?;
        if let Some(validation) = self.validation {
            self.check_data(network, validation)?;
        }
        #[cfg(feature = "signals")]
        if self.watch_interrupts {
            self.stops.push(crate::stop::on_interrupt()?);
            self.watch_interrupts = false;
        }
        self.optimizer.bind(network.segments());
        if let Some(penalty) = &mut self.penalty {
            penalty.bind(network.segments());
        }
        let threads = match &self.threads {
            Some(threads) => threads.clone(),
            None => self.choose_threads(network)?,
        };
        threads.run(|| self.run(network, data))
    }

    fn check(&self) -> Result<(), TrainError> {
        self.optimizer.check()?;
        self.rates.check()?;
        if let Some(penalty) = &self.penalty {
            penalty.check()?;
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

    /// Before anything is changed: the network looks at all inputs, and the loss is shown all targets beside the
    /// predictions of one forward pass.
    fn check_data(&self, network: &Network<T>, data: &Dataset<T>) -> Result<(), TrainError> {
        let mut workspace = network.workspace(Purpose::Prediction);
        let mut batches = Batches::sequential(data, self.batch_size)?;
        let mut prediction = Vec::new();
        while let Some(batch) = batches.next_batch() {
            let x = inputs(&batch)?;
            network.check_inputs(x, Mode::Evaluation)?;
            if prediction.is_empty() {
                let y = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation)?;
                prediction.extend_from_slice(y.slice());
            }
            let (examples, shape) = (batch.inputs.examples(), network.output_shape());
            let y = Batch::new(&prediction[..examples * shape.len()], examples, shape)?;
            self.loss.value(y, target(batch.targets))?;
        }
        Ok(())
    }

    /// All, where a step is worth sharing.
    fn choose_threads(&self, network: &Network<T>) -> Result<Threads, TrainError> {
        Ok(if network.is_worth_sharing(self.batch_size) { Threads::all()? } else { Threads::one() })
    }

    /// Clips the gradient as asked; `false` where its norm is not finite, so that no step may be taken.
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

    /// The training loop: the only one there is.
    fn run(&mut self, network: &mut Network<T>, data: &Dataset<T>) -> Result<History, TrainError> {
        let start = Instant::now();
        let mut batches = Batches::shuffled(data, self.batch_size, self.seed)?;
        if self.drop_last {
            batches = batches.drop_last();
        }
        let display = Display::new(self.progress, self.epochs, batches.batches_per_epoch() as u64);
        let mut workspace = network.workspace(Purpose::Training);
        let mut judging = network.workspace(Purpose::Prediction);
        let metrics: Vec<(String, bool)> = self.validation.map_or_else(Vec::new, |_| {
            self.metrics.iter().map(|metric| (metric.name(), metric.larger_is_better())).collect()
        });
        let mut best = self.early_stopping.as_ref().map(|rule| Best::new(rule, &metrics)).transpose()?;
        let mut good = (network.parameters().to_vec(), network.statistics().to_vec());
        let base_rate = self.optimizer.learning_rate();
        let mut history = History::default();

        'run: for epoch in 0..self.epochs {
            let epoch_start = Instant::now();
            let mut training_loss = Mean::default();
            display.start_epoch(epoch + 1);
            batches.start_epoch(epoch);
            while let Some(batch) = batches.next_batch() {
                let step = history.steps;
                self.rates.before_step(&mut self.optimizer, base_rate, step, epoch);
                // Forward, the loss, backward: J(θ) and g = dJ/dθ.
                let (x, target, mode) = (inputs(&batch)?, target(batch.targets), Mode::Training { step });
                let theta = network.parameters();
                let mut loss = network.value_and_gradient(theta, x, target, &self.loss, &mut workspace, mode)?.to_f64();
                if let Some(penalty) = &self.penalty {
                    loss += penalty.add(theta, workspace.gradient_mut());
                }
                let clipped = self.clip(workspace.gradient_mut());
                if !(loss.is_finite() && clipped) {
                    let place = find_divergence(network, x, workspace.gradient(), &mut judging)?;
                    network.parameters_mut().copy_from_slice(&good.0);
                    network.statistics_mut().copy_from_slice(&good.1);
                    let learning_rate = self.optimizer.learning_rate();
                    let divergence = Divergence { step, epoch: epoch + 1, loss, place, learning_rate };
                    return Err(TrainError::Diverged(Box::new(divergence)));
                }
                // θ ← θ − step(g)
                self.optimizer.step(network.parameters_mut(), workspace.gradient());
                network.absorb_statistics(&workspace)?;
                training_loss.add(loss, batch.inputs.examples());
                history.steps += 1;
                display.step(loss);
                let end = StepEnd {
                    step,
                    epoch: epoch + 1,
                    loss,
                    learning_rate: self.optimizer.learning_rate(),
                    gradient: workspace.gradient(),
                    network,
                };
                if self.callbacks.iter_mut().any(|callback| callback.on_step(&end) == Control::Stop) {
                    history.reason = StopReason::Callback;
                    break 'run;
                }
                if self.stops.iter().any(StopHandle::is_stopped) {
                    history.reason = StopReason::Interrupted;
                    break 'run;
                }
            }

            let judged = match self.validation {
                Some(data) => Some(evaluate_with(network, &self.loss, data, &mut self.metrics, &mut judging)?),
                None => None,
            };
            let record = EpochRecord {
                epoch: epoch + 1,
                training_loss: training_loss.value(),
                validation_loss: judged.as_ref().map(|judged| judged.loss),
                metrics: judged.map(|judged| judged.metrics).unwrap_or_default(),
                learning_rate: self.optimizer.learning_rate(),
                seconds: epoch_start.elapsed().as_secs_f64(),
            };
            display.end_epoch(&record);
            self.rates.after_epoch(&mut self.optimizer, record.validation_loss.unwrap_or(record.training_loss));
            history.kept_epoch = epoch + 1;
            copy(network.parameters(), &mut good.0);
            copy(network.statistics(), &mut good.1);
            let end = EpochEnd { record: &record, network };
            let stop = self.callbacks.iter_mut().any(|callback| callback.on_epoch(&end) == Control::Stop);
            let exhausted =
                best.as_mut().is_some_and(|best| best.observe(&record, network.parameters(), network.statistics()));
            history.epochs.push(record);
            if stop || exhausted {
                history.reason = if stop { StopReason::Callback } else { StopReason::EarlyStopping };
                break;
            }
        }

        display.finish();
        if let Some(best) = best.filter(|best| best.epoch > 0) {
            network.parameters_mut().copy_from_slice(&best.theta);
            network.statistics_mut().copy_from_slice(&best.statistics);
            history.kept_epoch = best.epoch;
        }
        history.seconds = start.elapsed().as_secs_f64();
        Ok(history)
    }
}

/// What is no longer finite: a parameter, or else the first layer whose output isn't, or else a gradient.
fn find_divergence<T: Scalar>(
    network: &Network<T>,
    x: Inputs<'_, T>,
    gradient: &[T],
    workspace: &mut Workspace<T>,
) -> Result<Place, TrainError> {
    let theta = network.parameters();
    let finite = |numbers: &[T]| numbers.iter().all(|x| x.is_finite());
    let segment_of = |flat: &[T]| {
        let mut segments = network.segments().iter();
        segments.find(|segment| !finite(&flat[segment.range.clone()])).map(|segment| segment.name.clone())
    };
    if let Some(name) = segment_of(theta) {
        return Ok(Place::Parameter(name));
    }
    let mut first = None;
    network.forward_observed(theta, x, workspace, Mode::Evaluation, |name, y| {
        if first.is_none() && !finite(y.slice()) {
            first = Some(name.to_owned());
        }
    })?;
    Ok(match first {
        Some(name) => Place::Output(name),
        None => segment_of(gradient).map_or(Place::Loss, Place::Gradient),
    })
}
