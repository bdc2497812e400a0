//! Reads predictions and targets as classes or as independent answers, in the same way for all metrics.

use downhill_losses::{ClassAxis, Meaning, Target, TargetError};
use downhill_tensor::{Batch, Outputs, Scalar};

/// A prediction at one place, with the right answer and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The index of the place in the batch.
    pub(crate) position: usize,
    /// `None` if an output is not a number: that is no class, and never right.
    pub(crate) predicted: Option<usize>,
    pub(crate) truth: usize,
    pub(crate) weight: f64,
}

/// Predictions and targets of a batch, known to fit each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a, T> {
    y: &'a [T],
    target: Target<'a, T>,
    weights: Option<&'a [T]>,
    ignored: Option<u32>,
    outputs: Option<Outputs>,
    /// The number of classes of a position; 1 for a yes-or-no question.
    count: usize,
    inner: usize,
    positions: usize,
    examples: usize,
}

impl<'a, T: Scalar> Reading<'a, T> {
    /// Reads a batch as `meaning` says: several outputs as scores of classes of which one is right, unless they are
    /// known to be independent answers; a single output as the answer to a yes-or-no question.
    pub(crate) fn new(
        metric: &'static str,
        meaning: Meaning,
        y: Batch<'a, T>,
        target: Target<'a, T>,
        weights: Option<&'a [T]>,
    ) -> Result<Self, TargetError> {
        let (shape, examples) = (y.shape(), y.examples());
        let independent = matches!(
            meaning.outputs,
            Some(Outputs::Scores | Outputs::Logits | Outputs::Probabilities | Outputs::LogProbabilities)
        );
        let (outer, count, inner) = match (shape.axes(), meaning.class_axis) {
            _ if independent => (examples * shape.len(), 1, 1),
            ([], _) => (examples, 1, 1),
            (&[count, ref positions @ ..], ClassAxis::First) => (examples, count, positions.iter().product()),
            (&[ref positions @ .., count], ClassAxis::Last) => {
                (examples * positions.iter().product::<usize>(), count, 1)
            }
        };
        if count == 0 || shape.len() == 0 {
            return Err(TargetError::prediction(metric, "at least one output", shape));
        }
        let positions = outer * inner;
        let ignored = meaning.ignored_index;
        let outputs = meaning.outputs;
        let reading = Self { y: y.slice(), target, weights, ignored, outputs, count, inner, positions, examples };
        reading.check(metric)?;
        Ok(reading)
    }

    fn check(&self, metric: &'static str) -> Result<(), TargetError> {
        let classes = self.count.max(2);
        let expected = match self.target {
            Target::Classes(_) => self.positions,
            Target::Values(_) => self.y.len(),
        };
        if self.target.len() != expected {
            return Err(TargetError::count(expected, self.target.len()));
        }
        if let Some(weights) = self.weights
            && weights.len() != self.examples
            && weights.len() != self.positions
        {
            return Err(TargetError::setting(
                metric,
                format!(
                    "there are {} weights, but {} examples with {} positions; give one weight for each of either",
                    weights.len(),
                    self.examples,
                    self.positions
                ),
            ));
        }
        match self.target {
            Target::Classes(labels) => {
                let bad = |&(_, &label): &(usize, &u32)| label as usize >= classes && Some(label) != self.ignored;
                match labels.iter().enumerate().find(bad) {
                    None => Ok(()),
                    Some((position, &class)) => {
                        let example = position / self.positions_of_an_example();
                        Err(TargetError::class(example, class, classes))
                    }
                }
            }
            Target::Values(values) if self.count == 1 => {
                // A loss of probabilities allows targets between 0 and 1; its own check refuses all others.
                let soft = matches!(self.outputs, Some(Outputs::Logits | Outputs::Probabilities));
                let signs = self.outputs == Some(Outputs::Scores);
                let fits = |t: f64| t == 0.0 || t == 1.0 || (signs && t == -1.0) || (soft && 0.0 < t && t < 1.0);
                match values.iter().position(|t| !fits(t.to_f64())) {
                    None => Ok(()),
                    Some(place) => Err(TargetError::setting(
                        metric,
                        format!(
                            "target {place} is {}, which is no class: a single output is judged by targets of 0 and 1; \
                             for numbers, use a metric such as the root mean squared error",
                            values[place]
                        ),
                    )),
                }
            }
            Target::Values(values) => {
                for position in 0..self.positions {
                    let shares = (0..self.count).map(|class| values[self.place(position, class)].to_f64());
                    let fits = shares.clone().all(|t| (0.0..=1.0).contains(&t));
                    let sum: f64 = shares.sum();
                    if !(fits && (sum - 1.0).abs() < 1e-3) {
                        return Err(TargetError::setting(
                            metric,
                            format!(
                                "the {} targets at position {position} are not the probabilities of classes of which \
                                 one is right: they sum to {sum}, or are not from 0 to 1. If each is an answer of its \
                                 own, train with a loss that says so, such as BinaryCrossEntropyWithLogits, or `start` \
                                 the metric with its meaning; for numbers, use a metric such as the root mean squared \
                                 error",
                                self.count
                            ),
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    /// The number of classes; 2 for a yes-or-no question.
    pub(crate) fn classes(&self) -> usize {
        self.count.max(2)
    }

    /// The number of independent answers that each example has, if these are what is judged.
    pub(crate) fn answers(&self) -> Option<usize> {
        (self.count == 1).then(|| self.positions / self.examples.max(1))
    }

    /// The number of positions that each example has.
    pub(crate) fn positions_of_an_example(&self) -> usize {
        (self.positions / self.examples.max(1)).max(1)
    }

    fn place(&self, position: usize, class: usize) -> usize {
        (position / self.inner * self.count + class) * self.inner + position % self.inner
    }

    fn score(&self, position: usize, class: usize) -> T {
        self.y[self.place(position, class)]
    }

    fn weight(&self, position: usize) -> f64 {
        match self.weights {
            None => 1.0,
            Some(weights) if weights.len() == self.positions => weights[position].to_f64(),
            Some(weights) => weights[position / self.positions_of_an_example()].to_f64(),
        }
    }

    fn truth(&self, position: usize) -> Option<usize> {
        match self.target {
            Target::Classes(labels) => {
                Some(labels[position]).filter(|&label| Some(label) != self.ignored).map(|l| l as usize)
            }
            Target::Values(values) if self.count == 1 => {
                let threshold = if self.outputs == Some(Outputs::Scores) { 0.0 } else { 0.5 };
                Some(usize::from(values[position].to_f64() > threshold))
            }
            Target::Values(values) => largest((0..self.count).map(|class| values[self.place(position, class)])),
        }
    }

    /// The class of a position by its scores.
    fn predicted(&self, position: usize) -> Option<usize> {
        if self.count > 1 {
            return largest((0..self.count).map(|class| self.score(position, class)));
        }
        let (y, outputs) = (self.score(position, 0), self.outputs.unwrap_or(Outputs::Logits));
        (!y.is_nan()).then(|| usize::from(y.to_f64() > outputs.threshold()))
    }

    /// The positions that count: neither ignored nor of weight 0.
    fn counted(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        (0..self.positions).filter_map(|position| {
            let weight = self.weight(position);
            let truth = self.truth(position).filter(|_| weight > 0.0)?;
            Some((position, truth, weight))
        })
    }

    /// Judges all positions that count.
    pub(crate) fn judged(&self) -> impl Iterator<Item = Judged> + '_ {
        let judge = |(position, truth, weight)| {
            let predicted = self.predicted(position);
            Judged { position, predicted, truth, weight }
        };
        self.counted().map(judge)
    }

    /// Ranks all positions that count: the true class, how many other classes score higher, or as high with a lower index,
    /// and the weight; `None` if a score is not a number.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = (Option<usize>, f64)> + '_ {
        self.counted().map(|(position, truth, weight)| {
            let score = self.score(position, truth.min(self.count - 1));
            let better = (0..self.count).filter(|&class| {
                let other = self.score(position, class);
                other > score || (other == score && class < truth) || other.is_nan()
            });
            ((!score.is_nan()).then(|| better.count()), weight)
        })
    }

    /// Visits all independent answers that count: the place, the score, the true class and the weight.
    pub(crate) fn answered(&self, mut visit: impl FnMut(usize, f64, usize, f64)) {
        for (position, truth, weight) in self.counted() {
            visit(position, self.score(position, 0).to_f64(), truth, weight);
        }
    }

    /// Visits all positions that count: how likely each class is by the outputs, in a unit that is
    /// the same for all examples, with the true class and the weight.
    pub(crate) fn likelihoods(&self, mut visit: impl FnMut(&[f64], usize, f64)) {
        let mut scores = vec![0.0; self.count];
        for (position, truth, weight) in self.counted() {
            for (class, score) in scores.iter_mut().enumerate() {
                *score = self.score(position, class).to_f64();
            }
            if self.count > 1 && matches!(self.outputs, None | Some(Outputs::ClassLogits)) {
                // Classes of different examples compare by their probabilities, not by their logits.
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
                let sum: f64 = scores.iter().sum();
                scores.iter_mut().for_each(|score| *score /= sum);
            }
            visit(&scores, truth, weight);
        }
    }

    /// Visits all positions that count: the probability of each class, two of them for a yes-or-no question, with the
    /// true class and the weight.
    pub(crate) fn probabilities(
        &self,
        metric: &'static str,
        mut visit: impl FnMut(&[f64], usize, f64),
    ) -> Result<(), TargetError> {
        let kind = Kind::of(metric, self.outputs)?;
        let mut row = vec![0.0; self.classes()];
        for (position, truth, weight) in self.counted() {
            self.fill(metric, kind, position, &mut row)?;
            if kind != Kind::Probabilities {
                row.iter_mut().for_each(|p| *p = p.exp());
            }
            visit(&row, truth, weight);
        }
        Ok(())
    }

    /// As [`probabilities`](Self::probabilities), but visits their logarithms. Outputs that are probabilities themselves
    /// are kept from 0 and 1 by the precision ε of their type, as scikit-learn does.
    pub(crate) fn log_probabilities(
        &self,
        metric: &'static str,
        mut visit: impl FnMut(&[f64], usize, f64),
    ) -> Result<(), TargetError> {
        let kind = Kind::of(metric, self.outputs)?;
        let (mut row, epsilon) = (vec![0.0; self.classes()], T::EPSILON.to_f64());
        for (position, truth, weight) in self.counted() {
            self.fill(metric, kind, position, &mut row)?;
            if kind == Kind::Probabilities {
                row.iter_mut().for_each(|p| *p = p.clamp(epsilon, 1.0 - epsilon).ln());
            }
            visit(&row, truth, weight);
        }
        Ok(())
    }

    /// Writes the probabilities of a position's classes, or their logarithms if the outputs are not probabilities.
    fn fill(&self, metric: &'static str, kind: Kind, position: usize, row: &mut [f64]) -> Result<(), TargetError> {
        if self.count == 1 {
            let y = self.score(position, 0).to_f64();
            let [no, yes] = match kind {
                Kind::Probabilities => [1.0 - y, y],
                // ln σ(-y) and ln σ(y)
                Kind::Logits => [y, -y].map(|y| -(y.max(0.0) + (-y.abs()).exp().ln_1p())),
                Kind::LogProbabilities => [(-y.exp_m1()).ln(), y],
            };
            row.copy_from_slice(&[no, yes]);
        } else {
            for (class, out) in row.iter_mut().enumerate() {
                *out = self.score(position, class).to_f64();
            }
            if kind == Kind::Logits {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|y| (y - largest).exp()).sum();
                row.iter_mut().for_each(|y| *y = *y - largest - sum.ln());
            }
        }
        if kind == Kind::Probabilities {
            self.check_probabilities(metric, position, row)?;
        }
        Ok(())
    }

    fn check_probabilities(&self, metric: &'static str, position: usize, row: &[f64]) -> Result<(), TargetError> {
        let sum: f64 = row.iter().sum();
        let wrong = row.iter().find(|&&p| !(0.0..=1.0).contains(&p) && !p.is_nan());
        let reason = match wrong {
            Some(p) => format!("the output at position {position} gives a class the probability {p}"),
            None if (sum - 1.0).abs() > 1e-3 => {
                format!("the probabilities at position {position} sum to {sum}")
            }
            None => return Ok(()),
        };
        let advice = "the outputs are read as probabilities, as the network's last layer and its loss say; end the network \
                      with a softmax or a sigmoid, or train with a loss of logits";
        Err(TargetError::setting(metric, format!("{reason}, but {advice}")))
    }
}

/// What outputs are of which probabilities can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logits,
    Probabilities,
    LogProbabilities,
}

impl Kind {
    fn of(metric: &'static str, outputs: Option<Outputs>) -> Result<Self, TargetError> {
        match outputs {
            None | Some(Outputs::ClassLogits | Outputs::Logits) => Ok(Self::Logits),
            Some(Outputs::ClassProbabilities | Outputs::Probabilities) => Ok(Self::Probabilities),
            Some(Outputs::ClassLogProbabilities | Outputs::LogProbabilities) => Ok(Self::LogProbabilities),
            Some(outputs) => Err(TargetError::setting(
                metric,
                format!(
                    "it judges probabilities, but the network's outputs are {}; train with a loss of probabilities, such \
                     as SoftmaxCrossEntropy or BinaryCrossEntropyWithLogits",
                    outputs.name()
                ),
            )),
        }
    }
}

/// Returns the index of the largest number, the first of several; `None` if one is not a number.
fn largest<T: Scalar>(row: impl Iterator<Item = T>) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for (index, value) in row.enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}
