"""What of an SVD may be differentiated inside a network: the singular values yes, the singular vectors only with care.

A singular value that no other equals moves by ``u[i]ᵀ dx v[i]`` when the matrix moves by dx. Singular vectors turn, and
turn the faster the nearer two singular values are: their derivative holds the factors ``1 / (s[j]**2 - s[i]**2)``. Where two
are equal the vectors are not even determined (any rotation of the pair serves), and PyTorch's gradient is NaN. So let losses
and features depend on singular values, on ``truncate`` across a clear gap, or detach the vectors.

Source: Townsend, "Differentiating the singular value decomposition", technical note, University of Oxford, 2016.
"""

import torch

from dlnotes._check import check_integers

from ._checks import check_matrix, check_rank

__all__ = ["singular_value_gradient", "vector_gradient_gain"]


def singular_value_gradient(x: torch.Tensor, i: int) -> torch.Tensor:
    """Gradient of singular value i of x: the outer product of its two singular vectors, of norm 1.

    Args:
        x: (..., h, w).
        i: index, 0 for the largest.

    Returns:
        (..., h, w); equals what autograd gives for ``torch.linalg.svdvals(x)[..., i]``, if no other value equals it.
    """
    check_integers("singular_value_gradient", at_least=0, i=i)
    check_rank("singular_value_gradient", i + 1, x)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)             # ... h r, ... r, ... r w
    return u[..., :, i, None] * vh[..., None, i, :]                 # ... h w


def vector_gradient_gain(x: torch.Tensor) -> torch.Tensor:
    """Largest factor ``1 / |s[i]**2 - s[j]**2|`` in the gradient of the singular vectors; inf where two values are equal.

    Args:
        x: (..., h, w).

    Returns:
        (...); 0 if there is but one singular value.

    >>> vector_gradient_gain(torch.diag(torch.tensor([3.0, 2.0]))), vector_gradient_gain(torch.eye(2))
    (tensor(0.2000), tensor(inf))
    """
    check_matrix("vector_gradient_gain", x)
    squares = torch.linalg.svdvals(x).square()                      # ... r, falling: neighbours are nearest
    gaps = squares[..., :-1] - squares[..., 1:]                     # ... r-1
    return 1 / gaps.amin(-1) if gaps.shape[-1] else torch.zeros_like(squares[..., 0])
