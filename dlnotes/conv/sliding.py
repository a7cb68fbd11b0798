"""Convolution in two dimensions, twice: as loops that can be read, and as one matrix product that is fast.

What deep learning calls convolution slides the kernel as it is (cross-correlation): each output is the inner product of one
kernel with one window of the input, plus a bias. Laying all windows side by side turns all outputs into one matrix product
("im2col": Chellapilla, Puri, Simard, IWFHR 2006). Both functions equal ``F.conv2d``, gradients included.
"""

from collections.abc import Sequence

import torch  # noqa: F401  (the doctests use it)
from einops import rearrange
from torch import Tensor

from ._check import pad, per_axis, plan

__all__ = ["conv2d_loops", "conv2d_unfold", "sliding_windows"]


def conv2d_loops(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                 padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """``F.conv2d`` by its definition: one window, one kernel, one inner product at a time. To read, not to train with.

    Args:
        x: (b, c, h, w).
        weight: (o, c // groups, kh, kw), of x's dtype.
        bias: (o,) or None.
        stride, padding, dilation: one number or (rows, columns); padding also ``"same"`` (stride 1) or ``"valid"``.
        groups: output channel number i reads only the input channels of its group.

    Returns:
        (b, o, h', w'), sizes by :func:`dlnotes.conv.conv_size`.

    Raises:
        ValueError: if shapes or numbers do not fit together. TypeError: for another dtype.

    >>> conv2d_loops(torch.arange(16.0).reshape(1, 1, 4, 4), torch.ones(1, 1, 3, 3))
    tensor([[[[45., 54.],
              [81., 90.]]]])
    """
    p = plan("conv2d_loops", x, weight, bias, stride, padding, dilation, groups, axes=2)
    x = pad(x, p.padding)                                                       # b c h+2p w+2p
    out_channels, group_width = weight.shape[:2]
    out = x.new_zeros(len(x), out_channels, *p.size)                            # b o h' w'
    for o in range(out_channels):
        first = o * groups // out_channels * group_width                        # where the group's channels begin
        for i in range(p.size[0]):
            for j in range(p.size[1]):
                top, left = i * p.stride[0], j * p.stride[1]
                window = x[:, first:first + group_width,
                           top:top + p.span[0]:p.dilation[0], left:left + p.span[1]:p.dilation[1]]  # b c/g kh kw
                out[:, o, i, j] = (window * weight[o]).sum(dim=(1, 2, 3))       # b
    return out if bias is None else out + bias[:, None, None]                   # b o h' w'


def sliding_windows(x: Tensor, kernel_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                    dilation: int | Sequence[int] = 1) -> Tensor:
    """Every window that a kernel sees, as a view: no pixel is copied although neighbouring windows share most of theirs.

    Args:
        x: (b, c, h, w), or with one or three axes in place of (h, w); padded already.
        kernel_size, stride, dilation: one number, or one for each of these axes.

    Returns:
        (b, c, h', w', kh, kw): first where the window lies, then where in the window.

    Raises:
        ValueError: if ``x`` has not 3 to 5 axes, or the kernel is larger than ``x``.

    >>> sliding_windows(torch.zeros(2, 3, 10, 8), 3, stride=2).shape
    torch.Size([2, 3, 4, 3, 3, 3])
    """
    if not isinstance(x, Tensor) or not 3 <= x.ndim <= 5:
        raise ValueError("sliding_windows: expected a tensor (b, c, h, w), or (b, c, n), or (b, c, d, h, w), got "
                         f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}; add axes with x[None]")
    axes, owner = x.ndim - 2, "sliding_windows"
    steps = zip(per_axis(owner, axes, kernel_size=kernel_size), per_axis(owner, axes, stride=stride),
                per_axis(owner, axes, dilation=dilation))
    for axis, (k, step, gap) in enumerate(steps, start=2):
        span = gap * (k - 1) + 1
        if span > x.shape[axis]:
            raise ValueError(f"sliding_windows: expected a kernel no larger than the input, got a kernel that spans {span} "
                             f"of {x.shape[axis]} pixels; pad the input first with F.pad")
        x = x.unfold(axis, span, step)[..., ::gap]                              # this axis: places; a new last axis: taps
    return x


def conv2d_unfold(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                  padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """``F.conv2d`` as one matrix product: kernels (o, c kh kw) times windows (c kh kw, h' w'), for each group.

    Arguments, result and errors are those of :func:`conv2d_loops`. The windows take kh kw times the memory of the input.

    >>> x, weight = torch.randn(2, 4, 9, 9), torch.randn(6, 2, 3, 3)
    >>> torch.allclose(conv2d_unfold(x, weight, groups=2), torch.conv2d(x, weight, groups=2), atol=1e-5)
    True
    """
    p = plan("conv2d_unfold", x, weight, bias, stride, padding, dilation, groups, axes=2)
    windows = sliding_windows(pad(x, p.padding), p.kernel, p.stride, p.dilation)                    # b c h' w' kh kw
    columns = rearrange(windows, "b (g c) h w i j -> b g (c i j) (h w)", g=groups)                  # b g (c kh kw) (h' w')
    kernels = rearrange(weight, "(g o) c i j -> g o (c i j)", g=groups)                             # g o/g (c kh kw)
    out = rearrange(kernels @ columns, "b g o (h w) -> b (g o) h w", h=p.size[0])                   # b o h' w'
    return out if bias is None else out + bias[:, None, None]                                       # b o h' w'
