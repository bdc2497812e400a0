"""Padding and upsampling as PyTorch computes them."""

import torch.nn.functional as F

from support.layers import Golden


def pad():
    golden = Golden(__file__, "Pad")

    def case(examples, shape, rows, columns, mode, value=0.0):
        ours = {"constant": {"Constant": value}}.get(mode, mode.capitalize())
        # PyTorch pads the last axes of (batch, channels, ...) alone, and the last one first.
        axes = 1 if rows == [0, 0] else 2
        amounts = columns + (rows if axes == 2 else [])

        def padded(x, theta, kept):
            flat = x[0].reshape(1, -1, *x[0].shape[-axes:])
            y = F.pad(flat, amounts, mode, value) if mode == "constant" else F.pad(flat, amounts, mode)
            return y.reshape(*x[0].shape[:-axes], *y.shape[-axes:])

        x = golden.draw.numbers([examples, *shape])
        golden.case({"rows": rows, "columns": columns, "mode": ours}, [x], padded)

    for mode in ["constant", "reflect", "replicate", "circular"]:
        case(1, [3], [0, 0], [2, 1], mode)
        case(2, [2, 4], [0, 0], [0, 3], mode)
        case(1, [1, 2, 3], [1, 0], [2, 2], mode)
        case(2, [3, 3], [2, 1], [0, 0], mode)
        case(1, [2, 4, 3], [1, 3], [1, 2], mode)
    case(1, [1], [0, 0], [2, 3], "constant", -1.5)
    case(1, [1], [0, 0], [2, 3], "replicate")
    case(1, [2, 1], [1, 1], [1, 0], "circular")
    case(3, [5], [0, 0], [0, 0], "reflect")
    case(1, [2, 2], [3, 0], [0, 4], "constant", 0.25)
    golden.write()


def upsample():
    golden = Golden(__file__, "Upsample")
    kinds = {
        "Nearest": {"mode": "nearest"},
        "Bilinear": {"mode": "bilinear"},
        "BilinearAlignedCorners": {"mode": "bilinear", "align_corners": True},
    }
    sizes = [([1, 1], [1, 1]), ([2, 3], [4, 6]), ([3, 2], [5, 1]), ([4, 5], [3, 7]), ([1, 3], [3, 3])]
    factors = [([2, 3], [2.0, 2.0]), ([2, 2], [1.5, 3.0]), ([3, 2], [1.2, 2.2]), ([5, 4], [0.6, 0.5]), ([1, 4], [2.7, 1.3])]
    for interpolation, keywords in kinds.items():
        for number, (shape, to) in enumerate(sizes + factors):
            by_size = number < len(sizes)
            target = {"Size": to} if by_size else {"Factor": to}
            keyword = {"size": to} if by_size else {"scale_factor": to}
            x = golden.draw.numbers([1 + number % 2, 1 + number % 3 // 2, *shape])
            golden.case(
                {"target": target, "interpolation": interpolation},
                [x],
                lambda x, theta, kept: F.interpolate(x[0], **keyword, **keywords),
            )
    golden.write()


pad()
upsample()
