"""CBAM: first ask *which channels*, then *which places*; each answer is a map of gates between 0 and 1.

The channel gates come from two summaries of every channel (mean and maximum over space) through one shared small network.
The spatial gates come from the same two summaries taken over channels, through one large convolution.
Source: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3, equations 1 to 3.
Departures, all following the authors' released code: the 7×7 convolution has no bias and is followed by BatchNorm with
momentum 0.01, whose γ starts at 0, so that at first every place has the gate 1/2; of the two maps the maximum comes first;
the shared network has biases.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["CBAM", "ChannelAttention", "SpatialAttention"]


class ChannelAttention(nn.Module):
    """Which channels: a gate for each from its mean and its maximum over space (equation 2).

    Args:
        channels: channels of the map, divisible by ``reduction``.
        reduction: how many times narrower the hidden layer of the shared network is.

    Raises:
        ValueError: if a setting is not a positive integer, or ``channels`` is not divisible by ``reduction``.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        check_integers("ChannelAttention", channels=channels, reduction=reduction)
        check_divisible("ChannelAttention", "reduction", reduction, channels=channels)
        self.channels = channels
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map (b, c, h, w), each channel times its gate; the gates (b, c) are the output of ``self.gate``."""
        check_input("ChannelAttention", x, "b c h w", c=self.channels, like=self)
        summaries = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))])   # 2 b c
        votes = self.fc2(F.relu(self.fc1(summaries)))                       # 2 b c, the same network for both
        gates = self.gate(votes.sum(dim=0))                                 # b c
        return x * gates[:, :, None, None]                                  # b c h w


class SpatialAttention(nn.Module):
    """Which places: a gate for each from the maximum and the mean over channels around it (equation 3).

    Args:
        kernel_size: side of the convolution that looks around, odd; the paper compares 3 and 7 and takes 7.

    Raises:
        ValueError: if ``kernel_size`` is not odd and positive.
    """

    def __init__(self, kernel_size: int = 7):
        super().__init__()
        check_integers("SpatialAttention", kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"SpatialAttention: expected an odd kernel_size, got {kernel_size}; take {kernel_size + 1}, "
                             "so that the map keeps its size")
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)
        self.gate = nn.Sigmoid()
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map (b, c, h, w), each place times its gate; the gates (b, 1, h, w) are the output of ``self.gate``."""
        check_input("SpatialAttention", x, "b c h w", like=self)
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            raise ValueError("SpatialAttention: expected more than one place in a batch in training, got one map of 1x1, "
                             "and BatchNorm has nothing to compare it with; use larger maps or batches, or call .eval()")
        summaries = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)        # b 2 h w
        return x * self.gate(self.bn(self.conv(summaries)))                                             # b c h w


class CBAM(nn.Module):
    """Channel attention, then spatial attention (equation 1); the order that the paper found best.

    Args:
        channels: channels of the map, divisible by ``reduction``.
        reduction: of :class:`ChannelAttention`.
        kernel_size: of :class:`SpatialAttention`.

    Raises:
        ValueError: as the two parts.

    >>> layer = CBAM(64)
    >>> layer(torch.randn(2, 64, 7, 5)).shape
    torch.Size([2, 64, 7, 5])
    >>> sum(p.numel() for p in layer.parameters()) == (2 * 64 * 4 + 4 + 64) + (2 * 7 * 7 + 2)
    True
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7):
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map (b, c, h, w), gated by channel and by place."""
        return self.spatial(self.channel(x))                                # b c h w
