"""Optimizers and schedules as their reference implementations compute them, for crates/optim/tests/parity.rs.

`optimizers.safetensors`: 1000 recorded gradients of a 4x3 matrix and a vector of 3, and for each case the parameters
after the steps in `checkpoints`, in f64 and in f32 (`NAME.f64`, `NAME.f32`), and after the steps in
`loop_checkpoints` where the gradient is that of a function of the parameters, and the recorded ones its noise
(`NAME.loop`).
`schedules.safetensors`: for each schedule the rates at `steps`.

The metadata's `references` says what computed each case: PyTorch and optax where they have the rule, otherwise the
formulas below, written in NumPy from the papers and checked, each time that this script runs, against the authors'
own packages in f64. Two have none on PyPI: Adan and Sophia were checked in the same way against `adan.py` of
sail-sg/Adan (2c65bea) and `sophia.py` of Liuhong99/Sophia (a7e1572).
"""

import hashlib
import json
import math
import pathlib
import warnings
from importlib.metadata import version

import dadaptation
import jax
import jax.numpy
import numpy
import optax
import prodigyopt
import schedulefree
import torch
from safetensors.numpy import save

jax.config.update("jax_enable_x64", True)
warnings.filterwarnings("ignore")

SCRIPT = pathlib.Path(__file__).resolve()
FIXTURES = SCRIPT.parents[2] / "crates/optim/tests/fixtures"
ORIGIN = {
    "script": "xtask/golden/optim.py",
    "script_sha256": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
    "torch": torch.__version__.split("+")[0],
    "numpy": numpy.__version__,
    "optax": optax.__version__,
    "jax": jax.__version__,
    "schedulefree": version("schedulefree"),
    "prodigyopt": version("prodigyopt"),
    "dadaptation": version("dadaptation"),
}

STEPS = 1000
CHECKPOINTS = [1, 2, 3, 10, 100, 1000]
LOOP_CHECKPOINTS = [1, 10, 100, 200]
SHAPES = [(4, 3), (3,)]
SIZE = 15

generator = numpy.random.Generator(numpy.random.PCG64(7))
# Exact in f32. Sizes differ between parameters and drift in time; some entries are 0.
scales = numpy.exp(generator.uniform(-2, 2, SIZE))
drift = 1 + 0.5 * numpy.sin(numpy.arange(STEPS) / 60)[:, None]
GRADIENTS = (generator.standard_normal((STEPS, SIZE)) + 0.3) * scales * drift
GRADIENTS[generator.random((STEPS, SIZE)) < 0.05] = 0
GRADIENTS = GRADIENTS.astype(numpy.float32)
START = generator.standard_normal(SIZE).astype(numpy.float32)
CURVATURES = numpy.exp(generator.uniform(-1, 1, SIZE)).astype(numpy.float32)


def slope(theta):
    """The gradient of the sum of a(t^2 - 1)^2 / 4 + t next(t) / 4: many valleys, and no parameter alone."""
    curvatures = CURVATURES.astype(theta.dtype)
    return curvatures * theta * (theta * theta - 1) + (numpy.roll(theta, 1) + numpy.roll(theta, -1)) / 4


def split(flat):
    parts, at = [], 0
    for shape in SHAPES:
        size = math.prod(shape)
        parts.append(flat[at : at + size].reshape(shape))
        at += size
    return parts


def flat(parts):
    return numpy.concatenate([numpy.asarray(part).reshape(-1) for part in parts])


# Each reference is a function from the first parameters to a function from a gradient to the next parameters.


def in_torch(make, rate=None):
    def begin(theta):
        parameters = [torch.nn.Parameter(torch.tensor(part.copy())) for part in split(theta)]
        optimizers = make(parameters)
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        number = 0

        def step(gradient):
            nonlocal number
            for parameter, part in zip(parameters, split(gradient)):
                parameter.grad = torch.tensor(part.copy())
            for optimizer in optimizers:
                if rate:
                    for group in optimizer.param_groups:
                        group["lr"] = rate(number)
                optimizer.step()
            number += 1
            return flat([parameter.detach().numpy() for parameter in parameters])

        return step

    return begin


def in_optax(transformation):
    def begin(theta):
        parameters = [jax.numpy.asarray(part) for part in split(theta)]
        state = transformation.init(parameters)

        @jax.jit
        def update(gradient, state, parameters):
            updates, state = transformation.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state

        def step(gradient):
            nonlocal parameters, state
            parameters, state = update([jax.numpy.asarray(part) for part in split(gradient)], state, parameters)
            return flat(parameters)

        return step

    return begin


def in_numpy(rule, **settings):
    return lambda theta: rule(theta.copy(), **settings)


def adan(theta, lr=1e-3, betas=(0.98, 0.92, 0.99), eps=1e-8, decay=0.0, prox=True):
    b1, b2, b3 = betas
    m, d, n = (numpy.zeros_like(theta) for _ in range(3))
    before, t = None, 0

    def step(g):
        nonlocal theta, m, d, n, before, t
        t += 1
        difference = numpy.zeros_like(g) if before is None else g - before
        before = g
        m = b1 * m + (1 - b1) * g
        d = b2 * d + (1 - b2) * difference
        n = b3 * n + (1 - b3) * (g + b2 * difference) ** 2
        denominator = numpy.sqrt(n / (1 - b3**t)) + eps
        u = (m / (1 - b1**t) + b2 * d / (1 - b2**t)) / denominator
        theta = (theta - lr * u) / (1 + lr * decay) if prox else theta * (1 - lr * decay) - lr * u
        return theta

    return step


def sophia(theta, lr=1e-4, betas=(0.965, 0.99), rho=0.04, decay=0.1, batch=1, every=10):
    """The sampled gradient of the Hessian is the gradient of the step reversed: anything known will do."""
    b1, b2 = betas
    m, h, t = numpy.zeros_like(theta), numpy.zeros_like(theta), 0

    def step(g):
        nonlocal theta, m, h, t
        t += 1
        theta = theta * (1 - lr * decay)
        m = b1 * m + (1 - b1) * g
        ratio = numpy.minimum(numpy.abs(m) / (rho * batch * h + 1e-15), 1)
        theta = theta - lr * numpy.sign(m) * ratio
        if t % every == 0:
            h = b2 * h + (1 - b2) * g[::-1] ** 2
        return theta

    return step


def schedule_free(theta, adam, lr, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, warmup=0, r=0.0, power=2.0):
    y, z, v = theta, theta.copy(), numpy.zeros_like(theta)
    k, largest, weights = 0, 0.0, 0.0

    def step(g):
        nonlocal y, z, v, k, largest, weights
        rate = lr * (min(1.0, (k + 1) / warmup) if warmup else 1.0)
        largest = max(largest, rate)
        weight = (k + 1) ** r * largest**power
        weights += weight
        c = weight / weights if weights else 0.0
        if adam:
            v = beta2 * v + (1 - beta2) * g * g
            g = g / (numpy.sqrt(v / (1 - beta2 ** (k + 1))) + eps)
        g = g + decay * y
        y = y + c * (z - y) + rate * (beta1 * (1 - c) - 1) * g
        z = z - rate * g
        k += 1
        return y

    return step


def prodigy(theta, lr=1.0, b1=0.9, b2=0.999, b3=None, eps=1e-8, decay=0.0, d0=1e-6, coef=1.0, growth=math.inf,
            correct=False, safeguard=False):
    b3 = math.sqrt(b2) if b3 is None else b3
    start = theta.copy()
    m, v, s = (numpy.zeros_like(theta) for _ in range(3))
    d, d_max, n, t = d0, d0, 0.0, 0

    def step(g):
        nonlocal theta, m, v, s, d, d_max, n, t
        t += 1
        rate = d * lr * (math.sqrt(1 - b2**t) / (1 - b1**t) if correct else 1.0)
        n = b3 * n + (d / d0) * rate * float(numpy.dot(g.astype(float), (start - theta).astype(float)))
        m = b1 * m + d * (1 - b1) * g
        v = b2 * v + d * d * (1 - b2) * g * g
        s = b3 * s + (d / d0) * (d if safeguard else rate) * g
        total = float(numpy.abs(s).astype(float).sum())
        if total == 0:
            return theta
        estimate = coef * n / total
        if d == d0:
            d = max(d, estimate)
        d_max = max(d_max, estimate)
        d = min(d_max, d * growth)
        theta = theta - decay * rate * theta
        theta = theta - rate * m / (numpy.sqrt(v) + d * eps)
        return theta

    return step


def d_adapt_adam(theta, lr=1.0, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, d0=1e-6, growth=math.inf, correct=False):
    q = math.sqrt(b2)
    m, v, s = (numpy.zeros_like(theta) for _ in range(3))
    d, n, t = d0, 0.0, 0

    def step(g):
        nonlocal theta, m, v, s, d, n, t
        t += 1
        rate = d * lr * (math.sqrt(1 - b2**t) / (1 - b1**t) if correct else 1.0)
        aligned = rate * float(numpy.dot(g.astype(float), (s / (numpy.sqrt(v) + eps)).astype(float)))
        m = b1 * m + rate * (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        s = q * s + (1 - q) * rate * g
        total = float(numpy.abs(s).astype(float).sum())
        n = q * n + (1 - q) * aligned
        if total == 0:
            return theta
        d = max(d, min(n / ((1 - q) * total), d * growth))
        theta = theta - decay * rate * theta
        theta = theta - m / (numpy.sqrt(v) + eps)
        return theta

    return step


def lookahead(begin_inner, k=5, alpha=0.5):
    """Around SGD without momentum, which has no memory that a look back would have to keep."""

    def begin(theta):
        fast, slow, t = theta.copy(), theta.copy(), 0

        def step(g):
            nonlocal fast, slow, t
            t += 1
            fast = fast - begin_inner * g
            if t % k == 0:
                slow = slow + alpha * (fast - slow)
                fast = slow.copy()
            return fast

        return step

    return begin


def muon(theta, lr=1e-2, decay=0.1, momentum=0.95, nesterov=True, adjust="original", adam_lr=None):
    """The iteration in the parameters' own precision; vectors by AdamW."""
    adam_lr = lr if adam_lr is None else adam_lr
    buffers = [numpy.zeros_like(part) for part in split(theta)]
    m, v, t = numpy.zeros_like(split(theta)[1]), numpy.zeros_like(split(theta)[1]), 0

    def orthogonal(x):
        transposed = x.shape[0] > x.shape[1]
        x = x.T if transposed else x
        x = x / max(float(numpy.linalg.norm(x.astype(float))), 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.T if transposed else x

    def step(g):
        nonlocal theta, m, v, t
        t += 1
        (w, b), (gw, gb) = split(theta), split(g)
        buffers[0] = momentum * buffers[0] + (1 - momentum) * gw
        u = (1 - momentum) * gw + momentum * buffers[0] if nesterov else buffers[0]
        rows, columns = w.shape
        s = math.sqrt(max(1, rows / columns)) if adjust == "original" else 0.2 * math.sqrt(max(rows, columns))
        w = w * (1 - lr * decay) - lr * s * orthogonal(u)
        m = 0.9 * m + 0.1 * gb
        v = 0.999 * v + (1 - 0.999) * gb * gb
        b = b * (1 - adam_lr * decay) - adam_lr / (1 - 0.9**t) * m / (numpy.sqrt(v) / math.sqrt(1 - 0.999**t) + 1e-8)
        theta = flat([w, b])
        return theta

    return step


def torch_muon(parameters):
    return [
        torch.optim.Muon([parameters[0]], lr=1e-2, weight_decay=0.1),
        torch.optim.AdamW([parameters[1]], lr=1e-2, weight_decay=0.1),
    ]


O = torch.optim
TORCH = {
    "gradient_descent": lambda p: O.SGD(p, lr=0.01),
    "sgd_momentum": lambda p: O.SGD(p, lr=0.01, momentum=0.9),
    "sgd_dampening": lambda p: O.SGD(p, lr=0.01, momentum=0.9, dampening=0.3, weight_decay=0.02),
    "sgd_nesterov": lambda p: O.SGD(p, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.02),
    "sgd_plain_decay": lambda p: O.SGD(p, lr=0.01, weight_decay=0.1),
    "adagrad": lambda p: O.Adagrad(p, lr=0.02),
    "adagrad_all": lambda p: O.Adagrad(p, lr=0.02, lr_decay=0.01, weight_decay=0.02, initial_accumulator_value=0.1, eps=1e-6),
    "rms_prop": lambda p: O.RMSprop(p, lr=0.005),
    "rms_prop_centered": lambda p: O.RMSprop(p, lr=0.005, centered=True, eps=1e-3),
    "rms_prop_momentum": lambda p: O.RMSprop(p, lr=0.005, momentum=0.5, weight_decay=0.02),
    "rms_prop_all": lambda p: O.RMSprop(p, lr=0.002, alpha=0.98, momentum=0.5, centered=True, eps=1e-3, weight_decay=0.02),
    "adadelta": lambda p: O.Adadelta(p),
    "adadelta_all": lambda p: O.Adadelta(p, lr=0.5, rho=0.95, eps=1e-5, weight_decay=0.02),
    "adam": lambda p: O.Adam(p, lr=0.01),
    "adam_all": lambda p: O.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.02),
    "adamw": lambda p: O.AdamW(p, lr=0.01),
    "adamw_all": lambda p: O.AdamW(p, lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.2),
    "ams_grad": lambda p: O.Adam(p, lr=0.01, betas=(0.9, 0.95), amsgrad=True, weight_decay=0.02),
    "adamax": lambda p: O.Adamax(p, lr=0.01, weight_decay=0.02),
    "n_adam": lambda p: O.NAdam(p, lr=0.01, weight_decay=0.02),
    "n_adam_decoupled": lambda p: O.NAdam(p, lr=0.01, weight_decay=0.1, momentum_decay=1e-2, decoupled_weight_decay=True),
    "r_adam": lambda p: O.RAdam(p, lr=0.01, weight_decay=0.02),
    "r_adam_decoupled": lambda p: O.RAdam(p, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, decoupled_weight_decay=True),
    "asgd": lambda p: O.ASGD(p, lr=0.01),
    "asgd_all": lambda p: O.ASGD(p, lr=0.01, lambd=1e-2, alpha=0.6, t0=50, weight_decay=0.02),
    "rprop": lambda p: O.Rprop(p, lr=0.01),
    "rprop_all": lambda p: O.Rprop(p, lr=0.02, etas=(0.4, 1.3), step_sizes=(1e-4, 0.1)),
    "adafactor": lambda p: O.Adafactor(p, lr=0.01),
    "adafactor_all": lambda p: O.Adafactor(p, lr=0.02, beta2_decay=-0.5, eps=(1e-6, 1e-2), d=1.5, weight_decay=0.1),
    "muon_bfloat16": torch_muon,
}
SCHEDULED = ("sgd_scheduled", lambda p: O.SGD(p, lr=1.0, momentum=0.9), lambda t: 0.01 * 0.995**t)
OPTAX = {
    "lion": optax.lion(1e-3, b1=0.9, b2=0.99, weight_decay=0.1),
    "lamb": optax.lamb(0.01, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.02),
    "lars": optax.lars(0.5, weight_decay=0.02, momentum=0.9),
    "lars_nesterov": optax.lars(0.5, weight_decay=0.0, trust_coefficient=0.01, eps=1e-3, momentum=0.8, nesterov=True),
}
NUMPY = {
    "adan": in_numpy(adan, lr=0.01, decay=0.1),
    "adan_decoupled": in_numpy(adan, lr=0.01, betas=(0.9, 0.8, 0.95), eps=1e-6, decay=0.1, prox=False),
    "sophia": in_numpy(sophia, lr=1e-3, batch=16),
    "schedule_free_sgd": in_numpy(schedule_free, adam=False, lr=0.05),
    "schedule_free_sgd_all": in_numpy(schedule_free, adam=False, lr=0.05, beta1=0.8, decay=0.02, warmup=20, r=0.5, power=1.0),
    "schedule_free_adamw": in_numpy(schedule_free, adam=True, lr=0.01),
    "schedule_free_adamw_all": in_numpy(schedule_free, adam=True, lr=0.01, beta1=0.95, beta2=0.98, eps=1e-6, decay=0.1, warmup=20),
    "prodigy": in_numpy(prodigy),
    "prodigy_all": in_numpy(prodigy, lr=0.5, b2=0.99, b3=0.98, decay=0.02, d0=1e-4, coef=0.8, growth=1.5, correct=True, safeguard=True),
    "d_adapt_adam": in_numpy(d_adapt_adam, lr=0.05),
    "d_adapt_adam_all": in_numpy(d_adapt_adam, lr=0.1, b2=0.99, decay=0.02, d0=1e-4, growth=1.2, correct=True),
    "lookahead": lookahead(0.01, k=6, alpha=0.6),
    "muon": in_numpy(muon),
    "muon_plain": in_numpy(muon, nesterov=False, adjust="match_rms_adamw", momentum=0.9, adam_lr=1e-3),
}


def training(optimizer):
    """Schedule-Free steps only in its training mode."""
    optimizer.train()
    return optimizer


# What each package gives for the case of the same name.
AUTHORS = {
    "schedule_free_sgd": lambda p: training(schedulefree.SGDScheduleFree(p, lr=0.05)),
    "schedule_free_sgd_all": lambda p: training(
        schedulefree.SGDScheduleFree(
            p, lr=0.05, momentum=0.8, weight_decay=0.02, warmup_steps=20, r=0.5, weight_lr_power=1.0
        )
    ),
    "schedule_free_adamw": lambda p: training(schedulefree.AdamWScheduleFree(p, lr=0.01)),
    "schedule_free_adamw_all": lambda p: training(
        schedulefree.AdamWScheduleFree(p, lr=0.01, betas=(0.95, 0.98), eps=1e-6, weight_decay=0.1, warmup_steps=20)
    ),
    "prodigy": lambda p: prodigyopt.Prodigy(p),
    "prodigy_all": lambda p: prodigyopt.Prodigy(
        p, lr=0.5, betas=(0.9, 0.99), beta3=0.98, weight_decay=0.02, d0=1e-4, d_coef=0.8, growth_rate=1.5,
        use_bias_correction=True, safeguard_warmup=True,
    ),
    "d_adapt_adam": lambda p: dadaptation.DAdaptAdam(p, lr=0.05, decouple=True),
    "d_adapt_adam_all": lambda p: dadaptation.DAdaptAdam(
        p, lr=0.1, betas=(0.9, 0.99), weight_decay=0.02, decouple=True, d0=1e-4, growth_rate=1.2,
        use_bias_correction=True,
    ),
}


def check_against_authors():
    """The packages keep sums in the precision of the parameters, so only f64 tells the formulas apart."""
    for name, make in AUTHORS.items():
        theta = START.astype(numpy.float64)
        ours, theirs = NUMPY[name](theta), in_torch(make)(theta)
        for gradient in GRADIENTS.astype(numpy.float64):
            a, b = ours(gradient), theirs(gradient)
            off = numpy.linalg.norm(a - b) / numpy.linalg.norm(b)
            assert off < 1e-12, f"{name} is off by {off} from the authors' package"


def optimizers():
    cases = {name: (in_torch(make), "PyTorch") for name, make in TORCH.items()}
    cases[SCHEDULED[0]] = (in_torch(SCHEDULED[1], SCHEDULED[2]), "PyTorch")
    cases |= {name: (in_optax(transformation), "optax") for name, transformation in OPTAX.items()}
    for name, begin in NUMPY.items():
        checked = ", checked against the authors' package" if name in AUTHORS else ""
        cases[name] = (begin, f"NumPy, from the formulas in xtask/golden/optim.py{checked}")
    tensors = {
        "start": START,
        "gradients": GRADIENTS,
        "curvatures": CURVATURES,
        "checkpoints": numpy.array(CHECKPOINTS, dtype=numpy.uint32),
        "loop_checkpoints": numpy.array(LOOP_CHECKPOINTS, dtype=numpy.uint32),
    }
    for name, (begin, _) in cases.items():
        for dtype, suffix in ((numpy.float64, "f64"), (numpy.float32, "f32")):
            # NAdam's running product has the default type.
            torch.set_default_dtype(torch.float64 if suffix == "f64" else torch.float32)
            step = begin(START.astype(dtype))
            kept = []
            for number, gradient in enumerate(GRADIENTS.astype(dtype), 1):
                theta = step(gradient)
                assert theta.dtype == dtype and numpy.isfinite(theta).all(), name
                if number in CHECKPOINTS:
                    kept.append(theta.copy())
            tensors[f"{name}.{suffix}"] = numpy.stack(kept)
        torch.set_default_dtype(torch.float64)
        theta = START.astype(numpy.float64)
        step = begin(theta)
        kept = []
        for number in range(1, max(LOOP_CHECKPOINTS) + 1):
            theta = step(slope(theta) + GRADIENTS[number - 1].astype(numpy.float64))
            if number in LOOP_CHECKPOINTS:
                kept.append(theta.copy())
        tensors[f"{name}.loop"] = numpy.stack(kept)
    references = {name: reference for name, (_, reference) in cases.items()}
    average = torch.optim.swa_utils
    for name, make in {
        "ema": lambda model: average.AveragedModel(model, multi_avg_fn=average.get_ema_multi_avg_fn(0.9)),
        "swa": average.AveragedModel,
    }.items():
        model = torch.nn.Linear(SIZE, 1, bias=False).double()
        averaged = make(model)
        kept = []
        for number, weights in enumerate(GRADIENTS[:100].astype(numpy.float64), 1):
            with torch.no_grad():
                model.weight.copy_(torch.tensor(weights)[None])
            averaged.update_parameters(model)
            if number in CHECKPOINTS:
                kept.append(averaged.module.weight.detach().numpy().reshape(-1).copy())
        tensors[f"{name}.average"] = numpy.stack(kept)
        references[name] = "PyTorch"
    write("optimizers", tensors, references)


def schedules():
    count = 10_000
    steps = sorted({*range(0, 60), *range(60, count, 97), 199, 200, 201, 999, 1000, 1999, 2000, 2001, 2999, 3000,
                    3999, 4000, 4001, 6999, 8000, 9998, 9999})
    L = torch.optim.lr_scheduler
    cases = {
        "constant_factor": lambda o: L.ConstantLR(o, factor=0.25, total_iters=200),
        "step_decay": lambda o: L.StepLR(o, step_size=200, gamma=0.7),
        "multi_step": lambda o: L.MultiStepLR(o, milestones=[20, 200, 200, 4000], gamma=0.5),
        "exponential": lambda o: L.ExponentialLR(o, gamma=0.999),
        "linear": lambda o: L.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=2000),
        "linear_warmup": lambda o: L.LinearLR(o, total_iters=1000),
        "polynomial": lambda o: L.PolynomialLR(o, total_iters=8000, power=1.5),
        "cosine": lambda o: L.CosineAnnealingLR(o, T_max=4000, eta_min=0.01),
        "warm_restarts": lambda o: L.CosineAnnealingWarmRestarts(o, T_0=200, T_mult=1, eta_min=0.01),
        "warm_restarts_growing": lambda o: L.CosineAnnealingWarmRestarts(o, T_0=200, T_mult=2),
        "one_cycle": lambda o: L.OneCycleLR(o, max_lr=0.3, total_steps=count),
        "one_cycle_linear": lambda o: L.OneCycleLR(o, max_lr=0.3, total_steps=count, pct_start=0.4, anneal_strategy="linear",
                                                   div_factor=10, final_div_factor=100, base_momentum=0.8, max_momentum=0.9),
        "one_cycle_three_phases": lambda o: L.OneCycleLR(o, max_lr=0.3, total_steps=count, three_phase=True),
        "cyclic": lambda o: L.CyclicLR(o, base_lr=0.3, max_lr=0.9, cycle_momentum=False),
        "cyclic_halved": lambda o: L.CyclicLR(o, base_lr=0.3, max_lr=0.9, step_size_up=150, step_size_down=350,
                                              mode="triangular2", cycle_momentum=False),
        "cyclic_decaying": lambda o: L.CyclicLR(o, base_lr=0.3, max_lr=0.9, step_size_up=1000, mode="exp_range", gamma=0.9995,
                                                cycle_momentum=False),
        "sequential": lambda o: L.SequentialLR(o, [L.LinearLR(o, total_iters=1000), L.CosineAnnealingLR(o, T_max=9000)], [1000]),
        "chained": lambda o: L.ChainedScheduler([L.ConstantLR(o, factor=0.1, total_iters=200), L.ExponentialLR(o, gamma=0.999)]),
        "by_factor": lambda o: L.LambdaLR(o, lambda t: 1 / (1 + 0.01 * t)),
    }
    tensors = {"steps": numpy.array(steps, dtype=numpy.uint32)}
    references = {}
    for name, make in cases.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3, momentum=0.9)
        scheduler = make(optimizer)
        rates, momenta = [], []
        for _ in range(count):
            # The recursion of the cosine loses digits behind its minimum; PyTorch has the closed form too.
            closed = scheduler._get_closed_form_lr() if name == "cosine" else None
            rates.append(closed[0] if closed else optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if len(rates) < count:
                scheduler.step()
        tensors[name] = numpy.array(rates)[steps]
        if name.startswith("one_cycle"):
            tensors[f"{name}.momentum"] = numpy.array(momenta)[steps]
        references[name] = "PyTorch"

    t = numpy.array(steps, dtype=numpy.float64)
    cosine = optax.cosine_decay_schedule(0.3, 4000, alpha=0.1)
    tensors["cosine_held"] = numpy.array([float(cosine(step)) for step in steps])
    references["cosine_held"] = "optax"
    formulas = {
        "inverse_sqrt": 0.3 * numpy.minimum(t / 400, numpy.sqrt(400 / numpy.maximum(t, 1))),
        "transformer": 0.3 * 512**-0.5 * numpy.minimum((t + 1) ** -0.5, (t + 1) * 4000**-1.5),
    }
    x = numpy.clip((t - 8000) / 1500, 0, 1)
    warmup = numpy.minimum(t / 500, 1)
    formulas |= {
        "warmup_stable_decay": 0.3 * warmup * (1 - numpy.sqrt(x)),
        "warmup_stable_decay_linear": 0.3 * warmup * (1 - x),
        "warmup_stable_decay_exponential": 0.3 * warmup * 0.1**x,
    }
    for name, rates in formulas.items():
        tensors[name] = rates
        references[name] = "NumPy, from the formulas in xtask/golden/optim.py"

    losses = numpy.random.Generator(numpy.random.PCG64(3)).standard_normal(300) * 0.2 + 3 * numpy.exp(-numpy.arange(300) / 40) + 1
    losses[50] = numpy.nan
    tensors["plateau.losses"] = losses
    for name, settings in {
        "plateau": {},
        "plateau_all": {"factor": 0.5, "patience": 3, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 4, "min_lr": 1e-3},
        "plateau_max": {"mode": "max", "factor": 0.7, "patience": 2, "threshold": 0.02, "eps": 1e-3},
    }.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        scheduler = L.ReduceLROnPlateau(optimizer, **settings)
        rates = []
        for loss in losses:
            scheduler.step(loss)
            rates.append(optimizer.param_groups[0]["lr"])
        tensors[name] = numpy.array(rates)
        references[name] = "PyTorch"
    write("schedules", tensors, references)


def write(name, tensors, references):
    FIXTURES.mkdir(parents=True, exist_ok=True)
    tensors = {key: numpy.ascontiguousarray(tensor) for key, tensor in tensors.items()}
    metadata = ORIGIN | {"references": json.dumps(references, sort_keys=True)}
    (FIXTURES / f"{name}.safetensors").write_bytes(save(tensors, metadata=metadata))


if __name__ == "__main__":
    check_against_authors()
    optimizers()
    schedules()
