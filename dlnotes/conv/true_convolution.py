"""Convolution in the mathematical sense, and why a network does not need it.

``(x * k)[n] = sum over m of k[m] x[n - m]``: each tap adds a copy of the signal, shifted by its own position. Written as
windows, that slides the kernel turned by half a turn; ``F.conv2d`` slides it as it is. A learned kernel can be learned
turned, so networks leave the turn out. What the turn buys is algebra: convolution commutes and associates, cross-correlation
does not. Source: Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016, section 9.1, equations 9.4 to 9.6.
"""

import torch  # noqa: F401  (the doctests use it)
from torch import Tensor

__all__ = ["convolve1d", "convolve2d", "turned"]


def _check(owner: str, axes: int, **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or tensor.ndim != axes or 0 in tensor.shape:
            raise ValueError(f"{owner}: expected {name} to be a tensor with {axes} non-empty axes, got "
                             f"{tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__}; "
                             "pass one channel at a time")
    if len({tensor.dtype for tensor in tensors.values()}) != 1:
        raise TypeError(f"{owner}: expected one dtype, got {', '.join(str(t.dtype) for t in tensors.values())}; "
                        "convert one of them")


def convolve1d(x: Tensor, kernel: Tensor) -> Tensor:
    """Full convolution of two signals: (n,) and (k,) give (n + k - 1,), as ``numpy.convolve``.

    Raises:
        ValueError: if one is not a non-empty line of numbers. TypeError: if their dtypes differ.

    >>> convolve1d(torch.tensor([1, 1]), torch.tensor([1, 2, 1]))          # Pascal's triangle: one row to the next
    tensor([1, 3, 3, 1])
    """
    _check("convolve1d", 1, x=x, kernel=kernel)
    out = x.new_zeros(len(x) + len(kernel) - 1)                             # n+k-1
    for m in range(len(kernel)):
        out[m:m + len(x)] += kernel[m] * x                                  # the signal, moved m places to the right
    return out


def convolve2d(x: Tensor, kernel: Tensor) -> Tensor:
    """Full convolution of two pictures: (h, w) and (kh, kw) give (h + kh - 1, w + kw - 1), as ``scipy.signal.convolve2d``.

    It is also a transposed convolution with stride 1: every tap spreads a copy of the picture.

    Raises:
        ValueError: if one is not a non-empty picture of numbers. TypeError: if their dtypes differ.

    >>> a, b = torch.randn(5, 4), torch.randn(2, 3)
    >>> torch.allclose(convolve2d(a, b), convolve2d(b, a), atol=1e-6)
    True
    """
    _check("convolve2d", 2, x=x, kernel=kernel)
    (h, w), (kh, kw) = x.shape, kernel.shape
    out = x.new_zeros(h + kh - 1, w + kw - 1)                               # h+kh-1 w+kw-1
    for i in range(kh):
        for j in range(kw):
            out[i:i + h, j:j + w] += kernel[i, j] * x                       # the picture, moved by (i, j)
    return out


def turned(weight: Tensor) -> Tensor:
    """The kernel turned by half a turn: (..., kh, kw). ``F.conv2d(x, turned(weight))`` is true convolution.

    Raises:
        ValueError: if there are fewer than two axes.

    >>> turned(torch.tensor([[1, 2], [3, 4]]))
    tensor([[4, 3],
            [2, 1]])
    """
    if not isinstance(weight, Tensor) or weight.ndim < 2:
        raise ValueError("turned: expected a tensor (..., kh, kw), got "
                         f"{tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__}; "
                         "flip a line with x.flip(-1)")
    return weight.flip(-2, -1)
