//! What is to blame when numbers leave the finite ones: the data and the start are looked at before the learning rate.

use downhill_data::MiniBatch;
use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target};
use downhill_network::{Network, Purpose, Workspace};
use downhill_tensor::{Batch, Scalar};

use crate::TrainError;
use crate::error::{Cause, Place};
use crate::evaluation::inputs;

fn finite<T: Scalar>(numbers: &[T]) -> bool {
    numbers.iter().all(|x| x.is_finite())
}

/// The name of the first parameter part of `flat`, which is as long as θ, that is not finite.
pub(crate) fn find_segment<T: Scalar>(network: &Network<T>, flat: &[T]) -> Option<String> {
    let mut segments = network.segments().iter();
    segments.find(|segment| !finite(&flat[segment.range.clone()])).map(|segment| segment.name.clone())
}

/// What is no longer finite: a parameter, or else the first layer whose output isn't, or else a gradient.
pub(crate) fn find_place<T: Scalar>(
    network: &Network<T>,
    x: Inputs<'_, T>,
    gradient: &[T],
    workspace: &mut Workspace<T>,
) -> Result<Place, TrainError> {
    let theta = network.parameters();
    if let Some(name) = find_segment(network, theta) {
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
        None => find_segment(network, gradient).map_or(Place::Loss, Place::Gradient),
    })
}

/// What is to blame, told by the same batch at the parameters that the run began with, which `network` holds again.
pub(crate) fn find_cause<T: Scalar>(
    network: &Network<T>,
    loss: &impl Loss,
    batch: &MiniBatch<'_, T>,
    mode: Mode,
) -> Result<Cause, TrainError> {
    if let Some(parameter) = find_segment(network, network.parameters()) {
        return Ok(Cause::Start { parameter });
    }
    let mut workspace = network.workspace(Purpose::Training);
    let mut is_finite = |x: Inputs<'_, T>, target: Target<'_, T>, weights: Option<&[T]>, mode: Mode| {
        let total = network.backpropagate_weighted(x, target, weights, loss, &mut workspace, mode)?;
        Ok::<_, TrainError>((total.is_empty() || total.value().is_finite()) && finite(workspace.gradient()))
    };
    if is_finite(inputs(batch)?, batch.targets, batch.weights, mode)? {
        return Ok(Cause::LearningRate);
    }
    let examples = batch.inputs.examples();
    let part = |length: usize, example: usize| {
        let each = length / examples;
        example * each..(example + 1) * each
    };
    for example in 0..examples {
        let mut x = Inputs::none();
        for (index, input) in batch.all_inputs().enumerate() {
            x.set(index, Batch::new(input.example(example), 1, input.shape())?);
        }
        let target = match batch.targets {
            Target::Values(values) => Target::Values(&values[part(values.len(), example)]),
            Target::Classes(classes) => Target::Classes(&classes[part(classes.len(), example)]),
        };
        let weights = batch.weights.map(|weights| &weights[part(weights.len(), example)]);
        // Alone an example has no statistics of a batch, so it is seen as in evaluation.
        if !is_finite(x, target, weights, Mode::Evaluation)? {
            let target = match target {
                Target::Values(values) => Some(largest(values)),
                Target::Classes(_) => None,
            };
            let input = x.iter().map(|x| largest(x.slice())).fold(0.0, f64::max);
            return Ok(Cause::Example { example: batch.indices[example], input, target, weight: weights.map(largest) });
        }
    }
    Ok(Cause::Batch)
}

/// The largest magnitude.
fn largest<T: Scalar>(numbers: &[T]) -> f64 {
    numbers.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max)
}
