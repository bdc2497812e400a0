use std::ops::Range;

use downhill_tensor::{Batch, Scalar, Shape};

use crate::domain::Domain;
use crate::target::name;
use crate::weights::check_weights;
use crate::{DynLoss, Loss, Target, TargetError, Total, scratch, target};

/// Several losses, each of some of the predicted numbers: $`J = \sum_k \lambda_k J_k`$.
///
/// Heads of a network are concatenated into one prediction, and each part judges its own range of the last axis.
/// $`\partial J / \partial y`$ is $`\lambda_k\,\partial J_k / \partial y`$ in the range of part $`k`$,
/// the sum of these where ranges overlap, and 0 outside all ranges.
///
/// Each part keeps a divisor of its own, so the loss of a data set is the same however it is cut into batches,
/// also if a part ignores some of its targets. A part of which nothing counts adds nothing, and neither does one of
/// weight 0, which is not read.
///
/// # Shapes
/// Predictions (batch, ..., numbers); a part that takes the numbers `a..b` sees (batch, ..., b − a).
/// Targets are numbers, (batch, ..., targets), with those of each part one after the other along the last axis:
/// one whole number, the index of a class, for a loss that compares with one class of several,
/// and one number for each predicted number for any other. [`part_with_numbers`](MultiTask::part_with_numbers) says
/// another count.
///
/// Weights are one for each example, or one for each part of each example, (batch, parts): 0 where a part's target
/// is missing.
///
/// # Errors
/// Returns an error if a range does not lie within the predictions, there are more than [`Total::MOST_PARTS`] parts,
/// a weight is negative or not finite, a class is no whole number, there are more or fewer targets than the parts take,
/// or a part returns an error.
///
/// # Source
/// The weighted sum of losses that is usual for networks of several heads; as Keras's `loss_weights`.
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

/// What a part compares each row of its predictions with.
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
    /// No parts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `weight` times `loss` of the predictions in the range `outputs` of the last axis.
    ///
    /// A loss that takes predictions for one class of several, as its [`meaning`](Loss::meaning) says, compares with
    /// one class; any other with as many numbers as it is given predictions.
    #[must_use]
    pub fn part(self, outputs: Range<usize>, loss: impl Loss + 'static, weight: f64) -> Self {
        let targets = match loss.meaning().outputs {
            Some(outputs) if outputs.is_one_of_several() => Targets::Class,
            _ => Targets::Numbers(outputs.len()),
        };
        self.with(Part { outputs, targets, loss: Box::new(loss), weight })
    }

    /// The same for a loss that compares with `targets` numbers: probabilities for
    /// [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy) or [`KlDivergence`](crate::KlDivergence), half as many
    /// numbers for [`GaussianNll`](crate::GaussianNll).
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
                return Err(TargetError::setting::<Self>(format!(
                    "part {index} takes the numbers {} to {} of the last axis, which has {width}; \
                     give it a range of at least one number within them",
                    outputs.start, outputs.end
                )));
            }
            let what = format!("the weight of part {index}");
            TargetError::check_setting::<Self>(&what, *weight, *weight >= 0.0, "finite and at least 0")?;
        }
        if self.parts.is_empty() {
            return Err(TargetError::setting::<Self>("there are no parts; add them with `part`"));
        }
        Ok(())
    }

    fn evaluate_parts<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        weights: Option<&[T]>,
        mut dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let (shape, examples, parts) = (y.shape(), y.examples(), self.parts.len());
        self.check_parts(shape)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        let width = shape[shape.rank() - 1];
        let rows = y.slice().len() / width;
        let expected = "numbers, one after the other for each part, but was given the indices of classes";
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
                    let part_total = match part_weights {
                        None => part.loss.evaluate(part_y, part_target, given),
                        Some(weights) => part.loss.evaluate_weighted(part_y, part_target, weights, given),
                    };
                    if !total.join(part_total.map_err(of_part)?, part.weight) {
                        return Err(TargetError::setting::<Self>(format!(
                            "there are {parts} parts, with those of their own, but there may be {} in all",
                            Total::MOST_PARTS
                        )));
                    }
                    if let Some(dy) = dy.as_deref_mut() {
                        let weight = T::of(part.weight);
                        for (dy, part) in dy.chunks_exact_mut(width).zip(part_dy.chunks_exact(outputs.len())) {
                            dy[outputs.clone()].iter_mut().zip(part).for_each(|(dy, &part)| *dy += weight * part);
                        }
                    }
                }
                Ok(total)
            })
        })
    }

    /// The weights, and how many each example has.
    fn check_weights<'a, T: Scalar>(&self, weights: &'a [T], examples: usize) -> Result<(&'a [T], usize), TargetError> {
        let parts = self.parts.len();
        check_weights::<Self, T>(weights)?;
        match weights.len() {
            count if count == examples => Ok((weights, 1)),
            count if count == examples * parts => Ok((weights, parts)),
            count => Err(TargetError::setting::<Self>(format!(
                "there are {count} weights; give one for each of the {examples} examples, \
                 or for each of the {parts} parts of each example"
            ))),
        }
    }
}

impl Loss for MultiTask {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        self.evaluate_parts(y, target, None, dy)
    }

    fn evaluate_weighted<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        weights: &[T],
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        self.evaluate_parts(y, target, Some(weights), dy)
    }
}

/// The same axes with another last one.
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
