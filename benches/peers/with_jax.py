"""JAX: one compiled function for a step, and for small networks one for a hundred steps."""

from common import *  # noqa: F403

if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
from jax import lax
from jax import numpy as jnp

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", PRECISION == np.float64)

BELOW = 1_000_000  # operations of a step so small that it is lost in the call


def mlp(parameters, x, key):
    for index, layer in enumerate(parameters):
        x = x @ layer[0].T
        if len(layer) > 1:
            x = x + layer[1]
        if index + 1 < len(parameters):
            x = jnp.tanh(x) if WORKLOAD["activation"] == "tanh" else jax.nn.relu(x)
            if key is not None:
                kept = 1 - WORKLOAD["dropout"]
                x = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, index), kept, x.shape), x / kept, 0)
    return x


def loss(parameters, x, target, key=None):
    y = mlp(parameters, x, key)
    if WORKLOAD["loss"] == "mean-squared-error":
        return jnp.mean(jnp.square(y - target))
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), target[:, None], axis=1))


def zeros(parameters):
    return jax.tree.map(jnp.zeros_like, parameters)


def start(parameters):
    """What the rule keeps."""
    match WORKLOAD["optimizer"]:
        case "adam":
            return zeros(parameters), zeros(parameters), jnp.zeros((), PRECISION)
        case "momentum":
            return zeros(parameters)
    return ()


def update(parameters, gradients, state, rate):
    match WORKLOAD["optimizer"]:
        case "descent":
            return jax.tree.map(lambda p, g: p - rate * g, parameters, gradients), state
        case "momentum":
            state = jax.tree.map(lambda v, g: PRECISION(0.9) * v + g, state, gradients)
            return jax.tree.map(lambda p, v: p - rate * v, parameters, state), state
    m, v, steps = state
    steps = steps + 1
    m = jax.tree.map(lambda m, g: PRECISION(0.9) * m + PRECISION(0.1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: PRECISION(0.999) * v + PRECISION(0.001) * g * g, v, gradients)
    scale, root = rate / (1 - PRECISION(0.9) ** steps), jnp.sqrt(1 - PRECISION(0.999) ** steps)
    parameters = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) / root + 1e-8), parameters, m, v)
    return parameters, (m, v, steps)


class Loop:
    """Holds what a step takes and gives; its buffers are given up to the next step."""

    def __init__(self, step, parameters):
        self.step, self.parameters, self.state = step, parameters, start(parameters)
        self.rate = PRECISION(WORKLOAD["rate"])
        self.value = None

    def call(self):
        self.parameters, self.state, self.value = self.step(self.parameters, self.state, self.rate)

    def finish(self):
        jax.block_until_ready((self.parameters, self.value))

    def variant(self, name, look, calls=1):
        values = []
        if calls == 1:
            for _ in range(COMPARED):
                self.call()
                values.append(float(look(self)))
        self.rate = PRECISION(STILL)
        return Variant(name, self.call, values, self.finish, calls)


def steps(parameters, x, target):
    def step(parameters, state, rate):
        value, gradients = jax.value_and_grad(loss)(parameters, x, target)
        return *update(parameters, gradients, state, rate), value

    def hundred(parameters, state, rate):
        def body(_, carried):
            return step(carried[0], carried[1], rate)

        return lax.fori_loop(0, 100, body, (parameters, state, jnp.zeros((), PRECISION)))

    def fresh(step):
        return Loop(jax.jit(step, donate_argnums=(0, 1)), jax.tree.map(jnp.array, parameters))

    made = [fresh(step).variant("JAX", lambda loop: loop.value)]
    if WORKLOAD["operations"] * BATCH < BELOW:
        looped = fresh(hundred).variant("JAX, 100 steps in one", None, calls=100)
        looped.values = made[0].values  # the same step
        made.append(looped)
    return made


def gradients(parameters, x, target):
    value, gradient = jax.value_and_grad(loss)(parameters, x, target)
    flat = np.concatenate([np.ravel(g) for g in jax.tree.leaves(gradient)])
    function = jax.jit(jax.value_and_grad(lambda parameters, key: loss(parameters, x, target, key)))
    key, done = jax.random.key(1), [None]

    def call():
        done[0] = function(parameters, key)

    values = [float(value) + mean_square(flat) ** 0.5]
    return [Variant("JAX", call, values, lambda: jax.block_until_ready(done[0]))]


def repeated(name, function, *arguments):
    """A compiled function, called again and again."""
    function, done = jax.jit(function), [None]

    def call():
        done[0] = function(*arguments)

    call()
    return [Variant(name, call, [mean_square(done[0])], lambda: jax.block_until_ready(done[0]))]


def variants():
    if SUITE == "product":
        return repeated("JAX", jnp.matmul, *map(jnp.asarray, matrices()))
    if SUITE == "optimizer":
        gradient = jnp.asarray(fill(TARGET, WORKLOAD["parameters"]))

        def step(parameters, state, rate):
            return *update(parameters, gradient, state, rate), 0

        loop = Loop(jax.jit(step, donate_argnums=(0, 1)), jnp.asarray(fill(INPUT, WORKLOAD["parameters"])))
        return [loop.variant("JAX", lambda loop: mean_square(loop.parameters))]
    if MODEL != "mlp" or SUITE in ("model", "run"):
        return []
    parameters = [[jnp.asarray(p) for p in layer if p is not None] for layer in mlp_parameters()]
    x, target = map(jnp.asarray, data(WORKLOAD["widths"][-1:]))
    if SUITE == "inference":
        return repeated("JAX", lambda parameters, x: mlp(parameters, x, None), parameters, x)
    if "optimizer" not in WORKLOAD:
        return gradients(parameters, x, target)
    return steps(parameters, x, target)


serve(f"JAX {jax.__version__}", variants())
