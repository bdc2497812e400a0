"""Whether all names of PyTorch, Keras and scikit-learn in the chapter's tables exist; run by `cargo xtask interop guide`."""

import os
import re

import common

os.environ["KERAS_BACKEND"] = "torch"

import keras
import safetensors.torch
import sklearn.compose
import sklearn.inspection
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils import data


def members(kind):
    """What an object of this class has, that of its parents included."""
    return {name: getattr(kind, name) for name in dir(kind)}


PYTORCH = {"torch": torch, "nn": nn, "optim": optim, "lr_scheduler": lr_scheduler, **vars(data),
           "save_file": safetensors.torch.save_file, "network": nn.Module, "loss": torch.Tensor,
           "optimizer": optim.Optimizer, "scheduler": lr_scheduler.LRScheduler}
KERAS = {**members(keras.Model), **vars(keras), "keras": keras, "network": keras.Model}
SCIKIT_LEARN = {}
for module in [sklearn.compose, sklearn.inspection, sklearn.linear_model, sklearn.metrics, sklearn.model_selection,
               sklearn.neural_network, sklearn.pipeline, sklearn.preprocessing]:
    SCIKIT_LEARN |= vars(module)
SCIKIT_LEARN |= members(sklearn.neural_network.MLPClassifier)


def exists(code, names):
    """Whether the dotted name that the code begins with is there; settings, as `random_state=7`, need a name alone."""
    first, *rest = re.match(r"[\w.]+", code)[0].split(".")
    if first not in names:
        return False
    found = names[first]
    for name in rest:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


# Not the library's own: what goes with it.
ELSEWHERE = {"joblib.dump", "random_state=7"}
heading, checked = "", 0
for line in (common.HERE / "../src/coming-from.md").read_text().splitlines():
    if not line.startswith("| "):
        continue
    left = line.split("|")[1].strip()
    if left in ["PyTorch", "Keras", "burn", "candle", "others", "there", "library"]:
        heading = left
        continue
    codes = re.findall(r"`([^`]+)`", left)
    if (left.startswith("burn") or left.startswith("candle")) or heading in ["burn", "candle"]:
        continue  # these are compiled
    library = left.split(":")[0] if heading in ["others", "there"] else heading
    names = {"PyTorch": PYTORCH, "Keras": KERAS, "scikit-learn": SCIKIT_LEARN}.get(library)
    for code in codes:
        assert code in ELSEWHERE or (names and exists(code, names)), f"{library} has no {code}"
        checked += 1
assert checked > 70, checked
print(f"{checked} names in the tables exist")
