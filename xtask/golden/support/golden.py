"""What the scripts that write fixtures share: numbers that f32 holds exactly, and files that are the same each time."""

import hashlib
import json
import pathlib

import numpy
import torch
from safetensors.numpy import save

ROOT = pathlib.Path(__file__).resolve().parents[3]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def origin(script, *support):
    """What a fixture says of who wrote it: the script, and the files beside it that the script reads."""
    script = pathlib.Path(script).resolve()
    sources = [pathlib.Path(__file__).resolve(), *(pathlib.Path(path).resolve() for path in support)]
    return {
        "script": str(script.relative_to(ROOT)),
        "script_sha256": digest(script),
        "support": json.dumps({str(path.relative_to(ROOT)): digest(path) for path in sources}, sort_keys=True),
        "torch": torch.__version__.split("+")[0],
    }


def write_fixture(path, tensors, metadata):
    """The same bytes in every run: the library writes its header in no particular order."""
    file = save(tensors, metadata)
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + file[end:])


class Draw:
    """Random numbers that f32 holds exactly, from a seed that is a name."""

    def __init__(self, name):
        self.generator = numpy.random.Generator(numpy.random.PCG64(sum(name.encode())))

    def numbers(self, shape, low=-2, high=2):
        return torch.tensor(self.generator.uniform(low, high, shape).astype(numpy.float32)).double()

    def either(self, shape, a, b):
        return torch.where(torch.tensor(self.generator.random(shape) < 0.5), float(a), float(b)).double()

    def classes(self, shape, classes):
        return torch.tensor(self.generator.integers(0, classes, shape))

    def weights(self, count):
        """Eighths, from 1/8 to 2."""
        return (self.generator.integers(1, 17, count) / 8).tolist()

    def choose(self, among):
        return among[int(self.generator.integers(0, len(among)))]

    def size(self, low, high):
        """A whole number from low to high, both included."""
        return int(self.generator.integers(low, high + 1))
