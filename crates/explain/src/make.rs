//! The passes of an explanation: the network's own, and then each layer alone.

use downhill_layers::{Add, Affine, Inputs};
use downhill_losses::{Loss, Target};
use downhill_network::{BackwardObserver, Network, PassError, Passed, Place, Purpose};
use downhill_optim::{GradientDescent, Optimizer};
use downhill_tensor::{Batch, BuildError, Scalar, Shape};

use crate::explanation::{
    Array, Explanation, Local, LossStep, Matrix, Memory, Node, Parameter, Reader, Step, Targets, Update,
};
use crate::printed::Treatment;
use crate::settings::{Settings, Updates};
use crate::{equations, optimizers, printed};

/// dJ/dy of each layer, by its name.
struct Gradients<T>(Vec<(String, Vec<T>)>);

impl<T: Scalar> BackwardObserver<T> for Gradients<T> {
    fn output_gradient(&mut self, layer: &str, dy: Batch<'_, T>) {
        self.0.push((layer.to_owned(), dy.slice().to_vec()));
    }
}

pub(crate) fn explain<T: Scalar>(
    network: &Network<T>,
    x: &Inputs<'_, T>,
    target: Target<'_, T>,
    loss: &impl Loss,
    settings: Settings<'_, T>,
) -> Result<Explanation, PassError> {
    let Settings { mode, updates, full_up_to, jacobians_up_to } = settings;
    let (theta, places) = (network.parameters(), network.places());

    // The network's own passes: the values and the gradients of all nodes.
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let mut values: Vec<Vec<T>> = x.iter().map(|x| x.slice().to_vec()).collect();
    let record = |_: &str, y: Batch<'_, T>| values.push(y.slice().to_vec());
    let examples = network.forward_observed(theta, *x, &mut workspace, mode, record)?.examples();
    let mut seen = Gradients(Vec::new());
    let total = network.backpropagate_observed(*x, target, None, loss, &mut workspace, mode, &mut seen)?;
    let inputs = network.input_shapes();
    let mut gradients: Vec<Vec<T>> = (0..inputs.len())
        .map(|input| workspace.input_gradient(input).map(|dx| dx.slice().to_vec()).unwrap_or_default())
        .collect();
    for place in &places {
        let found = seen.0.iter_mut().find(|(name, _)| name == place.name());
        gradients.push(found.map(|(_, dy)| std::mem::take(dy)).unwrap_or_default());
    }
    // A layer that no gradient reaches, and an input that no layer reads.
    for (gradient, values) in gradients.iter_mut().zip(&values) {
        gradient.resize(values.len(), T::ZERO);
    }

    let numbers = values.iter().map(Vec::len).fold(theta.len(), usize::saturating_add);
    let full = numbers <= full_up_to;
    let array = |numbers: &[T]| Array::new(numbers.iter().map(|x| x.to_f64()).collect(), full);

    let shapes: Vec<Shape> =
        inputs.iter().copied().chain(places.iter().map(|place| place.signature().output())).collect();
    let segments = network.segments();
    let starts = || segments.iter().enumerate().map(|(parameter, segment)| (segment.range.start, parameter));

    // Each layer alone: its local derivatives, and their product with dJ/dy.
    let mut steps: Vec<Step> = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let output = inputs.len() + index;
        let read = place.inputs();
        let mut own = Inputs::empty();
        for (input, &node) in read.iter().enumerate() {
            own.set(input, Batch::new(&values[node], examples, shapes[node])?);
        }
        let passed = place.forward(own, examples, mode)?;
        let dy = &gradients[output];
        let products = passed.backward(dy)?;
        let range = place.parameters();
        let own = starts().filter(|(start, _)| range.contains(start));
        let parameters: Vec<usize> = own.map(|(_, parameter)| parameter).collect();
        let of_parameter = |&parameter: &usize| {
            let segment = &segments[parameter].range;
            segment.start - range.start..segment.end - range.start
        };
        let local = match full {
            true => local(place, &passed, &read, &parameters, &of_parameter, jacobians_up_to)?,
            false => Local::NotListed,
        };
        steps.push(Step {
            name: place.name().to_owned(),
            layer: place.signature().name().to_owned(),
            settings: if full { printed::settings(&format!("{:?}", place.debug())) } else { printed::Settings::new() },
            inputs: read,
            output,
            local,
            dx: products.dx.iter().map(|dx| array(dx)).collect(),
            dtheta: parameters.iter().map(|parameter| array(&products.dtheta[of_parameter(parameter)])).collect(),
            parameters,
        });
    }

    let updated = update(network, workspace.gradient(), updates, full)?;
    let last_first = || steps.iter().enumerate().rev();
    let nodes = values.iter().zip(&gradients).zip(&shapes).enumerate().map(|(node, ((values, gradient), shape))| {
        let readers = last_first().flat_map(|(step, at)| {
            let reads = at.inputs.iter().enumerate().filter(move |&(_, &read)| read == node);
            reads.map(move |(input, _)| Reader { step, input })
        });
        Node {
            shape: *shape,
            values: array(values),
            gradient: array(gradient),
            whole_numbers: node < inputs.len() && network.holds_whole_numbers(node),
            readers: readers.collect(),
        }
    });
    let parameters = segments.iter().enumerate().map(|(parameter, segment)| Parameter {
        name: segment.name.clone(),
        shape: segment.shape,
        transposed: segment.transposed,
        frozen: segment.frozen,
        values: array(&theta[segment.range.clone()]),
        gradient: array(&workspace.gradient()[segment.range.clone()]),
        updated: updated.as_ref().map(|updated| array(&updated.theta[segment.range.clone()])),
        rate_factor: updated.as_ref().and_then(|updated| updated.rate_factor(segment.range.start)),
        weight_decay: updated.as_ref().and_then(|updated| updated.treatment(segment.range.start)?.weight_decay),
        memory: updated.as_ref().map_or(Vec::new(), |updated| {
            let of = |(name, before, after): &(String, Vec<T>, Vec<T>)| Memory {
                name: name.clone(),
                before: array(&before[segment.range.clone()]),
                after: array(&after[segment.range.clone()]),
            };
            updated.memory.iter().map(of).collect()
        }),
        steps: last_first().filter(|(_, at)| at.parameters.contains(&parameter)).map(|(step, _)| step).collect(),
    });
    let (nodes, parameters) = (nodes.collect(), parameters.collect());
    let update = updated.map(|updated| updated.update);
    let targets = match target {
        Target::Values(values) => Targets::Values(array(values)),
        Target::Classes(classes) => Targets::Classes(if full { classes.to_vec() } else { Vec::new() }),
    };
    let (last, value) = (shapes.len() - 1, total.value());
    // What comes out of the network is the node of its last step, whatever was wired after.
    let divisor = if total.is_sum() || total.scale() == 0.0 { 1.0 } else { total.divisor() };
    let text = format!("{loss:?}");
    let name = printed::name(&text).to_owned();
    let settings = if full { printed::settings(&text) } else { printed::Settings::new() };
    let loss = LossStep { name, settings, node: last, targets, value: T::from_f64(value).to_f64(), divisor };
    let precision = T::NAME.to_owned();
    let mut explanation = Explanation { examples, precision, full, nodes, steps, parameters, loss, update };
    if full {
        (0..explanation.steps.len()).for_each(|step| equations::solve(&mut explanation, step, jacobians_up_to));
    }
    Ok(explanation)
}

/// The local derivatives of a layer, as what they are.
fn local<T: Scalar>(
    place: &Place<'_, T>,
    passed: &Passed<'_, '_, T>,
    inputs: &[usize],
    parameters: &[usize],
    of_parameter: &impl Fn(&usize) -> std::ops::Range<usize>,
    most: usize,
) -> Result<Local, PassError> {
    if place.layer::<Affine>().is_some() {
        return Ok(Local::Affine);
    }
    if place.layer::<Add>().is_some() || (place.signature().is_another_shape_alone() && inputs.len() == 1) {
        return Ok(Local::Sum);
    }
    let rows = passed.y().len();
    let mut dy = vec![T::ONE; rows];
    let at_one = passed.backward(&dy)?;
    if let [slope] = &at_one.dx[..]
        && parameters.is_empty()
        && slope.len() == rows
    {
        // A backward pass is linear in dJ/dy: if each number of it goes to one number of dJ/dx, by a factor that ones
        // have shown, then numbers that are all different show the same factors.
        let probe: Vec<T> = (0..rows).map(|index| T::from_f64(1.0 + index as f64 / 64.0)).collect();
        let probed = passed.backward(&probe)?;
        let expected = probe.iter().zip(slope).map(|(&probe, &slope)| probe * slope);
        let rounding = T::from_f64(8.0) * T::EPSILON;
        if probed.dx[0].iter().zip(expected).all(|(&got, expected)| (got - expected).abs() <= rounding * expected.abs())
        {
            let slope = Array::new(slope.iter().map(|slope| slope.to_f64()).collect(), true);
            return Ok(Local::Elementwise { slope });
        }
    }
    let columns = at_one.dx.iter().map(Vec::len).sum::<usize>() + at_one.dtheta.len();
    if rows.saturating_mul(columns) > most {
        return Ok(Local::NotListed);
    }
    let mut dx: Vec<Vec<f64>> = at_one.dx.iter().map(|_| Vec::new()).collect();
    let mut dtheta: Vec<Vec<f64>> = parameters.iter().map(|_| Vec::new()).collect();
    dy.fill(T::ZERO);
    for row in 0..rows {
        dy[row] = T::ONE;
        let derivatives = passed.backward(&dy)?;
        dy[row] = T::ZERO;
        for (all, row) in dx.iter_mut().zip(&derivatives.dx) {
            all.extend(row.iter().map(|derivative| derivative.to_f64()));
        }
        for (all, parameter) in dtheta.iter_mut().zip(parameters) {
            all.extend(derivatives.dtheta[of_parameter(parameter)].iter().map(|derivative| derivative.to_f64()));
        }
    }
    let matrix = |dense: &Vec<f64>| Matrix::from_rows(rows, dense.len() / rows.max(1), dense);
    Ok(Local::Jacobian { dx: dx.iter().map(matrix).collect(), dtheta: dtheta.iter().map(matrix).collect() })
}

/// The update, θ after it, and what the optimizer remembers for each number of θ, before and after.
struct Updated<T> {
    update: Update,
    theta: Vec<T>,
    memory: Vec<(String, Vec<T>, Vec<T>)>,
    treatments: Option<Vec<Treatment>>,
}

impl<T> Updated<T> {
    fn treatment(&self, index: usize) -> Option<&Treatment> {
        self.treatments.as_ref()?.iter().find(|treatment| treatment.range.contains(&index))
    }

    /// The factor on the learning rate, unless it is 1.
    fn rate_factor(&self, index: usize) -> Option<f64> {
        let factor = self.treatment(index).map_or(0.0, |treatment| treatment.rate_factor);
        Some(factor).filter(|&factor| factor != 1.0 && self.treatments.is_some())
    }
}

fn update<T: Scalar>(
    network: &Network<T>,
    gradient: &[T],
    updates: Updates<'_, T>,
    full: bool,
) -> Result<Option<Updated<T>>, PassError> {
    let mut plain;
    let (optimizer, own): (&mut dyn Optimizer<T>, bool) = match updates {
        Updates::None => return Ok(None),
        Updates::Rate(rate) => {
            plain = GradientDescent::new(rate);
            (&mut plain, true)
        }
        Updates::Optimizer(optimizer) => (optimizer, false),
    };
    let refuse = |reason| BuildError::Setting { by: "explain", reason };
    optimizer.check().map_err(|error| refuse(error.to_string()))?;
    let start = network.parameters();
    let mut theta = start.to_vec();
    let (before, learning_rate) = (optimizer.state(), optimizer.learning_rate());
    // It prints its memory too, which is too long if there is much.
    let links = if full { printed::links(&format!("{optimizer:?}")) } else { Vec::new() };
    optimizer.bind(network.segments());
    optimizer.step(&mut theta, gradient);
    let (after, treatments) = match full {
        true => (optimizer.state().slots, printed::treatments(&format!("{optimizer:?}"))),
        false => (Vec::new(), None),
    };
    if !own && optimizer.restore(&before).is_err() {
        optimizer.reset();
    }
    let steps = before.counters.iter().find(|(name, _)| name == "step").map(|(_, steps)| *steps);
    let update = Update { optimizer: before.name, links, number: steps.unwrap_or(0) + 1, learning_rate };
    let mut updated = Updated { update, theta, memory: Vec::new(), treatments };
    // The slots that have a number for each of θ, before and after the step.
    for (name, after) in after.into_iter().filter(|(_, after)| after.len() == start.len()) {
        let found = before.slots.iter().find(|(other, slot)| *other == name && slot.len() == after.len());
        let first = |(index, &theta): (usize, &T)| match updated.rate_factor(index).unwrap_or(1.0) {
            // What is not stepped is remembered as it is.
            0.0 => Some(after[index]),
            factor => optimizers::at_the_start(&updated.update, &name, factor, theta.to_f64()).map(T::from_f64),
        };
        let slot = match found {
            Some((_, slot)) if steps != Some(0) => Some(slot.clone()),
            // The first step begins with new slots, but for what was given before it, such as Sophia's Hessian.
            given => {
                let given = |index: usize| given.map(|(_, slot)| slot[index]).filter(|&given| given != T::ZERO);
                start.iter().enumerate().map(|at| given(at.0).or_else(|| first(at))).collect()
            }
        };
        updated.memory.extend(slot.map(|before| (name, before, after)));
    }
    Ok(Some(updated))
}
