"""Folds by scikit-learn, for crates/data/tests/scikit_learn.rs.

`splits.safetensors`: for each case `groups`, the group of each example, `classes`, and the fold of each example by
`GroupKFold` (`grouped`) and `StratifiedGroupKFold` (`stratified`); the number of folds is theirs. Sizes of groups, and
the deviations of their classes, differ, so that no tie has to be broken.
`time`, a row for each fold of `TimeSeriesSplit`: examples, folds, gap, end of what trains, start and end of what
validates.
"""

import hashlib
import json
import pathlib

import numpy
import sklearn
from safetensors.numpy import save
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit

SCRIPT = pathlib.Path(__file__).resolve()
FIXTURES = SCRIPT.parents[2] / "crates/data/tests/fixtures"
ORIGIN = {
    "script": "xtask/golden/data_splits.py",
    "script_sha256": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
    "numpy": numpy.__version__,
    "scikit-learn": sklearn.__version__,
    "references": json.dumps({"splits": "scikit-learn"}),
}


def fold_of(folds, examples):
    of = numpy.full(examples, -1, dtype=numpy.int64)
    for fold, (_, validation) in enumerate(folds):
        of[validation] = fold
    return of


def grouped():
    tensors = {}
    for case, (groups, folds, classes) in enumerate([(7, 3, 2), (12, 4, 3), (25, 5, 4), (9, 2, 2)]):
        generator = numpy.random.Generator(numpy.random.PCG64(case))
        while True:
            sizes = generator.permutation(numpy.arange(5, 5 + 2 * groups, 2))
            of = generator.permutation(numpy.repeat(numpy.arange(groups), sizes))
            leaning = generator.dirichlet(numpy.ones(classes), groups)
            labels = numpy.array([generator.choice(classes, p=leaning[group]) for group in of])
            counts = numpy.array([numpy.bincount(labels[of == g], minlength=classes) for g in range(groups)])
            spread = numpy.sort(counts.std(axis=1))
            if numpy.diff(spread).min() > 1e-6 and numpy.bincount(labels).min() >= folds:
                break
        x = numpy.zeros((len(of), 1))
        tensors |= {
            f"{case}.folds": numpy.array([folds]),
            f"{case}.groups": of,
            f"{case}.classes": labels,
            f"{case}.grouped": fold_of(GroupKFold(folds).split(x, groups=of), len(of)),
            f"{case}.stratified": fold_of(StratifiedGroupKFold(folds).split(x, labels, of), len(of)),
        }
    return tensors


def time():
    rows = []
    for examples, folds, gap in [(12, 3, 0), (13, 3, 2), (100, 9, 5), (3, 2, 0), (101, 7, 1), (1000, 5, 60)]:
        for train, validation in TimeSeriesSplit(folds, gap=gap).split(numpy.zeros((examples, 1))):
            assert (train == numpy.arange(len(train))).all()
            rows.append([examples, folds, gap, len(train), validation[0], validation[-1] + 1])
    return numpy.array(rows)


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    tensors = {name: values.astype(numpy.int64) for name, values in {**grouped(), "time": time()}.items()}
    (FIXTURES / "splits.safetensors").write_bytes(save(tensors, metadata=ORIGIN))
