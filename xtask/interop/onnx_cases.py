"""The ONNX project's own test cases, for `cargo xtask onnx-conformance`: its node cases, which the package generates,
and the models of PyTorch that it stores.

Usage: onnx_cases.py FOLDER. Each file FOLDER/GROUP/CASE.VARIANT.safetensors holds a model as bytes (`model`), its inputs
(`input:NAME`) and what it makes of them (`output:NAME`); the metadata names the operators.

Node cases give weights and shapes as inputs of the graph, too. Here they become initialisers, and only data stays an
input: in one variant the first input that holds real numbers, in another one all of them. Which of the inputs are whole
numbers that a network takes is tried as well, so that an embedding's places are an input.
"""

import pathlib
import sys

import numpy
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests, load_node_model_tests
from safetensors.numpy import save_file

REAL = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}
WHOLE = {TensorProto.INT32, TensorProto.INT64}


def arrays(values):
    """The values as arrays that a file can hold, or `None` if one is a sequence, a map or of another type."""
    found = []
    for value in values:
        value = numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
        if not isinstance(value, (numpy.ndarray, numpy.generic)):
            return None
        value = numpy.asarray(value)
        if value.dtype == object or value.dtype.kind not in "fiub" or value.dtype.name not in numpy.sctypeDict:
            return None
        found.append(value)
    return found


def variants(model, inputs):
    """The models in which different inputs are data, each with the indices of those."""
    graph = model.graph
    kinds = [value.type.tensor_type.elem_type for value in graph.input]
    initialised = {tensor.name for tensor in graph.initializer}
    free = [index for index, value in enumerate(graph.input) if value.name not in initialised]
    real = [index for index in free if kinds[index] in REAL]
    whole = [index for index in free if kinds[index] in WHOLE]
    for data in dict.fromkeys((tuple(real[:1]), tuple(real[1:2]), tuple(whole[:1]), tuple(real))):
        if not data:
            continue
        changed = ModelProto()
        changed.CopyFrom(model)
        for index, value in enumerate(graph.input):
            if index in free and index not in data:
                changed.graph.initializer.append(numpy_helper.from_array(inputs[index], value.name))
        kept = [value for index, value in enumerate(graph.input) if index in data]
        del changed.graph.input[:]
        changed.graph.input.extend(kept)
        yield changed, data


def operators(graph):
    names = {node.op_type if not node.domain else f"{node.domain}.{node.op_type}" for node in graph.node}
    return sorted(names - {"Constant", "Identity"}) or ["Identity"]


def tolerance(inputs, outputs):
    """How far a result may be off, next to the larger of 1 and what is expected; the project itself allows 1e-3."""
    if any(array.dtype == numpy.float16 for array in [*inputs, *outputs]):
        return 2e-3
    # Some cases give their outputs with four digits.
    rounded = all(numpy.array_equal(array, numpy.round(array, 4), equal_nan=True) for array in outputs)
    return 1e-4 if rounded else 1e-5


def write(folder, case, inputs, outputs):
    graph = case.model.graph
    inputs, outputs = arrays(inputs), arrays(outputs)
    if inputs is None or outputs is None or not any(array.dtype.kind == "f" for array in outputs):
        return False
    wrote = False
    for number, (model, data) in enumerate(variants(case.model, inputs)):
        file = {"model": numpy.frombuffer(model.SerializeToString(), dtype=numpy.uint8)}
        for place, index in enumerate(data):
            file[f"input:{place}"] = numpy.ascontiguousarray(inputs[index], dtype=numpy.float64)
        for value, array in zip(graph.output, outputs):
            if array.dtype.kind == "f":
                file[f"output:{value.name}"] = numpy.ascontiguousarray(array, dtype=numpy.float64)
        # An array without axes stays one.
        file = {name: array.reshape(shape) for (name, array), shape in zip(file.items(), shapes(file, inputs, data, outputs, graph))}
        metadata = {"operators": " ".join(operators(graph)), "tolerance": repr(tolerance(inputs, outputs))}
        save_file(file, folder / f"{case.name}.{number}.safetensors", metadata)
        wrote = True
    return wrote


def shapes(file, inputs, data, outputs, graph):
    yield file["model"].shape
    yield from (inputs[index].shape for index in data)
    yield from (array.shape for array in outputs if array.dtype.kind == "f")


def main():
    root = pathlib.Path(sys.argv[1])
    node = [case for case in load_node_model_tests()]
    stored = [case for kind in ("pytorch-converted", "pytorch-operator", "simple") for case in load_model_tests(kind=kind)]
    for group, cases in (("node", node), ("stored", stored)):
        folder = root / group
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.safetensors"):
            old.unlink()
        others = 0
        for case in cases:
            if case.model is None:
                path = pathlib.Path(case.model_dir)
                case.model = ModelProto.FromString((path / "model.onnx").read_bytes())
                sets = [
                    [
                        [TensorProto.FromString(file.read_bytes()) for file in sorted(data.glob(f"{part}_*.pb"))]
                        for part in ("input", "output")
                    ]
                    for data in sorted(path.glob("test_data_set_*"))
                ]
            else:
                sets = case.data_sets or []
            try:
                wrote = bool(sets) and write(folder, case, *sets[0])
            except (ValueError, TypeError, NotImplementedError):
                # A model whose values are no tensors.
                wrote = False
            others += not wrote
        print(f"{group}: {len(cases)} cases, of which {others} make no real numbers of numbers")


main()
