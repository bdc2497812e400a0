use downhill_data::{Batches, Dataset, MiniBatch};
use downhill_layers::Mode;
use downhill_losses::{Loss, Target};
use downhill_network::{BackwardObserver, LayerSummary, Network, Purpose, Workspace};
use downhill_tensor::{Scalar, Seed, reduce};

use super::activations::Activations;
use super::data::{Features, Sample, Targets};
use super::findings::{self, History};
use super::gradients::Gradients;
use super::labels::{Judged, Labels};
use super::observer::Observer;
use super::rates::Rates;
use super::{Diagnosis, Findings, Moment, Norms, Watch};
use crate::evaluation::inputs;
use crate::feed::Known;
use crate::{BadValue, Place, StepEnd, Warned, Warning};

/// The most examples of the training data that are looked at.
const SAMPLE: usize = 512;

/// The most numbers of each input that are looked at.
const SAMPLE_NUMBERS: usize = 1 << 19;

/// The steps of a first epoch in whose second half a network is expected to know something of examples that are new to
/// it; of a shorter one nothing is concluded.
const STEPS_TO_LEARN: u64 = 200;

/// The share by which the training loss has fallen if a network has learnt something, be it by heart: random labels are
/// learnt too, but of other examples the network then knows nothing (Zhang, Bengio, Hardt, Recht and Vinyals 2017,
/// "Understanding deep learning requires rethinking generalization").
const LEARNT: f64 = 0.1;

/// The examples of a batch of validation data that is compared with other targets.
const COMPARED: usize = 16;

/// The ends of epochs at which labels are judged, if neighbours tell another story than the network.
const TRIES: u32 = 5;

/// Watches a run, and finds what is likely to be wrong.
#[derive(Debug, Default)]
pub(super) struct Watcher<T> {
    every: u64,
    observer: Observer<T>,
    activations: Activations,
    gradients: Gradients,
    rates: Rates,
    labels: Labels<T>,
    /// The sample of the data, until nothing is left to be judged by it.
    sample: Option<Sample>,
    is_sampling: bool,
    /// Whether the run began at its first step.
    is_whole: bool,
    tries: u32,
    /// The parameters at the start, and before the step that is observed.
    start: Vec<T>,
    before: Vec<T>,
    /// Whether the step under way is observed.
    is_observed: bool,
    /// The examples of the step.
    examples: usize,
    history: History,
    /// What was found since the last time that it was told.
    found: Vec<Warning>,
    /// All warnings of the run.
    said: Vec<Warned>,
    /// The first bad number of a batch.
    bad: Option<BadValue>,
    /// The number of steps that have been taken, and the epoch.
    at: (u64, u64),
}

impl<T: Scalar> Watcher<T> {
    pub(super) fn new(settings: Diagnosis) -> Self {
        Self { every: settings.every.max(1), ..Self::default() }
    }

    /// Whether the predictions of this step are compared with other targets: only those for examples that are new.
    fn compares(&self, moment: Moment) -> bool {
        self.sample.is_some() && self.is_whole && moment.epoch == 1 && self.is_due(moment.step)
    }

    fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.every)
    }

    /// Adds examples to the sample, and judges it if it is full.
    fn collect(&mut self, batch: &MiniBatch<'_, T>) {
        let Some(sample) = self.sample.as_mut().filter(|_| self.is_sampling) else { return };
        let longest = sample.inputs.iter().map(|features| features.length).max().unwrap_or(1);
        let most = (SAMPLE_NUMBERS / longest.max(1)).clamp(1, SAMPLE);
        let examples = batch.inputs.examples().min(most - sample.examples);
        sample.add(batch, examples);
        if sample.examples == most {
            self.judge_sample();
        }
    }

    fn judge_sample(&mut self) {
        if std::mem::take(&mut self.is_sampling)
            && let Some(sample) = &mut self.sample
        {
            sample.measure();
            self.found.extend(sample.unscaled());
            self.found.extend(sample.leakage());
        }
    }

    /// Judges the labels after an epoch, until the network or a neighbour has shown that they fit.
    fn judge_labels(&mut self, network: &Network<T>, loss: &impl Loss, validation: Option<&Dataset<T>>) {
        let Some(sample) = &self.sample else { return };
        let judged = match validation {
            // The network has to have learnt something before it can be expected to know others.
            Some(_) if !self.rates.has_fallen(LEARNT) => return,
            Some(data) => {
                self.labels.clear();
                compare_all(network, loss, data, &mut self.labels).and_then(|()| self.labels.judge(0))
            }
            None if self.rates.steps() < STEPS_TO_LEARN => None,
            None => self.labels.judge(self.labels.len() / 2),
        };
        self.tries += 1;
        if let Some(Judged::Unrelated { loss, shifted_loss }) = judged
            && let Some(neighbours) = sample.strangers()
        {
            self.found.push(Warning::ShuffledLabels { loss, shifted_loss, neighbours });
            self.tries = TRIES;
        }
        if !matches!(judged, Some(Judged::Unrelated { .. })) || validation.is_none() || self.tries >= TRIES {
            self.sample = None;
        }
    }
}

impl<T: Scalar, L: Loss> Watch<T, L> for Watcher<T> {
    fn start(&mut self, network: &Network<T>, data: &Known<'_, T>, said: &[Warned], step: u64) {
        *self = Self { every: self.every, ..Self::default() };
        self.observer = Observer::new(network);
        self.sample = Some(Sample::of(network, data));
        (self.is_sampling, self.is_whole) = (true, step == 0);
        self.start.extend_from_slice(network.parameters());
        self.said.extend_from_slice(said);
    }

    fn before_pass(
        &mut self,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        moment: Moment,
    ) -> Option<&mut dyn BackwardObserver<T>> {
        self.collect(batch);
        self.at = (moment.step, moment.epoch);
        let examples = batch.inputs.examples();
        if moment.waiting > 0 {
            self.examples += examples;
            return None;
        }
        (self.examples, self.is_observed) = (examples, self.is_due(moment.step));
        if !self.is_observed {
            return None;
        }
        self.before.clear();
        self.before.extend_from_slice(network.parameters());
        self.observer.begin(moment.step, moment.epoch);
        Some(&mut self.observer)
    }

    fn after_pass(
        &mut self,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        moment: Moment,
        workspace: &Workspace<T>,
        loss: &L,
    ) {
        if self.compares(moment) {
            self.labels.compare(loss, workspace.prediction(), batch.targets, batch.weights);
        }
        if self.is_observed && moment.waiting == 0 {
            let segments = network.segments().iter().zip(&mut self.observer.norms.parameters);
            for (segment, norms) in segments {
                let gradient = workspace.gradient().get(segment.range.clone()).unwrap_or_default();
                norms.gradient = reduce::sum_of_squares(gradient).sqrt();
            }
        }
    }

    fn after_step(&mut self, end: &StepEnd<'_, T>) -> Option<&Norms> {
        self.rates.step(end, self.examples);
        self.history.step(end);
        self.at = (end.step + 1, end.epoch);
        if !std::mem::take(&mut self.is_observed) {
            return None;
        }
        let Self { observer, gradients, activations, rates, start, before, found, history, is_whole, .. } = self;
        let (theta, segments) = (end.network.parameters(), end.network.segments());
        for (segment, norms) in segments.iter().zip(&mut observer.norms.parameters) {
            let range = segment.range.clone();
            norms.values = reduce::sum_of_squares(&before[range.clone()]).sqrt();
            norms.change = distance(&theta[range.clone()], &before[range]);
        }
        history.observe(&observer.norms);
        gradients.observe(&observer.norms, |layer| observer.layers[layer].has_parameters, found);
        if *is_whole {
            let way = || {
                let parameters = segments.iter().zip(&observer.norms.parameters);
                let weights = parameters.filter(|(_, norms)| norms.is_weight).map(|(segment, _)| &segment.range);
                weights.map(|range| distance(&theta[range.clone()], &start[range.clone()])).fold(0.0, f64::hypot)
            };
            rates.observe(&observer.norms, way, found);
        }
        activations.observe(observer, found);
        Some(&self.observer.norms)
    }

    fn after_epoch(&mut self, network: &Network<T>, loss: &L, validation: Option<&Dataset<T>>) {
        self.judge_sample();
        self.judge_labels(network, loss, validation);
    }

    fn news(&mut self) -> &[Warned] {
        let known = self.said.len();
        for warning in self.found.drain(..) {
            if !self.said.iter().any(|said| said.warning.is_like(&warning)) {
                self.said.push(Warned { step: self.at.0, epoch: self.at.1, warning });
            }
        }
        &self.said[known..]
    }

    fn locate(
        &mut self,
        place: &Place,
        network: &Network<T>,
        batch: &MiniBatch<'_, T>,
        gradient: &[T],
        workspace: &mut Workspace<T>,
    ) {
        self.bad = findings::locate(place, network, batch, gradient, workspace);
    }

    fn findings(&mut self, network: &Network<T>, gradient: &[T], place: &Place) -> Findings {
        let bad = self.bad.take().or_else(|| findings::locate_number(place, network, gradient));
        self.history.findings(bad, self.said.clone())
    }
}

/// ‖a − b‖.
fn distance<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    reduce::zip_sum(a, b, |a, b| (a.to_f64() - b.to_f64()) * (a.to_f64() - b.to_f64())).sqrt()
}

/// Compares the predictions for some of the data with other targets.
fn compare_all<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    labels: &mut Labels<T>,
) -> Option<()> {
    let mut workspace = network.workspace(Purpose::Prediction);
    // In another order than their own, which may be by class, and always the same.
    let mut batches = Batches::shuffled(data, COMPARED, Seed(0)).ok()?.drop_last();
    batches.start_epoch(0);
    for _ in 0..SAMPLE / COMPARED {
        let Some(batch) = batches.next_batch() else { break };
        let x = inputs(batch.all_inputs()).ok()?;
        let y = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation).ok()?;
        labels.compare(loss, y, batch.targets, batch.weights);
    }
    Some(())
}

impl Sample {
    /// Makes a sample without examples.
    fn of<T: Scalar>(network: &Network<T>, data: &Known<'_, T>) -> Self {
        let summary = network.summary();
        let names = data.dataset.map(|data| data.feature_names().to_vec()).unwrap_or_default();
        let shapes = network.input_shapes().into_iter().enumerate();
        let numbers = shapes.filter(|(input, _)| !network.holds_whole_numbers(*input));
        let inputs = network.input_shapes().len();
        let features = numbers.map(|(input, shape)| Features {
            input,
            is_normalised: is_normalised(summary.layers(), inputs, input),
            names: if input == 0 { names.clone() } else { Vec::new() },
            length: shape.len(),
            values: Vec::new(),
            means: Vec::new(),
            deviations: Vec::new(),
        });
        Self { inputs: features.collect(), ..Self::default() }
    }

    /// Adds the first examples of a batch.
    fn add<T: Scalar>(&mut self, batch: &MiniBatch<'_, T>, examples: usize) {
        let all = batch.inputs.examples().max(1);
        for (index, x) in batch.all_inputs().enumerate() {
            if let Some(features) = self.inputs.iter_mut().find(|features| features.input == index) {
                features.values.extend(x.slice().iter().take(examples * features.length).map(|x| x.to_f64()));
            }
        }
        match batch.targets {
            Target::Values(values) => {
                let values = values.iter().take(values.len() / all * examples).map(|t| t.to_f64());
                match &mut self.targets {
                    Targets::Values(targets) => targets.extend(values),
                    Targets::Classes(_) => {}
                }
            }
            Target::Classes(classes) => {
                let classes = classes.iter().take(classes.len() / all * examples).copied();
                match &mut self.targets {
                    Targets::Classes(targets) => targets.extend(classes),
                    Targets::Values(_) => self.targets = Targets::Classes(classes.collect()),
                }
            }
        }
        self.examples += examples;
    }
}

/// Whether all that reads this node normalises it before anything else.
fn is_normalised(layers: &[LayerSummary], inputs: usize, node: usize) -> bool {
    let mut readers = layers.iter().enumerate().filter(|(_, layer)| layer.inputs.contains(&node)).peekable();
    readers.peek().is_some()
        && readers.all(|(reader, layer)| match layer.layer {
            "Flatten" | "Reshape" | "Permute" => is_normalised(layers, inputs, inputs + reader),
            kind => kind.ends_with("Norm"),
        })
}
