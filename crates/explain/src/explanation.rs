use std::collections::BTreeMap;

use downhill_tensor::Shape;

use crate::{Number, Variable};

/// A forward and a backward pass over one batch, as data.
///
/// Values flow along [`nodes`](Explanation::nodes): first come the inputs of the network, then what each step makes, in
/// the order in which steps run. Each step takes dJ/dy *from above*, multiplies its local derivatives in, and gives the
/// *products* dJ/dx and dJ/dθ back. If several steps read a node, or use a parameter, their products are summed.
///
/// Printed with `{}` it is aligned text with all arrays; with `{:#}` each number's origin follows.
/// [`markdown`](Explanation::markdown) has equations, and with the feature `serde` it is data for other programs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Explanation {
    /// The number of examples of the batch.
    pub examples: usize,
    /// The precision of the network's numbers, `f32` or `f64`. Here all are `f64`, which holds both exactly.
    pub precision: String,
    /// Whether each number is here; of a large network only norms are.
    pub full: bool,
    /// The inputs of the network, then the output of each step.
    pub nodes: Vec<Node>,
    /// The layers, in the order in which they run forward.
    pub steps: Vec<Step>,
    /// The parameters, in the order of θ.
    pub parameters: Vec<Parameter>,
    /// The loss.
    pub loss: LossStep,
    /// The update, if one was asked for.
    pub update: Option<Update>,
}

/// A value that flows through the network.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Node {
    /// The shape of one example.
    pub shape: Shape,
    /// The numbers of all examples.
    pub values: Array,
    /// dJ/d(values), complete.
    pub gradient: Array,
    /// Whether it holds whole numbers, such as places in a table: its gradient is then 0 and means nothing.
    pub whole_numbers: bool,
    /// The steps that read it, in the order in which their products are summed.
    pub readers: Vec<Reader>,
}

/// A step that reads a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Reader {
    /// The step.
    pub step: usize,
    /// Which of its inputs the node is.
    pub input: usize,
}

/// A layer at its place.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Step {
    /// The dotted name, such as `2.0`; empty for a layer outside any chain.
    pub name: String,
    /// The name of the layer, such as `Affine`.
    pub layer: String,
    /// Its settings as it prints them for debugging, such as `negative_slope` and `0.01`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub settings: BTreeMap<String, String>,
    /// The nodes that it reads.
    pub inputs: Vec<usize>,
    /// The node that it makes.
    pub output: usize,
    /// Its parameters, as places in [`Explanation::parameters`].
    pub parameters: Vec<usize>,
    /// The local derivatives.
    pub local: Local,
    /// dJ/dx for each input: the products that it gives back.
    pub dx: Vec<Array>,
    /// dJ/dθ for each of its parameters: the products that it gives back.
    pub dtheta: Vec<Array>,
}

/// The local derivatives of a step: what it knows without the rest of the network.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Local {
    /// y = x W + b: dy/dx = W, dy/dW = x, dy/db = 1.
    Affine,
    /// Each number of y is that of x by itself, by a function whose slope this is.
    Elementwise {
        /// dy/dx for each number.
        slope: Array,
    },
    /// y is the sum of the inputs, or the only one in another shape: each local derivative is 1.
    Sum,
    /// The Jacobian, computed by the layer's own backward pass with unit vectors for dJ/dy.
    Jacobian {
        /// dy/dx for each input, of all examples by all examples.
        dx: Vec<Matrix>,
        /// dy/dθ for each of the step's parameters.
        dtheta: Vec<Matrix>,
    },
    /// The equations of the layer, with the numbers between x and y, such as gates, means and scores.
    ///
    /// These are worked out by the equations, in f64; y, dJ/dx and dJ/dθ of the layer's own pass must agree with them
    /// within rounding.
    Equations {
        /// The arrays between x and y, in the order in which y follows from them.
        inner: Vec<Inner>,
        /// The derivative of each equation by each number in it, sorted by the addresses: those of
        /// [`Number::InnerDerivative`] for what lies between, and of [`Number::Derivative`] for y.
        derivatives: Vec<LocalDerivative>,
    },
    /// The Jacobian is larger than the limit, or the explanation has norms alone.
    NotListed,
}

/// An array between the x and the y of a step, as the equations have it, in f64.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Inner {
    /// How it is written, such as `c`.
    pub name: String,
    /// How LaTeX writes it.
    pub latex: String,
    /// The shape of one example, or of all if the batch shares it.
    pub shape: Shape,
    /// Whether the batch shares it, as the mean of a batch normalisation.
    pub of_batch: bool,
    /// The numbers.
    pub values: Array,
    /// dJ/d(values), complete.
    pub gradient: Array,
}

/// A local derivative with its address.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LocalDerivative {
    /// What is differentiated, and by what.
    pub number: Number,
    /// The derivative.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub value: f64,
}

/// A matrix of which only the entries are kept that are not 0.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Matrix {
    /// The numbers of y.
    pub rows: usize,
    /// The numbers of what y is differentiated by.
    pub columns: usize,
    /// The (row, column) of each entry, row after row.
    pub places: Vec<(usize, usize)>,
    /// The entries.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub entries: Vec<f64>,
}

/// The numbers of an array, and their norms.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Array {
    /// The norms.
    pub norms: Norms,
    /// All numbers, example after example; empty if the explanation is not full.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub numbers: Vec<f64>,
}

/// An array by a few numbers.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Norms {
    /// How many numbers there are.
    pub count: usize,
    /// The root of the sum of their squares.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub norm: f64,
    /// Their mean; 0 if there are none.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub mean: f64,
    /// The smallest; 0 if there are none.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub least: f64,
    /// The largest; 0 if there are none.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub largest: f64,
}

/// A parameter, its gradient and its update.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Parameter {
    /// The dotted name, such as `0.weight`.
    pub name: String,
    /// The shape in memory.
    pub shape: Shape,
    /// Whether symbols swap the two axes, as other frameworks do: an affine layer's weight lies (in, out) in memory,
    /// and w₂₁ leads from the first input to the second output.
    pub transposed: bool,
    /// Whether training leaves it as it is; its gradient is then 0.
    pub frozen: bool,
    /// The numbers.
    pub values: Array,
    /// dJ/dθ.
    pub gradient: Array,
    /// The numbers after the update.
    pub updated: Option<Array>,
    /// The factor on the learning rate, if the optimizer has a group with its own; 0 if the group is not stepped.
    #[cfg_attr(feature = "serde", serde(default, with = "downhill_tensor::exact::number"))]
    pub rate_factor: Option<f64>,
    /// The weight decay of its group, in place of the optimizer's.
    #[cfg_attr(feature = "serde", serde(default, with = "downhill_tensor::exact::number"))]
    pub weight_decay: Option<f64>,
    /// What the optimizer remembers for each number, if it says so.
    #[cfg_attr(feature = "serde", serde(default))]
    pub memory: Vec<Memory>,
    /// The steps that use it, in the order in which their products are summed; more than one if it is shared.
    pub steps: Vec<usize>,
}

/// What an optimizer remembers for each number of a parameter.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Memory {
    /// The name, such as `adam.m`.
    pub name: String,
    /// Before the update.
    pub before: Array,
    /// After the update.
    pub after: Array,
}

/// The loss, the last link of the chain.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LossStep {
    /// The name, such as `MeanSquaredError`.
    pub name: String,
    /// Its settings as it prints them for debugging, such as `delta` and `1.0`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub settings: BTreeMap<String, String>,
    /// The node that is compared with the targets. Its gradient is what the loss gives back.
    pub node: usize,
    /// The targets.
    pub targets: Targets,
    /// J.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub value: f64,
    /// What the sum of the loss's terms is divided by; 1 if it is not divided.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub divisor: f64,
}

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Targets {
    /// A number for each predicted one.
    Values(Array),
    /// The right classes, counted from 0; empty if the explanation is not full.
    Classes(Vec<u32>),
}

/// How θ is updated.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Update {
    /// The name of the optimizer, such as `GradientDescent`.
    pub optimizer: String,
    /// The links of its chain in order, each with its settings; empty if it is no chain of links.
    #[cfg_attr(feature = "serde", serde(default))]
    pub links: Vec<(String, BTreeMap<String, String>)>,
    /// The number of the step, from 1.
    #[cfg_attr(feature = "serde", serde(default))]
    pub number: u64,
    /// η.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub learning_rate: f64,
}

/// A connection of the graph: forward a value flows along it, backward a product.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Edge<'e> {
    /// The node that the value comes from.
    pub from: usize,
    /// The step that reads it.
    pub step: usize,
    /// Which of the step's inputs it is.
    pub input: usize,
    /// The shape of one example.
    pub shape: Shape,
    /// What flows forward.
    pub values: &'e Array,
    /// What flows back: the step's dJ/dx.
    pub gradient: &'e Array,
}

impl Explanation {
    /// The connections between nodes and steps, for a picture of the graph.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        self.steps.iter().enumerate().flat_map(move |(step, at)| {
            at.inputs.iter().zip(&at.dx).enumerate().filter_map(move |(input, (&from, gradient))| {
                let Node { shape, values, .. } = self.nodes.get(from)?;
                Some(Edge { from, step, input, shape: *shape, values, gradient })
            })
        })
    }

    /// The number of inputs of the network, which are the first nodes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.nodes.len().saturating_sub(self.steps.len())
    }

    /// The step that makes this node; none makes an input.
    #[must_use]
    pub fn maker(&self, node: usize) -> Option<usize> {
        self.steps.iter().position(|step| step.output == node)
    }

    /// The arrays between the x and the y of a step, if its equations are shown.
    pub(crate) fn inner_arrays(&self, step: usize) -> &[Inner] {
        match self.steps.get(step).map(|at| &at.local) {
            Some(Local::Equations { inner, .. }) => inner,
            _ => &[],
        }
    }

    /// An array between the x and the y of a step.
    pub(crate) fn inner(&self, step: usize, array: usize) -> Option<&Inner> {
        self.inner_arrays(step).get(array)
    }

    /// The derivative of an equation by a number in it.
    fn derivative(&self, step: usize, number: Number) -> Option<f64> {
        let Local::Equations { derivatives, .. } = &self.steps.get(step)?.local else { return None };
        let found = derivatives.binary_search_by_key(&number, |derivative| derivative.number).ok()?;
        derivatives.get(found).map(|derivative| derivative.value)
    }

    /// The array that has a number, and its place there; none if it lies in no array.
    fn place(&self, number: Number) -> Option<(&Array, usize)> {
        Some(match number {
            Number::Target { index } => {
                let Targets::Values(values) = &self.loss.targets else { return None };
                (values, index)
            }
            Number::Value { node, index } => (&self.nodes.get(node)?.values, index),
            Number::Gradient { node, index } => (&self.nodes.get(node)?.gradient, index),
            Number::Slope { step, index } => match &self.steps.get(step)?.local {
                Local::Elementwise { slope } => (slope, index),
                _ => return None,
            },
            Number::Inner { step, array, index } => (&self.inner(step, array)?.values, index),
            Number::InnerGradient { step, array, index } => (&self.inner(step, array)?.gradient, index),
            Number::Product { step, input, index } => (self.steps.get(step)?.dx.get(input)?, index),
            Number::Parameter { parameter, index } => (&self.parameters.get(parameter)?.values, index),
            Number::ParameterProduct { step, parameter, index } => {
                let step = self.steps.get(step)?;
                (step.dtheta.get(step.place_of(parameter)?)?, index)
            }
            Number::ParameterGradient { parameter, index } => (&self.parameters.get(parameter)?.gradient, index),
            Number::Memory { parameter, slot, index } => {
                (&self.parameters.get(parameter)?.memory.get(slot)?.before, index)
            }
            Number::Remembered { parameter, slot, index } => {
                (&self.parameters.get(parameter)?.memory.get(slot)?.after, index)
            }
            Number::Updated { parameter, index } => (self.parameters.get(parameter)?.updated.as_ref()?, index),
            _ => return None,
        })
    }

    /// The magnitude of the largest number of the array that has this one; 0 if it lies in no array.
    pub(crate) fn largest(&self, number: Number) -> f64 {
        self.place(number).map_or(0.0, |(array, _)| array.norms.largest.abs().max(array.norms.least.abs()))
    }

    /// A number, if the explanation has it.
    #[must_use]
    pub fn value(&self, number: Number) -> Option<f64> {
        match (number, &self.loss.targets) {
            (Number::Loss, _) => Some(self.loss.value),
            (Number::Target { index }, Targets::Classes(classes)) => classes.get(index).map(|&class| f64::from(class)),
            (Number::LearningRate, _) => self.update.as_ref().map(|update| update.learning_rate),
            (Number::InnerDerivative { step, .. }, _) => self.derivative(step, number),
            (Number::Derivative { step, output, by }, _) => {
                let step_at = self.steps.get(step)?;
                let Local::Jacobian { dx, dtheta } = &step_at.local else { return self.derivative(step, number) };
                let (matrix, column) = match by {
                    Variable::Input { input, index } => (dx.get(input)?, index),
                    Variable::Parameter { parameter, index } => (dtheta.get(step_at.place_of(parameter)?)?, index),
                    Variable::Inner { .. } => return None,
                };
                matrix.get(output, column)
            }
            _ => self.place(number).and_then(|(array, index)| array.numbers.get(index).copied()),
        }
    }

    /// The addresses of all numbers that the explanation has, in the order in which they are computed: forward, the
    /// loss, backward, the update. Entries of Jacobians that are 0 are left out.
    #[must_use]
    pub fn numbers(&self) -> Vec<Number> {
        let mut numbers = Vec::new();
        for (parameter, at) in self.parameters.iter().enumerate() {
            numbers.extend(at.order().into_iter().map(|index| Number::Parameter { parameter, index }));
        }
        for (node, at) in self.nodes.iter().enumerate() {
            if let Some(step) = self.maker(node) {
                for (array, inner) in self.inner_arrays(step).iter().enumerate() {
                    let count = inner.values.numbers.len();
                    numbers.extend((0..count).map(|index| Number::Inner { step, array, index }));
                }
            }
            numbers.extend((0..at.values.numbers.len()).map(|index| Number::Value { node, index }));
        }
        numbers.extend((0..self.loss.targets.len()).map(|index| Number::Target { index }));
        numbers.push(Number::Loss);
        for (step, at) in self.steps.iter().enumerate().rev() {
            if let Some(node) = self.nodes.get(at.output) {
                let gradient = |index| Number::Gradient { node: at.output, index };
                numbers.extend((0..node.gradient.numbers.len()).map(gradient));
            }
            match &at.local {
                Local::Elementwise { slope } => {
                    numbers.extend((0..slope.numbers.len()).map(|index| Number::Slope { step, index }));
                }
                Local::Equations { inner, derivatives } => {
                    numbers.extend(derivatives.iter().map(|derivative| derivative.number));
                    for (array, inner) in inner.iter().enumerate().rev() {
                        let count = inner.gradient.numbers.len();
                        numbers.extend((0..count).map(|index| Number::InnerGradient { step, array, index }));
                    }
                }
                Local::Jacobian { dx, dtheta } => {
                    let entry = |output, by| Number::Derivative { step, output, by };
                    for (input, matrix) in dx.iter().enumerate() {
                        let all = matrix.places.iter();
                        numbers.extend(all.map(|&(output, index)| entry(output, Variable::Input { input, index })));
                    }
                    for (&parameter, matrix) in at.parameters.iter().zip(dtheta) {
                        let by = |index| Variable::Parameter { parameter, index };
                        numbers.extend(matrix.places.iter().map(|&(output, index)| entry(output, by(index))));
                    }
                }
                _ => {}
            }
            for (input, dx) in at.dx.iter().enumerate() {
                numbers.extend((0..dx.numbers.len()).map(|index| Number::Product { step, input, index }));
            }
            for &parameter in &at.parameters {
                let order = self.parameters.get(parameter).map(Parameter::order).unwrap_or_default();
                let product = |index| Number::ParameterProduct { step, parameter, index };
                numbers.extend(order.into_iter().map(product));
            }
        }
        for (node, at) in self.nodes.iter().enumerate().take(self.inputs()) {
            numbers.extend((0..at.gradient.numbers.len()).map(|index| Number::Gradient { node, index }));
        }
        for (parameter, at) in self.parameters.iter().enumerate() {
            numbers.extend(at.order().into_iter().map(|index| Number::ParameterGradient { parameter, index }));
        }
        if self.update.is_some() {
            numbers.push(Number::LearningRate);
        }
        for (parameter, at) in self.parameters.iter().enumerate() {
            for (slot, memory) in at.memory.iter().enumerate() {
                let order = if memory.after.numbers.is_empty() { Vec::new() } else { at.order() };
                numbers.extend(order.iter().map(|&index| Number::Memory { parameter, slot, index }));
                numbers.extend(order.into_iter().map(|index| Number::Remembered { parameter, slot, index }));
            }
        }
        for (parameter, at) in self.parameters.iter().enumerate() {
            let order = if at.updated.is_some() { at.order() } else { Vec::new() };
            numbers.extend(order.into_iter().map(|index| Number::Updated { parameter, index }));
        }
        numbers
    }
}

impl Targets {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.numbers.len(),
            Self::Classes(classes) => classes.len(),
        }
    }
}

impl Step {
    /// The step's name in messages: that in the network, or the layer's if it has none.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.layer } else { &self.name }
    }

    /// The place of a parameter among those of the step.
    pub(crate) fn place_of(&self, parameter: usize) -> Option<usize> {
        self.parameters.iter().position(|&own| own == parameter)
    }
}

impl Parameter {
    /// Whether the optimizer leaves it as it is.
    pub(crate) fn stays(&self) -> bool {
        self.frozen || self.rate_factor == Some(0.0)
    }

    /// Whether several steps use it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.steps.len() > 1
    }

    /// The name within its layer, such as `weight`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

impl Memory {
    /// The name within its link, such as `m`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

impl Array {
    pub(crate) fn new(numbers: Vec<f64>, full: bool) -> Self {
        let norms = Norms::of(&numbers);
        Self { norms, numbers: if full { numbers } else { Vec::new() } }
    }
}

impl Norms {
    fn of(numbers: &[f64]) -> Self {
        let count = numbers.len();
        let scale = numbers.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        // Scaled, so that no square overflows.
        let norm = match scale {
            0.0 if numbers.iter().any(|x| x.is_nan()) => f64::NAN,
            0.0 => 0.0,
            scale if scale.is_infinite() => scale,
            scale => scale * numbers.iter().map(|x| (x / scale).powi(2)).sum::<f64>().sqrt(),
        };
        Self {
            count,
            norm,
            mean: if count == 0 { 0.0 } else { numbers.iter().sum::<f64>() / count as f64 },
            least: numbers.iter().copied().reduce(f64::min).unwrap_or(0.0),
            largest: numbers.iter().copied().reduce(f64::max).unwrap_or(0.0),
        }
    }
}

impl Matrix {
    /// Keeps the entries that are not 0 of rows that lie one after the other.
    pub(crate) fn from_rows(rows: usize, columns: usize, dense: &[f64]) -> Self {
        let all = dense.iter().enumerate().filter(|&(_, &entry)| entry != 0.0);
        let (places, entries) = all.map(|(index, &entry)| ((index / columns, index % columns), entry)).unzip();
        Self { rows, columns, places, entries }
    }

    /// An entry; 0 if it is not kept, and `None` outside of the matrix.
    #[must_use]
    pub fn get(&self, row: usize, column: usize) -> Option<f64> {
        if row >= self.rows || column >= self.columns {
            return None;
        }
        let found = self.places.binary_search(&(row, column)).ok();
        Some(found.and_then(|index| self.entries.get(index)).copied().unwrap_or(0.0))
    }

    /// The entries of one row, each with its column.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let all = self.places.iter().zip(&self.entries).skip_while(move |((at, _), _)| *at < row);
        all.take_while(move |((at, _), _)| *at == row).map(|(&(_, column), &entry)| (column, entry))
    }

    /// The entries of one column, each with its row.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let all = self.places.iter().zip(&self.entries).filter(move |((_, at), _)| *at == column);
        all.map(|(&(row, _), &entry)| (row, entry))
    }
}
