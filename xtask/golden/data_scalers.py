"""Scalers by scikit-learn, for crates/data/tests/scikit_learn.rs.

`scalers.safetensors`: `rows`, columns that are skewed either way, heavy-tailed, bounded, of two signs or of few values,
and `positive`, those above 0. `robust.NAME.median`, `.scale` and `.scaled`, by `RobustScaler` with three ranges of
quantiles. `yeo_johnson.power`, `.mean`, `.scale` and `.scaled`, and the same of `box_cox`, by `PowerTransformer`;
`.asked` and `.answered`: numbers and what its inverse makes of them.
"""

import hashlib
import json
import pathlib

import numpy
import scipy
import sklearn
from safetensors.numpy import save
from sklearn.preprocessing import PowerTransformer, RobustScaler

SCRIPT = pathlib.Path(__file__).resolve()
FIXTURES = SCRIPT.parents[2] / "crates/data/tests/fixtures"
ORIGIN = {
    "script": "xtask/golden/data_scalers.py",
    "script_sha256": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
    "numpy": numpy.__version__,
    "scipy": scipy.__version__,
    "scikit-learn": sklearn.__version__,
    "references": json.dumps({"scalers": "scikit-learn"}),
}
QUANTILES = {"quarters": (25.0, 75.0), "twentieths": (5.0, 95.0), "lower": (0.0, 50.0)}
EXAMPLES = 90


def columns():
    generator = numpy.random.Generator(numpy.random.PCG64(17))
    normal = generator.normal(size=(EXAMPLES, 9))
    rows = numpy.stack(
        [
            normal[:, 0],
            100 + 5 * normal[:, 1],
            numpy.exp(normal[:, 2]),
            -numpy.exp(0.7 * normal[:, 3]),
            normal[:, 4] ** 3,
            generator.uniform(-3, 1, EXAMPLES),
            generator.standard_t(2, EXAMPLES),
            numpy.round(3 * normal[:, 7]),
            1e-3 * numpy.exp(1.5 * normal[:, 8]),
        ],
        axis=1,
    )
    return rows, numpy.stack([rows[:, 2], rows[:, 1], -rows[:, 3], rows[:, 8], rows[:, 5] + 3.01], axis=1)


def robust(rows):
    tensors = {}
    for name, quantiles in QUANTILES.items():
        scaler = RobustScaler(quantile_range=quantiles).fit(rows)
        tensors[f"robust.{name}.median"] = scaler.center_[None]
        tensors[f"robust.{name}.scale"] = scaler.scale_[None]
        tensors[f"robust.{name}.scaled"] = scaler.transform(rows)
    return tensors


def power(name, rows):
    scaler = PowerTransformer(method=name.replace("_", "-")).fit(rows)
    asked = numpy.linspace(-1.2, 1.2, 7)[:, None].repeat(rows.shape[1], axis=1)
    answered = scaler.inverse_transform(asked)
    assert numpy.isfinite(answered).all()
    return {
        f"{name}.power": scaler.lambdas_[None],
        f"{name}.mean": scaler._scaler.mean_[None],
        f"{name}.scale": scaler._scaler.scale_[None],
        f"{name}.scaled": scaler.transform(rows),
        f"{name}.asked": asked,
        f"{name}.answered": answered,
    }


if __name__ == "__main__":
    rows, positive = columns()
    tensors = {"rows": rows, "positive": positive, **robust(rows)}
    tensors |= {**power("yeo_johnson", rows), **power("box_cox", positive)}
    tensors = {name: numpy.ascontiguousarray(values) for name, values in tensors.items()}
    (FIXTURES / "scalers.safetensors").write_bytes(save(tensors, metadata=ORIGIN))
