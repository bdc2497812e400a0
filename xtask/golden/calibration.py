"""Temperatures at which the log loss of logits is smallest, as SciPy finds them, for crates/tune/tests/calibration.rs.

`logits` and `classes` of all cases lie one after another, and so do the `temperatures` and the `losses` at them. The
metadata's `cases` says how many examples and outputs each case has; one output is the logit of yes.
"""

import json

import numpy
import scipy
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax

from support.golden import ROOT, origin, write_fixture

FIXTURE = ROOT / "crates/tune/tests/fixtures/calibration.safetensors"
RANDOM = numpy.random.Generator(numpy.random.PCG64(5))


def loss(beta, z, t):
    return -log_softmax(beta * z, axis=1)[numpy.arange(len(t)), t].mean()


def slope(beta, z, t):
    return ((softmax(beta * z, axis=1) * z).sum(axis=1) - z[numpy.arange(len(t)), t]).mean()


def main():
    cases, flat = [], {"logits": [], "classes": [], "temperatures": [], "losses": []}
    for examples, outputs, size, honest in [(30, 1, 3, 1.5), (60, 3, 8, 0.3), (80, 5, 1, 2.0), (50, 4, 40, 0.05)]:
        z = RANDOM.normal(0, size, (examples, outputs))
        both = numpy.concatenate([0 * z, z], axis=1) if outputs == 1 else z
        t = numpy.array([RANDOM.choice(len(p), p=p) for p in softmax(honest * both, axis=1)])
        beta = brentq(slope, 1e-3, 1e3, args=(both, t), xtol=1e-15, rtol=1e-14)
        # Another method, to be sure of the first; a minimum is less exact than a root.
        least = minimize_scalar(lambda u: loss(numpy.exp(u), both, t), bounds=(-6, 6), method="bounded")
        assert abs(least.fun - loss(beta, both, t)) < 1e-9 and abs(numpy.exp(least.x) / beta - 1) < 1e-3
        flat["logits"].append(z.reshape(-1))
        flat["classes"].append(t)
        flat["temperatures"].append([1 / beta])
        flat["losses"].append([loss(beta, both, t)])
        cases.append({"examples": examples, "outputs": outputs})
    kinds = {"classes": numpy.uint32}
    tensors = {key: numpy.concatenate(parts).astype(kinds.get(key, float)) for key, parts in flat.items()}
    write_fixture(FIXTURE, tensors, origin(__file__) | {"scipy": scipy.__version__, "cases": json.dumps(cases)})


if __name__ == "__main__":
    main()
