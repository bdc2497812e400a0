//! The equations of layers, by name: y, and the numbers between x and y, such as the gates of a memory.
//!
//! An equation is a formula of x, of parameters and of numbers before it. Its derivatives, and so the whole backward pass
//! through the layer, follow by the chain rule. All is compared with what the layer itself has computed.

use crate::Function::{Exp, Ln, Relu, Sigmoid, Sqrt, Tanh};
use crate::explanation::{Array, Explanation, Inner, Local, LocalDerivative, Parameter, Step};
use crate::expression::{apply, constant, divided, minus, negative, product, quotient, squared, sum};
use crate::format::unravel;
use crate::formulas::{gives, softmax, softmax_slope};
use crate::{Expression, Number, Variable, printed};
use downhill_tensor::Shape;

/// An array between x and y: how it is written, as text and as LaTeX, its axes, and whether the batch has one of it or
/// each example its own.
pub(crate) struct Letters {
    text: String,
    latex: String,
    axes: Vec<usize>,
    of_batch: bool,
}

fn letters(text: &str, latex: &str, axes: &[usize]) -> Letters {
    Letters { text: text.to_owned(), latex: latex.to_owned(), axes: axes.to_vec(), of_batch: false }
}

/// The equations of one kind of layer.
pub(crate) trait Equations {
    /// The arrays between x and y; none if y follows from x at once.
    fn arrays(&self) -> Vec<Letters> {
        Vec::new()
    }

    /// The order in which their numbers are computed: (array, place).
    fn order(&self, at: &Layer<'_>) -> Vec<(usize, usize)> {
        let count = |letters: &Letters| {
            let each: usize = letters.axes.iter().product();
            if letters.of_batch { each } else { each * at.all.examples }
        };
        let arrays = self.arrays();
        let all = arrays.iter().enumerate();
        all.flat_map(|(array, letters)| (0..count(letters)).map(move |index| (array, index))).collect()
    }

    /// A number of an array.
    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let _ = (at, array, index);
        None
    }

    /// A number of y.
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression>;

    /// A derivative, of a number of an array or of y, if it is shorter than the rules of differentiation have it.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        let _ = (at, array, index, by);
        None
    }
}

/// A layer in an explanation.
pub(crate) struct Layer<'e> {
    all: &'e Explanation,
    step: usize,
    at: &'e Step,
}

impl<'e> Layer<'e> {
    /// None if what the explanation has does not fit the shapes, as in a file that was changed.
    fn new(all: &'e Explanation, step: usize) -> Option<Self> {
        let at = all.steps.get(step)?;
        let fits =
            |array: &Array, shape: Shape, examples| shape.len().checked_mul(examples) == Some(array.numbers.len());
        let mut nodes = at.inputs.iter().chain([&at.output]).map(|&node| all.nodes.get(node));
        let mut parameters = at.parameters.iter().map(|&parameter| all.parameters.get(parameter));
        let is_whole = nodes.all(|node| node.is_some_and(|node| fits(&node.values, node.shape, all.examples)))
            && parameters.all(|at| at.is_some_and(|at| fits(&at.values, at.shape, 1)));
        is_whole.then_some(Self { all, step, at })
    }

    /// The table of layers.
    fn equations(&self) -> Option<Box<dyn Equations>> {
        let equations: Box<dyn Equations> = match self.at.layer.as_str() {
            "Conv1d" | "Conv2d" => Box::new(Convolution::of(self)?),
            "BatchNorm" | "LayerNorm" | "GroupNorm" | "InstanceNorm" | "RmsNorm" => Box::new(Norm::of(self)?),
            "Rnn" | "Lstm" | "Gru" => Box::new(Recurrent::of(self)?),
            "MultiHeadAttention" => Box::new(Attention::of(self)?),
            _ => Box::new(AtOnce),
        };
        Some(equations)
    }

    fn x(&self, input: usize, index: usize) -> Option<Expression> {
        self.all.x(self.step, input, index)
    }

    fn y(&self, index: usize) -> Option<Expression> {
        self.all.number(Number::Value { node: self.at.output, index })
    }

    fn inner(&self, array: usize, index: usize) -> Option<Expression> {
        self.all.number(Number::Inner { step: self.step, array, index })
    }

    /// A parameter of this name within the layer, and its place.
    fn parameter(&self, name: &str) -> Option<(usize, &'e Parameter)> {
        let mut own =
            self.at.parameters.iter().filter_map(|&parameter| Some((parameter, self.all.parameters.get(parameter)?)));
        let is_it = |at: &Parameter| {
            at.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        own.find(|(_, at)| is_it(at))
    }

    fn theta(&self, name: &str, index: usize) -> Option<Expression> {
        self.all.number(Number::Parameter { parameter: self.parameter(name)?.0, index })
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn set(&self, name: &str) -> Option<f64> {
        printed::number(&self.at.settings, name)
    }

    fn count(&self, name: &str) -> Option<usize> {
        self.counts(name).first().copied()
    }

    /// Whole numbers of a setting, none so large that products with a shape's axes overflow.
    fn counts(&self, name: &str) -> Vec<usize> {
        printed::numbers(&self.at.settings, name).into_iter().map(|number| number as u32 as usize).collect()
    }

    fn is(&self, name: &str, word: &str) -> bool {
        printed::is(&self.at.settings, name, word)
    }

    /// The axes of an example of an input.
    fn x_axes(&self, input: usize) -> Option<&'e [usize]> {
        Some(self.all.nodes.get(*self.at.inputs.get(input)?)?.shape.axes())
    }

    /// The axes of an example of y.
    fn y_axes(&self) -> Option<&'e [usize]> {
        Some(self.all.nodes.get(self.at.output)?.shape.axes())
    }
}

/// The products of two rows of numbers, whose sum is meant.
fn weighted(
    count: usize,
    x: impl Fn(usize) -> Option<Expression>,
    weight: impl Fn(usize) -> Option<Expression>,
) -> Option<Vec<Expression>> {
    (0..count).map(|index| Some(product([x(index)?, weight(index)?]))).collect()
}

/// The place of indices along axes.
fn ravel(indices: &[usize], axes: &[usize]) -> usize {
    indices.iter().zip(axes).fold(0, |place, (index, axis)| place * axis + index)
}

/// y = f(x) without anything between, if it is known.
struct AtOnce;

impl Equations for AtOnce {
    fn slope(&self, at: &Layer<'_>, _: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match by {
            Variable::Input { index: other, .. } if at.at.layer == "Softmax" => {
                Some(softmax_slope(at.y(index)?, at.y(other)?, index == other))
            }
            _ => None,
        }
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let axes = at.y_axes()?;
        let own = || at.x(0, index);
        let row = || {
            let width = axes.last().copied().unwrap_or(1).max(1);
            let start = index / width * width;
            (start..start + width).map(|index| at.x(0, index)).collect::<Option<Vec<_>>>()
        };
        Some(match at.at.layer.as_str() {
            "Softmax" => softmax(own()?, row()?),
            "Softmin" => softmax(negative(own()?), row()?.into_iter().map(negative)),
            "LogSoftmax" => minus(own()?, apply(Ln, sum(row()?.into_iter().map(|x| apply(Exp, x))))),
            "Multiply" => {
                let factors = (0..at.at.inputs.len()).map(|input| at.x(input, index));
                product(factors.collect::<Option<Vec<_>>>()?)
            }
            "Scale" => product([at.theta("weight", 0)?, own()?]),
            "PRelu" if own()?.evaluate() > 0.0 => own()?,
            "PRelu" => {
                let slopes = at.parameter("weight")?.1.shape.len();
                let length: usize = axes.iter().product();
                let channel = (index % length.max(1)).checked_div(length.checked_div(slopes)?)?;
                product([at.theta("weight", channel)?, own()?])
            }
            // a σ(b), the two halves of x
            "Glu" => {
                let x_axes = at.x_axes(0)?;
                let axis = at.count("axis").unwrap_or(axes.len().checked_sub(1)?);
                let length: usize = axes.iter().product();
                let mut place = unravel(index % length.max(1), axes);
                let start = index / length.max(1) * length * 2;
                let value = at.x(0, start + ravel(&place, x_axes))?;
                *place.get_mut(axis)? += axes.get(axis)?;
                product([value, apply(Sigmoid, at.x(0, start + ravel(&place, x_axes))?)])
            }
            _ => return None,
        })
    }
}

/// y[o, i] = Σ x[c, i·s + u·d − p] w[o, c, u] + b[o], along one axis or two.
struct Convolution {
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Vec<usize>,
    groups: usize,
}

impl Convolution {
    fn of(at: &Layer<'_>) -> Option<Self> {
        let (_, weight) = at.parameter("weight")?;
        let kernel = weight.shape.axes().get(2..)?;
        // One number, or one for each axis.
        let each = |name: &str| {
            let numbers = at.counts(name);
            kernel.iter().enumerate().map(|(axis, _)| *numbers.get(axis).or(numbers.first()).unwrap_or(&1)).collect()
        };
        let (stride, dilation): (Vec<usize>, Vec<usize>) = (each("stride"), each("dilation"));
        let sides = at.counts("padding");
        let before = |(axis, (kernel, dilation)): (usize, (&usize, &usize))| match at.is("padding", "Same") {
            true => dilation.saturating_mul(kernel.saturating_sub(1)) / 2,
            false => sides.get(2 * axis).copied().unwrap_or(0),
        };
        let padding = kernel.iter().zip(&dilation).enumerate().map(before).collect();
        Some(Self { stride, dilation, padding, groups: at.count("groups")? })
    }
}

impl Equations for Convolution {
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let (_, weight) = at.parameter("weight")?;
        let (w_axes, x_axes, y_axes) = (weight.shape.axes(), at.x_axes(0)?, at.y_axes()?);
        let (taps_axes, y_length, x_length) =
            (w_axes.get(1..)?, y_axes.iter().product::<usize>(), x_axes.iter().product::<usize>());
        let (example, y) = (index.checked_div(y_length)?, unravel(index % y_length, y_axes));
        let output = *y.first()?;
        let per_group = w_axes.first()?.checked_div(self.groups)?;
        let first = output.checked_div(per_group)? * taps_axes.first()?;
        let taps: usize = taps_axes.iter().product();
        let mut terms = Vec::new();
        for tap in 0..taps {
            let tap_at = unravel(tap, taps_axes);
            let mut x = vec![first + tap_at.first()?];
            for axis in 0..self.stride.len() {
                let (stride, dilation) = (self.stride.get(axis)?, self.dilation.get(axis)?);
                let moved = tap_at.get(axis + 1)?.saturating_mul(*dilation);
                let place = y.get(axis + 1)?.saturating_mul(*stride).saturating_add(moved);
                // Around the input there are zeros.
                match place
                    .checked_sub(*self.padding.get(axis)?)
                    .filter(|place| x_axes.get(axis + 1).is_some_and(|length| place < length))
                {
                    Some(place) => x.push(place),
                    None => break,
                }
            }
            if x.len() == x_axes.len() {
                let x = at.x(0, example * x_length + ravel(&x, x_axes))?;
                terms.push(product([x, at.theta("weight", output * taps + tap)?]));
            }
        }
        if at.has("bias") {
            terms.push(at.theta("bias", output)?);
        }
        Some(sum(terms))
    }
}

/// μ = Σ x / n, v = Σ (x − μ)² / n, r = 1 / √(v + ε), x̂ = (x − μ) r, y = x̂ w + b, with the mean and the variance of a
/// group.
struct Norm {
    /// Whether a group is a channel of all examples.
    of_batch: bool,
    /// Whether the mean is subtracted.
    centred: bool,
    epsilon: f64,
    examples: usize,
    axes: Vec<usize>,
    /// The numbers of an example.
    length: usize,
    /// The groups of an example, or of the batch.
    groups: usize,
    /// The neighbours that share a weight, and how many weights there are.
    plane: usize,
    weights: usize,
}

impl Norm {
    fn of(at: &Layer<'_>) -> Option<Self> {
        let axes = at.x_axes(0)?.to_vec();
        let length: usize = axes.iter().product();
        let channels = *axes.first()?;
        let last: usize = axes.iter().rev().take(at.count("axes").unwrap_or(0)).product();
        let name = at.at.layer.as_str();
        let (groups, weights) = match name {
            "LayerNorm" | "RmsNorm" => (length.checked_div(last)?, last),
            "GroupNorm" => (at.count("groups")?, channels),
            _ => (channels, channels),
        };
        let plane = if matches!(name, "LayerNorm" | "RmsNorm") { 1 } else { length.checked_div(channels)? };
        let machine = if at.all.precision == "f32" { f64::from(f32::EPSILON) } else { f64::EPSILON };
        Some(Self {
            of_batch: name == "BatchNorm",
            centred: name != "RmsNorm",
            epsilon: at.set("epsilon").unwrap_or(machine),
            examples: at.all.examples,
            axes,
            length,
            groups,
            plane,
            weights,
        })
        .filter(|norm| norm.length > 0 && norm.groups > 0 && norm.length % norm.groups == 0 && norm.plane > 0)
    }

    /// The group of a number of x.
    fn group(&self, index: usize) -> usize {
        if self.of_batch { index % self.length / self.plane } else { index / (self.length / self.groups) }
    }

    /// The numbers of a group.
    fn members(&self, group: usize) -> Vec<usize> {
        let each = self.length / self.groups;
        match self.of_batch {
            true => (0..self.examples)
                .flat_map(|example| (0..each).map(move |at| (example, at)))
                .map(|(example, at)| example * self.length + group * each + at)
                .collect(),
            false => (group * each..(group + 1) * each).collect(),
        }
    }

    /// The array of x̂.
    fn normalised(&self) -> usize {
        if self.centred { 3 } else { 2 }
    }

    /// x, or x − μ.
    fn centred(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let x = at.x(0, index)?;
        Some(if self.centred { minus(x, at.inner(0, self.group(index))?) } else { x })
    }
}

impl Equations for Norm {
    fn arrays(&self) -> Vec<Letters> {
        let of_group =
            |text: &str, latex: &str| Letters { of_batch: self.of_batch, ..letters(text, latex, &[self.groups]) };
        let normalised = letters("x̂", "\\hat{x}", &self.axes);
        match self.centred {
            true => vec![of_group("μ", "\\mu"), of_group("v", "v"), of_group("r", "r"), normalised],
            false => vec![of_group("q", "q"), of_group("r", "r"), normalised],
        }
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        if array == self.normalised() {
            return Some(product([self.centred(at, index)?, at.inner(array - 1, self.group(index))?]));
        }
        if array + 1 == self.normalised() {
            let spread = at.inner(array.checked_sub(1)?, index)?;
            let spread = if self.epsilon == 0.0 { spread } else { sum([spread, constant(self.epsilon)]) };
            return Some(quotient(constant(1.0), apply(Sqrt, spread)));
        }
        let members = self.members(index);
        let is_mean = self.centred && array == 0;
        let term = |&index: &usize| match is_mean {
            true => at.x(0, index),
            false => self.centred(at, index).map(squared),
        };
        let terms = members.iter().map(term).collect::<Option<Vec<_>>>()?;
        Some(divided(sum(terms), members.len() as f64))
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let normalised = at.inner(self.normalised(), index)?;
        let channel = index % self.length / self.plane % self.weights.max(1);
        let mut terms = vec![match at.has("weight") {
            true => product([normalised, at.theta("weight", channel)?]),
            false => normalised,
        }];
        if at.has("bias") {
            terms.push(at.theta("bias", channel)?);
        }
        Some(sum(terms))
    }

    /// −½ r³, of r by the variance.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match (array, by) {
            (Some(array), Variable::Inner { array: of, .. }) if array + 1 == self.normalised() && of + 1 == array => {
                Some(product([constant(-0.5), Expression::Power(Box::new(at.inner(array, index)?), 3)]))
            }
            _ => None,
        }
    }
}

/// The kinds of cells, with what each computes at a step, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// a, h
    Plain { relu: bool },
    /// The four sums, the four gates, c, h
    Lstm,
    /// u from the input and v from the state, of each gate; the three gates, h
    Gru,
}

impl Cell {
    fn letters(self) -> &'static [&'static str] {
        match self {
            Self::Plain { .. } => &["a", "h"],
            Self::Lstm => &["a_i", "a_f", "a_g", "a_o", "i", "f", "g", "o", "c", "h"],
            Self::Gru => &["u_r", "u_z", "u_n", "v_r", "v_z", "v_n", "r", "z", "n", "h"],
        }
    }

    fn gates(self) -> usize {
        match self {
            Self::Plain { .. } => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// The two passes of a recurrent layer through time, for each layer and each direction.
struct Recurrent {
    cell: Cell,
    layers: usize,
    directions: usize,
    hidden: usize,
    steps: usize,
    features: usize,
    examples: usize,
}

impl Recurrent {
    fn of(at: &Layer<'_>) -> Option<Self> {
        let cell = match at.at.layer.as_str() {
            "Lstm" => Cell::Lstm,
            "Gru" => Cell::Gru,
            _ => Cell::Plain { relu: at.is("cell", "Relu") },
        };
        let &[steps, features] = at.x_axes(0)? else { return None };
        let &[hidden, _] = at.parameter("weight_hh_l0")?.1.shape.axes() else { return None };
        let layers = (0..).take_while(|layer| at.has(&format!("weight_hh_l{layer}"))).count();
        let directions = if at.has("weight_hh_l0_reverse") { 2 } else { 1 };
        // With lengths some steps are left out.
        let fits = at.at.inputs.len() == 1 && hidden > 0 && steps > 0;
        fits.then_some(Self { cell, layers, directions, hidden, steps, features, examples: at.all.examples })
    }

    /// The first array of one direction of one layer.
    fn block(&self, layer: usize, direction: usize) -> usize {
        (layer * self.directions + direction) * self.cell.letters().len()
    }

    /// The end of the names of its parameters.
    fn suffix(&self, block: usize) -> String {
        let (layer, direction) = (block / self.directions, block % self.directions);
        format!("_l{layer}{}", if direction == 0 { "" } else { "_reverse" })
    }

    fn place(&self, example: usize, step: usize, unit: usize) -> usize {
        (example * self.steps + step) * self.hidden + unit
    }

    /// What comes from the input of the step, or from the state before it, to a unit of a gate.
    fn weighed(&self, at: &Layer<'_>, block: usize, from: Side, gate: usize, index: usize) -> Option<Vec<Expression>> {
        let (unit, row) = (index % self.hidden, index / self.hidden);
        let (step, example) = (row % self.steps, row / self.steps);
        let (gates, suffix) = (self.cell.gates() * self.hidden, self.suffix(block));
        let column = gate * self.hidden + unit;
        let layer = block / self.directions;
        let (name, count) = match from {
            Side::Input if layer == 0 => ("ih", self.features),
            Side::Input => ("ih", self.directions * self.hidden),
            Side::State => ("hh", if self.before(block, step).is_some() { self.hidden } else { 0 }),
        };
        let state = self.cell.letters().len() - 1;
        let number = |index: usize| match from {
            Side::Input if layer == 0 => at.x(0, (example * self.steps + step) * self.features + index),
            Side::Input => {
                let below = self.block(layer - 1, index / self.hidden) + state;
                at.inner(below, self.place(example, step, index % self.hidden))
            }
            Side::State => {
                let first = block * self.cell.letters().len();
                at.inner(first + state, self.place(example, self.before(block, step)?, index))
            }
        };
        let weight = |index: usize| at.theta(&format!("weight_{name}{suffix}"), index * gates + column);
        let mut terms = weighted(count, number, weight)?;
        let bias = format!("bias_{name}{suffix}");
        if at.has(&bias) {
            terms.push(at.theta(&bias, column)?);
        }
        Some(terms)
    }

    /// The step that is read before this one.
    fn before(&self, block: usize, step: usize) -> Option<usize> {
        match block % self.directions {
            0 => step.checked_sub(1),
            _ => Some(step + 1).filter(|&step| step < self.steps),
        }
    }
}

/// The source of the numbers of a sum.
#[derive(Clone, Copy)]
enum Side {
    Input,
    State,
}

impl Equations for Recurrent {
    fn arrays(&self) -> Vec<Letters> {
        let blocks = self.layers * self.directions;
        let named = |block: usize| {
            self.cell.letters().iter().map(move |&text| {
                let latex = if text.len() > 1 { format!("{{{text}}}") } else { text.to_owned() };
                if blocks == 1 {
                    return letters(text, &latex, &[self.steps, self.hidden]);
                }
                let suffix = self.suffix(block);
                let latex = format!("{{{latex}^{{\\text{{{}}}}}}}", suffix.trim_start_matches('_').replace('_', " "));
                letters(&format!("{text}{suffix}"), &latex, &[self.steps, self.hidden])
            })
        };
        (0..blocks).flat_map(named).collect()
    }

    fn order(&self, _: &Layer<'_>) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        for block in 0..self.layers * self.directions {
            for turn in 0..self.steps {
                let step = if block % self.directions == 0 { turn } else { self.steps - 1 - turn };
                for array in 0..self.cell.letters().len() {
                    for example in 0..self.examples {
                        let units = (0..self.hidden).map(|unit| self.place(example, step, unit));
                        order.extend(units.map(|index| (block * self.cell.letters().len() + array, index)));
                    }
                }
            }
        }
        order
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let (block, letter) = (array / self.cell.letters().len(), array % self.cell.letters().len());
        let (row, unit) = (index / self.hidden, index % self.hidden);
        let (step, example) = (row % self.steps, row / self.steps);
        let own = |letter: usize| at.inner(block * self.cell.letters().len() + letter, index);
        let last = |letter: usize| {
            let before = self.before(block, step)?;
            at.inner(block * self.cell.letters().len() + letter, self.place(example, before, unit))
        };
        let from = |from: Side, gate: usize| self.weighed(at, block, from, gate, index);
        let both = |gate: usize| Some(sum([from(Side::Input, gate)?, from(Side::State, gate)?].concat()));
        Some(match (self.cell, letter) {
            (Cell::Plain { .. }, 0) => both(0)?,
            (Cell::Plain { relu }, _) => apply(if relu { Relu } else { Tanh }, own(0)?),

            (Cell::Lstm, 0..=3) => both(letter)?,
            (Cell::Lstm, 6) => apply(Tanh, own(2)?),
            (Cell::Lstm, 4..=7) => apply(Sigmoid, own(letter - 4)?),
            (Cell::Lstm, 8) => {
                let taken = product([own(4)?, own(6)?]);
                match last(8) {
                    Some(kept) => sum([product([own(5)?, kept]), taken]),
                    None => taken,
                }
            }
            (Cell::Lstm, _) => product([own(7)?, apply(Tanh, own(8)?)]),

            (Cell::Gru, 0..=2) => sum(from(Side::Input, letter)?),
            (Cell::Gru, 3..=5) => sum(from(Side::State, letter - 3)?),
            (Cell::Gru, 6 | 7) => apply(Sigmoid, sum([own(letter - 6)?, own(letter - 3)?])),
            (Cell::Gru, 8) => apply(Tanh, sum([own(2)?, product([own(6)?, own(5)?])])),
            (Cell::Gru, _) => {
                let new = product([minus(constant(1.0), own(7)?), own(8)?]);
                match last(9) {
                    Some(kept) => sum([new, product([own(7)?, kept])]),
                    None => new,
                }
            }
        })
    }

    /// y is h of the top layer, at each step or at the last one that each direction has read.
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let width = self.directions * self.hidden;
        let (row, column) = (index / width, index % width);
        let (direction, unit) = (column / self.hidden, column % self.hidden);
        let (example, step) = match at.y_axes()?.len() {
            1 => (row, if direction == 0 { self.steps - 1 } else { 0 }),
            _ => (row / self.steps, row % self.steps),
        };
        let state = self.block(self.layers.checked_sub(1)?, direction) + self.cell.letters().len() - 1;
        at.inner(state, self.place(example, step, unit))
    }
}

/// Q = x Wq + bq, K and V likewise, S = Q Kᵀ / √d, P = softmax(S), C = P V, y = C Wo + bo.
struct Attention {
    heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    causal: bool,
    /// The input that keys and values are made of.
    memory: usize,
}

/// The places of the arrays.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;
const S: usize = 3;
const P: usize = 4;
const C: usize = 5;

impl Attention {
    fn of(at: &Layer<'_>) -> Option<Self> {
        let memory = at.at.inputs.len().checked_sub(1)?;
        let (&[queries, width], &[keys, _]) = (at.x_axes(0)?, at.x_axes(memory)?) else { return None };
        let heads = at.count("heads").filter(|&heads| heads > 0 && width % heads == 0 && width > 0 && keys > 0)?;
        let plain = at.is("lengths", "false") && at.is("rotary", "None") && queries > 0;
        plain.then_some(Self { heads, width, queries, keys, causal: at.is("causal", "true"), memory })
    }

    /// The keys that a query sees.
    fn seen(&self, query: usize) -> usize {
        if self.causal { self.keys.min(query + 1) } else { self.keys }
    }
}

impl Equations for Attention {
    fn arrays(&self) -> Vec<Letters> {
        let (queries, keys) = ([self.queries, self.width], [self.keys, self.width]);
        let scores = [self.heads, self.queries, self.keys];
        let shapes: [(&str, &[usize]); 6] =
            [("Q", &queries), ("K", &keys), ("V", &keys), ("S", &scores), ("P", &scores), ("C", &queries)];
        shapes.into_iter().map(|(letter, axes)| letters(letter, letter, axes)).collect()
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let (width, head_width) = (self.width, self.width / self.heads);
        if array <= V {
            let (row, column) = (index / width, array * width + index % width);
            let input = if array == Q { 0 } else { self.memory };
            let weight = |from: usize| at.theta("in_proj_weight", from * 3 * width + column);
            let mut terms = weighted(width, |from| at.x(input, row * width + from), weight)?;
            if at.has("in_proj_bias") {
                terms.push(at.theta("in_proj_bias", column)?);
            }
            return Some(sum(terms));
        }
        if array == C {
            let (row, column) = (index / width, index % width);
            let (example, query) = (row / self.queries, row % self.queries);
            let head = column / head_width;
            let share = |key: usize| at.inner(P, self.score(example, head, query, key));
            let value = |key: usize| at.inner(V, (example * self.keys + key) * width + column);
            return Some(sum(weighted(self.seen(query), share, value)?));
        }
        let (row, key) = (index / self.keys, index % self.keys);
        let (query, rest) = (row % self.queries, row / self.queries);
        let (head, example) = (rest % self.heads, rest / self.heads);
        if array == S {
            let part =
                |array: usize, row: usize| move |index: usize| at.inner(array, row * width + head * head_width + index);
            let (query, key) = (example * self.queries + query, example * self.keys + key);
            let terms = weighted(head_width, part(Q, query), part(K, key))?;
            return Some(divided(sum(terms), (head_width as f64).sqrt()));
        }
        // What is masked has no share.
        if key >= self.seen(query) {
            return Some(constant(0.0));
        }
        let score = |key: usize| at.inner(S, self.score(example, head, query, key));
        let all: Vec<Expression> = (0..self.seen(query)).map(score).collect::<Option<_>>()?;
        Some(softmax(score(key)?, all))
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let (row, column) = (index / self.width, index % self.width);
        let weight = |from: usize| at.theta("out_proj.weight", from * self.width + column);
        let mut terms = weighted(self.width, |from| at.inner(C, row * self.width + from), weight)?;
        if at.has("out_proj.bias") {
            terms.push(at.theta("out_proj.bias", column)?);
        }
        Some(sum(terms))
    }

    /// P (δ − P) of a share by the scores of its row.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match (array, by) {
            (Some(P), Variable::Inner { array: S, index: other }) => {
                Some(softmax_slope(at.inner(P, index)?, at.inner(P, other)?, index == other))
            }
            _ => None,
        }
    }
}

impl Attention {
    /// The place of a query and a key among the scores.
    fn score(&self, example: usize, head: usize, query: usize, key: usize) -> usize {
        ((example * self.heads + head) * self.queries + query) * self.keys + key
    }
}

/// The formula of a number of y.
pub(crate) fn output(all: &Explanation, step: usize, index: usize) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    at.equations()?.output(&at, index)
}

/// The formula of a derivative, of a number of an array between x and y or of y.
pub(crate) fn slope(
    all: &Explanation,
    step: usize,
    array: Option<usize>,
    index: usize,
    by: Variable,
) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    let equations = at.equations()?;
    equations.slope(&at, array, index, by).or_else(|| {
        let (y, formula) = match array {
            Some(array) => (at.inner(array, index)?, equations.inner(&at, array, index)?),
            None => (at.y(index)?, equations.output(&at, index)?),
        };
        Some(formula.derivative_of(&y, &all.variable(step, by)?))
    })
}

/// The formula of a number between x and y.
pub(crate) fn inner(all: &Explanation, step: usize, array: usize, index: usize) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    at.equations()?.inner(&at, array, index)
}

/// Works out the numbers between x and y of a step, their derivatives and their gradients, if its equations are known and
/// give what the layer itself has computed.
pub(crate) fn solve(all: &mut Explanation, step: usize, most: usize) {
    let Some(at) = Layer::new(all, step) else { return };
    let Some(equations) = at.equations() else { return };
    let (arrays, order) = (equations.arrays(), equations.order(&at));
    if arrays.is_empty() || order.is_empty() || order.len() > most {
        return;
    }
    let Some(inner) = arrays.into_iter().map(|letters| unsolved(letters, all.examples)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let Some(at) = all.steps.get_mut(step) else { return };
    let before = std::mem::replace(&mut at.local, Local::Equations { inner, derivatives: Vec::new() });
    if solved(all, step, equations.as_ref(), &order, most).is_none()
        && let Some(at) = all.steps.get_mut(step)
    {
        at.local = before;
    }
}

fn unsolved(letters: Letters, examples: usize) -> Option<Inner> {
    let Letters { text, latex, axes, of_batch } = letters;
    let shape = Shape::new(&axes)?;
    let count = if of_batch { shape.len() } else { shape.len() * examples };
    let zeros = Array::new(vec![0.0; count], true);
    Some(Inner { name: text, latex, shape, of_batch, values: zeros.clone(), gradient: zeros })
}

/// The derivatives of one number by each number in its formula.
struct Row {
    /// The array and the place; none for a number of y.
    array: Option<usize>,
    index: usize,
    slopes: Vec<(Variable, f64)>,
}

fn solved(
    all: &mut Explanation,
    step: usize,
    equations: &dyn Equations,
    order: &[(usize, usize)],
    most: usize,
) -> Option<()> {
    let (mut rows, mut count) = (Vec::new(), 0);
    // Forward.
    for &(array, index) in order {
        let (value, row) = {
            let at = Layer::new(all, step)?;
            let formula = equations.inner(&at, array, index)?;
            (formula.evaluate(), slopes(&at, Some(array), index, &formula)?)
        };
        count += row.slopes.len();
        if count > most {
            return None;
        }
        rows.push(row);
        let Local::Equations { inner, .. } = &mut all.steps.get_mut(step)?.local else { return None };
        *inner.get_mut(array)?.values.numbers.get_mut(index)? = value;
    }
    let (outputs, precision) = (all.nodes.get(all.steps.get(step)?.output)?, all.precision.clone());
    for (index, &y) in outputs.values.numbers.iter().enumerate() {
        let at = Layer::new(all, step)?;
        let largest = all.largest(Number::Value { node: at.at.output, index });
        let formula = equations.output(&at, index).filter(|formula| gives(formula, y, largest, &precision))?;
        rows.push(slopes(&at, None, index, &formula)?);
    }
    if rows.iter().map(|row| row.slopes.len()).sum::<usize>() > most {
        return None;
    }
    // Backward: each number gives its gradient, times the derivative, to the numbers of its formula.
    let at = all.steps.get(step)?;
    let zeros = |arrays: &[Array]| arrays.iter().map(|array| vec![Summed::default(); array.numbers.len()]).collect();
    let (mut dx, mut dtheta): (Vec<Vec<Summed>>, Vec<Vec<Summed>>) = (zeros(&at.dx), zeros(&at.dtheta));
    let Local::Equations { inner, .. } = &at.local else { return None };
    let mut gradients: Vec<Vec<Summed>> =
        inner.iter().map(|inner| vec![Summed::default(); inner.values.numbers.len()]).collect();
    for row in rows.iter().rev() {
        let gradient = match row.array {
            None => {
                let sum = *outputs.gradient.numbers.get(row.index)?;
                Summed { sum, size: sum.abs() }
            }
            Some(array) => *gradients.get(array)?.get(row.index)?,
        };
        for &(by, slope) in &row.slopes {
            let to = match by {
                Variable::Input { input, index } => dx.get_mut(input)?.get_mut(index)?,
                Variable::Parameter { parameter, index } => dtheta.get_mut(at.place_of(parameter)?)?.get_mut(index)?,
                Variable::Inner { array, index } => gradients.get_mut(array)?.get_mut(index)?,
            };
            to.sum += gradient.sum * slope;
            to.size += gradient.size * slope.abs();
        }
    }
    let tolerance = if precision == "f32" { 1e-4 } else { 1e-9 };
    // Within the rounding of the largest sum of an array.
    let agree = |arrays: &[Array], got: &[Vec<Summed>]| {
        let agrees = |(array, got): (&Array, &Vec<Summed>)| {
            let size = got.iter().map(|got| got.size).filter(|size| size.is_finite()).fold(0.0, f64::max);
            let mut pairs = array.numbers.iter().zip(got);
            pairs.all(|(own, got)| *own == got.sum || (own - got.sum).abs() <= tolerance * size)
        };
        arrays.iter().zip(got).all(agrees)
    };
    if !agree(&at.dx, &dx) || !agree(&at.dtheta, &dtheta) {
        return None;
    }
    let address = |row: &Row, by: Variable| match row.array {
        None => Number::Derivative { step, output: row.index, by },
        Some(array) => Number::InnerDerivative { step, array, index: row.index, by },
    };
    let all_of = |row: &Row| {
        let numbers = row.slopes.iter().map(|&(by, value)| LocalDerivative { number: address(row, by), value });
        numbers.collect::<Vec<_>>()
    };
    let mut found: Vec<LocalDerivative> = rows.iter().flat_map(all_of).collect();
    found.sort_by_key(|derivative| derivative.number);
    let Local::Equations { inner, derivatives } = &mut all.steps.get_mut(step)?.local else { return None };
    *derivatives = found;
    for (inner, gradient) in inner.iter_mut().zip(gradients) {
        inner.values = Array::new(std::mem::take(&mut inner.values.numbers), true);
        inner.gradient = Array::new(gradient.iter().map(|gradient| gradient.sum).collect(), true);
    }
    Some(())
}

/// A sum of products, and that of their magnitudes.
#[derive(Clone, Copy, Default)]
struct Summed {
    sum: f64,
    size: f64,
}

fn slopes(at: &Layer<'_>, array: Option<usize>, index: usize, formula: &Expression) -> Option<Row> {
    let variable = |letter: &Expression| match letter.letter()?.0 {
        Number::Value { index, .. } => {
            let is_it = |&input: &usize| at.x(input, index).is_some_and(|x| x.letter() == letter.letter());
            Some(Variable::Input { input: (0..at.at.inputs.len()).find(is_it)?, index })
        }
        Number::Parameter { parameter, index } => Some(Variable::Parameter { parameter, index }),
        Number::Inner { array, index, .. } => Some(Variable::Inner { array, index }),
        _ => None,
    };
    // Of y itself the derivative needs no more than the formula.
    let slope = |letter: &Expression| Some((variable(letter)?, formula.derivative_of(formula, letter).evaluate()));
    let slopes = formula.letters().into_iter().map(slope).collect::<Option<_>>()?;
    Some(Row { array, index, slopes })
}
