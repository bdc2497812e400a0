"""Attention as PyTorch computes it."""

import torch
import torch.nn.functional as F

from support.layers import Golden


def rotated(x, heads, base, interleaved):
    """Rotary positions on (batch, steps, width): two numbers of a head are a pair, turned as a complex number."""
    batch, steps, width = x.shape
    half = width // heads // 2
    x = x.reshape(batch, steps, heads, 2 * half)
    pairs = torch.complex(*((x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])))
    angles = torch.outer(torch.arange(steps).double(), base ** (-torch.arange(half).double() / half))
    turned = pairs * torch.polar(torch.ones_like(angles), angles).to(pairs.dtype)[:, None, :]
    parts = [turned.real, turned.imag]
    return (torch.stack(parts, -1) if interleaved else torch.cat(parts, -1)).reshape(batch, steps, width)


def mask_of_lengths(lengths, steps):
    """True where there is no key: (batch, steps)."""
    return torch.arange(steps) >= lengths


def pytorch(x, memory, theta, heads, bias, causal, lengths, dropout, training):
    in_weight, in_bias, out_weight, out_bias = theta if bias else (theta[0], None, theta[1], None)
    steps, others, width = x.shape[1], memory.shape[1], x.shape[2]
    mask = torch.ones(steps, others).tril() == 0 if causal else None
    padding = None if lengths is None else mask_of_lengths(lengths, others)
    y, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), memory.transpose(0, 1), memory.transpose(0, 1), width, heads, in_weight.T, in_bias, None, None,
        False, dropout, out_weight.T, out_bias, training, padding, False, mask,
    )
    return y.transpose(0, 1)


def by_hand(x, memory, theta, heads, bias, causal, lengths, base, interleaved):
    """With rotary positions, which PyTorch's own function does not know."""
    in_weight, in_bias, out_weight, out_bias = theta if bias else (theta[0], None, theta[1], None)
    (batch, steps, width), others = x.shape, memory.shape[1]
    weights = in_weight.T.chunk(3)
    biases = [None] * 3 if in_bias is None else in_bias.chunk(3)
    q, k, v = [F.linear(of, weight, bias) for of, weight, bias in zip([x, memory, memory], weights, biases)]
    turned = [rotated(of, heads, base, interleaved) for of in [q, k]]
    q, k, v = [of.reshape(batch, -1, heads, width // heads).transpose(1, 2) for of in [*turned, v]]
    mask = torch.ones(batch, 1, steps, others, dtype=torch.bool)
    if causal:
        mask = mask.tril()
    if lengths is not None:
        mask = mask & ~mask_of_lengths(lengths, others)[:, None, None, :]
    context = F.scaled_dot_product_attention(q, k, v, mask)
    return F.linear(context.transpose(1, 2).reshape(batch, steps, width), out_weight.T, out_bias)


def rotary(base=10000.0, interleaved=False):
    return {"base": base, "interleaved": interleaved}


def multi_head_attention():
    golden = Golden(__file__, "MultiHeadAttention")
    draw = golden.draw

    def case(examples, steps, width, heads, others=None, bias=True, causal=False, padded=False, dropout=0.0, rotary=None, training=True):
        inputs = [draw.numbers([examples, steps, width])]
        if others is not None:
            inputs.append(draw.numbers([examples, others, width]))
        if padded:
            lengths = [draw.size(1, inputs[-1].shape[1]) for _ in range(examples)]
            inputs.append(torch.tensor(lengths).double().reshape(examples, 1))
        # Weights as they are at the start: larger ones would make every softmax a choice.
        in_weight, out_weight = draw.numbers([width, 3 * width], -0.6, 0.6), draw.numbers([width, width], -0.6, 0.6)
        theta = [in_weight, draw.numbers([3 * width], -1, 1), out_weight, draw.numbers([width], -1, 1)]
        theta = theta if bias else [in_weight, out_weight]

        def function(x, theta, kept):
            lengths = x[-1] if padded else None
            memory = x[1] if others is not None else x[0]
            if rotary is not None:
                return by_hand(x[0], memory, theta, heads, bias, causal, lengths, **rotary)
            return pytorch(x[0], memory, theta, heads, bias, causal, lengths, dropout, training)

        golden.case(
            {"heads": heads, "bias": bias, "causal": causal, "lengths": padded, "dropout": dropout, "rotary": rotary},
            inputs,
            function,
            theta,
            training=training,
            whole=[len(inputs) - 1] if padded else [],
        )

    case(1, 1, 1, 1)
    case(2, 3, 4, 2)
    case(1, 5, 3, 3)
    case(3, 2, 3, 1, bias=False)
    case(1, 7, 2, 2)
    case(2, 4, 4, 1, causal=True)
    case(1, 6, 4, 4, causal=True, bias=False)
    case(3, 4, 2, 2, padded=True)
    case(2, 5, 2, 1, padded=True, causal=True)
    case(1, 3, 4, 2, others=5)
    case(1, 1, 4, 2, others=4)
    case(2, 4, 2, 2, others=1)
    case(2, 3, 4, 2, others=4, padded=True, bias=False)
    case(1, 5, 2, 1, others=3, causal=True)
    case(1, 3, 2, 2, others=6, causal=True)
    case(2, 4, 2, 1, others=5, causal=True, padded=True)
    # Dropout where nothing is left to chance.
    case(2, 3, 2, 2, dropout=1.0)
    case(2, 3, 2, 2, dropout=0.4, training=False)
    case(1, 4, 4, 2, rotary=rotary())
    case(1, 5, 4, 1, rotary=rotary(100.0, True), causal=True, padded=True)
    case(2, 3, 2, 1, others=6, rotary=rotary(), bias=False)
    case(1, 9, 2, 1, others=17, causal=True)
    case(3, 1, 2, 2, padded=True, others=6)
    case(1, 33, 2, 1, causal=True, bias=False)
    golden.write()


multi_head_attention()
