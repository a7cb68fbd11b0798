"""The two residual blocks of DEA-Net: DEB convolves, and DEAB also weighs what it found, pixel by pixel.

Both add their input twice: after the first convolution, which looks for details, and at the end.

Source: Chen, He, Lu, "DEA-Net", IEEE TIP 33, 2024, section III (DEB and DEAB in its overview).
Departures: none. ``training_form`` chooses between the five kernels that are trained and the one that they fold into.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

from .cga import ContentGuidedAttention
from .deconv import DetailEnhancedConv

__all__ = ["DEAB", "DEB"]


class DEB(nn.Module):
    """Detail-enhanced block: x + conv(x + ReLU(DEConv(x))).

    Args:
        channels: in and out.
        training_form: learn the five kernels of :class:`~dlnotes.restoration.deconv.DetailEnhancedConv` instead of one.

    >>> DEB(16)(torch.zeros(2, 16, 5, 7)).shape
    torch.Size([2, 16, 5, 7])
    """

    def __init__(self, channels: int, training_form: bool = False):
        super().__init__()
        check_integers("DEB", channels=channels)
        self.channels = channels
        self.conv1 = DetailEnhancedConv(channels) if training_form else nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c, h, w) to (b, c, h, w); raises ValueError where the channels do not fit."""
        check_input("DEB", x, "b c h w", c=self.channels, like=self)
        return x + self.conv2(x + F.relu(self.conv1(x)))            # b c h w


class DEAB(nn.Module):
    """Detail-enhanced attention block: DEB whose result r counts only as far as w, found in r itself, lets it: x + w r.

    Args:
        channels: in and out, divisible by ``reduction``.
        reduction: of the channel map in :class:`~dlnotes.restoration.cga.ContentGuidedAttention`.
        training_form: as in :class:`DEB`.

    >>> DEAB(16)(torch.zeros(2, 16, 5, 7)).shape
    torch.Size([2, 16, 5, 7])
    """

    def __init__(self, channels: int, reduction: int = 8, training_form: bool = False):
        super().__init__()
        check_integers("DEAB", channels=channels, reduction=reduction)
        check_divisible("DEAB", "reduction", reduction, channels=channels)
        self.channels = channels
        self.conv1 = DetailEnhancedConv(channels) if training_form else nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.attention = ContentGuidedAttention(channels, reduction)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c, h, w) to (b, c, h, w), both sides of at least 4; raises ValueError where they do not fit."""
        check_input("DEAB", x, "b c h w", c=self.channels, at_least=4, like=self)
        r = self.conv2(x + F.relu(self.conv1(x)))                   # b c h w
        return x + self.attention(r) * r                            # b c h w
