"""The one check that all fusions of two maps share."""

import torch

from dlnotes._check import check_input

__all__ = ["check_pair"]


def check_pair(owner: str, x: torch.Tensor, y: torch.Tensor, channels: int, like: torch.Tensor | None = None) -> None:
    """Two floating maps (b, c, h, w) of one shape, dtype and device, with so many channels."""
    check_input(owner, x, "b c h w", like=like, c=channels)
    check_input(owner, y, "b c h w", like=like, c=channels)
    if x.shape != y.shape or x.dtype != y.dtype or x.device != y.device:
        raise ValueError(f"{owner}: expected x and y of one shape, dtype and device, got {tuple(x.shape)} {x.dtype} on "
                         f"{x.device} and {tuple(y.shape)} {y.dtype} on {y.device}; "
                         "resize one with F.interpolate(y, size=x.shape[-2:]), or convert it")
