"""Recurrent layers as PyTorch computes them."""

import numpy
import torch
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from support.layers import Golden

PLAIN = {"layers": 1, "bidirectional": False, "bias": True, "dropout": 0.0, "lengths": False, "last_state": False}

# Examples, steps, features and hidden units, and what differs from PLAIN; `training` is false where said.
CASES = [
    ((1, 1, 1, 1), {}),
    ((1, 3, 2, 2), {}),
    ((3, 1, 2, 1), {"bias": False}),
    ((2, 4, 1, 3), {}),
    ((4, 3, 3, 1), {"bidirectional": True}),
    ((2, 5, 2, 2), {"bidirectional": True, "bias": False}),
    ((2, 3, 2, 2), {"layers": 2}),
    ((1, 3, 1, 1), {"layers": 3, "bias": False}),
    ((2, 3, 2, 1), {"layers": 2, "bidirectional": True, "bias": False}),
    ((3, 3, 2, 2), {"last_state": True}),
    ((2, 4, 2, 1), {"last_state": True, "bidirectional": True}),
    ((1, 3, 2, 1), {"last_state": True, "bidirectional": True, "layers": 2, "bias": False}),
    ((3, 4, 2, 2), {"lengths": True}),
    ((1, 5, 1, 2), {"lengths": True}),
    ((4, 4, 2, 1), {"lengths": True, "bidirectional": True}),
    ((3, 5, 1, 2), {"lengths": True, "last_state": True}),
    ((4, 4, 1, 1), {"lengths": True, "last_state": True, "bidirectional": True, "layers": 2}),
    ((10, 2, 1, 1), {"lengths": True, "bidirectional": True, "bias": False}),
    ((2, 2, 1, 1), {"layers": 2, "dropout": 1.0}),
    ((3, 2, 1, 2), {"layers": 2, "dropout": 0.5, "bias": False, "training": False}),
    ((4, 3, 1, 1), {"layers": 2, "dropout": 0.3, "lengths": True, "training": False}),
    ((17, 2, 1, 1), {}),
]


def take_back_unless_well_conditioned(golden, before):
    """Takes the last case back where rounding alone moves PyTorch's f32 away from its f64.

    A gradient of one number is a sum over steps and examples whose terms may cancel.
    """
    parts = zip(*(golden.flat[made][before[made] :] for made in ["made_f64", "made_f32"]))
    if any(numpy.linalg.norm(double - single) > 4e-7 * numpy.linalg.norm(double) for double, single in parts):
        for key, count in before.items():
            del golden.flat[key][count:]
        del golden.cases[-1]


def recurrent(name, module, options, gates, more=()):
    """`options` are pairs of the settings of the Rust type and the keywords of PyTorch's, taken in turn."""
    golden = Golden(__file__, name)
    for number, (sizes, differing) in enumerate([*CASES, *more]):
        before = {key: len(parts) for key, parts in golden.flat.items()}
        while len(golden.cases) == number:
            case(golden, module, sizes, PLAIN | differing, *options[number % len(options)], gates)
            take_back_unless_well_conditioned(golden, before)
    golden.write()


def case(golden, module, sizes, settings, ours, theirs, gates):
    examples, steps, features, hidden = sizes
    training = settings.pop("training", True)
    directions = 2 if settings["bidirectional"] else 1
    theta, names = [], []
    for layer in range(settings["layers"]):
        for suffix in ["", "_reverse"][:directions]:
            rows = features if layer == 0 else directions * hidden
            theta += [golden.draw.numbers([count, gates * hidden], -1, 1) for count in [rows, hidden]]
            names += [f"weight_ih_l{layer}{suffix}", f"weight_hh_l{layer}{suffix}"]
            if settings["bias"]:
                theta += [golden.draw.numbers([gates * hidden], -1, 1) for _ in range(2)]
                names += [f"bias_ih_l{layer}{suffix}", f"bias_hh_l{layer}{suffix}"]
    # Farther out the slopes of the gates have lost too many digits in f32, there as here.
    inputs = [golden.draw.numbers([examples, steps, features], -1, 1)]
    if settings["lengths"]:
        inputs.append(golden.draw.classes([examples, 1], steps).double() + 1)

    def function(x, theta, kept):
        network = module(
            features,
            hidden,
            num_layers=settings["layers"],
            bias=settings["bias"],
            batch_first=True,
            dropout=settings["dropout"],
            bidirectional=settings["bidirectional"],
            dtype=x[0].dtype,
            **theirs,
        ).train(training)
        parameters = {name: value.T if value.dim() == 2 else value for name, value in zip(names, theta)}
        sequence = x[0]
        if settings["lengths"]:
            sequence = pack_padded_sequence(sequence, x[1][:, 0].long(), batch_first=True, enforce_sorted=False)
        y, state = functional_call(network, parameters, (sequence,))
        h = state[0] if isinstance(state, tuple) else state
        if settings["lengths"]:
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=steps)
        # Of the top layer alone, its directions side by side.
        return h[-directions:].transpose(0, 1).flatten(1) if settings["last_state"] else y

    whole = [1] if settings["lengths"] else []
    golden.case(settings | {"hidden": hidden} | ours, inputs, function, theta, training=training, whole=whole)


nonlinearities = [({"nonlinearity": "Tanh"}, {"nonlinearity": "tanh"}), ({"nonlinearity": "Relu"}, {"nonlinearity": "relu"})]
recurrent("Rnn", torch.nn.RNN, nonlinearities, 1, more=[((2, 3, 1, 17), {})])
recurrent("Gru", torch.nn.GRU, [({}, {})], 3)
recurrent("Lstm", torch.nn.LSTM, [({}, {})], 4)
