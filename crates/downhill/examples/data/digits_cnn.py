"""Trains a small convolutional network on the digits in PyTorch, for the example `from_pytorch`.

    python3 digits_cnn.py    writes `digits_cnn.safetensors` and `digits_cnn_logits.safetensors` beside this script

The first is the state dict alone, as any program in PyTorch saves it; the second holds what the network says of the
digits that it has not seen. Written with torch 2.15.0, numpy 2.4.6 and safetensors 0.8.0.
"""

import gzip
import pathlib

import numpy
import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parents[2] / "data/assets"
# The digits behind these are not learnt from.
LEARNT = 1437


def digits():
    """The images (1797, 1, 8, 8) from 0 to 1 and the labels, behind the headers of IDX files."""
    def read(name, header):
        return numpy.frombuffer(gzip.decompress((DIGITS / name).read_bytes())[header:], numpy.uint8)
    images = read("digits-images-idx3-ubyte.gz", 16).reshape(-1, 1, 8, 8).astype(numpy.float32) / 16
    return torch.from_numpy(images), torch.from_numpy(read("digits-labels-idx1-ubyte.gz", 8).astype(numpy.int64))


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )
    images, labels = digits()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(2):
        for batch in torch.randperm(LEARNT).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        logits = network(images[LEARNT:])
    right = (logits.argmax(1) == labels[LEARNT:]).float().mean()
    print(f"{right:.4f} of the digits that were not learnt from are read right")
    save_file(network.state_dict(), HERE / "digits_cnn.safetensors")
    save_file({"logits": logits}, HERE / "digits_cnn_logits.safetensors")


main()
