use std::cell::Cell;

use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::{LOG_PROBABILITIES, above_log_1, find};
use crate::examples::{ExampleLoss, by_example};
use crate::reduction::reduction_setting;
use crate::target::{self, name};
use crate::{Loss, Reduction, Target, TargetError, Total};

/// Connectionist temporal classification: the negative log-likelihood of a sequence of labels,
/// over all alignments with the time steps.
///
/// A path has one class at each step; it spells the labels that remain after repeats are merged and then blanks
/// dropped. With the predicted log-probabilities $`y_{tc}`$,
/// ```math
/// \ell = -\ln \sum_{\pi \text{ spells the labels}} \ \prod_t e^{y_{t \pi_t}}, \qquad
/// \frac{\partial \ell}{\partial y_{tc}} = -\gamma_{tc}.
/// ```
/// The share of the likelihood that runs through class $`c`$ at step $`t`$ is $`\gamma_{tc}`$.
/// The sum over paths is taken by the forward and backward recursions over the labels with a blank before, between
/// and after them.
///
/// The mean divides each example's term by the number of its labels (at least 1), and then by the number of examples.
///
/// # Shapes
/// Predictions (batch, time, classes) are log-probabilities, such as those of a log-softmax (PyTorch: (time, batch,
/// classes)).
/// Targets (batch, labels) are class indices: the row of an example with fewer labels is filled up with blanks.
/// With [`lengths_first`](Ctc::lengths_first) each row of targets begins with the number of time steps that count:
/// (batch, 1 + labels).
///
/// # Errors
/// Returns an error if the predictions are not (time, classes) of at least one step or one that counts is above 0 by
/// more than rounding,
/// targets can't be divided evenly among the examples, a label or the blank is not a class, or a number of time steps
/// exceeds the length of the predictions.
///
/// # Edge cases
/// Labels that need more steps than the predictions have can't be spelled: the value is +∞ and the gradient NaN,
/// or both are 0 with [`zero_infinity`](Ctc::zero_infinity). Time steps beyond an example's length get a gradient of 0.
///
/// # Source
/// Graves et al., "Connectionist temporal classification" (2006); like PyTorch's `CTCLoss`, except that PyTorch's
/// gradient is $`e^{y_{tc}} - \gamma_{tc}`$: it assumes that a log-softmax comes before, and behind one both
/// are equal. This one is the derivative itself.
/// Derivation: `docs/derivations/losses/ctc.md`.
///
/// Sums are in f64 in either precision. The recursions keep their table in memory that belongs to the thread,
/// which grows only if a sequence is longer than any before on that thread.
///
/// ```
/// use downhill_losses::{Ctc, Loss, Target};
/// use downhill_tensor::Batch;
///
/// // Two steps, a blank and one label, all equally likely: of four paths, three spell the label.
/// let y = [0.5_f64.ln(); 4];
/// let value = Ctc::new().value(Batch::new(&y, 1, [2, 2])?, Target::Classes(&[1]))?;
/// assert!((value + 0.75_f64.ln()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Ctc {
    blank: u32,
    lengths_first: bool,
    zero_infinity: bool,
    reduction: Reduction,
}

impl Ctc {
    /// Makes the loss whose blank is class 0, and for which all time steps count.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the class of the blank; 0 unless this is called.
    #[must_use]
    pub fn blank(mut self, blank: u32) -> Self {
        self.blank = blank;
        self
    }

    /// Reads the first number of each row of targets as the number of the example's time steps that count.
    #[must_use]
    pub fn lengths_first(mut self) -> Self {
        self.lengths_first = true;
        self
    }

    /// Makes the value and the gradient of labels that can't be spelled 0.
    #[must_use]
    pub fn zero_infinity(mut self) -> Self {
        self.zero_infinity = true;
        self
    }

    reduction_setting!();

    /// Splits a row of targets into the number of steps that count and the labels, which end at the first blank.
    fn split<'a>(&self, row: &'a [u32], steps: usize) -> (usize, &'a [u32]) {
        let (length, labels) = match row {
            [length, labels @ ..] if self.lengths_first => (*length as usize, labels),
            labels => (steps, labels),
        };
        let end = labels.iter().position(|&label| label == self.blank).unwrap_or(labels.len());
        (length, &labels[..end])
    }
}

impl Loss for Ctc {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let (shape, examples) = (y.shape(), y.examples());
        let Some((steps, classes)) = time_and_classes(shape) else {
            let expected = "log-probabilities with the axes time, of at least one step, and classes";
            return Err(TargetError::Prediction { loss: name::<Self>(), expected, got: shape });
        };
        if self.blank as usize >= classes {
            let reason = format!("the blank is class {}, but there are {classes} classes, from 0", self.blank);
            return Err(TargetError::setting_of::<Self>(reason));
        }
        let labels = target::classes::<Self, T>(target, "the labels of each example, but received numbers")?;
        let row = target::for_each(target, examples)?.max(usize::from(self.lengths_first));
        TargetError::check_count(examples * row, labels.len())?;
        for (example, row) in labels.chunks(row.max(1)).enumerate() {
            let (length, labels) = self.split(row, steps);
            if length > steps {
                return Err(TargetError::setting_of::<Self>(format!(
                    "example {example} is said to have {length} time steps, but there are {steps}"
                )));
            }
            if let Some(&class) = labels.iter().find(|&&class| class as usize >= classes) {
                return Err(TargetError::Class { example, class, classes });
            }
        }
        // All at once, and only if that fails the steps that count.
        if find(y.slice(), above_log_1).is_some() {
            for example in 0..examples {
                let (length, _) = self.split(&labels[example * row..(example + 1) * row], steps);
                let counted = &y.example(example)[..length * classes];
                LOG_PROBABILITIES.check::<Self, T>(counted, above_log_1).map_err(|error| error.of_example(example))?;
            }
        }
        let whole = self.reduction.of_terms(examples, examples);
        by_example(self, y, (target, row), dy, whole)
    }
}

/// Returns the numbers of time steps, at least one, and of classes.
fn time_and_classes(shape: Shape) -> Option<(usize, usize)> {
    match *shape.axes() {
        [steps, classes] if steps > 0 => Some((steps, classes)),
        _ => None,
    }
}

thread_local! {
    /// The rows of the recursions, kept from call to call.
    static TABLE: Cell<Vec<f64>> = const { Cell::new(Vec::new()) };
}

impl ExampleLoss for Ctc {
    #[inline(always)]
    fn example<T: Scalar>(&self, shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let Target::Classes(row) = target else { return T::NAN };
        let (steps, labels) = self.split(row, shape[0]);
        let classes = shape[1];
        let y = &y[..steps * classes];
        let share = match self.reduction {
            Reduction::Mean => 1.0 / labels.len().max(1) as f64,
            Reduction::Sum | Reduction::BatchMean => 1.0,
        };
        let states = 2 * labels.len() + 1;
        // Two more than there are states, so that every state has two to its left, or two to its right.
        let width = states + 2;
        let mut table = TABLE.take();
        table.clear();
        table.resize((steps + 4) * width + states, NEVER);
        let (forward, rest) = table.split_at_mut((steps + 1) * width);
        let (skip, rest) = rest.split_at_mut(width);
        let (ahead, rest) = rest.split_at_mut(width);
        let (now, emitted) = rest.split_at_mut(width);

        allow_skips(labels, skip);
        let path = Path { y, classes, labels, blank: self.blank as usize, states, skip };
        path.forward(emitted, forward);
        let log_likelihood = path.log_likelihood(forward);
        let impossible = log_likelihood == NEVER;
        if let Some(dy) = dy {
            dy.fill(T::ZERO);
            if !impossible {
                path.backward(emitted, forward, (ahead, now), T::from_f64(share) * scale, dy);
            } else if !self.zero_infinity {
                dy[..y.len()].fill(T::NAN);
            }
        }
        TABLE.set(table);
        if impossible && self.zero_infinity { T::ZERO } else { T::from_f64(-log_likelihood * share) }
    }
}

/// The logarithm of 0.
const NEVER: f64 = f64::NEG_INFINITY;

/// Replaces `NEVER` by 0 for each state that can be reached from two states before it:
/// over a blank from another label, to the first label from before the path began, to the end from the last label.
fn allow_skips(labels: &[u32], skip: &mut [f64]) {
    for (label, skip) in skip.iter_mut().skip(1).step_by(2).enumerate() {
        if label == 0 || label >= labels.len() || labels[label] != labels[label - 1] {
            *skip = 0.0;
        }
    }
}

/// The labels with a blank before, between and after them are the states that a path walks through.
struct Path<'a, T> {
    y: &'a [T],
    classes: usize,
    labels: &'a [u32],
    blank: usize,
    states: usize,
    skip: &'a [f64],
}

impl<T: Scalar> Path<'_, T> {
    fn class(&self, state: usize) -> usize {
        if state.is_multiple_of(2) { self.blank } else { self.labels[state / 2] as usize }
    }

    /// Writes the log-probabilities of all states at one step.
    #[inline(always)]
    fn emit(&self, y: &[T], emitted: &mut [f64]) {
        for (state, emitted) in emitted.iter_mut().enumerate() {
            *emitted = y[self.class(state)].to_f64();
        }
    }

    /// Fills row t + 1 of `table` with the log-likelihoods of all paths to each state at step t.
    /// State s has column s + 2, and column 1 of row 0 is the start of every path.
    #[inline(always)]
    fn forward(&self, emitted: &mut [f64], table: &mut [f64]) {
        let width = self.states + 2;
        table[1] = 0.0;
        for (t, y) in self.y.chunks_exact(self.classes).enumerate() {
            self.emit(y, emitted);
            let (before, now) = table[t * width..(t + 2) * width].split_at_mut(width);
            let ways = before[2..].iter().zip(&before[1..]).zip(before.iter().zip(self.skip));
            for ((now, ((&stay, &step), (&over, &skip))), &emitted) in now[2..].iter_mut().zip(ways).zip(&*emitted) {
                *now = log_sum_exp(stay, step, over + skip) + emitted;
            }
        }
    }

    /// Returns the log-likelihood of all paths that end in the last label or the blank after it.
    fn log_likelihood(&self, table: &[f64]) -> f64 {
        match table {
            [.., label, blank] => log_sum_exp(*label, *blank, NEVER),
            _ => NEVER,
        }
    }

    /// Subtracts from `dy` the share of the likelihood that runs through each class at each step, times `factor`.
    ///
    /// `ahead` holds the log-likelihoods of all paths from each state to the end, its own step included.
    #[inline(always)]
    fn backward<'t>(
        &self,
        emitted: &mut [f64],
        forward: &[f64],
        (mut ahead, mut now): (&'t mut [f64], &'t mut [f64]),
        factor: T,
        dy: &mut [T],
    ) {
        let (states, log_likelihood) = (self.states, self.log_likelihood(forward));
        // After the last step every path is at its end.
        ahead[states] = 0.0;
        let steps = self.y.chunks_exact(self.classes).zip(dy.chunks_exact_mut(self.classes));
        for ((y, dy), forward) in steps.zip(forward.chunks_exact(states + 2).skip(1)).rev() {
            let ways = ahead.iter().zip(&ahead[1..]).zip(ahead[2..].iter().zip(&self.skip[2..]));
            for (now, ((&stay, &step), (&over, &skip))) in now[..states].iter_mut().zip(ways) {
                *now = log_sum_exp(stay, step, over + skip);
            }
            // The states' shares of the likelihood.
            for (share, (&here, &on)) in emitted.iter_mut().zip(forward[2..].iter().zip(&*now)) {
                *share = Scalar::exp(here + on - log_likelihood);
            }
            for (state, &share) in emitted.iter().enumerate() {
                dy[self.class(state)] -= T::from_f64(share) * factor;
            }
            self.emit(y, emitted);
            for (now, &emitted) in now[..states].iter_mut().zip(&*emitted) {
                *now += emitted;
            }
            ahead[states] = NEVER;
            std::mem::swap(&mut ahead, &mut now);
        }
    }
}

/// Computes ln(eᵃ + eᵇ + eᶜ), also if all three are −∞.
#[inline(always)]
fn log_sum_exp(a: f64, b: f64, c: f64) -> f64 {
    let largest = Scalar::max(Scalar::max(a, b), c);
    let sum = Scalar::exp(a - largest) + Scalar::exp(b - largest) + Scalar::exp(c - largest);
    // NaN passes through the sum.
    if largest == NEVER { a + b + c } else { largest + Scalar::ln(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    /// Computes −ln of the likelihood from every path.
    fn by_all_paths(y: &[f64], classes: usize, labels: &[u32], blank: u32) -> f64 {
        let steps = y.len() / classes;
        let mut likelihood = 0.0;
        for number in 0..classes.pow(steps as u32) {
            let path: Vec<u32> = (0..steps).map(|t| (number / classes.pow(t as u32) % classes) as u32).collect();
            let mut spelled = path.clone();
            spelled.dedup();
            spelled.retain(|&class| class != blank);
            if spelled == labels {
                let log: f64 = path.iter().enumerate().map(|(t, &class)| y[t * classes + class as usize]).sum();
                likelihood += log.exp();
            }
        }
        -f64::ln(likelihood)
    }

    #[test]
    fn it_is_the_sum_over_all_paths() {
        let mut draw = Draw::new(32);
        let classes = 3;
        let sum = Ctc::new().reduction(Reduction::Sum);
        for (steps, blank, labels) in [
            (1, 0, vec![]),
            (1, 0, vec![2]),
            (4, 0, vec![1, 2]),
            (5, 0, vec![1, 1]),
            (6, 2, vec![0, 1, 1]),
            (6, 1, vec![0, 2, 0]),
        ] {
            let y = draw.numbers(steps * classes, -2.0, 0.0);
            let value = evaluate::<f64>(&sum.blank(blank), (1, [steps, classes].into()), &y, Target::Classes(&labels));
            let expected = by_all_paths(&y, classes, &labels, blank);
            assert!((value.unwrap().0 - expected).abs() < 1e-13 * expected.abs(), "{labels:?} in {steps} steps");
        }
    }

    #[test]
    fn gradient() {
        let mut draw = Draw::new(33);
        for (examples, steps, classes, longest) in [(1, 1, 2, 1), (2, 7, 4, 3), (3, 20, 5, 6), (2, 5, 3, 0)] {
            let y = draw.numbers(examples * steps * classes, -3.0, 0.0);
            let labels = draw.classes(examples * longest, classes);
            let batch = (examples, [steps, classes].into());
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
                check(&Ctc::new().reduction(reduction), batch, &y, Target::Classes(&labels));
            }
        }
    }

    #[test]
    fn steps_beyond_the_length_count_for_nothing() {
        let y = Draw::new(34).numbers(2 * 6 * 3, -3.0, 0.0);
        let loss = Ctc::new().reduction(Reduction::Sum);
        let row = |steps: usize, y: &[f64], labels: &[u32]| {
            evaluate::<f64>(&loss, (1, [steps, 3].into()), y, Target::Classes(labels)).unwrap()
        };
        let (first, second) = (row(6, &y[..18], &[1, 2]), row(4, &y[18..30], &[2]));
        let both = Target::Classes(&[6, 1, 2, 4, 2, 0]);
        let (value, dy) = evaluate::<f64>(&loss.lengths_first(), (2, [6, 3].into()), &y, both).unwrap();
        assert_eq!(value, first.0 + second.0);
        assert_eq!(dy, [first.1, second.1, vec![0.0; 6]].concat());
    }

    #[test]
    fn labels_that_can_not_be_spelled() {
        let y = [-1.0; 6];
        let at = |loss: Ctc| evaluate::<f64>(&loss, (1, [2, 3].into()), &y, Target::Classes(&[1, 1])).unwrap();
        let (value, dy) = at(Ctc::new());
        assert_eq!(value, f64::INFINITY);
        assert!(dy.iter().all(|dy| dy.is_nan()));
        assert_eq!(at(Ctc::new().zero_infinity()), (0.0, vec![0.0; 6]));
        // No steps spell no labels.
        let none = Target::Classes(&[0, 0]);
        let loss = Ctc::new().lengths_first();
        assert_eq!(evaluate::<f64>(&loss, (1, [2, 3].into()), &y, none).unwrap(), (0.0, vec![0.0; 6]));
    }

    #[test]
    fn logits_are_an_error_unless_their_step_does_not_count() {
        let (loss, batch) = (Ctc::new().lengths_first(), (2, [2, 2].into()));
        let y = [-1.0, -1.0, 4.0, -1.0, -1.0, -1.0, -1.0, 3.0];
        assert_eq!(
            error(&loss, batch, &y, Target::Classes(&[1, 1, 2, 1])),
            "Ctc takes logarithms of probabilities, which are at most 0, \
             but prediction 3 of example 1 is 3; put LogSoftmax before this loss"
        );
        assert!(evaluate::<f64>(&loss, batch, &y, Target::Classes(&[1, 1, 1, 1])).is_ok());
    }

    #[test]
    fn classes_that_can_not_be_and_not_a_number() {
        let never = f64::NEG_INFINITY;
        let y = [never, 0.0, never, 0.0];
        let at = |y: &[f64]| evaluate::<f64>(&Ctc::new(), (1, [2, 2].into()), y, Target::Classes(&[1])).unwrap();
        assert_eq!(at(&y), (0.0, vec![0.0, -1.0, 0.0, -1.0]));
        assert!(at(&[f64::NAN, 0.0, never, 0.0]).0.is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let y = [0.0; 12];
        assert_eq!(
            error(&Ctc::new(), (2, [6].into()), &y, Target::Classes(&[1, 1])),
            "Ctc takes log-probabilities with the axes time, of at least one step, and classes, \
             but the predictions have the shape 6"
        );
        assert_eq!(
            error(&Ctc::new(), (2, [2, 3].into()), &y, Target::Classes(&[1, 1, 3, 0])),
            "example 1 has the class 3, but the predictions have 3 classes, counted from 0"
        );
        assert_eq!(
            error(&Ctc::new(), (2, [2, 3].into()), &y, Target::Classes(&[1, 1, 2])),
            "the predictions need 2 targets, but there are 3"
        );
        assert_eq!(
            error(&Ctc::new().blank(3), (2, [2, 3].into()), &y, Target::Classes(&[1, 1])),
            "Ctc: the blank is class 3, but there are 3 classes, from 0"
        );
        assert_eq!(
            error(&Ctc::new().lengths_first(), (2, [2, 3].into()), &y, Target::Classes(&[2, 1, 3, 1])),
            "Ctc: example 1 is said to have 3 time steps, but there are 2"
        );
        assert_eq!(
            error(&Ctc::new(), (2, [2, 3].into()), &y, Target::Values(&[1.0, 1.0])),
            "Ctc compares with the labels of each example, but received numbers"
        );
    }
}
