"""Named tensors as in an authors' checkpoint (``tests/authors/*.txt``), filled by a rule, so that figures can be kept.

Tensors with one number a channel are ``1 + 0.1 sin(i + 1)``, biases ``0.1 sin(i + 1)``; kernels and matrices are
``sin((i + 1)²)``, which repeats no pattern, times √(2 / fan-in), which keeps the size of what passes.
"""

from pathlib import Path

import torch


def authors_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape, from the lines ``conv1.weight 64x3x7x7`` of ``tests/authors/<name>.txt``: the authors' own state dict."""
    lines = (Path(__file__).parent / "authors" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]
    return {key: tuple(int(side) for side in shape.split("x") if side) for key, shape in pairs}


def authors_tensors(name: str) -> dict[str, torch.Tensor]:
    """The tensors of ``tests/authors/<name>.txt`` in float64, by the rule above (for networks without batch norm)."""
    return {key: by_rule(key, shape) for key, shape in authors_shapes(name).items()}


def by_rule(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    count = torch.Size(shape).numel()
    i = torch.arange(1, count + 1, dtype=torch.float64)
    if count == shape[0]:
        return ((0 if key.endswith("bias") else 1) + 0.1 * torch.sin(i)).reshape(shape)
    return (torch.sin(i.square()) * (2 * shape[0] / count) ** 0.5).reshape(shape)
