//! The layers that a file is read as, before they become a network.

use std::collections::HashMap;
use std::rc::Rc;

use downhill_layers::{Description, Layer, MAX_INPUTS, Permute, Reshape};
use downhill_network::{Block, Graph, Network, Node, Shared};
use downhill_tensor::{BuildError, Scalar, Seed, Shape};

use super::constant::Const;
use super::view::View;
use crate::FormatError;

/// The numbers of a parameter.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// The parameter's name within its layer.
    pub(super) name: String,
    pub(super) values: Rc<Const>,
    /// Whether the values are a matrix whose axes are the other way round than PyTorch has them.
    pub(super) transposed: bool,
}

impl Numbers {
    pub(super) fn new(name: &str, values: &Rc<Const>) -> Self {
        Self { name: name.to_owned(), values: Rc::clone(values), transposed: false }
    }
}

/// One layer at its place.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) layer: Description,
    pub(super) inputs: Vec<usize>,
    pub(super) numbers: Vec<Numbers>,
    /// What the node is called that it was read from, and its kind.
    title: (String, &'static str),
    frozen: bool,
}

impl Step {
    /// The name of the parameters in the file, if it tells, or that of the node, which some layers add their kind to.
    fn name(&self, taken: &mut HashMap<String, usize>) -> String {
        let (title, kind) = &self.title;
        let named = self.numbers.iter().filter_map(|numbers| {
            let origin = numbers.values.origin.as_deref()?;
            origin.strip_suffix(numbers.name.as_str())?.strip_suffix('.').filter(|name| !name.is_empty())
        });
        let with_kind = || format!("{title}_{}", kind.to_lowercase());
        let mut name = match named.min_by_key(|name| name.len()) {
            Some(name) => name.to_owned(),
            None if matches!(*kind, "Reshape" | "Permute") => with_kind(),
            None => title.clone(),
        };
        if taken.contains_key(&name) && name == *title {
            name = with_kind();
        }
        loop {
            let number = taken.entry(name.clone()).or_default();
            *number += 1;
            if *number == 1 {
                return name;
            }
            name = format!("{name}_{number}");
        }
    }
}

#[derive(Debug)]
struct Made {
    shape: Shape,
    by: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    values: Vec<Made>,
    steps: Vec<Step>,
    /// The network's inputs, which are its first values.
    inputs: usize,
    /// What the layers that are placed now are called.
    pub(super) name: String,
    /// The numbers that parameters may have beyond those that the file holds.
    room: usize,
}

/// The most layers of a network.
const MOST_STEPS: usize = 1 << 16;

impl Plan {
    pub(super) fn new(bytes: usize) -> Self {
        Self { room: bytes / 2 + (1 << 20), ..Self::default() }
    }

    pub(super) fn input(&mut self, shape: &[usize]) -> Result<usize, String> {
        if self.inputs == MAX_INPUTS {
            return Err(format!("a network has at most {MAX_INPUTS} inputs"));
        }
        self.inputs += 1;
        self.values.push(Made { shape: shape_of(shape)?, by: None });
        Ok(self.values.len() - 1)
    }

    pub(super) fn shape(&self, value: usize) -> Shape {
        self.values.get(value).map_or_else(|| [0].into(), |made| made.shape)
    }

    pub(super) fn is_input(&self, value: usize) -> bool {
        value < self.inputs
    }

    /// The step that makes a value.
    pub(super) fn step(&self, value: usize) -> Option<&Step> {
        self.steps.get(self.values.get(value)?.by?)
    }

    pub(super) fn place(&mut self, layer: impl Into<Description>, inputs: &[usize]) -> Result<usize, String> {
        self.place_with(layer, inputs, Vec::new(), false)
    }

    /// Adds a layer with all its parameters and statistics.
    pub(super) fn place_with(
        &mut self,
        layer: impl Into<Description>,
        inputs: &[usize],
        numbers: Vec<Numbers>,
        frozen: bool,
    ) -> Result<usize, String> {
        let layer = layer.into();
        if self.steps.len() == MOST_STEPS {
            return Err(format!("it would be one of more than {MOST_STEPS} layers, which are the most there can be"));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&value| self.shape(value)).collect();
        let signature = layer.signature(&shapes).map_err(|error| error.to_string())?;
        for (index, &input) in inputs.iter().enumerate() {
            if signature.whole_numbers_of(index).is_some() && !self.is_input(input) {
                return Err("the places it looks up must be an input of the model as it is".into());
            }
        }
        let length = signature.parameters_len();
        self.room = self.room.checked_sub(length).ok_or_else(|| {
            format!("{} would have {length} parameters, more than a file of this size may ask for", signature.name())
        })?;
        for parameter in signature.parameters().iter().chain(signature.statistics()) {
            let given = numbers.iter().find(|numbers| numbers.name == parameter.name);
            let known = given.is_some() || parameter.name == "num_batches_tracked";
            let count = given.map_or(0, |numbers| numbers.values.shape.iter().product::<usize>());
            if !known || (given.is_some() && count != parameter.shape.len()) {
                return Err(format!(
                    "`{}` of {} has {} numbers, but the file has {count} for it",
                    parameter.name,
                    signature.name(),
                    parameter.shape.len(),
                ));
            }
        }
        let title = (self.name.clone(), signature.name());
        self.values.push(Made { shape: signature.output(), by: Some(self.steps.len()) });
        self.steps.push(Step { layer, inputs: inputs.to_vec(), numbers, title, frozen });
        Ok(self.values.len() - 1)
    }

    /// The value in another shape.
    pub(super) fn shaped(&mut self, value: usize, shape: &[usize]) -> Result<usize, String> {
        let shape = shape_of(shape)?;
        if self.shape(value) == shape { Ok(value) } else { self.place(Reshape::new(shape), &[value]) }
    }

    /// The view with the parts of an example in this order in memory.
    pub(super) fn ordered(&mut self, view: &View, order: &[usize]) -> Result<View, String> {
        if order.len() != view.atoms.len() {
            return Err("its axes are not all there".into());
        }
        if order.iter().enumerate().all(|(place, &axis)| place == axis) {
            return Ok(view.clone());
        }
        // Parts that stay together are moved as one.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for &axis in order {
            match runs.last_mut() {
                Some((start, length)) if *start + *length == axis => *length += 1,
                _ => runs.push((axis, 1)),
            }
        }
        let mut sorted = runs.clone();
        sorted.sort_unstable();
        let shape: Vec<usize> =
            sorted.iter().map(|&(start, length)| view.atoms.iter().skip(start).take(length).product()).collect();
        let places: Vec<usize> = runs.iter().filter_map(|run| sorted.iter().position(|other| other == run)).collect();
        let value = self.shaped(view.value, &shape)?;
        let value = self.place(Permute::new(places), &[value])?;
        Ok(view.reordered(value, order))
    }

    /// The view with its axes in memory in the order in which the file has them.
    pub(super) fn canonical(&mut self, view: &View) -> Result<View, String> {
        let order: Vec<usize> = (0..view.rank()).flat_map(|axis| view.axes(axis)).collect();
        self.ordered(view, &order)
    }

    /// Builds the network that computes `output`.
    pub(super) fn network<T: Scalar>(&self, output: usize) -> Result<Network<T>, FormatError> {
        let mut wanted = vec![false; self.values.len()];
        let mark = |wanted: &mut Vec<bool>, value: usize| wanted.iter_mut().skip(value).take(1).for_each(|w| *w = true);
        mark(&mut wanted, output);
        for value in (self.inputs..self.values.len()).rev() {
            if wanted.get(value) == Some(&true) {
                self.step(value).iter().flat_map(|step| &step.inputs).for_each(|&input| mark(&mut wanted, input));
            }
        }
        let mut graph = Graph::new();
        let mut nodes: Vec<Option<Node>> = Vec::new();
        let mut shared: HashMap<String, Shared<Place>> = HashMap::new();
        let mut holders: HashMap<String, &Step> = HashMap::new();
        let mut taken = HashMap::new();
        for (value, made) in self.values.iter().enumerate() {
            let node = match self.step(value) {
                None => Some(graph.input(made.shape)),
                Some(step) if wanted.get(value) == Some(&true) => {
                    let inputs: Vec<Node> =
                        step.inputs.iter().filter_map(|&input| nodes.get(input).copied().flatten()).collect();
                    let name = step.name(&mut taken);
                    holders.insert(name.clone(), step);
                    Some(graph.scoped(name, |graph| place(step, graph, &inputs, &mut shared))?)
                }
                Some(_) => None,
            };
            nodes.push(node);
        }
        let output = nodes.get(output).copied().flatten().ok_or_else(|| FormatError::Malformed {
            format: "ONNX",
            reason: "the output is made by no layer".into(),
        })?;
        let mut network = Network::from_graph(&graph, output, Seed(0))?;
        for segment in network.segments().to_vec() {
            let columns = segment.shape.axes().last().copied().unwrap_or(1);
            let slots = network.parameters_mut().get_mut(segment.range.clone()).unwrap_or_default();
            fill(find(&segment.name, &holders), columns, segment.transposed, slots);
        }
        for segment in network.statistic_segments().to_vec() {
            let slots = network.statistics_mut().get_mut(segment.range.clone()).unwrap_or_default();
            fill(find(&segment.name, &holders), 1, false, slots);
        }
        Ok(network)
    }
}

fn shape_of(axes: &[usize]) -> Result<Shape, String> {
    let shape = Shape::new(axes).ok_or_else(|| format!("an example of shape {axes:?} has too many axes"))?;
    shape.check("an example").map_err(|error| error.to_string())?;
    Ok(shape)
}

/// A layer under the name of the scope itself.
#[derive(Debug)]
struct Place(Description);

impl Block for Place {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        graph.place(self.0.clone(), &[x])
    }
}

/// Wires a step; those with the same parameters of the file share them.
fn place(
    step: &Step,
    graph: &mut Graph,
    inputs: &[Node],
    shared: &mut HashMap<String, Shared<Place>>,
) -> Result<Node, BuildError> {
    let origins: Option<Vec<&str>> = step.numbers.iter().map(|numbers| numbers.values.origin.as_deref()).collect();
    let mut wire = |graph: &mut Graph| match (&origins, inputs) {
        (Some(origins), &[input]) if !origins.is_empty() => {
            let layout: Vec<_> = step.numbers.iter().map(|numbers| (&numbers.name, numbers.transposed)).collect();
            let key = format!("{origins:?} {layout:?} {:?} {}", step.layer, step.frozen);
            shared.entry(key).or_insert_with(|| Shared::new(Place(step.layer.clone()))).wire(graph, input)
        }
        _ => graph.place(step.layer.clone(), inputs),
    };
    if step.frozen { graph.frozen(wire) } else { wire(graph) }
}

/// The numbers of a parameter by its whole name; a parameter's own name may have dots too.
fn find<'a>(whole: &str, holders: &HashMap<String, &'a Step>) -> Option<&'a Numbers> {
    whole.match_indices('.').rev().find_map(|(dot, _)| {
        let (step, name) = (whole.get(..dot)?, whole.get(dot + 1..)?);
        holders.get(step)?.numbers.iter().find(|numbers| numbers.name == name)
    })
}

/// Overwrites a parameter, a matrix of this many columns in memory which PyTorch has the other way round if it is
/// `transposed`.
fn fill<T: Scalar>(numbers: Option<&Numbers>, columns: usize, transposed: bool, slots: &mut [T]) {
    let Some(numbers) = numbers else { return };
    if let Some(value) = numbers.values.uniform() {
        slots.fill(T::from_f64(value));
        return;
    }
    let (columns, swap) = (columns.max(1), transposed != numbers.transposed);
    let rows = slots.len() / columns;
    for (place, slot) in slots.iter_mut().enumerate() {
        let from = if swap { (place % columns) * rows + place / columns } else { place };
        *slot = T::from_f64(numbers.values.data.real(from));
    }
}
