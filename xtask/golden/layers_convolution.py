"""Convolutions as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden

START = {"init": "FanInUniform", "bias_init": "FanInUniform"}


def add(golden, settings, x, weight, biased, outputs, function):
    """A case whose parameters lie as in PyTorch; `function(x, weight, bias)`. A mean of products has no cancellation
    to speak of, so that f32 is compared with f32: inputs and weights are mostly positive."""
    draw = golden.draw
    theta = [draw.numbers(weight, -0.25, 1)] + ([draw.numbers([outputs], -1, 1)] if biased else [])
    golden.case(
        settings | {"bias": biased} | START,
        [draw.numbers(x, -0.5, 2)],
        lambda x, theta, kept: function(x[0], theta[0], theta[1] if biased else None),
        theta,
    )


def padded(sides):
    """(before, after) of each axis, as F.pad takes it: the last axis first."""
    return [number for axis in reversed(sides) for number in axis]


def conv1d():
    golden = Golden(__file__, "Conv1d")
    # examples, channels, length, outputs, kernel, stride, padding, dilation, groups
    cases = [
        (1, 1, 1, 1, 1, 1, (0, 0), 1, 1),
        (2, 1, 5, 1, 3, 1, (1, 1), 1, 1),
        (1, 3, 9, 4, 3, 1, (0, 0), 1, 1),
        (2, 2, 8, 3, 2, 2, (1, 0), 1, 1),
        (1, 2, 10, 5, 4, 3, (2, 2), 1, 1),
        (1, 4, 7, 4, 3, 1, (2, 2), 2, 4),
        (2, 4, 6, 6, 2, 1, (0, 1), 3, 2),
        (1, 1, 33, 3, 5, 1, (2, 2), 1, 1),
        (3, 3, 4, 2, 1, 1, (0, 0), 1, 1),
        (1, 6, 11, 6, 5, 2, (4, 4), 1, 6),
        (1, 2, 5, 17, 3, 1, (2, 0), 1, 1),
        (2, 1, 1, 2, 3, 1, (1, 1), 1, 1),
        (1, 2, 6, 2, 3, 1, "same", 1, 1),
        (2, 3, 5, 2, 4, 1, "same", 1, 1),
        (1, 2, 7, 4, 2, 1, "same", 3, 2),
        (1, 1, 2, 1, 5, 1, "same", 2, 1),
        (2, 8, 3, 4, 3, 2, (1, 1), 1, 2),
        (1, 5, 16, 1, 3, 1, (1, 1), 1, 1),
        (1, 1, 24, 3, 9, 4, (3, 5), 1, 1),
        (2, 2, 9, 8, 2, 2, (0, 0), 2, 1),
    ]
    for number, (n, channels, length, outputs, kernel, stride, padding, dilation, groups) in enumerate(cases):
        settings = {"outputs": outputs, "kernel": kernel, "stride": stride, "dilation": dilation, "groups": groups}
        settings["padding"] = "Same" if padding == "same" else {"Sides": padding}

        def function(x, weight, bias):
            if padding == "same":
                return F.conv1d(x, weight, bias, stride, "same", dilation, groups)
            return F.conv1d(F.pad(x, padding), weight, bias, stride, 0, dilation, groups)

        weight = [outputs, channels // groups, kernel]
        add(golden, settings, [n, channels, length], weight, number % 3 < 2, outputs, function)
    golden.write()


def conv2d():
    golden = Golden(__file__, "Conv2d")
    # examples, channels, (height, width), outputs, kernel, stride, padding, dilation, groups
    none = ((0, 0), (0, 0))
    one = ((1, 1), (1, 1))
    cases = [
        (1, 1, (1, 1), 1, (1, 1), (1, 1), none, (1, 1), 1),
        (2, 1, (5, 5), 2, (3, 3), (1, 1), one, (1, 1), 1),
        (1, 3, (3, 9), 2, (3, 3), (1, 1), none, (1, 1), 1),
        (1, 2, (6, 5), 3, (2, 3), (2, 1), ((1, 0), (0, 2)), (1, 1), 1),
        (1, 2, (5, 6), 5, (3, 2), (2, 3), ((1, 1), (2, 2)), (1, 1), 1),
        (1, 4, (3, 4), 4, (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 4),
        (1, 4, (4, 5), 6, (2, 2), (1, 1), none, (3, 1), 2),
        (1, 1, (3, 17), 2, (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
        (2, 3, (3, 4), 2, (1, 1), (1, 1), none, (1, 1), 1),
        (1, 3, (6, 6), 3, (3, 3), (2, 2), one, (1, 1), 3),
        (1, 1, (3, 4), 2, (3, 3), (1, 1), ((4, 0), (3, 5)), (1, 1), 1),
        (3, 2, (1, 1), 3, (3, 3), (1, 1), one, (1, 1), 1),
        (1, 2, (5, 4), 2, (3, 3), (1, 1), "same", (1, 1), 1),
        (2, 1, (4, 3), 2, (2, 4), (1, 1), "same", (1, 1), 1),
        (1, 2, (6, 5), 4, (2, 3), (1, 1), "same", (3, 2), 2),
        (1, 5, (1, 8), 2, (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
        (1, 2, (8, 1), 5, (3, 1), (2, 1), ((1, 1), (0, 0)), (1, 1), 1),
        (1, 2, (5, 5), 9, (1, 1), (2, 2), none, (1, 1), 1),
        (2, 2, (3, 3), 4, (3, 3), (3, 3), one, (2, 2), 2),
        (1, 2, (4, 8), 2, (4, 4), (4, 4), none, (1, 1), 1),
    ]
    for number, (n, channels, size, outputs, kernel, stride, padding, dilation, groups) in enumerate(cases):
        settings = {"outputs": outputs, "kernel": kernel, "stride": stride, "dilation": dilation, "groups": groups}
        settings["padding"] = "Same" if padding == "same" else {"Sides": padding}

        def function(x, weight, bias):
            if padding == "same":
                return F.conv2d(x, weight, bias, stride, "same", dilation, groups)
            return F.conv2d(F.pad(x, padded(padding)), weight, bias, stride, 0, dilation, groups)

        weight = [outputs, channels // groups, *kernel]
        add(golden, settings, [n, channels, *size], weight, number % 3 < 2, outputs, function)
    golden.write()


def conv_transpose2d():
    golden = Golden(__file__, "ConvTranspose2d")
    # examples, channels, (height, width), outputs, kernel, stride, padding, output padding, dilation, groups
    cases = [
        (1, 1, (1, 1), 1, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
        (2, 1, (3, 3), 2, (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 1),
        (1, 3, (2, 4), 2, (3, 3), (1, 1), (0, 0), (0, 0), (1, 1), 1),
        (2, 2, (3, 2), 3, (2, 3), (2, 1), (0, 1), (0, 0), (1, 1), 1),
        (1, 2, (2, 2), 5, (3, 2), (2, 3), (1, 0), (1, 2), (1, 1), 1),
        (1, 4, (3, 3), 4, (3, 3), (1, 1), (2, 2), (0, 0), (2, 2), 4),
        (1, 4, (1, 3), 6, (2, 2), (1, 1), (0, 0), (2, 0), (3, 1), 2),
        (1, 1, (4, 9), 3, (5, 5), (1, 1), (2, 2), (0, 0), (1, 1), 1),
        (2, 3, (2, 2), 2, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
        (1, 3, (3, 3), 3, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 3),
        (1, 1, (3, 3), 2, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1),
        (3, 2, (1, 1), 3, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1),
        (1, 2, (3, 3), 2, (1, 1), (2, 2), (0, 0), (1, 0), (1, 1), 1),
        (1, 1, (2, 3), 2, (2, 2), (3, 3), (0, 0), (2, 1), (1, 1), 1),
        (1, 2, (2, 2), 4, (3, 2), (3, 2), (1, 0), (0, 1), (2, 3), 2),
        (1, 5, (1, 4), 2, (1, 3), (1, 2), (0, 1), (0, 0), (1, 1), 1),
        (1, 2, (4, 1), 9, (3, 1), (2, 1), (1, 0), (1, 0), (1, 1), 1),
        (1, 8, (2, 2), 1, (2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1),
        (2, 2, (2, 2), 4, (3, 3), (3, 3), (2, 2), (0, 0), (2, 2), 2),
        (1, 1, (3, 8), 1, (2, 2), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ]
    for number, case in enumerate(cases):
        n, channels, size, outputs, kernel, stride, padding, more, dilation, groups = case
        settings = {"outputs": outputs, "kernel": kernel, "stride": stride, "padding": padding}
        settings |= {"output_padding": more, "dilation": dilation, "groups": groups}

        def function(x, weight, bias):
            return F.conv_transpose2d(x, weight, bias, stride, padding, more, groups, dilation)

        weight = [channels, outputs // groups, *kernel]
        add(golden, settings, [n, channels, *size], weight, number % 3 < 2, outputs, function)
    golden.write()


conv1d()
conv2d()
conv_transpose2d()
