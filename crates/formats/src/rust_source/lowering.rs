//! The layers of a network as calls of the functions in a file, and their numbers as its constants.

use std::collections::BTreeMap;
use std::fmt::Write;

use downhill_network::{Network, NetworkDescription, StepDescription};
use downhill_tensor::{Scalar, Shape};

use super::constants::{Matrix, flat, number};
use super::memory::{Place, Stay};
use super::{FORMAT, one_line};
use crate::FormatError;
use crate::settings::Settings;

mod layers;

/// An argument of a function.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    /// Numbers that it reads.
    Read(usize),
    /// Numbers that it overwrites or changes.
    Write(usize),
    /// The first of some numbers, as a whole number from `least` to `most`.
    Whole { from: usize, least: usize, most: usize },
    /// Anything else, as it stands.
    Text(String),
}

/// A call of a function, or of a method of the first argument if its name begins with a dot.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: String,
    pub(super) arguments: Vec<Argument>,
}

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) title: String,
    pub(super) calls: Vec<Call>,
}

/// All that a file is made of.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) stages: Vec<Stage>,
    pub(super) stays: Vec<Stay>,
    /// The constants, as text.
    pub(super) constants: String,
    /// The memory that they take.
    pub(super) bytes: usize,
}

/// An array of a layer, in the axes in which PyTorch and files have it.
struct Array<T> {
    name: String,
    shape: Vec<usize>,
    numbers: Vec<T>,
}

impl<T: Scalar> Array<T> {
    /// Its first axis as rows, all others as columns.
    fn matrix(&self) -> Matrix<T> {
        let rows = self.shape.first().copied().unwrap_or(1);
        Matrix { rows, columns: self.numbers.len() / rows.max(1), numbers: self.numbers.clone() }
    }
}

/// The arrays of a layer, by the last part of their names.
type Arrays<T> = BTreeMap<String, Array<T>>;

struct Lowering<'a, T> {
    int8: bool,
    description: &'a NetworkDescription,
    /// The arrays of each step that owns some.
    arrays: Vec<Arrays<T>>,
    /// The shape of each node.
    shapes: Vec<Shape>,
    /// The stay that holds the numbers of each node.
    values: Vec<usize>,
    /// How many of its readers each node still waits for.
    readers: Vec<usize>,
    lowered: Lowered,
    /// The names of the constants that are written.
    written: Vec<String>,
    /// The step that is being lowered.
    step: usize,
}

pub(super) fn lower<T: Scalar>(network: &Network<T>, int8: bool) -> Result<Lowered, FormatError> {
    let description = network.description().map_err(|error| {
        let downhill_network::DescriptionError::Unknown { place, layer } = &error else {
            return refusal("", "a layer", error.to_string());
        };
        let reason = "it is not one of downhill-layers; write the function that it computes by hand";
        refusal(place, layer, reason.to_owned())
    })?;
    let mut readers = vec![0; description.inputs.len() + description.steps.len()];
    let read = description.steps.iter().flat_map(|step| &step.inputs).chain([&description.output]);
    read.for_each(|&node| readers.get_mut(node).into_iter().for_each(|count| *count += 1));
    let mut lowering = Lowering {
        int8,
        arrays: Vec::new(),
        shapes: description.inputs.clone(),
        values: Vec::new(),
        readers,
        lowered: Lowered { stages: Vec::new(), stays: Vec::new(), constants: String::new(), bytes: 0 },
        written: Vec::new(),
        step: 0,
        description: &description,
    };
    for (index, shape) in description.inputs.iter().enumerate() {
        lowering.values.push(index);
        let place = Some(Place::Input(index));
        lowering.lowered.stays.push(Stay { numbers: shape.len(), first: 0, last: 0, place });
    }
    lowering.read_arrays(network)?;
    for (index, step) in description.steps.iter().enumerate() {
        lowering.step = index;
        let kind = step.layer.library().map(|layer| Settings::of(layer).kind);
        let kind = kind.unwrap_or_else(|| "a custom layer".to_owned());
        lowering.lower_step(step).map_err(|reason| refusal(&step.name, &kind, reason))?;
    }
    lowering.end();
    Ok(lowering.lowered)
}

const CUSTOM: &str = "it is not one of downhill-layers; write the function that it computes by hand";

fn refusal(place: &str, layer: &str, reason: String) -> FormatError {
    FormatError::Layer { format: FORMAT, place: place.to_owned(), layer: layer.to_owned(), reason }
}

impl<T: Scalar> Lowering<'_, T> {
    /// Reads the parameters and the running statistics of all steps: both lie in the order of the steps that own them.
    fn read_arrays(&mut self, network: &Network<T>) -> Result<(), FormatError> {
        let (mut parameters, mut statistics) = (network.segments().iter(), network.statistic_segments().iter());
        for (step, place) in self.description.steps.iter().zip(network.places()) {
            let signature = place.signature();
            self.shapes.push(signature.output());
            let mut arrays = Arrays::new();
            if step.shares.is_none() {
                let own = parameters.by_ref().take(signature.parameters().len());
                let own = own.map(|segment| (segment, network.parameters()));
                let kept = statistics.by_ref().take(signature.statistics().len());
                for (segment, numbers) in own.chain(kept.map(|segment| (segment, network.statistics()))) {
                    let numbers = numbers.get(segment.range.clone()).unwrap_or_default();
                    let mut array = Array {
                        name: segment.name.clone(),
                        shape: segment.shape.axes().to_vec(),
                        numbers: numbers.to_vec(),
                    };
                    if let (true, &[rows, columns]) = (segment.transposed, &*array.shape) {
                        let column = |column: usize| numbers.iter().skip(column).step_by(columns.max(1)).take(rows);
                        array.numbers = (0..columns).flat_map(column).copied().collect();
                        array.shape = vec![columns, rows];
                    }
                    let short = segment.name.strip_prefix(&step.name).unwrap_or(&segment.name);
                    arrays.insert(short.trim_start_matches('.').to_owned(), array);
                }
            }
            self.arrays.push(arrays);
        }
        Ok(())
    }

    fn lower_step(&mut self, step: &StepDescription) -> Result<(), String> {
        let inputs: Vec<Shape> = step.inputs.iter().map(|&node| self.shape(node)).collect();
        let layer = step.layer.library().ok_or(CUSTOM)?;
        let output = self.shape(self.description.inputs.len() + self.step);
        for shape in inputs.iter().chain([&output]) {
            if shape.len() == 0 {
                return Err(format!("an example of shape {shape} holds no numbers; leave the layer out"));
            }
        }
        let settings = Settings::of(layer);
        let shapes: Vec<String> = inputs.iter().map(Shape::to_string).collect();
        let title = format!("`{}` {}: {} -> {output}", one_line(&step.name), settings.kind, shapes.join(" and "));
        self.lowered.stages.push(Stage { title, calls: Vec::new() });
        let value = self.lower_layer(&settings, step, &inputs, output)?;
        for &node in &step.inputs {
            if let Some(count) = self.readers.get_mut(node) {
                *count = count.saturating_sub(1);
            }
        }
        self.values.push(value);
        Ok(())
    }

    /// Puts the prediction where the caller wants it.
    fn end(&mut self) {
        let Some(&value) = self.values.get(self.description.output) else { return };
        let Some(stay) = self.lowered.stays.get_mut(value) else { return };
        if stay.place.is_none() {
            stay.place = Some(Place::Output);
            return;
        }
        // Layers that change nothing: the prediction is an input.
        let stay = Stay { place: Some(Place::Output), ..*stay };
        self.lowered.stays.push(stay);
        let title = "The prediction".to_owned();
        self.lowered.stages.push(Stage { title, calls: Vec::new() });
        self.call(".copy_from_slice", [Argument::Write(self.lowered.stays.len() - 1), Argument::Read(value)]);
    }

    fn shape(&self, node: usize) -> Shape {
        self.shapes.get(node).copied().unwrap_or([].into())
    }

    fn value(&self, node: usize) -> usize {
        self.values.get(node).copied().unwrap_or_default()
    }

    /// Reads the input of this index of the step.
    fn input(&self, step: &StepDescription, index: usize) -> Argument {
        Argument::Read(self.value(step.inputs.get(index).copied().unwrap_or_default()))
    }

    /// The input of this index as a whole number: a length.
    fn length(&self, step: &StepDescription, index: usize, least: usize, most: usize) -> Argument {
        let Argument::Read(from) = self.input(step, index) else { return Argument::Text(most.to_string()) };
        Argument::Whole { from, least, most }
    }

    fn call(&mut self, function: impl Into<String>, arguments: impl IntoIterator<Item = Argument>) {
        let call = Call { function: function.into(), arguments: arguments.into_iter().collect() };
        let now = self.lowered.stages.len() - 1;
        for argument in &call.arguments {
            if let Argument::Read(stay) | Argument::Write(stay) | Argument::Whole { from: stay, .. } = argument
                && let Some(stay) = self.lowered.stays.get_mut(*stay)
            {
                stay.last = now;
            }
        }
        if let Some(stage) = self.lowered.stages.last_mut() {
            stage.calls.push(call);
        }
    }

    /// Space for this many numbers, from this stage on.
    fn space(&mut self, numbers: usize) -> usize {
        let now = self.lowered.stages.len() - 1;
        self.lowered.stays.push(Stay { numbers, first: now, last: now, place: None });
        self.lowered.stays.len() - 1
    }

    /// The first input where a layer may change it: itself if nothing else reads it, or else a copy.
    fn changeable(&mut self, step: &StepDescription) -> usize {
        let node = step.inputs.first().copied().unwrap_or_default();
        let value = self.value(node);
        let same = self.values.iter().zip(&self.readers).filter(|(other, _)| **other == value);
        let readers: usize = same.map(|(_, readers)| readers).sum();
        let of_caller = self.lowered.stays.get(value).is_none_or(|stay| stay.place.is_some());
        if readers == 1 && !of_caller {
            return value;
        }
        let copy = self.space(self.shape(node).len());
        self.call(".copy_from_slice", [Argument::Write(copy), Argument::Read(value)]);
        copy
    }

    /// The step whose arrays this one uses.
    fn owner(&self, step: &StepDescription) -> usize {
        step.shares.unwrap_or(self.step)
    }

    fn array(&self, step: &StepDescription, name: &str) -> Result<&Array<T>, String> {
        let arrays = self.arrays.get(self.owner(step));
        arrays.and_then(|arrays| arrays.get(name)).ok_or_else(|| format!("it has no array `{name}`"))
    }

    /// Writes a constant unless it is there, and returns a reference to it as text.
    fn constant(&mut self, name: String, about: &str, of: &str, text: impl FnOnce() -> String, bytes: usize) -> String {
        let reference = format!("&{name}");
        if !self.written.contains(&name) {
            let _ = writeln!(self.lowered.constants, "\n/// {about}\n#[rustfmt::skip]");
            if of.contains(T::NAME) {
                let _ =
                    writeln!(self.lowered.constants, "#[allow(clippy::approx_constant)] // A number may lie near π.");
            }
            let _ = writeln!(self.lowered.constants, "static {name}: {of} = {};", text());
            self.lowered.bytes += bytes;
            self.written.push(name);
        }
        reference
    }

    /// A constant of the step's own: sizes, tables.
    fn own_constant(&mut self, name: &str, about: &str, of: &str, text: String, bytes: usize) -> String {
        self.constant(format!("L{}_{name}", self.step), about, of, || text, bytes)
    }

    /// A vector of numbers, such as a bias.
    fn vector(&mut self, step: &StepDescription, name: &str) -> Result<Argument, String> {
        let array = self.array(step, name)?;
        let (numbers, about) = (array.numbers.clone(), format!("`{}`.", one_line(&array.name)));
        let constant = format!("L{}_{}", self.owner(step), identifier(name));
        Ok(Argument::Text(self.numbers(constant, &about, &numbers)))
    }

    fn numbers(&mut self, constant: String, about: &str, numbers: &[T]) -> String {
        let items = || flat(&numbers.iter().map(|&x| number(x)).collect::<Vec<_>>(), 0);
        let of = format!("[{}; {}]", T::NAME, numbers.len());
        self.constant(constant, about, &of, items, size_of_val(numbers))
    }

    /// The bias, or zeros if there is none.
    fn bias(&mut self, step: &StepDescription, has: bool, outputs: usize) -> Result<Argument, String> {
        if has { self.vector(step, "bias") } else { Ok(Argument::Text(format!("&[0.0; {outputs}]"))) }
    }

    /// A matrix of weights: its rows, and with int8 their scales.
    fn weights(&mut self, step: &StepDescription, name: &str) -> Result<Vec<Argument>, String> {
        let array = self.array(step, name)?;
        let about = format!("`{}`, of shape {:?}.", one_line(&array.name), array.shape);
        let matrix = array.matrix();
        let constant = format!("L{}_{}", self.owner(step), identifier(name));
        let Matrix { rows, columns, .. } = matrix;
        if !self.int8 {
            let of = format!("[[{}; {columns}]; {rows}]", T::NAME);
            let bytes = size_of_val(&*matrix.numbers);
            return Ok(vec![Argument::Text(self.constant(constant, &about, &of, || matrix.text(0), bytes))]);
        }
        let quantised = matrix.quantised().ok_or(NOT_FINITE)?;
        let of = format!("[[i8; {columns}]; {rows}]");
        let text = || quantised.text(columns, 0);
        let weight = self.constant(constant.clone(), &about, &of, text, quantised.numbers.len());
        let about = format!("The scales of the rows of `{constant}`.");
        let scale = self.numbers(format!("{constant}_SCALE"), &about, &quantised.scales);
        Ok(vec![Argument::Text(weight), Argument::Text(scale)])
    }
}

const NOT_FINITE: &str = "a weight is not finite, so that its row has no scale; write the weights as they are, without \
                          int8";

/// A name as a constant has it.
fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
