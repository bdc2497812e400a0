"""Embeddings and positions as PyTorch computes them."""

import math

import torch
import torch.nn.functional as F

from support.layers import Golden


def embedding():
    golden = Golden(__file__, "Embedding")
    draw = golden.draw
    init = {"Normal": {"mean": 0.0, "std": 1.0}}
    sizes = [(1, [1], 1, 1), (2, [3], 4, 2), (1, [7], 3, 5), (3, [2, 3], 6, 3), (4, [1], 7, 3), (2, [1, 5], 5, 1), (2, [2, 1, 2], 7, 4), (1, [12], 2, 5)]
    for examples, shape, vocabulary, width in sizes:
        for padding in [None, 0, vocabulary - 1]:
            golden.case(
                {"vocabulary": vocabulary, "width": width, "padding": padding, "init": init},
                [draw.classes([examples, *shape], vocabulary).double()],
                lambda x, theta, kept: F.embedding(x[0].long(), theta[0], padding),
                [draw.numbers([vocabulary, width])],
                whole=[0],
            )
    golden.write()


SHAPES = [(1, [1, 2]), (2, [3, 2]), (1, [5, 4]), (3, [2, 6]), (2, [1, 8]), (1, [9, 10]), (2, [4, 2])]


def sinusoidal_positions():
    """The table as PyTorch's own tutorial on transformers makes it, in f64."""

    def table(steps, width, base):
        positions = torch.arange(steps, dtype=torch.float64).unsqueeze(1)
        turns = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(base) / width))
        result = torch.zeros(steps, width, dtype=torch.float64)
        result[:, 0::2] = torch.sin(positions * turns)
        result[:, 1::2] = torch.cos(positions * turns)[:, : width // 2]
        return result

    golden = Golden(__file__, "SinusoidalPositions")
    for examples, shape in [*SHAPES, (2, [3, 5]), (1, [4, 1]), (1, [40, 3])]:
        for base in [10000.0, 100.0]:
            x = golden.draw.numbers([examples, *shape])
            golden.case({"base": base}, [x], lambda x, theta, kept: x[0] + table(*shape, base).to(x[0].dtype))
    golden.write()


def learnt_positions():
    golden = Golden(__file__, "LearntPositions")
    draw = golden.draw
    for examples, shape in [*SHAPES, (3, [1, 1]), (4, [2, 3]), (1, [7, 5])]:
        for std in [0.02, 1.0]:
            golden.case(
                {"init": {"Normal": {"mean": 0.0, "std": std}}},
                [draw.numbers([examples, *shape])],
                lambda x, theta, kept: x[0] + theta[0],
                [draw.numbers(shape)],
            )
    golden.write()


def rotary_positions():
    """Pairs as complex numbers, times powers of e^i."""

    def turned(x, base, interleaved):
        steps, width = x.shape[1], x.shape[-1]
        angles = torch.outer(torch.arange(steps, dtype=torch.float64), base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width))
        turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex128 if x.dtype == torch.float64 else torch.complex64)
        if x.dim() == 4:
            turn = turn.unsqueeze(1)
        if interleaved:
            pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], width // 2, 2).contiguous())
            return torch.view_as_real(pairs * turn).flatten(-2)
        pairs = torch.complex(*x.chunk(2, -1)) * turn
        return torch.cat([pairs.real, pairs.imag], -1)

    golden = Golden(__file__, "RotaryPositions")
    for examples, shape in [*SHAPES[:5], (1, [3, 2, 4]), (2, [2, 3, 2]), (1, [4, 1, 6])]:
        for interleaved in [False, True]:
            for base in [10000.0, 20.0]:
                x = golden.draw.numbers([examples, *shape])
                golden.case({"base": base, "interleaved": interleaved}, [x], lambda x, theta, kept: turned(x[0], base, interleaved))
    golden.write()


embedding()
sinusoidal_positions()
learnt_positions()
rotary_positions()
