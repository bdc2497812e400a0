use std::collections::VecDeque;
use std::fmt;

use downhill_data::MiniBatch;
use downhill_layers::Mode;
use downhill_losses::Target;
use downhill_network::{Network, Workspace};
use downhill_tensor::{Batch, Scalar};

use super::Norms;
use crate::evaluation::inputs;
use crate::{Place, StepEnd, Warned};

/// The steps that are remembered.
const STEPS: usize = 8;

/// The observations that are remembered.
const OBSERVATIONS: usize = 4;

/// What [`Trainer::diagnose`](crate::Trainer::diagnose) adds to a [`Divergence`](crate::Divergence): the first number that
/// is not finite, and what came before it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Findings {
    /// The first number that is not finite.
    pub first: Option<BadValue>,
    /// The last steps that were taken, the latest last.
    pub steps: Vec<StepRecord>,
    /// The last steps that were observed, and ‖dJ/dθ‖ of each, the latest last.
    pub gradients: Vec<(u64, f64)>,
    /// What was warned of before.
    pub warnings: Vec<Warned>,
}

/// The first number that is not finite, and what led to it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BadValue {
    /// The example, by its place in the training data, if the number belongs to one: an output or a loss.
    pub example: Option<usize>,
    /// Which number of the layer's output for that example, or of the parameter as it lies in memory; of a loss, which
    /// number of the prediction.
    pub index: usize,
    /// The number; of a loss, the prediction that is furthest from its target, or largest if targets are classes.
    pub value: f64,
    /// The largest finite magnitude among the numbers that it was made from: those that the layer read for that example,
    /// or those of the same parameter or gradient; of a loss, that of the target, or 0 if targets are classes.
    pub largest: f64,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepRecord {
    /// The step, counted from 0.
    pub step: u64,
    /// Its loss.
    pub loss: f64,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// The last steps of a run.
#[derive(Debug, Default)]
pub(super) struct History {
    steps: VecDeque<StepRecord>,
    gradients: VecDeque<(u64, f64)>,
}

impl History {
    pub(super) fn step<T>(&mut self, end: &StepEnd<'_, T>) {
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(StepRecord { step: end.step, loss: end.loss, learning_rate: end.learning_rate });
    }

    pub(super) fn observe(&mut self, norms: &Norms) {
        if self.gradients.len() == OBSERVATIONS {
            self.gradients.pop_front();
        }
        self.gradients.push_back((norms.step, norms.gradient()));
    }

    pub(super) fn findings(&self, first: Option<BadValue>, warnings: Vec<Warned>) -> Findings {
        let (steps, gradients) = (self.steps.iter().copied().collect(), self.gradients.iter().copied().collect());
        Findings { first, steps, gradients, warnings }
    }
}

impl Findings {
    /// Writes what was found as sentences that follow others.
    pub(crate) fn write(&self, place: &Place, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(BadValue { example, index, value, largest }) = &self.first {
            let of = match example {
                Some(example) => format!(" for example {example} of the training data"),
                None => String::new(),
            };
            match place {
                Place::Output(_) => write!(
                    f,
                    ". The first such number is output {index}{of}, {value}; the largest that the layer read there is \
                     {largest:.3e}"
                )?,
                Place::Loss => write!(
                    f,
                    ". The prediction that is furthest off is number {index}{of}, {value:.3e}, for a target of magnitude \
                     {largest:.3e}"
                )?,
                Place::Parameter(_) | Place::Gradient(_) | Place::Memory(_) => {
                    write!(
                        f,
                        ". The first such number is {index}, {value}; the largest of the others is {largest:.3e}"
                    )?;
                }
            }
        }
        if let Some(last) = self.steps.last() {
            let losses: Vec<String> = self.steps.iter().map(|step| format!("{:.3e}", step.loss)).collect();
            write!(
                f,
                ". The losses of the last steps were {}, the learning rate of the last {:e}",
                losses.join(", "),
                last.learning_rate
            )?;
        }
        if !self.gradients.is_empty() {
            let norms = self.gradients.iter().map(|(step, norm)| format!("{norm:.3e} at step {step}"));
            write!(f, ". The norms of the gradient were {}", norms.collect::<Vec<_>>().join(", "))?;
        }
        self.warnings.iter().try_for_each(|warned| write!(f, ". Warned {warned}"))
    }
}

/// The largest finite magnitude.
fn largest<T: Scalar>(numbers: &[T]) -> f64 {
    numbers.iter().map(|x| x.to_f64().abs()).filter(|x| x.is_finite()).fold(0.0, f64::max)
}

/// The first of these numbers that is not finite.
fn first_of<T: Scalar>(numbers: &[T]) -> Option<BadValue> {
    let index = numbers.iter().position(|x| !x.is_finite())?;
    Some(BadValue { example: None, index, value: numbers.get(index)?.to_f64(), largest: largest(numbers) })
}

/// Finds the first bad number of a parameter or its gradient.
pub(super) fn locate_number<T: Scalar>(place: &Place, network: &Network<T>, gradient: &[T]) -> Option<BadValue> {
    let (name, flat) = match place {
        Place::Parameter(name) => (name, network.parameters()),
        Place::Gradient(name) => (name, gradient),
        Place::Output(_) | Place::Loss | Place::Memory(_) => return None,
    };
    let segment = network.segments().iter().find(|segment| segment.name == *name)?;
    first_of(flat.get(segment.range.clone())?)
}

/// Finds the first bad number by another pass over the batch, as [`find_place`](crate::divergence::find_place) found the
/// place.
pub(super) fn locate<T: Scalar>(
    place: &Place,
    network: &Network<T>,
    batch: &MiniBatch<'_, T>,
    gradient: &[T],
    workspace: &mut Workspace<T>,
) -> Option<BadValue> {
    let (theta, x) = (network.parameters(), inputs(batch.all_inputs()).ok()?);
    match place {
        Place::Parameter(_) | Place::Gradient(_) | Place::Memory(_) => locate_number(place, network, gradient),
        Place::Loss => {
            let y = network.forward(theta, x, workspace, Mode::Evaluation).ok()?;
            let target = |at: usize| match batch.targets {
                Target::Values(targets) if targets.len() == y.slice().len() => {
                    targets.get(at).map_or(0.0, |t| t.to_f64())
                }
                _ => 0.0,
            };
            let predictions = y.slice().iter().map(|y| y.to_f64()).enumerate();
            let off = |(at, y): (usize, f64)| (y - target(at)).abs();
            let (at, value) = predictions.max_by(|a, b| off(*a).total_cmp(&off(*b)))?;
            let each = y.shape().len().max(1);
            let example = batch.indices.get(at / each).copied();
            Some(BadValue { example, index: at % each, value, largest: target(at).abs() })
        }
        Place::Output(layer) => {
            let mut bad = None;
            let find = |name: &str, y: Batch<'_, T>| {
                if bad.is_none() && name == layer {
                    bad = (0..y.examples()).find_map(|row| Some((row, first_of(y.example(row))?)));
                }
            };
            network.forward_observed(theta, x, workspace, Mode::Evaluation, find).ok()?;
            let (row, mut bad) = bad?;
            // What the layer has read: inputs of the network, or outputs of layers in front of it.
            let summary = network.summary();
            let read = &summary.layers().iter().find(|known| known.place == *layer)?.inputs;
            let given = x.iter().enumerate().filter(|(input, _)| read.contains(input));
            bad.largest = given.map(|(_, x)| largest(x.example(row))).fold(0.0, f64::max);
            let mut node = network.input_shapes().len();
            let note = |_: &str, y: Batch<'_, T>| {
                if read.contains(&node) {
                    bad.largest = bad.largest.max(largest(y.example(row)));
                }
                node += 1;
            };
            network.forward_observed(theta, x, workspace, Mode::Evaluation, note).ok()?;
            bad.example = batch.indices.get(row).copied();
            Some(bad)
        }
    }
}
