"""The PyTorch side of the chapter "From another library to here"; run by `cargo xtask interop guide`.

The chapter shows what stands between two anchors. A number that is asserted here is asserted there by the Rust code too.
"""

import common

common.enter()

# ANCHOR: network
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3))
with torch.no_grad():
    network[0].weight[:] = torch.tensor([[0.5, -0.3], [0.2, 0.8], [-0.6, 0.1]])
    network[0].bias[:] = torch.tensor([0.1, 0.0, -0.2])
    network[2].weight[:] = torch.tensor(
        [[0.4, -0.5, 0.3], [-0.2, 0.7, 0.6], [0.1, 0.2, -0.4]]
    )
    network[2].bias[:] = torch.tensor([0.0, 0.1, -0.1])

x = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [-2.0, -1.0]])
classes = torch.tensor([0, 1, 2, 1])
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(network.parameters(), lr=0.1)

losses = []
for step in range(21):
    optimizer.zero_grad()
    loss = loss_function(network(x), classes)
    losses.append(loss.item())
    loss.backward()
    optimizer.step()

assert f"{losses[0]:.6f}" == "1.168151"
assert f"{losses[20]:.6f}" == "0.018770"
# ANCHOR_END: network

# ANCHOR: file
from safetensors.torch import save_file

save_file(network.state_dict(), "pytorch.safetensors")
with torch.no_grad():
    scores = network(torch.tensor([1.0, -1.0]))
assert [f"{score:.4f}" for score in scores] == ["0.5938", "-3.0325", "4.2402"]
# ANCHOR_END: file

# ANCHOR: norm
norm = nn.BatchNorm1d(1)
norm(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
assert f"{norm.running_mean.item():.4f}" == "0.2500"
assert f"{norm.running_var.item():.4f}" == "1.0667"
# ANCHOR_END: norm

# ANCHOR: steps
def stepped(optimizer, gradients, rates=None):
    """Returns the parameter after a step for each gradient, starting at 1."""
    theta = nn.Parameter(torch.tensor([1.0]))
    optimizer = optimizer([theta])
    for step, gradient in enumerate(gradients):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[step]
        theta.grad = torch.tensor([gradient])
        optimizer.step()
    return theta.item()

sgd = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)
momentum = stepped(sgd, [1.0, 1.0], [0.1, 0.01])
assert f"{momentum:.4f}" == "0.8810"
decay = stepped(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.5), [2.0])
assert f"{decay:.4f}" == "0.9000"
decoupled = stepped(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5), [2.0])
assert f"{decoupled:.4f}" == "0.8500"
tiny = stepped(lambda p: torch.optim.Adam(p, lr=0.1), [1e-7])
assert f"{1.0 - tiny:.4f}" == "0.0909"
# ANCHOR_END: steps

from safetensors.torch import load_file

common.compare(load_file("pytorch.safetensors"), load_file(common.HERE / "pytorch.safetensors"))

# The defaults that the chapter names.
assert torch.optim.Adam(network.parameters()).defaults["eps"] == 1e-8
assert torch.optim.AdamW(network.parameters()).defaults["weight_decay"] == 0.01
assert (nn.BatchNorm1d(1).momentum, nn.BatchNorm1d(1).eps) == (0.1, 1e-5)
assert nn.LeakyReLU().negative_slope == 0.01 and nn.GELU().approximate == "none"
