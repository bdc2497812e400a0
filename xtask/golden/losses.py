"""Losses and their gradients as PyTorch computes them, for crates/losses/tests/parity.rs.

One file for each loss. Its cases lie one after another in flat tensors: `y` and `values` (exact in f32), `classes`,
`value_f64`, `gradient_f64`, `value_f32` and `gradient_f32`. The metadata's `cases` says for each what shape it has,
how many targets of which kind, and with which settings, spelled as the Rust type is serialised.
"""

import json
import math
import warnings

import numpy
import torch
import torch.nn.functional as F

from support.golden import ROOT, Draw, origin, write_fixture

FIXTURES = ROOT / "crates/losses/tests/fixtures"

# (examples, shape of one example); small, for the files are committed
VECTORS = [(1, [1]), (1, [3]), (5, [1]), (2, [7]), (3, [5]), (2, [17])]
IMAGES = [(1, [2, 1]), (2, [1, 3]), (2, [3, 4]), (1, [2, 2, 3]), (1, [2, 19])]
SHAPES = VECTORS + IMAGES
CLASSES = [(1, [2]), (4, [3]), (2, [10]), (1, [17]), (3, [5])]
POSITIONS = [(2, [3, 1]), (2, [3, 4]), (1, [4, 2, 3]), (1, [2, 18])]


class Golden:
    """The cases of one loss."""

    def __init__(self, name):
        self.name = name
        self.draw = Draw(name)
        self.cases = []
        self.flat = {key: [] for key in ["y", "values", "classes"]}
        for precision in ["f64", "f32"]:
            self.flat[f"value_{precision}"] = []
            self.flat[f"gradient_{precision}"] = []

    def case(self, settings, y, target, loss):
        """Adds the value and the gradient of `loss(y, target)`; `settings` are those of the Rust type."""
        for precision, dtype in [("f64", torch.float64), ("f32", torch.float32)]:
            x = y.detach().to(dtype).requires_grad_()
            t = target.to(dtype) if target is not None and target.is_floating_point() else target
            value = loss(x, t)
            (gradient,) = torch.autograd.grad(value, x)
            self.flat[f"value_{precision}"].append(value.detach().reshape(1).numpy())
            self.flat[f"gradient_{precision}"].append(gradient.reshape(-1).numpy())
        kind = "values" if target is None or target.is_floating_point() else "classes"
        targets = numpy.zeros(0) if target is None else target.numpy().reshape(-1)
        self.flat["y"].append(y.numpy().reshape(-1))
        self.flat[kind].append(targets)
        self.cases.append(
            {
                "loss": settings,
                "examples": y.shape[0],
                "shape": list(y.shape[1:]),
                "target": kind,
                "targets": len(targets),
            }
        )

    def write(self):
        kinds = {"y": "float32", "values": "float32", "classes": "uint32"}
        tensors = {}
        for key, parts in self.flat.items():
            kind = kinds.get(key, "float64" if key.endswith("f64") else "float32")
            tensors[key] = numpy.concatenate(parts or [numpy.zeros(0)]).astype(kind)
        assert len(self.cases) >= 20, f"{self.name} has {len(self.cases)} cases"
        metadata = origin(__file__) | {"cases": json.dumps(self.cases, separators=(",", ":"))}
        write_fixture(FIXTURES / f"{self.name}.safetensors", tensors, metadata)


def reduced(terms, reduction, examples):
    """The reductions that PyTorch offers, and the batch mean, which it offers for one loss."""
    if reduction == "mean":
        return terms.mean()
    return terms.sum() if reduction == "sum" else terms.sum() / examples


def pointwise(name, options, loss, numbers, shapes=SHAPES):
    """Cases of a loss of single numbers: `loss(y, t, **options)` gives the terms."""
    golden = Golden(name)
    reductions = ["mean", "sum", "batch_mean"]
    number = 0
    while len(golden.cases) < 20 or number < len(options) * 3:
        settings = options[number % len(options)]
        examples, shape = shapes[number % len(shapes)]
        reduction = reductions[number // len(options) % 3]
        y, target = numbers(golden.draw, [examples, *shape])
        golden.case(
            settings | {"reduction": reduction},
            y,
            target,
            lambda y, t: reduced(loss(y, t, **settings), reduction, examples),
        )
        number += 1
    return golden


def differences(draw, shape):
    return draw.numbers(shape, -3, 3), draw.numbers(shape, -1, 1)


def logits_and_probabilities(draw, shape):
    return draw.numbers(shape, -5, 5), draw.numbers(shape, 0, 1)


def logits_and_signs(draw, shape):
    return draw.numbers(shape, -3, 3), draw.either(shape, -1, 1)


def mean_squared_error():
    golden = pointwise(
        "mean_squared_error", [{}], lambda y, t: F.mse_loss(y, t, reduction="none"), differences
    )
    golden.write()


def mean_absolute_error():
    golden = pointwise(
        "mean_absolute_error", [{}], lambda y, t: F.l1_loss(y, t, reduction="none"), differences
    )
    at_the_kink = torch.tensor([[1.0, 2.0]]).double()
    golden.case({"reduction": "mean"}, at_the_kink, at_the_kink.clone(), F.l1_loss)
    golden.write()


def huber():
    options = [{"delta": delta} for delta in [1.0, 0.25, 2.5]]
    golden = pointwise(
        "huber", options, lambda y, t, delta: F.huber_loss(y, t, delta=delta, reduction="none"), differences
    )
    joints = torch.tensor([[-1.0, 0.0, 1.0]]).double()
    golden.case(
        {"delta": 1.0, "reduction": "sum"}, joints, 0 * joints, lambda y, t: F.huber_loss(y, t, reduction="sum")
    )
    golden.write()


def smooth_l1():
    options = [{"beta": beta} for beta in [1.0, 0.25, 2.5, 0.0]]
    golden = pointwise(
        "smooth_l1", options, lambda y, t, beta: F.smooth_l1_loss(y, t, beta=beta, reduction="none"), differences
    )
    joints = torch.tensor([[-1.0, 0.0, 1.0]]).double()
    for beta in [1.0, 0.0]:
        golden.case(
            {"beta": beta, "reduction": "sum"},
            joints,
            0 * joints,
            lambda y, t: F.smooth_l1_loss(y, t, beta=beta, reduction="sum"),
        )
    golden.write()


def binary_cross_entropy():
    def numbers(draw, shape):
        return draw.numbers(shape, 0.01, 0.99), draw.numbers(shape, 0, 1)

    golden = pointwise(
        "binary_cross_entropy", [{}], lambda y, t: F.binary_cross_entropy(y, t, reduction="none"), numbers
    )
    ends = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1e-30]]).double()
    targets = torch.tensor([[0.0, 1.0, 0.0, 1.0, 1.0]]).double()
    golden.case({"reduction": "mean"}, ends.float().double(), targets, F.binary_cross_entropy)
    golden.write()


def binary_cross_entropy_with_logits():
    golden = pointwise(
        "binary_cross_entropy_with_logits",
        [{}],
        lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="none"),
        logits_and_probabilities,
    )
    extreme = torch.tensor([[1e4, -1e4, 1e4, -1e4, 0.0, 90.0]]).double()
    targets = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.5, 0.25]]).double()
    golden.case({"reduction": "mean"}, extreme, targets, F.binary_cross_entropy_with_logits)
    for examples, shape in [(4, [1]), (2, [7]), (3, [5]), (2, [17]), (2, [3, 4]), (1, [2, 2, 3]), (1, [2, 19])]:
        for axis, classes in [("first", shape[0]), ("last", shape[-1])]:
            weights = golden.draw.weights(classes)
            spread = [1] * (len(shape) - 1)
            along = [classes, *spread] if axis == "first" else [*spread, classes]
            y, target = logits_and_probabilities(golden.draw, [examples, *shape])
            golden.case(
                {"positive_weights": weights, "class_axis": axis},
                y,
                target,
                lambda y, t: F.binary_cross_entropy_with_logits(
                    y, t, pos_weight=torch.tensor(weights, dtype=y.dtype).reshape(along)
                ),
            )
    golden.write()


def softmax_cross_entropy():
    golden = Golden("softmax_cross_entropy")
    draw = golden.draw

    def case(examples, shape, *, axis="first", probabilities=False, y=None, target=None, **options):
        classes = shape[0] if axis == "first" else shape[-1]
        positions = shape[1:] if axis == "first" else shape[:-1]
        if y is None:
            y = draw.numbers([examples, *shape], -4, 4)
        if target is None and probabilities:
            target = draw.numbers([examples, *shape], 0, 1)
            if options.get("normalised", True):
                target = (target / target.sum(1 if axis == "first" else -1, keepdim=True)).float().double()
        elif target is None:
            target = draw.classes([examples, *positions], classes)
        options.pop("normalised", None)
        reduction = options.get("reduction", "mean")

        def loss(y, t):
            if axis == "last":
                y = y.movedim(-1, 1)
                t = t.movedim(-1, 1) if probabilities else t
            weights = options.get("class_weights")
            value = F.cross_entropy(
                y,
                t,
                weight=None if weights is None else torch.tensor(weights, dtype=y.dtype),
                ignore_index=options.get("ignored_index", -100),
                label_smoothing=options.get("label_smoothing", 0.0),
                reduction="mean" if reduction == "mean" else "sum",
            )
            return value / examples if reduction == "batch_mean" else value

        golden.case(options | {"class_axis": axis}, y, target, loss)

    for examples, shape in CLASSES + POSITIONS:
        for axis in ["first", "last"] if len(shape) > 1 else ["first"]:
            classes = shape[0] if axis == "first" else shape[-1]
            weights = draw.weights(classes)
            case(examples, shape, axis=axis)
            case(examples, shape, axis=axis, class_weights=weights, label_smoothing=0.1)
            case(examples, shape, axis=axis, probabilities=True)
            case(examples, shape, axis=axis, probabilities=True, class_weights=weights, label_smoothing=0.3)
    for reduction in ["sum", "batch_mean"]:
        case(3, [4], reduction=reduction)
        case(2, [3, 4], reduction=reduction, label_smoothing=0.2)
        case(2, [3, 4], reduction=reduction, probabilities=True, normalised=False)
    for ignored in [0, 99]:
        for options in [{}, {"class_weights": [0.5, 1.0, 2.0]}, {"label_smoothing": 0.1}]:
            target = draw.classes([6], 3)
            target[[1, 4]] = ignored
            case(6, [3], target=target, ignored_index=ignored, **options)
            target = draw.classes([2, 5], 3)
            target[0, 1:3] = ignored
            case(2, [3, 5], target=target, ignored_index=ignored, **options)
    case(2, [3], target=torch.tensor([7, 7]), ignored_index=7)
    case(2, [3], target=torch.tensor([7, 7]), ignored_index=7, reduction="sum")
    extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, -math.inf, 3.0]]).double()
    case(3, [3], y=extreme, target=torch.tensor([1, 2, 0]))
    golden.write()


def negative_log_likelihood():
    golden = Golden("negative_log_likelihood")
    draw = golden.draw

    def case(examples, shape, *, axis="first", target=None, **options):
        classes = shape[0] if axis == "first" else shape[-1]
        y = draw.numbers([examples, *shape], -4, 0)
        if target is None:
            target = draw.classes([examples, *(shape[1:] if axis == "first" else shape[:-1])], classes)
        reduction = options.get("reduction", "mean")

        def loss(y, t):
            weights = options.get("class_weights")
            value = F.nll_loss(
                y.movedim(-1, 1).contiguous() if axis == "last" else y,
                t,
                weight=None if weights is None else torch.tensor(weights, dtype=y.dtype),
                ignore_index=options.get("ignored_index", -100),
                reduction="mean" if reduction == "mean" else "sum",
            )
            return value / examples if reduction == "batch_mean" else value

        golden.case(options | {"class_axis": axis}, y, target, loss)

    for examples, shape in CLASSES + POSITIONS:
        for axis in ["first", "last"] if len(shape) > 1 else ["first"]:
            case(examples, shape, axis=axis)
            case(examples, shape, axis=axis, class_weights=draw.weights(shape[0] if axis == "first" else shape[-1]))
    for reduction in ["sum", "batch_mean"]:
        case(2, [3, 4], reduction=reduction)
    target = draw.classes([2, 5], 3)
    target[0, 1:3] = 99
    case(2, [3, 5], target=target, ignored_index=99)
    case(2, [3, 5], target=target, ignored_index=99, class_weights=[0.5, 1.0, 2.0])
    case(2, [3], target=torch.tensor([7, 7]), ignored_index=7)
    golden.write()


def kl_divergence():
    def numbers(draw, shape):
        target = draw.numbers(shape, 0, 1)
        target[0, 0] = 0
        return draw.numbers(shape, -4, 0), target

    golden = pointwise("kl_divergence", [{}], lambda y, t: F.kl_div(y, t, reduction="none"), numbers)
    for reduction in ["mean", "sum", "batch_mean"]:
        for examples, shape in [(1, [3]), (3, [5]), (2, [3, 4])]:
            y, target = golden.draw.numbers([examples, *shape], -4, 0), golden.draw.numbers([examples, *shape], -4, 0)
            golden.case(
                {"log_target": True, "reduction": reduction},
                y,
                target,
                lambda y, t: F.kl_div(y, t, log_target=True, reduction=reduction.replace("_", "")),
            )
    golden.write()


def poisson_nll():
    def loss(y, t, rates=False, full=False, epsilon=1e-8):
        return F.poisson_nll_loss(y, t, log_input=not rates, full=full, eps=epsilon, reduction="none")

    logs = pointwise(
        "poisson_nll",
        [{}, {"full": True}],
        loss,
        lambda draw, shape: (draw.numbers(shape, -2, 2), draw.numbers(shape, 0, 6).round()),
    )
    for full in [False, True]:
        for epsilon in [1e-8, 0.125]:
            for examples, shape in [(1, [3]), (3, [5]), (2, [3, 4])]:
                y = logs.draw.numbers([examples, *shape], 0.1, 4)
                target = logs.draw.numbers([examples, *shape], 0, 6).round()
                settings = {"rates": True, "full": full, "epsilon": epsilon}
                logs.case(settings, y, target, lambda y, t: loss(y, t, **settings).mean())
    logs.write()


def gaussian_nll():
    golden = Golden("gaussian_nll")
    for number in range(21):
        examples, shape = [(1, [2]), (5, [2]), (2, [6]), (1, [34]), (2, [4, 3]), (1, [2, 2, 3])][number % 6]
        half = [shape[0] // 2, *shape[1:]]
        settings = [{}, {"full": True}, {"epsilon": 0.5}][number % 3]
        reduction = ["mean", "sum", "batch_mean"][number // 3 % 3]
        means, target = differences(golden.draw, [examples, *half])
        variances = golden.draw.numbers([examples, *half], 0, 2)
        golden.case(
            settings | {"reduction": reduction},
            torch.cat([means, variances], 1),
            target,
            lambda y, t: reduced(
                F.gaussian_nll_loss(
                    y.chunk(2, 1)[0],
                    t,
                    y.chunk(2, 1)[1],
                    full=settings.get("full", False),
                    eps=settings.get("epsilon", 1e-6),
                    reduction="none",
                ),
                reduction,
                examples,
            ),
        )
    golden.write()


def hinge():
    def loss(y, t, squared=False):
        short = (1 - y * t).clamp(min=0)
        return short * short if squared else short

    pointwise("hinge", [{}, {"squared": True}], loss, logits_and_signs).write()


def hinge_embedding():
    options = [{"margin": margin} for margin in [1.0, 0.25, 2.5]]
    golden = pointwise(
        "hinge_embedding",
        options,
        lambda y, t, margin: F.hinge_embedding_loss(y, t, margin=margin, reduction="none"),
        lambda draw, shape: (draw.numbers(shape, 0, 3), draw.either(shape, -1, 1)),
    )
    at_the_kink = torch.tensor([[1.0, 1.0]]).double()
    golden.case({"margin": 1.0, "reduction": "mean"}, at_the_kink, -at_the_kink, F.hinge_embedding_loss)
    golden.write()


def soft_margin():
    golden = pointwise(
        "soft_margin", [{}], lambda y, t: F.soft_margin_loss(y, t, reduction="none"), logits_and_signs
    )
    golden.write()


def multi_label_soft_margin():
    golden = Golden("multi_label_soft_margin")
    for number in range(20):
        examples, shape = VECTORS[number % len(VECTORS)]
        reduction = ["mean", "sum", "batch_mean"][number // 2 % 3]
        weights = golden.draw.weights(shape[0]) if number % 2 else None
        y, target = golden.draw.numbers([examples, *shape], -5, 5), golden.draw.either([examples, *shape], 0, 1)
        golden.case(
            {"class_weights": weights, "reduction": reduction},
            y,
            target,
            lambda y, t: reduced(
                F.multilabel_soft_margin_loss(
                    y,
                    t,
                    weight=None if weights is None else torch.tensor(weights, dtype=y.dtype),
                    reduction="none",
                ),
                reduction,
                examples,
            ),
        )
    golden.write()


def multi_margin():
    golden = Golden("multi_margin")
    for number in range(24):
        examples, shape = CLASSES[number % len(CLASSES)]
        reduction = ["mean", "sum", "batch_mean"][number // 4 % 3]
        weights = golden.draw.weights(shape[0]) if number // 2 % 2 else None
        margin, squared = [1.0, 0.5, 3.0][number % 3], number % 2 == 1
        y, target = golden.draw.numbers([examples, *shape], -2, 2), golden.draw.classes([examples], shape[0])
        golden.case(
            {"margin": margin, "squared": squared, "class_weights": weights, "reduction": reduction},
            y,
            target,
            lambda y, t: reduced(
                F.multi_margin_loss(
                    y,
                    t,
                    p=2 if squared else 1,
                    margin=margin,
                    weight=None if weights is None else torch.tensor(weights, dtype=y.dtype),
                    reduction="none",
                ),
                reduction,
                examples,
            ),
        )
    golden.case(
        {"margin": 1.0},
        torch.tensor([[1.0, 0.0]]).double(),
        torch.tensor([0]),
        lambda y, t: F.multi_margin_loss(y, t, margin=1.0),
    )
    golden.write()


def multi_label_margin():
    def listed(hot):
        """The right classes of each row, filled up with -1."""
        rows = torch.full(hot.shape, -1)
        for row, right in zip(rows, hot):
            right = right.nonzero().flatten()
            row[: len(right)] = right
        return rows

    golden = Golden("multi_label_margin")
    for number in range(20):
        examples, shape = VECTORS[number % len(VECTORS)]
        reduction = ["mean", "sum", "batch_mean"][number % 3]
        y, target = golden.draw.numbers([examples, *shape], -2, 2), golden.draw.either([examples, *shape], 0, 1)
        golden.case(
            {"reduction": reduction},
            y,
            target,
            lambda y, t: reduced(F.multilabel_margin_loss(y, listed(t), reduction="none"), reduction, examples),
        )
    golden.write()


def margin_ranking():
    golden = Golden("margin_ranking")
    for number in range(20):
        examples, shape = [(1, [2]), (5, [2]), (2, [6]), (1, [34]), (2, [4, 3])][number % 5]
        margin = [0.0, 0.5, -0.25, 2.0][number % 4]
        reduction = ["mean", "sum", "batch_mean"][number % 3]
        y = golden.draw.numbers([examples, *shape], -2, 2)
        target = golden.draw.either([examples, shape[0] // 2, *shape[1:]], -1, 1)
        golden.case(
            {"margin": margin, "reduction": reduction},
            y,
            target,
            lambda y, t: reduced(
                F.margin_ranking_loss(*y.chunk(2, 1), t, margin=margin, reduction="none"), reduction, examples
            ),
        )
    golden.case(
        {"margin": 0.0},
        torch.tensor([[1.0, 1.0]]).double(),
        torch.tensor([[1.0]]).double(),
        lambda y, t: F.margin_ranking_loss(*y.chunk(2, 1), t),
    )
    golden.write()


def cosine_embedding():
    golden = Golden("cosine_embedding")
    for number in range(20):
        examples, shape = [(1, [6]), (5, [8]), (2, [12]), (3, [34])][number % 4]
        margin = [0.0, 0.5, -0.25][number % 3]
        reduction = ["mean", "sum", "batch_mean"][number // 3 % 3]
        y = golden.draw.numbers([examples, *shape], -2, 2)
        target = golden.draw.either([examples], -1, 1)
        golden.case(
            {"margin": margin, "reduction": reduction},
            y,
            target,
            lambda y, t: reduced(
                F.cosine_embedding_loss(*y.chunk(2, 1), t, margin=margin, reduction="none"), reduction, examples
            ),
        )
    golden.case(
        {"margin": 0.0},
        torch.tensor([[0.0, 0.0, 0.0, 1.0]]).double(),
        torch.tensor([1.0]).double(),
        lambda y, t: F.cosine_embedding_loss(*y.chunk(2, 1), t),
    )
    golden.write()


def triplet_margin():
    golden = Golden("triplet_margin")
    for number in range(24):
        examples, shape = [(1, [3]), (4, [6]), (2, [12]), (1, [51])][number % 4]
        settings = {
            "margin": [1.0, 0.25, 4.0][number % 3],
            "power": [2.0, 1.0, 3.0, 1.5][number // 2 % 4],
            "epsilon": [1e-6, 0.125][number // 3 % 2],
            "swap": number // 4 % 2 == 1,
            "reduction": ["mean", "sum", "batch_mean"][number // 3 % 3],
        }

        def loss(y, _):
            return F.triplet_margin_loss(
                *y.chunk(3, 1),
                margin=settings["margin"],
                p=settings["power"],
                eps=settings["epsilon"],
                swap=settings["swap"],
                reduction="none",
            )

        y = golden.draw.numbers([examples, *shape], -2, 2)
        # A small difference of large distances has too few digits in f32 to compare.
        while ((loss(y, None) > 0) & (loss(y, None) < 0.5)).any():
            y = golden.draw.numbers([examples, *shape], -2, 2)
        golden.case(settings, y, None, lambda y, _: reduced(loss(y, None), settings["reduction"], examples))
    golden.write()


def ctc():
    """Predictions are logits here, and the gradient is theirs: PyTorch's takes for granted a log-softmax before it."""
    golden = Golden("ctc")
    for number in range(24):
        examples, steps, classes, longest = [(1, 3, 2, 1), (2, 6, 3, 2), (3, 7, 3, 3), (1, 8, 4, 3), (2, 5, 4, 0)][
            number % 5
        ]
        reduction = ["mean", "sum", "batch_mean"][number % 3]
        blank = [0, classes - 1][number // 3 % 2]
        settings = {"blank": blank, "reduction": reduction}
        y = golden.draw.numbers([examples, steps, classes], -2, 2)
        lengths = golden.draw.classes([examples], longest + 1)
        labels = golden.draw.classes([examples, longest], classes - 1)
        labels += (labels >= blank).long()
        target = labels.clone()
        for row, length in zip(target, lengths):
            row[length:] = blank
        taken = torch.full([examples], steps)
        if number % 2:
            settings["lengths_first"] = True
            taken -= golden.draw.classes([examples], 2)
            target = torch.cat([taken[:, None], target], 1)
        if number % 4 == 3:
            settings["zero_infinity"] = True
            taken[0] = 1
            target[0, 0] = 1

        def loss(y, _):
            value = F.ctc_loss(
                y.log_softmax(2).transpose(0, 1),
                labels,
                taken,
                lengths,
                blank=blank,
                zero_infinity=settings.get("zero_infinity", False),
                reduction="mean" if reduction == "mean" else "sum",
            )
            return value / examples if reduction == "batch_mean" else value

        golden.case(settings, y, target, loss)
    golden.write()


# What follows PyTorch doesn't have; the formulas are those of the papers that the Rust types name.


def log_cosh():
    def loss(y, t):
        size = (y - t).abs()
        return size + F.softplus(-2 * size) - math.log(2)

    pointwise("log_cosh", [{}], loss, differences).write()


def quantile():
    pointwise(
        "quantile",
        [{"q": q} for q in [0.5, 0.125, 0.75, 0.96875]],
        lambda y, t, q: torch.where(t > y, q * (t - y), (1 - q) * (y - t)),
        differences,
    ).write()


def binary_focal():
    def loss(y, t, gamma, alpha):
        p = y.sigmoid()
        right = p * t + (1 - p) * (1 - t)
        terms = (1 - right) ** gamma * F.binary_cross_entropy_with_logits(y, t, reduction="none")
        return terms if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * terms

    options = [{"gamma": gamma, "alpha": alpha} for gamma in [2.0, 0.0, 0.5, 5.0] for alpha in [0.25, None]]
    pointwise("binary_focal", options, loss, logits_and_probabilities).write()


def softmax_focal():
    golden = Golden("softmax_focal")
    for number in range(20):
        examples, shape = CLASSES[number % len(CLASSES)]
        gamma = [2.0, 0.0, 0.5, 5.0][number % 4]
        reduction = ["mean", "sum", "batch_mean"][number % 3]
        weights = golden.draw.weights(shape[0]) if number // 2 % 2 else None
        y, target = golden.draw.numbers([examples, *shape], -3, 3), golden.draw.classes([examples], shape[0])

        def loss(y, t):
            log_p = y.log_softmax(1)[torch.arange(examples), t]
            alpha = 1 if weights is None else torch.tensor(weights, dtype=y.dtype)[t]
            return reduced(-alpha * (1 - log_p.exp()) ** gamma * log_p, reduction, examples)

        golden.case({"gamma": gamma, "class_weights": weights, "reduction": reduction}, y, target, loss)
    golden.write()


def dice():
    def loss(y, t, smoothing, squared):
        channels = [y.shape[0], y.shape[1] if y.dim() > 2 else 1, -1]
        y, t = y.reshape(channels), t.reshape(channels)
        size = (y * y + t * t if squared else y + t).sum(2)
        return 1 - (2 * (y * t).sum(2) + smoothing) / (size + smoothing)

    pointwise(
        "dice",
        [{"smoothing": smoothing, "squared": squared} for smoothing in [1e-5, 1.0] for squared in [False, True]],
        loss,
        lambda draw, shape: (draw.numbers(shape, 0.01, 1), draw.either(shape, 0, 1)),
    ).write()


if __name__ == "__main__":
    torch.set_num_threads(1)
    # PyTorch warns that its mean of kl_div is not the divergence, which is the point.
    warnings.filterwarnings("ignore", message="reduction: 'mean' divides")
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for write in [
        mean_squared_error,
        mean_absolute_error,
        huber,
        smooth_l1,
        binary_cross_entropy,
        binary_cross_entropy_with_logits,
        softmax_cross_entropy,
        negative_log_likelihood,
        kl_divergence,
        poisson_nll,
        gaussian_nll,
        hinge,
        hinge_embedding,
        soft_margin,
        multi_label_soft_margin,
        multi_margin,
        multi_label_margin,
        margin_ranking,
        cosine_embedding,
        triplet_margin,
        ctc,
        log_cosh,
        quantile,
        binary_focal,
        softmax_focal,
        dice,
    ]:
        write()
