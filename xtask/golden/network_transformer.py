"""A whole transformer block and its derivatives as PyTorch computes them, for crates/network/tests/transformer.rs.

The tensors of case 3 are called `3.x`, `3.y`, `3.dy`, `3.dx`, and for each parameter `3.theta.NAME` and `3.dtheta.NAME`,
with PyTorch's names and shapes. All are f64; what is given is exact in f32. The metadata's `cases` holds the settings.
"""

import json

import numpy
import torch

from support.golden import ROOT, Draw, origin, write_fixture

CASES = [
    {},
    {"norm_first": True},
    {"norm_first": True, "gelu": True},
    {"gelu": True, "causal": True},
    {"norm_first": True, "causal": True, "bias": False},
    {"lengths": [3, 1]},
    {"norm_first": True, "gelu": True, "lengths": [2, 3], "causal": True},
    {"epsilon": 0.25, "bias": False},
]
EXAMPLES, STEPS, WIDTH, HEADS, FEED_FORWARD = 2, 3, 4, 2, 5


def main():
    draw = Draw("transformer")
    tensors, cases = {}, []
    for number, settings in enumerate(CASES):
        case = {"norm_first": False, "gelu": False, "causal": False, "bias": True, "lengths": None, "epsilon": 1e-5} | settings
        cases.append(case)
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, FEED_FORWARD, 0.0, "gelu" if case["gelu"] else "relu", case["epsilon"],
            batch_first=True, norm_first=case["norm_first"], bias=case["bias"], dtype=torch.float64,
        )
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                around = 1 if name.startswith("norm") and name.endswith("weight") else 0
                parameter.copy_(around + draw.numbers(list(parameter.shape), -0.5, 0.5))
        x = draw.numbers([EXAMPLES, STEPS, WIDTH]).requires_grad_()
        dy = draw.numbers([EXAMPLES, STEPS, WIDTH], -1, 1)
        mask = torch.ones(STEPS, STEPS).tril() == 0 if case["causal"] else None
        lengths = case["lengths"]
        padding = None if lengths is None else torch.arange(STEPS) >= torch.tensor(lengths)[:, None]
        y = layer(x, mask, padding)
        y.backward(dy)
        tensors |= {f"{number}.x": x, f"{number}.y": y, f"{number}.dy": dy, f"{number}.dx": x.grad}
        for name, parameter in layer.named_parameters():
            tensors |= {f"{number}.theta.{name}": parameter, f"{number}.dtheta.{name}": parameter.grad}
    arrays = {name: numpy.ascontiguousarray(tensor.detach().numpy()) for name, tensor in tensors.items()}
    path = ROOT / "crates/network/tests/fixtures/transformer_encoder_block.safetensors"
    write_fixture(path, arrays, origin(__file__) | {"cases": json.dumps(cases, separators=(",", ":"))})


main()
