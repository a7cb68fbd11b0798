"""CCM, convolutional channel mixer: a feed-forward layer whose first map is a 3 × 3 convolution.

A Transformer's MLP treats each pixel alone. SAFMN's mixer lets the expanding layer see the 3 × 3 neighbourhood as well,
dense and not depth-wise: the Fused-MBConv of EfficientNetV2 without batch norm, squeeze-and-excitation and shortcut.

Source: Sun et al., "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", ICCV 2023, section
"Convolutional Channel Mixer". No departure.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

from ._width import hidden_width

__all__ = ["CCM"]


class CCM(nn.Module):
    """Convolutional channel mixer.

    Args:
        channels: channels of the map.
        expansion: hidden width over ``channels``; the product is rounded down.

    Raises:
        ValueError: if ``channels`` is not a positive integer, or nothing is left after rounding.

    >>> CCM(channels=36)(torch.randn(1, 36, 10, 12)).shape
    torch.Size([1, 36, 10, 12])
    """

    def __init__(self, channels: int, expansion: float = 2.0):
        super().__init__()
        check_integers("CCM", channels=channels)
        self.channels, hidden = channels, hidden_width("CCM", channels, expansion)
        self.expand = nn.Conv2d(channels, hidden, 3, padding=1)
        self.act = nn.GELU()
        self.project = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix the channels of every 3 × 3 neighbourhood.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("CCM", x, "b c h w", c=self.channels, like=self)
        return self.project(self.act(self.expand(x)))                       # b c h w
