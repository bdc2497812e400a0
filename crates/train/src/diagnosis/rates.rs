//! Steps that are too long or too short.

use std::collections::VecDeque;

use super::{Norms, Warning};
use crate::StepEnd;

/// The steps whose losses and rates are kept.
const WINDOW: usize = 50;

/// The observations whose median decides.
const OBSERVATIONS: usize = 5;

/// The rate can be too high if a step moves the weights by more than this share of their norm. The usual share is about
/// 10⁻³, by the notes of Stanford's course CS231n, "Neural Networks Part 3: Learning and Evaluation" ("Ratio of weights:
/// updates"); this is ten times as much.
const LONG: f64 = 1e-2;

/// The rate can be too low if a step moves the weights by less than this share of their norm, a tenth of the usual one.
const SHORT: f64 = 1e-4;

/// A rate is too high if its steps have also raised the loss by more than this share.
const RISEN: f64 = 0.5;

/// A rate is too low if its steps have also lowered the loss by less than this share.
const FALLEN: f64 = 0.1;

/// A rate is too low only if the way is also at least this share of the sum of its steps: a straight line has 1, and the
/// random walk around a minimum 1/√n after n steps, or √10 times that with a momentum of 0.9.
const STRAIGHT: f64 = 0.5;

/// The steps after which a random walk differs clearly from a straight line.
const ENOUGH_STEPS: u64 = 200;

/// The examples over which the first loss is taken, so that it is not that of a lucky one.
const FIRST_EXAMPLES: usize = 16;

/// The losses, rates and lengths of the steps of a run.
#[derive(Debug, Default)]
pub(super) struct Rates {
    steps: u64,
    /// The mean loss over the first batches, their examples, and their number.
    first: (f64, usize, u32),
    losses: VecDeque<f64>,
    rates: VecDeque<f64>,
    changes: VecDeque<f64>,
    /// The sum of the lengths of the observed steps, and their number.
    length: (f64, u64),
}

impl Rates {
    /// The number of steps so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes note of a step by a batch of this many examples.
    pub(super) fn step<T>(&mut self, end: &StepEnd<'_, T>, examples: usize) {
        self.steps += 1;
        let (mean, seen, batches) = &mut self.first;
        if *seen < FIRST_EXAMPLES {
            (*seen, *batches) = (*seen + examples, *batches + 1);
            *mean += (end.loss - *mean) / f64::from(*batches);
        }
        push(&mut self.losses, end.loss, WINDOW);
        push(&mut self.rates, end.learning_rate, WINDOW);
    }

    /// Whether the loss has fallen by more than this share.
    pub(super) fn has_fallen(&self, share: f64) -> bool {
        !self.losses.is_empty() && median(&self.losses) < self.first.0 - share * self.first.0.abs()
    }

    /// Judges the rate at an observation. `way` is the length of the way from the start to where the weights are.
    pub(super) fn observe(&mut self, norms: &Norms, way: impl FnOnce() -> f64, found: &mut Vec<Warning>) {
        let Some(change) = norms.relative_change() else { return };
        push(&mut self.changes, change, OBSERVATIONS);
        self.length = (self.length.0 + norms.change(), self.length.1 + 1);
        if self.losses.len() < WINDOW || self.changes.len() < OBSERVATIONS {
            return;
        }
        let update = median(&self.changes);
        if (SHORT..=LONG).contains(&update) {
            return;
        }
        let (first_loss, loss) = (self.first.0, median(&self.losses));
        let learning_rate = self.rates.back().copied().unwrap_or(0.0);
        if update > LONG && loss > first_loss + RISEN * first_loss.abs() {
            found.push(Warning::RateTooHigh { learning_rate, first_loss, loss, update });
        }
        // During a warm-up the rate is still to come.
        let is_rising = self.rates.front().is_some_and(|before| learning_rate > *before);
        let is_slow = update < SHORT && loss > first_loss - FALLEN * first_loss.abs();
        if is_slow && !is_rising && self.steps >= ENOUGH_STEPS {
            let sum = self.length.0 / self.length.1 as f64 * self.steps as f64;
            if sum > 0.0 && way() > STRAIGHT * sum {
                found.push(Warning::RateTooLow { learning_rate, first_loss, loss, update });
            }
        }
    }
}

fn push(numbers: &mut VecDeque<f64>, number: f64, most: usize) {
    if numbers.len() == most {
        numbers.pop_front();
    }
    numbers.push_back(number);
}

fn median(numbers: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
