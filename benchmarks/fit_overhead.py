"""What fit costs above a bare loop: the same network, data, order and updates, run in turns.

    python benchmarks/fit_overhead.py [--device cuda] [--turns 7]

The bare loop reads the same batches from a plain DataLoader, computes, steps, and reads its loss as a number, as any loop
that shows its progress does. fit does that, checks loss and gradient of every update and, with a folder, writes tables,
TensorBoard events and a checkpoint at the end of the epoch. One epoch is timed. Other work on the machine only adds time,
so the shortest of the turns is compared; the time of the processor, which other work hardly touches, stands beside it.
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


def bare(model: torch.nn.Module, data: Pairs, order: list[list[int]], device: str) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for x, y in DataLoader(data, batch_sampler=order):
        loss = F.cross_entropy(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()


def timed(run) -> tuple[float, float]:
    """Seconds on the wall, seconds of the processor."""
    start = time.perf_counter(), time.process_time()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=60)
    arguments = parser.parse_args()
    device, data = arguments.device, Pairs(arguments.batch * arguments.batches)
    order = EpochLoader(data, batch_size=arguments.batch, shuffle=True).order(0)
    settings = {"loss": F.cross_entropy, "epochs": 1, "batch_size": arguments.batch, "lr": 1e-3, "device": device,
                "progress": False}
    folder = Path(tempfile.mkdtemp())
    times: dict[str, list[tuple[float, float]]] = {"bare loop": [], "fit": [], "fit with files": []}
    try:
        for turn in range(arguments.turns + 1):                     # the first turn warms up
            runs = {"bare loop": lambda model: bare(model, data, order, device),
                    "fit": lambda model: fit(model, data, **settings),
                    "fit with files": lambda model: fit(model, data, **settings, folder=folder / str(turn))}
            for name in random.Random(turn).sample(list(runs), len(runs)):
                model = network(device)
                took = timed(lambda: runs[name](model))
                if turn:
                    times[name].append(took)
    finally:
        shutil.rmtree(folder)
    best = {name: [min(column) for column in zip(*took)] for name, took in times.items()}
    wall, processor = best["bare loop"]
    print(f"U-Net on {device}, {arguments.batches} updates of {arguments.batch} pictures of 64 x 64, "
          f"{1000 * wall / arguments.batches:.1f} ms an update in the bare loop; best of {arguments.turns} turns")
    print(f"{'':<16} {'seconds':>9} {'ratio':>7} {'processor':>11} {'ratio':>7}")
    for name, (mine, cpu) in best.items():
        print(f"{name:<16} {mine:>9.3f} {mine / wall:>7.3f} {cpu:>11.3f} {cpu / processor:>7.3f}")
    worst = max(mine / wall for mine, _ in best.values())
    print(f"at most 3 % above the bare loop: {'yes' if worst <= 1.03 else 'NO'}")
    return 0 if worst <= 1.03 else 1


if __name__ == "__main__":
    raise SystemExit(main())
