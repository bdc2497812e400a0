"""Layers that move numbers or merge several inputs, as PyTorch computes them."""

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


flatten()
reshape()
add()
concat()
