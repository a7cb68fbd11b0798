"""Three ways to spend less on a convolution, often confused: grouped, depthwise separable, spatially separable.

*Grouped*: channels in groups that do not see each other; with as many groups as channels it is *depthwise*. *Depthwise
separable*: a depthwise convolution (space), then a *pointwise* 1 x 1 (channels). *Spatially separable*: a k x 1 and a 1 x k
kernel in place of k x k, which is exact only for kernels of rank 1. Each is a full convolution with a constrained weight,
and :func:`full_weight` and the outer product show which. Sources: Krizhevsky et al., NeurIPS 2012 (groups); Sifre, thesis
2014; Chollet, "Xception", CVPR 2017; Howard et al., "MobileNets", arXiv 1704.04861, 2017, section 3.1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlnotes._check import check_input, check_integers

from ._check import per_axis

__all__ = ["DepthwiseSeparableConv2d", "conv2d_separable", "full_weight", "rank_one_error", "separate"]


class DepthwiseSeparableConv2d(nn.Module):
    """Depthwise k x k, then pointwise 1 x 1, with nothing between: a factorised convolution, as Xception and Keras have it.

    MobileNet puts BatchNorm and ReLU after each of the two; that is a block, built from the same pair.
    Parameters against a full convolution: ``1 / out_channels + 1 / k**2`` of them, biases aside.

    Args:
        in_channels, out_channels: channels in and out.
        kernel_size: of the depthwise part.
        stride, padding, dilation: of the depthwise part; the pointwise one leaves the size alone.
        bias: of both parts.

    Raises:
        ValueError: if a number is out of range.

    >>> layer = DepthwiseSeparableConv2d(64, 128, 3, padding=1, bias=False)
    >>> layer(torch.randn(2, 64, 14, 14)).shape, sum(p.numel() for p in layer.parameters())
    (torch.Size([2, 128, 14, 14]), 8768)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, padding: int = 0,
                 dilation: int = 1, bias: bool = True):
        super().__init__()
        check_integers("DepthwiseSeparableConv2d", in_channels=in_channels, out_channels=out_channels,
                       kernel_size=kernel_size, stride=stride, dilation=dilation)
        check_integers("DepthwiseSeparableConv2d", at_least=0, padding=padding)
        self.in_channels = in_channels
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel_size, stride, padding, dilation, groups=in_channels,
                                   bias=bias)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, h, w) to (b, out_channels, h', w').

        Raises:
            ValueError: for another number of axes or channels, or a picture smaller than the kernel.
            TypeError: for another dtype than that of the weights.
        """
        span = self.depthwise.dilation[0] * (self.depthwise.kernel_size[0] - 1) + 1
        check_input("DepthwiseSeparableConv2d", x, "b c h w", c=self.in_channels,
                    at_least=max(1, span - 2 * self.depthwise.padding[0]), like=self)
        return self.pointwise(self.depthwise(x))                                # b o h' w'


def full_weight(layer: DepthwiseSeparableConv2d) -> Tensor:
    """The weight of the one full convolution that computes the same as the pair, biases aside.

    Every output channel has the same k x k kernels, one for each input channel, times numbers of its own. The bias of that
    convolution is ``pointwise.bias + pointwise.weight @ depthwise.bias``.

    Args:
        layer: the pair.

    Returns:
        (o, c, k, k).

    Raises:
        TypeError: if ``layer`` is something else.
    """
    if not isinstance(layer, DepthwiseSeparableConv2d):
        raise TypeError(f"full_weight: expected a DepthwiseSeparableConv2d, got {type(layer).__name__}; "
                        "other layers hold their full weight already")
    return layer.pointwise.weight * layer.depthwise.weight.movedim(1, 0)        # (o c 1 1) * (1 c k k) = o c k k


def rank_one_error(kernel: Tensor) -> float:
    """How much of a kernel no column times row can reach: relative, in the Frobenius norm; 0 if it is separable.

    The best rank-1 approximation keeps the largest singular value (Eckart & Young, 1936); this is what the others hold.

    Args:
        kernel: (kh, kw).

    Raises:
        ValueError: if it has not two axes, or is zero or not finite. TypeError: if it is no floating-point tensor.

    >>> sobel = torch.tensor([[1., 0., -1.], [2., 0., -2.], [1., 0., -1.]])
    >>> laplace = torch.tensor([[0., 1., 0.], [1., -4., 1.], [0., 1., 0.]])
    >>> f"{rank_one_error(sobel):.3f} {rank_one_error(laplace):.3f}"
    '0.000 0.101'
    """
    singular = _singular_values("rank_one_error", kernel)
    return (singular[1:].norm() / singular.norm()).item()


def separate(kernel: Tensor, tolerance: float | None = None) -> tuple[Tensor, Tensor]:
    """Column and row whose outer product is the kernel.

    Args:
        kernel: (kh, kw), of rank 1.
        tolerance: largest :func:`rank_one_error` that counts as rank 1; a few roundings of the dtype when None.

    Returns:
        Column (kh,) and row (kw,), of equal norm; the largest entry of the row is positive.

    Raises:
        ValueError: if the rank is above 1 (the message holds the error of the best pair), or the kernel is zero.
        TypeError: if it is no floating-point tensor.

    >>> column, row = separate(torch.tensor([[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]]))
    >>> (column / column[0]).round(decimals=3), (row / row[0]).round(decimals=3)
    (tensor([1., 2., 1.]), tensor([1., 2., 1.]))
    """
    singular = _singular_values("separate", kernel)
    error = (singular[1:].norm() / singular.norm()).item()
    tolerance = 8 * torch.finfo(kernel.dtype).eps if tolerance is None else tolerance
    if error > tolerance:
        raise ValueError(f"separate: expected a kernel of rank 1, got one whose best pair is off by {error:.2%}; "
                         "use a full convolution, or accept the error with tolerance=")
    u, s, v = torch.linalg.svd(kernel, full_matrices=False)                     # kh r, r, r kw
    column, row = u[:, 0] * s[0].sqrt(), v[0] * s[0].sqrt()                     # kh, kw
    sign = row[row.abs().argmax()].sign()
    return column * sign, row * sign


def conv2d_separable(x: Tensor, column: Tensor, row: Tensor, padding: int | tuple[int, int] = 0) -> Tensor:
    """Slide a column, then a row, over every channel: kh + kw multiply-adds a pixel in place of kh kw.

    Equal to sliding ``torch.outer(column, row)`` over every channel.

    Args:
        x: (b, c, h, w). column: (kh,). row: (kw,).
        padding: zeros on each side, one number or (rows, columns).

    Returns:
        (b, c, h + 2 p - kh + 1, w + 2 p - kw + 1).

    Raises:
        ValueError: if shapes do not fit together. TypeError: for another dtype.
    """
    owner = "conv2d_separable"
    check_input(owner, x, "b c h w")
    rows, columns = per_axis(owner, 2, 0, padding=padding)
    for name, line, side, p in zip(("column", "row"), (column, row), x.shape[2:], (rows, columns)):
        if line.ndim != 1 or not 1 <= len(line) <= side + 2 * p:
            raise ValueError(f"{owner}: expected {name} to be one line of at most {side + 2 * p}, the padded side, got "
                             f"shape {tuple(line.shape)}; take both from separate(kernel)")
        check_input(owner, x, "b c h w", like=line)
    c = x.shape[1]
    x = F.conv2d(x, column[:, None].expand(c, 1, -1, -1), padding=(rows, 0), groups=c)      # b c h' w
    return F.conv2d(x, row[None, :].expand(c, 1, -1, -1), padding=(0, columns), groups=c)   # b c h' w'


def _singular_values(owner: str, kernel: Tensor) -> Tensor:
    check_input(owner, kernel, "kh kw")
    if not kernel.isfinite().all() or not kernel.any():
        raise ValueError(f"{owner}: expected a finite kernel that is not all zero, got {kernel.tolist()}; "
                         "any column and row of zeros would do")
    return torch.linalg.svdvals(kernel)
