//! Each kind of layer, as the calls that compute it.

use downhill_network::StepDescription;
use downhill_tensor::{Scalar, Shape};
use serde::Deserialize;

use self::activation::activation;
use super::super::constants::number;
use super::Argument::{Text, Write};
use super::{Argument, Lowering};
use crate::settings::Settings;

mod activation;
mod attention;
mod normalisation;
mod positions;
mod recurrent;
mod resize;
mod windows;

/// The inputs of a layer, and its output.
struct Sizes<'a> {
    inputs: &'a [Shape],
    output: Shape,
}

impl Sizes<'_> {
    fn input(&self) -> &[usize] {
        self.inputs.first().map_or(&[], Shape::axes)
    }

    /// The product of the axes of the first input from this one on.
    fn from(&self, axis: usize) -> usize {
        self.input().iter().skip(axis).product()
    }

    fn last(&self) -> usize {
        self.input().last().copied().unwrap_or(1)
    }

    /// Rows and columns of a plane; the first axis is the channels.
    fn plane(shape: &[usize]) -> [usize; 2] {
        match shape {
            [] | [_] => [1, 1],
            [_, columns] => [1, *columns],
            [_, rows, columns @ ..] => [*rows, columns.iter().product()],
        }
    }
}

#[derive(Deserialize)]
struct Bias {
    bias: bool,
}

#[derive(Deserialize)]
struct AnAxis {
    axis: usize,
}

fn text(text: impl Into<String>) -> Argument {
    Text(text.into())
}

fn count(count: usize) -> Argument {
    Text(count.to_string())
}

fn pair([first, second]: [usize; 2]) -> Argument {
    Text(format!("[{first}, {second}]"))
}

impl<T: Scalar> Lowering<'_, T> {
    /// Calls what computes the layer, and returns where its output is.
    pub(super) fn lower_layer(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        inputs: &[Shape],
        output: Shape,
    ) -> Result<usize, String> {
        let sizes = Sizes { inputs, output };
        let kind = settings.kind.as_str();
        if let Some(function) = activation::<T>(kind, settings)? {
            let y = self.changeable(step);
            self.call("map", [Write(y), Text(function)]);
            return Ok(y);
        }
        match kind {
            // In a prediction they change nothing.
            "Identity" | "Flatten" | "Reshape" | "Dropout" | "SpatialDropout" => {
                Ok(self.value(step.inputs.first().copied().unwrap_or_default()))
            }
            "Softmax" | "Softmin" | "LogSoftmax" => {
                let y = self.changeable(step);
                if kind == "Softmin" {
                    self.call("map", [Write(y), text("|x| -x")]);
                }
                let function = if kind == "LogSoftmax" { "log_softmax" } else { "softmax" };
                self.call(function, [Write(y), count(sizes.last())]);
                Ok(y)
            }
            "Add" | "Multiply" => {
                let y = self.changeable(step);
                for index in 1..inputs.len() {
                    let x = self.input(step, index);
                    self.call(if kind == "Add" { "add" } else { "multiply" }, [Write(y), x]);
                }
                Ok(y)
            }
            "Scale" => {
                let y = self.changeable(step);
                let s = self.array(step, "weight")?.numbers.first().copied().unwrap_or(T::ONE);
                self.call("map", [Write(y), Text(format!("|x| {} * x", number(s)))]);
                Ok(y)
            }
            "PRelu" => {
                let y = self.changeable(step);
                let slopes = self.vector(step, "weight")?;
                let plane = sizes.from(0) / self.array(step, "weight")?.numbers.len().max(1);
                self.call("prelu", [Write(y), count(plane), slopes]);
                Ok(y)
            }
            "LearntPositions" => {
                let y = self.changeable(step);
                let positions = self.vector(step, "weight")?;
                self.call("add", [Write(y), positions]);
                Ok(y)
            }
            "SinusoidalPositions" => self.sinusoidal_positions(settings, step, &sizes),
            "RotaryPositions" => {
                let y = self.changeable(step);
                let row = sizes.from(1);
                let steps = sizes.input().first().copied().unwrap_or(1);
                self.rotate(settings.read()?, y, row, row, [steps, sizes.last()]);
                Ok(y)
            }
            "FinitePadding" => {
                let y = self.changeable(step);
                let steps = sizes.input().first().copied().unwrap_or(1);
                let length = self.length(step, 1, 0, steps);
                self.call("finite_padding", [Write(y), count(sizes.from(1)), length]);
                Ok(y)
            }
            "BatchNorm" | "GroupNorm" | "InstanceNorm" | "LayerNorm" | "RmsNorm" => {
                self.normalisation(settings, step, &sizes)
            }
            "Affine" => {
                let Bias { bias } = settings.read()?;
                let outputs = output.axes().last().copied().unwrap_or(1);
                let mut arguments = vec![self.input(step, 0)];
                arguments.extend(self.weights(step, "weight")?);
                arguments.push(self.bias(step, bias, outputs)?);
                Ok(self.make("affine", arguments, output.len()))
            }
            "Bilinear" => {
                let Bias { bias } = settings.read()?;
                let mut arguments = vec![self.input(step, 0), self.input(step, 1)];
                arguments.extend(self.weights(step, "weight")?);
                arguments.push(self.bias(step, bias, output.len())?);
                Ok(self.make("bilinear", arguments, output.len()))
            }
            "Embedding" => {
                let mut arguments = vec![self.input(step, 0)];
                arguments.extend(self.weights(step, "weight")?);
                Ok(self.make("embed", arguments, output.len()))
            }
            "Conv1d" | "Conv2d" | "ConvTranspose2d" => self.convolution(settings, step, &sizes),
            "MaxPool1d" | "MaxPool2d" | "AveragePool1d" | "AveragePool2d" => self.pool(settings, step, &sizes),
            "AdaptiveAveragePool1d" | "AdaptiveAveragePool2d" | "GlobalAveragePool" => {
                let x = self.input(step, 0);
                let [from, to] = match kind {
                    "GlobalAveragePool" => [[1, sizes.from(1)], [1, 1]],
                    _ => [Sizes::plane(sizes.input()), Sizes::plane(output.axes())],
                };
                let y = self.space(output.len());
                self.call("adaptive_average_pool", [x, Write(y), pair(from), pair(to)]);
                Ok(y)
            }
            "Sum" | "Mean" => {
                let AnAxis { axis } = settings.read()?;
                let (x, y) = (self.input(step, 0), self.space(output.len()));
                self.call("sum_axis", [x, Write(y), count(sizes.from(axis + 1))]);
                if kind == "Mean" {
                    let length = sizes.input().get(axis).copied().unwrap_or(1);
                    let mean = format!("|y| y / {}", number(T::from_f64(length as f64)));
                    self.call("map", [Write(y), Text(mean)]);
                }
                Ok(y)
            }
            "Glu" => {
                let axis = settings.read::<Glu>()?.axis.unwrap_or(sizes.input().len().saturating_sub(1));
                let (x, y) = (self.input(step, 0), self.space(output.len()));
                self.call("glu", [x, Write(y), count(sizes.from(axis) / 2)]);
                Ok(y)
            }
            "Concat" => {
                let AnAxis { axis } = settings.read()?;
                let block = |shape: &Shape| shape.axes().iter().skip(axis).product::<usize>();
                let (y, whole) = (self.space(output.len()), block(&output));
                let mut start = 0;
                for (index, shape) in inputs.iter().enumerate() {
                    let (x, part) = (self.input(step, index), block(shape));
                    self.call("copy_blocks", [x, pair([part, 0]), Write(y), pair([whole, start]), count(part)]);
                    start += part;
                }
                Ok(y)
            }
            "Slice" => {
                let Slice { axis, start, end } = settings.read()?;
                let (x, y) = (self.input(step, 0), self.space(output.len()));
                let (block, within) = (sizes.from(axis), sizes.from(axis + 1));
                let length = (end - start) * within;
                let from = pair([block, start * within]);
                self.call("copy_blocks", [x, from, Write(y), pair([length, 0]), count(length)]);
                Ok(y)
            }
            "Permute" => {
                let mut order = settings.read::<Permute>()?.order;
                order.extend(order.len()..sizes.input().len());
                let axis = |&axis: &usize| {
                    format!("[{}, {}]", sizes.input().get(axis).copied().unwrap_or(1), sizes.from(axis + 1))
                };
                let axes = order.iter().map(axis).collect::<Vec<_>>().join(", ");
                let (x, y) = (self.input(step, 0), self.space(output.len()));
                self.call("permute", [x, Write(y), Text(format!("[{axes}]"))]);
                Ok(y)
            }
            "Pad" => self.pad(settings, step, &sizes),
            "Upsample" => self.upsample(settings, step, &sizes),
            "Rnn" | "Lstm" | "Gru" => self.recurrent(settings, step, &sizes),
            "MultiHeadAttention" => self.attention(settings, step, &sizes),
            _ => Err("this version has no Rust for it; leave it out, or write the function that it computes".into()),
        }
    }

    /// Calls a function whose last argument is the output, of this many numbers.
    fn make(&mut self, function: &str, mut arguments: Vec<Argument>, numbers: usize) -> usize {
        let y = self.space(numbers);
        arguments.push(Write(y));
        self.call(function, arguments);
        y
    }
}

#[derive(Deserialize)]
struct Glu {
    axis: Option<usize>,
}

#[derive(Deserialize)]
struct Slice {
    axis: usize,
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Permute {
    order: Vec<usize>,
}
