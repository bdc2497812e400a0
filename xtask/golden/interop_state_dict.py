"""State dicts of `torch.nn` modules with inputs and outputs, and NumPy's own archives, for crates/formats/tests.

Without arguments it writes the fixtures: for each case a safetensors file that is the module's state dict and nothing
else, in f64 with numbers that f32 holds exactly, and an NPZ archive with its input `x` and output `y`.

`--check FOLDER` is the other direction, and needs no more than torch, numpy and safetensors: FOLDER holds what our tests
exported, `CASE.PRECISION.safetensors`, `CASE.PRECISION.npz` with the same tensors, and `CASE.PRECISION.io.npz` with x and
our y. Each is loaded with `strict=True` and run.
"""

import io
import pathlib
import sys
import zipfile

import numpy
import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates/formats/tests/fixtures"
LIMITS = {"f32": 1e-5, "f64": 1e-11}


class Sequence(nn.Module):
    """A recurrent layer, and an affine one on each of its states."""

    def __init__(self, recurrent, width):
        super().__init__()
        self.rnn = recurrent
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.rnn = nn.RNN(4, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        x = self.rnn(self.embedding(x.long()))[0]
        return self.norm(self.attention(x, x, x, need_weights=False)[0])


class Maps(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2), nn.PReLU(4), nn.GroupNorm(2, 4),
            nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.RMSNorm(100, eps=1e-6), nn.LayerNorm(100, bias=False),
            nn.Linear(100, 2, bias=False), nn.PReLU(),
        )


class Tied(nn.Module):
    """One affine layer under two names, which a state dict has twice."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = self.a

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def cases():
    """Each case's module and the shape of its input."""
    return {
        "mlp": (nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), [5, 4]),
        "cnn": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(4, 4, 2, groups=2, bias=False), nn.Flatten(), nn.Linear(16, 3),
            ),
            [2, 2, 6, 6],
        ),
        "lstm": (Sequence(nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True), 8), [2, 5, 3]),
        "gru": (Sequence(nn.GRU(3, 4, batch_first=True), 4), [2, 5, 3]),
        "transformer": (nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True), [2, 3, 4]),
        "maps": (Maps(), [2, 2, 2, 2]),
        "tokens": (Tokens(), [2, 5]),
        "tied": (Tied(), [3, 4]),
    }


def write_fixtures():
    from support.golden import Draw, origin, write_fixture

    draw = Draw("state dict")
    for name, (module, shape) in cases().items():
        module = module.double().eval()
        state = module.state_dict()
        for key, tensor in state.items():
            if key.endswith("num_batches_tracked"):
                tensor.fill_(1 << 33)
            elif key.endswith("running_var"):
                tensor.copy_(draw.numbers(list(tensor.shape), 0.5, 2))
            else:
                tensor.copy_(draw.numbers(list(tensor.shape), -0.75, 0.75))
        # A copy in memory of its own for each name, as a file has it.
        arrays = {key: numpy.ascontiguousarray(tensor.numpy()).reshape(tensor.shape) for key, tensor in state.items()}
        write_fixture(FIXTURES / f"{name}.safetensors", arrays, origin(__file__) | {"format": "pt"})
        x = draw.classes(shape, 7).double() if name == "tokens" else draw.numbers(shape)
        numpy.savez(FIXTURES / f"{name}.npz", x=x.numpy(), y=module(x).detach().numpy())
    write_archives()


def write_archives():
    """The numbers 0, 1, ... in every type, order and version that is read."""
    arrays = {}
    for dtype in ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]:
        for order in "<>":
            arrays[f"{order}{dtype}"] = numpy.arange(6).reshape(2, 3).astype(order + dtype)
            arrays[f"fortran {order}{dtype}"] = numpy.asfortranarray(arrays[f"{order}{dtype}"])
    arrays["bool"] = numpy.array([[False, True], [True, False]])
    arrays["scalar"] = numpy.float32(2.5)
    arrays["empty"] = numpy.zeros((0, 3))
    arrays["halves"] = numpy.array([1, -2.5, 65504, 6e-8, numpy.inf, -numpy.inf, numpy.nan, -0.0], numpy.float16)
    numpy.savez(FIXTURES / "numpy.npz", **arrays)
    numpy.savez_compressed(FIXTURES / "numpy_compressed.npz", **arrays)
    with zipfile.ZipFile(FIXTURES / "numpy_versions.npz", "w") as archive:
        for version in [(1, 0), (2, 0), (3, 0)]:
            file = io.BytesIO()
            numpy.lib.format.write_array(file, numpy.arange(6.0).reshape(2, 3), version)
            archive.writestr(zipfile.ZipInfo(f"version {version[0]}.npy"), file.getvalue())


def check(folder):
    """Prints a line for each file, and returns whether all are right."""
    from safetensors.torch import load_file

    right, seen = True, 0
    for precision, limit in LIMITS.items():
        dtype = {"f32": torch.float32, "f64": torch.float64}[precision]
        for name, (module, _) in cases().items():
            path = folder / f"{name}.{precision}.safetensors"
            state = load_file(path)
            with numpy.load(folder / f"{name}.{precision}.npz", allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            same = arrays.keys() == state.keys() and all(
                arrays[key].dtype == tensor.numpy().dtype and arrays[key].tobytes() == tensor.numpy().tobytes()
                and arrays[key].shape == tuple(tensor.shape)
                for key, tensor in state.items()
            )
            module = module.to(dtype).eval()
            module.load_state_dict(state, strict=True)
            with numpy.load(folder / f"{name}.{precision}.io.npz") as archive:
                x, y = torch.tensor(archive["x"]), torch.tensor(archive["y"])
            with torch.no_grad():
                worst = (module(x) - y).abs().max().item()
            ok = worst <= limit and same
            right, seen = right and ok, seen + 1
            print(f"{name} {precision}: worst difference {worst:.2e}, at most {limit:.0e}; NPZ {'the same' if same else 'DIFFERS'}")
    return right and seen > 0


if sys.argv[1:2] == ["--check"]:
    sys.exit(0 if check(pathlib.Path(sys.argv[2])) else 1)
write_fixtures()
