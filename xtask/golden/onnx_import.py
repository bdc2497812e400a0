"""Models as other frameworks export them, for crates/formats/tests/formats/onnx_import.rs.

Each case has the model's bytes (`NAME:model`), its inputs in order (`NAME:0`, ...) and what ONNX Runtime makes of them
(`NAME:y`), or the framework itself where ONNX Runtime has no operator in double precision. What exporters say of the
source code, which is most of a file, is left out; nodes, names and numbers are theirs.
"""

import logging
import os
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import io

import keras
import numpy
import onnx
import onnxruntime
import onnxscript
import skl2onnx
import sklearn
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

from support.golden import ROOT, origin, write_fixture

BATCH = 3
state = onnxruntime.capi.onnxruntime_pybind11_state
tensors = {}


def slim(model):
    """Without what tells of the exporter's source code."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    del graph.value_info[:]
    del graph.metadata_props[:]
    graph.doc_string = ""
    for value in [*graph.input, *graph.output, *graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def case(name, model, inputs, output=None, reference=None):
    model = slim(model)
    file = model.SerializeToString()
    inputs = [numpy.asarray(x) for x in inputs]
    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        feed = {value.name: x for value, x in zip(session.get_inputs(), inputs)}
        y = session.run([output or names[0]], feed)[0]
        if isinstance(y, list):
            y = numpy.array([list(row.values()) for row in y])
    except (state.NotImplemented, state.RuntimeException) as error:
        if reference is None or reference.dtype != numpy.float64:
            raise error
        y = reference
    tensors[f"{name}:model"] = numpy.frombuffer(file, dtype=numpy.uint8)
    for place, x in enumerate(inputs):
        tensors[f"{name}:{place}"] = numpy.ascontiguousarray(x, dtype=numpy.float64)
    tensors[f"{name}:y"] = numpy.ascontiguousarray(y, dtype=numpy.float64)


class Recurrent(nn.Module):
    """The output after the last step, or the last state, through a map."""

    def __init__(self, kind, state, **settings):
        super().__init__()
        self.recurrent = getattr(nn, kind)(3, 4, batch_first=True, **settings)
        self.state = state
        self.head = nn.Linear(8 if settings.get("bidirectional") else 4, 2)

    def forward(self, x):
        y, h = self.recurrent(x)
        h = h[0] if isinstance(h, tuple) else h
        return self.head(h[-1] if self.state else y[:, -1])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(4)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1), nn.Sigmoid())
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.head = nn.Linear(4, 3)
        for norm in (self.norm1, self.norm2):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight)
            nn.init.uniform_(norm.bias)

    def forward(self, x):
        h = torch.relu(self.norm1(self.conv1(x)))
        h = torch.relu(h + self.norm2(self.conv2(h)))
        h = self.up(h * self.squeeze(h))
        return self.head(nn.functional.adaptive_avg_pool2d(h, 1).flatten(1))


class Encoder(nn.Module):
    def __init__(self, first):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=first, activation="gelu" if first else "relu")
        norm = nn.LayerNorm(4) if first else None
        self.encoder = nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)
        self.head = nn.Linear(4, 3)
        # Copies of a layer begin with the same numbers, which exporters would store once.
        for parameter in self.encoder.parameters():
            nn.init.normal_(parameter, std=0.5)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class Language(nn.Module):
    """Tokens, learnt positions, a causal block written by hand, and scores for each step."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(10, 4)
        self.positions = nn.Parameter(torch.randn(5, 4))
        self.norm = nn.LayerNorm(4)
        self.q, self.k, self.v, self.merge = (nn.Linear(4, 4) for _ in range(4))
        self.head = nn.Linear(4, 10, bias=False)

    def forward(self, x):
        h = self.tokens(x) + self.positions
        a = self.norm(h)
        batch, steps, width = a.shape
        q, k, v = (part(a).view(batch, steps, 2, 2).transpose(1, 2) for part in (self.q, self.k, self.v))
        a = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.merge(a.transpose(1, 2).reshape(batch, steps, width))
        return self.head(h)


def torch_cases():
    torch.manual_seed(0)
    mlp = nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 6), nn.SiLU(), nn.LayerNorm(6), nn.Linear(6, 3), nn.LogSoftmax(-1)
    )
    cnn = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.GELU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(-1),
    )
    models = {
        "mlp": (mlp, torch.randn(BATCH, 4)),
        "cnn": (cnn, torch.randn(BATCH, 1, 8, 8)),
        "residual": (Residual(), torch.randn(BATCH, 2, 4, 4)),
        "lstm": (Recurrent("LSTM", False), torch.randn(BATCH, 5, 3)),
        "lstm_both": (Recurrent("LSTM", False, num_layers=2, bidirectional=True), torch.randn(BATCH, 5, 3)),
        "lstm_state": (Recurrent("LSTM", True), torch.randn(BATCH, 5, 3)),
        "gru": (Recurrent("GRU", True, num_layers=2), torch.randn(BATCH, 5, 3)),
        "rnn": (Recurrent("RNN", False), torch.randn(BATCH, 5, 3)),
        "encoder": (Encoder(False), torch.randn(BATCH, 5, 4)),
        "encoder_norm_first": (Encoder(True), torch.randn(BATCH, 5, 4)),
        "language": (Language(), torch.randint(0, 10, (BATCH, 5))),
    }
    for name, (model, x) in models.items():
        model.eval()
        for precision in ("f32", "f64"):
            if precision == "f64" and name not in ("mlp", "cnn", "lstm", "gru", "encoder", "language"):
                continue
            model = model.double() if precision == "f64" else model.float()
            x = x.to(next(model.parameters()).dtype) if x.is_floating_point() else x
            y = model(x).detach().numpy()
            file = io.BytesIO()
            axes = {"x": {0: "batch"}, "y": {0: "batch"}}
            torch.onnx.export(model, (x,), file, dynamo=False, dynamic_axes=axes, input_names=["x"], output_names=["y"])
            case(f"torch_{name}_script_{precision}", onnx.load_from_string(file.getvalue()), [x], reference=y)
            if precision == "f32":
                shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
                program = torch.onnx.export(
                    model, (x,), dynamo=True, dynamic_shapes=shapes, input_names=["x"], output_names=["y"], verbose=False
                )
                case(f"torch_{name}_dynamo_{precision}", program.model_proto, [x], reference=y)
    # As it comes when nobody names an axis that is dynamic.
    model = models["encoder"][0].float()
    program = torch.onnx.export(model, (torch.randn(1, 5, 4),), dynamo=True, input_names=["x"], output_names=["y"], verbose=False)
    case("torch_encoder_fixed_dynamo_f32", program.model_proto, [torch.randn(1, 5, 4)])


def sklearn_cases():
    rng = numpy.random.default_rng(0)
    x = rng.normal(2000, 3, (60, 4)).astype(numpy.float32)
    names = numpy.array(["low", "middle", "high"])[numpy.digitize(x[:, 0], [1999, 2001])]
    targets = (x[:, :2] - 2000) @ numpy.array([[1.0, -1.0], [0.5, 2.0]])
    small = {"hidden_layer_sizes": (5,), "max_iter": 30, "random_state": 0}
    models = {
        "classifier": (make_pipeline(StandardScaler(), MLPClassifier(**small)), names, True),
        "classifier_plain": (make_pipeline(StandardScaler(), MLPClassifier(**small, activation="tanh")), names, False),
        "binary": (make_pipeline(MinMaxScaler(), MLPClassifier(**small, activation="logistic")), names == "low", False),
        "regressor": (make_pipeline(StandardScaler(), MLPRegressor(**small)), targets[:, 0], None),
        "regressor_two": (make_pipeline(StandardScaler(), MLPRegressor(**small, activation="identity")), targets, None),
    }
    for name, (model, y, zipmap) in models.items():
        for precision, dtype in (("f32", numpy.float32), ("f64", numpy.float64)):
            data = x.astype(dtype)
            model.fit(data, y.astype(int) if y.dtype == bool else y)
            # In double precision there is no map from class to probability.
            maps = zipmap and precision == "f32"
            options = None if zipmap is None else {"zipmap": maps}
            exported = skl2onnx.to_onnx(model, data[:1], options=options)
            output = None if zipmap is None else ("output_probability" if maps else "probabilities")
            case(f"sklearn_{name}_{precision}", exported, [data[:BATCH]], output)


def keras_cases():
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 2))
    h = layers.Conv2D(3, 3, padding="same", activation="relu", bias_initializer="normal")(image)
    h = layers.MaxPooling2D()(layers.BatchNormalization()(h))
    h = layers.Activation("relu")(layers.Conv2D(4, 3, strides=2, padding="same", bias_initializer="normal")(h))
    h = layers.Flatten()(layers.AveragePooling2D(2, padding="same")(h))
    scores = layers.Dense(3, activation="softmax")(layers.Dense(4, activation="gelu")(h))
    sequence = keras.Input((4, 3))
    models = {
        "mlp": keras.Sequential(
            [keras.Input((4,)), layers.Dense(6, activation="elu"), layers.BatchNormalization(), layers.Dropout(0.1), layers.Dense(3)]
        ),
        "cnn": keras.Model(image, scores),
        "lstm": keras.Model(sequence, layers.Dense(2)(layers.LSTM(3)(sequence))),
    }
    rng = numpy.random.default_rng(1)
    for name, model in models.items():
        x = rng.normal(0, 1, (BATCH, *model.input_shape[1:])).astype(numpy.float32)
        model(x)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        path = ROOT / "target" / f"golden-{name}.onnx"
        model.export(str(path), format="onnx", verbose=False)
        case(f"keras_{name}_f32", onnx.load(path), [x])
        path.unlink()


torch_cases()
sklearn_cases()
keras_cases()
metadata = origin(__file__) | {
    "keras": keras.__version__,
    "onnx": onnx.__version__,
    "onnxruntime": onnxruntime.__version__,
    "onnxscript": onnxscript.__version__,
    "scikit-learn": sklearn.__version__,
    "skl2onnx": skl2onnx.__version__,
}
write_fixture(ROOT / "crates/formats/tests/fixtures/onnx_import.safetensors", tensors, metadata)
