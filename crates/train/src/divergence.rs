//! Finds out what is to blame for numbers that are not finite: the data and the start come before the learning rate.

use downhill_data::{Batches, Dataset};
use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target};
use downhill_network::{Network, Purpose, Workspace};
use downhill_optim::Segment;
use downhill_tensor::{Batch, Scalar};

use crate::evaluation::inputs;
use crate::{Cause, ExampleField, Place, TrainError};

fn finite<T: Scalar>(numbers: &[T]) -> bool {
    numbers.iter().all(|x| x.is_finite())
}

/// Returns the name of the first of these segments of `flat` that is not finite.
pub(crate) fn find_segment<T: Scalar>(segments: &[Segment], flat: &[T]) -> Option<String> {
    segments.iter().find(|segment| !finite(&flat[segment.range.clone()])).map(|segment| segment.name.clone())
}

/// Finds what is no longer finite: a parameter, or else the first layer whose output isn't, or else a gradient, if there is
/// one.
pub(crate) fn find_place<T: Scalar>(
    network: &Network<T>,
    x: Inputs<'_, T>,
    gradient: Option<&[T]>,
    workspace: &mut Workspace<T>,
) -> Result<Place, TrainError> {
    let theta = network.parameters();
    if let Some(name) = find_segment(network.segments(), theta) {
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
        None => gradient.map_or(Place::Loss, |gradient| find_gradient(network, gradient)),
    })
}

/// Finds the first gradient that is not finite, or else blames the loss.
pub(crate) fn find_gradient<T: Scalar>(network: &Network<T>, gradient: &[T]) -> Place {
    find_segment(network.segments(), gradient).map_or(Place::Loss, Place::Gradient)
}

/// Finds what is to blame at the last good parameters, which `network` holds again: the first of the `suspects` that is
/// not finite there, or else an outlier of the data, or else the learning rate.
///
/// The suspects are the batches that the first epoch has come to, which start anew in `batches`; what was finite in a
/// whole epoch is none. The batch to blame may come before the one whose loss is not finite: in f32 the
/// gradient of a finite loss can overflow, which only the loss after the step shows.
pub(crate) fn find_cause<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    data: &Dataset<T>,
    batches: &mut Batches<'_, T>,
    suspects: usize,
    mode: Mode,
) -> Result<Cause, TrainError> {
    let mut workspace = network.workspace(Purpose::Training);
    let mut is_finite = |x: Inputs<'_, T>, target: Target<'_, T>, weights: Option<&[T]>, mode: Mode| {
        let total = network.backpropagate_weighted(x, target, weights, loss, &mut workspace, mode)?;
        Ok::<_, TrainError>((total.is_empty() || total.value().is_finite()) && finite(workspace.gradient()))
    };
    for _ in 0..suspects {
        let Some(batch) = batches.next_batch() else { break };
        let x = inputs(batch.all_inputs())?;
        // A batch that was a part of a larger one may be too small by itself.
        let mode = if network.check_inputs(x, mode).is_ok() { mode } else { Mode::Evaluation };
        if is_finite(x, batch.targets, batch.weights, mode)? {
            continue;
        }
        let examples = batch.inputs.examples();
        for example in 0..examples {
            let mut x = Inputs::empty();
            for (index, input) in batch.all_inputs().enumerate() {
                x.set(index, Batch::new(input.example(example), 1, input.shape())?);
            }
            let target = match batch.targets {
                Target::Values(values) => Target::Values(part(values, examples, example)),
                Target::Classes(classes) => Target::Classes(part(classes, examples, example)),
            };
            let weights = batch.weights.map(|weights| part(weights, examples, example));
            // Alone an example has no statistics of a batch, so it is seen as in evaluation.
            if !is_finite(x, target, weights, Mode::Evaluation)? {
                let target = match target {
                    Target::Values(values) => Some(largest(values)),
                    Target::Classes(_) => None,
                };
                let (input, weight) = (x.iter().map(|x| largest(x.slice())).fold(0.0, f64::max), weights.map(largest));
                return Ok(Cause::Example { example: batch.indices[example], input, target, weight });
            }
        }
        return Ok(Cause::Batch);
    }
    Ok(find_outlier(data).unwrap_or(Cause::LearningRate))
}

/// Finds the example with the number that is furthest beyond what is usual, if that is far.
fn find_outlier<T: Scalar>(data: &Dataset<T>) -> Option<Cause> {
    const FAR: f64 = 1e6;
    let inputs = data.all_inputs().map(|input| (ExampleField::Input, input));
    let others = [(ExampleField::Target, data.target_values()), (ExampleField::Weight, data.weights())];
    let all = inputs.chain(others.into_iter().filter_map(|(field, numbers)| Some((field, numbers?))));
    let mut furthest: Option<(f64, Cause)> = None;
    for (field, numbers) in all {
        let magnitudes: Vec<f64> = (0..numbers.examples()).map(|example| largest(numbers.example(example))).collect();
        let Some(usual) = median(&magnitudes) else { continue };
        let value = magnitudes.iter().copied().fold(usual, f64::max);
        let far = value / usual;
        if far > FAR && furthest.as_ref().is_none_or(|(furthest, _)| far > *furthest) {
            let example = magnitudes.iter().position(|&magnitude| magnitude == value).unwrap_or(0);
            furthest = Some((far, Cause::Outlier { example, field, value, usual }));
        }
    }
    furthest.map(|(_, cause)| cause)
}

/// The median of those numbers that are above 0, bit by bit from the highest: numbers above 0 are in the order of their
/// bits. A sort would be several times as much code in every program that trains.
fn median(numbers: &[f64]) -> Option<f64> {
    let below = |bound: u64| numbers.iter().filter(|&&x| x > 0.0 && x.to_bits() < bound).count();
    let count = below(f64::NAN.to_bits());
    let highest = |bits: u64, bit: u32| Some(bits | 1 << bit).filter(|&more| below(more) <= count / 2).unwrap_or(bits);
    (count > 0).then(|| f64::from_bits((0..63).rev().fold(0, highest)))
}

/// Cuts out what belongs to one of several examples.
fn part<N>(numbers: &[N], examples: usize, example: usize) -> &[N] {
    let each = numbers.len() / examples;
    &numbers[example * each..(example + 1) * each]
}

/// Returns the largest magnitude.
fn largest<T: Scalar>(numbers: &[T]) -> f64 {
    numbers.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_positive_numbers() {
        assert_eq!(median(&[0.0, f64::NAN]), None);
        assert_eq!(median(&[7.0, 0.0]), Some(7.0));
        assert_eq!(median(&[3.0, f64::INFINITY, 1e-310, 2.0, 0.0]), Some(3.0));
        assert_eq!(median(&[5.0, 5.0, 1.0]), Some(5.0));
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY, 1.0]), Some(f64::INFINITY));
    }
}
