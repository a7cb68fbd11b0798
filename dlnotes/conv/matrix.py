"""A convolution is a matrix: one row for each output pixel, with the kernel's values at the pixels that it sees.

A 3 x 3 kernel on a 4 x 4 picture gives a 4 x 16 matrix with nine values in each row and zeros elsewhere. Two facts follow:
a convolution is a fully connected layer with most weights tied or zero, and its transpose maps 4 values to 16.
Source: Dumoulin & Visin, arXiv 1603.07285, 2016, section 4.1.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor

from dlnotes._check import check_integers

from ._check import pad, per_axis, plan
from .sliding import sliding_windows

__all__ = ["convolution_matrix"]


def convolution_matrix(weight: Tensor, input_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                       padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """The matrix M with ``F.conv2d(x, weight, ...).flatten() == M @ x.flatten()`` for one sample x.

    Differentiable with respect to the weight. A dense matrix: keep the picture small.

    Args:
        weight: (o, c // groups, kh, kw).
        input_size: (h, w) of the picture, or one number for a square.
        stride, padding, dilation, groups: as :func:`dlnotes.conv.conv2d_loops`.

    Returns:
        (o h' w', c h w): rows and columns in the order of ``flatten``.

    Raises:
        ValueError: if shapes or numbers do not fit together.

    >>> matrix = convolution_matrix(torch.ones(1, 1, 3, 3), 4)
    >>> matrix.shape, matrix[0].int().tolist()
    (torch.Size([4, 16]), [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0])
    """
    owner = "convolution_matrix"
    h, w = per_axis(owner, 2, input_size=input_size)
    check_integers(owner, groups=groups)
    if not isinstance(weight, Tensor) or weight.ndim != 4:
        raise ValueError(f"{owner}: expected a weight (o, c / groups, kh, kw), got "
                         f"{tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__}; "
                         "a single kernel is kernel[None, None]")
    c = weight.shape[1] * groups
    p = plan(owner, weight.new_empty(1, c, h, w), weight, None, stride, padding, dilation, groups, axes=2)
    # number the pixels from 1, so that 0 marks the padding; then see which numbers each window holds
    numbers = 1 + torch.arange(c * h * w, device=weight.device).reshape(1, c, h, w)                     # 1 c h w
    seen = sliding_windows(pad(numbers, p.padding), p.kernel, p.stride, p.dilation)                     # 1 c h' w' kh kw
    seen = repeat(seen, "1 (g c) h w i j -> (g o) h w (c i j)", g=groups, o=len(weight) // groups)      # o h' w' (c/g kh kw)
    values = repeat(weight, "o c i j -> o h w (c i j)", h=p.size[0], w=p.size[1])                       # o h' w' (c/g kh kw)
    matrix = weight.new_zeros(*seen.shape[:3], 1 + c * h * w).scatter(-1, seen, values)                 # o h' w' 1+(c h w)
    return rearrange(matrix[..., 1:], "o h w pixels -> (o h w) pixels")                                 # (o h' w') (c h w)
