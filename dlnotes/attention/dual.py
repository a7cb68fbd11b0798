"""Dual attention: over positions, where each pixel gathers from all others, and over channels, where each channel does.

Both begin as the identity: what they find is added with a learned weight γ that starts at zero.
Source: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019, sections 3.2 (equations 1 and 2) and 3.3
(equations 3 and 4), and the authors' code. Neither attention divides its scores by a square root.
Departure from the paper, as in the authors' code: the channels' weights are the softmax of (row maximum - energy), not of
the energy, so each channel gathers most from those that it resembles least. Since a softmax does not see what is added to a
whole row, it is written here as the softmax of -energy.
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_input, check_integers

from .scaled_dot_product import fused_attention

__all__ = ["ChannelAffinity", "PositionAttention"]


class PositionAttention(nn.Module):
    """Position attention module (PAM): softmax(q kᵀ) v over the h·w positions, one head, scores not scaled.

    The matrix of h·w by h·w weights is really made: values are wider than keys, which no fused kernel takes.

    Args:
        channels: of the map, divisible by ``reduction``.
        reduction: channels over the width of queries and keys.

    Raises:
        ValueError: if a size is not a positive integer, or ``channels`` not divisible by ``reduction``.

    >>> layer, x = PositionAttention(64), torch.randn(2, 64, 9, 12)
    >>> torch.equal(layer(x), x)
    True
    """

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        check_integers("PositionAttention", channels=channels, reduction=reduction)
        if channels % reduction:
            raise ValueError(f"PositionAttention: expected channels divisible by reduction={reduction}, got {channels}; "
                             f"choose channels as a multiple of {reduction}, or a smaller reduction")
        self.channels = channels
        self.query = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x + γ · what each position gathers: (b, channels, h, w) to the same; raises where a size or dtype does not fit."""
        check_input("PositionAttention", x, "b c h w", c=self.channels, like=self)
        q, k, v = (rearrange(layer(x), "b d h w -> b 1 (h w) d") for layer in (self.query, self.key, self.value))
        out = fused_attention(q, k, v, scale=1.0)                                   # b 1 n c
        return x + self.gamma * rearrange(out, "b 1 (h w) c -> b c h w", h=x.shape[2])      # b c h w


class ChannelAffinity(nn.Module):
    """Channel attention module (CAM): one weight for each pair of channels, from the map itself; γ is all it learns.

    It takes maps of any number of channels, height and width.

    >>> layer, x = ChannelAffinity(), torch.randn(2, 64, 9, 12)
    >>> torch.equal(layer(x), x)
    True
    """

    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x + γ · what each channel gathers: (b, c, h, w) to the same; raises where the rank or dtype does not fit."""
        check_input("ChannelAffinity", x, "b c h w", like=self.gamma)
        maps = rearrange(x, "b c h w -> b c (h w)")                                 # b c n
        energy = maps @ maps.mT                                                     # b c c
        weights = (-energy).softmax(dim=-1)                                         # b c c
        return x + self.gamma * rearrange(weights @ maps, "b c (h w) -> b c h w", h=x.shape[2])  # b c h w
