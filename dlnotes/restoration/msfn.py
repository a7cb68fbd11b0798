"""MSFN, multi-scale feed-forward network: three views of different reach, multiplied.

The channels are expanded threefold. One part sees its direct neighbours (3 × 3), one every second pixel (dilation 2, in
5 × 5), one every third (dilation 3, in 7 × 7); GELU of the first gates the product of the other two.

Source: Hu et al., "Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising", IEEE GRSL 2024, section
"Multi-Scale Feed-Forward Network". No layer has a bias. As in the released code the first view is a 3-D kernel on a depth
axis of 1 (see ``plane_conv.py``), the others are 2-D.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

from ._width import hidden_width
from .plane_conv import PlaneConv3d

__all__ = ["MSFN"]


class MSFN(nn.Module):
    """Multi-scale feed-forward network.

    Args:
        channels: channels of the map.
        expansion: width of each of the three parts over ``channels``; the product is rounded down.

    Raises:
        ValueError: if ``channels`` is not a positive integer, or nothing is left after rounding.

    >>> layer = MSFN(channels=48)
    >>> layer.hidden, layer(torch.randn(1, 48, 10, 12)).shape
    (127, torch.Size([1, 48, 10, 12]))
    """

    def __init__(self, channels: int, expansion: float = 2.66):
        super().__init__()
        check_integers("MSFN", channels=channels)
        self.channels, self.hidden = channels, hidden_width("MSFN", channels, expansion)
        m = self.hidden
        self.expand = nn.Conv2d(channels, 3 * m, 1, bias=False)
        self.near = PlaneConv3d(m, m, groups=m)
        self.middle = nn.Conv2d(m, m, 3, padding=2, dilation=2, groups=m, bias=False)
        self.far = nn.Conv2d(m, m, 3, padding=3, dilation=3, groups=m, bias=False)
        self.gate = nn.GELU()
        self.project = nn.Conv2d(m, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expand, look near and far, multiply and contract.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("MSFN", x, "b c h w", c=self.channels, like=self)
        near, middle, far = self.expand(x).chunk(3, dim=1)                              # each b hidden h w
        return self.project(self.gate(self.near(near)) * self.middle(middle) * self.far(far))       # b c h w
