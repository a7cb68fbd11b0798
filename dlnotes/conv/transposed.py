"""Transposed convolution, twice: by stamping the kernel once for each input value, and as a transposed matrix.

A convolution gathers a window into one value; its transpose spreads one value over a window, and where stamps overlap they
add. It is the gradient of a convolution with respect to its input, hence the way back for shapes, not for values:
"deconvolution" is a misnomer. Where the stride does not divide the kernel, stamps overlap unevenly: the checkerboard
(Odena, Dumoulin, Olah, Distill 2016). Source: Dumoulin & Visin, arXiv 1603.07285, 2016, chapter 4.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from dlnotes._check import check_divisible, check_input, check_integers

from ._check import check_bias, per_axis
from .arithmetic import conv_size, transposed_size
from .matrix import convolution_matrix

__all__ = ["conv_transpose2d_loops", "conv_transpose2d_matrix"]


def _plan(owner: str, x, weight, bias, stride, padding, output_padding, groups, dilation) -> tuple:
    """Checked numbers per axis, and the output size."""
    check_input(owner, x, "b c h w")
    if not isinstance(weight, Tensor) or weight.ndim != 4:
        raise ValueError(f"{owner}: expected a weight (c, o / groups, kh, kw), got "
                         f"{tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__}; "
                         "a transposed convolution's weight has the input channels first")
    check_input(owner, x, "b c h w", c=weight.shape[0], like=weight)
    check_integers(owner, groups=groups)
    check_divisible(owner, "groups", groups, in_channels=weight.shape[0])
    check_bias(owner, bias, weight.shape[1] * groups, weight)
    stride, dilation = per_axis(owner, 2, stride=stride), per_axis(owner, 2, dilation=dilation)
    padding = per_axis(owner, 2, at_least=0, padding=padding)
    output_padding = per_axis(owner, 2, at_least=0, output_padding=output_padding)
    size = transposed_size(tuple(x.shape[2:]), tuple(weight.shape[2:]), stride, padding, output_padding, dilation)
    return stride, padding, output_padding, dilation, size


def conv_transpose2d_loops(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                           padding: int | Sequence[int] = 0, output_padding: int | Sequence[int] = 0, groups: int = 1,
                           dilation: int | Sequence[int] = 1) -> Tensor:
    """``F.conv_transpose2d`` by stamping: each pixel adds the kernel, times its value, to the output.

    Args:
        x: (b, c, h, w).
        weight: (c, o // groups, kh, kw): the layout of the convolution that goes the other way, from o to c channels.
        bias: (o,) or None.
        stride: distance between stamps. dilation: distance between a stamp's taps.
        padding: rows and columns cut off on every side. output_padding: rows and columns kept beyond that at the end.
        groups: as in ``F.conv_transpose2d``.

    Returns:
        (b, o, h', w'), sizes by :func:`dlnotes.conv.transposed_size`.

    Raises:
        ValueError: if shapes or numbers do not fit together. TypeError: for another dtype.

    >>> conv_transpose2d_loops(torch.tensor([[[[1., 10.]]]]), torch.ones(1, 1, 1, 3), stride=2)     # overlap in the middle
    tensor([[[[ 1.,  1., 11., 10., 10.]]]])
    """
    stride, padding, output_padding, dilation, size = _plan("conv_transpose2d_loops", x, weight, bias, stride, padding,
                                                            output_padding, groups, dilation)
    b, _, h, w = x.shape
    values = rearrange(x, "b (g c) h w -> b g c h w", g=groups)
    kernels = rearrange(weight, "(g c) o i j -> g c o i j", g=groups)
    span = [gap * (k - 1) + 1 for gap, k in zip(dilation, weight.shape[2:])]
    canvas = x.new_zeros(b, groups, weight.shape[1], *(n + 2 * p for n, p in zip(size, padding)))   # b g o/g H W
    for i in range(h):
        for j in range(w):
            stamp = torch.einsum("bgc,gcoij->bgoij", values[..., i, j], kernels)                    # b g o/g kh kw
            top, left = i * stride[0], j * stride[1]
            canvas[..., top:top + span[0]:dilation[0], left:left + span[1]:dilation[1]] += stamp
    out = canvas[..., padding[0]:padding[0] + size[0], padding[1]:padding[1] + size[1]]             # b g o/g h' w'
    out = rearrange(out, "b g o h w -> b (g o) h w")                                                # b o h' w'
    return out if bias is None else out + bias[:, None, None]                                       # b o h' w'


def conv_transpose2d_matrix(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                            padding: int | Sequence[int] = 0, output_padding: int | Sequence[int] = 0, groups: int = 1,
                            dilation: int | Sequence[int] = 1) -> Tensor:
    """``F.conv_transpose2d`` as the transpose of a convolution's matrix.

    The convolution is the one that reads the *output* here: from (o, h', w') to (c, h, w), with the same weight.
    Arguments, result and errors are those of :func:`conv_transpose2d_loops`.

    >>> x, weight = torch.randn(2, 3, 4, 5), torch.randn(3, 6, 3, 3)
    >>> ours = conv_transpose2d_matrix(x, weight, stride=2, padding=1, output_padding=1)
    >>> ours.shape, torch.allclose(ours, torch.conv_transpose2d(x, weight, None, 2, 1, 1), atol=1e-5)
    (torch.Size([2, 6, 8, 10]), True)
    """
    stride, padding, _, dilation, size = _plan("conv_transpose2d_matrix", x, weight, bias, stride, padding,
                                               output_padding, groups, dilation)
    matrix = convolution_matrix(weight, size, stride, padding, dilation, groups)                    # (c H W) (o h' w')
    places = conv_size(size, tuple(weight.shape[2:]), stride, padding, dilation)                    # H W: mostly h w
    if places != tuple(x.shape[2:]):                    # output_padding of a stride or more (dilation allows it) makes room
        matrix = matrix.unflatten(0, (-1, *places))[:, :x.shape[2], :x.shape[3]].flatten(0, 2)      # (c h w) (o h' w')
    out = rearrange(x.flatten(1) @ matrix, "b (o h w) -> b o h w", h=size[0], w=size[1])            # row vectors: times Mᵀ
    return out if bias is None else out + bias[:, None, None]                                       # b o h' w'
