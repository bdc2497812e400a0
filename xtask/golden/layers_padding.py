"""Padding without what is not finite, as PyTorch's `where` makes it."""

import torch

from support.layers import Golden


def finite_padding():
    golden = Golden(__file__, "FinitePadding")
    draw = golden.draw
    sizes = [(1, [1, 1]), (2, [3, 2]), (3, [4]), (2, [5, 2, 3]), (4, [2, 5]), (1, [7, 3]), (5, [6, 1])]
    for examples, shape in sizes:
        for share in [0.0, 0.2, 1.0]:
            steps = shape[0]
            lengths = draw.classes([examples, 1], steps + 1)
            padded = (torch.arange(steps) >= lengths).reshape(examples, steps, *[1] * (len(shape) - 1))
            x = draw.numbers([examples, *shape])
            wrong = draw.either([examples, *shape], float("nan"), float("-inf"))
            spoilt = torch.tensor(draw.generator.random([examples, *shape]) < share) & padded
            x = torch.where(spoilt, wrong, x)

            def function(x, theta, kept):
                finite = torch.isfinite(x[0]).reshape(examples, steps, -1).all(2).reshape(padded.shape)
                return torch.where(padded & ~finite, torch.zeros_like(x[0]), x[0])

            golden.case({}, [x, lengths.double()], function, whole=[1])
    golden.write()


finite_padding()
