"""Affine and bilinear maps, factors and dropout as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden

START = {"init": "FanInUniform", "bias_init": "FanInUniform"}


def affine():
    golden = Golden(__file__, "Affine")
    draw = golden.draw
    sizes = [(1, 1, 1), (1, 3, 2), (4, 1, 5), (3, 7, 1), (2, 16, 16), (5, 17, 9), (1, 40, 12), (2, 3, 50), (7, 8, 6), (17, 5, 4)]
    for examples, inputs, outputs in sizes:
        for bias in [True, False]:
            affine_case(golden, [examples, inputs], outputs, bias)
    # Every vector along the last axis is mapped.
    for axes in [[1, 1, 1], [2, 3, 4], [1, 7, 5], [3, 1, 6], [2, 2, 3, 5], [1, 2, 1, 2, 3]]:
        affine_case(golden, axes, draw.size(1, 6), len(axes) != 4)
    golden.write()


def affine_case(golden, axes, outputs, bias):
    draw = golden.draw
    theta = [draw.numbers([axes[-1], outputs], -1, 1)] + ([draw.numbers([outputs], -1, 1)] if bias else [])
    golden.case(
        {"outputs": outputs, "bias": bias} | START,
        [draw.numbers(axes)],
        lambda x, theta, kept: F.linear(x[0], theta[0].T, *theta[1:]),
        theta,
    )


def dropout():
    """Where nothing is left to chance: no number is dropped, or all are."""
    golden = Golden(__file__, "Dropout")
    for examples, shape in [(1, [1]), (2, [5]), (1, [2, 3]), (3, [2, 2, 2]), (2, [17])]:
        for probability, training in [(0.0, True), (1.0, True), (0.3, False), (1.0, False)]:
            golden.case(
                {"probability": probability},
                [golden.draw.numbers([examples, *shape])],
                lambda x, theta, kept: F.dropout(x[0], probability, training) * 1,
                training=training,
            )
    golden.write()


def spatial_dropout():
    """Where nothing is left to chance."""
    golden = Golden(__file__, "SpatialDropout")
    for examples, shape in [(1, [1]), (2, [5]), (1, [2, 3]), (3, [2, 2, 2]), (2, [3, 4])]:
        for probability, training in [(0.0, True), (1.0, True), (0.3, False), (1.0, False)]:
            golden.case(
                {"probability": probability},
                [golden.draw.numbers([examples, *shape])],
                # One channel after another, for PyTorch has no name for it where a channel is one number.
                lambda x, theta, kept: F.dropout1d(x[0].flatten(2) if x[0].dim() > 2 else x[0].unsqueeze(2), probability, training).reshape(x[0].shape) * 1,
                training=training,
            )
    golden.write()


def bilinear():
    golden = Golden(__file__, "Bilinear")
    draw = golden.draw
    sizes = [(1, 1, 1, 1), (1, 3, 2, 4), (4, 1, 5, 2), (3, 4, 1, 1), (2, 5, 6, 3), (5, 2, 2, 2), (1, 7, 3, 2), (2, 3, 9, 1), (6, 2, 3, 1), (2, 1, 1, 7)]
    for examples, first, second, outputs in sizes:
        for bias in [True, False]:
            theta = [draw.numbers([outputs, first, second], -1, 1)] + ([draw.numbers([outputs], -1, 1)] if bias else [])
            golden.case(
                {"outputs": outputs, "bias": bias} | START,
                [draw.numbers([examples, first]), draw.numbers([examples, second])],
                lambda x, theta, kept: F.bilinear(*x, *theta),
                theta,
            )
    golden.write()


# Between these the sum that is the factor's derivative is no small difference.
SCALED = (-1.625, 1.125)


def scale():
    golden = Golden(__file__, "Scale")
    draw = golden.draw
    for examples in range(1, 5):
        for shape in [[1], [2], [1, 3], [1, 1, 2], [2, 1]]:
            golden.case({"start": 0.5}, [draw.numbers([examples, *shape], *SCALED)], lambda x, theta, kept: theta[0] * x[0], [draw.numbers([], 0.5, 2)])
    golden.write()


affine()
dropout()
spatial_dropout()
bilinear()
scale()
