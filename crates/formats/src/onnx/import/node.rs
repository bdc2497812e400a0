//! A node of a file: its operator, and its attributes by name.

use std::rc::Rc;

use super::constant::{Budget, Const, Data, axis_of};
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto};
use crate::onnx::tensor::{Numbers, data_type};

#[derive(Clone, Copy, Debug)]
pub(super) struct Operator<'a> {
    pub(super) node: &'a NodeProto,
    /// The version of the operators of ONNX's own domain.
    pub(super) version: i64,
}

impl<'a> Operator<'a> {
    pub(super) fn kind(&self) -> &'a str {
        &self.node.op_type
    }

    /// Whether the operator is of ONNX's own domain.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self.node.domain.as_str(), "" | "ai.onnx")
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        // A zero may be left out.
        Ok(self.attribute(name).map_or(default, |attribute| attribute.i.unwrap_or_default()))
    }

    pub(super) fn float(&self, name: &str, default: f64) -> Result<f64, String> {
        Ok(self.attribute(name).map_or(default, |attribute| attribute.f.unwrap_or_default().into()))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, String> {
        Ok(self.attribute(name).map(|attribute| attribute.ints.clone()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>, String> {
        Ok(self.attribute(name).map(|attribute| attribute.floats.iter().map(|&x| x.into()).collect()))
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&'a str, String> {
        match self.attribute(name) {
            None => Ok(default),
            Some(attribute) => {
                let bytes = attribute.s.as_deref().unwrap_or_default();
                std::str::from_utf8(bytes).map_err(|_| format!("its `{name}` is no text"))
            }
        }
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let strings = self.attribute(name).map(|attribute| attribute.strings.as_slice()).unwrap_or_default();
        strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<Const>, String> {
        self.attribute(name).and_then(|attribute| attribute.t.as_deref()).map(read).transpose()
    }

    /// An attribute of which nothing here knows what it changes.
    pub(super) fn unknown_attribute(&self) -> Option<&'a str> {
        let (_, known) = ATTRIBUTES.iter().find(|(operator, _)| *operator == self.kind())?;
        let known: Vec<&str> = known.split(' ').collect();
        self.node.attribute.iter().map(|attribute| attribute.name.as_str()).find(|name| !known.contains(name))
    }

    /// Whole numbers of an attribute as sizes; `default` for each if there is none.
    pub(super) fn sizes(&self, name: &str, count: usize, default: usize) -> Result<Vec<usize>, String> {
        let Some(numbers) = self.ints(name)?.filter(|numbers| !numbers.is_empty()) else {
            return Ok(vec![default; count]);
        };
        if numbers.len() != count {
            return Err(format!("its `{name}` has {} numbers, but should have {count}", numbers.len()));
        }
        let size = |&n: &i64| usize::try_from(n).map_err(|_| format!("its `{name}` is {n}, which is not supported"));
        numbers.iter().map(size).collect()
    }
}

/// The attributes of operators that are read, and those that make no difference to what a network computes.
const ATTRIBUTES: [(&str, &str); 57] = [
    ("Add", "axis broadcast consumed_inputs"),
    ("Attention", "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision"),
    ("AveragePool", "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"),
    ("BatchNormalization", "consumed_inputs epsilon is_test momentum spatial training_mode"),
    ("Cast", "saturate to round_mode"),
    ("CastLike", "saturate round_mode"),
    ("Celu", "alpha"),
    ("Clip", "consumed_inputs max min"),
    ("Concat", "axis"),
    ("Conv", "auto_pad dilations group kernel_shape pads strides"),
    ("ConvTranspose", "auto_pad dilations group kernel_shape output_padding output_shape pads strides"),
    ("DepthToSpace", "blocksize mode"),
    ("Div", "axis broadcast consumed_inputs"),
    ("Dropout", "consumed_inputs is_test ratio seed"),
    ("Elu", "alpha consumed_inputs"),
    ("Flatten", "axis"),
    ("GRU", "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset"),
    ("Gather", "axis"),
    ("Gelu", "approximate"),
    ("Gemm", "alpha beta broadcast transA transB"),
    ("GlobalAveragePool", ""),
    ("GlobalMaxPool", ""),
    ("GroupNormalization", "epsilon num_groups stash_type"),
    ("HardSigmoid", "alpha beta consumed_inputs"),
    ("HardSwish", ""),
    ("InstanceNormalization", "consumed_inputs epsilon"),
    (
        "LSTM",
        "activation_alpha activation_beta activations clip direction hidden_size input_forget layout output_sequence",
    ),
    ("LayerNormalization", "axis epsilon stash_type"),
    ("LeakyRelu", "alpha consumed_inputs"),
    ("LogSoftmax", "axis"),
    ("MatMul", ""),
    ("MaxPool", "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"),
    ("Mul", "axis broadcast consumed_inputs"),
    ("PRelu", "consumed_inputs"),
    ("Pad", "mode paddings pads value"),
    ("RMSNormalization", "axis epsilon stash_type"),
    ("RNN", "activation_alpha activation_beta activations clip direction hidden_size layout output_sequence"),
    ("ReduceMax", "axes keepdims noop_with_empty_axes"),
    ("ReduceMean", "axes keepdims noop_with_empty_axes"),
    ("ReduceMin", "axes keepdims noop_with_empty_axes"),
    ("ReduceSum", "axes keepdims noop_with_empty_axes"),
    ("ReduceSumSquare", "axes keepdims noop_with_empty_axes"),
    ("Reshape", "allowzero consumed_inputs shape"),
    (
        "Resize",
        "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value \
         keep_aspect_ratio_policy mode nearest_mode",
    ),
    ("Scaler", "offset scale"),
    ("Selu", "alpha consumed_inputs gamma"),
    ("Shrink", "bias lambd"),
    ("Slice", "axes ends starts steps"),
    ("Softmax", "axis"),
    ("SpaceToDepth", "blocksize mode"),
    ("Split", "axis num_outputs split"),
    ("Squeeze", "axes"),
    ("Sub", "axis broadcast consumed_inputs"),
    ("ThresholdedRelu", "alpha"),
    ("Transpose", "perm"),
    ("Unsqueeze", "axes"),
    ("Upsample", "height_scale mode scales width_scale"),
];

/// The numbers of a tensor.
pub(super) fn read(tensor: &TensorProto) -> Result<Const, String> {
    if tensor.data_type == data_type::STRING {
        let (shape, count) = tensor.shape()?;
        if tensor.string_data.len() != count {
            return Err(format!("tensor `{}` has {} of {count} texts", tensor.name, tensor.string_data.len()));
        }
        let texts = tensor.string_data.iter().map(|text| String::from_utf8_lossy(text).into_owned());
        return Ok(Const::new(shape, Data::Text(texts.collect())));
    }
    let array = tensor.read()?;
    let data = match array.numbers {
        Numbers::Float(numbers) => Data::F32(numbers),
        Numbers::Double(numbers) => Data::F64(numbers),
        Numbers::Int(numbers) => Data::Int(numbers),
        Numbers::Bool(numbers) => Data::Int(numbers.into_iter().map(i64::from).collect()),
    };
    Ok(Const::new(array.shape, data))
}

/// The order of axes of a `Transpose`.
pub(super) fn permutation(node: &Operator<'_>, rank: usize) -> Result<Vec<usize>, String> {
    let order = match node.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(order) => order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..rank) {
        return Err(format!("its order {order:?} does not name each of {rank} axes once"));
    }
    Ok(order)
}

/// Places along an axis at equal distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) step: i64,
    pub(super) count: usize,
}

impl Run {
    pub(super) fn places(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |at| (self.start as i64).saturating_add(self.step.saturating_mul(at as i64)) as usize)
    }
}

/// What a `Slice` keeps, axis by axis, of an array of this shape.
pub(super) fn ranges(
    node: &Operator<'_>,
    inputs: &[Option<Rc<Const>>],
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Vec<(usize, Run)>, String> {
    let mut numbers = |index: usize, name: &str| match inputs.get(index).cloned().flatten() {
        Some(numbers) => numbers.whole_numbers(budget).map(Some),
        None => node.ints(name),
    };
    let missing = || "where it begins and ends is not known when the file is read".to_owned();
    let starts = numbers(1, "starts")?.ok_or_else(missing)?;
    let ends = numbers(2, "ends")?.ok_or_else(missing)?;
    let axes = numbers(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = numbers(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].into_iter().any(|count| count != starts.len()) {
        return Err("its starts, ends, axes and steps are not equally many".into());
    }
    let each = starts.iter().zip(&ends).zip(axes.iter().zip(&steps));
    each.map(|((&start, &end), (&axis, &step))| {
        let axis = axis_of(axis, shape.len())?;
        let length = shape.get(axis).map_or(0, |&length| length as i64);
        let bound =
            |at: i64, low: i64, high: i64| (if at < 0 { at.saturating_add(length) } else { at }).clamp(low, high);
        let run = match step {
            0 => return Err("it has a step of 0".to_owned()),
            1.. => {
                let (start, end) = (bound(start, 0, length), bound(end, 0, length));
                let reach = (end - start).max(0);
                Run { start: start as usize, step, count: (reach / step + i64::from(reach % step > 0)) as usize }
            }
            _ => {
                let (start, end) = (bound(start, -1, length - 1), bound(end, -1, length - 1));
                let (reach, back) = ((start - end).max(0), step.saturating_neg());
                let count = reach / back + i64::from(reach % back > 0);
                Run { start: start.max(0) as usize, step, count: count as usize }
            }
        };
        Ok((axis, run))
    })
    .collect()
}
