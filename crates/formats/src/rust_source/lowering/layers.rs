//! Each kind of layer, as the calls that compute it.

use downhill_network::StepDescription;
use downhill_tensor::{Scalar, Shape};
use serde::Deserialize;

use super::super::constants::{flat, number};
use super::Argument::{Read, Text, Write};
use super::{Argument, Lowering, NOT_FINITE};
use crate::settings::Settings;

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

    /// Rows and columns of a plane; the axes before them are channels.
    fn plane(shape: &[usize]) -> [usize; 2] {
        match shape {
            [] | [_] => [1, 1],
            [_, columns] => [1, *columns],
            [_, rows, columns @ ..] => [*rows, columns.iter().product()],
        }
    }
}

/// A number that a description has for one axis, or two for two.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum PerAxis<N> {
    One(N),
    Two([N; 2]),
}

impl<N: Copy> PerAxis<N> {
    /// The numbers for rows and columns; without rows, these have `absent`.
    fn both(self, absent: N) -> [N; 2] {
        match self {
            Self::One(number) => [absent, number],
            Self::Two(numbers) => numbers,
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

#[derive(Deserialize)]
struct Affine {
    affine: bool,
}

#[derive(Deserialize)]
struct Activation {
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    beta: f64,
    #[serde(default)]
    lambda: f64,
    #[serde(default)]
    negative_slope: f64,
    #[serde(default)]
    min: f64,
    #[serde(default)]
    max: f64,
    #[serde(default)]
    threshold: f64,
    #[serde(default)]
    value: f64,
    #[serde(default)]
    approximation: String,
}

#[derive(Deserialize)]
struct Convolution {
    kernel: PerAxis<usize>,
    stride: PerAxis<usize>,
    dilation: PerAxis<usize>,
    padding: serde_json::Value,
    groups: usize,
    bias: bool,
}

#[derive(Deserialize)]
struct Pool {
    kernel: PerAxis<usize>,
    stride: PerAxis<usize>,
    padding: PerAxis<usize>,
    #[serde(default = "one")]
    dilation: PerAxis<usize>,
    #[serde(default)]
    count_include_pad: bool,
}

fn one() -> PerAxis<usize> {
    PerAxis::Two([1, 1])
}

#[derive(Deserialize)]
struct Pad {
    rows: [usize; 2],
    columns: [usize; 2],
    mode: PadMode,
}

#[derive(Clone, Copy, Deserialize)]
enum PadMode {
    Constant(#[serde(with = "downhill_tensor::exact::number")] f64),
    Reflect,
    Replicate,
    Circular,
}

#[derive(Deserialize)]
struct Upsample {
    target: Target,
    interpolation: String,
}

#[derive(Clone, Copy, Deserialize)]
enum Target {
    Factor([f64; 2]),
    Size(serde::de::IgnoredAny),
}

#[derive(Clone, Copy, Deserialize)]
struct Rotary {
    base: f64,
    interleaved: bool,
}

#[derive(Deserialize)]
struct Attention {
    heads: usize,
    bias: bool,
    causal: bool,
    lengths: bool,
    rotary: Option<Rotary>,
}

#[derive(Deserialize)]
struct Recurrent {
    hidden: usize,
    layers: usize,
    bidirectional: bool,
    bias: bool,
    lengths: bool,
    last_state: bool,
    #[serde(default)]
    nonlinearity: String,
}

/// One axis of a window, as the type of that name in a file.
#[derive(Clone, Copy, PartialEq)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
}

const NO_AXIS: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, padding: 0 };

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

    /// Calls a function whose last argument is the output, which has so many numbers.
    fn make(&mut self, function: &str, mut arguments: Vec<Argument>, numbers: usize) -> usize {
        let y = self.space(numbers);
        arguments.push(Write(y));
        self.call(function, arguments);
        y
    }

    fn axis(&mut self, name: &str, axis: Axis) -> String {
        if axis == NO_AXIS {
            return "&NO_AXIS".into();
        }
        let Axis { input, output, kernel, stride, dilation, padding } = axis;
        let text = format!(
            "Axis {{\n    input: {input},\n    output: {output},\n    kernel: {kernel},\n    stride: {stride},\n    \
             dilation: {dilation},\n    padding: {padding},\n}}"
        );
        let about = format!("Along the {} of layer {}.", name.to_lowercase(), self.step);
        self.own_constant(name, &about, "Axis", text, 6 * size_of::<usize>())
    }

    fn convolution(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let Convolution { kernel, stride, dilation, padding, groups, bias } = settings.read()?;
        let (kernel, stride, dilation) = (kernel.both(1), stride.both(1), dilation.both(1));
        let ([rows, columns], [y_rows, y_columns]) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let transposed = settings.kind == "ConvTranspose2d";
        let axis = |index: usize, input: usize, output: usize| -> Option<Axis> {
            let at = |numbers: [usize; 2]| numbers.get(index).copied();
            let (kernel, stride, dilation) = (at(kernel)?, at(stride)?, at(dilation)?);
            let before = match &padding {
                serde_json::Value::String(_) => Some((dilation * (kernel - 1)) / 2),
                // Of a signal (before, after); of an image these for each axis; of a transposed one the same all around.
                padding => {
                    let sides = padding.get("Sides").unwrap_or(padding);
                    let side = if settings.kind == "Conv1d" { sides.get(0) } else { sides.get(index) };
                    side.and_then(|side| side.get(0).unwrap_or(side).as_u64()).and_then(|side| side.try_into().ok())
                }
            };
            let (input, output) = if transposed { (output, input) } else { (input, output) };
            Some(Axis { input, output, kernel, stride, dilation, padding: before? })
        };
        let down = if settings.kind == "Conv1d" { Some(NO_AXIS) } else { axis(0, rows, y_rows) };
        let (down, across) = down.zip(axis(1, columns, y_columns)).ok_or("its padding is unknown")?;
        let (down, across) = (self.axis("ROWS", down), self.axis("COLUMNS", across));
        let outputs = sizes.output.axes().first().copied().unwrap_or(1);
        let mut arguments = vec![self.input(step, 0)];
        arguments.extend(self.weights(step, "weight")?);
        arguments.push(self.bias(step, bias, outputs)?);
        let y = self.space(sizes.output.len());
        arguments.extend([Write(y), count(groups), Text(format!("[{down}, {across}]"))]);
        self.call(if transposed { "transposed_convolution" } else { "convolution" }, arguments);
        Ok(y)
    }

    fn pool(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let pool: Pool = settings.read()?;
        let [kernel, stride, dilation] = [pool.kernel, pool.stride, pool.dilation].map(|setting| setting.both(1));
        let padding = pool.padding.both(0);
        let ([rows, columns], [y_rows, y_columns]) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let axis = |index: usize, input: usize, output: usize| -> Option<Axis> {
            let at = |numbers: [usize; 2]| numbers.get(index).copied();
            let (kernel, stride, dilation) = (at(kernel)?, at(stride)?, at(dilation)?);
            Some(Axis { input, output, kernel, stride, dilation, padding: at(padding)? })
        };
        let axes = axis(0, rows, y_rows).zip(axis(1, columns, y_columns));
        let (down, across) = axes.ok_or("its sizes are unknown")?;
        let (down, across) = (self.axis("ROWS", down), self.axis("COLUMNS", across));
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        let mut arguments = vec![x, Write(y), Text(down), Text(across)];
        let average = settings.kind.starts_with("Average");
        if average {
            arguments.push(text(pool.count_include_pad.to_string()));
        }
        self.call(if average { "average_pool" } else { "max_pool" }, arguments);
        Ok(y)
    }

    fn normalisation(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Norm { epsilon, groups, axes, bias } = settings.read()?;
        let Affine { affine } = settings.read()?;
        let y = self.changeable(step);
        let epsilon = epsilon.map_or(T::EPSILON, T::from_f64);
        let rank = sizes.input().len();
        // The numbers that are normalised together, and those that share a weight.
        let (run, plane) = match settings.kind.as_str() {
            "GroupNorm" => (sizes.from(0) / groups.max(1), sizes.from(1)),
            "LayerNorm" | "RmsNorm" => (sizes.from(rank.saturating_sub(axes)), 1),
            _ => (sizes.from(1), sizes.from(1)),
        };
        if settings.kind == "BatchNorm" {
            // y = (x − μ) (weight/√(σ² + ε)) + bias, with the running statistics.
            let [mean, variance] = ["running_mean", "running_var"].map(|name| self.array(step, name));
            let (mean, variance) = (mean?.numbers.clone(), variance?.numbers.clone());
            let mut scale: Vec<T> = variance.iter().map(|&variance| T::ONE / (variance + epsilon).sqrt()).collect();
            if affine {
                let weight = &self.array(step, "weight")?.numbers;
                scale.iter_mut().zip(weight).for_each(|(scale, &weight)| *scale *= weight);
            }
            let before: Vec<T> = mean.iter().map(|&mean| -mean).collect();
            let owner = self.owner(step);
            let shift = self.numbers(format!("L{owner}_MINUS_MEAN"), "The running means, negated.", &before);
            self.call("shift_each", [Write(y), count(plane), Text(shift)]);
            let about = "The weights over the running deviations.";
            // The deviation is of the step's own ε, even if another step shares the weight.
            let scale = self.numbers(format!("L{}_SCALE", self.step), about, &scale);
            self.call("scale_each", [Write(y), count(plane), Text(scale)]);
            if affine {
                let bias = self.vector(step, "bias")?;
                self.call("shift_each", [Write(y), count(plane), bias]);
            }
            return Ok(y);
        }
        let function = if settings.kind == "RmsNorm" { "normalise_rms" } else { "normalise" };
        self.call(function, [Write(y), count(run), Text(number(epsilon))]);
        if affine {
            let weight = self.vector(step, "weight")?;
            self.call("scale_each", [Write(y), count(plane), weight]);
            if bias && settings.kind != "RmsNorm" {
                let bias = self.vector(step, "bias")?;
                self.call("shift_each", [Write(y), count(plane), bias]);
            }
        }
        Ok(y)
    }

    fn sinusoidal_positions(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Base { base } = settings.read()?;
        let y = self.changeable(step);
        let width = sizes.last();
        let positions: Vec<T> = (0..sizes.from(0))
            .map(|index| {
                let (step, feature) = (index / width, index % width);
                let angle = step as f64 * frequency(feature / 2, width, base);
                T::from_f64(if feature % 2 == 0 { Scalar::sin(angle) } else { Scalar::cos(angle) })
            })
            .collect();
        let table =
            self.numbers(format!("L{}_POSITIONS", self.step), "Sines and cosines of the positions.", &positions);
        self.call("add", [Write(y), Text(table)]);
        Ok(y)
    }

    /// Turns the heads in the first `turned` numbers of each row of `y`, a row for each step.
    fn rotate(&mut self, rotary: Rotary, y: usize, row: usize, turned: usize, [steps, width]: [usize; 2]) {
        let half = width / 2;
        let mut table = |name: &str, of: fn(f64) -> f64| {
            let numbers = (0..steps * half).map(|index| {
                let angle = (index / half) as f64 * frequency(index % half, width, rotary.base);
                T::from_f64(of(angle))
            });
            let matrix = super::Matrix { rows: steps, columns: half, numbers: numbers.collect() };
            let (of, bytes) = (format!("[[{}; {half}]; {steps}]", T::NAME), size_of_val(&*matrix.numbers));
            // Queries and keys of different lengths have tables of their own.
            let about = format!("{name} of the angles of {steps} steps.");
            let constant = format!("{}_{steps}", name.to_uppercase());
            Text(self.own_constant(&constant, &about, &of, matrix.text(0), bytes))
        };
        let tables = [table("Cosines", Scalar::cos), table("Sines", Scalar::sin)];
        let function = if rotary.interleaved { "rotate_pairs" } else { "rotate_halves" };
        self.call(function, [Write(y), count(row), count(turned)].into_iter().chain(tables));
    }

    fn pad(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let Pad { rows, columns, mode } = settings.read()?;
        let rank = sizes.input().len();
        let width = sizes.last();
        let height = if rows == [0; 2] { 1 } else { sizes.input().iter().rev().nth(1).copied().unwrap_or(1) };
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        let source = |length: usize, [before, _]: [usize; 2], place: usize| -> usize {
            let (first, last) = (before, before + length - 1);
            match mode {
                _ if (first..=last).contains(&place) => place - before,
                PadMode::Reflect if place < first => first - place,
                PadMode::Reflect => length - 1 - (place - last),
                PadMode::Circular if place < first => length - (first - place),
                PadMode::Circular => place - last - 1,
                _ if place < first => 0,
                _ => length - 1,
            }
        };
        if let PadMode::Constant(constant) = mode {
            self.call(".fill", [Write(y), Text(number(T::from_f64(constant)))]);
            let padded = columns.iter().sum::<usize>() + width;
            let planes: usize = sizes.input().iter().take(rank.saturating_sub(2)).product();
            if rows == [0; 2] {
                let to = pair([padded, columns.first().copied().unwrap_or(0)]);
                self.call("copy_blocks", [x, pair([width, 0]), Write(y), to, count(width)]);
                return Ok(y);
            }
            let [above, below] = rows;
            let whole = (above + height + below) * padded;
            // A row at a time, of all planes.
            for row in 0..height {
                let to = pair([whole, (above + row) * padded + columns.first().copied().unwrap_or(0)]);
                let x = x.clone();
                self.call("copy_blocks", [x, pair([height * width, row * width]), Write(y), to, count(width)]);
            }
            debug_assert_eq!(planes * whole, sizes.output.len());
            return Ok(y);
        }
        let table = |length: usize, sides: [usize; 2]| {
            (0..length + sides.iter().sum::<usize>()).map(move |place| source(length, sides, place)).collect()
        };
        let (rows, columns) = (table(height, rows), table(width, columns));
        self.gather(x, y, [height, width], [rows, columns]);
        Ok(y)
    }

    /// y[i, j] = x[rows[i], columns[j]]
    fn gather(&mut self, x: Argument, y: usize, plane: [usize; 2], [rows, columns]: [Vec<usize>; 2]) {
        let mut table = |name: &str, places: Vec<usize>| {
            let items: Vec<String> = places.iter().map(usize::to_string).collect();
            let of = format!("[usize; {}]", places.len());
            let about = format!("Which of the {} of layer {} are copied.", name.to_lowercase(), self.step);
            Text(self.own_constant(name, &about, &of, flat(&items, 0), size_of_val(&*places)))
        };
        let tables = [table("ROWS", rows), table("COLUMNS", columns)];
        self.call("gather", [x, Write(y), pair(plane)].into_iter().chain(tables));
    }

    fn upsample(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let Upsample { target, interpolation } = settings.read()?;
        let aligned = interpolation == "BilinearAlignedCorners";
        let (from, to) = (Sizes::plane(sizes.input()), Sizes::plane(sizes.output.axes()));
        let [down, across] = [0, 1].map(|axis| {
            let at = |sizes: [usize; 2]| sizes.get(axis).copied().unwrap_or(1);
            let (input, output) = (at(from), at(to));
            let step = match target {
                _ if aligned && output == 1 => 0.0,
                _ if aligned => (input - 1) as f64 / (output - 1) as f64,
                Target::Factor(factor) => 1.0 / factor.get(axis).copied().unwrap_or(1.0),
                Target::Size(_) => input as f64 / output as f64,
            };
            (input, output, step)
        });
        let (x, y) = (self.input(step, 0), self.space(sizes.output.len()));
        if interpolation == "Nearest" {
            let nearest = |(input, output, step): (usize, usize, f64)| {
                let place = move |place: usize| match output {
                    _ if output == input => place,
                    _ if output == 2 * input => place / 2,
                    _ => ((place as f32 * step as f32) as usize).min(input - 1),
                };
                (0..output).map(place).collect()
            };
            self.gather(x, y, from, [nearest(down), nearest(across)]);
            return Ok(y);
        }
        let mut table = |name: &str, (input, output, step): (usize, usize, f64)| {
            let items: Vec<String> = (0..output)
                .map(|place| {
                    if output == input {
                        return format!("({place}, {place}, 0.0)");
                    }
                    let at = if aligned { step * place as f64 } else { step * (place as f64 + 0.5) - 0.5 };
                    let at = at.max(0.0);
                    let first = (at as usize).min(input - 1);
                    let weight = T::from_f64((at - first as f64).min(1.0));
                    format!("({first}, {}, {})", (first + 1).min(input - 1), number(weight))
                })
                .collect();
            let of = format!("[(usize, usize, {}); {output}]", T::NAME);
            let about = format!("The neighbours among the {}.", name.to_lowercase());
            let bytes = output * (2 * size_of::<usize>() + size_of::<T>());
            Text(self.own_constant(name, &about, &of, flat(&items, 0), bytes))
        };
        let tables = [table("ROWS", down), table("COLUMNS", across)];
        self.call("interpolate", [x, Write(y), pair(from)].into_iter().chain(tables));
        Ok(y)
    }

    fn recurrent(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let layer: Recurrent = settings.read()?;
        let Recurrent { hidden, layers, bidirectional, lengths, last_state, .. } = layer;
        let (cell, gates, state) = match (settings.kind.as_str(), layer.nonlinearity.as_str()) {
            ("Lstm", _) => ("lstm", 4, 2),
            ("Gru", _) => ("gru", 3, 1),
            (_, "Relu") => ("rnn_relu", 1, 1),
            (_, "Tanh") => ("rnn_tanh", 1, 1),
            (_, other) => return Err(format!("this version has no Rust for its nonlinearity {other}")),
        };
        let steps = sizes.input().first().copied().unwrap_or(1);
        let directions: &[&str] = if bidirectional { &["", "_reverse"] } else { &[""] };
        let width = hidden * directions.len();
        let (mut x, mut features) = (self.input(step, 0), sizes.last());
        let memory = self.space((2 * gates + state) * hidden);
        let mut y = 0;
        for depth in 0..layers {
            let last_state = last_state && depth + 1 == layers;
            y = self.space(if last_state { width } else { steps * width });
            if lengths && !last_state {
                self.call(".fill", [Write(y), text("0.0")]);
            }
            for (index, suffix) in directions.iter().enumerate() {
                let weights =
                    self.direction(step, &format!("l{depth}{suffix}"), [features, hidden, gates], layer.bias)?;
                let order = format!(
                    "Order {{\n    reverse: {},\n    last_state: {last_state},\n    width: {width},\n    offset: {},\n}}",
                    index == 1,
                    index * hidden
                );
                let name = format!("ORDER_L{depth}{}", suffix.to_uppercase());
                let about = format!("How layer {} goes through time.", self.step);
                let order = self.own_constant(&name, &about, "Order", order, 3 * size_of::<usize>());
                let present = if lengths { self.length(step, 1, 1, steps) } else { count(steps) };
                let arguments = [x.clone(), Text(weights), Write(y), Write(memory), present, Text(order), text(cell)];
                self.call("recurrent", arguments);
            }
            (x, features) = (Read(y), width);
        }
        Ok(y)
    }

    /// The weights and biases of one direction of one layer.
    fn direction(
        &mut self,
        step: &StepDescription,
        name: &str,
        [features, hidden, gates]: [usize; 3],
        bias: bool,
    ) -> Result<String, String> {
        let sums = gates * hidden;
        let mut fields = String::new();
        let mut bytes = 0;
        for part in ["ih", "hh"] {
            let matrix = self.array(step, &format!("weight_{part}_{name}"))?.matrix();
            if self.int8 {
                let quantised = matrix.quantised().ok_or(NOT_FINITE)?;
                let scales = flat(&quantised.scales.iter().map(|&scale| number(scale)).collect::<Vec<_>>(), 4);
                let text = quantised.text(matrix.columns, 4);
                fields.push_str(&format!("    weight_{part}: {text},\n    scale_{part}: {scales},\n"));
                bytes += quantised.numbers.len() + size_of_val(&*quantised.scales);
            } else {
                fields.push_str(&format!("    weight_{part}: {},\n", matrix.text(4)));
                bytes += size_of_val(&*matrix.numbers);
            }
        }
        for part in ["ih", "hh"] {
            let numbers = if bias {
                let numbers = &self.array(step, &format!("bias_{part}_{name}"))?.numbers;
                flat(&numbers.iter().map(|&x| number(x)).collect::<Vec<_>>(), 4)
            } else {
                format!("[0.0; {sums}]")
            };
            fields.push_str(&format!("    bias_{part}: {numbers},\n"));
            bytes += sums * size_of::<T>();
        }
        let constant = format!("L{}_{}", self.owner(step), super::identifier(name));
        let about = format!("`{}`: the weights and biases that end with `_{name}`.", super::one_line(&step.name));
        let of = format!("Direction<{features}, {hidden}, {sums}>");
        Ok(self.constant(constant, &about, &of, || format!("Direction {{\n{fields}}}"), bytes))
    }

    fn attention(&mut self, settings: &Settings, step: &StepDescription, sizes: &Sizes<'_>) -> Result<usize, String> {
        let Attention { heads, bias, causal, lengths, rotary } = settings.read()?;
        let (last, width) = (sizes.inputs.len() - 1, sizes.last());
        let memory = usize::from(sizes.inputs.len() == 2 + usize::from(lengths));
        let steps = |index: usize| sizes.inputs.get(index).and_then(|shape| shape.axes().first().copied()).unwrap_or(1);
        let (queries, keys) = (steps(0), steps(memory));
        let head = width / heads.max(1);
        let (x, m) = (self.input(step, 0), self.input(step, memory));
        let (q, kv, scores) = (self.space(queries * width), self.space(2 * keys * width), self.space(keys));
        let weights = self.weights(step, "in_proj_weight")?;
        let biases = if bias { Some(self.vector(step, "in_proj_bias")?) } else { None };
        // Queries have the first rows of the weights, keys and values the others.
        let part = |range: &str, zeros: usize| -> Vec<Argument> {
            let cut = |argument: &Argument| match argument {
                Text(constant) => Text(format!("{constant}[{range}]")),
                other => other.clone(),
            };
            let bias = biases.as_ref().map_or_else(|| Text(format!("&[0.0; {zeros}]")), cut);
            weights.iter().map(cut).chain([bias]).collect()
        };
        let of_queries = part(&format!("..{width}"), width);
        self.call("affine", [x].into_iter().chain(of_queries).chain([Write(q)]));
        let of_memory = part(&format!("{width}.."), 2 * width);
        self.call("affine", [m].into_iter().chain(of_memory).chain([Write(kv)]));
        if let Some(rotary) = rotary {
            self.rotate(rotary, q, width, width, [queries, head]);
            self.rotate(rotary, kv, 2 * width, width, [keys, head]);
        }
        let present = if lengths { self.length(step, last, 1, keys) } else { count(keys) };
        let scale = Text(number(T::from_f64(1.0 / (head as f64).sqrt())));
        let causal = text(causal.to_string());
        self.call("attend", [Write(q), Read(kv), Write(scores), count(heads), scale, present, causal]);
        let mut arguments = vec![Read(q)];
        arguments.extend(self.weights(step, "out_proj.weight")?);
        arguments.push(if bias { self.vector(step, "out_proj.bias")? } else { Text(format!("&[0.0; {width}]")) });
        Ok(self.make("affine", arguments, sizes.output.len()))
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

#[derive(Deserialize)]
struct Base {
    base: f64,
}

#[derive(Deserialize)]
struct Norm {
    epsilon: Option<f64>,
    #[serde(default)]
    groups: usize,
    #[serde(default)]
    axes: usize,
    #[serde(default = "yes")]
    bias: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Slopes {
    lower: f64,
    upper: f64,
}

/// The angle by which the pair turns from one step to the next.
fn frequency(pair: usize, width: usize, base: f64) -> f64 {
    Scalar::exp(-base.ln() * (2 * pair) as f64 / width as f64)
}

/// The function of one number that an activation is; `None` if the layer is none.
fn activation<T: Scalar>(kind: &str, settings: &Settings) -> Result<Option<String>, String> {
    let number = |x: f64| number(T::from_f64(x));
    let call = |name: &str, settings: &[f64]| {
        let settings: String = settings.iter().map(|&setting| format!(", {}", number(setting))).collect();
        format!("|x| {name}(x{settings})")
    };
    // As in the activation: scale and scale · alpha.
    const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.050_700_987_355_480_5 * 1.673_263_242_354_377_2];
    const GELU: [f64; 2] = [0.797_884_560_802_865_4, 0.044_715];
    if !ACTIVATIONS.contains(&kind) {
        return Ok(None);
    }
    if kind == "RRelu" {
        let Slopes { lower, upper } = settings.read()?;
        return Ok(Some(call("leaky_relu", &[0.5 * (lower + upper)])));
    }
    let set: Activation = settings.read()?;
    Ok(Some(match kind {
        "Relu" | "Tanh" | "Sigmoid" | "Silu" | "Mish" | "Hardswish" | "Softsign" => kind.to_lowercase(),
        "Softplus" if set.beta == 1.0 => "softplus".into(),
        "Softplus" => format!("|x| softplus({0} * x) / {0}", number(set.beta)),
        "LogSigmoid" => "|x| -softplus(-x)".into(),
        "Tanhshrink" => "|x| x - tanh(x)".into(),
        "Selu" => call("selu", &SELU),
        "LeakyRelu" => call("leaky_relu", &[set.negative_slope]),
        "Elu" => call("elu", &[set.alpha]),
        "Celu" => call("celu", &[set.alpha]),
        "Relu6" => "|x| x.clamp(0.0, 6.0)".into(),
        "Hardtanh" => format!("|x| x.clamp({}, {})", number(set.min), number(set.max)),
        "Hardsigmoid" => "|x| (x + 3.0).clamp(0.0, 6.0) / 6.0".into(),
        "Hardshrink" => call("hardshrink", &[set.lambda]),
        "Softshrink" => format!("|x| x - x.clamp({}, {})", number(-set.lambda), number(set.lambda)),
        "Threshold" => call("threshold", &[set.threshold, set.value]),
        "Gelu" if set.approximation == "Erf" => "gelu".into(),
        "Gelu" if set.approximation == "Tanh" => call("gelu_tanh", &GELU),
        _ => return Err(format!("this version has no Rust for its settings {}", set.approximation)),
    }))
}

const ACTIVATIONS: [&str; 22] = [
    "Celu",
    "Elu",
    "Gelu",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyRelu",
    "LogSigmoid",
    "Mish",
    "RRelu",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
];
