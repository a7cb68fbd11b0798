"""Functions that the processes of test_ablate import: quick to import, quick to run."""

import random
import time

import torch
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))


def few_steps(model: nn.Module, seed: int) -> dict[str, float]:
    """Three steps of a small task; the score is what is left of the loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(2, 3, 16, 16)
        loss = nn.functional.cross_entropy(model(x), (x.sum(1) > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"loss": loss.item(), "seed": seed}


def sleepy(model: nn.Module, _seed: int) -> dict[str, float]:
    """A training that takes 20 ms: long enough to be killed in the middle of it."""
    time.sleep(0.02)
    return {"score": random.random(), "parameters": sum(p.numel() for p in model.parameters())}


def fails(model: nn.Module, seed: int) -> dict[str, float]:
    if seed == 1:
        raise RuntimeError("out of memory")
    return sleepy(model, seed)
