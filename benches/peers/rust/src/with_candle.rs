//! candle on the CPU. It has no descent with momentum, so that is written here as its own optimizers are.

use std::hint::black_box;

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, SGD, ops};

use crate::common::{Entry, INPUT, STILL, TARGET, Variant, fill, mean_square, parameter};

pub(crate) fn variant(entry: &Entry) -> Result<Option<Variant>> {
    match entry.suite.as_str() {
        "optimizer" => update(entry).map(Some),
        "step" | "inference" if entry.text("model") == "mlp" => {
            let work = Work::new(entry)?;
            match (entry.suite.as_str(), entry.settings["optimizer"].is_string()) {
                ("inference", _) => work.inference(),
                (_, true) => work.step(entry),
                (_, false) => work.gradient(),
            }
            .map(Some)
        }
        _ => Ok(None),
    }
}

fn kind(entry: &Entry) -> DType {
    if entry.text("precision") == "f64" { DType::F64 } else { DType::F32 }
}

fn tensor(values: impl Iterator<Item = f64>, shape: &[usize], kind: DType) -> Result<Tensor> {
    Tensor::from_vec(values.collect::<Vec<f64>>(), shape, &Device::Cpu)?.to_dtype(kind)
}

fn data(key: u64, shape: &[usize], kind: DType) -> Result<Tensor> {
    let length: usize = shape.iter().product();
    tensor((0..length as u64).map(|index| fill(key, index)), shape, kind)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}

enum Rule {
    Descent(SGD),
    Momentum { parameters: Vec<Var>, velocity: Vec<Option<Tensor>>, rate: f64 },
    Adam(AdamW),
}

impl Rule {
    fn new(entry: &Entry, parameters: Vec<Var>) -> Result<Self> {
        let rate = entry.rate();
        Ok(match entry.text("optimizer") {
            "adam" => {
                let settings = ParamsAdamW { lr: rate, weight_decay: 0.0, ..ParamsAdamW::default() };
                Self::Adam(AdamW::new(parameters, settings)?)
            }
            "momentum" => Self::Momentum { velocity: vec![None; parameters.len()], parameters, rate },
            _ => Self::Descent(SGD::new(parameters, rate)?),
        })
    }

    fn set_rate(&mut self, new: f64) {
        match self {
            Self::Descent(rule) => rule.set_learning_rate(new),
            Self::Momentum { rate, .. } => *rate = new,
            Self::Adam(rule) => rule.set_learning_rate(new),
        }
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        match self {
            Self::Descent(rule) => rule.step(gradients),
            Self::Adam(rule) => rule.step(gradients),
            Self::Momentum { parameters, velocity, rate } => {
                for (parameter, velocity) in parameters.iter().zip(velocity) {
                    let Some(gradient) = gradients.get(parameter) else { continue };
                    let moved = match velocity.take() {
                        Some(velocity) => ((velocity * 0.9)? + gradient)?,
                        None => gradient.clone(),
                    };
                    parameter.set(&parameter.sub(&(&moved * *rate)?)?)?;
                    *velocity = Some(moved);
                }
                Ok(())
            }
        }
    }
}

/// An MLP and its batch.
struct Work {
    layers: Vec<(Var, Option<Var>)>,
    tanh: bool,
    dropout: f32,
    classes: bool,
    x: Tensor,
    target: Tensor,
}

impl Work {
    fn new(entry: &Entry) -> Result<Self> {
        let (widths, kind) = (entry.numbers("widths"), kind(entry));
        let mut layers = Vec::new();
        let variable = |key: u64, shape: &[usize]| -> Result<Var> {
            let length: usize = shape.iter().product();
            Var::from_tensor(&tensor((0..length as u64).map(|index| parameter(key, index)), shape, kind)?)
        };
        for (index, pair) in widths.windows(2).enumerate() {
            let weight = variable(2 * index as u64, &[pair[1], pair[0]])?;
            let last = index + 2 == widths.len();
            let bias = !last || entry.settings["last_bias"].as_bool().unwrap_or(true);
            let bias = if bias { Some(variable(2 * index as u64 + 1, &pair[1..])?) } else { None };
            layers.push((weight, bias));
        }
        let outputs = widths[widths.len() - 1];
        let classes = entry.text("loss") == "cross-entropy";
        let target = if classes {
            Tensor::from_vec(entry.labels(outputs), entry.examples, &Device::Cpu)?
        } else {
            data(TARGET, &[entry.examples, outputs], kind)?
        };
        Ok(Self {
            layers,
            tanh: entry.text("activation") == "tanh",
            dropout: entry.settings["dropout"].as_f64().unwrap_or(0.0) as f32,
            classes,
            x: data(INPUT, &[entry.examples, widths[0]], kind)?,
            target,
        })
    }

    fn parameters(&self) -> Vec<Var> {
        self.layers.iter().flat_map(|(weight, bias)| std::iter::once(weight).chain(bias)).cloned().collect()
    }

    fn forward(&self, dropout: f32) -> Result<Tensor> {
        let mut x = self.x.clone();
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            x = x.matmul(&weight.t()?)?;
            if let Some(bias) = bias {
                x = x.broadcast_add(bias)?;
            }
            if index + 1 < self.layers.len() {
                x = if self.tanh { x.tanh()? } else { x.relu()? };
                if dropout > 0.0 {
                    x = ops::dropout(&x, dropout)?;
                }
            }
        }
        Ok(x)
    }

    fn loss(&self, dropout: f32) -> Result<Tensor> {
        let y = self.forward(dropout)?;
        if self.classes {
            ops::log_softmax(&y, D::Minus1)?.gather(&self.target.unsqueeze(1)?, 1)?.mean_all()?.neg()
        } else {
            (y - &self.target)?.sqr()?.mean_all()
        }
    }

    fn inference(self) -> Result<Variant> {
        let values = vec![mean_square(numbers(&self.forward(0.0)?)?.into_iter())];
        let call = move || {
            black_box(self.forward(0.0).expect("it went well before"));
        };
        Ok(Variant { peer: "candle", values, call: Box::new(call) })
    }

    fn gradient(self) -> Result<Variant> {
        let loss = self.loss(0.0)?;
        let gradients = loss.backward()?;
        let mut flat = Vec::new();
        for parameter in self.parameters() {
            flat.extend(gradients.get(&parameter).map_or(Ok(Vec::new()), numbers)?);
        }
        let values = vec![numbers(&loss)?[0] + mean_square(flat.into_iter()).sqrt()];
        let call = move || {
            let loss = self.loss(self.dropout).expect("it went well before");
            black_box(loss.backward().expect("it went well before"));
        };
        Ok(Variant { peer: "candle", values, call: Box::new(call) })
    }

    fn step(self, entry: &Entry) -> Result<Variant> {
        let mut rule = Rule::new(entry, self.parameters())?;
        let mut step = move |rate: f64| -> Result<Tensor> {
            rule.set_rate(rate);
            let loss = self.loss(0.0)?;
            rule.step(&loss.backward()?)?;
            Ok(loss)
        };
        let mut values = Vec::new();
        for _ in 0..entry.compared() {
            values.push(numbers(&step(entry.rate())?)?[0]);
        }
        let call = move || {
            black_box(step(STILL).expect("it went well before"));
        };
        Ok(Variant { peer: "candle", values, call: Box::new(call) })
    }
}

/// One update by a gradient that stays: that of θ · g.
fn update(entry: &Entry) -> Result<Variant> {
    let shape = [entry.number("parameters")];
    let theta = Var::from_tensor(&data(INPUT, &shape, DType::F32)?)?;
    let gradient = data(TARGET, &shape, DType::F32)?;
    let gradients = theta.mul(&gradient)?.sum_all()?.backward()?;
    let mut rule = Rule::new(entry, vec![theta.clone()])?;
    let mut values = Vec::new();
    for _ in 0..entry.compared() {
        rule.step(&gradients)?;
        values.push(mean_square(numbers(&theta)?.into_iter()));
    }
    rule.set_rate(STILL);
    let call = move || rule.step(&gradients).expect("it went well before");
    Ok(Variant { peer: "candle", values, call: Box::new(call) })
}
