"""Named tensors as in an authors' checkpoint (``tests/authors/*.txt``), filled by a rule, so that figures can be kept.

Tensors with one number a channel are ``1 + 0.1 sin(i + 1)``, biases ``0.1 sin(i + 1)``; kernels and matrices are
``sin((i + 1)²)``, which repeats no pattern, times √(2 / fan-in), which keeps the size of what passes.
"""

from pathlib import Path

import torch


def authors_tensors(name: str) -> dict[str, torch.Tensor]:
    """The tensors of ``tests/authors/<name>.txt``, whose lines are ``name 48x3x3x3``, in float64."""
    lines = (Path(__file__).parent / "authors" / f"{name}.txt").read_text().splitlines()
    shapes = {key: tuple(map(int, size.split("x"))) for key, size in map(str.split, lines)}
    return {key: by_rule(key, shape) for key, shape in shapes.items()}


def by_rule(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    count = torch.Size(shape).numel()
    i = torch.arange(1, count + 1, dtype=torch.float64)
    if count == shape[0]:
        return ((0 if key.endswith("bias") else 1) + 0.1 * torch.sin(i)).reshape(shape)
    return (torch.sin(i.square()) * (2 * shape[0] / count) ** 0.5).reshape(shape)
