//! The messages of an ONNX file, as far as networks need them: field numbers are those of `onnx.proto`.
//!
//! A field of which only the presence matters is kept as its bytes; whatever is not named here is skipped.
//! Numbers of attributes and of axes are optional, so that a zero is written and not left out.

use std::mem::size_of;

use prost::Message;
use prost::bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::FormatError;

/// What a file holds: a graph, and the operator sets that it is written in.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(crate) producer_name: String,
    #[prost(string, tag = "3")]
    pub(crate) producer_version: String,
    #[prost(string, tag = "4")]
    pub(crate) domain: String,
    #[prost(int64, tag = "5")]
    pub(crate) model_version: i64,
    #[prost(string, tag = "6")]
    pub(crate) doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<StringStringEntryProto>,
    #[prost(message, repeated, tag = "25")]
    pub(crate) functions: Vec<FunctionProto>,
}

/// The version of the operators of a domain; the empty domain is ONNX's own.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// Nodes in an order in which each reads what inputs, initialisers and earlier nodes have made.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) value_info: Vec<ValueInfoProto>,
    /// Each as its bytes.
    #[prost(bytes = "bytes", repeated, tag = "15")]
    pub(crate) sparse_initializer: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    /// An input that is left out has the empty name.
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
    #[prost(string, tag = "8")]
    pub(crate) overload: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(float, optional, tag = "2")]
    pub(crate) f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) i: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(crate) s: Option<Bytes>,
    #[prost(message, optional, boxed, tag = "5")]
    pub(crate) t: Option<Box<TensorProto>>,
    #[prost(message, optional, boxed, tag = "6")]
    pub(crate) g: Option<Box<GraphProto>>,
    #[prost(float, repeated, tag = "7")]
    pub(crate) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(crate) ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub(crate) strings: Vec<Bytes>,
    /// One of [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub(crate) r#type: i32,
    /// Within a function: the attribute of the calling node that stands here.
    #[prost(string, tag = "21")]
    pub(crate) ref_attr_name: String,
}

/// What an attribute holds.
pub(crate) mod attribute_type {
    pub(crate) const FLOAT: i32 = 1;
    pub(crate) const INT: i32 = 2;
    pub(crate) const STRING: i32 = 3;
    pub(crate) const TENSOR: i32 = 4;
    pub(crate) const FLOATS: i32 = 6;
    pub(crate) const INTS: i32 = 7;
    pub(crate) const STRINGS: i32 = 8;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    /// One of [`data_type`](super::tensor::data_type).
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    /// As its bytes.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) segment: Option<Bytes>,
    #[prost(float, repeated, tag = "4")]
    pub(crate) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(crate) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    /// The numbers in little-endian order: a part of the file's bytes, not a copy.
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub(crate) raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(crate) uint64_data: Vec<u64>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
    /// 1 if the numbers are in another file.
    #[prost(int32, tag = "14")]
    pub(crate) data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    /// `None` for sequences, maps and other values that are no tensor.
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorTypeProto {
    /// One of [`data_type`](super::tensor::data_type).
    #[prost(int32, tag = "1")]
    pub(crate) elem_type: i32,
    /// `None` if even the number of axes is unknown.
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<DimensionProto>,
}

/// An axis: its length, or the name of a length that is known when the graph runs, or nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) dim_param: Option<String>,
}

/// An operator that is made of others.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FunctionProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) output: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) attribute: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) opset_import: Vec<OperatorSetIdProto>,
    #[prost(string, tag = "10")]
    pub(crate) domain: String,
    #[prost(message, repeated, tag = "11")]
    pub(crate) attribute_proto: Vec<AttributeProto>,
    #[prost(string, tag = "13")]
    pub(crate) overload: String,
}

impl ModelProto {
    /// Reads a file's bytes, of which raw numbers stay parts.
    ///
    /// # Errors
    /// Returns an error if they are no ONNX model, or one that takes far more memory than they do: an empty message
    /// is two bytes of a file and some hundred in memory.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, FormatError> {
        let malformed = |reason| FormatError::Malformed { format: "ONNX", reason };
        let most = bytes.len().saturating_add(MOST_IN_ADDITION);
        let need = memory(bytes.clone(), Kind::Model, DEEPEST).map_err(|reason| malformed(reason.to_owned()))?;
        if need > most {
            return Err(malformed(format!(
                "its {} bytes would take {need} bytes of memory, but a model of this size takes at most {most}",
                bytes.len()
            )));
        }
        Self::decode(bytes).map_err(|error| malformed(error.to_string()))
    }
}

/// The memory that messages may take in addition to the file's size.
const MOST_IN_ADDITION: usize = 12 << 20;

/// Messages within messages; `prost` has the same limit.
const DEEPEST: usize = 100;

/// The messages that can be repeated, or hold what can.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Function,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    /// Messages of texts alone.
    Entry,
}

/// What a field's bytes take in memory.
enum Field {
    Message(Kind),
    /// A text or bytes: a header of this size, and a copy.
    Copied(usize),
    /// Numbers of this size, each of which may be one byte in the file.
    Numbers(usize),
    /// Nothing: it is skipped, or a part of the file's bytes.
    Nothing,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::Model => size_of::<ModelProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::TensorType => size_of::<TensorTypeProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<DimensionProto>(),
            Self::Entry => size_of::<StringStringEntryProto>().max(size_of::<OperatorSetIdProto>()),
        }
    }

    fn field(self, tag: u32) -> Field {
        const TEXT: Field = Field::Copied(size_of::<String>());
        match (self, tag) {
            (Self::Model, 7) | (Self::Attribute, 6) => Field::Message(Self::Graph),
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Function, 9) => Field::Message(Self::Entry),
            (Self::Model, 25) => Field::Message(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Field::Message(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5) => Field::Message(Self::Tensor),
            (Self::Graph, 11..=13) => Field::Message(Self::ValueInfo),
            (Self::Graph, 15) | (Self::Attribute, 9) => Field::Numbers(size_of::<Bytes>()),
            (Self::Node, 5) | (Self::Function, 11) => Field::Message(Self::Attribute),
            (Self::ValueInfo, 2) => Field::Message(Self::Type),
            (Self::Type, 1) => Field::Message(Self::TensorType),
            (Self::TensorType, 2) => Field::Message(Self::Shape),
            (Self::Shape, 1) => Field::Message(Self::Dimension),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7 | 11) => Field::Numbers(size_of::<i64>()),
            (Self::Tensor, 5) => Field::Numbers(size_of::<i32>()),
            // Numbers of a fixed size take as much in the file, but for a vector's growth.
            (Self::Attribute, 7) | (Self::Tensor, 4 | 10) => Field::Numbers(2),
            (Self::Attribute, 4) | (Self::Tensor, 3 | 9) => Field::Nothing,
            (Self::Type | Self::TensorType | Self::Shape, _) => Field::Nothing,
            _ => TEXT,
        }
    }
}

/// The most memory that a message takes, itself and what it holds, by its tags alone.
fn memory(mut bytes: Bytes, kind: Kind, deep: usize) -> Result<usize, &'static str> {
    const CUT: &str = "a field ends beyond the message that holds it";
    // A vector grows to twice what it holds.
    let mut sum = 2 * kind.size();
    while bytes.has_remaining() {
        let (tag, wire) = decode_key(&mut bytes).map_err(|_| "a field's key is no key of this format")?;
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(|_| "a number has more bytes than its type")?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(|_| "a length has more bytes than its type")?;
                usize::try_from(length).map_err(|_| CUT)?
            }
            WireType::StartGroup | WireType::EndGroup => return Err("it has a group, which ONNX has not"),
        };
        if length > bytes.len() {
            return Err(CUT);
        }
        let part = bytes.split_to(length);
        let more = match (kind.field(tag), wire) {
            (Field::Message(inner), WireType::LengthDelimited) => {
                memory(part, inner, deep.checked_sub(1).ok_or("messages lie within messages too deeply")?)?
            }
            (Field::Copied(header), WireType::LengthDelimited) => 2 * header + length,
            // Packed, or one alone.
            (Field::Numbers(size), _) => 2 * size * length.max(1),
            _ => 0,
        };
        sum = sum.saturating_add(more);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeProto {
        let attribute =
            AttributeProto { name: "axis".into(), i: Some(0), r#type: attribute_type::INT, ..Default::default() };
        NodeProto { input: vec!["x".into(), String::new()], attribute: vec![attribute], ..Default::default() }
    }

    #[test]
    fn a_zero_and_a_name_that_is_empty_are_written() {
        let graph = GraphProto { node: vec![node()], ..Default::default() };
        let model = ModelProto { ir_version: 8, graph: Some(graph), ..Default::default() };
        let bytes = Bytes::from(model.encode_to_vec());
        assert_eq!(ModelProto::read(bytes).unwrap(), model);
        assert_eq!(model.graph.unwrap().node[0].attribute[0].i, Some(0));
    }

    #[test]
    fn raw_numbers_are_parts_of_the_file() {
        let tensor = TensorProto { raw_data: Some(vec![7; 64].into()), ..Default::default() };
        let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
        let bytes = Bytes::from(ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec());
        let read = ModelProto::read(bytes.clone()).unwrap();
        let raw = read.graph.unwrap().initializer[0].raw_data.clone().unwrap();
        assert!(bytes.as_ptr_range().contains(&raw.as_ptr()));
    }

    #[test]
    fn a_file_of_empty_messages_is_refused_before_they_fill_memory() {
        for (field, held) in [(1u8, "nodes"), (5, "tensors"), (11, "values")] {
            let graph = [field << 3 | 2, 0].repeat(1 << 20);
            let mut bytes = vec![7 << 3 | 2];
            prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
            bytes.extend(graph);
            let error = ModelProto::read(bytes.into()).unwrap_err().to_string();
            assert!(error.contains("bytes of memory"), "{held}: {error}");
        }
    }

    #[test]
    fn graphs_within_graphs_end() {
        let mut graph = GraphProto::default();
        for _ in 0..200 {
            let attribute = AttributeProto { g: Some(Box::new(graph)), ..Default::default() };
            graph = GraphProto { node: vec![NodeProto { attribute: vec![attribute], ..node() }], ..Default::default() };
        }
        let bytes = ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec();
        let error = ModelProto::read(bytes.into()).unwrap_err().to_string();
        assert!(error.contains("too deeply"), "{error}");
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_model() {
        let graph = GraphProto { node: vec![node()], ..Default::default() };
        let bytes = ModelProto { ir_version: 8, graph: Some(graph), ..Default::default() }.encode_to_vec();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                let _ = ModelProto::read(damaged.into());
            }
            let _ = ModelProto::read(Bytes::copy_from_slice(&bytes[..place]));
        }
        let error = ModelProto::read(Bytes::from_static(&[7 << 3 | 2, 100])).unwrap_err();
        assert_eq!(error.to_string(), "this is no valid ONNX file: a field ends beyond the message that holds it");
    }
}
