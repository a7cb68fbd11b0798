"""A picture as a sum of rank-1 pictures: keep the first k terms, and know the error before you look.

Every real matrix is ``U diag(s) Vᵀ`` with orthonormal columns in U and V and ``s[0] >= s[1] >= ... >= 0``: the sum over i
of ``s[i]`` times column i of U times row i of Vᵀ. Among all matrices of rank k, the sum of the first k terms is the nearest
(Eckart and Young, Psychometrika 1936; in every unitarily invariant norm: Mirsky, Quarterly Journal of Mathematics 1960).
"""

import math
from collections.abc import Sequence

import torch
from einops import einsum

from dlnotes._check import check_choice, check_integers

from ._checks import check_matrix, check_rank

__all__ = ["break_even_rank", "compressed_bytes", "energy", "rank_for_energy", "rank_one_terms", "truncate",
           "truncation_error"]


def truncate(x: torch.Tensor, k: int) -> torch.Tensor:
    """The nearest picture of rank k; of a colour picture (3, h, w), channel by channel.

    Args:
        x: (..., h, w), float32 or float64.
        k: number of terms, from 1 to the smaller of h and w.

    Returns:
        (..., h, w).

    Raises:
        TypeError, ValueError: if ``x`` is no such tensor, or ``k`` out of range.

    >>> x = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> truncate(x, 1)
    tensor([[3., 0.],
            [0., 0.]])
    """
    check_rank("truncate", k, x)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)             # ... h r, ... r, ... r w   (r = min(h, w))
    return (u[..., :k] * s[..., None, :k]) @ vh[..., :k, :]         # ... h w


def rank_one_terms(x: torch.Tensor, k: int) -> torch.Tensor:
    """The first k rank-1 pictures, each with its singular value; their sum is :func:`truncate` of x.

    Args:
        x: (..., h, w).
        k: number of terms.

    Returns:
        (..., k, h, w).
    """
    check_rank("rank_one_terms", k, x)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)             # ... h r, ... r, ... r w
    return einsum(u[..., :k], s[..., :k], vh[..., :k, :], "... h k, ... k, ... k w -> ... k h w")


def energy(x: torch.Tensor) -> torch.Tensor:
    """Share of the sum of squares of all pixels that the first 1, 2, 3, ... terms hold.

    Args:
        x: (..., h, w).

    Returns:
        (..., min(h, w)), rising to 1; all ones for a picture of zeros, which loses nothing.

    >>> energy(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    tensor([0.9000, 1.0000])
    """
    check_matrix("energy", x)
    held = torch.linalg.svdvals(x).square().cumsum(-1)              # ... r
    total = held[..., -1:]                                          # ... 1
    return torch.where(total > 0, held / total, 1.0)


def rank_for_energy(x: torch.Tensor, share: float) -> torch.Tensor:
    """Smallest k whose terms hold at least this share of the energy.

    Args:
        x: (..., h, w).
        share: above 0, at most 1. In floating point the last terms hold hardly anything: ask for 0.999 rather than 1.

    Returns:
        (...) integers; of one matrix a number without axes.
    """
    if not 0 < share <= 1:
        raise ValueError(f"rank_for_energy: expected share in (0, 1], got {share!r}; 0.99 keeps 99 % of the energy")
    return (energy(x) < share).sum(-1) + 1                          # ...


def truncation_error(x: torch.Tensor, k: int, norm: str = "fro") -> torch.Tensor:
    """Distance between x and :func:`truncate` of x, from the discarded singular values alone.

    Args:
        x: (..., h, w).
        k: number of terms kept; 0 keeps nothing and gives the norm of x.
        norm: ``"fro"``, root of the summed squares of all pixels: root of the discarded squares. ``"spectral"``, the most
            by which a unit vector is stretched: the first discarded value.

    Returns:
        (...).

    >>> truncation_error(torch.diag(torch.tensor([9.0, 4.0, 3.0])), 1), truncation_error(torch.eye(3), 1, "spectral")
    (tensor(5.), tensor(1.))
    """
    check_choice("truncation_error", ("fro", "spectral"), norm=norm)
    check_integers("truncation_error", at_least=0, k=k)
    check_rank("truncation_error", max(k, 1), x)
    lost = torch.linalg.svdvals(x)[..., k:]                         # ... r-k
    if norm == "fro":
        return torch.linalg.vector_norm(lost, dim=-1)               # ...
    return lost[..., 0] if lost.shape[-1] else x.new_zeros(x.shape[:-2])


def compressed_bytes(shape: Sequence[int], k: int, dtype: torch.dtype = torch.float32) -> int:
    """Bytes of k terms: k columns of h numbers, k rows of w, and k singular values, for each matrix of the shape.

    Args:
        shape: (..., h, w) of the picture.
        k: number of terms.
        dtype: of the stored numbers.

    >>> compressed_bytes((512, 512), 50, torch.uint8), 512 * 512
    (51250, 262144)
    """
    check_integers("compressed_bytes", k=k, **{f"shape[{i}]": side for i, side in enumerate(shape)})
    *lead, h, w = shape
    return math.prod(lead) * k * (h + w + 1) * dtype.itemsize


def break_even_rank(h: int, w: int, *, with_values: bool = True) -> int:
    """Largest k for which k terms are fewer numbers than the h by w of the matrix itself; 0 if there is none.

    Args:
        h, w: sides of the matrix.
        with_values: count k singular values too, ``k (h + w + 1) < h w``. A layer of two factors has them multiplied in:
            ``k (h + w) < h w``.

    >>> break_even_rank(512, 512), break_even_rank(512, 512, with_values=False)
    (255, 255)
    """
    check_integers("break_even_rank", h=h, w=w)
    return (h * w - 1) // (h + w + bool(with_values))
