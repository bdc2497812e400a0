//! Steps on one batch that stays, of any fully connected network: by their time `cargo xtask bench --wasm` tells how fast
//! the library learns in a browser.

use downhill_layers::Affine;
use downhill_losses::{DynLoss, Target};
use downhill_network::{Network, Sequential};
use downhill_optim::Optimizer;
use downhill_tensor::{Batch, Seed};
use downhill_train::Trainer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::catalogue::{self, Kind};
use crate::error::in_range;
use crate::learner::{Named, finite};
use crate::optimizers::Chosen;

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpeedSettings {
    /// The number of inputs, of the units of each hidden layer, and of outputs.
    widths: Vec<usize>,
    activation: Named,
    loss: Named,
    optimizer: Chosen,
    examples: usize,
}

/// More would not fit the memory of a page.
const MOST: usize = 4096;
const MOST_WIDTHS: usize = 6;

/// A network with its batch and its trainer.
pub(crate) struct Speed {
    settings: SpeedSettings,
    network: Network<f32>,
    trainer: Trainer<'static, f32, Box<dyn DynLoss>, Box<dyn Optimizer<f32>>>,
    inputs: Vec<f32>,
    values: Vec<f32>,
    /// The values as classes, if the loss takes those.
    classes: Vec<u32>,
    kind: Kind,
}

impl std::fmt::Debug for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speed").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Speed {
    /// Sets the network up with the numbers in `bytes`, in f32: the parameters, each in PyTorch's shape, then the inputs,
    /// then the targets.
    pub(crate) fn new(settings: SpeedSettings, bytes: &[u8]) -> Result<Self, Error> {
        let widths = &settings.widths;
        in_range("The number of widths", widths.len() as f64, 2.0, MOST_WIDTHS as f64)?;
        for &width in widths {
            in_range("A width", width as f64, 1.0, MOST as f64)?;
        }
        in_range("The number of examples", settings.examples as f64, 1.0, MOST as f64)?;
        let mut chain = Sequential::new();
        for (place, &units) in widths.iter().enumerate().skip(1) {
            if place > 1 {
                chain = chain.then(catalogue::activation(settings.activation.name(), settings.activation.settings())?);
            }
            chain = chain.then(Affine::new(units));
        }
        let mut network = Network::<f32>::build([widths[0]], chain, Seed(1))?;
        let (kind, loss) = catalogue::loss_of_any_kind(settings.loss.name(), settings.loss.settings())?;

        let inputs = settings.examples * widths[0];
        let targets = settings.examples * if kind == Kind::Classes { 1 } else { network.output_shape().len() };
        let wanted = network.parameters().len() + inputs + targets;
        if bytes.len() != 4 * wanted {
            let got = bytes.len();
            return Err(Error::new("These are {got} bytes, but {wanted} numbers of four bytes are needed.")
                .with("got", got)
                .with("wanted", wanted));
        }
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|&number| f32::from_le_bytes(number));
        let names: Vec<String> = network.segments().iter().map(|segment| segment.name.clone()).collect();
        for name in &names {
            for (parameter, number) in network.parameter_mut(name)?.iter_mut().zip(&mut numbers) {
                *parameter = number;
            }
        }
        let inputs = numbers.by_ref().take(inputs).collect();
        let values: Vec<f32> = numbers.collect();
        let classes =
            if kind == Kind::Classes { values.iter().map(|&class| class as u32).collect() } else { Vec::new() };
        let trainer = Trainer::new(loss, settings.optimizer.make::<f32>()?);
        Ok(Self { settings, network, trainer, inputs, values, classes, kind })
    }

    pub(crate) fn start(&self) -> Value {
        json!({ "parameters": self.network.parameters().len() })
    }

    /// Takes steps, and tells the loss before the last of them.
    pub(crate) fn step(&mut self, steps: u32) -> Result<Value, Error> {
        let x = Batch::new(&self.inputs, self.settings.examples, [self.settings.widths[0]])?;
        let target = match self.kind {
            Kind::Classes => Target::Classes(&self.classes),
            Kind::Values => Target::Values(&self.values),
        };
        let mut loss = f64::NAN;
        for _ in 0..steps {
            loss = self.trainer.partial_fit(&mut self.network, x, target)?;
        }
        Ok(json!({ "loss": finite(loss) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(widths: &[usize], loss: &str, numbers: &[f32]) -> Result<Speed, Error> {
        let settings = json!({
            "widths": widths, "activation": { "name": "Tanh" }, "loss": { "name": loss },
            "optimizer": { "name": "GradientDescent", "rate": 0.01 }, "examples": 1,
        });
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Speed::new(serde_json::from_value(settings).unwrap(), &bytes)
    }

    fn loss(speed: &mut Speed, steps: u32) -> f64 {
        speed.step(steps).unwrap()["loss"].as_f64().unwrap()
    }

    #[test]
    fn steps_are_those_of_gradient_descent() {
        // y = w x + b of w = 2, b = 0, x = 3 and t = 0: dJ/dw = 2 y x = 36 and dJ/db = 2 y = 12.
        let mut speed = speed(&[1, 1], "MeanSquaredError", &[2.0, 0.0, 3.0, 0.0]).unwrap();
        assert_eq!(loss(&mut speed, 1), 36.0);
        // w = 1.64 and b = -0.12 give y = 4.8.
        assert!((loss(&mut speed, 1) - 23.04).abs() < 1e-4);
        assert!(loss(&mut speed, 200) < 1e-4);
    }

    #[test]
    fn weights_come_output_by_output_and_classes_are_targets_of_a_loss_of_classes() {
        let [x, t, bias] = [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]];
        let numbers = [&[1.0, 2.0, 3.0, 4.0][..], &bias, &x, &t].concat();
        let mut values = speed(&[2, 2], "MeanSquaredError", &numbers).unwrap();
        assert_eq!(loss(&mut values, 1), 5.0, "of the outputs 1 and 3");
        let numbers = [&[1.0, 2.0, 3.0, 4.0][..], &bias, &x, &[1.0]].concat();
        let mut classes = speed(&[2, 2], "SoftmaxCrossEntropy", &numbers).unwrap();
        assert!((loss(&mut classes, 1) - (1.0 + (-2.0_f64).exp()).ln()).abs() < 1e-6);
        assert!(loss(&mut classes, 100) < 0.1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let told = |widths: &[usize], loss, numbers: &[f32]| speed(widths, loss, numbers).unwrap_err().to_string();
        assert!(told(&[1, 1], "MeanSquaredError", &[0.0; 3]).contains("12 bytes, but 4 numbers"));
        assert!(told(&[1], "MeanSquaredError", &[0.0; 3]).contains("widths must lie in [2, 6], but is 1."));
        assert!(told(&[1, 1 << 20], "MeanSquaredError", &[0.0; 3]).contains("A width must lie in [1, 4096]"));
        assert!(told(&[1, 0], "MeanSquaredError", &[0.0; 3]).contains("A width must lie in [1, 4096]"));
        assert!(told(&[1, 1], "Nothing", &[0.0; 4]).contains("`Nothing`"));
        let mut absent = speed(&[1, 2], "SoftmaxCrossEntropy", &[0.0, 0.0, 0.0, 0.0, 0.0, 7.0]).unwrap();
        assert!(absent.step(1).unwrap_err().to_string().contains('7'));
    }
}
