//! A forward and a backward pass through a small network, number by number.

use downhill_explain::{Explain, Explanation, Expression, Local, Number, Settings};
use downhill_layers::{Affine, Mode};
use downhill_losses::{DynLoss, Loss, Target};
use downhill_network::{Block, Network, Purpose, Sequential};
use downhill_tensor::{Batch, Seed};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::catalogue::{self, Kind};
use crate::learner::{Named, finite};

/// What is explained.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainSettings {
    inputs: Vec<f64>,
    /// A number for each output, or the class.
    targets: Vec<f64>,
    layers: Vec<ChainLayer>,
    loss: Named,
    rate: f64,
    seed: u64,
    /// θ, if it was changed by hand; as drawn from the seed without it.
    #[serde(default)]
    parameters: Option<Vec<f64>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainLayer {
    units: usize,
    activation: Named,
}

/// An explanation with the network that it is of.
#[derive(Debug)]
pub(crate) struct Chain {
    layers: Vec<ChainLayer>,
    network: Network<f64>,
    loss: Box<dyn DynLoss>,
    targets: Vec<f64>,
    classes: Vec<u32>,
    kind: Kind,
    explanation: Explanation,
}

/// So much is drawn that a person can still read it.
const MOST_UNITS: usize = 5;
const MOST_LAYERS: usize = 4;

impl Chain {
    pub(crate) fn new(settings: &ChainSettings) -> Result<Self, Error> {
        if !(1..=MOST_UNITS).contains(&settings.inputs.len()) || !(1..=MOST_LAYERS).contains(&settings.layers.len()) {
            return Err(Error::new("There may be up to {most_units} inputs and {most_layers} layers.")
                .with("most_units", MOST_UNITS)
                .with("most_layers", MOST_LAYERS));
        }
        let numbers = settings.inputs.iter().chain(&settings.targets).chain(settings.parameters.iter().flatten());
        if numbers.chain([&settings.rate]).any(|number| !number.is_finite() || number.abs() > 1e6) {
            return Err(Error::new("Inputs, targets, weights and the rate are finite numbers below a million."));
        }
        if !settings.layers.iter().all(|layer| (1..=MOST_UNITS).contains(&layer.units)) {
            return Err(Error::new("A layer may have up to {most_units} units.").with("most_units", MOST_UNITS));
        }
        let mut network =
            Network::<f64>::build([settings.inputs.len()], chain(blocks(&settings.layers)?), Seed(settings.seed))?;
        if let Some(parameters) = &settings.parameters {
            let count = network.parameters().len();
            if parameters.len() != count {
                let got = parameters.len();
                return Err(Error::new("The network has {count} parameters, but got {got}.")
                    .with("count", count)
                    .with("got", got));
            }
            network.parameters_mut().copy_from_slice(parameters);
        }
        let (kind, loss) = catalogue::loss_of_any_kind(settings.loss.name(), settings.loss.settings())?;
        let outputs = network.output_shape().len();
        let wanted = if kind == Kind::Values { outputs } else { 1 };
        if settings.targets.len() < wanted {
            return Err(Error::new("The network has {outputs} outputs: {wanted} targets are needed.")
                .with("outputs", outputs)
                .with("wanted", wanted));
        }
        let targets = settings.targets[..wanted].to_vec();
        let classes = if kind == Kind::Classes { vec![targets[0] as u32] } else { Vec::new() };
        let target = if kind == Kind::Values { Target::Values(&targets) } else { Target::Classes(&classes) };
        let x = Batch::new(&settings.inputs, 1, [settings.inputs.len()])?;
        let explanation = network.explain_with(x, target, &loss, Settings::new().learning_rate(settings.rate))?;
        Ok(Self { layers: settings.layers.clone(), network, loss, targets, classes, kind, explanation })
    }

    /// All numbers, and their addresses in the order in which they are computed.
    pub(crate) fn start(&self) -> Result<Value, Error> {
        Ok(json!({
            "explanation": self.explanation,
            "numbers": self.explanation.numbers(),
            "parameters": self.network.parameters(),
        }))
    }

    /// How a number came about: its equation, the numbers in it, and the finite difference that it must equal, if it is a
    /// derivative.
    pub(crate) fn origin(&self, number: Value) -> Result<Value, Error> {
        let unknown = |_| Error::new("There is no such number.");
        let number: Number = serde_json::from_value(number).map_err(unknown)?;
        let origin = self.explanation.origin(number).ok_or_else(|| Error::new("There is no such number."))?;
        let mut used = Vec::new();
        if let Some(formula) = &origin.formula {
            numbers_in(formula, &mut used);
        }
        Ok(json!({
            "number": number,
            "step": origin.step,
            "symbol": origin.symbol.text,
            "value": finite(origin.value),
            "source": origin.source,
            "symbols": origin.formula.as_ref().map(Expression::symbols),
            "numbers": origin.formula.as_ref().map(|formula| formula.numbers(4)),
            "used": used,
            "difference": self.difference(number)?,
        }))
    }

    /// J for values x of a node, through the steps that come after it.
    fn loss_from(&self, after: usize, x: &[f64], theta: &[f64]) -> Result<f64, Error> {
        let layers: Vec<_> = blocks(&self.layers)?.into_iter().skip(after).collect();
        let target =
            if self.kind == Kind::Values { Target::Values(&self.targets) } else { Target::Classes(&self.classes) };
        if layers.is_empty() {
            return Ok(self.loss.value(Batch::new(x, 1, [x.len()])?, target)?);
        }
        let rest = Network::<f64>::build([x.len()], chain(layers), Seed(0))?;
        // What comes after a node is the end of θ.
        let theta = &theta[theta.len() - rest.parameters().len()..];
        let mut workspace = rest.workspace(Purpose::Prediction);
        let y = rest.forward(theta, Batch::new(x, 1, [x.len()])?, &mut workspace, Mode::Evaluation)?;
        Ok(self.loss.value(y, target)?)
    }

    /// (J(a + h) − J(a − h)) / 2h, if the number is a derivative of J by some a.
    fn difference(&self, number: Number) -> Result<Option<f64>, Error> {
        const H: f64 = 1e-6;
        let nodes = &self.explanation.nodes;
        let central =
            |values: &[f64], index: usize, of: &dyn Fn(&[f64]) -> Result<f64, Error>| -> Result<Option<f64>, Error> {
                let mut moved = values.to_vec();
                let Some(&middle) = values.get(index) else { return Ok(None) };
                moved[index] = middle + H;
                let above = of(&moved)?;
                moved[index] = middle - H;
                Ok(Some((above - of(&moved)?) / (2.0 * H)))
            };
        let theta = self.network.parameters();
        match number {
            Number::Gradient { node, index } => {
                let Some(at) = nodes.get(node) else { return Ok(None) };
                central(&at.values.numbers, index, &|x| self.loss_from(node, x, theta))
            }
            Number::Product { step, index, .. } => {
                let node = self.explanation.steps.get(step).and_then(|step| step.inputs.first().copied());
                let Some((node, at)) = node.and_then(|node| Some((node, nodes.get(node)?))) else { return Ok(None) };
                central(&at.values.numbers, index, &|x| self.loss_from(node, x, theta))
            }
            Number::ParameterGradient { parameter, index } | Number::ParameterProduct { parameter, index, .. } => {
                let Some(segment) = self.network.segments().get(parameter) else { return Ok(None) };
                let Some(input) = nodes.first() else { return Ok(None) };
                central(theta, segment.range.start + index, &|theta| self.loss_from(0, &input.values.numbers, theta))
            }
            Number::Slope { step, index } => {
                let Some(Local::Elementwise { .. }) = self.explanation.steps.get(step).map(|step| &step.local) else {
                    return Ok(None);
                };
                let layer = blocks(&self.layers)?.into_iter().nth(step);
                let (Some(at), Some(layer)) = (nodes.get(step), layer) else { return Ok(None) };
                let x = &at.values.numbers;
                let alone = Network::<f64>::build([x.len()], layer, Seed(0))?;
                central(x, index, &|x| Ok(alone.predict_one(x)?[index]))
            }
            _ => Ok(None),
        }
    }
}

/// The layers one after the other; the identity is left out, since it adds nothing to see.
fn blocks(layers: &[ChainLayer]) -> Result<Vec<Box<dyn Block>>, Error> {
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    for ChainLayer { units, activation } in layers {
        blocks.push(Box::new(Affine::new(*units)));
        let activation_block = catalogue::activation(activation.name(), activation.settings())?;
        if activation.name() != "Identity" {
            blocks.push(activation_block);
        }
    }
    Ok(blocks)
}

fn chain(blocks: Vec<Box<dyn Block>>) -> Sequential {
    blocks.into_iter().fold(Sequential::new(), Sequential::then)
}

/// The addresses of the numbers in a formula, each once.
fn numbers_in(expression: &Expression, found: &mut Vec<Number>) {
    match expression {
        Expression::Number { number, .. } if !found.contains(number) => found.push(*number),
        Expression::Negative(inner) | Expression::Power(inner, _) | Expression::Apply(_, inner) => {
            numbers_in(inner, found)
        }
        Expression::Sum(parts) | Expression::Product(parts) => parts.iter().for_each(|part| numbers_in(part, found)),
        Expression::Quotient(above, below) => {
            numbers_in(above, found);
            numbers_in(below, found);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Value)) -> ChainSettings {
        let mut settings = json!({
            "inputs": [0.5, -1.0], "targets": [1.0], "rate": 0.5, "seed": 3,
            "layers": [
                { "units": 2, "activation": { "name": "Tanh" } },
                { "units": 1, "activation": { "name": "Sigmoid" } },
            ],
            "loss": { "name": "MeanSquaredError" },
        });
        change(&mut settings);
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn each_derivative_of_j_is_its_finite_difference() {
        let other: fn(&mut Value) = |settings| {
            settings["loss"] = json!({ "name": "SoftmaxCrossEntropy" });
            settings["layers"][1] = json!({ "units": 3, "activation": { "name": "Identity" } });
            settings["targets"] = json!([2]);
        };
        for change in [|_: &mut Value| {}, other] {
            let chain = Chain::new(&settings(change)).unwrap();
            let mut compared = 0;
            for number in chain.explanation.numbers() {
                let origin = chain.origin(serde_json::to_value(number).unwrap()).unwrap();
                if let Some(difference) = origin["difference"].as_f64() {
                    let value = origin["value"].as_f64().unwrap();
                    assert!((value - difference).abs() < 1e-8, "{number:?}: {value} {difference}");
                    compared += 1;
                }
            }
            assert!(compared > 25, "{compared}");
        }
    }

    #[test]
    fn an_equation_names_the_numbers_in_it() {
        let chain = Chain::new(&settings(|_| {})).unwrap();
        let origin = chain.origin(json!({ "parameter_gradient": { "parameter": 0, "index": 1 } })).unwrap();
        assert_eq!((&origin["symbol"], &origin["symbols"]), (&json!("dJ/dw₂₁"), &json!("x₁ · dJ/dy₂")), "{origin}");
        assert_eq!(origin["used"].as_array().unwrap().len(), 2);
        assert!(chain.origin(json!({ "parameter": { "parameter": 7, "index": 0 } })).is_err());
        assert!(chain.origin(json!("nonsense")).is_err());
    }

    #[test]
    fn weights_are_set_by_hand() {
        let plain = Chain::new(&settings(|_| {})).unwrap();
        let mut theta = plain.network.parameters().to_vec();
        theta[0] += 1.0;
        let moved = Chain::new(&settings(|settings| settings["parameters"] = json!(theta))).unwrap();
        assert_ne!(plain.explanation.loss.value, moved.explanation.loss.value);
        let told = |change: fn(&mut Value)| Chain::new(&settings(change)).unwrap_err().to_string();
        assert!(told(|settings| settings["parameters"] = json!([1.0])).contains("9 parameters"));
        assert!(told(|settings| settings["inputs"] = json!([])).contains("5 inputs"));
        assert!(told(|settings| settings["targets"] = json!([])).contains("targets"));
        assert!(told(|settings| settings["targets"] = json!([1e300])).contains("million"));
        assert!(told(|settings| settings["layers"][0]["units"] = json!(9)).contains("5 units"));
    }
}
