//! A model as one network, which takes features in the table's units and answers as the model does.

use downhill_data::{AnyScaler, Scaler};
use downhill_layers::{BatchNorm, Description, Sigmoid, Softmax};
use downhill_model::{Answers, Model};
use downhill_network::{LayerDescription, Network, NetworkDescription, StepDescription};
use downhill_tensor::Outputs;

use crate::CliError;

/// The place of the scaler of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputScaler {
    /// Into the weights of the first layers.
    Weights,
    /// Into a layer in front of them: weights that took it in are as unlike each other as the units of the features,
    /// which 8 bits with one scale for a row can't tell apart.
    Layer,
}

/// Makes a model's scalers part of its network, and appends what makes probabilities.
///
/// # Errors
/// Returns an error if a scaler is a curve, if it is not next to affine layers alone, so that their weights can't take it
/// in, or if it is to be a layer and the input is no plain list of features.
pub(crate) fn folded(model: &Model, place: InputScaler) -> Result<Network<f32>, CliError> {
    // In f64, so that what is folded in is rounded once.
    let mut network: Network<f64> = model.network().cast();
    let describe = |network: &Network<f64>| network.description().map_err(downhill_model::ModelError::from);
    let mut description = describe(&network)?;
    for scaler in [model.input_scaler(), model.target_scaler()].into_iter().flatten() {
        if matches!(scaler, AnyScaler::Power(_)) {
            return Err(CliError::Curve { advice: FOLD });
        }
    }
    match (model.input_scaler(), place) {
        (Some(scaler), InputScaler::Weights) => fold_input(&mut network, &description, scaler)?,
        (Some(scaler), InputScaler::Layer) => {
            network = with_first(&network, description, scaler)?;
            description = describe(&network)?;
        }
        (None, _) => {}
    }
    if let Some(scaler) = model.target_scaler() {
        fold_output(&mut network, &description, scaler)?;
    }
    let outputs = model.network().meaning().outputs;
    let last = match (model.answers(), outputs) {
        (Answers::Classes, Some(Outputs::ClassLogits)) => Some(Description::from(Softmax)),
        (_, Some(Outputs::Logits)) => Some(Description::from(Sigmoid)),
        _ => None,
    };
    match last {
        Some(layer) => Ok(with_last(&network, description, layer)?.cast()),
        None => Ok(network.cast()),
    }
}

const FOLD: &str = "add `--bare` for the network alone, and scale its numbers outside";

/// The place of an affine layer in a network, by the name of its step, with whether it has a bias.
fn affine(step: &StepDescription) -> Option<&str> {
    let is_affine = matches!(&step.layer, LayerDescription::Library(Description::Affine(_)));
    // A shared layer has other uses, where nothing is scaled.
    (is_affine && step.shares.is_none()).then_some(&*step.name)
}

fn array(step: &str, name: &str) -> String {
    if step.is_empty() { name.to_owned() } else { format!("{step}.{name}") }
}

/// Makes the layers that read the first input read it unscaled: W s⁻¹(x − m) + b, for each feature.
fn fold_input(
    network: &mut Network<f64>,
    description: &NetworkDescription,
    scaler: &AnyScaler,
) -> Result<(), CliError> {
    let readers: Vec<&StepDescription> = description.steps.iter().filter(|step| step.inputs.contains(&0)).collect();
    let names: Option<Vec<&str>> = readers.iter().map(|step| affine(step)).collect();
    let names = names.filter(|names| {
        !names.is_empty() && description.output != 0 && description.steps.iter().all(|step| step.shares.is_none())
    });
    let Some(names) = names else {
        return Err(CliError::Fold { what: "the scaler of the inputs", advice: FOLD });
    };
    for name in names {
        let mut shift = Vec::new();
        {
            let mut weight = network.parameter_mut(&array(name, "weight"))?;
            for mut row in weight.rows_mut() {
                let mut sum = 0.0;
                for (feature, w) in row.iter_mut().enumerate() {
                    // A scaler is a line: s(x) = s(0) + x (s(1) − s(0)), over a range that loses no digits.
                    let slope = slope(scaler, feature);
                    sum += *w * scaler.scale(feature, 0.0);
                    *w *= slope;
                }
                shift.push(sum);
            }
        }
        let Ok(mut bias) = network.parameter_mut(&array(name, "bias")) else {
            return Err(CliError::Fold { what: "the scaler of the inputs", advice: FOLD });
        };
        bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
    }
    Ok(())
}

fn slope(scaler: &AnyScaler, feature: usize) -> f64 {
    let origin = scaler.unscale(feature, 0.0);
    let unit = scaler.unscale(feature, 1.0) - origin;
    if unit == 0.0 { 0.0 } else { 1.0 / unit }
}

/// Makes the layers that give the output give it in the targets' units.
fn fold_output(
    network: &mut Network<f64>,
    description: &NetworkDescription,
    scaler: &AnyScaler,
) -> Result<(), CliError> {
    let step = |node: usize| node.checked_sub(description.inputs.len()).and_then(|place| description.steps.get(place));
    let uses = |node: usize| description.steps.iter().filter(|step| step.inputs.contains(&node)).count();
    let last = step(description.output);
    let makers: Option<Vec<&str>> = match last {
        Some(last) if matches!(&last.layer, LayerDescription::Library(Description::Add(_))) => {
            last.inputs.iter().map(|&node| step(node).filter(|_| uses(node) == 1).and_then(affine)).collect()
        }
        Some(last) => affine(last).map(|name| vec![name]),
        None => None,
    };
    let makers =
        makers.filter(|_| uses(description.output) == 0 && description.steps.iter().all(|step| step.shares.is_none()));
    let Some(makers) = makers else {
        return Err(CliError::Fold { what: "the scaler of the targets", advice: FOLD });
    };
    for (place, name) in makers.into_iter().enumerate() {
        for (target, mut row) in network.parameter_mut(&array(name, "weight"))?.rows_mut().into_iter().enumerate() {
            let unit = scaler.unscale(target, 1.0) - scaler.unscale(target, 0.0);
            row.iter_mut().for_each(|w| *w *= unit);
        }
        let Ok(mut bias) = network.parameter_mut(&array(name, "bias")) else {
            return Err(CliError::Fold { what: "the scaler of the targets", advice: FOLD });
        };
        for (target, bias) in bias.iter_mut().enumerate() {
            let origin = scaler.unscale(target, 0.0);
            *bias = *bias * (scaler.unscale(target, 1.0) - origin) + if place == 0 { origin } else { 0.0 };
        }
    }
    Ok(())
}

/// The network with a layer in front of it that scales the input: (x − μ)/σ, as a batch normalisation at rest.
fn with_first(
    network: &Network<f64>,
    mut description: NetworkDescription,
    scaler: &AnyScaler,
) -> Result<Network<f64>, CliError> {
    let is_plain = description.inputs.first().is_some_and(|input| input.axes() == [scaler.features()]);
    let (Some(mut step), true) = (description.steps.first().cloned(), is_plain) else {
        return Err(CliError::Fold { what: "the scaler of the inputs", advice: FOLD });
    };
    // The new node comes after the inputs, and takes the place of the first one.
    let node = description.inputs.len();
    let moved = |place: &mut usize| match *place {
        0 => *place = node,
        before if before < node => {}
        _ => *place += 1,
    };
    for step in &mut description.steps {
        step.inputs.iter_mut().for_each(moved);
        step.shares.iter_mut().for_each(|step| *step += 1);
    }
    moved(&mut description.output);
    step.name = "scaler".to_owned();
    step.layer = LayerDescription::Library(Description::from(BatchNorm::new().epsilon(0.0).no_affine()));
    (step.inputs, step.frozen, step.shares) = (vec![0], false, None);
    description.steps.insert(0, step);
    let mut longer = rebuilt(network, &description)?;
    let mean = |feature| scaler.unscale(feature, 0.0);
    // A feature that was the same in all rows tells nothing.
    let deviation = |feature| match scaler.unscale(feature, 1.0) - mean(feature) {
        0.0 => f64::from(f32::MAX).sqrt(),
        deviation => deviation,
    };
    for segment in longer.statistic_segments().to_vec() {
        let numbers = longer.statistics_mut().get_mut(segment.range).unwrap_or_default().iter_mut().enumerate();
        match &*segment.name {
            "scaler.running_mean" => numbers.for_each(|(feature, x)| *x = mean(feature)),
            "scaler.running_var" => numbers.for_each(|(feature, x)| *x = deviation(feature).powi(2)),
            _ => {}
        }
    }
    Ok(longer)
}

/// The network with one more layer behind it, which has no parameters.
fn with_last(
    network: &Network<f64>,
    mut description: NetworkDescription,
    layer: Description,
) -> Result<Network<f64>, CliError> {
    let Some(mut step) = description.steps.last().cloned() else { return Ok(network.clone()) };
    (step.name, step.layer) = ("probabilities".to_owned(), LayerDescription::Library(layer));
    (step.inputs, step.frozen, step.shares) = (vec![description.output], false, None);
    description.output = description.inputs.len() + description.steps.len();
    description.steps.push(step);
    rebuilt(network, &description)
}

/// A network of this description with the numbers that the other one has under the same names.
fn rebuilt(network: &Network<f64>, description: &NetworkDescription) -> Result<Network<f64>, CliError> {
    let mut longer: Network<f64> = description.build()?;
    for segment in network.segments() {
        longer.parameter_mut(&segment.name)?.assign(&network.parameter(&segment.name)?);
    }
    // Statistics stand in the order of the steps, so that those of a new first layer come before the others.
    let numbers = network.statistics();
    let before = longer.statistics().len() - numbers.len();
    longer.statistics_mut().get_mut(before..).unwrap_or_default().copy_from_slice(numbers);
    Ok(longer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{learn, with_target};
    use crate::look::look;
    use crate::recipe::Recipe;
    use crate::session::Session;
    use crate::settings::Settings;
    use downhill_data::{PowerScaler, PowerTransform, Table};
    use downhill_layers::Affine;
    use downhill_tensor::Seed;

    fn model(target: &str, settings: &str) -> (Model, Table) {
        let rows: String = (0..60)
            .map(|row| {
                format!(
                    "{},{},{},{}\n",
                    row * 37 % 60,
                    1e4 + f64::from(row % 7),
                    ["a", "b", "c"][row as usize % 3],
                    row % 4
                )
            })
            .collect();
        let table = Table::read(format!("x,large,kind,y\n{rows}").as_bytes()).unwrap();
        let settings = Settings { target: Some(target.into()), ..Settings::parse(settings).unwrap() };
        let found = look(&table, &settings).unwrap();
        let table = with_target(&table, &found).unwrap();
        let recipe = Recipe::choose(&settings, found.task, table.len()).unwrap();
        (learn(&table, &found, &recipe, &mut |_| (), &Session::new()).unwrap().model, table)
    }

    #[test]
    fn a_folded_network_answers_unscaled_features_as_the_model_does() {
        for (target, settings) in [
            ("kind", "epochs = 5"),
            ("kind", "epochs = 5\nmembers = 1\nhidden = []"),
            ("y", "epochs = 5\ntask = 'regression'"),
            ("x", "epochs = 5\nmembers = 1"),
        ] {
            let (model, table) = model(target, settings);
            let inputs = model.schema().unwrap().inputs::<f32>(&table).unwrap();
            for place in [InputScaler::Weights, InputScaler::Layer] {
                let alone = folded(&model, place).unwrap().predict(&inputs).unwrap();
                for (answer, alone) in model.predict(&table).unwrap().iter().zip(alone.rows()) {
                    for (a, b) in answer.outputs().iter().zip(alone) {
                        assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{target}, {place:?}: {a} or {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_power_scaler_is_no_part_of_a_network() {
        let network = Network::build([1], Affine::new(1), Seed(1)).unwrap();
        let scaler = PowerScaler::from_parts(PowerTransform::BoxCox, &[0.5], &[0.0], &[1.0]).unwrap();
        let model = Model::builder(network).input_scaler(scaler).build().unwrap();
        let message = folded(&model, InputScaler::Weights).unwrap_err().to_string();
        assert!(message.starts_with("a power scaler can't become part of the network"), "{message}");
    }

    #[test]
    fn weights_of_8_bits_answer_alike_behind_a_layer_that_scales() {
        let (model, table) = model("y", "epochs = 20\ntask = 'regression'");
        let inputs = model.schema().unwrap().inputs::<f32>(&table).unwrap();
        let worst = |place| {
            let mut network = folded(&model, place).unwrap();
            for segment in network.segments().to_vec() {
                for mut row in network.parameter_mut(&segment.name).unwrap().rows_mut() {
                    let scale = row.fold(0.0_f32, |most, w| most.max(w.abs())) / 127.0;
                    row.mapv_inplace(|w| if segment.shape.rank() == 2 { (w / scale).round() * scale } else { w });
                }
            }
            let answers = model.predict(&table).unwrap();
            let alone = network.predict(&inputs).unwrap();
            answers.values().unwrap().iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        // The targets are 0 to 3, and one of the features is above 10,000.
        let (layer, weights) = (worst(InputScaler::Layer), worst(InputScaler::Weights));
        assert!(layer < 0.1 && weights > 10.0 * layer, "{layer}, {weights}");
    }
}
