"""Layers that move numbers, or make one value of several, as PyTorch computes them."""

import math

import torch

from support.layers import Golden

SHAPES = [(1, [1]), (2, [5]), (1, [2, 3]), (3, [2, 1, 4]), (2, [1, 3]), (1, [2, 3, 2]), (4, [7]), (2, [1, 1, 5])]


def unary(name, options):
    """Cases of (settings, examples, shape, function of x)."""
    golden = Golden(__file__, name)
    for settings, examples, shape, function in options:
        x = golden.draw.numbers([examples, *shape])
        golden.case(settings, [x], lambda x, theta, kept: function(x[0]))
    golden.write()


def merge(name, options):
    """Cases of (settings, examples, shapes, function of all inputs)."""
    golden = Golden(__file__, name)
    for settings, examples, shapes, function in options:
        inputs = [golden.draw.numbers([examples, *shape]) for shape in shapes]
        golden.case(settings, inputs, lambda x, theta, kept: function(x))
    golden.write()


def flatten():
    unary("Flatten", [({}, n + m, shape, lambda x: x.flatten(1) * 1) for n, shape in SHAPES for m in range(3)])


def reshape():
    pairs = [([6], [2, 3]), ([2, 3], [3, 2]), ([2, 3, 2], [12]), ([4, 1], [2, 1, 2]), ([1], [1, 1]), ([8], [2, 2, 2])]
    options = [({"shape": to}, n, shape, lambda x, to=to: x.reshape(len(x), *to) * 1) for n in range(1, 5) for shape, to in pairs]
    unary("Reshape", options)


def add():
    options = [({}, n, [shape] * count, lambda x: sum(x[1:], x[0] * 1)) for n, shape in SHAPES for count in [1, 2, 5]]
    merge("Add", options)


def concat():
    families = [(0, [[1], [3]]), (0, [[2, 3], [1, 3]]), (1, [[2, 3], [2, 1], [2, 4]]), (2, [[2, 1, 3], [2, 1, 1]]), (0, [[5]])]
    options = [
        ({"axis": axis}, n, shapes, lambda x, axis=axis: torch.cat(x, axis + 1)) for n in range(1, 5) for axis, shapes in families
    ]
    merge("Concat", options)


def permute():
    """Orders may leave out axes at the end, which stay where they are."""
    families = [([2, 3], [1, 0]), ([2, 3, 4], [1, 2, 0]), ([2, 3, 4], [2, 1, 0]), ([3, 1, 2], [1, 0]), ([4], [0]), ([2, 1, 3, 2], [0, 3, 1, 2]), ([1, 5], [1, 0])]
    options = []
    for n in range(1, 4):
        for shape, order in families:
            full = order + list(range(len(order), len(shape)))
            options.append(({"order": order}, n, shape, lambda x, full=full: x.permute(0, *(axis + 1 for axis in full)) * 1))
    unary("Permute", options)


def slice_():
    families = [(0, 1, 3, [5]), (0, 0, 1, [1]), (1, 2, 3, [2, 3]), (0, 0, 2, [3, 4]), (1, 0, 2, [2, 3, 2]), (2, 1, 4, [2, 1, 5]), (1, 0, 1, [3, 1])]
    options = []
    for n in range(1, 4):
        for axis, start, end, shape in families:
            cut = lambda x, axis=axis, start=start, end=end: x.narrow(axis + 1, start, end - start) * 1
            options.append(({"axis": axis, "start": start, "end": end}, n, shape, cut))
    unary("Slice", options)


def multiply():
    options = [({}, n, [shape] * count, lambda x: math.prod(x[1:], start=x[0] * 1)) for n, shape in SHAPES for count in [1, 2, 4]]
    merge("Multiply", options)


def over_axis(name, function):
    families = [(0, [1]), (0, [9]), (0, [3, 4]), (1, [3, 4]), (1, [2, 5, 3]), (2, [2, 3, 4]), (0, [2, 1, 3]), (1, [2, 1]), (0, [40]), (0, [3, 17])]
    options = []
    for keep in [False, True]:
        for number, (axis, shape) in enumerate(families):
            options.append(({"axis": axis, "keep": keep}, 1 + number % 3, shape, lambda x, axis=axis, keep=keep: function(x, axis + 1, keepdim=keep)))
    unary(name, options)


flatten()
reshape()
add()
concat()
permute()
slice_()
multiply()
over_axis("Sum", torch.sum)
over_axis("Mean", torch.mean)
