"""Checks of matrices and ranks, shared by the files of this package."""

import torch

from dlnotes._check import check_integers

__all__ = ["check_matrix", "check_rank"]


def check_matrix(owner: str, x: torch.Tensor) -> None:
    """One real matrix or many, (..., h, w), in a precision that the decomposition knows."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{owner}: expected a tensor (..., h, w), got {type(x).__name__}; use torch.as_tensor first")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{owner}: expected float32 or float64, got {x.dtype}; convert with x.float(), "
                        "and divide 8-bit pixels by 255")
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise ValueError(f"{owner}: expected at least one matrix (..., h, w), got shape {tuple(x.shape)}; "
                         "a picture has a height and a width")


def check_rank(owner: str, k: int, x: torch.Tensor) -> None:
    """At least 1, and no more than the smaller side of the matrix."""
    check_matrix(owner, x)
    check_integers(owner, k=k)
    if k > min(x.shape[-2:]):
        raise ValueError(f"{owner}: expected k of at most {min(x.shape[-2:])}, the smaller side of the matrix, got {k}; "
                         f"a matrix of {x.shape[-2]} by {x.shape[-1]} has no more singular values")
