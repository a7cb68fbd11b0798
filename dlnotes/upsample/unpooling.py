"""Undoing a pooling as well as it can be undone: the values come back, what lay between them does not.

*Max-unpooling* puts each maximum back where it was found, zeros elsewhere (Zeiler, Taylor, Fergus, ICCV 2011; Noh, Hong,
Han, ICCV 2015). *Bed of nails* has forgotten where and takes the first pixel of each window. *Repeating* fills the window,
which is also nearest-neighbour interpolation by a whole factor. Pooling each of them again returns the pooled map.
"""

from collections.abc import Sequence

import torch
from einops import repeat
from torch import Tensor

from dlnotes._check import check_input, check_integers

__all__ = ["bed_of_nails", "max_unpool2d", "repeat_unpool"]


def max_unpool2d(x: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """Every value back to the pixel that it came from: ``F.max_unpool2d``.

    Args:
        x: (b, c, h, w).
        indices: (b, c, h, w) int64, ``row * width + column`` in the large map, from :func:`dlnotes.conv.max_pool2d` or
            ``F.max_pool2d(..., return_indices=True)``. Where two windows shared a maximum, their values must agree.
        size: (H, W) of the large map. Pooling does not tell it: several sizes share one pooled size.

    Returns:
        (b, c, H, W).

    Raises:
        ValueError: if the shapes differ, or an index lies outside of the large map. TypeError: for other dtypes.

    >>> max_unpool2d(torch.tensor([[[[7.]]]]), torch.tensor([[[[3]]]]), (2, 2)).tolist()
    [[[[0.0, 0.0], [0.0, 7.0]]]]
    """
    check_input("max_unpool2d", x, "b c h w")
    if not isinstance(indices, Tensor) or indices.shape != x.shape:
        raise ValueError(f"max_unpool2d: expected indices of the shape of x {tuple(x.shape)}, got "
                         f"{tuple(indices.shape) if isinstance(indices, Tensor) else type(indices).__name__}; "
                         "take both from one max_pool2d")
    if indices.dtype != torch.int64:
        raise TypeError(f"max_unpool2d: expected int64 indices, got {indices.dtype}; convert with indices.long()")
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"max_unpool2d: expected size to be (height, width), got {size!r}; that of the map that was pooled")
    height, width = size
    check_integers("max_unpool2d", height=height, width=width)
    if indices.numel() and not (0 <= indices.min() and indices.max() < height * width):
        raise ValueError(f"max_unpool2d: expected indices below height * width = {height * width}, got "
                         f"{indices.min()} to {indices.max()}; give the size of the map that was pooled")
    flat = x.new_zeros(*x.shape[:2], height * width).scatter(2, indices.flatten(2), x.flatten(2))      # b c (H W)
    return flat.unflatten(2, (height, width))                                                           # b c H W


def bed_of_nails(x: Tensor, factor: int) -> Tensor:
    """Every pixel into the top left corner of a square of zeros: (b, c, h, w) to (b, c, h * factor, w * factor).

    A transposed convolution with that stride is this, followed by a convolution.

    Raises:
        ValueError: for other axes or a factor below 1. TypeError: for an integer tensor.

    >>> bed_of_nails(torch.ones(1, 1, 1, 2), 2).int().tolist()
    [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]
    """
    check_input("bed_of_nails", x, "b c h w")
    check_integers("bed_of_nails", factor=factor)
    nail = torch.zeros(factor, factor, dtype=x.dtype, device=x.device)
    nail[0, 0] = 1
    return torch.kron(x, nail)                                                  # b c (h factor) (w factor)


def repeat_unpool(x: Tensor, factor: int) -> Tensor:
    """Every pixel repeated over a square: (b, c, h, w) to (b, c, h * factor, w * factor). Average pooling gives x back.

    Divided by ``factor ** 2`` it is the transpose of average pooling, that is, its gradient.

    Raises:
        ValueError: for other axes or a factor below 1. TypeError: for an integer tensor.

    >>> repeat_unpool(torch.tensor([[[[1., 2.]]]]), 2).int().tolist()
    [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    """
    check_input("repeat_unpool", x, "b c h w")
    check_integers("repeat_unpool", factor=factor)
    return repeat(x, "b c h w -> b c (h p) (w q)", p=factor, q=factor)          # b c (h factor) (w factor)
