//! burn on its CPU backend of today, flex.

use std::hint::black_box;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::common::{Entry, INPUT, STILL, TARGET, Variant, fill, mean_square, parameter};

/// In `f32` alone.
pub(crate) fn variant(entry: &Entry) -> Option<Variant> {
    if entry.text("model") != "mlp" || entry.text("precision") == "f64" {
        return None;
    }
    match entry.suite.as_str() {
        "inference" => Some(inference(entry)),
        "step" if entry.settings["optimizer"].is_string() => Some(step(entry)),
        _ => None,
    }
}

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(entry: &Entry, device: &Device) -> Self {
        let mut layers = Vec::new();
        for (index, pair) in entry.numbers("widths").windows(2).enumerate() {
            let [inputs, outputs] = [pair[0], pair[1]];
            let key = 2 * index as u64;
            let mut layer = LinearConfig::new(inputs, outputs).init(device);
            // Its weights lie (in, out), and the start is stated for (out, in).
            let at = |i: usize| parameter(key, ((i % outputs) * inputs + i / outputs) as u64) as f32;
            let weight: Vec<f32> = (0..inputs * outputs).map(at).collect();
            layer.weight = Param::from_data(TensorData::new(weight, [inputs, outputs]), device);
            let bias: Vec<f32> = (0..outputs as u64).map(|i| parameter(key + 1, i) as f32).collect();
            layer.bias = Some(Param::from_data(TensorData::new(bias, [outputs]), device));
            layers.push(layer);
        }
        Self { layers }
    }

    fn forward(&self, mut x: Tensor<2>, tanh: bool) -> Tensor<2> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if index + 1 < self.layers.len() {
                x = if tanh { x.tanh() } else { activation::relu(x) };
            }
        }
        x
    }
}

fn data(key: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..(shape[0] * shape[1]) as u64).map(|index| fill(key, index) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

fn inference(entry: &Entry) -> Variant {
    let device = Device::flex();
    let (mlp, tanh) = (Mlp::new(entry, &device), entry.text("activation") == "tanh");
    let x = data(INPUT, [entry.examples, entry.numbers("widths")[0]], &device);
    let y: Vec<f64> = mlp.forward(x.clone(), tanh).into_data().iter::<f64>().collect();
    let call = move || {
        black_box(mlp.forward(x.clone(), tanh));
    };
    Variant { peer: "burn flex", values: vec![mean_square(y.into_iter())], call: Box::new(call) }
}

fn rule(entry: &Entry) -> ModuleOptimizer {
    match entry.text("optimizer") {
        "adam" => AdamConfig::new().with_epsilon(1e-8).init(),
        "momentum" => {
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            SgdConfig::new().with_momentum(Some(momentum)).init()
        }
        _ => SgdConfig::new().init(),
    }
}

fn step(entry: &Entry) -> Variant {
    let device = Device::flex().autodiff();
    let tanh = entry.text("activation") == "tanh";
    let widths = entry.numbers("widths");
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    let x = data(INPUT, [entry.examples, inputs], &device);
    let values = data(TARGET, [entry.examples, outputs], &device);
    let labels: Vec<i64> = entry.labels(outputs).into_iter().map(i64::from).collect();
    let labels: Tensor<2, Int> = Tensor::from_data(TensorData::new(labels, [entry.examples, 1]), &device);
    let classes = entry.text("loss") == "cross-entropy";
    let (mut mlp, mut rule) = (Some(Mlp::new(entry, &device)), rule(entry));
    let mut step = move |rate: f64| {
        let model = mlp.take().expect("it is put back after each step");
        let y = model.forward(x.clone(), tanh);
        let loss = if classes {
            activation::log_softmax(y, 1).gather(1, labels.clone()).mean().neg()
        } else {
            (y - values.clone()).square().mean()
        };
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        mlp = Some(rule.step(rate, model, gradients));
        loss
    };
    let compared = (0..entry.compared()).map(|_| number(step(entry.rate()))).collect();
    let call = move || {
        black_box(step(STILL));
    };
    Variant { peer: "burn flex", values: compared, call: Box::new(call) }
}
