//! A model as one network, which takes features in the table's units and answers as the model does.

use downhill_data::{AnyScaler, Scaler};
use downhill_layers::{Description, Sigmoid, Softmax};
use downhill_model::{Answers, Model};
use downhill_network::{LayerDescription, Network, NetworkDescription, StepDescription};
use downhill_tensor::{Outputs, Scalar};

use crate::CliError;

/// Folds a model's scalers into the layers next to them, and appends what makes probabilities.
///
/// # Errors
/// Returns an error if a scaler is not next to affine layers alone, so that their weights can't take it in.
pub(crate) fn folded(model: &Model) -> Result<Network<f32>, CliError> {
    // In f64, so that what is folded in is rounded once.
    let mut network: Network<f64> = model.network().cast();
    let description = network.description().map_err(downhill_model::ModelError::from)?;
    if let Some(scaler) = model.input_scaler() {
        fold_input(&mut network, &description, scaler)?;
    }
    if let Some(scaler) = model.target_scaler() {
        fold_output(&mut network, &description, scaler)?;
    }
    let outputs = network.meaning().outputs;
    let last = match (model.answers(), outputs) {
        (Answers::Classes, Some(Outputs::ClassLogits)) => Some(Description::from(Softmax)),
        (_, Some(Outputs::Logits)) => Some(Description::from(Sigmoid)),
        _ => None,
    };
    match last {
        Some(layer) => with_last(&network, description, layer),
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

/// The network with one more layer behind it, which has no parameters.
fn with_last<T: Scalar>(
    network: &Network<T>,
    mut description: NetworkDescription,
    layer: Description,
) -> Result<Network<f32>, CliError> {
    let Some(mut step) = description.steps.last().cloned() else { return Ok(network.cast()) };
    (step.name, step.layer) = ("probabilities".to_owned(), LayerDescription::Library(layer));
    (step.inputs, step.frozen, step.shares) = (vec![description.output], false, None);
    description.output = description.inputs.len() + description.steps.len();
    description.steps.push(step);
    let mut longer: Network<f32> = description.build()?;
    let numbers = |from: &[T], to: &mut [f32]| from.iter().zip(to).for_each(|(from, to)| *to = from.to_f64() as f32);
    for segment in network.segments() {
        let from = network.parameter(&segment.name)?;
        longer.parameter_mut(&segment.name)?.zip_mut_with(&from, |to, from| *to = from.to_f64() as f32);
    }
    numbers(network.statistics(), longer.statistics_mut());
    Ok(longer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{learn, with_target};
    use crate::look::look;
    use crate::recipe::Recipe;
    use crate::settings::Settings;
    use downhill_data::Table;
    use downhill_train::StopHandle;

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
        (learn(&table, &found, &recipe, &mut |_| (), &StopHandle::new()).unwrap().model, table)
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
            let alone = folded(&model).unwrap().predict(&inputs).unwrap();
            for (answer, alone) in model.predict(&table).unwrap().iter().zip(alone.rows()) {
                for (a, b) in answer.outputs().iter().zip(alone) {
                    assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{target}: {a} or {b}");
                }
            }
        }
    }
}
