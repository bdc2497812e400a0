"""Activations as PyTorch computes them."""

import torch
import torch.nn.functional as F

from support.layers import Golden

SHAPES = [(1, [1]), (1, [6]), (3, [1]), (2, [5]), (1, [17]), (2, [3, 2]), (1, [1, 4]), (2, [2, 1, 3]), (1, [33])]


def activation(name, options, function, low=-4, high=4):
    """At least 20 cases of `function(x, **settings)`; each option is the settings of the Rust type and the keywords."""
    golden = Golden(__file__, name)
    number = 0
    while len(golden.cases) < 20 or number < 2 * len(options):
        settings, keywords = options[number % len(options)]
        examples, shape = SHAPES[number % len(SHAPES)]
        x = golden.draw.numbers([examples, *shape], low, high)
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
plain("Softplus", lambda x: F.softplus(x, threshold=1e6))
plain("Silu", F.silu)
plain("Selu", F.selu)
with_setting("LeakyRelu", "negative_slope", "negative_slope", [0.01, 0.3, 0, -0.5], F.leaky_relu)
with_setting("Elu", "alpha", "alpha", [1.0, 0.5, 2.0], F.elu)
gelus = [({"approximation": "Erf"}, {"approximate": "none"}), ({"approximation": "Tanh"}, {"approximate": "tanh"})]
activation("Gelu", gelus, F.gelu)
plain("Softmax", lambda x: torch.softmax(x, -1))
plain("LogSoftmax", lambda x: torch.log_softmax(x, -1))
