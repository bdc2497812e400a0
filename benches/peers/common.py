"""What the Python sides share: the workloads, the start of every tensor, and the dialogue with `cargo xtask bench`.

A side is started as `python with_NAME.py WORKLOAD THREADS`. It says on one line which variants of the workload it can
run, with the numbers by which they are compared. Then, for each line `VARIANT SECONDS` that it reads, it repeats the
variant for about so long and answers with the seconds of one call. The environment variable DOWNHILL_ONNX names the
file of the workload's network, for what is measured of a file.
"""

import json
import os
import sys
import time
from pathlib import Path

THREADS = int(sys.argv[2])
if hasattr(os, "sched_setaffinity"):  # Some libraries start as many threads as there are processors to run on.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

import numpy as np  # noqa: E402  (its threads are started on import)

# A rate that hardly moves, for timing: a batch learnt by heart has a vanishing gradient, and that is slow to work with.
STILL = 1e-9
COMPARED = 5  # steps whose losses are compared
INPUT, TARGET = 1000, 1001  # keys of the tensors that are no parameters


def _find(wanted):
    for entry in json.loads((Path(__file__).parent.parent / "workloads.json").read_text()):
        for batch in entry.get("batches", [1]):
            if "form" in entry:
                name = f"{entry['form']}, batch {batch}, {entry['inputs']} to {entry['outputs']}"
            elif "batches" in entry:
                name = f"{entry['name']}, batch {batch}"
            else:
                name = entry["name"]
            if f"{entry['suite']}/{name}" == wanted:
                return entry | {"batch": batch}
    sys.exit(f"there is no workload {wanted}")


WORKLOAD = _find(sys.argv[1])
SUITE, BATCH = WORKLOAD["suite"], WORKLOAD["batch"]
MODEL = WORKLOAD.get("model")
PRECISION = np.float64 if WORKLOAD.get("precision") == "f64" else np.float32


def fill(key, *shape):
    """Uniform in [0, 1), in steps of 2⁻²⁴: SplitMix64's finalizer of key · 2⁴⁰ + index, as in benches/workload.rs."""
    return _mixed(np.uint64(key << 40) + np.arange(np.prod(shape, dtype=int), dtype=np.uint64)).reshape(shape)


def _mixed(z):
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (((z ^ (z >> np.uint64(31))) >> np.uint64(40)) / 2.0**24).astype(PRECISION)


def fill_rows(start, end, width):
    """The rows from `start` to `end` of the inputs, as `fill` makes them; whole, 60,000 of them would take gigabytes."""
    z = np.uint64(INPUT << 40) + np.arange(start * width, end * width, dtype=np.uint64)
    return _mixed(z).reshape(end - start, width)


def parameter(key, shape, gain=False):
    """The start of the parameter that is number `key`, in PyTorch's order and shape."""
    return (2 * fill(key, *shape) - 1) / PRECISION(16) + PRECISION(gain)


def mlp_parameters():
    """Weights (out, in) and biases, layer after layer; `None` where a layer has no bias."""
    widths, key, layers = WORKLOAD["widths"], 0, []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        weight = parameter(key, (outputs, inputs))
        has_bias = index + 2 < len(widths) or WORKLOAD.get("last_bias", True)
        layers.append((weight, parameter(key + 1, (outputs,)) if has_bias else None))
        key += 2
    return layers


def data(output):
    """The batch's inputs, and its targets for predictions of the shape `output` (without the batch)."""
    shape = WORKLOAD["input"] if "input" in WORKLOAD else WORKLOAD["widths"][:1]
    x = fill(INPUT, BATCH, *shape)
    if WORKLOAD.get("loss") == "cross-entropy":
        return x, (fill(TARGET, BATCH).astype(np.float64) * output[-1]).astype(np.int64)
    return x, fill(TARGET, BATCH, *output)


def matrices():
    """Both operands of a product, as the form takes them."""
    inputs, outputs = WORKLOAD["inputs"], WORKLOAD["outputs"]
    x, w, dy = fill(INPUT, BATCH, inputs), fill(0, inputs, outputs), fill(TARGET, BATCH, outputs)
    return {"y = x W": (x, w), "dW = xT dy": (x.T, dy), "dx = dy WT": (dy, w.T)}[WORKLOAD["form"]]


def mean_square(values):
    return float(np.mean(np.square(np.asarray(values, dtype=np.float64))))


class Variant:
    """One way of doing the work: `call` does it, `values` are compared, and `finish` waits until all is done."""

    def __init__(self, peer, call, values, finish=lambda: None, calls=1):
        self.peer, self.call, self.values, self.finish = peer, call, values, finish
        self.calls = calls  # how many times the work is done in one call
        self.seconds = None

    def repeat(self, count):
        start = time.perf_counter()
        for _ in range(count):
            self.call()
        self.finish()
        return (time.perf_counter() - start) / count

    def run(self, seconds):
        if self.seconds is None:
            self.repeat(2)  # what is compiled or allocated on the first call
            self.seconds = self.repeat(2)
        self.seconds = self.repeat(max(1, round(seconds / self.seconds)))
        return self.seconds / self.calls


def serve(library, variants):
    """The dialogue. `library` is a name and a version."""
    told = [{"peer": v.peer, "library": library, "values": [float(x) for x in v.values]} for v in variants]
    print(json.dumps({"variants": told}), flush=True)
    for line in sys.stdin:
        index, seconds = line.split()
        print(variants[int(index)].run(float(seconds)), flush=True)
