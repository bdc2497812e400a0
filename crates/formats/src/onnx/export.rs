//! Networks as graphs of operators.

mod activations;
mod attention;
mod maps;
mod normalisation;
mod place;
mod pooling;
mod recurrent;
mod resize;
mod shapes;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use downhill_layers::{Description, Layer};
use downhill_network::{DescriptionError, Network, NetworkDescription, StepDescription};
use downhill_tensor::{Scalar, Shape};
use prost::Message;

use self::place::{Graph, Place, Value};
use super::proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::tensor::data_type;
use crate::FormatError;

/// The version of ONNX's operators that models are written in.
const OPSET: i64 = 18;

/// The version of the format itself; 8 came with ONNX 1.10 and is that of opset 18.
const IR_VERSION: i64 = 8;

/// The name of the axis of examples.
const BATCH: &str = "batch";

/// Writes networks as ONNX models; the [module](crate::onnx) says how.
///
/// ```
/// use downhill_formats::onnx::Export;
/// use downhill_layers::Affine;
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([4], Affine::new(3), Seed(1))?;
/// let bytes = Export::new().to_bytes(&network)?;
/// assert!(bytes.len() > 15 * size_of::<f32>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    input_names: Option<Vec<String>>,
    output_name: Option<String>,
    float_inputs: bool,
    metadata: Vec<(String, String)>,
}

impl Export {
    /// Creates an export with the default names and no metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the inputs, in the network's order.
    #[must_use]
    pub fn input_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.input_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Names the output.
    #[must_use]
    pub fn output_name(mut self, name: impl Into<String>) -> Self {
        self.output_name = Some(name.into());
        self
    }

    /// Makes inputs of whole numbers floats, not `int64`.
    #[must_use]
    pub fn float_inputs(mut self) -> Self {
        self.float_inputs = true;
        self
    }

    /// Adds an entry to the model's metadata; the last value of a key counts.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.metadata.retain(|(other, _)| *other != key);
        self.metadata.push((key, value.into()));
        self
    }

    /// Writes the model to a file.
    ///
    /// # Errors
    /// Returns the errors of [`to_bytes`](Self::to_bytes), and an error if the file can't be written.
    pub fn save<T: Scalar>(&self, network: &Network<T>, path: impl AsRef<Path>) -> Result<(), FormatError> {
        let path = path.as_ref();
        let written = self.to_bytes(network).and_then(|bytes| Ok(fs::write(path, bytes)?));
        written.map_err(|error| error.in_file(path))
    }

    /// Writes the model as the bytes of a file.
    ///
    /// # Errors
    /// Returns an error if a layer can't be written, which names its place and says why; if there are not as many input
    /// names as inputs, or names are empty or the same; or if the model has more than 2 GiB, the most a file can have.
    pub fn to_bytes<T: Scalar>(&self, network: &Network<T>) -> Result<Vec<u8>, FormatError> {
        let model = self.model(network)?;
        let length = model.encoded_len();
        if length > i32::MAX as usize {
            return refuse(format!("the model has {length} bytes, but an ONNX file has at most {}", i32::MAX));
        }
        Ok(model.encode_to_vec())
    }

    fn model<T: Scalar>(&self, network: &Network<T>) -> Result<ModelProto, FormatError> {
        let description = network.description().map_err(|error| {
            let (place, layer) = match &error {
                DescriptionError::Unknown { place, layer } => (place.clone(), (*layer).to_owned()),
                _ => (String::new(), "a layer".to_owned()),
            };
            let reason = "it is no layer of the library, so there is no operator for it; replace it by layers that \
                          have one"
                .to_owned();
            FormatError::Layer { format: "ONNX", place, layer, reason }
        })?;
        let (inputs, output) = self.names(description.inputs.len())?;
        let mut graph = Graph::new(network, inputs.iter().chain([&output]))?;
        let mut values: Vec<Value> = Vec::new();
        for (index, (name, &shape)) in inputs.iter().zip(&description.inputs).enumerate() {
            let whole = network.holds_whole_numbers(index) && !self.float_inputs;
            values.push(Value { name: name.clone(), shape, whole });
        }
        let declared = values.iter().map(|value| declare::<T>(&value.name, value.shape, value.whole)).collect();
        for step in &description.steps {
            let value = write_step(&mut graph, &description, step, &values)?;
            values.push(value);
        }
        let result = values.swap_remove(description.output);
        graph.name_output(&result.name, &output, &inputs);
        let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
        let metadata_props = self.metadata.iter().map(entry).collect();
        Ok(ModelProto {
            ir_version: IR_VERSION,
            producer_name: "downhill".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            graph: Some(GraphProto {
                name: "network".to_owned(),
                node: graph.nodes,
                initializer: graph.initializers,
                input: declared,
                output: vec![declare::<T>(&output, result.shape, false)],
                ..GraphProto::default()
            }),
            metadata_props,
            ..ModelProto::default()
        })
    }

    /// The names of the inputs, and that of the output.
    fn names(&self, count: usize) -> Result<(Vec<String>, String), FormatError> {
        let inputs = match &self.input_names {
            Some(names) => names.clone(),
            None if count == 1 => vec!["input".to_owned()],
            None => (0..count).map(|index| format!("input_{index}")).collect(),
        };
        if inputs.len() != count {
            return refuse(format!("{} names were given for {count} inputs; give each input one", inputs.len()));
        }
        Ok((inputs, self.output_name.clone().unwrap_or_else(|| "output".to_owned())))
    }
}

fn refuse<R>(reason: String) -> Result<R, FormatError> {
    Err(FormatError::Setting { by: "the ONNX export", reason })
}

/// An input or output of the graph.
fn declare<T: Scalar>(name: &str, shape: Shape, whole: bool) -> ValueInfoProto {
    let batch = DimensionProto { dim_param: Some(BATCH.to_owned()), dim_value: None };
    let axes = shape.axes().iter().map(|&axis| DimensionProto { dim_param: None, dim_value: Some(axis as i64) });
    let elem_type = if whole { data_type::INT64 } else { place::float_type::<T>() };
    let shape = Some(TensorShapeProto { dim: [batch].into_iter().chain(axes).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

/// Writes the nodes of one layer, and returns its value.
fn write_step<T: Scalar>(
    graph: &mut Graph<'_, T>,
    description: &NetworkDescription,
    step: &StepDescription,
    values: &[Value],
) -> Result<Value, FormatError> {
    let inputs: Vec<Value> = step.inputs.iter().filter_map(|&input| values.get(input)).cloned().collect();
    let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape).collect();
    let layer = step.layer.library().ok_or_else(|| {
        let reason = "it is no layer of the library, so there is no operator for it".to_owned();
        FormatError::Layer { format: "ONNX", place: step.name.clone(), layer: "a custom layer".to_owned(), reason }
    })?;
    let shape = layer.signature(&shapes)?.output();
    let owner = step.shares.and_then(|owner| description.steps.get(owner)).map_or(&step.name, |owner| &owner.name);
    let mut place = Place::new(graph, layer, &step.name, owner, &inputs, shape);
    let result = match shapes.iter().chain([&shape]).find(|shape| shape.len() == 0) {
        Some(shape) => Err(format!("examples of shape {shape} hold nothing, so there is nothing to compute")),
        None => write(&mut place, layer),
    };
    match result {
        Ok(value) => Ok(Value { name: place.finish(value), shape, whole: false }),
        Err(reason) => {
            Err(FormatError::Layer { format: "ONNX", place: step.name.clone(), layer: place.settings.kind, reason })
        }
    }
}

/// Writes the nodes of a layer, and returns the name of its value; or the reason why it can't be written.
fn write<T: Scalar>(place: &mut Place<'_, '_, T>, layer: &Description) -> Result<String, String> {
    use Description::*;
    match layer {
        Affine(_) => maps::affine(place),
        Bilinear(_) => maps::bilinear(place),
        Conv1d(_) | Conv2d(_) => maps::convolution(place),
        ConvTranspose2d(_) => maps::transposed_convolution(place),
        Embedding(_) => maps::embedding(place),
        Scale(_) => maps::scale(place),
        AdaptiveAveragePool1d(_) | AdaptiveAveragePool2d(_) => pooling::adaptive(place),
        AveragePool1d(_) | AveragePool2d(_) => pooling::average(place),
        GlobalAveragePool(_) => pooling::global(place),
        MaxPool1d(_) | MaxPool2d(_) => pooling::max(place),
        BatchNorm(_) => normalisation::batch(place),
        GroupNorm(_) => normalisation::group(place),
        InstanceNorm(_) => normalisation::instance(place),
        LayerNorm(_) => normalisation::layer(place),
        RmsNorm(_) => normalisation::rms(place),
        Lstm(_) | Gru(_) | Rnn(_) => recurrent::recurrent(place),
        MultiHeadAttention(_) => attention::attention(place),
        LearntPositions(_) => attention::learnt_positions(place),
        RotaryPositions(layer) => attention::rotary_positions(place, layer),
        SinusoidalPositions(layer) => attention::sinusoidal_positions(place, layer),
        FinitePadding(_) => attention::finite_padding(place),
        // What training alone does.
        Dropout(_) | Identity(_) | SpatialDropout(_) => Ok(place.input(0)),
        Add(_) | Concat(_) | Mean(_) | Multiply(_) | Sum(_) => shapes::merge(place),
        Flatten(_) | Permute(_) | Reshape(_) | Slice(_) => shapes::reorder(place),
        Pad(_) => resize::pad(place),
        Upsample(_) => resize::upsample(place),
        Celu(_) | Elu(_) | Gelu(_) | Glu(_) | Hardshrink(_) | Hardsigmoid(_) | Hardswish(_) | Hardtanh(_)
        | LeakyRelu(_) | LogSigmoid(_) | LogSoftmax(_) | Mish(_) | PRelu(_) | RRelu(_) | Relu(_) | Relu6(_)
        | Selu(_) | Sigmoid(_) | Silu(_) | Softmax(_) | Softmin(_) | Softplus(_) | Softshrink(_) | Softsign(_)
        | Tanh(_) | Tanhshrink(_) | Threshold(_) => activations::activation(place),
        _ => Err("it has no form in ONNX yet".to_owned()),
    }
}
