"""Coordinate attention: two gates, one that knows the row and one that knows the column, instead of one number per channel.

Global pooling, as in squeeze-and-excitation, forgets where a channel responds. Here each channel is averaged along one axis
at a time, so that one gate (b, c, h, 1) tells the rows apart and the other (b, c, 1, w) the columns. Their product marks a
place, at the cost of h + w numbers and not of h · w.
Source: Hou, Zhou, Feng, "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021, section 3.2, equations
4 to 9.
As in the released code, the bottleneck is never narrower than 8 channels and the non-linearity δ is h-swish. Parameters
carry the names of the authors' ``coordatt.py``.
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_input, check_integers

__all__ = ["CoordinateAttention"]

_NARROWEST = 8


class CoordinateAttention(nn.Module):
    """Weigh every place of every channel by a gate of its row times a gate of its column.

    Args:
        channels: c, of the input and the output.
        reduction: the two pooled strips share a bottleneck of ``max(8, channels // reduction)`` channels.

    Raises:
        ValueError: if a size is not a positive integer.

    >>> layer = CoordinateAttention(64)
    >>> layer(torch.randn(2, 64, 7, 5)).shape
    torch.Size([2, 64, 7, 5])
    >>> c, m = 64, 8
    >>> sum(p.numel() for p in layer.parameters()) == (c * m + m) + 2 * m + 2 * (m * c + c)
    True
    """

    def __init__(self, channels: int, reduction: int = 32):
        super().__init__()
        check_integers("CoordinateAttention", channels=channels, reduction=reduction)
        self.channels = channels
        narrow = max(_NARROWEST, channels // reduction)
        self.conv1 = nn.Conv2d(channels, narrow, kernel_size=1)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(narrow, channels, kernel_size=1)
        self.conv_w = nn.Conv2d(narrow, channels, kernel_size=1)
        self.gate_h = nn.Sigmoid()
        self.gate_w = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate a feature map.

        Args:
            x: (b, channels, h, w), any height and width.

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("CoordinateAttention", x, "b c h w", c=self.channels, like=self)
        h, w = x.shape[-2:]
        rows = x.mean(dim=3, keepdim=True)                                      # b c h 1, equation 4
        columns = rearrange(x.mean(dim=2), "b c w -> b c w 1")                  # b c w 1, equation 5
        both = torch.cat([rows, columns], dim=2)                                # b c h+w 1
        both = self.act(self.bn1(self.conv1(both)))                             # b m h+w 1, equation 6
        rows, columns = both.split([h, w], dim=2)                               # b m h 1 and b m w 1
        columns = rearrange(columns, "b m w 1 -> b m 1 w")
        g_h = self.gate_h(self.conv_h(rows))                                    # b c h 1, equation 7
        g_w = self.gate_w(self.conv_w(columns))                                 # b c 1 w, equation 8
        return x * g_h * g_w                                                    # b c h w, equation 9
