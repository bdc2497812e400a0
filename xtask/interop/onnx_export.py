"""Runs exported models in ONNX Runtime and compares with our own answers.

`cargo xtask interop onnx-export` writes the folder: for each network NAME.onnx, and NAME.safetensors with inputs and
outputs of two batches. What ONNX Runtime has no kernel for, which is so for many operators in double precision, runs in
the ONNX project's reference evaluator; and what that computes otherwise than its specification says, in ONNX Runtime
with all doubles made floats, to the accuracy of those.
"""

import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from safetensors.numpy import load_file

MOST = {"f32": 1e-5, "f64": 1e-11}


class Erf(OpRun):
    """The reference evaluator's own rounds to float."""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def reference_follows_specification(model):
    """False for recurrent operators with lengths or a second direction, windows that hang over, grouped transposes."""
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in {"LSTM", "GRU", "RNN"}:
            if len(node.input) > 4 or attributes.get("direction", b"forward") != b"forward":
                return False
        if node.op_type == "AveragePool" and attributes.get("ceil_mode"):
            return False
        if node.op_type == "ConvTranspose" and attributes.get("group", 1) > 1:
            return False
    return True


def as_float(model):
    """The model with floats in place of doubles."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            numbers = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
    return model


def in_onnx_runtime(model, batches):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, inputs)[0] for inputs in batches]


def answers(model, batches, precision):
    """The outputs for the batches, what computed them, and the largest difference that it may make."""
    try:
        return in_onnx_runtime(model, batches), "ONNX Runtime", MOST[precision]
    except Exception as error:
        lacks_a_kernel = "NOT_IMPLEMENTED" in str(error) or "does not support double" in str(error)
        if precision != "f64" or not lacks_a_kernel:
            raise
    if reference_follows_specification(model):
        evaluator = ReferenceEvaluator(model, new_ops=[Erf])
        return [evaluator.run(None, inputs)[0] for inputs in batches], "reference", MOST[precision]
    floats = [{name: x.astype(np.float32) if x.dtype == np.float64 else x for name, x in batch.items()}
              for batch in batches]
    outputs = in_onnx_runtime(as_float(model), floats)
    return [y.astype(np.float64) for y in outputs], "as floats", MOST["f32"]


def read_batches(path, model):
    """Inputs by name, and our outputs, of each batch."""
    arrays = load_file(path)
    inputs, outputs = [], []
    for batch in sorted({key.split("/")[0] for key in arrays}):
        kinds = {v.name: onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in model.graph.input}
        inputs.append({name: arrays[f"{batch}/{name}"].astype(kind) for name, kind in kinds.items()})
        outputs.append(arrays[f"{batch}/output"])
    return inputs, outputs


def difference(ours, theirs):
    """The largest difference, relative to numbers above 1."""
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        raise ValueError(f"{theirs.dtype}{theirs.shape} and not {ours.dtype}{ours.shape}")
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours)))
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


def main(folder):
    failures, counts, worst = [], {}, {}
    for path in sorted(Path(folder).glob("*.onnx")):
        name, precision = path.stem.rsplit(".", 1)
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            inputs, ours = read_batches(path.with_suffix(".safetensors"), model)
            theirs, by, most = answers(model, inputs, precision)
            off = max(map(difference, ours, theirs))
        except Exception as error:  # every failure is a line of the table
            failures.append(f"{name} {precision}")
            print(f"{name:32} {precision}  FAILED: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        verdict = "" if off <= most else "  TOO FAR OFF"
        if verdict:
            failures.append(f"{name} {precision}")
        counts[precision, by] = counts.get((precision, by), 0) + 1
        worst[precision, by] = max(worst.get((precision, by), 0.0), off)
        print(f"{name:32} {precision}  {by:12} {off:.1e}{verdict}")
    print()
    for (precision, by), count in sorted(counts.items()):
        print(f"{precision}, {by}: {count} models, worst difference {worst[precision, by]:.1e}")
    if failures or not counts:
        print(f"{len(failures)} failed: {', '.join(failures)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
