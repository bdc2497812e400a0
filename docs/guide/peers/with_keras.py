"""The Keras side of the chapter "From another library to here"; run by `cargo xtask interop guide`.

The chapter shows what stands between two anchors. A number that is asserted here is asserted there by the Rust code too.
"""

import os

import common

common.enter()
# Keras computes with PyTorch here, which is installed anyway.
os.environ["KERAS_BACKEND"] = "torch"

# ANCHOR: network
import keras
import numpy
from keras import layers

keras.config.set_floatx("float64")
network = keras.Sequential([keras.Input([2]), layers.Dense(3, "tanh"), layers.Dense(3)])
network.set_weights([
    # A kernel lies (inputs, outputs).
    numpy.array([[0.5, 0.2, -0.6], [-0.3, 0.8, 0.1]]),
    numpy.array([0.1, 0.0, -0.2]),
    numpy.array([[0.4, -0.2, 0.1], [-0.5, 0.7, 0.2], [0.3, 0.6, -0.4]]),
    numpy.array([0.0, 0.1, -0.1]),
])

x = numpy.array([[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [-2.0, -1.0]])
classes = numpy.array([0, 1, 2, 1])
network.compile(
    optimizer=keras.optimizers.Adam(0.1, epsilon=1e-8),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
history = network.fit(x, classes, batch_size=4, epochs=21, shuffle=False, verbose=0)
losses = history.history["loss"]

assert f"{losses[0]:.6f}" == "1.168151"
assert f"{losses[20]:.6f}" == "0.018770"
# ANCHOR_END: network

# ANCHOR: file
kernel, bias, last_kernel, last_bias = network.get_weights()
numpy.savez("keras.npz", **{
    "0.weight": kernel.T, "0.bias": bias,
    "2.weight": last_kernel.T, "2.bias": last_bias,
})
scores = network.predict(numpy.array([[1.0, -1.0]]), verbose=0)
assert [f"{score:.4f}" for score in scores[0]] == ["0.5938", "-3.0325", "4.2402"]
# ANCHOR_END: file

# ANCHOR: norm
norm = layers.BatchNormalization()
norm(numpy.array([[1.0], [2.0], [3.0], [4.0]]), training=True)
assert f"{float(norm.moving_mean[0]):.4f}" == "0.0250"
assert f"{float(norm.moving_variance[0]):.4f}" == "1.0025"
# ANCHOR_END: norm

# ANCHOR: steps
def stepped(optimizer, gradients, rates=None):
    """Returns the parameter after a step for each gradient, starting at 1."""
    theta = keras.Variable([1.0])
    optimizer.build([theta])
    for step, gradient in enumerate(gradients):
        if rates:
            optimizer.learning_rate = rates[step]
        optimizer.apply([keras.ops.array([gradient])], [theta])
    return float(theta.numpy()[0])

sgd = keras.optimizers.SGD(0.1, momentum=0.9)
momentum = stepped(sgd, [1.0, 1.0], [0.1, 0.01])
assert f"{momentum:.4f}" == "0.8000"
decay = stepped(keras.optimizers.Adam(0.1, weight_decay=0.5), [2.0])
assert f"{decay:.4f}" == "0.8500"
tiny = stepped(keras.optimizers.Adam(0.1), [1e-7])
assert f"{1.0 - tiny:.4f}" == "0.0031"
# ANCHOR_END: steps

common.compare(numpy.load("keras.npz"), numpy.load(common.HERE / "keras.npz"))

# The defaults that the chapter names.
assert keras.optimizers.Adam().epsilon == 1e-7
assert keras.optimizers.AdamW().weight_decay == 0.004
assert not keras.losses.SparseCategoricalCrossentropy().from_logits
assert (layers.BatchNormalization().momentum, layers.BatchNormalization().epsilon) == (0.99, 1e-3)
assert type(layers.Dense(1).kernel_initializer).__name__ == "GlorotUniform"
assert type(layers.Dense(1).bias_initializer).__name__ == "Zeros"
assert f"{layers.LeakyReLU().negative_slope:.1f}" == "0.3"
assert layers.Conv2D(1, 3).data_format == "channels_last"

# The first exercise.
convolutional = keras.Sequential([
    keras.Input([28, 28, 1]), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dense(10),
])
assert convolutional.count_params() == 13_610
# Channels to the front, and the kernel fits a network whose channels come first.
kernel = convolutional.get_weights()[2]
moved = kernel.reshape(13, 13, 8, 10).transpose(2, 0, 1, 3).reshape(-1, 10)
maps = numpy.random.default_rng(1).normal(size=(1, 13, 13, 8))
last, first = maps.reshape(1, -1) @ kernel, maps.transpose(0, 3, 1, 2).reshape(1, -1) @ moved
assert numpy.allclose(last, first)
