"""PyTorch: eager, with its fused optimizers, and compiled."""

from common import *  # noqa: F403

import torch
from torch import nn

torch.set_num_threads(THREADS)
torch.set_default_dtype(torch.float64 if PRECISION == np.float64 else torch.float32)


def mlp():
    widths, layers = WORKLOAD["widths"], []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        last = index + 2 == len(widths)
        layers.append(nn.Linear(inputs, outputs, bias=not last or WORKLOAD.get("last_bias", True)))
        if not last:
            layers.append(nn.Tanh() if WORKLOAD["activation"] == "tanh" else nn.ReLU())
            if "dropout" in WORKLOAD:
                layers.append(nn.Dropout(WORKLOAD["dropout"]))
    return nn.Sequential(*layers), widths[-1:]


def convolutions():
    (inputs, height, width), layers = WORKLOAD["input"], []
    for outputs in WORKLOAD["channels"]:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs, height, width = outputs, height // 2, width // 2
    hidden, classes = WORKLOAD["widths"]
    head = [nn.Flatten(), nn.Linear(inputs * height * width, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers, *head), [classes]


class Lstm(nn.Module):
    """An affine map of the last hidden state."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(WORKLOAD["input"][1], WORKLOAD["hidden"], batch_first=True)
        self.head = nn.Linear(WORKLOAD["hidden"], WORKLOAD["widths"][-1])

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def transformer():
    width = WORKLOAD["input"][1]
    block = nn.TransformerEncoderLayer(
        width, WORKLOAD["heads"], WORKLOAD["hidden"], 0.0, "gelu", batch_first=True, norm_first=True
    )
    return block, WORKLOAD["input"]


def model():
    match MODEL:
        case "mlp":
            network, output = mlp()
        case "convolutions":
            network, output = convolutions()
        case "lstm":
            network, output = Lstm(), WORKLOAD["widths"]
        case "transformer":
            network, output = transformer()
    # An MLP without its last bias leaves no gap: the parameter that is missing is the last.
    with torch.no_grad():
        for key, (name, p) in enumerate(network.named_parameters()):
            p.copy_(torch.from_numpy(parameter(key, p.shape, gain=p.ndim == 1 and name.endswith("weight"))))
    x, target = data(output)
    return network, torch.from_numpy(x), torch.from_numpy(target)


def optimizer(parameters, fused):
    rate, kind = WORKLOAD["rate"], WORKLOAD["optimizer"]
    settings = {"fused": True} if fused else {}
    if kind == "adam":
        return torch.optim.Adam(parameters, lr=rate, **settings)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9 if kind == "momentum" else 0, **settings)


def step(name, fused=False, compiled=False, channels_last=False):
    network, x, target = model()
    loss = nn.CrossEntropyLoss() if WORKLOAD["loss"] == "cross-entropy" else nn.MSELoss()
    if channels_last:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    forward = torch.compile(network) if compiled else network
    if "optimizer" not in WORKLOAD:
        return gradient(name, network, forward, loss, x, target)
    rule = optimizer(network.parameters(), fused)

    def call():
        rule.zero_grad()
        value = loss(forward(x), target)
        value.backward()
        rule.step()
        return value

    values = [call().item() for _ in range(COMPARED)]
    for group in rule.param_groups:
        group["lr"] = STILL
    return Variant(name, call, values)


def run(name, fused=False):
    """The plain loop over tensors: a new order in each epoch, and rows gathered batch by batch."""
    network, _, _ = model()
    rows, inputs, classes = WORKLOAD["rows"], WORKLOAD["widths"][0], WORKLOAD["widths"][-1]
    parts = [fill_rows(start, min(start + 1000, rows), inputs) for start in range(0, rows, 1000)]
    x = torch.from_numpy(np.concatenate(parts))
    target = torch.from_numpy((fill(TARGET, rows).astype(np.float64) * classes).astype(np.int64))
    loss, rule = nn.CrossEntropyLoss(), optimizer(network.parameters(), fused)

    def step(places):
        rule.zero_grad()
        value = loss(network(x[places]), target[places])
        value.backward()
        rule.step()
        return value

    def call():
        for _ in range(WORKLOAD["epochs"]):
            for places in torch.randperm(rows).split(BATCH):
                step(places)

    values = [step(places).item() for places in torch.arange(COMPARED * BATCH).split(BATCH)]
    for group in rule.param_groups:
        group["lr"] = STILL
    return Variant(name, call, values)


def gradient(name, network, forward, loss, x, target):
    def call():
        network.zero_grad()
        value = loss(forward(x), target)
        value.backward()
        return value

    network.eval()
    value = call().item()
    flat = torch.cat([p.grad.flatten() for p in network.parameters()])
    network.train()
    return Variant(name, call, [value + mean_square(flat.numpy()) ** 0.5])


def inference(name, compiled=False):
    network, x, _ = model()
    network.eval()
    forward = torch.compile(network) if compiled else network

    def call():
        with torch.inference_mode():
            return forward(x)

    return Variant(name, call, [mean_square(call().numpy())])


def update(name, fused=False, compiled=False):
    theta = torch.nn.Parameter(torch.from_numpy(fill(INPUT, WORKLOAD["parameters"])))
    theta.grad = torch.from_numpy(fill(TARGET, WORKLOAD["parameters"]))
    rule = optimizer([theta], fused)
    call = torch.compile(rule.step) if compiled else rule.step
    values = []
    for _ in range(COMPARED):
        call()
        values.append(mean_square(theta.detach().numpy()))
    for group in rule.param_groups:
        group["lr"] = STILL
    return Variant(name, call, values)


def product():
    a, b = map(torch.from_numpy, matrices())
    out = torch.mm(a, b)
    return Variant("PyTorch", lambda: torch.mm(a, b, out=out), [mean_square(out.numpy())])


def variants():
    match SUITE:
        case "product":
            return [product()]
        case "optimizer":
            return [
                update("PyTorch"),
                update("PyTorch fused", fused=True),
                update("PyTorch compile", compiled=True),
            ]
        case "model":
            return []
        case "run":
            return [run("PyTorch"), run("PyTorch fused", fused=True)]
        case "inference":
            return [inference("PyTorch"), inference("PyTorch compile", compiled=True)]
    made = [step("PyTorch")]
    if "optimizer" in WORKLOAD:
        made.append(step("PyTorch fused", fused=True))
    if MODEL == "convolutions":
        made.append(step("PyTorch channels last", fused=True, channels_last=True))
    if MODEL != "lstm":  # the compiler leaves an LSTM as it is
        made.append(step("PyTorch compile", fused=True, compiled=True))
    return made


serve(f"PyTorch {torch.__version__}", variants())
