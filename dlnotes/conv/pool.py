"""Pooling by hand: the same sliding windows as a convolution, and a maximum or a mean in place of the inner product.

Each channel is pooled by itself and nothing is learned. Max pooling also remembers where each maximum was, which is what
max-unpooling (:func:`dlnotes.upsample.max_unpool2d`) needs. Adaptive pooling fixes the output size and lets the windows
follow. Equal to PyTorch's ``F.max_pool2d``, ``F.avg_pool2d`` and ``F.adaptive_avg_pool2d`` (``ceil_mode=False``).
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from dlnotes._check import check_input

from ._check import pad, per_axis
from .arithmetic import adaptive_windows, pool_size
from .sliding import sliding_windows

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]


def _windows(owner: str, x: Tensor, kernel_size, stride, padding, fill: float) -> tuple[Tensor, tuple, tuple, tuple]:
    check_input(owner, x, "b c h w")
    kernel = per_axis(owner, 2, kernel_size=kernel_size)
    stride = kernel if stride is None else per_axis(owner, 2, stride=stride)
    padding = per_axis(owner, 2, at_least=0, padding=padding)
    pool_size(tuple(x.shape[2:]), kernel, stride, padding)                      # raises where no window fits
    padded = pad(x, [(p, p) for p in padding], fill)                            # b c h+2p w+2p
    return sliding_windows(padded, kernel, stride), kernel, stride, padding     # b c h' w' kh kw


def max_pool2d(x: Tensor, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None,
               padding: int | Sequence[int] = 0) -> tuple[Tensor, Tensor]:
    """Largest value of each window, and where it was.

    Args:
        x: (b, c, h, w).
        kernel_size, stride, padding: one number or (rows, columns); the stride is the kernel unless given. Padding never
            wins: it counts as -inf.

    Returns:
        Values (b, c, h', w') and indices (b, c, h', w'), int64: ``row * w + column`` in the unpadded map; the first one on a
        tie.

    Raises:
        ValueError: if the numbers do not fit. TypeError: for an integer tensor.

    >>> values, where = max_pool2d(torch.tensor([[[[1., 2.], [4., 3.]]]]), 2)
    >>> values.item(), where.item()
    (4.0, 2)
    """
    windows, kernel, stride, padding = _windows("max_pool2d", x, kernel_size, stride, padding, fill=-torch.inf)
    flat = rearrange(windows, "b c h w i j -> b c h w (i j)")                   # b c h' w' (kh kw)
    tap = flat.argmax(dim=-1)                                                   # b c h' w'
    values = flat.gather(-1, tap[..., None]).squeeze(-1)                        # b c h' w'
    h, w = tap.shape[-2:]
    row = torch.arange(h, device=x.device)[:, None] * stride[0] - padding[0] + tap // kernel[1]         # b c h' w'
    column = torch.arange(w, device=x.device) * stride[1] - padding[1] + tap % kernel[1]                # b c h' w'
    return values, row * x.shape[-1] + column


def avg_pool2d(x: Tensor, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None,
               padding: int | Sequence[int] = 0) -> Tensor:
    """Mean of each window; zeros of the padding count as values (``count_include_pad=True``, PyTorch's default).

    Arguments and errors are those of :func:`max_pool2d`.

    Returns:
        (b, c, h', w').
    """
    return _windows("avg_pool2d", x, kernel_size, stride, padding, fill=0.0)[0].mean(dim=(-2, -1))      # b c h' w'


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """Mean of windows that cover the map and give ``output_size``; with 1, the mean of each whole map.

    Args:
        x: (b, c, h, w).
        output_size: one number or (rows, columns).

    Returns:
        (b, c, rows, columns), windows by :func:`dlnotes.conv.adaptive_windows`.

    Raises:
        ValueError: if ``output_size`` is not positive. TypeError: for an integer tensor.
    """
    check_input("adaptive_avg_pool2d", x, "b c h w")
    rows, columns = per_axis("adaptive_avg_pool2d", 2, output_size=output_size)
    h, w = x.shape[2:]
    return torch.stack([torch.stack([x[..., top:bottom, left:right].mean(dim=(-2, -1))                  # b c
                                     for left, right in adaptive_windows(w, columns)], dim=-1)          # b c columns
                        for top, bottom in adaptive_windows(h, rows)], dim=-2)                          # b c rows columns
