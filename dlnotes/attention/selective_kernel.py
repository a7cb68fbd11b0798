"""Selective kernel convolution: look with several sizes of kernel, and let every channel choose the size that it needs.

Split: branches with different receptive fields read the same map. Fuse: their sum, averaged over space, says what the
picture holds. Select: for each channel a softmax over the branches, and the output is the weighted sum of the branches.
Source: Li, Wang, Hu and Yang, "Selective Kernel Networks", CVPR 2019, section 3.1, equations 1 to 6; SK[M, G, r] of the
paper is ``branches``, ``groups``, ``reduction``. The 5×5 kernel is a 3×3 with dilation 2, as the paper has it.
Parameters carry the names of timm's ``SelectiveKernel``.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["SelectiveKernel"]


class Branch(nn.Module):
    """Grouped 3×3 convolution with a dilation, BatchNorm, ReLU."""

    def __init__(self, channels: int, stride: int, groups: int, dilation: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding=dilation, dilation=dilation, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))                                # b c h/s w/s


class Selection(nn.Module):
    """For every channel, weights of the branches that sum to one, from the mean of what all branches saw."""

    def __init__(self, channels: int, branches: int, hidden: int):
        super().__init__()
        self.branches = branches
        self.fc_reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.bn = nn.BatchNorm2d(hidden)
        self.fc_select = nn.Conv2d(hidden, branches * channels, 1, bias=False)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        s = fused.mean(dim=(2, 3), keepdim=True)                            # b c 1 1, equation 2
        z = F.relu(self.bn(self.fc_reduce(s)))                              # b d 1 1, equation 3
        logits = self.fc_select(z).unflatten(1, (self.branches, -1))        # b m c 1 1
        return self.softmax(logits)                                         # b m c 1 1, equation 5


class SelectiveKernel(nn.Module):
    """SK convolution, from c to c channels.

    Args:
        channels: channels of the map, divisible by ``groups``.
        stride: of every branch.
        groups: cardinality of the branches; the paper's G.
        branches: how many; branch i is a 3×3 convolution with dilation i, which spans 2i + 1 pixels. The paper's M.
        reduction: the hidden layer of the selection has ``max(channels // reduction, minimum)`` channels; the paper's r.
        minimum: the paper's L.

    Raises:
        ValueError: if a setting is not a positive integer, ``branches`` is below 2, or ``channels`` is not divisible by
            ``groups``.

    >>> layer = SelectiveKernel(64, stride=2)
    >>> layer(torch.randn(2, 64, 14, 10)).shape
    torch.Size([2, 64, 7, 5])
    """

    def __init__(self, channels: int, stride: int = 1, groups: int = 32, branches: int = 2, reduction: int = 16,
                 minimum: int = 32):
        super().__init__()
        check_integers("SelectiveKernel", channels=channels, stride=stride, groups=groups, reduction=reduction,
                       minimum=minimum)
        check_integers("SelectiveKernel", at_least=2, branches=branches)
        check_divisible("SelectiveKernel", "groups", groups, channels=channels)
        self.channels = channels
        self.paths = nn.ModuleList(Branch(channels, stride, groups, dilation) for dilation in range(1, branches + 1))
        self.attn = Selection(channels, branches, hidden=max(channels // reduction, minimum))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Branches weighted by the selection.

        Args:
            x: (b, c, h, w).

        Returns:
            (b, c, h/stride, w/stride), rounded up. The weights (b, branches, c, 1, 1) are the output of ``attn.softmax``.

        Raises:
            ValueError: if the shape does not fit, or the batch is a single sample in training.
        """
        check_input("SelectiveKernel", x, "b c h w", c=self.channels, like=self)
        if self.training and len(x) == 1:
            raise ValueError("SelectiveKernel: expected a batch of at least 2 in training, got 1, and BatchNorm has "
                             "nothing to compare its means with; add samples, or call .eval()")
        first, *others = seen = [path(x) for path in self.paths]            # each b c h/s w/s: split
        weights = self.attn(sum(others, start=first))                       # b m c 1 1: fuse, equation 1, and select
        first, *others = [a * u for a, u in zip(weights.unbind(1), seen)]   # each b c h/s w/s
        return sum(others, start=first)                                     # b c h/s w/s, equation 6
