//! Reads ONNX models as networks.

mod attention;
mod constant;
mod convolution;
mod elementwise;
mod fold;
mod node;
mod patterns;
mod plan;
mod recurrent;
mod shapes;
mod view;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use downhill_layers::Identity;
use downhill_network::Network;
use downhill_tensor::Scalar;
use prost::bytes::Bytes;

use self::attention::{Scores, Unmerged};
use self::constant::{Budget, Const};
use self::elementwise::Biased;
use self::node::Operator;
use self::plan::Plan;
use self::view::{Atom, View};
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{data_type, type_name};
use crate::FormatError;

/// A network that was read from a model, and what the model says of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported<T> {
    /// The network: it predicts, and it can be trained on.
    pub network: Network<T>,
    /// The names of its inputs, in order.
    pub inputs: Vec<String>,
    /// The name of its output.
    pub output: String,
    /// Which axis of the model's output was that of the examples; here it is the first. `None` if the model's output is
    /// one example, or its examples lie in an axis together with something else.
    pub batch_axis: Option<usize>,
    /// The keys and values of the model's metadata.
    pub metadata: Vec<(String, String)>,
    /// The names of the classes whose probabilities the output holds, if the model tells them.
    pub classes: Option<Vec<String>>,
}

/// How a model is read, where it does not tell by itself.
///
/// ```
/// use downhill_formats::onnx::Import;
///
/// let error = Import::new().output("logits").input_shape("x", [3, 8, 8]).read::<f32>(b"no model").unwrap_err();
/// assert!(error.to_string().starts_with("this is no valid ONNX file"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Import {
    output: Option<String>,
    shapes: HashMap<String, Vec<usize>>,
    batch_axes: HashMap<String, usize>,
    batch_axis_of_all: Option<usize>,
    without_batch: bool,
}

/// Reads a model from bytes.
///
/// # Errors
/// Returns an error if the bytes are no ONNX model, or one that is no network of the library's layers: the error names
/// the node, its operator, and why.
pub fn import<T: Scalar>(bytes: &[u8]) -> Result<Imported<T>, FormatError> {
    Import::new().read(bytes)
}

/// Reads a model from a file.
///
/// # Errors
/// Returns the errors of [`import`], and an error if the file can't be read.
pub fn open<T: Scalar>(path: impl AsRef<Path>) -> Result<Imported<T>, FormatError> {
    Import::new().open(path)
}

impl Import {
    /// Reads a model as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value that the network computes, an output of the model or any value within it.
    ///
    /// Otherwise it is the first output that holds real numbers and that layers compute: of a classifier, its
    /// probabilities.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = Some(name.into());
        self
    }

    /// Sets the shape of one example of an input, without the batch axis, where the model leaves lengths open.
    #[must_use]
    pub fn input_shape(mut self, input: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        self.shapes.insert(input.into(), shape.into());
        self
    }

    /// Sets which axis of an input is that of the examples.
    ///
    /// Otherwise it is the only axis whose length the model leaves open, or else the first.
    /// The network takes examples along the first axis in any case.
    #[must_use]
    pub fn batch_axis(mut self, input: impl Into<String>, axis: usize) -> Self {
        self.batch_axes.insert(input.into(), axis);
        self
    }

    /// Sets which axis is that of the examples, in all inputs for which [`batch_axis`](Self::batch_axis) sets none.
    #[must_use]
    pub fn batch_axis_of_all(mut self, axis: usize) -> Self {
        self.batch_axis_of_all = Some(axis);
        self
    }

    /// Takes all that the inputs hold as one example: no axis of theirs is that of the examples.
    #[must_use]
    pub fn without_batch(mut self) -> Self {
        self.without_batch = true;
        self
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// Returns the errors of [`import`], and an error if the file can't be read.
    pub fn open<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Imported<T>, FormatError> {
        let path = path.as_ref();
        let read = || self.read_bytes(fs::read(path)?.into());
        read().map_err(|error| error.in_file(path))
    }

    /// Reads a model from bytes.
    ///
    /// # Errors
    /// Returns the errors of [`import`], and an error if a setting names an input or a value that is not there.
    pub fn read<T: Scalar>(&self, bytes: &[u8]) -> Result<Imported<T>, FormatError> {
        self.read_bytes(Bytes::copy_from_slice(bytes))
    }

    fn read_bytes<T: Scalar>(&self, bytes: Bytes) -> Result<Imported<T>, FormatError> {
        let length = bytes.len();
        let model = ModelProto::read(bytes)?;
        let graph = model.graph.as_ref().ok_or_else(|| malformed("it holds no graph"))?;
        if graph.node.len() > MOST_NODES {
            return Err(malformed(format!("it has {} nodes; there can be {MOST_NODES}", graph.node.len())));
        }
        let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
        let version = model.opset_import.iter().find(|set| standard(&set.domain)).map_or(1, |set| set.version);
        let mut importer = Importer {
            graph,
            plan: Plan::new(length),
            budget: Budget::of_file(length),
            values: HashMap::new(),
            makers: HashMap::new(),
            uses: HashMap::new(),
            batch: OPEN_BATCH,
            single: None,
            version,
            biased: HashMap::new(),
            unmerged: HashMap::new(),
        };
        let inputs = importer.begin(self)?;
        let (output, value) = importer.run(self.output.as_deref())?;
        let (mut value, mut batch_axis) = (value, None);
        match importer.single {
            None => batch_axis = value.dims.iter().position(|dim| dim[..] == [Atom::Batch]),
            Some(axis) if value.rank() > axis && value.dim(axis).is_empty() => {
                value.dims.remove(axis);
                batch_axis = Some(axis);
            }
            Some(_) => {}
        }
        let mut network = importer.finish(value)?;
        let width = network.output_shape().axes().last().copied();
        let classes = importer.classes().filter(|classes| Some(classes.len()) == width);
        if let Some(classes) = &classes {
            network.set_class_names(classes);
        }
        let metadata = model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        Ok(Imported { network, inputs, output, batch_axis, metadata, classes })
    }
}

/// The most nodes of a graph.
const MOST_NODES: usize = 1 << 16;

/// The length of a batch axis that is open: a prime, so that a length that is a multiple of it shows.
const OPEN_BATCH: usize = 1_000_000_007;

fn malformed(reason: impl Into<String>) -> FormatError {
    FormatError::Malformed { format: "ONNX", reason: reason.into() }
}

/// What a name of the graph stands for.
#[derive(Clone, Debug)]
enum Value {
    Const(Rc<Const>),
    View(View),
    /// Products of queries and keys, on their way through attention.
    Scores(Rc<Scores>),
    /// What a node can't be read as; an error only if it is needed, and no pattern of several nodes holds it.
    Failed(Rc<Failure>),
}

impl From<Const> for Value {
    fn from(value: Const) -> Self {
        Self::Const(Rc::new(value))
    }
}

#[derive(Debug)]
struct Failure {
    node: String,
    operator: String,
    reason: String,
}

struct Importer<'a> {
    graph: &'a GraphProto,
    plan: Plan,
    budget: Budget,
    values: HashMap<&'a str, Value>,
    /// The node that makes each value.
    makers: HashMap<&'a str, usize>,
    /// How often each value is read.
    uses: HashMap<&'a str, usize>,
    /// The length of the batch axis in the file.
    batch: usize,
    /// The batch axis of the inputs, if the file is made for one example.
    single: Option<usize>,
    /// The version of ONNX's own operators.
    version: i64,
    /// What a bias can still be added to, by value.
    biased: HashMap<usize, Biased>,
    /// Attention whose heads no map has merged yet, by value.
    unmerged: HashMap<usize, Unmerged>,
}

impl<'a> Importer<'a> {
    /// Names initialisers and inputs, and tells inputs of the network from those that have a value.
    fn begin(&mut self, settings: &Import) -> Result<Vec<String>, FormatError> {
        let graph = self.graph;
        if !graph.sparse_initializer.is_empty() {
            return Err(malformed("it has sparse initialisers, which are not supported"));
        }
        let mut known = HashSet::new();
        for tensor in &graph.initializer {
            known.insert(tensor.name.as_str());
            let value = match node::read(tensor) {
                Ok(value) => Value::from(value.of_file(&tensor.name)),
                Err(reason) => Value::Failed(Rc::new(Failure {
                    node: tensor.name.clone(),
                    operator: "initialiser".into(),
                    reason,
                })),
            };
            self.values.insert(&tensor.name, value);
        }
        for (index, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                if self.makers.insert(output, index).is_some() || known.contains(output.as_str()) {
                    return Err(malformed(format!("two nodes make the value `{output}`")));
                }
            }
            node.input.iter().for_each(|input| *self.uses.entry(input).or_default() += 1);
        }
        graph.output.iter().for_each(|output| *self.uses.entry(&output.name).or_default() += 1);
        let inputs: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !known.contains(input.name.as_str())).collect();
        for name in settings.shapes.keys().chain(settings.batch_axes.keys()) {
            if !inputs.iter().any(|input| input.name == *name) {
                let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                return Err(malformed(format!("it has no input `{name}`; its inputs are {}", names.join(", "))));
            }
        }
        let mut batch = None;
        for input in &inputs {
            let (axes, batch_axis) =
                declared(input, settings).map_err(|reason| malformed(format!("input `{}` {reason}", input.name)))?;
            let mut example = axes.clone();
            if let Some(axis) = batch_axis {
                let length = example.remove(axis).unwrap_or(OPEN_BATCH);
                if *batch.get_or_insert(length) != length {
                    return Err(malformed("its inputs have batches of different sizes"));
                }
            }
            let open = || format!("input `{}` leaves the length of an axis open; set it by `input_shape`", input.name);
            let example = example.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| malformed(open()))?;
            // One number for each example is the length of a sequence, of which layers take a vector of one.
            let shape = if example.is_empty() && is_whole(input) { &[1] } else { &example[..] };
            let value = self.plan.input(shape).map_err(malformed)?;
            let mut view = View::plain(value, false, &example);
            view.whole = is_whole(input);
            if let Some(axis) = batch_axis {
                // A batch of 1 could be a part of any axis, so that it is none: there is only one example.
                let single = axes.get(axis) == Some(&Some(1));
                view.dims.insert(axis, if single { Vec::new() } else { vec![Atom::Batch] });
                self.single = self.single.or(single.then_some(axis));
            }
            self.values.insert(&input.name, Value::View(view));
        }
        self.batch = batch.unwrap_or(OPEN_BATCH);
        Ok(inputs.iter().map(|input| input.name.clone()).collect())
    }

    /// Evaluates the nodes, and finds the output.
    fn run(&mut self, wanted: Option<&str>) -> Result<(String, View), FormatError> {
        let graph = self.graph;
        for (place, node) in graph.node.iter().enumerate() {
            self.evaluate(node, place);
        }
        let is_real = |output: &&ValueInfoProto| match output.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) {
            Some(tensor) => matches!(
                tensor.elem_type,
                0 | data_type::FLOAT | data_type::DOUBLE | data_type::FLOAT16 | data_type::BFLOAT16
            ),
            // A sequence of maps, from class to probability.
            None => true,
        };
        let (real, others): (Vec<&ValueInfoProto>, Vec<_>) = graph.output.iter().partition(is_real);
        let names: Vec<&str> = match wanted {
            Some(name) => vec![name],
            None => real.iter().chain(&others).map(|output| output.name.as_str()).collect(),
        };
        let mut first = None;
        for &name in &names {
            let error = match self.values.get(name) {
                Some(Value::View(view)) => return Ok((name.to_owned(), view.clone())),
                Some(Value::Failed(failure)) => FormatError::Node {
                    node: failure.node.clone(),
                    operator: failure.operator.clone(),
                    reason: failure.reason.clone(),
                },
                Some(Value::Const(_)) => malformed(format!("its output `{name}` depends on no input")),
                Some(Value::Scores(scores)) => FormatError::Node {
                    node: scores.node.clone(),
                    operator: "MatMul".into(),
                    reason: UNFINISHED.into(),
                },
                None => malformed(format!("it has no value `{name}`")),
            };
            first.get_or_insert(error);
        }
        Err(first.unwrap_or_else(|| malformed("it has no output")))
    }

    fn evaluate(&mut self, node: &'a NodeProto, place: usize) {
        let title = title(node, place);
        self.plan.name.clone_from(&title);
        let operator = Operator { node, version: self.version };
        let answer = self.attempt(operator);
        let failure = |reason: String| {
            Value::Failed(Rc::new(Failure { node: title.clone(), operator: node.op_type.clone(), reason }))
        };
        let mut answers = match answer {
            Ok(values) => values,
            Err(Refusal::Own(reason)) => vec![failure(reason); node.output.len()],
            Err(Refusal::Of(other)) => vec![Value::Failed(other); node.output.len()],
        }
        .into_iter();
        for (index, name) in node.output.iter().enumerate() {
            let too_many = |value: &Value| match value {
                Value::View(view) => view.rank() > MOST_AXES,
                Value::Const(known) => known.rank() > MOST_AXES,
                _ => false,
            };
            let value = answers
                .next()
                .unwrap_or_else(|| failure(format!("its output {index}, `{name}`, is none that a layer computes")));
            let value = if too_many(&value) { failure("its output has too many axes".into()) } else { value };
            if !name.is_empty() {
                self.values.insert(name, value);
            }
        }
    }

    fn attempt(&mut self, node: Operator<'a>) -> Result<Vec<Value>, Refusal> {
        let mut inputs = Vec::new();
        for name in &node.node.input {
            inputs.push(match self.values.get(name.as_str()) {
                _ if name.is_empty() => None,
                Some(value) => Some(value.clone()),
                None => {
                    return Err(Refusal::Own(format!("it reads `{name}`, which no input and no earlier node makes")));
                }
            });
        }
        if let Some(attribute) = node.unknown_attribute() {
            return Err(Refusal::Own(format!("its attribute `{attribute}` is not known")));
        }
        if let Some(value) = self.pattern(node)? {
            return Ok(vec![value]);
        }
        for value in inputs.iter().flatten() {
            if let Value::Failed(failure) = value {
                return Err(Refusal::Of(Rc::clone(failure)));
            }
        }
        let whole = |value: &Value| matches!(value, Value::View(view) if view.whole);
        let moves = PASSES_ON.contains(&node.kind()) || matches!(node.kind(), "Shape" | "Size");
        // Places in a table, and the lengths of sequences.
        let counts = matches!(node.kind(), "LSTM" | "GRU" | "RNN")
            && !inputs.first().is_some_and(|x| x.as_ref().is_some_and(whole));
        let looks_up =
            counts || node.kind() == "Gather" && !inputs.first().is_some_and(|table| table.as_ref().is_some_and(whole));
        if !moves && !looks_up && inputs.iter().flatten().any(whole) {
            return Err(Refusal::Own("it computes with whole numbers, which no layer does".into()));
        }
        if inputs.iter().flatten().all(|value| matches!(value, Value::Const(_))) && node.is_standard() {
            let known: Vec<_> = inputs
                .iter()
                .map(|value| if let Some(Value::Const(known)) = value { Some(Rc::clone(known)) } else { None })
                .collect();
            let mut values = self.fold(&node, &known)?;
            // A copy of numbers of the file is a parameter of its own.
            if let (["Identity"], [Value::Const(copy)], [name]) =
                ([node.kind()], &mut values[..], &node.node.output[..])
            {
                *copy = Rc::new(copy.as_ref().clone().of_file(name));
            }
            return Ok(values);
        }
        Ok(self.layers(&node, &inputs)?)
    }

    /// Reads an operator, of which an input is computed by the network, as layers.
    fn layers(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Vec<Value>, String> {
        if inputs.iter().flatten().any(|value| matches!(value, Value::Scores(_))) {
            return self.on_scores(node, inputs).map(|value| vec![value]);
        }
        let learnt = match (node.node.domain.as_str(), node.kind()) {
            ("" | "ai.onnx" | "ai.onnx.ml", _) => None,
            (domain, _) => Some(format!("operators of the domain `{domain}` are not known")),
        };
        if let Some(reason) = learnt {
            return Err(reason);
        }
        if let Some(values) = self.elementwise(node, inputs)? {
            return Ok(values);
        }
        if let Some(values) = self.shapes(node, inputs)? {
            return Ok(values);
        }
        if let Some(values) = self.convolutions(node, inputs)? {
            return Ok(values);
        }
        match node.kind() {
            "LSTM" | "GRU" | "RNN" => self.recurrent(node, inputs),
            "MatMul" => self.matmul(node, inputs).map(|value| vec![value]),
            "Gemm" => self.gemm(node, inputs).map(|value| vec![value]),
            "Attention" => self.attention_operator(node, inputs).map(|value| vec![value]),
            _ => Err("no layer, and no known composition of layers, computes this operator".into()),
        }
    }

    /// Builds the network whose output is this view.
    fn finish<T: Scalar>(&mut self, view: View) -> Result<Network<T>, FormatError> {
        self.plan.name = "output".into();
        let order: Vec<usize> = (0..view.rank()).flat_map(|axis| view.axes(axis)).collect();
        let axes: Vec<usize> = (0..view.rank())
            .filter(|&axis| view.dim(axis) != [Atom::Batch])
            .map(|axis| view.product(&view.axes(axis)))
            .collect();
        let mut shaped = || {
            let view = self.plan.ordered(&view, &order)?;
            // A shape has no more than six axes: those of 1 tell nothing.
            let axes = if axes.len() > 6 { view.atoms.clone() } else { axes.clone() };
            let value = self.plan.shaped(view.value, &axes)?;
            if self.plan.is_input(value) { self.plan.place(Identity, &[value]) } else { Ok(value) }
        };
        let value = shaped().map_err(|reason: String| malformed(format!("its output: {reason}")))?;
        self.plan.network(value)
    }

    /// The names of classes, as classifiers of scikit-learn hold them.
    fn classes(&self) -> Option<Vec<String>> {
        let whole = |numbers: &[i64]| numbers.iter().map(i64::to_string).collect::<Vec<_>>();
        self.graph.node.iter().find_map(|node| {
            let operator = Operator { node, version: self.version };
            match node.op_type.as_str() {
                "ZipMap" => {
                    let texts = operator.texts("classlabels_strings");
                    let numbers = operator.ints("classlabels_int64s").ok().flatten().unwrap_or_default();
                    Some(if texts.is_empty() { whole(&numbers) } else { texts })
                }
                "ArrayFeatureExtractor" => match self.values.get(node.input.first()?.as_str()) {
                    Some(Value::Const(known)) => match &known.data {
                        constant::Data::Text(texts) => Some(texts.clone()),
                        constant::Data::Int(numbers) => Some(whole(numbers)),
                        _ => None,
                    },
                    _ => None,
                },
                _ => None,
            }
        })
    }

    /// Whether only one node reads a value, apart from nodes that pass it on.
    fn is_read_once(&self, mut name: &'a str) -> bool {
        for _ in 0..MOST_PASSED_ON {
            if self.uses.get(name) != Some(&1) {
                return false;
            }
            let maker = self.makers.get(name).and_then(|&index| self.graph.node.get(index));
            match maker {
                Some(node) if PASSES_ON.contains(&node.op_type.as_str()) => match node.input.first() {
                    Some(input) => name = input,
                    None => return true,
                },
                _ => return true,
            }
        }
        false
    }

    /// A known array with all its numbers, for a parameter.
    fn parameter(&mut self, known: &Rc<Const>) -> Result<Rc<Const>, String> {
        let dense = known.dense(&mut self.budget)?;
        Ok(match dense.origin {
            _ if Rc::as_ref(known).shape == dense.shape && known.data == dense.data => Rc::clone(known),
            _ => Rc::new(dense),
        })
    }
}

/// The most nodes that are followed back to the one that has made a value.
const MOST_PASSED_ON: usize = 64;

/// The most axes of a value: an example has six at most, but those of 1 don't count.
const MOST_AXES: usize = 32;

/// Operators that change no number.
const PASSES_ON: [&str; 8] =
    ["Cast", "CastLike", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"];

const UNFINISHED: &str =
    "a product of two computed values is only read as part of attention, softmax(q kᵀ) v with a known scale";

/// Why a node has no value.
enum Refusal {
    Own(String),
    /// An input of it has none.
    Of(Rc<Failure>),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Own(reason)
    }
}

/// Whether an input holds places in a table.
fn is_whole(input: &ValueInfoProto) -> bool {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    tensor.is_some_and(|tensor| matches!(tensor.elem_type, data_type::INT32 | data_type::INT64))
}

/// The lengths of an input's axes, as far as they are known, and which of them is the batch.
fn declared(input: &ValueInfoProto, settings: &Import) -> Result<(Vec<Option<usize>>, Option<usize>), String> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or("is no tensor")?;
    let real = [data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16, 0];
    if !real.contains(&tensor.elem_type) && !is_whole(input) {
        return Err(format!("holds values of {}, which no network takes", type_name(tensor.elem_type)));
    }
    let set = settings.shapes.get(&input.name);
    let mut axes = Vec::new();
    match &tensor.shape {
        Some(shape) => {
            for dim in &shape.dim {
                axes.push(match dim.dim_value {
                    // Exporters of scikit-learn leave the batch open by a 0.
                    Some(0) | None => None,
                    Some(length) => {
                        Some(usize::try_from(length).map_err(|_| format!("has an axis of length {length}"))?)
                    }
                });
            }
        }
        None => match set {
            Some(shape) => axes.resize(shape.len() + 1, None),
            None => return Err("leaves its axes open; set them by `input_shape`".into()),
        },
    }
    let open: Vec<usize> = (0..axes.len()).filter(|&axis| axes.get(axis) == Some(&None)).collect();
    let batch = match (settings.batch_axes.get(&input.name).or(settings.batch_axis_of_all.as_ref()), &open[..]) {
        (Some(&axis), _) if axis >= axes.len() => {
            return Err(format!("has {} axes, of which {axis} can't be the batch", axes.len()));
        }
        (Some(&axis), _) => Some(axis),
        (None, _) if settings.without_batch => None,
        (None, _) if axes.is_empty() => None,
        (None, &[axis]) => Some(axis),
        (None, _) => Some(0),
    };
    if let Some(shape) = set {
        let mut lengths = shape.iter();
        let examples = axes.iter_mut().enumerate().filter(|&(axis, _)| Some(axis) != batch);
        for (_, axis) in examples {
            match (lengths.next(), *axis) {
                (Some(&length), None) => *axis = Some(length),
                (Some(&length), Some(known)) if length == known => {}
                _ => return Err(format!("has other axes than those set by `input_shape`, {shape:?}")),
            }
        }
        if lengths.next().is_some() {
            return Err(format!("has fewer axes than those set by `input_shape`, {shape:?}"));
        }
    }
    Ok((axes, batch))
}

/// What a node is called: its name without the operator that exporters add, or its operator and place.
fn title(node: &NodeProto, place: usize) -> String {
    if node.name.is_empty() {
        return format!("{}_{place}", node.op_type.to_lowercase());
    }
    let name = node.name.trim_matches('/');
    let parts: Vec<&str> = name.split('/').collect();
    match parts.split_last() {
        Some((last, before)) if !before.is_empty() && last.starts_with(node.op_type.as_str()) => before.join("."),
        _ => parts.join("."),
    }
}

/// The computed value that an operator reads.
fn view(inputs: &[Option<Value>], index: usize) -> Result<View, String> {
    match inputs.get(index) {
        Some(Some(Value::View(view))) => Ok(view.clone()),
        Some(Some(Value::Const(_))) => {
            Err(format!("its input {index} is known when the file is read, which is not supported"))
        }
        _ => Err(format!("it lacks input {index}")),
    }
}

/// The known value that an operator reads, if there is one.
fn optional(inputs: &[Option<Value>], index: usize) -> Result<Option<Rc<Const>>, String> {
    match inputs.get(index) {
        None | Some(None) => Ok(None),
        Some(Some(Value::Const(known))) => Ok(Some(Rc::clone(known))),
        Some(Some(_)) => Err(format!("its input {index} must be known when the file is read, but it is computed")),
    }
}

/// The known value that an operator reads.
fn known(inputs: &[Option<Value>], index: usize) -> Result<Rc<Const>, String> {
    optional(inputs, index)?.ok_or_else(|| format!("it lacks input {index}"))
}
