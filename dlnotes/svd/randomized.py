"""Randomized SVD: ask the matrix about a few random directions, and decompose only what it answers.

The products of a matrix with k random vectors span, almost surely, nearly the same space as its first k left singular
vectors; a few more vectors make up for the ill luck. Passing the answers through the matrix and its transpose again sharpens
them where the singular values fall slowly. It costs products with thin matrices, where the full decomposition costs
h w min(h, w).

Source: Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011, algorithms 4.1, 4.4
(which orthonormalises between the passes; 4.3 does not, and loses the small singular values to rounding) and 5.1.
"""

import torch

from dlnotes._check import check_integers

from ._checks import check_rank

__all__ = ["randomized_svd", "range_finder"]


def range_finder(x: torch.Tensor, size: int, power: int = 0, generator: torch.Generator | None = None) -> torch.Tensor:
    """Orthonormal columns that nearly span the range of x (algorithm 4.1; with ``power``, algorithm 4.4).

    Args:
        x: (..., h, w).
        size: number of columns, from 1 to the smaller of h and w.
        power: further passes through the transpose and back.
        generator: of the random directions.

    Returns:
        q (..., h, size); ``q @ q.mT @ x`` is near x.
    """
    check_rank("range_finder", size, x)
    check_integers("range_finder", at_least=0, power=power)
    device = x.device if generator is None else generator.device
    directions = torch.randn(*x.shape[:-2], x.shape[-1], size, generator=generator, device=device, dtype=x.dtype)
    q = torch.linalg.qr(x @ directions.to(x.device)).Q              # ... h size
    for _ in range(power):
        back = torch.linalg.qr(x.mT @ q).Q                          # ... w size
        q = torch.linalg.qr(x @ back).Q                             # ... h size
    return q


def randomized_svd(x: torch.Tensor, k: int, oversample: int = 10, power: int = 2,
                   generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first k singular triples, nearly (algorithm 5.1 on the range of algorithm 4.4).

    Args:
        x: (..., h, w), float32 or float64.
        k: from 1 to the smaller of h and w.
        oversample: random directions beyond k; 5 or 10 are enough in practice.
        power: passes of :func:`range_finder`; 1 to 3 for slowly falling singular values such as those of photographs.
        generator: of the random directions.

    Returns:
        u (..., h, k), s (..., k), vh (..., k, w), as ``torch.linalg.svd``.

    Raises:
        TypeError, ValueError: if ``x`` is no such tensor, or a number out of range.

    >>> x = torch.outer(torch.arange(30.0), torch.ones(20))        # rank 1: nothing is left to chance
    >>> u, s, vh = randomized_svd(x, k=1)
    >>> torch.allclose((u * s) @ vh, x, atol=1e-4)
    True
    """
    check_rank("randomized_svd", k, x)
    check_integers("randomized_svd", at_least=0, oversample=oversample)
    q = range_finder(x, min(k + oversample, *x.shape[-2:]), power, generator)       # ... h size
    u, s, vh = torch.linalg.svd(q.mT @ x, full_matrices=False)                      # ... size size, ... size, ... size w
    return q @ u[..., :k], s[..., :k], vh[..., :k, :]                               # ... h k, ... k, ... k w
