"""NumPy: backpropagation by hand, with its buffers set up once."""

from common import *  # noqa: F403


class Mlp:
    """y = x Wᵀ + b, layer after layer; the gradients lie beside the parameters."""

    def __init__(self):
        self.layers = mlp_parameters()
        self.x, self.target = data(WORKLOAD["widths"][-1:])
        self.outputs = [np.empty((BATCH, w.shape[0]), PRECISION) for w, _ in self.layers]
        self.deltas = [np.empty_like(y) for y in self.outputs]
        self.parameters = [p for layer in self.layers for p in layer if p is not None]
        self.gradients = [[np.empty_like(w), None if b is None else np.empty_like(b)] for w, b in self.layers]
        self.flat_gradients = [g for layer in self.gradients for g in layer if g is not None]
        self.masks = [None] * len(self.layers)
        self.random = np.random.default_rng(1)
        self.training = False

    def forward(self):
        x = self.x
        for index, ((w, b), y) in enumerate(zip(self.layers, self.outputs)):
            np.dot(x, w.T, out=y)
            if b is not None:
                y += b
            if index + 1 < len(self.layers):
                np.tanh(y, out=y) if WORKLOAD["activation"] == "tanh" else np.maximum(y, 0, out=y)
                x = self.dropout(index, y)
        return y

    def dropout(self, index, y):
        probability = WORKLOAD.get("dropout", 0) if self.training else 0
        if not probability:
            self.masks[index] = None
            return y
        self.masks[index] = (self.random.random(y.shape) >= probability) / (1 - probability)
        return y * self.masks[index]

    def loss(self, y, dy):
        if WORKLOAD["loss"] == "mean-squared-error":
            np.subtract(y, self.target, out=dy)
            value = np.mean(np.square(dy))
            dy *= PRECISION(2 / dy.size)
            return value
        rows = np.arange(BATCH)
        shifted = y - y.max(axis=1, keepdims=True)
        np.exp(shifted, out=dy)
        sums = dy.sum(axis=1, keepdims=True)
        value = np.mean(np.log(sums[:, 0]) - shifted[rows, self.target])
        dy /= sums
        dy[rows, self.target] -= 1
        dy /= BATCH
        return value

    def gradient(self):
        value = self.loss(self.forward(), self.deltas[-1])
        for index in reversed(range(len(self.layers))):
            dy, (w, _), (dw, db) = self.deltas[index], self.layers[index], self.gradients[index]
            x = self.outputs[index - 1] if index else self.x
            if index and self.masks[index - 1] is not None:
                x = x * self.masks[index - 1]
            np.dot(dy.T, x, out=dw)
            if db is not None:
                np.sum(dy, axis=0, out=db)
            if index:
                dx, y = self.deltas[index - 1], self.outputs[index - 1]
                np.dot(dy, w, out=dx)
                if self.masks[index - 1] is not None:
                    dx *= self.masks[index - 1]
                dx *= 1 - y * y if WORKLOAD["activation"] == "tanh" else y > 0
        return value


class Rule:
    """θ ← θ − step(g), for each tensor in place."""

    def __init__(self, parameters, gradients):
        self.parameters, self.gradients, self.steps = parameters, gradients, 0
        self.rate = WORKLOAD["rate"]
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]
        self.room = [np.empty_like(p) for p in parameters]

    def step(self):
        self.steps += 1
        getattr(self, WORKLOAD["optimizer"])()

    def descent(self):
        for p, g in zip(self.parameters, self.gradients):
            p -= PRECISION(self.rate) * g

    def momentum(self):
        for p, g, v, room in zip(self.parameters, self.gradients, self.first, self.room):
            v *= PRECISION(0.9)
            v += g
            np.multiply(v, PRECISION(self.rate), out=room)
            p -= room

    def adam(self):
        rate = PRECISION(self.rate / (1 - 0.9**self.steps))
        root = PRECISION(1 / (1 - 0.999**self.steps) ** 0.5)
        for p, g, m, v, room in zip(self.parameters, self.gradients, self.first, self.second, self.room):
            m *= PRECISION(0.9)
            np.multiply(g, PRECISION(0.1), out=room)
            m += room
            v *= PRECISION(0.999)
            np.multiply(g, g, out=room)
            room *= PRECISION(0.001)
            v += room
            np.sqrt(v, out=room)
            room *= root
            room += PRECISION(1e-8)
            np.divide(m, room, out=room)
            room *= rate
            p -= room


def variants():
    if SUITE == "product":
        a, b = matrices()
        out = np.empty((a.shape[0], b.shape[1]), PRECISION)
        np.dot(a, b, out=out)
        return [Variant("NumPy", lambda: np.dot(a, b, out=out), [mean_square(out)])]
    if SUITE == "optimizer":
        theta, gradient = fill(INPUT, WORKLOAD["parameters"]), fill(TARGET, WORKLOAD["parameters"])
        rule = Rule([theta], [gradient])
        values = []
        for _ in range(COMPARED):
            rule.step()
            values.append(mean_square(theta))
        rule.rate = STILL
        return [Variant("NumPy", rule.step, values)]
    if MODEL != "mlp" or SUITE in ("model", "run"):
        return []
    mlp = Mlp()
    if SUITE == "inference":
        return [Variant("NumPy", mlp.forward, [mean_square(mlp.forward())])]
    if "optimizer" not in WORKLOAD:
        value = mlp.gradient()
        flat = np.concatenate([g.ravel() for g in mlp.flat_gradients])
        mlp.training = True
        return [Variant("NumPy", mlp.gradient, [value + mean_square(flat) ** 0.5])]
    rule = Rule(mlp.parameters, mlp.flat_gradients)

    def step():
        value = mlp.gradient()
        rule.step()
        return value

    values = [step() for _ in range(COMPARED)]
    rule.rate = STILL
    return [Variant("NumPy", step, values)]


serve(f"NumPy {np.__version__}", variants())
