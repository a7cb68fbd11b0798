"""Checkpoints of other people's networks without their files: real names and shapes, values by rule.

``authors/NAME.txt`` holds lines such as ``conv1.weight 64x3x7x7``, written from the state dict of the authors' own model.
The values are pseudo-random, the same everywhere, and of a size that keeps a signal alive through many layers.
"""

from pathlib import Path

import torch


def value(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Float64. With s(i) = sin(i² mod 6007), i from 1: weights 2 s / √fan_in, BN scales 1 + 0.1 s, variances 1 + 0.5 s²."""
    n = torch.Size(shape).numel()
    i = torch.arange(1, n + 1)
    s = torch.sin((i * i % 6007).double()).reshape(shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if len(shape) > 1:
        return 2 * s / (n / shape[0]) ** 0.5
    if name.endswith("running_var"):
        return 1 + 0.5 * s * s
    if name.endswith(("weight", "gamma")):
        return 1 + 0.1 * s
    return 0.1 * s


def authors_state(name: str) -> dict[str, torch.Tensor]:
    """The state dict of ``authors/NAME.txt``."""
    lines = (Path(__file__).parent / "authors" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]
    return {key: value(key, tuple(int(side) for side in shape.split("x") if side)) for key, shape in pairs}
