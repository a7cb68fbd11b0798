"""The same convolution along a line and through a volume: only the number of axes over which the window slides changes.

Layouts: a signal is (b, c, n). A volume is (b, c, d, h, w), and ``d`` is what the data says: time for a video clip (c = 3
colours), the spectral band for a hyperspectral cube (c = 1: bands are neighbours to slide over, not channels to sum over at
once). A 2-D convolution that gets d as channels sums over all of it in one step and forgets its order; a 3-D kernel moves
along it. 3-D convolution for video: Ji, Xu, Yang, Yu, ICML 2010; Tran et al., "C3D", ICCV 2015.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from ._check import pad, plan
from .sliding import sliding_windows

__all__ = ["conv1d_unfold", "conv3d_loops", "conv3d_unfold"]


def conv1d_unfold(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int | str = 0,
                  dilation: int = 1, groups: int = 1) -> Tensor:
    """``F.conv1d`` as one matrix product.

    Args:
        x: (b, c, n).
        weight: (o, c // groups, k). bias: (o,) or None.
        stride, padding, dilation, groups: as :func:`dlnotes.conv.conv2d_loops`, one number each.

    Returns:
        (b, o, n').

    Raises:
        ValueError: if shapes or numbers do not fit together. TypeError: for another dtype.

    >>> conv1d_unfold(torch.tensor([[[1., 2., 4., 8.]]]), torch.tensor([[[-1., 1.]]]))      # differences of neighbours
    tensor([[[1., 2., 4.]]])
    """
    p = plan("conv1d_unfold", x, weight, bias, stride, padding, dilation, groups, axes=1)
    windows = sliding_windows(pad(x, p.padding), p.kernel, p.stride, p.dilation)                # b c n' k
    columns = rearrange(windows, "b (g c) n k -> b g (c k) n", g=groups)                        # b g (c k) n'
    kernels = rearrange(weight, "(g o) c k -> g o (c k)", g=groups)                             # g o/g (c k)
    out = rearrange(kernels @ columns, "b g o n -> b (g o) n")                                  # b o n'
    return out if bias is None else out + bias[:, None]                                         # b o n'


def conv3d_loops(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                 padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """``F.conv3d`` by its definition. To read, not to train with.

    Args:
        x: (b, c, d, h, w).
        weight: (o, c // groups, kd, kh, kw). bias: (o,) or None.
        stride, padding, dilation: one number or (depth, rows, columns). groups: as :func:`dlnotes.conv.conv2d_loops`.

    Returns:
        (b, o, d', h', w').

    Raises:
        ValueError: if shapes or numbers do not fit together. TypeError: for another dtype.
    """
    p = plan("conv3d_loops", x, weight, bias, stride, padding, dilation, groups, axes=3)
    x = pad(x, p.padding)                                                       # b c d+2p h+2p w+2p
    out_channels, group_width = weight.shape[:2]
    out = x.new_zeros(len(x), out_channels, *p.size)                            # b o d' h' w'
    for o in range(out_channels):
        first = o * groups // out_channels * group_width                        # where the group's channels begin
        for place in torch.cartesian_prod(*map(torch.arange, p.size)).tolist():     # every (t, i, j) of the output
            box = tuple(slice(at * step, at * step + span, gap)
                        for at, step, span, gap in zip(place, p.stride, p.span, p.dilation))
            window = x[(slice(None), slice(first, first + group_width), *box)]  # b c/g kd kh kw
            out[(slice(None), o, *place)] = (window * weight[o]).sum(dim=(1, 2, 3, 4))      # b
    return out if bias is None else out + bias[:, None, None, None]             # b o d' h' w'


def conv3d_unfold(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                  padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """``F.conv3d`` as one matrix product. Arguments, result and errors are those of :func:`conv3d_loops`.

    >>> clip = torch.randn(1, 3, 8, 16, 16)                                     # 8 colour pictures
    >>> conv3d_unfold(clip, torch.randn(4, 3, 3, 3, 3)).shape                   # time has become shorter, too
    torch.Size([1, 4, 6, 14, 14])
    """
    p = plan("conv3d_unfold", x, weight, bias, stride, padding, dilation, groups, axes=3)
    windows = sliding_windows(pad(x, p.padding), p.kernel, p.stride, p.dilation)                # b c d' h' w' kd kh kw
    columns = rearrange(windows, "b (g c) d h w t i j -> b g (c t i j) (d h w)", g=groups)      # b g (c kd kh kw) (d' h' w')
    kernels = rearrange(weight, "(g o) c t i j -> g o (c t i j)", g=groups)                     # g o/g (c kd kh kw)
    out = rearrange(kernels @ columns, "b g o (d h w) -> b (g o) d h w", d=p.size[0], h=p.size[1])      # b o d' h' w'
    return out if bias is None else out + bias[:, None, None, None]                             # b o d' h' w'
