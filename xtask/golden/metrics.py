"""Metrics as scikit-learn computes them, for crates/train/tests/parity.rs.

One file of many data sets. Their numbers lie one after another in flat tensors: the outputs `y`, the targets `values` or
`classes`, the `weights` if there are any, and what is `expected` of each metric. The metadata's `cases` says for each
data set what its outputs mean, what shape it has, and which metrics judge it, by the names of the Rust types. What
scikit-learn warns of is compared too, as the number that it returns.
"""

import json
import warnings

import numpy
import sklearn
import sklearn.calibration
import sklearn.metrics as M

from support.golden import ROOT, origin, write_fixture

FIXTURE = ROOT / "crates/train/tests/fixtures/metrics.safetensors"

FLAT = {key: [] for key in ["y", "values", "classes", "weights", "expected", "reliability"]}
CASES = []
RANDOM = numpy.random.Generator(numpy.random.PCG64(17))


def case(name, outputs, y, targets, weights, expected, reliability=()):
    """Adds a data set: `y` has a row for each example, and `expected` a number for each metric."""
    y = numpy.asarray(y, dtype=float).reshape(len(y), -1)
    targets = numpy.asarray(targets)
    kind = "classes" if targets.dtype.kind == "i" else "values"
    FLAT["y"].append(y.reshape(-1))
    FLAT[kind].append(targets.reshape(-1))
    FLAT["weights"].append(numpy.zeros(0) if weights is None else weights)
    FLAT["expected"].append(numpy.array(list(expected.values()), dtype=float))
    FLAT["reliability"].append(numpy.array(reliability, dtype=float).reshape(-1))
    CASES.append(
        {
            "name": name,
            "outputs": outputs,
            "examples": y.shape[0],
            "width": y.shape[1],
            "targets": kind,
            "is_weighted": weights is not None,
            "metrics": list(expected),
            "bins": len(reliability),
        }
    )


def draw_weights(examples):
    """Eighths, from 1/8 to 4."""
    return RANDOM.integers(1, 33, examples) / 8


def one_hot(classes, count):
    return (classes[:, None] == numpy.arange(count)).astype(int)


def by_class(t, predicted, weights, classes):
    """What the predicted classes alone decide."""
    w = {"sample_weight": weights}
    expected = {
        "accuracy": M.accuracy_score(t, predicted, **w),
        "balanced accuracy": M.balanced_accuracy_score(t, predicted, **w),
        "matthews correlation": M.matthews_corrcoef(t, predicted, **w),
        "hamming loss": M.hamming_loss(t, predicted, **w),
        "subset accuracy": M.accuracy_score(t, predicted, **w),
    }
    for name, kind in {"kappa": None, "linear kappa": "linear", "quadratic kappa": "quadratic"}.items():
        expected[name] = M.cohen_kappa_score(t, predicted, labels=range(classes), weights=kind, **w)
    return expected | averaged(t, predicted, weights) | {
        f"{name} of class 1": value[1] for name, value in scores(t, predicted, weights, None, range(classes)).items()
    }


def scores(t, predicted, weights, average, labels=None):
    settings = {"average": average, "sample_weight": weights, "labels": labels}
    return {
        "precision": M.precision_score(t, predicted, **settings),
        "recall": M.recall_score(t, predicted, **settings),
        "f1": M.f1_score(t, predicted, **settings),
        "f2": M.fbeta_score(t, predicted, beta=2, **settings),
        "f0.5": M.fbeta_score(t, predicted, beta=0.5, **settings),
    }


def averaged(t, predicted, weights):
    expected = scores(t, predicted, weights, "macro")
    for average in ["weighted", "micro"]:
        expected |= {f"{average} {name}": value for name, value in scores(t, predicted, weights, average).items()}
    return expected


def reliability(t, p, bins):
    """The rows of the bins that have examples (mean probability, share that came true), and the calibration error."""
    came_true, mean = sklearn.calibration.calibration_curve(t, p, n_bins=bins, strategy="uniform")
    inner = numpy.linspace(0, 1, bins + 1)[1:-1]
    counts = numpy.bincount(numpy.searchsorted(inner, p), minlength=bins)
    counts = counts[counts > 0]
    error = numpy.sum(counts / len(p) * numpy.abs(came_true - mean))
    return numpy.stack([mean, came_true], axis=1), error


def binary(name, p, t, weights, kind="single"):
    """A yes-or-no question, asked by a single probability or by those of two classes."""
    p, t = numpy.asarray(p, dtype=float), numpy.asarray(t)
    w = {"sample_weight": weights}
    expected = by_class(t, (p > 0.5).astype(int), weights, 2) | {
        "roc auc": M.roc_auc_score(t, p, **w),
        "average precision": M.average_precision_score(t, p, **w),
        "log loss": M.log_loss(t, numpy.stack([1 - p, p], axis=1), labels=[0, 1], **w),
        "brier score": M.brier_score_loss(t, p, pos_label=1, **w),
    }
    table = ()
    if weights is None:
        table, expected["calibration error"] = reliability(t, p, 15)
    if kind == "single":
        case(name, "probabilities", p, t, weights, expected, table)
    else:
        case(name, "class_probabilities", numpy.stack([1 - p, p], axis=1), t, weights, expected, table)


def several(name, p, t, weights):
    """One of several classes, each with its probability."""
    count = p.shape[1]
    w, truth, predicted = {"sample_weight": weights}, one_hot(t, p.shape[1]), p.argmax(axis=1)
    expected = by_class(t, predicted, weights, count)
    for average in ["macro", "weighted", "micro"]:
        start = "" if average == "macro" else f"{average} "
        settings = {"average": average, "labels": range(count)}
        expected[f"{start}roc auc"] = M.roc_auc_score(t, p, multi_class="ovr", **settings, **w)
        expected[f"{start}average precision"] = M.average_precision_score(truth, p, average=average, **w)
        if average != "micro" and weights is None:
            expected[f"{start}one-vs-one roc auc"] = M.roc_auc_score(t, p, multi_class="ovo", **settings)
    expected["log loss"] = M.log_loss(t, p, labels=range(count), **w)
    expected["brier score"] = M.brier_score_loss(t, p, labels=range(count), **w)
    table = ()
    if weights is None:
        table, expected["calibration error"] = reliability((predicted == t).astype(int), p.max(axis=1), 15)
    case(name, "class_probabilities", p, t, weights, expected, table)


def labels(name, p, t, weights):
    """Independent answers, each with its probability."""
    w, predicted = {"sample_weight": weights}, (p > 0.5).astype(int)
    each = None if weights is None else numpy.repeat(weights, p.shape[1])
    expected = averaged(t, predicted, weights) | {
        "subset accuracy": M.accuracy_score(t, predicted, **w),
        "hamming loss": M.hamming_loss(t, predicted, **w),
        "log loss": M.log_loss(t.ravel(), p.ravel(), labels=[0, 1], sample_weight=each),
        "brier score": M.brier_score_loss(t.ravel(), p.ravel(), pos_label=1, sample_weight=each),
        "f1 of class 1": M.f1_score(t, predicted, average=None, **w)[1],
        "roc auc of class 1": M.roc_auc_score(t, p, average=None, **w)[1],
        "average precision of class 1": M.average_precision_score(t, p, average=None, **w)[1],
    }
    for average in ["macro", "weighted", "micro"]:
        start = "" if average == "macro" else f"{average} "
        expected[f"{start}roc auc"] = M.roc_auc_score(t, p, average=average, **w)
        expected[f"{start}average precision"] = M.average_precision_score(t, p, average=average, **w)
    case(name, "probabilities", p, t.astype(float), weights, expected)


def logits(name, z, t, weights):
    """Logits, of which scikit-learn judges the softmax or the sigmoid."""
    w = {"sample_weight": weights}
    if z.ndim == 1:
        p = 1 / (1 + numpy.exp(-z))
        expected = {
            "roc auc": M.roc_auc_score(t, p, **w),
            "log loss": M.log_loss(t, p, labels=[0, 1], **w),
            "brier score": M.brier_score_loss(t, p, pos_label=1, **w),
        }
        case(name, "logits", z, t, weights, expected)
        return
    p = numpy.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    expected = {
        "roc auc": M.roc_auc_score(t, p, multi_class="ovr", labels=range(z.shape[1]), **w),
        "log loss": M.log_loss(t, p, labels=range(z.shape[1]), **w),
        "brier score": M.brier_score_loss(t, p, labels=range(z.shape[1]), **w),
        "f1": M.f1_score(t, z.argmax(axis=1), average="macro", **w),
    }
    case(name, "class_logits", z, t, weights, expected)


def numbers(name, y, t, weights):
    w = {"sample_weight": weights}
    expected = {
        "mae": M.mean_absolute_error(t, y, **w),
        # Of all outputs together, where scikit-learn takes the mean of the roots.
        "rmse": numpy.sqrt(M.mean_squared_error(t, y, **w)),
    }
    for quantile in [0.0, 0.1, 0.5, 0.9]:
        expected[f"pinball loss at {quantile:g}"] = M.mean_pinball_loss(t, y, alpha=quantile, **w)
    if y.ndim == 1:
        expected["r2"] = M.r2_score(t, y, **w)
    case(name, "numbers", y, t, weights, expected)


def rankings(name, y, t, weights):
    w = {"sample_weight": weights}
    expected = {"ndcg": M.ndcg_score(t, y, **w), "ndcg at 3": M.ndcg_score(t, y, k=3, **w)}
    if ((t > 0).sum(axis=1) == 1).all():
        expected["mrr"] = M.label_ranking_average_precision_score((t > 0).astype(int), y, **w)
    case(name, "scores", y, t.astype(float), weights, expected)


def draw_probabilities(examples, count, parts):
    """Rows of parts that sum to 1: few parts bring many ties and zeros."""
    return RANDOM.multinomial(parts, RANDOM.dirichlet(numpy.ones(count), examples)) / parts


def main():
    for weighted in [False, True]:
        suffix = ", weighted" if weighted else ""

        def weights(examples):
            return draw_weights(examples) if weighted else None

        for examples, parts in [(12, 8), (60, 16), (100, 1 << 20)]:
            p = RANDOM.integers(0, parts + 1, examples) / parts
            t = (RANDOM.random(examples) < 0.2 + 0.6 * p).astype(int)
            binary(f"{examples} questions in {parts} steps{suffix}", p, t, weights(examples))
            binary(f"{examples} questions of two classes{suffix}", p, t, weights(examples), "two")
        p = RANDOM.integers(0, 17, 20) / 16
        binary(f"all positive{suffix}", p, numpy.ones(20, dtype=int), weights(20))
        binary(f"all negative{suffix}", p, numpy.zeros(20, dtype=int), weights(20))
        binary(f"all scores equal{suffix}", numpy.full(20, 0.75), RANDOM.integers(0, 2, 20), weights(20))
        binary(f"all right{suffix}", numpy.array([0.0, 1.0, 0.875, 0.125]), numpy.array([0, 1, 1, 0]), weights(4))
        binary(f"all wrong{suffix}", numpy.array([0.0, 1.0, 0.875, 0.125]), numpy.array([1, 0, 0, 1]), weights(4))
        binary(f"all predicted negative{suffix}", p / 4, RANDOM.integers(0, 2, 20), weights(20))

        for examples, count, parts in [(30, 3, 8), (80, 5, 16), (90, 4, 1 << 20)]:
            p = draw_probabilities(examples, count, parts)
            t = numpy.array([RANDOM.choice(count, p=0.5 * row + 0.5 / count) for row in p])
            several(f"{examples} examples of {count} classes in {parts} steps{suffix}", p, t, weights(examples))
        p = draw_probabilities(40, 4, 16)
        several(f"a class that never occurs{suffix}", p, RANDOM.choice([0, 1, 3], 40), weights(40))
        several(f"two of four classes occur{suffix}", p, RANDOM.choice([0, 3], 40), weights(40))
        p = draw_probabilities(20, 4, 16)
        p[:, 0] += p[:, 2]
        p[:, 2] = 0
        several(f"a class that is never predicted{suffix}", p, RANDOM.choice(4, 20), weights(20))

        for examples, count, parts in [(30, 3, 8), (60, 5, 1 << 20)]:
            p = RANDOM.integers(0, parts + 1, (examples, count)) / parts
            t = (RANDOM.random((examples, count)) < 0.1 + 0.7 * p).astype(int)
            labels(f"{examples} examples of {count} labels in {parts} steps{suffix}", p, t, weights(examples))
        t[:, 2] = 0
        labels(f"a label that is never true{suffix}", p, t, weights(examples))
        labels(f"no label is true{suffix}", p, numpy.zeros_like(t), weights(examples))
        t[:, 2] = 1
        labels(f"a label that is always true{suffix}", p, t, weights(examples))

        z = RANDOM.normal(0, 3, 50)
        logits(f"logits of a question{suffix}", z, (RANDOM.random(50) < 0.5).astype(int), weights(50))
        for count in [2, 5]:
            z = RANDOM.normal(0, 3, (50, count))
            if count == 2:
                z[:, 0] = 0
                logits(f"logits of two classes{suffix}", z[:, 1], RANDOM.integers(0, 2, 50), weights(50))
            else:
                logits(f"logits of {count} classes{suffix}", z, RANDOM.integers(0, count, 50), weights(50))

        y, t = RANDOM.normal(0, 1, (2, 40))
        numbers(f"numbers{suffix}", y, t, weights(40))
        y, t = RANDOM.normal(0, 1, (2, 20, 3))
        numbers(f"three numbers each{suffix}", y, t, weights(20))
        numbers(f"numbers that are hit{suffix}", numpy.full(5, 2.0), numpy.full(5, 2.0), weights(5))

        y, t = RANDOM.integers(0, 6, (25, 7)) / 4, RANDOM.integers(0, 4, (25, 7))
        rankings(f"rankings with ties{suffix}", y, t, weights(25))
        t[::5] = 0
        rankings(f"rankings with nothing relevant{suffix}", y, t, weights(25))
        t = one_hot(RANDOM.integers(0, 7, 25), 7)
        rankings(f"rankings with one relevant item{suffix}", y, t, weights(25))
        rankings(f"rankings without ties{suffix}", RANDOM.normal(0, 1, (25, 7)), t, weights(25))

    kinds = {"classes": numpy.uint32}
    flat = {key: numpy.concatenate(parts).astype(kinds.get(key, float)) for key, parts in FLAT.items()}
    metadata = origin(__file__) | {"scikit-learn": sklearn.__version__, "cases": json.dumps(CASES)}
    write_fixture(FIXTURE, flat, metadata)
    print(len(CASES), "cases,", len(flat["expected"]), "numbers")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
