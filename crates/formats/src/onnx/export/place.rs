//! The graph as it grows, and the place of one layer in it.

use std::collections::{HashMap, HashSet};

use downhill_layers::Description;
use downhill_network::Network;
use downhill_tensor::{Scalar, Shape};
use prost::bytes::Bytes;
use serde::de::DeserializeOwned;

use super::super::proto::{AttributeProto, NodeProto, TensorProto, attribute_type};
use super::super::tensor::data_type;
use super::refuse;
use crate::FormatError;
use crate::settings::Settings;

/// The type of a network's numbers.
pub(super) fn float_type<T: Scalar>() -> i32 {
    if is_double::<T>() { data_type::DOUBLE } else { data_type::FLOAT }
}

pub(super) fn is_double<T: Scalar>() -> bool {
    size_of::<T>() == size_of::<f64>()
}

/// Whether an attribute, which is an `f32`, holds this number as exactly as the network's numbers do.
pub(super) fn fits_attribute<T: Scalar>(number: f64) -> bool {
    !is_double::<T>() || f64::from(number as f32) == number
}

/// What an input or a layer has given: its name in the graph, and the shape of one example.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// Whether it is `int64`.
    pub(super) whole: bool,
}

/// The nodes and initializers of all layers so far.
pub(super) struct Graph<'n, T> {
    network: &'n Network<T>,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
    /// All names that are taken: of values, nodes and parameters.
    names: HashSet<String>,
    /// The names of parameters and statistics that no initializer has yet.
    kept: HashSet<String>,
    /// The names of initializers by what they hold: a parameter in a shape, or a constant.
    held: HashMap<(String, Vec<usize>), String>,
}

impl<'n, T: Scalar> Graph<'n, T> {
    /// Starts a graph with these names of inputs and output.
    pub(super) fn new<'a>(
        network: &'n Network<T>,
        reserved: impl Iterator<Item = &'a String>,
    ) -> Result<Self, FormatError> {
        let segments = network.segments().iter().chain(network.statistic_segments());
        let kept: HashSet<String> = segments.map(|segment| segment.name.clone()).collect();
        let mut names = kept.clone();
        for name in reserved {
            if name.is_empty() {
                return refuse("an input or the output has an empty name, but each needs one".to_owned());
            }
            if !names.insert(name.clone()) {
                return refuse(format!(
                    "the name `{name}` of an input or the output is that of another one or of a parameter; take another"
                ));
            }
        }
        Ok(Self { network, nodes: Vec::new(), initializers: Vec::new(), names, kept, held: HashMap::new() })
    }

    /// This name, or with a number behind it if it is taken.
    fn unique(&mut self, name: String) -> String {
        let mut unique = name.clone();
        for number in 2.. {
            if !self.names.contains(&unique) {
                break;
            }
            unique = format!("{name}_{number}");
        }
        self.names.insert(unique.clone());
        unique
    }

    /// Gives the network's value the name of the output.
    pub(super) fn name_output(&mut self, value: &str, output: &str, inputs: &[String]) {
        if inputs.iter().any(|input| input == value) {
            // An input can't be an output too.
            self.nodes.push(NodeProto {
                name: output.to_owned(),
                op_type: "Identity".to_owned(),
                input: vec![value.to_owned()],
                output: vec![output.to_owned()],
                ..NodeProto::default()
            });
            return;
        }
        for node in &mut self.nodes {
            for name in node.input.iter_mut().chain(&mut node.output).filter(|name| *name == value) {
                output.clone_into(name);
            }
        }
    }
}

/// The place of one layer: what it reads, and the names of what it adds.
pub(super) struct Place<'g, 'n, T> {
    graph: &'g mut Graph<'n, T>,
    pub(super) settings: Settings,
    /// The layer's name, or its kind if it has none.
    name: String,
    /// The name of the layer whose parameters it has.
    owner: String,
    inputs: Vec<Value>,
    /// The shape of an example of its output.
    pub(super) output: Shape,
    /// Its first node.
    first: usize,
}

pub(super) type Attribute = AttributeProto;

pub(super) fn int(name: &str, value: usize) -> Attribute {
    signed(name, value as i64)
}

pub(super) fn signed(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), r#type: attribute_type::INT, i: Some(value), ..Attribute::default() }
}

pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> Attribute {
    let ints = values.into_iter().map(|value| value as i64).collect();
    Attribute { name: name.to_owned(), r#type: attribute_type::INTS, ints, ..Attribute::default() }
}

pub(super) fn float(name: &str, value: f64) -> Attribute {
    Attribute { name: name.to_owned(), r#type: attribute_type::FLOAT, f: Some(value as f32), ..Attribute::default() }
}

pub(super) fn text(name: &str, value: &str) -> Attribute {
    let s = Some(Bytes::copy_from_slice(value.as_bytes()));
    Attribute { name: name.to_owned(), r#type: attribute_type::STRING, s, ..Attribute::default() }
}

pub(super) fn texts(name: &str, values: &[&str]) -> Attribute {
    let strings = values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect();
    Attribute { name: name.to_owned(), r#type: attribute_type::STRINGS, strings, ..Attribute::default() }
}

impl<'g, 'n, T: Scalar> Place<'g, 'n, T> {
    pub(super) fn new(
        graph: &'g mut Graph<'n, T>,
        layer: &Description,
        name: &str,
        owner: &str,
        inputs: &[Value],
        output: Shape,
    ) -> Self {
        let settings = Settings::of(layer);
        let name = if name.is_empty() { settings.kind.clone() } else { name.to_owned() };
        let (owner, inputs, first) = (owner.to_owned(), inputs.to_vec(), graph.nodes.len());
        Self { graph, settings, name, owner, inputs, output, first }
    }

    /// The layer's settings.
    pub(super) fn read<S: DeserializeOwned>(&self) -> Result<S, String> {
        self.settings.read()
    }

    pub(super) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The shape of an example of an input.
    pub(super) fn shape(&self, index: usize) -> Shape {
        self.inputs.get(index).map_or(Shape::from([]), |input| input.shape)
    }

    /// An input as floats.
    pub(super) fn input(&mut self, index: usize) -> String {
        self.input_as(index, false, float_type::<T>())
    }

    /// An input as `int64`.
    pub(super) fn whole_input(&mut self, index: usize) -> String {
        self.input_as(index, true, data_type::INT64)
    }

    fn input_as(&mut self, index: usize, whole: bool, kind: i32) -> String {
        match self.inputs.get(index).cloned() {
            Some(input) if input.whole != whole => self.cast(&input.name, kind),
            Some(input) => input.name,
            None => String::new(),
        }
    }

    pub(super) fn cast(&mut self, value: &str, kind: i32) -> String {
        self.node("Cast", &[value], [signed("to", kind.into())])
    }

    /// Adds a node with one output, whose name it returns. An input that is left out has an empty name.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], attributes: impl Into<Vec<Attribute>>) -> String {
        let name = self.graph.unique(format!("{}/{operator}", self.name));
        self.push(operator, inputs, attributes.into(), name.clone(), vec![name.clone()]);
        name
    }

    /// Adds a node with several outputs, those that are not wanted `false`.
    pub(super) fn nodes<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl Into<Vec<Attribute>>,
        wanted: [bool; N],
    ) -> [String; N] {
        let name = self.graph.unique(format!("{}/{operator}", self.name));
        let mut index = 0;
        let outputs = wanted.map(|wanted| {
            index += 1;
            if wanted { self.graph.unique(format!("{name}.{}", index - 1)) } else { String::new() }
        });
        self.push(operator, inputs, attributes.into(), name, outputs.to_vec());
        outputs
    }

    fn push(&mut self, operator: &str, inputs: &[&str], attribute: Vec<Attribute>, name: String, output: Vec<String>) {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        let op_type = operator.to_owned();
        self.graph.nodes.push(NodeProto { input, output, name, op_type, attribute, ..NodeProto::default() });
    }

    /// Gives the last node the layer's name, and returns the name of its value.
    pub(super) fn finish(&mut self, value: String) -> String {
        let Some(last) = self.graph.nodes.get_mut(self.first..).and_then(<[_]>::last_mut) else { return value };
        if !last.output.contains(&value) {
            return value;
        }
        let name = self.graph.unique(self.name.clone());
        let Some(last) = self.graph.nodes.last_mut() else { return value };
        last.name.clone_from(&name);
        last.output.iter_mut().filter(|output| **output == value).for_each(|output| output.clone_from(&name));
        name
    }

    /// The numbers of a parameter in PyTorch's layout, with its shape.
    pub(super) fn numbers(&self, name: &str) -> Result<(Vec<usize>, Vec<T>), String> {
        let array = self.graph.network.parameter(&self.full(name)).map_err(|error| error.to_string())?;
        Ok((array.shape().to_vec(), array.iter().copied().collect()))
    }

    /// The numbers of a running statistic.
    pub(super) fn statistic(&self, name: &str) -> Result<Vec<T>, String> {
        let (network, name) = (self.graph.network, self.full(name));
        let segment = network.statistic_segments().iter().find(|segment| segment.name == name);
        let numbers = segment.and_then(|segment| network.statistics().get(segment.range.clone()));
        Ok(numbers.ok_or_else(|| format!("it has no statistic `{name}`"))?.to_vec())
    }

    fn full(&self, name: &str) -> String {
        if self.owner.is_empty() { name.to_owned() } else { format!("{}.{name}", self.owner) }
    }

    /// A parameter as an initializer of its name and PyTorch's layout.
    pub(super) fn parameter(&mut self, name: &str) -> Result<String, String> {
        let (shape, numbers) = self.numbers(name)?;
        Ok(self.initializer(name, &shape, numbers))
    }

    /// A parameter of the channels, the first axis of an example, in a shape that goes with examples of x.
    pub(super) fn channels(&mut self, name: &str) -> Result<String, String> {
        let (shape, numbers) = self.numbers(name)?;
        let (channels, behind) = (shape.first().copied().unwrap_or(1), self.shape(0).rank().saturating_sub(1));
        Ok(self.initializer(name, &[&[channels][..], &vec![1; behind]].concat(), numbers))
    }

    /// Numbers as an initializer of a parameter's or statistic's name.
    pub(super) fn initializer(&mut self, name: &str, shape: &[usize], numbers: Vec<T>) -> String {
        let key = (self.full(name), shape.to_vec());
        if let Some(name) = self.graph.held.get(&key) {
            return name.clone();
        }
        let name = if self.graph.kept.remove(&key.0) { key.0.clone() } else { self.graph.unique(key.0.clone()) };
        self.hold(key, name, shape, numbers)
    }

    fn hold(&mut self, key: (String, Vec<usize>), name: String, shape: &[usize], numbers: Vec<T>) -> String {
        self.graph.initializers.push(if is_double::<T>() {
            TensorProto::new(&name, shape, numbers.iter().map(|x| x.to_f64()))
        } else {
            TensorProto::new(&name, shape, numbers.iter().map(|x| x.to_f64() as f32))
        });
        self.graph.held.insert(key, name.clone());
        name
    }

    /// Numbers that are no parameter, as an initializer named after the layer. Those of one label are the same.
    pub(super) fn constant(&mut self, label: &str, shape: &[usize], numbers: Vec<T>) -> String {
        let key = (format!("{}/{label}", self.name), shape.to_vec());
        if let Some(name) = self.graph.held.get(&key) {
            return name.clone();
        }
        let name = self.graph.unique(key.0.clone());
        self.hold(key, name, shape, numbers)
    }

    /// The same, named after the layer whose parameters they are made of, so that layers that share those share them.
    pub(super) fn shared_constant(&mut self, label: &str, shape: &[usize], numbers: Vec<T>) -> String {
        let own = self.name.clone();
        if !self.owner.is_empty() {
            self.name.clone_from(&self.owner);
        }
        let name = self.constant(label, shape, numbers);
        self.name = own;
        name
    }

    /// A vector of `f32`, whatever the network's numbers are.
    pub(super) fn floats(&mut self, label: &str, numbers: &[f32]) -> String {
        let name = self.graph.unique(format!("{}/{label}", self.name));
        self.graph.initializers.push(TensorProto::new(&name, &[numbers.len()], numbers.iter().copied()));
        name
    }

    /// One number.
    pub(super) fn scalar(&mut self, number: f64) -> String {
        self.constant(&format!("{number}"), &[], vec![T::from_f64(number)])
    }

    /// Whole numbers, as a vector.
    pub(super) fn whole(&mut self, label: &str, numbers: &[i64]) -> String {
        let name = self.graph.unique(format!("{}/{label}", self.name));
        let tensor = TensorProto::new(&name, &[numbers.len()], numbers.iter().copied());
        self.graph.initializers.push(tensor);
        name
    }

    /// Yes or no for each place.
    pub(super) fn flags(&mut self, label: &str, shape: &[usize], flags: impl IntoIterator<Item = bool>) -> String {
        let name = self.graph.unique(format!("{}/{label}", self.name));
        self.graph.initializers.push(TensorProto::new(&name, shape, flags));
        name
    }

    /// Gives examples these axes; a 0 keeps the axis of x at the same place, counted with the batch in front.
    pub(super) fn reshape(&mut self, x: &str, axes: &[usize]) -> String {
        let axes: Vec<i64> = [0].into_iter().chain(axes.iter().map(|&axis| axis as i64)).collect();
        let shape = self.whole("shape", &axes);
        self.node("Reshape", &[x, &shape], [])
    }

    pub(super) fn transpose(&mut self, x: &str, order: impl IntoIterator<Item = usize>) -> String {
        self.node("Transpose", &[x], [ints("perm", order)])
    }

    /// x + y, x y, ...: an operator of two values.
    pub(super) fn binary(&mut self, operator: &str, x: &str, y: &str) -> String {
        self.node(operator, &[x, y], [])
    }

    /// An operator of a value and a number.
    pub(super) fn with(&mut self, operator: &str, x: &str, number: f64) -> String {
        let number = self.scalar(number);
        self.binary(operator, x, &number)
    }

    pub(super) fn unary(&mut self, operator: &str, x: &str) -> String {
        self.node(operator, &[x], [])
    }

    /// A sum or mean over axes, which are kept or not.
    pub(super) fn reduce(&mut self, operator: &str, x: &str, axes: &[i64], keep: bool) -> String {
        let axes = self.whole("axes", axes);
        self.node(operator, &[x, &axes], [int("keepdims", keep.into())])
    }

    /// Cuts an axis, counted with the batch, into parts of these lengths.
    pub(super) fn split<const N: usize>(&mut self, x: &str, axis: usize, lengths: [usize; N]) -> [String; N] {
        let lengths = self.whole("split", &lengths.map(|length| length as i64));
        self.nodes("Split", &[x, &lengths], [int("axis", axis)], [true; N])
    }
}
