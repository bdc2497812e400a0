"""Pooling layers as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden


def pooled(name, options, **bounds):
    """Cases of (settings, examples, shape, function of x)."""
    golden = Golden(__file__, name)
    for settings, examples, shape, function in options:
        x = golden.draw.numbers([examples, *shape], **bounds)
        golden.case(settings, [x], lambda x, theta, kept: function(x[0]))
    golden.write()


# (examples, channels x length, kernel, stride, padding, dilation, rounded up)
SEQUENCES = [
    (1, [1, 1], 1, 1, 0, 1, False), (1, [1, 2], 2, 2, 0, 1, False), (2, [3, 8], 2, 2, 0, 1, False),
    (1, [2, 9], 2, 2, 0, 1, False), (1, [2, 9], 2, 2, 0, 1, True), (2, [1, 7], 3, 1, 1, 1, False),
    (1, [2, 7], 3, 2, 1, 1, False), (1, [2, 8], 3, 2, 1, 1, True), (1, [1, 9], 2, 1, 0, 3, False),
    (1, [1, 10], 3, 2, 1, 2, False), (2, [2, 5], 5, 1, 2, 1, False), (1, [1, 6], 4, 3, 2, 1, True),
    (1, [1, 7], 2, 5, 0, 1, True), (3, [1, 4], 1, 3, 0, 1, False), (1, [4, 3], 3, 3, 0, 1, False),
    (1, [1, 1], 2, 1, 1, 1, False), (1, [1, 3], 2, 4, 1, 1, True), (1, [2, 12], 4, 2, 1, 1, False),
    (1, [1, 11], 3, 4, 1, 3, True), (2, [2, 6], 6, 1, 3, 1, False),
]

# The same for images.
IMAGES = [
    (1, [1, 1, 1], [1, 1], [1, 1], [0, 0], [1, 1], False), (1, [1, 2, 2], [2, 2], [2, 2], [0, 0], [1, 1], False),
    (2, [3, 4, 6], [2, 2], [2, 2], [0, 0], [1, 1], False), (1, [2, 5, 7], [2, 2], [2, 2], [0, 0], [1, 1], False),
    (1, [2, 5, 7], [2, 2], [2, 2], [0, 0], [1, 1], True), (1, [1, 2, 36], [2, 2], [2, 2], [0, 0], [1, 1], False),
    (1, [2, 5, 6], [3, 3], [2, 2], [1, 1], [1, 1], False), (1, [1, 5, 6], [3, 3], [2, 2], [1, 1], [1, 1], True),
    (1, [1, 4, 4], [3, 3], [1, 1], [1, 1], [1, 1], False), (1, [1, 7, 6], [3, 2], [1, 2], [1, 0], [2, 3], False),
    (1, [2, 3, 5], [1, 3], [1, 1], [0, 1], [1, 1], False), (1, [2, 6, 1], [3, 1], [2, 1], [0, 0], [1, 1], False),
    (1, [1, 3, 3], [3, 3], [3, 3], [0, 0], [1, 1], False), (1, [1, 6, 7], [2, 3], [3, 2], [1, 1], [1, 2], True),
    (3, [2, 2, 3], [2, 1], [2, 1], [0, 0], [1, 1], False), (1, [1, 1, 1], [2, 2], [1, 1], [1, 1], [1, 1], False),
    (1, [1, 3, 3], [2, 2], [4, 4], [1, 1], [1, 1], True), (1, [1, 3, 4], [5, 4], [1, 1], [2, 2], [1, 1], False),
    (1, [3, 3, 3], [2, 2], [1, 1], [0, 0], [1, 1], False), (1, [1, 8, 3], [2, 2], [2, 2], [1, 1], [1, 1], True),
]


def maxima(name, cases, function):
    def option(examples, shape, kernel, stride, padding, dilation, up):
        settings = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": up}
        return settings, examples, shape, lambda x: function(x, kernel, stride, padding, dilation, up)

    pooled(name, [option(*case) for case in cases])


def averages(name, cases, function):
    def option(number, examples, shape, kernel, stride, padding, dilation, up):
        counts = number % 2 == 0
        settings = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": up, "count_include_pad": counts}
        return settings, examples, shape, lambda x: function(x, kernel, stride, padding, up, counts)

    # Those with padding twice: it counts, or does not.
    padded = [case for case in cases if case[4] not in (0, [0, 0])]
    twice = [(number, *case) for case in padded for number in range(2)]
    pooled(name, [option(*case) for case in twice + [(0, *case) for case in cases if case not in padded]])


def adaptive(name, cases, function):
    pooled(name, [({"output": to}, examples, shape, lambda x, to=to: function(x, to)) for examples, shape, to in cases])


def everywhere():
    shapes = [[1, 1], [3, 5], [2, 3, 4], [1, 7, 1], [4, 1, 1], [2, 5, 9], [2, 2, 1, 3], [1, 33], [3, 2], [1, 2, 2, 2, 2]]
    options = [({}, n, shape, lambda x: x.flatten(2).mean(2)) for n in range(1, 3) for shape in shapes]
    pooled("GlobalAveragePool", options)


maxima("MaxPool1d", SEQUENCES, F.max_pool1d)
maxima("MaxPool2d", IMAGES, F.max_pool2d)
averages("AveragePool1d", SEQUENCES, F.avg_pool1d)
averages("AveragePool2d", IMAGES, F.avg_pool2d)
lengths = [(1, 1), (1, 3), (2, 1), (5, 2), (6, 3), (7, 3), (4, 9), (8, 5), (10, 10), (12, 7)]
adaptive("AdaptiveAveragePool1d", [(n, [n, a], b) for n in range(1, 3) for a, b in lengths], F.adaptive_avg_pool1d)
planes = [(1, 1), (1, 3), (2, 1), (5, 2), (4, 2), (5, 3), (2, 3)]
sizes = [(1, [1 + n % 2, a, b], [c, d]) for n, (a, c) in enumerate(planes) for b, d in [planes[n - 1], planes[n - 3], planes[n - 5]]]
adaptive("AdaptiveAveragePool2d", sizes, F.adaptive_avg_pool2d)
everywhere()
