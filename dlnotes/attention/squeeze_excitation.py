"""Squeeze-and-excitation: look at the whole picture through one number per channel, then turn every channel up or down.

A convolution sees a small neighbourhood. The squeeze (a mean over space) gives each channel one number about all of the
picture; the excitation (two small linear layers) lets the channels decide, together, how much of each goes on.
Source: Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3, equations 2 to 4.
Departure: the two layers have biases, which the equations leave out and the authors' networks have.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["SqueezeExcitation"]


class SqueezeExcitation(nn.Module):
    """Scale every channel by a gate in (0, 1) that is computed from the means of all channels.

    Args:
        channels: channels of the map, divisible by ``reduction``.
        reduction: how many times narrower the hidden layer is; the paper's r.

    Raises:
        ValueError: if a setting is not a positive integer, or ``channels`` is not divisible by ``reduction``.

    >>> layer = SqueezeExcitation(64)
    >>> layer(torch.randn(2, 64, 7, 5)).shape
    torch.Size([2, 64, 7, 5])
    >>> sum(p.numel() for p in layer.parameters()) == 2 * 64 * 64 // 16 + 64 // 16 + 64
    True
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        check_integers("SqueezeExcitation", channels=channels, reduction=reduction)
        check_divisible("SqueezeExcitation", "reduction", reduction, channels=channels)
        self.channels = channels
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map (b, c, h, w), each channel times its gate; the gates (b, c) are the output of ``self.gate``."""
        check_input("SqueezeExcitation", x, "b c h w", c=self.channels, like=self)
        z = x.mean(dim=(2, 3))                                              # b c, the squeeze, equation 2
        s = self.gate(self.fc2(F.relu(self.fc1(z))))                        # b c, the excitation, equation 3
        return x * s[:, :, None, None]                                      # b c h w, equation 4
