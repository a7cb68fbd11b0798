"""Runs of ``fit`` that are killed (SIGKILL) at random moments and taken up again, beside one that is left alone.

    python tests/kill_and_resume.py FOLDER KILLS SEED

Everything heavy is imported once; each attempt is a forked process. Prints one JSON line: how many kills there were, at
which checkpoint the runs stood then, and for each run what differs from the run left alone (nothing, if all is well).
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from dlnotes.metrics import ConfusionMatrix
from dlnotes.training import fit, list_checkpoints, read_checkpoint


class Noisy(Dataset):
    """Points in two classes; each reading adds noise from three different generators."""

    def __init__(self, size: int):
        generator = torch.Generator().manual_seed(size)
        self.x = torch.randn(size, 8, generator=generator)
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[i] + 0.1 * (torch.randn(8) + random.random() + float(np.random.rand())), self.y[i]


def go(folder: Path) -> None:
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2))
    fit(model, Noisy(150), loss=F.cross_entropy, epochs=6, val=Noisy(40), metrics=ConfusionMatrix(2), lr=0.01,
        schedule="cosine", warmup=5, batch_size=8, accumulate=2, clip=1.0, ema=0.9, folder=folder, checkpoint_every=3,
        progress=False, device="cpu")


def attempt(folder: Path, seconds: float) -> bool:
    """One process, killed after so many seconds. Whether it had come to its end by then."""
    child = os.fork()
    if child == 0:
        try:
            go(folder)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("an attempt failed: see above")
    return os.WIFEXITED(status)


def everything(folder: Path) -> dict[str, object]:
    """All that must be equal, bit by bit, with its name."""
    last = list_checkpoints(folder)[-1]
    files = [folder / "log.csv", folder / "updates.csv", folder / "best.safetensors", *sorted(last.glob("*.safetensors"))]
    _, state = read_checkpoint(last)
    return {file.name: file.read_bytes() for file in files} | {"state": plain(state)}


def plain(value: object) -> object:
    """Tensors as bytes, so that == compares all of it."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    go(folder / "warm")                                             # loads what is loaded lazily
    start = time.perf_counter()
    go(folder / "alone")
    whole = time.perf_counter() - start
    draw, wanted, stood, differences = random.Random(seed), everything(folder / "alone"), [], []
    while len(stood) < kills:
        run = folder / f"run{len(differences)}"
        while not attempt(run, draw.uniform(0, 0.6 * whole)):
            stood.append(max([int(p.name) for p in list_checkpoints(run)], default=0))
        got = everything(run)
        differences.append([name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name)])
    print(json.dumps({"kills": len(stood), "stood": stood, "differences": differences}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
