"""Layers and their derivatives as PyTorch computes them, for crates/layers/tests/parity.rs.

One file for each layer. Its cases lie one after another in flat tensors: what the layer is given (`given`, exact in
f32: the inputs, the parameters in the order of its signature, the running statistics, and dJ/dy), and what it makes of
that in either precision (`made_f64`, `made_f32`: y, dJ/dx of each input that has one, dJ/dθ, and the statistics after
a training pass). The metadata's `cases` says for each the layer as its Rust type is serialised, and the shapes.
"""

import json
import re

import numpy
import torch

from support.golden import ROOT, Draw, origin, write_fixture

FIXTURES = ROOT / "crates/layers/tests/fixtures"


class Golden:
    """The cases of one layer; `name` is that of its Rust type."""

    def __init__(self, script, name):
        self.name = name
        self.draw = Draw(name)
        self.metadata = origin(script, __file__)
        self.cases = []
        self.flat = {"given": [], "made_f64": [], "made_f32": []}

    def case(self, settings, inputs, function, parameters=(), statistics=(), training=True, whole=()):
        """Adds `function(inputs, parameters, statistics)`, which gives y and changes the statistics in place.

        `settings` are those of the Rust type. All tensors are f64 and exact in f32. `inputs` have the batch axis
        first; those whose index is in `whole` hold whole numbers and have no derivative. `parameters` are as they
        lie in memory here, which for matrices is (in, out): `function` brings them into PyTorch's form, so that
        their gradients come out in ours.
        """
        inputs, parameters, statistics = list(inputs), list(parameters), list(statistics)
        dy = None
        for precision, dtype in [("f64", torch.float64), ("f32", torch.float32)]:
            x = [x.detach().to(dtype).requires_grad_(index not in whole) for index, x in enumerate(inputs)]
            theta = [parameter.detach().to(dtype).requires_grad_() for parameter in parameters]
            kept = [statistic.detach().clone().to(dtype) for statistic in statistics]
            y = function(x, theta, kept)
            if dy is None:
                dy = self.draw.numbers(list(y.shape), -1, 1)
            wanted = [x for index, x in enumerate(x) if index not in whole] + theta
            gradients = torch.autograd.grad(y, wanted, dy.to(dtype), allow_unused=True) if y.requires_grad else []
            # What y does not depend on has a gradient of zero.
            gradients = [torch.zeros_like(of) if g is None else g for g, of in zip(gradients, wanted)]
            if len(gradients) < len(wanted):
                gradients = [torch.zeros_like(of) for of in wanted]
            made = [y, *gradients, *(kept if training else [])]
            self.flat[f"made_{precision}"] += [part.detach().reshape(-1).numpy() for part in made]
        self.flat["given"] += [part.detach().reshape(-1).numpy() for part in [*inputs, *parameters, *statistics, dy]]
        self.cases.append(
            {
                "layer": {"type": self.name} | settings,
                "examples": inputs[0].shape[0],
                "inputs": [list(x.shape[1:]) for x in inputs],
                "output": list(dy.shape[1:]),
                "training": training,
                "whole": list(whole),
            }
        )

    def write(self):
        assert len(self.cases) >= 20, f"{self.name} has {len(self.cases)} cases"
        tensors = {}
        for key, parts in self.flat.items():
            tensors[key] = numpy.concatenate(parts).astype("float64" if key.endswith("f64") else "float32")
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()
        cases = json.dumps(self.cases, separators=(",", ":"))
        write_fixture(FIXTURES / f"{stem}.safetensors", tensors, self.metadata | {"cases": cases})
