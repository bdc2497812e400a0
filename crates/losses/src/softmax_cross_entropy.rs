use std::ops::Range;

use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Divisible, Kernel, Scalar};

use crate::call::{compiled, evaluate_by};
use crate::classes::{Layout, class_settings, part, weight};
use crate::domain::Domain;
use crate::pointwise::check_counted;
use crate::reduction::reduction_setting;
use crate::softmax::{GROUP, Group, Groups, Softmax, zip_sum};
use crate::sums::{Rows, total};
use crate::total::Quotient;
use crate::weights::PositionWeights;
use crate::{Call, ClassAxis, Loss, Meaning, Outputs, Reduction, Target, TargetError, Total, target};

/// The cross-entropy between target classes and the softmax of predicted logits.
///
/// With $`p = \operatorname{softmax}(y)`$ and a distribution $`q`$ over the classes as the target, one position adds
/// ```math
/// \ell = -\sum_c q_c \ln p_c = \sum_c q_c \Big(\ln \sum_k e^{y_k} - y_c\Big), \qquad
/// \frac{\partial \ell}{\partial y_c} = p_c \sum_k q_k - q_c.
/// ```
/// For the index $`t`$ of a class, $`q_c = w_c\,[(1 - \varepsilon)\,\delta_{ct} + \varepsilon / C]`$, and for
/// probabilities $`t_c`$, $`q_c = w_c\,[(1 - \varepsilon)\,t_c + \varepsilon / C]`$,
/// with the class weights $`w`$ (1 by default) and the label smoothing ε (0 by default).
///
/// The mean is taken over all positions. For classes as targets it is a weighted one:
/// the sum is divided by $`\sum w_t`$ over the targets that are not ignored.
///
/// # Shapes
/// Predictions (batch, classes) with one class, or one probability for each class, for each example.
/// Predictions (batch, classes, positions...) with one class for each position, or as many probabilities as
/// predictions in the same order; with [`ClassAxis::Last`] predictions are (batch, positions..., classes).
/// A mask has one weight for each example or for each position.
///
/// # Errors
/// Returns an error if a class does not exist, a probability is negative or not finite, there are more or fewer targets
/// than needed, there is not one weight for each class, a weight is negative or not finite, or the smoothing lies
/// outside 0 to 1.
///
/// # Edge cases
/// Large logits are exact: the largest is subtracted first. A logit of −∞ is an impossible class: if its
/// target is 0 it adds nothing, also with probabilities as targets (PyTorch gives NaN there).
/// A logit of +∞ gives NaN. The mean of no positions, or of ignored ones alone, is NaN with a gradient of 0.
/// A position whose class weighs 0 is not read and adds nothing, not even its smoothing, which PyTorch adds to a sum
/// that is not divided by it. An ignored index has no meaning for probabilities, and no effect.
/// Probabilities are not checked to sum to 1, as in PyTorch.
///
/// # Source
/// Like PyTorch's `CrossEntropyLoss`. Keras's `CategoricalCrossentropy` takes probabilities by default;
/// burn keeps ignored targets in the divisor.
/// Derivation: `docs/derivations/losses/softmax-cross-entropy.md`.
///
/// ```
/// use downhill_losses::{Loss, SoftmaxCrossEntropy, Target};
/// use downhill_tensor::{Batch, BatchMut};
///
/// let logits = [0.0_f64, 0.0, 3.0_f64.ln(), 0.0];
/// let mut dy = [0.0; 4];
/// let value = SoftmaxCrossEntropy::new().value_and_gradient(
///     Batch::new(&logits, 2, [2])?,
///     Target::Classes(&[1, 1]),
///     BatchMut::new(&mut dy, 2, [2])?,
/// )?;
/// assert!((value - (2.0_f64.ln() + 4.0_f64.ln()) / 2.0).abs() < 1e-12);
/// assert!((dy[3] - -0.375).abs() < 1e-12); // (p - 1) / batch, with p = 1/4
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct SoftmaxCrossEntropy {
    class_weights: Option<Vec<f64>>,
    label_smoothing: f64,
    ignored_index: Option<u32>,
    class_axis: ClassAxis,
    reduction: Reduction,
}

impl SoftmaxCrossEntropy {
    /// Makes the loss with the mean over all positions, without weights or smoothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves this share of every target's weight to all classes evenly; 0 unless this is called.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f64) -> Self {
        self.label_smoothing = smoothing;
        self
    }

    class_settings!();
    reduction_setting!();
}

impl SoftmaxCrossEntropy {
    fn evaluate_call<T: Scalar>(&self, call: Call<'_, T>) -> Result<Total, TargetError> {
        let Call { y, target, weights, dy } = call;
        let layout = Layout::new::<Self, T>(y, self.class_axis)?;
        let mask = weights.map(|weights| PositionWeights::new::<Self>(weights, y, layout)).transpose()?;
        let classes = self.class_weights.as_deref();
        layout.check_weights::<Self>(classes)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let smoothing = self.label_smoothing;
        let fits = (0.0..=1.0).contains(&smoothing);
        TargetError::check_setting::<Self>("the label smoothing", smoothing, fits, "from 0 to 1")?;
        let whole = match target {
            Target::Classes(target) => self.check_classes(target, layout, mask)?,
            Target::Values(probabilities) => self.check_probabilities(y, probabilities, layout, mask)?,
        };
        let all = T::from_f64(classes.map_or(layout.classes as f64, |weights| weights.iter().sum()));
        let (hit, base) = (T::from_f64(1.0 - smoothing), T::from_f64(smoothing / layout.classes as f64));
        let weights = (classes.is_some() || mask.is_some()).then_some(Given { classes, positions: mask });
        let rule = Rule { hit, base, weights, all, ignored: self.ignored_index, scale: T::from_f64(whole.scale()) };
        Ok(whole.total(total(Positions { layout, rule, y: y.slice(), target, dy })))
    }

    fn check_classes<T: Scalar>(
        &self,
        target: &[u32],
        layout: Layout,
        mask: Option<PositionWeights<'_, T>>,
    ) -> Result<Quotient, TargetError> {
        let ignored = self.ignored_index;
        let counts = |position: usize| {
            Some(target[position]) != ignored && mask.is_none_or(|mask| mask.of_position(position) != T::ZERO)
        };
        layout.check_classes(target, counts)?;
        let weight = match (self.class_weights.as_deref(), mask) {
            (None, None) => target.iter().filter(|&&class| Some(class) != ignored).count() as f64,
            (classes, positions) => {
                let given = Given { classes, positions };
                let counted = (0..target.len()).filter(|&position| counts(position));
                counted.map(|at| (given.of_position(at) * given.of_class(target[at] as usize)).to_f64()).sum()
            }
        };
        Ok(layout.whole(self.reduction, weight, mask))
    }

    fn check_probabilities<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: &[T],
        layout: Layout,
        mask: Option<PositionWeights<'_, T>>,
    ) -> Result<Quotient, TargetError> {
        TargetError::check_count(y.slice().len(), target.len())?;
        let numbers = mask.map(|mask| mask.of_numbers(layout));
        check_counted(target.len(), numbers, |here| {
            PROBABILITIES.check::<Self, T>(&target[here], |t| !((t >= T::ZERO) & (t <= T::MAX)))
        })
        .map_err(|error| error.located(y.shape().len()))?;
        let positions = layout.positions();
        let whole = match numbers {
            None => self.reduction.of_terms(positions, y.examples()),
            Some(numbers) => numbers.whole(self.reduction, positions, y.examples()),
        };
        let counts = self.class_weights.as_ref().is_none_or(|weights| weights.iter().any(|&weight| weight > 0.0));
        Ok(if counts { whole } else { whole.weight(0.0) })
    }
}

const PROBABILITIES: Domain = Domain {
    what: "target",
    takes: "probabilities, which are finite and at least 0",
    advice: "give classes as classes, or write the probability of each",
};

impl Loss for SoftmaxCrossEntropy {
    compiled!(Loss);
    evaluate_by!(Self::evaluate_call);

    fn meaning(&self) -> Meaning {
        Meaning::new(Outputs::ClassLogits).class_axis(self.class_axis).ignored_index(self.ignored_index)
    }
}

/// The weights of classes and positions.
#[derive(Clone, Copy)]
struct Given<'a, T> {
    classes: Option<&'a [f64]>,
    positions: Option<PositionWeights<'a, T>>,
}

impl<T: Scalar> Given<'_, T> {
    #[inline(always)]
    fn of_class(self, class: usize) -> T {
        weight(self.classes, class)
    }

    #[inline(always)]
    fn of_position(self, position: usize) -> T {
        self.positions.map_or(T::ONE, |weights| weights.of_position(position))
    }

    /// Returns the weights of the positions from `first` on.
    fn from(self, first: usize) -> Self {
        Self { positions: self.positions.map(|weights| weights.from(first)), ..self }
    }
}

/// The rule for one position, whose target distribution is q_c = w_c (hit t_c + base).
#[derive(Clone, Copy)]
struct Rule<'a, T> {
    hit: T,
    base: T,
    /// The weights, if any may differ from 1.
    weights: Option<Given<'a, T>>,
    /// The sum of the weights of all classes.
    all: T,
    ignored: Option<u32>,
    /// The factor of the sum's gradient.
    scale: T,
}

struct Positions<'a, T> {
    layout: Layout,
    rule: Rule<'a, T>,
    y: &'a [T],
    target: Target<'a, T>,
    dy: Option<&'a mut [T]>,
}

impl<T: Scalar> Rows for Positions<'_, T> {
    fn width(&self) -> usize {
        self.layout.width()
    }
}

impl<T: Scalar> Divisible for Positions<'_, T> {
    fn elements(&self) -> usize {
        self.layout.outer
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { layout, rule, .. } = self;
        let (y0, y1) = self.y.split_at(middle * layout.width());
        let (dy0, dy1) = self.dy.cut(middle * layout.width());
        let per_row = match self.target {
            Target::Classes(_) => layout.inner,
            Target::Values(_) => layout.width(),
        };
        let (target0, target1) = target::cut(self.target, middle * per_row);
        let (layout0, layout1) = layout.cut(middle);
        let weights = rule.weights.map(|weights| weights.from(middle * layout.inner));
        let rule1 = Rule { weights, ..rule };
        (
            Self { layout: layout0, rule, y: y0, target: target0, dy: dy0 },
            Self { layout: layout1, rule: rule1, y: y1, target: target1, dy: dy1 },
        )
    }
}

impl<T: Scalar> Kernel for Positions<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(mut self) -> f64 {
        let Self { rule, y, .. } = self;
        let mut total = 0.0;
        for group in Groups::new(self.layout) {
            let mut dy = self.dy.as_deref_mut();
            let softmax = Softmax::new(group, y, dy.as_deref_mut());
            total += match self.target {
                Target::Classes(classes) => {
                    let classes = &classes[group.position..group.position + group.count];
                    rule.judge_classes(group, &softmax, y, classes, dy)
                }
                Target::Values(values) => rule.judge_probabilities(group, &softmax, y, values, dy),
            };
        }
        total
    }
}

impl<T: Scalar> Rule<'_, T> {
    #[inline(always)]
    fn judge_classes(&self, group: Group, softmax: &Softmax<T>, y: &[T], classes: &[u32], dy: Option<&mut [T]>) -> f64 {
        // The weight of each position that counts, and the weight and the logit of its class: the loops below read
        // nothing else, whether there are weights or not.
        let mut shares = [T::ZERO; GROUP];
        let mut hits = [T::ZERO; GROUP];
        let mut logits = [T::ZERO; GROUP];
        for (p, &class) in classes.iter().enumerate() {
            if Some(class) == self.ignored {
                continue;
            }
            let (mut share, mut hit) = (T::ONE, self.hit);
            if let Some(weights) = self.weights {
                // A position of weight 0 is not read, and its class need not exist.
                share = weights.of_position(group.position + p);
                let class_weight = if share == T::ZERO { T::ZERO } else { weights.of_class(class as usize) };
                if class_weight == T::ZERO {
                    continue;
                }
                hit = hit * class_weight * share;
            }
            (shares[p], hits[p]) = (share, hit);
            logits[p] = y[group.place(p, class as usize)];
        }
        let base = |p: usize| self.base * shares[p];
        let of_class = |class: usize| self.weights.map_or(T::ONE, |weights| weights.of_class(class));
        let mut terms = [T::ZERO; GROUP];
        let mut factors = [T::ZERO; GROUP];
        for p in 0..group.count.min(GROUP) {
            terms[p] = part(hits[p], softmax.surprise(p, logits[p]));
            factors[p] = (hits[p] + base(p) * self.all) * self.scale / softmax.sum[p];
        }
        let mut total = lanes::sum_of_few(&terms[..group.count]).to_f64();
        let smoothed = self.base != T::ZERO;
        if smoothed {
            group.each(|p, c, place| {
                if shares[p] != T::ZERO {
                    total += part(base(p) * of_class(c), softmax.surprise(p, y[place])).to_f64();
                }
            });
        }
        let Some(dy) = dy else { return total };
        if smoothed {
            group.each(|p, c, place| {
                dy[place] = dy[place] * factors[p] - base(p) * self.scale * of_class(c);
            });
        } else {
            group.scale(dy, &factors);
        }
        for (p, &class) in classes.iter().enumerate() {
            if shares[p] != T::ZERO {
                dy[group.place(p, class as usize)] -= hits[p] * self.scale;
            } else {
                for c in 0..group.classes {
                    dy[group.place(p, c)] = T::ZERO;
                }
            }
        }
        total
    }

    #[inline(always)]
    fn judge_probabilities(
        &self,
        group: Group,
        softmax: &Softmax<T>,
        y: &[T],
        target: &[T],
        dy: Option<&mut [T]>,
    ) -> f64 {
        // Most losses have no weights, and then rows can be vectorised along the classes.
        match group.rows() {
            Some(rows) if self.weights.is_none() => self.judge_rows(rows, softmax, y, target, dy),
            _ => self.judge_panel(group, softmax, y, target, dy),
        }
    }

    #[inline(always)]
    fn judge_rows(
        &self,
        rows: impl Iterator<Item = Range<usize>>,
        softmax: &Softmax<T>,
        y: &[T],
        target: &[T],
        mut dy: Option<&mut [T]>,
    ) -> f64 {
        let mut total = 0.0;
        let q = |target| self.hit * target + self.base;
        for (p, row) in rows.enumerate() {
            let (y, target) = (&y[row.clone()], &target[row.clone()]);
            total += zip_sum(target, y, |target, y| part(q(target), softmax.surprise(p, y))).to_f64();
            let Some(dy) = &mut dy else { continue };
            let factor = zip_sum(target, y, |target, _| q(target)) * self.scale / softmax.sum[p];
            for (dy, &target) in dy[row].iter_mut().zip(target) {
                *dy = *dy * factor - q(target) * self.scale;
            }
        }
        total
    }

    #[inline(always)]
    fn judge_panel(&self, group: Group, softmax: &Softmax<T>, y: &[T], target: &[T], dy: Option<&mut [T]>) -> f64 {
        let mut all = [0.0; GROUP];
        let mut factors = [T::ZERO; GROUP];
        let mut shares = [T::ONE; GROUP];
        if let Some(weights) = self.weights {
            for (p, share) in shares[..group.count].iter_mut().enumerate() {
                *share = weights.of_position(group.position + p);
            }
        }
        // The target of a position of weight 0 is not read either.
        let q = |p: usize, c: usize, target: T| {
            let q = self.hit * target + self.base;
            self.weights.map_or(q, |weights| part(shares[p], weights.of_class(c) * q))
        };
        let mut total = 0.0;
        group.each(|p, c, place| {
            let q = q(p, c, target[place]);
            all[p] += q.to_f64();
            total += part(q, softmax.surprise(p, y[place])).to_f64();
        });
        let Some(dy) = dy else { return total };
        for (factor, (&all, &sum)) in factors.iter_mut().zip(all.iter().zip(&softmax.sum)) {
            *factor = T::from_f64(all) * self.scale / sum;
        }
        group.each(|p, c, place| {
            let slope = dy[place] * factors[p] - q(p, c, target[place]) * self.scale;
            dy[place] = if self.weights.is_some() && all[p] == 0.0 { T::ZERO } else { slope };
        });
        total
    }
}

#[cfg(test)]
mod tests {
    use downhill_tensor::BatchMut;

    use super::*;
    use crate::Loss;
    use crate::testing::{Draw, check, error, evaluate, shapes};

    fn losses(draw: &mut Draw, classes: usize) -> Vec<SoftmaxCrossEntropy> {
        let plain = SoftmaxCrossEntropy::new();
        let weighted = plain.clone().class_weights(draw.numbers(classes, 0.2, 2.0));
        vec![
            plain.clone(),
            plain.clone().reduction(Reduction::Sum),
            plain.label_smoothing(0.1),
            weighted.clone().reduction(Reduction::BatchMean),
            weighted.label_smoothing(0.3),
        ]
    }

    #[test]
    fn gradient() {
        let mut draw = Draw::new(6);
        for (examples, shape) in shapes() {
            for (axis, classes) in [(ClassAxis::First, shape[0]), (ClassAxis::Last, shape[shape.rank() - 1])] {
                let count = examples * shape.len();
                let y = draw.numbers(count, -3.0, 3.0);
                let targets = draw.classes(count / classes, classes);
                let probabilities = draw.numbers(count, 0.0, 1.0);
                for loss in losses(&mut draw, classes) {
                    let loss = loss.class_axis(axis);
                    check(&loss, (examples, shape), &y, Target::Classes(&targets));
                    check(&loss, (examples, shape), &y, Target::Values(&probabilities));
                    let loss = loss.ignored_index(targets[0]);
                    if targets.iter().any(|&class| class != targets[0]) {
                        check(&loss, (examples, shape), &y, Target::Classes(&targets));
                    }
                }
            }
        }
    }

    /// A class is the distribution that has all its weight there.
    #[test]
    fn classes_and_one_hot_probabilities_agree() {
        let mut draw = Draw::new(7);
        let classes = 5;
        for positions in [1, 3, 40] {
            let batch = (3, [classes, positions].into());
            let y = draw.numbers(3 * classes * positions, -3.0, 3.0);
            let targets = draw.classes(3 * positions, classes);
            let mut hot = vec![0.0; y.len()];
            for (i, &class) in targets.iter().enumerate() {
                hot[(i / positions * classes + class as usize) * positions + i % positions] = 1.0;
            }
            let loss = SoftmaxCrossEntropy::new().label_smoothing(0.2);
            let (a, da) = evaluate::<f64>(&loss, batch, &y, Target::Classes(&targets)).unwrap();
            let (b, db) = evaluate::<f64>(&loss, batch, &y, Target::Values(&hot)).unwrap();
            assert!((a - b).abs() < 1e-14, "{a} {b}");
            assert!(da.iter().zip(&db).all(|(a, b)| (a - b).abs() < 1e-15));
        }
    }

    /// Compares equal numbers with the classes on the first axis and on the last.
    #[test]
    fn both_axes_give_the_same() {
        let mut draw = Draw::new(8);
        let (examples, classes, positions) = (2, 6, 21);
        let first = draw.numbers(examples * classes * positions, -3.0, 3.0);
        let targets = draw.classes(examples * positions, classes);
        let swap = |from: &[f64]| -> Vec<f64> {
            (0..from.len())
                .map(|i| {
                    let (example, rest) = (i / (classes * positions), i % (classes * positions));
                    from[example * classes * positions + rest % classes * positions + rest / classes]
                })
                .collect()
        };
        for loss in losses(&mut draw, classes) {
            let loss = loss.ignored_index(3);
            let (a, da) =
                evaluate::<f64>(&loss, (examples, [classes, positions].into()), &first, Target::Classes(&targets))
                    .unwrap();
            let loss = loss.class_axis(ClassAxis::Last);
            let batch = (examples, [positions, classes].into());
            let (b, db) = evaluate::<f64>(&loss, batch, &swap(&first), Target::Classes(&targets)).unwrap();
            assert!((a - b).abs() < 1e-13 * a, "{a} {b}");
            assert!(swap(&da).iter().zip(&db).all(|(a, b)| (a - b).abs() < 1e-14));
        }
    }

    #[test]
    fn extreme_logits() {
        let loss = SoftmaxCrossEntropy::new();
        let of = |y: [f64; 2], class| evaluate::<f64>(&loss, (1, [2].into()), &y, Target::Classes(&[class])).unwrap();
        assert_eq!(of([1e4, -1e4], 1), (20000.0, vec![1.0, -1.0]));
        assert_eq!(of([1e4, -1e4], 0), (0.0, vec![0.0, 0.0]));
        let infinity = f64::INFINITY;
        assert_eq!(of([0.0, -infinity], 0), (0.0, vec![0.0, 0.0]));
        assert_eq!(of([0.0, -infinity], 1).0, infinity);
        assert!(of([0.0, infinity], 1).0.is_nan());
        assert!(of([-infinity, -infinity], 1).0.is_nan());
        assert!(of([0.0, f64::NAN], 0).0.is_nan());
        let hot = evaluate::<f64>(&loss, (1, [2].into()), &[0.0, -infinity], Target::Values(&[1.0, 0.0])).unwrap();
        assert_eq!(hot, (0.0, vec![0.0, 0.0]));
    }

    /// The helper compares the value alone with the value that comes with a gradient.
    #[test]
    fn rows_that_outgrow_a_tile() {
        let mut draw = Draw::new(37);
        for classes in [31, 32, 100, 1024, 1025, 3000] {
            let (y, targets) = (draw.numbers(3 * classes, -3.0, 3.0), draw.classes(3, classes));
            let batch = (3, [classes].into());
            let loss = SoftmaxCrossEntropy::new();
            let (value, dy) = evaluate::<f64>(&loss, batch, &y, Target::Classes(&targets)).unwrap();
            let mut expected = 0.0;
            for (row, &class) in y.chunks(classes).zip(&targets) {
                expected += row.iter().map(|y| y.exp()).sum::<f64>().ln() - row[class as usize];
            }
            assert!((value - expected / 3.0).abs() < 1e-13 * value, "{classes} classes");
            assert!(dy.iter().sum::<f64>().abs() < 1e-14);
            let rough = evaluate::<f32>(&loss, batch, &y, Target::Classes(&targets)).unwrap().0;
            assert!((f64::from(rough) - value).abs() < 1e-6 * value);
        }
    }

    #[test]
    fn ignored_positions_count_for_nothing() {
        let mut draw = Draw::new(9);
        let y = draw.numbers(12, -3.0, 3.0);
        let loss = SoftmaxCrossEntropy::new().class_weights([1.0, 2.0, 3.0]).ignored_index(99);
        let batch = (4, [3].into());
        let (value, dy) = evaluate::<f64>(&loss, batch, &y, Target::Classes(&[99, 1, 2, 99])).unwrap();
        let (middle, dy_middle) = evaluate::<f64>(&loss, (2, [3].into()), &y[3..9], Target::Classes(&[1, 2])).unwrap();
        assert_eq!(value, middle);
        assert_eq!(dy, [vec![0.0; 3], dy_middle, vec![0.0; 3]].concat());
        let (value, dy) = evaluate::<f64>(&loss, batch, &y, Target::Classes(&[99; 4])).unwrap();
        assert!(value.is_nan());
        assert_eq!(dy, [0.0; 12]);
        let sum = loss.reduction(Reduction::Sum);
        assert_eq!(evaluate::<f64>(&sum, batch, &y, Target::Classes(&[99; 4])).unwrap().0, 0.0);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = SoftmaxCrossEntropy::new();
        let y = [0.0; 12];
        assert_eq!(
            error(&loss, (2, [3, 2].into()), &y, Target::Classes(&[0, 1, 3, 0])),
            "example 1 has the class 3, but the predictions have 3 classes, counted from 0"
        );
        assert_eq!(
            error(&loss, (2, [3, 2].into()), &y, Target::Classes(&[0, 1])),
            "the predictions need 4 targets, but there are 2"
        );
        assert_eq!(
            error(&loss, (2, [6].into()), &y, Target::Values(&[0.5; 2])),
            "the predictions need 12 targets, but there are 2"
        );
        assert_eq!(
            error(&loss, (12, [].into()), &y, Target::Classes(&[0; 12])),
            "SoftmaxCrossEntropy takes predictions with an axis of at least one class, \
             but the predictions have the shape scalar"
        );
        assert_eq!(
            error(&loss, (1, [0].into()), &[], Target::Values(&[])),
            "SoftmaxCrossEntropy takes predictions with an axis of at least one class, \
             but the predictions have the shape 0"
        );
        assert_eq!(
            error(&loss.label_smoothing(1.5), (2, [6].into()), &y, Target::Classes(&[0, 1])),
            "SoftmaxCrossEntropy: the label smoothing is 1.5, but must be from 0 to 1"
        );
        let mut dy = [0.0; 3];
        let result = SoftmaxCrossEntropy::new().value_and_gradient(
            Batch::new(&y, 2, [6]).unwrap(),
            Target::Classes(&[0, 1]),
            BatchMut::new(&mut dy, 1, [3]).unwrap(),
        );
        assert_eq!(
            result.unwrap_err().to_string(),
            "the gradient has 12 numbers, one for each predicted number, but there is room for 3"
        );
    }
}
