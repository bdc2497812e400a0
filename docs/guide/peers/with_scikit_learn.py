"""The scikit-learn side of the chapter "From another library to here"; run by `cargo xtask interop guide`.

The chapter shows what stands between two anchors. A number that is asserted here is asserted there by the Rust code too.
"""

import warnings

import common

common.enter()
# One step is no training, and scikit-learn says so.
warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")

# ANCHOR: network
import numpy
from sklearn.neural_network import MLPClassifier

x = numpy.array([[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [-2.0, -1.0]])
classes = numpy.array([0, 1, 2, 1])
network = MLPClassifier(
    hidden_layer_sizes=3, activation="tanh", learning_rate_init=0.1, alpha=0.0,
    batch_size=4, shuffle=False, max_iter=1, warm_start=True,
)
network.fit(x, classes)  # makes the arrays that are set now
network.coefs_ = [
    # A weight lies (inputs, outputs).
    numpy.array([[0.5, 0.2, -0.6], [-0.3, 0.8, 0.1]]),
    numpy.array([[0.4, -0.2, 0.1], [-0.5, 0.7, 0.2], [0.3, 0.6, -0.4]]),
]
network.intercepts_ = [numpy.array([0.1, 0.0, -0.2]), numpy.array([0.0, 0.1, -0.1])]
network.set_params(max_iter=21).fit(x, classes)
losses = network.loss_curve_[1:]

assert f"{losses[0]:.6f}" == "1.168151"
assert f"{losses[20]:.6f}" == "0.018770"
# ANCHOR_END: network

# ANCHOR: half
from sklearn.neural_network import MLPRegressor

line = MLPRegressor(
    hidden_layer_sizes=1, activation="identity", alpha=0.0,
    batch_size=2, shuffle=False, max_iter=1, warm_start=True,
)
x, y = numpy.array([[1.0], [2.0]]), numpy.array([1.0, 5.0])
line.fit(x, y)
line.coefs_ = [numpy.ones((1, 1)), numpy.ones((1, 1))]
line.intercepts_ = [numpy.zeros(1), numpy.zeros(1)]
line.fit(x, y)
# The errors are 0 and 3: half of the mean of 0 and 9.
assert f"{line.loss_curve_[-1]:.4f}" == "2.2500"
# ANCHOR_END: half

# The third exercise.
from sklearn.linear_model import LogisticRegression

x = numpy.arange(20)[:, None] / 10 - 1
t = (numpy.arange(20) >= 10) | (numpy.arange(20) == 3)
fitted = LogisticRegression(C=1.0, tol=1e-10).fit(x, t)
assert f"{fitted.coef_[0, 0]:.4f}" == "1.7894", fitted.coef_
assert f"{fitted.intercept_[0]:.4f}" == "0.3408", fitted.intercept_

# The defaults that the chapter names.
defaults = MLPClassifier().get_params()
assert (defaults["momentum"], defaults["nesterovs_momentum"]) == (0.9, True)
assert (defaults["alpha"], defaults["epsilon"]) == (1e-4, 1e-8)
