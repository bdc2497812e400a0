use std::ops::Range;

use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::{compiled, evaluate_by};
use crate::domain::Domain;
use crate::target::name;
use crate::weights::check_weights;
use crate::{Call, DynLoss, Loss, Target, TargetError, Total, scratch, target};

/// The weighted sum of several losses, each of a range of the predicted numbers: $`J = \sum_k \lambda_k J_k`$.
///
/// Heads of a network are concatenated into one prediction, and each part judges its own range of the last axis.
/// $`\partial J / \partial y`$ is $`\lambda_k\,\partial J_k / \partial y`$ in the range of part $`k`$,
/// the sum of these if ranges overlap, and 0 outside all ranges.
///
/// Each part keeps its own divisor, so the loss of a data set is the same however it is cut into batches,
/// also if a part ignores some of its targets. A part without any term that counts adds nothing, and neither does one
/// of weight 0, which is not read.
///
/// # Shapes
/// Predictions (batch, ..., numbers); a part that takes the numbers `a..b` sees (batch, ..., b − a).
/// Targets are numbers, (batch, ..., targets), with those of each part one after the other along the last axis:
/// one whole number, the index of a class, for a loss that compares with one class of several,
/// and one number for each predicted number for any other. [`part_with_numbers`](MultiTask::part_with_numbers) sets
/// another count.
///
/// Weights are one for each example, or one for each part of each example, (batch, parts): 0 if a part's target
/// is missing.
///
/// # Errors
/// Returns an error if a range does not lie within the predictions, there are more than [`Total::MOST_PARTS`] parts,
/// a weight is negative or not finite, a class is no whole number, there are more or fewer targets than the parts take,
/// or a part returns an error.
///
/// # Source
/// The weighted sum of losses that is usual for networks of several heads; like Keras's `loss_weights`.
/// Derivation: `docs/derivations/losses/multi-task.md`.
///
/// ```
/// use downhill_losses::{Loss, MeanSquaredError, MultiTask, SoftmaxCrossEntropy, Target};
/// use downhill_tensor::Batch;
///
/// // Three logits of a class, and a price.
/// let loss = MultiTask::new().part(0..3, SoftmaxCrossEntropy::new(), 1.0).part(3..4, MeanSquaredError::new(), 0.5);
/// let y = Batch::new(&[0.0_f64, 0.0, 0.0, 12.0], 1, [4])?;
/// let value = loss.value(y, Target::Values(&[2.0, 10.0]))?;
/// assert!((value - (3.0_f64.ln() + 0.5 * 4.0)).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MultiTask {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    outputs: Range<usize>,
    targets: Targets,
    loss: Box<dyn DynLoss>,
    weight: f64,
}

/// The targets of each row of a part's predictions.
#[derive(Clone, Copy, Debug)]
enum Targets {
    Class,
    Numbers(usize),
}

impl Targets {
    fn count(self) -> usize {
        match self {
            Self::Class => 1,
            Self::Numbers(count) => count,
        }
    }
}

impl MultiTask {
    /// Makes a loss without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `weight` times `loss` of the predictions in the range `outputs` of the last axis.
    ///
    /// A loss that takes predictions for one class of several, as its [`meaning`](Loss::meaning) says, compares with
    /// one class; any other compares each predicted number with one number.
    #[must_use]
    pub fn part(self, outputs: Range<usize>, loss: impl Loss + 'static, weight: f64) -> Self {
        let targets = match loss.meaning().outputs {
            Some(outputs) if outputs.is_one_of_several() => Targets::Class,
            _ => Targets::Numbers(outputs.len()),
        };
        self.with(Part { outputs, targets, loss: Box::new(loss), weight })
    }

    /// Adds a part whose loss compares with `targets` numbers.
    ///
    /// These are probabilities for [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy) or
    /// [`KlDivergence`](crate::KlDivergence), and half as many numbers as predictions for
    /// [`GaussianNll`](crate::GaussianNll).
    #[must_use]
    pub fn part_with_numbers(
        self,
        outputs: Range<usize>,
        targets: usize,
        loss: impl Loss + 'static,
        weight: f64,
    ) -> Self {
        self.with(Part { outputs, targets: Targets::Numbers(targets), loss: Box::new(loss), weight })
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    fn check_parts(&self, shape: Shape) -> Result<(), TargetError> {
        let width = shape.axes().last().copied().unwrap_or(0);
        for (index, Part { outputs, weight, .. }) in self.parts.iter().enumerate() {
            if outputs.start >= outputs.end || outputs.end > width {
                return Err(TargetError::setting_of::<Self>(format!(
                    "part {index} takes the numbers {} to {} of the last axis, which has {width}; \
                     give it a range of at least one number within them",
                    outputs.start, outputs.end
                )));
            }
            if !(*weight >= 0.0 && weight.is_finite()) {
                return Err(TargetError::setting_of::<Self>(format!(
                    "the weight of part {index} is {weight}, but must be finite and at least 0"
                )));
            }
        }
        if self.parts.is_empty() {
            return Err(TargetError::setting_of::<Self>("there are no parts; add them with `part`"));
        }
        Ok(())
    }

    fn evaluate_parts<T: Scalar>(&self, call: Call<'_, T>) -> Result<Total, TargetError> {
        let Call { y, target, weights, mut dy } = call;
        let (shape, examples, parts) = (y.shape(), y.examples(), self.parts.len());
        self.check_parts(shape)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let width = shape[shape.rank() - 1];
        let rows = y.slice().len() / width;
        let expected = "numbers, one after the other for each part, but received the indices of classes";
        let target = target::values::<Self, T>(target, expected)?;
        let all_targets = self.parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.targets.count()));
        TargetError::check_count(rows.saturating_mul(all_targets), target.len())?;
        let targets_each = target.len() / examples.max(1);
        let weights = weights.map(|weights| self.check_weights(weights, examples)).transpose()?;
        if let Some(dy) = dy.as_deref_mut() {
            dy.fill(T::ZERO);
        }

        let longest = self.parts.iter().map(|part| part.outputs.len()).max().unwrap_or(0);
        let mut total = Total::default();
        let room = rows * 2 * longest + target.len() + examples;
        scratch::numbers(room, |room: &mut [T]| {
            let (part_weights, room) = room.split_at_mut(examples);
            let (part_y, room) = room.split_at_mut(rows * longest);
            let (part_dy, part_target) = room.split_at_mut(rows * longest);
            scratch::classes(rows, |classes| {
                let mut first = 0_usize;
                for (index, part) in self.parts.iter().enumerate() {
                    let (outputs, count) = (part.outputs.clone(), part.targets.count());
                    let columns = first..first.saturating_add(count);
                    first = columns.end;
                    if part.weight == 0.0 {
                        continue;
                    }
                    let of_part = |error| TargetError::Part { part: index, error: Box::new(error) };
                    let (part_y, part_dy) = (&mut part_y[..rows * outputs.len()], &mut part_dy[..rows * outputs.len()]);
                    copy_columns(y.slice(), width, &outputs, part_y);
                    let part_weights = weights.map(|(weights, each)| {
                        part_weights.iter_mut().enumerate().for_each(|(example, weight)| {
                            *weight = weights[example * each + index % each];
                        });
                        &*part_weights
                    });
                    let part_target = match part.targets {
                        Targets::Class => {
                            let numbers = (target, all_targets, columns.start);
                            read_classes(numbers, classes, part_weights)
                                .map_err(|error| of_part(error.located(targets_each)))?;
                            Target::Classes(&*classes)
                        }
                        Targets::Numbers(_) => {
                            let part_target = &mut part_target[..rows.saturating_mul(count)];
                            copy_columns(target, all_targets, &columns, part_target);
                            Target::Values(&*part_target)
                        }
                    };
                    let part_y = with_last(shape, outputs.len())
                        .and_then(|shape| Batch::new(part_y, examples, shape).ok())
                        .ok_or(TargetError::Prediction { loss: name::<Self>(), expected: "numbers", got: shape })?;
                    let given = dy.is_some().then_some(&mut *part_dy);
                    let call = Call { y: part_y, target: part_target, weights: part_weights, dy: given };
                    let part_total = call.evaluate(&part.loss);
                    if !total.join(part_total.map_err(of_part)?, part.weight) {
                        return Err(TargetError::setting_of::<Self>(format!(
                            "there are {parts} parts, and those of their losses, but there may be {} in all",
                            Total::MOST_PARTS
                        )));
                    }
                    if let Some(dy) = dy.as_deref_mut() {
                        let weight = T::from_f64(part.weight);
                        for (dy, part) in dy.chunks_exact_mut(width).zip(part_dy.chunks_exact(outputs.len())) {
                            dy[outputs.clone()].iter_mut().zip(part).for_each(|(dy, &part)| *dy += weight * part);
                        }
                    }
                }
                Ok(total)
            })
        })
    }

    /// Checks the weights, and counts those of each example.
    fn check_weights<'a, T: Scalar>(&self, weights: &'a [T], examples: usize) -> Result<(&'a [T], usize), TargetError> {
        let parts = self.parts.len();
        check_weights::<Self, T>(weights)?;
        match weights.len() {
            count if count == examples => Ok((weights, 1)),
            count if count == examples * parts => Ok((weights, parts)),
            count => Err(TargetError::setting_of::<Self>(format!(
                "there are {count} weights; give one for each of the {examples} examples, \
                 or for each of the {parts} parts of each example"
            ))),
        }
    }
}

impl Loss for MultiTask {
    compiled!(Loss);
    evaluate_by!(Self::evaluate_parts);
}

/// Replaces the last axis.
fn with_last(shape: Shape, last: usize) -> Option<Shape> {
    // A shape has fewer axes.
    let mut axes = [0; 8];
    let axes = axes.get_mut(..shape.rank())?;
    axes.copy_from_slice(shape.axes());
    *axes.last_mut()? = last;
    Shape::new(axes)
}

/// Copies some columns of rows of `width` numbers.
fn copy_columns<T: Copy>(from: &[T], width: usize, columns: &Range<usize>, to: &mut [T]) {
    for (from, to) in from.chunks_exact(width.max(1)).zip(to.chunks_exact_mut(columns.len().max(1))) {
        to.copy_from_slice(&from[columns.clone()]);
    }
}

const CLASSES: Domain = Domain {
    what: "target",
    takes: "the index of a class as a whole number of at least 0",
    advice: "give what is missing the loss's ignored index, or its part of the example a weight of 0",
};

/// Reads the classes in one column of rows of `width` numbers; those of examples of weight 0 are not read.
fn read_classes<T: Scalar>(
    (numbers, width, column): (&[T], usize, usize),
    classes: &mut [u32],
    weights: Option<&[T]>,
) -> Result<(), TargetError> {
    let rows = classes.len();
    for (row, (numbers, class)) in numbers.chunks_exact(width.max(1)).zip(&mut *classes).enumerate() {
        let example = |examples: usize| row * examples / rows;
        if weights.is_some_and(|weights| weights[example(weights.len())] == T::ZERO) {
            *class = 0;
            continue;
        }
        let number = numbers[column].to_f64();
        *class = number as u32;
        if f64::from(*class) != number {
            return Err(CLASSES.error::<MultiTask>(row * width + column, number));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{Draw, check, error, evaluate};
    use crate::{ClassAxis, GaussianNll, MeanSquaredError, Reduction, SoftmaxCrossEntropy, Weighted};

    /// Makes the loss of one class of three and a number.
    fn class_and_number() -> MultiTask {
        let class = SoftmaxCrossEntropy::new().ignored_index(7);
        MultiTask::new().part(0..3, class, 1.0).part(3..4, MeanSquaredError::new(), 0.5)
    }

    #[test]
    fn it_is_the_weighted_sum_of_its_parts() {
        let mut draw = Draw::new(70);
        let (y, prices) = (draw.numbers(20, -2.0, 2.0), draw.numbers(5, -1.0, 1.0));
        let classes = [0, 2, 7, 1, 7];
        let rows: Vec<f64> =
            classes.iter().zip(&prices).flat_map(|(&class, &price)| [f64::from(class), price]).collect();
        let (value, dy) = evaluate::<f64>(&class_and_number(), (5, [4].into()), &y, Target::Values(&rows)).unwrap();
        let columns = |x: &[f64], columns: Range<usize>| -> Vec<f64> {
            x.chunks(4).flat_map(|row| row[columns.clone()].to_vec()).collect()
        };
        let class = SoftmaxCrossEntropy::new().ignored_index(7);
        let (a, da) = evaluate::<f64>(&class, (5, [3].into()), &columns(&y, 0..3), Target::Classes(&classes)).unwrap();
        let (b, db) =
            evaluate::<f64>(&MeanSquaredError::new(), (5, [1].into()), &columns(&y, 3..4), Target::Values(&prices))
                .unwrap();
        assert!((value - (a + 0.5 * b)).abs() < 1e-15);
        assert_eq!(columns(&dy, 0..3), da);
        assert_eq!(columns(&dy, 3..4), db.iter().map(|db| 0.5 * db).collect::<Vec<_>>());
    }

    /// `GaussianNll` of each step, whose means and variances lie along the last axis.
    #[derive(Debug)]
    struct MeansAndVariances;

    impl Loss for MeansAndVariances {
        fn evaluate<T: Scalar>(
            &self,
            y: Batch<'_, T>,
            target: Target<'_, T>,
            dy: Option<&mut [T]>,
        ) -> Result<Total, TargetError> {
            let steps = Batch::new(y.slice(), y.slice().len() / 2, [2]).unwrap();
            GaussianNll::new().evaluate(steps, target, dy)
        }
    }

    #[test]
    fn parts_of_sequences_have_a_class_for_each_step() {
        let mut draw = Draw::new(71);
        // (batch, 5 steps, 3 logits and a mean and a variance)
        let batch = (2, [5, 5].into());
        let y = draw.numbers(50, 0.2, 2.0);
        let rows: Vec<f64> = (0..10).flat_map(|_| [draw.below(3) as f64, draw.between(-1.0, 1.0)]).collect();
        let loss = |reduction| {
            MultiTask::new()
                .part(0..3, SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last).reduction(reduction), 2.0)
                .part(3..5, MeanSquaredError::new(), 0.0)
                .part_with_numbers(3..5, 1, MeansAndVariances, 1.0)
        };
        // The middle part has weight 0, but has its targets nevertheless.
        let rows: Vec<f64> = rows.chunks(2).flat_map(|row| [row[0], f64::NAN, f64::NAN, row[1]]).collect();
        for reduction in [Reduction::Mean, Reduction::Sum] {
            check(&loss(reduction), batch, &y, Target::Values(&rows));
        }
    }

    #[test]
    fn a_part_of_an_example_may_be_left_out() {
        let nan = f64::NAN;
        let y = [0.0, 0.0, 0.0, 3.0, nan, 0.0, 0.0, 1.0];
        let loss = class_and_number();
        let rows = Target::Values(&[1.0, nan, nan, 2.0]);
        let weights = [1.0, 0.0, 0.0, 4.0];
        let weighted = Weighted::new(&loss, &weights);
        let (value, dy) = evaluate::<f64>(&weighted, (2, [4].into()), &y, rows).unwrap();
        assert!((value - (3.0_f64.ln() + 0.5)).abs() < 1e-15);
        assert!(dy[..3].iter().all(|dy| dy.abs() > 0.3));
        assert_eq!(dy[3..], [0.0, 0.0, 0.0, 0.0, -1.0]);
        assert_eq!(
            error(&weighted.reduction(Reduction::Sum), (2, [4].into()), &y, rows),
            "MultiTask: each part of a loss has its own reduction; set those instead"
        );
    }

    #[test]
    fn a_part_of_which_nothing_counts_adds_nothing() {
        let y = [0.0, 0.0, 0.0, 3.0];
        let at = |class, price: f64| {
            class_and_number().evaluate(Batch::new(&y, 1, [4]).unwrap(), Target::Values(&[class, price]), None).unwrap()
        };
        let mut total = at(7.0, 1.0);
        assert_eq!((total.value(), total.is_empty()), (2.0, false));
        total += at(1.0, 3.0);
        assert!((total.value() - (3.0_f64.ln() + 1.0)).abs() < 1e-15);
    }

    #[test]
    fn a_pass_after_the_first_does_not_allocate() {
        let inner = Arc::new(MultiTask::new().part(0..1, MeanSquaredError::new(), 1.0));
        let loss = class_and_number().part_with_numbers(3..4, 1, inner, 1.0);
        let (y, target) = ([0.5_f32; 12], [1.0, 2.0, 3.0].repeat(3));
        let mut dy = [0.0; 12];
        let mut pass = || {
            let y = Batch::new(&y, 3, [4]).unwrap();
            loss.evaluate_weighted(y, Target::Values(&target), &[1.0, 2.0, 0.0], Some(&mut dy)).unwrap()
        };
        pass();
        let again = allocation_counter::measure(|| _ = pass());
        assert_eq!(again.count_total, 0);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let batch = (2, [4].into());
        let at = |loss: &MultiTask, target: Target<'_, f64>| error(loss, batch, &[0.0; 8], target);
        let loss = class_and_number();
        let values = |numbers: [f64; 4]| at(&loss, Target::Values(&numbers));
        for class in [0.5, -1.0, f64::NAN, 1e10] {
            assert_eq!(
                values([1.0, 2.0, class, 2.0]),
                format!(
                    "part 0 of the loss: MultiTask takes the index of a class as a whole number of at least 0, \
                     but target 0 of example 1 is {class}; give what is missing the loss's ignored index, \
                     or its part of the example a weight of 0"
                )
            );
        }
        assert_eq!(
            values([1.0, 2.0, 3.0, 2.0]),
            "part 0 of the loss: example 1 has the class 3, but the predictions have 3 classes, counted from 0"
        );
        assert_eq!(
            values([1.0, 2.0, 2.0, f64::NAN]),
            "part 1 of the loss: MeanSquaredError takes finite targets, but target 0 of example 1 is NaN; \
             leave out examples whose target is missing, or give them a weight of 0"
        );
        assert_eq!(at(&loss, Target::Values(&[1.0; 3])), "the predictions need 4 targets, but there are 3");
        assert_eq!(
            at(&loss, Target::Classes(&[1; 4])),
            "MultiTask compares with numbers, one after the other for each part, but received the indices of classes"
        );
        let none = Target::Values(&[1.0; 2]);
        assert_eq!(at(&MultiTask::new(), none), "MultiTask: there are no parts; add them with `part`");
        let square = MeanSquaredError::new();
        for (start, end) in [(1, 1), (2, 1), (3, 5)] {
            assert_eq!(
                at(&MultiTask::new().part(Range { start, end }, square, 1.0), none),
                format!(
                    "MultiTask: part 0 takes the numbers {start} to {end} of the last axis, which has 4; \
                     give it a range of at least one number within them"
                )
            );
        }
        assert_eq!(
            at(&MultiTask::new().part(0..1, square, -1.0), none),
            "MultiTask: the weight of part 0 is -1, but must be finite and at least 0"
        );
        let endless = MultiTask::new().part_with_numbers(0..1, usize::MAX, square, 1.0).part(0..4, square, 1.0);
        assert!(at(&endless, none).starts_with("the predictions need"));
        let of_none = evaluate::<f64>(&endless, (0, [4].into()), &[], Target::Values(&[])).unwrap();
        assert!(of_none.0.is_nan());
        let half = MultiTask::new().part_with_numbers(0..4, 1, GaussianNll::new(), 1.0);
        assert_eq!(at(&half, none), "part 0 of the loss: the predictions need 4 targets, but there are 2");
        let mut many = MultiTask::new();
        for _ in 0..=Total::MOST_PARTS {
            many = many.part(0..1, square, 1.0);
        }
        assert_eq!(
            at(&many, Target::Values(&[1.0; 18])),
            "MultiTask: there are 9 parts, and those of their losses, but there may be 8 in all"
        );
        let y = Batch::new(&[0.0; 8], 2, [4]).unwrap();
        assert_eq!(
            loss.evaluate_weighted(y, Target::Values(&[1.0; 4]), &[1.0; 3], None).unwrap_err().to_string(),
            "MultiTask: there are 3 weights; give one for each of the 2 examples, \
             or for each of the 2 parts of each example"
        );
    }
}
