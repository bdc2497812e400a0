//! The messages of an event file, as far as a run needs them: field numbers are those of TensorBoard's `.proto` files.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// `event.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(double, tag = "1")]
    pub(crate) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(crate) step: i64,
    #[prost(oneof = "What", tags = "3, 4, 5, 7")]
    pub(crate) what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// A `GraphDef`.
    #[prost(bytes, tag = "4")]
    GraphDef(Vec<u8>),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

impl SessionLog {
    pub(crate) const START: i32 = 1;
}

/// `summary.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(crate) value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) tag: String,
    /// A scalar, which has no metadata.
    #[prost(float, optional, tag = "2")]
    pub(crate) simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    pub(crate) tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub(crate) plugin_data: Option<PluginData>,
    #[prost(int32, tag = "4")]
    pub(crate) data_class: i32,
}

impl Metadata {
    pub(crate) const TENSOR: i32 = 2;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PluginData {
    #[prost(string, tag = "1")]
    pub(crate) plugin_name: String,
    #[prost(bytes, tag = "2")]
    pub(crate) content: Vec<u8>,
}

/// `tensor.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tensor {
    #[prost(int32, tag = "1")]
    pub(crate) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<TensorShape>,
    /// Numbers, little-endian.
    #[prost(bytes, tag = "4")]
    pub(crate) content: Vec<u8>,
}

impl Tensor {
    pub(crate) const FLOAT: i32 = 1;
    pub(crate) const DOUBLE: i32 = 2;

    pub(crate) fn doubles(axes: &[usize], numbers: impl IntoIterator<Item = f64>) -> Self {
        let content = numbers.into_iter().flat_map(f64::to_le_bytes).collect();
        Self { dtype: Self::DOUBLE, shape: Some(TensorShape::new(axes)), content }
    }

    /// A tensor that says nothing, where all is in the metadata.
    pub(crate) fn empty() -> Self {
        Self { dtype: Self::FLOAT, shape: Some(TensorShape::new(&[0])), content: Vec::new() }
    }
}

/// `tensor_shape.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub(crate) dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dim {
    #[prost(int64, tag = "1")]
    pub(crate) size: i64,
}

impl TensorShape {
    fn new(axes: &[usize]) -> Self {
        Self { dim: axes.iter().map(|&axis| Dim { size: axis as i64 }).collect() }
    }

    /// The shape of a batch: the number of examples is not known.
    pub(crate) fn of_batch(example: &[usize]) -> Self {
        let mut shape = Self::new(example);
        shape.dim.insert(0, Dim { size: -1 });
        shape
    }
}

/// `graph.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<NodeDef>,
    #[prost(message, optional, tag = "4")]
    pub(crate) versions: Option<VersionDef>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionDef {
    #[prost(int32, tag = "1")]
    pub(crate) producer: i32,
}

/// `node_def.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeDef {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) op: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) input: Vec<String>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(crate) attr: BTreeMap<String, AttrValue>,
}

/// `attr_value.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttrValue {
    #[prost(oneof = "Attr", tags = "1, 3")]
    pub(crate) value: Option<Attr>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Attr {
    #[prost(message, tag = "1")]
    List(Shapes),
    #[prost(int64, tag = "3")]
    I(i64),
}

/// A list value, of which only shapes are written.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Shapes {
    #[prost(message, repeated, tag = "7")]
    pub(crate) shape: Vec<TensorShape>,
}

/// `plugins/hparams/plugin_data.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HParams {
    #[prost(oneof = "HParamsData", tags = "2, 3, 4")]
    pub(crate) data: Option<HParamsData>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum HParamsData {
    #[prost(message, tag = "2")]
    Experiment(Experiment),
    #[prost(message, tag = "3")]
    SessionStart(SessionStart),
    #[prost(message, tag = "4")]
    SessionEnd(SessionEnd),
}

/// `plugins/hparams/api.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Experiment {
    #[prost(double, tag = "3")]
    pub(crate) time_created: f64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) hparams: Vec<HParam>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HParam {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int32, tag = "4")]
    pub(crate) data_type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, optional, tag = "1")]
    pub(crate) name: Option<MetricName>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricName {
    #[prost(string, tag = "2")]
    pub(crate) tag: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) hparams: BTreeMap<String, JsonValue>,
    #[prost(double, tag = "5")]
    pub(crate) time: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionEnd {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
    #[prost(double, tag = "2")]
    pub(crate) time: f64,
}

impl SessionEnd {
    pub(crate) const SUCCESS: i32 = 1;
    pub(crate) const FAILURE: i32 = 2;
}

/// `google/protobuf/struct.proto`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct JsonValue {
    #[prost(oneof = "JsonKind", tags = "2, 3, 4")]
    pub(crate) kind: Option<JsonKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum JsonKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Flag(bool),
}
