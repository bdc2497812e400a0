"""Activations as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden

SHAPES = [(1, [1]), (1, [6]), (3, [1]), (2, [5]), (1, [17]), (2, [3, 2]), (1, [1, 4]), (2, [2, 1, 3]), (1, [33])]


def activation(name, options, function, low=-4, high=4, signs=False):
    """At least 20 cases of `function(x, **settings)`; each option is the settings of the Rust type and the keywords.

    With `signs` the bounds are those of |x|.
    """
    golden = Golden(__file__, name)
    number = 0
    while len(golden.cases) < 20 or number < 2 * len(options):
        settings, keywords = options[number % len(options)]
        examples, shape = SHAPES[number % len(SHAPES)]
        x = golden.draw.numbers([examples, *shape], low, high)
        if signs:
            x *= golden.draw.either([examples, *shape], -1, 1)
        golden.case(settings, [x], lambda x, theta, kept: function(x[0], **keywords))
        number += 1
    golden.write()


def plain(name, function, **bounds):
    activation(name, [({}, {})], function, **bounds)


def with_setting(name, ours, theirs, values, function):
    activation(name, [({ours: value}, {theirs: value}) for value in values], function)


plain("Identity", lambda x: x * 1)
plain("Relu", torch.relu)
# Farther out 1 - y² has lost too many digits in f32, there as here.
plain("Tanh", torch.tanh, low=-2, high=2)
plain("Sigmoid", torch.sigmoid)
with_setting("Softplus", "beta", "beta", [1.0, 0.5, 3.0, -1.0], lambda x, beta: F.softplus(x, beta, threshold=1e6))
plain("Silu", F.silu)
plain("Selu", F.selu)
with_setting("LeakyRelu", "negative_slope", "negative_slope", [0.01, 0.3, 0, -0.5], F.leaky_relu)
with_setting("Elu", "alpha", "alpha", [1.0, 0.5, 2.0], F.elu)
with_setting("Celu", "alpha", "alpha", [1.0, 0.5, 2.0, -3.0], F.celu)
plain("Relu6", F.relu6, low=-4, high=10)
bounds = [(-1.0, 1.0), (0.0, 2.5), (-3.0, -0.5), (1.0, 1.0)]
activation("Hardtanh", [({"min": a, "max": b}, {"min_val": a, "max_val": b}) for a, b in bounds], F.hardtanh)
# In f64 the derivative of `hardsigmoid` is 1/6 as f32 has it.
plain("Hardsigmoid", lambda x: F.relu6(x + 3) / 6, low=-5, high=5)
plain("Hardswish", F.hardswish, low=-5, high=5)
with_setting("Hardshrink", "lambda", "lambd", [0.5, 0.0, 1.3], F.hardshrink)
with_setting("Softshrink", "lambda", "lambd", [0.5, 0.0, 1.3], F.softshrink)
# Nearer to 0 little is left of x - tanh(x) in f32, there as here.
plain("Tanhshrink", F.tanhshrink, low=1, high=4, signs=True)
jumps = [(0.0, 0.0), (0.5, -3.0), (-1.0, 20.0)]
activation("Threshold", [({"threshold": a, "value": b}, {"threshold": a, "value": b}) for a, b in jumps], F.threshold)
plain("Softsign", F.softsign)
plain("LogSigmoid", F.logsigmoid)
plain("Mish", F.mish)
gelus = [({"approximation": "Erf"}, {"approximate": "none"}), ({"approximation": "Tanh"}, {"approximate": "tanh"})]
activation("Gelu", gelus, F.gelu)
plain("Softmax", lambda x: torch.softmax(x, -1))
plain("LogSoftmax", lambda x: torch.log_softmax(x, -1))
plain("Softmin", lambda x: F.softmin(x, -1))


def glu():
    golden = Golden(__file__, "Glu")
    shapes = [([2], [None, 0]), ([10], [None]), ([3, 4], [None, 1]), ([4, 3], [0]), ([2, 2, 2], [None, 0, 1]), ([1, 6, 1], [1])]
    for examples in [1, 3]:
        for shape, axes in shapes:
            for axis in axes:
                x = golden.draw.numbers([examples, *shape], -4, 4)
                dim = -1 if axis is None else axis + 1
                golden.case({"axis": axis}, [x], lambda x, theta, kept: F.glu(x[0], dim))
    golden.write()


def prelu():
    golden = Golden(__file__, "PRelu")
    draw = golden.draw
    for shape in [[1], [5], [3, 1], [2, 3], [1, 4], [2, 2, 3], [40]]:
        for examples, per_channel in [(1, False), (3, True), (2, shape[0] % 2 == 0)]:
            weight = draw.numbers([shape[0] if per_channel else 1], -0.5, 0.5)
            x = draw.numbers([examples, *shape])
            golden.case({"per_channel": per_channel}, [x], lambda x, theta, kept: F.prelu(x[0], theta[0]), [weight])
    golden.write()


def rrelu():
    """Where nothing is left to chance: the bounds are one number, or nothing is drawn."""
    golden = Golden(__file__, "RRelu")
    for examples, shape in [(1, [1]), (2, [5]), (1, [2, 3]), (3, [2, 2, 2]), (2, [17])]:
        for lower, upper, training in [(0.25, 0.25, True), (0.3, 0.3, True), (0.125, 1 / 3, False), (-0.5, 0.75, False)]:
            golden.case(
                {"lower": lower, "upper": upper},
                [golden.draw.numbers([examples, *shape])],
                lambda x, theta, kept: F.rrelu(x[0], lower, upper, training),
                training=training,
            )
    golden.write()


glu()
prelu()
rrelu()
