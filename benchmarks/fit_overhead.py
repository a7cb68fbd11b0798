"""What fit costs above a bare loop: the same network, data, order and updates, run in turns.

    python benchmarks/fit_overhead.py [--device cuda] [--turns 7]

The bare loop reads the same batches from a plain DataLoader, computes, steps, and reads its loss as a number, as any loop
that shows its progress does. fit does that, checks loss and gradient of every update and, with a folder, writes tables,
TensorBoard events and a checkpoint at the end of the epoch. One epoch is timed from loss to loss. Other work on the machine
only adds time, so of each piece (the start, each update, the end) the shortest of all turns counts; the pieces are summed.
Passes (exit status 0) if fit costs at most 3 % above the bare loop, with and without files.
"""

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from dlnotes import models
from dlnotes.digits import DigitsOnTextures
from dlnotes.training import EpochLoader, fit


class Pairs(torch.utils.data.Dataset):
    """Digits on textures with their masks: what a chapter trains on."""

    def __init__(self, size: int):
        self.pictures = DigitsOnTextures("train", size)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, _, mask = self.pictures[i]
        return image, mask[0].long()


def network(device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.create("unet", in_channels=1, num_classes=2, width=8).to(device)


class Loss:
    """Cross-entropy that looks at the clock."""

    def __init__(self):
        self.times = [time.perf_counter()]

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.times.append(time.perf_counter())
        return F.cross_entropy(output, target)

    def pieces(self) -> list[float]:
        """Seconds to the first loss, from each to the next, and from the last to now."""
        times = [*self.times, time.perf_counter()]
        return [after - before for before, after in zip(times, times[1:])]


def bare(model: torch.nn.Module, data: Pairs, order: list[list[int]], device: str, criterion: Loss) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for x, y in DataLoader(data, batch_sampler=order):
        loss = criterion(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=60)
    arguments = parser.parse_args()
    device, data = arguments.device, Pairs(arguments.batch * arguments.batches)
    order = EpochLoader(data, batch_size=arguments.batch, shuffle=True).order(0)
    settings = {"epochs": 1, "batch_size": arguments.batch, "lr": 1e-3, "device": device, "progress": False}
    folder = Path(tempfile.mkdtemp())
    pieces: dict[str, list[list[float]]] = {"bare loop": [], "fit": [], "fit with files": []}
    try:
        for turn in range(arguments.turns + 1):                     # the first turn warms up
            runs = {"bare loop": lambda model, loss: bare(model, data, order, device, loss),
                    "fit": lambda model, loss: fit(model, data, loss=loss, **settings),
                    "fit with files": lambda model, loss: fit(model, data, loss=loss, **settings, folder=folder / str(turn))}
            for name in random.Random(turn).sample(list(runs), len(runs)):
                model = network(device)
                loss = Loss()
                runs[name](model, loss)
                if turn:
                    pieces[name].append(loss.pieces())
    finally:
        shutil.rmtree(folder)
    best = {name: [min(column) for column in zip(*turns)] for name, turns in pieces.items()}
    print(f"U-Net on {device}, {arguments.batches} updates of {arguments.batch} pictures of 64 x 64, "
          f"best of {arguments.turns} turns")
    print(f"{'':<16} {'seconds':>9} {'ratio':>7} {'ms an update':>14} {'ms at start and end':>21}")
    whole = sum(best["bare loop"])
    for name, times in best.items():
        update = 1000 * sum(times[1:-1]) / (len(times) - 2)
        print(f"{name:<16} {sum(times):>9.3f} {sum(times) / whole:>7.3f} {update:>14.2f} "
              f"{1000 * (times[0] + times[-1]):>21.1f}")
    worst = max(sum(times) / whole for times in best.values())
    print(f"at most 3 % above the bare loop: {'yes' if worst <= 1.03 else 'NO'}")
    return 0 if worst <= 1.03 else 1


if __name__ == "__main__":
    raise SystemExit(main())
