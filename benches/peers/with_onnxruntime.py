"""ONNX Runtime: inference with and without bound buffers, and the file that this library exports."""

from common import *  # noqa: F403

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def options():
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = THREADS
    return settings


def opened(model):
    return onnxruntime.InferenceSession(model, options(), providers=["CPUExecutionProvider"])


def session():
    nodes, tensors, value = [], [], "x"
    layers = mlp_parameters()
    for index, (weight, bias) in enumerate(layers):
        last = index + 1 == len(layers)
        tensors += [numpy_helper.from_array(weight, f"w{index}"), numpy_helper.from_array(bias, f"b{index}")]
        output = "y" if last else f"a{index}"
        nodes.append(helper.make_node("Gemm", [value, f"w{index}", f"b{index}"], [output], transB=1))
        if not last:
            value = f"h{index}"
            nodes.append(helper.make_node("Relu", [output], [value]))
    widths = WORKLOAD["widths"]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, widths[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [BATCH, widths[-1]])
    graph = helper.make_graph(nodes, "mlp", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return opened(model.SerializeToString())


def variants():
    if SUITE not in ("inference", "model") or MODEL != "mlp":
        return []
    call, file = WORKLOAD.get("call"), os.environ["DOWNHILL_ONNX"]
    if "bare" in WORKLOAD or call in ("classes", "buffer"):
        return []  # What a model makes of its network's outputs.
    run = session() if SUITE == "inference" else opened(file)
    x, _ = data(WORKLOAD["widths"][-1:])
    y = run.run(None, {"x": x})[0]
    if call == "open":
        return [Variant("ONNX Runtime", lambda: opened(file), [mean_square(y)])]
    binding = run.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(y)))
    return [
        Variant("ONNX Runtime", lambda: run.run(None, {"x": x}), [mean_square(y)]),
        Variant("ONNX Runtime, bound", lambda: run.run_with_iobinding(binding), [mean_square(y)]),
    ]


serve(f"ONNX Runtime {onnxruntime.__version__}", variants())
