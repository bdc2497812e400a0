"""How many evaluations SciPy's BFGS takes, for crates/optim/tests/minimize/scipy.rs.

`minimize.safetensors`: `quadratics`, a row for each of f(x) = 1/2 sum c_i (x_i - 1)^2 with n curvatures c from `low` to
`high`, evenly spaced in their logarithms, from x = 0 to a gradient of 1e-5 low: n, low, high, evaluations.
`meyer`, a row for each start of Meyer's problem, 10 in More, Garbow & Hillstrom: the start as a multiple of the
standard one, evaluations, value.
"""

import hashlib
import json
import pathlib

import numpy
import scipy
from safetensors.numpy import save
from scipy.optimize import minimize

SCRIPT = pathlib.Path(__file__).resolve()
FIXTURES = SCRIPT.parents[2] / "crates/optim/tests/fixtures"
ORIGIN = {
    "script": "xtask/golden/minimize.py",
    "script_sha256": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
    "numpy": numpy.__version__,
    "scipy": scipy.__version__,
    "references": json.dumps({"quadratics": "SciPy", "meyer": "SciPy"}),
}


def bfgs(function, start, gtol):
    return minimize(function, start, jac=True, method="BFGS", options={"gtol": gtol, "maxiter": 20_000})


def quadratics():
    rows = []
    for n in [10, 50]:
        for condition in [1e2, 1e4, 1e6, 1e8, 1e10]:
            for low in [1e-10, 1e-5, 1.0]:
                curvatures = low * condition ** (numpy.arange(n) / (n - 1))
                found = bfgs(
                    lambda x: (0.5 * numpy.sum(curvatures * (x - 1) ** 2), curvatures * (x - 1)),
                    numpy.zeros(n),
                    1e-5 * low,
                )
                rows.append([n, low, low * condition, found.nfev])
    return numpy.array(rows)


def meyer():
    y = numpy.array(
        [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
    )
    t = 45 + 5 * numpy.arange(1, 17)

    def function(x):
        with numpy.errstate(all="ignore"):
            e = numpy.exp(x[1] / (t + x[2]))
            r = x[0] * e - y
            slopes = [e, x[0] * e / (t + x[2]), -x[0] * e * x[1] / (t + x[2]) ** 2]
            return numpy.sum(r * r), numpy.array([numpy.sum(2 * r * slope) for slope in slopes])

    rows = []
    for multiple in [1, 3, 5, 10, 30, 50, 100, 300]:
        found = bfgs(function, multiple * numpy.array([0.02, 4000, 250]), 1e-3)
        rows.append([multiple, found.nfev, found.fun])
    return numpy.array(rows)


if __name__ == "__main__":
    tensors = {"quadratics": quadratics(), "meyer": meyer()}
    (FIXTURES / "minimize.safetensors").write_bytes(save(tensors, metadata=ORIGIN))
