"""PyTorch's DistributedDataParallel over gloo, at the work of crates/mpi/benches/scaling.rs, a thread for each process.

Called as `python with_ddp.py TASK RANKS BATCH STEPS FOLDER_OF_MNIST`: starts the ranks, each of which sees BATCH examples
in a step, and prints the seconds of a step, the number of parameters and the loss of the last step.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

WARM_UP = 5


def mlp(*widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Transformer(nn.Module):
    """As `transformer` in scaling.rs."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(64, 64)
        block = lambda: nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)  # noqa: E731
        self.blocks = nn.Sequential(block(), block())
        self.head = nn.Linear(32 * 64, 2)

    def forward(self, x):
        return self.head(self.blocks(self.embedding(x)).flatten(1))


def idx(path, offset):
    return np.frombuffer(path.read_bytes(), dtype=np.uint8, offset=offset)


def task(name, folder):
    if name == "transformer":
        words = np.random.default_rng(5).integers(0, 64, (16384, 32))
        labels = (words[:, :16] < 8).sum(1) > (words[:, 16:] < 8).sum(1)
        return Transformer(), torch.from_numpy(words), torch.from_numpy(labels.astype(np.int64))
    images = idx(Path(folder) / "train-images-idx3-ubyte", 16).reshape(-1, 784)
    x = torch.from_numpy(images.astype(np.float32) / 255)
    y = torch.from_numpy(idx(Path(folder) / "train-labels-idx1-ubyte", 8).astype(np.int64))
    return (mlp(784, 256, 128, 10) if name == "mnist" else mlp(784, 1024, 1024, 10)), x, y


def rank(rank, ranks, name, batch, steps, folder, meeting):
    torch.set_num_threads(1)
    if ranks > 1 and hasattr(os, "sched_setaffinity"):
        # As `mpirun` does, and faster.
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    torch.manual_seed(1)
    if ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    model, x, y = task(name, folder)
    count = sum(p.numel() for p in model.parameters())
    network = nn.parallel.DistributedDataParallel(model) if ranks > 1 else model
    rule, loss = torch.optim.Adam(model.parameters(), lr=0.001, fused=True), nn.CrossEntropyLoss()
    order = torch.Generator().manual_seed(3)
    done, times = 0, []
    while True:
        # The same order on all ranks, each of which takes its own batches of it.
        for places in torch.randperm(len(x), generator=order).split(batch * ranks):
            if len(places) < batch * ranks:
                break
            times.append(time.perf_counter())
            if done == WARM_UP + steps:
                seconds = statistics.median(b - a for a, b in zip(times[WARM_UP:], times[WARM_UP + 1 :]))
                if rank == 0:
                    print(f"{seconds!r} {count} {value.item()!r}", flush=True)
                if ranks > 1:
                    # Gloo's threads abort a process in its end if the other one has gone first.
                    dist.barrier()
                    time.sleep(0.5)
                    os._exit(0)
                return
            own = places[rank * batch : (rank + 1) * batch]
            rule.zero_grad()
            value = loss(network(x[own]), y[own])
            value.backward()
            rule.step()
            done += 1


if __name__ == "__main__":
    name, ranks, batch, steps, folder = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (ranks, name, batch, steps, folder, f"{scratch}/meeting")
        if ranks == 1:
            rank(0, *arguments)
        else:
            mp.spawn(rank, arguments, nprocs=ranks)
