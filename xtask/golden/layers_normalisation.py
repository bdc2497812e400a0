"""Normalisations as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden

# With ε = 1e-5 the derivatives of few numbers are small differences, of which f32 keeps no digits, there as here.
FEW = 0.5


def affine(draw, shape, count):
    """A weight, or a weight and a bias."""
    return [draw.numbers(shape, 0.5, 1.5), draw.numbers(shape, -1, 1)][:count]


def batch_norm():
    golden = Golden(__file__, "BatchNorm")
    draw = golden.draw
    sizes = [(6, [1]), (5, [3]), (4, [33]), (1, [2, 7]), (3, [4, 3]), (1, [1, 3, 4]), (2, [3, 2, 5]), (3, [2, 1, 6]), (2, [2, 2, 2, 3]), (4, [2, 1])]
    settings = [(0.1, True, 1e-5, True), (None, True, 1e-3, True), (0.3, False, FEW, True), (0.1, True, 1e-5, False), (None, False, 1e-2, False)]
    for number, (examples, shape) in enumerate(sizes):
        for momentum, with_affine, epsilon, training in [settings[number % 5], settings[(number + 2) % 5]]:
            batches = float(draw.size(0, 3))

            def function(x, theta, kept, momentum=momentum, epsilon=epsilon, training=training):
                weight = momentum
                if training:
                    kept[2] += 1
                    weight = 1 / float(kept[2]) if momentum is None else momentum
                return F.batch_norm(x[0], kept[0], kept[1], *(theta or [None, None]), training, weight or 0.0, epsilon)

            golden.case(
                {"epsilon": epsilon, "momentum": momentum, "affine": with_affine},
                [draw.numbers([examples, *shape])],
                function,
                affine(draw, shape[:1], 2) if with_affine else [],
                [draw.numbers(shape[:1], -1, 1), draw.numbers(shape[:1], 0.5, 2), torch.tensor(batches).double()],
                training=training,
            )
    golden.write()


def over_last_axes(name, options, function):
    """Layer and RMS normalisation; an option is its settings, ε, and how many parameters it has."""
    golden = Golden(__file__, name)
    draw = golden.draw
    sizes = [(1, [5], 1), (4, [8], 1), (1, [33], 1), (2, [3, 6], 1), (2, [3, 6], 2), (1, [1, 17], 1), (3, [4, 1], 2), (2, [2, 3, 4], 1), (1, [2, 3, 4], 2), (2, [2, 2, 3], 3)]
    for number, (examples, shape, axes) in enumerate(sizes):
        for repeat in range(2):
            settings, epsilon, parameters = options[(number + repeat) % len(options)]
            over = shape[-axes:]
            golden.case(
                settings | {"axes": axes},
                [draw.numbers([examples, *shape])],
                lambda x, theta, kept: function(x[0], over, theta, epsilon),
                affine(draw, over, parameters),
            )
    # A row of two numbers.
    settings, epsilon, parameters = options[-1]
    x = draw.numbers([2, 3, 2])
    golden.case(settings | {"axes": 1}, [x], lambda x, theta, kept: function(x[0], [2], theta, epsilon), affine(draw, [2], parameters))
    golden.write()


def layer_norm():
    options = [
        ({"epsilon": 1e-5, "affine": True, "bias": True}, 1e-5, 2),
        ({"epsilon": 1e-3, "affine": True, "bias": False}, 1e-3, 1),
        ({"epsilon": FEW, "affine": False, "bias": True}, FEW, 0),
    ]
    over_last_axes("LayerNorm", options, lambda x, over, theta, epsilon: F.layer_norm(x, over, *theta, eps=epsilon))


def rms_norm():
    options = [
        ({"epsilon": None, "affine": True}, None, 1),
        ({"epsilon": 1e-5, "affine": True}, 1e-5, 1),
        ({"epsilon": FEW, "affine": False}, FEW, 0),
    ]
    over_last_axes("RmsNorm", options, lambda x, over, theta, epsilon: F.rms_norm(x, over, *theta, eps=epsilon))


def group_norm():
    golden = Golden(__file__, "GroupNorm")
    draw = golden.draw
    sizes = [(2, 1, [6]), (3, 2, [10]), (1, 1, [3, 4]), (2, 3, [6, 3]), (1, 2, [4, 2, 3]), (2, 4, [4, 3, 2]), (2, 2, [2, 5]), (1, 1, [1, 3, 3]), (1, 2, [6, 1, 4]), (1, 1, [34]), (1, 1, [1, 35])]
    for examples, groups, shape in sizes:
        for with_affine, epsilon in [(True, 1e-5), (False, FEW)]:
            golden.case(
                {"groups": groups, "epsilon": epsilon, "affine": with_affine},
                [draw.numbers([examples, *shape])],
                lambda x, theta, kept: F.group_norm(x[0], groups, *theta, eps=epsilon),
                affine(draw, shape[:1], 2) if with_affine else [],
            )
    golden.write()


def instance_norm():
    golden = Golden(__file__, "InstanceNorm")
    draw = golden.draw
    sizes = [(2, [1, 6]), (1, [3, 8]), (3, [2, 5]), (1, [2, 3, 4]), (2, [3, 2, 3]), (1, [1, 1, 7]), (2, [2, 5, 1]), (1, [2, 37]), (1, [2, 2, 2, 3]), (4, [1, 2, 2])]
    for examples, shape in sizes:
        for with_affine, epsilon in [(True, 1e-5), (False, FEW)]:
            golden.case(
                {"epsilon": epsilon, "affine": with_affine},
                [draw.numbers([examples, *shape])],
                lambda x, theta, kept: F.instance_norm(x[0], weight=theta[0] if theta else None, bias=theta[1] if theta else None, eps=epsilon),
                affine(draw, shape[:1], 2) if with_affine else [],
            )
    golden.write()


batch_norm()
layer_norm()
rms_norm()
group_norm()
instance_norm()
