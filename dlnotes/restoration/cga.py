"""Content-guided attention: one weight for every channel of every pixel, found coarse to fine, and two maps mixed by it.

A channel map (which features) and a spatial map (which places) are added to a coarse map; beside the features themselves it
guides the fine one. CGAFusion reads the fine map as a share: w of the encoder's features, 1 - w of the decoder's.

Source: Chen, He, Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced Convolution and Content-Guided Attention",
IEEE TIP 33, 2024, section III (content-guided attention; CGA-based mixup fusion).
Departure from the released code: its fusion applies the sigmoid twice, so that w lies between 0.5 and 0.731 and the decoder
can never outweigh the encoder. We apply it once, as the formula has it; ``released=True`` restores the second one, which
the authors' weights need.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["CGAFusion", "ChannelMap", "ContentGuidedAttention", "PixelMap", "SpatialMap"]


class ChannelMap(nn.Module):
    """Which features: the mean of every channel through a bottleneck, without a sigmoid.

    Args:
        channels: divisible by ``reduction``.
        reduction: the bottleneck has ``channels / reduction`` values.

    >>> ChannelMap(16)(torch.zeros(2, 16, 8, 8)).shape
    torch.Size([2, 16, 1, 1])
    """

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        check_integers("ChannelMap", channels=channels, reduction=reduction)
        check_divisible("ChannelMap", "reduction", reduction, channels=channels)
        self.channels = channels
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map (b, c, 1, 1) of features (b, c, h, w); raises ValueError where they do not fit."""
        check_input("ChannelMap", x, "b c h w", c=self.channels, like=self)
        mean = x.mean(dim=(2, 3), keepdim=True)                     # b c 1 1
        return self.expand(self.act(self.reduce(mean)))             # b c 1 1


class SpatialMap(nn.Module):
    """Which places: mean and maximum over the channels through one 7 × 7 convolution, without a sigmoid.

    >>> SpatialMap()(torch.zeros(2, 16, 8, 8)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, padding_mode="reflect")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map (b, 1, h, w) of features (b, c, h, w), both sides of at least 4; raises ValueError where they do not fit."""
        check_input("SpatialMap", x, "b c h w", at_least=4, like=self)
        return self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1))      # b 1 h w


class PixelMap(nn.Module):
    """The fine map: each channel sees its own features and its own coarse map in one 7 × 7 convolution; no other channel.

    Args:
        channels: of the features and of the coarse map.

    >>> fine = PixelMap(16)(torch.randn(2, 16, 8, 8), torch.randn(2, 16, 8, 8))
    >>> fine.shape, bool((0 < fine).all() and (fine < 1).all())
    (torch.Size([2, 16, 8, 8]), True)
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("PixelMap", channels=channels)
        self.channels = channels
        self.conv = nn.Conv2d(2 * channels, channels, 7, padding=3, padding_mode="reflect", groups=channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Weights between 0 and 1.

        Args:
            x: features (b, c, h, w), both sides of at least 4.
            coarse: the coarse map, same shape.

        Returns:
            (b, c, h, w).

        Raises:
            ValueError: if shapes do not fit.
        """
        for each in (x, coarse):
            check_input("PixelMap", each, "b c h w", c=self.channels, at_least=4, like=self)
        _same_shape("PixelMap", x, coarse)
        pairs = torch.stack([x, coarse], dim=2).flatten(1, 2)       # b (c 2) h w: x0 a0 x1 a1 ..., two to a group
        return self.gate(self.conv(pairs))                          # b c h w


class ContentGuidedAttention(nn.Module):
    """Channel map + spatial map = coarse map, which guides the fine one: the attention itself, CGA in the paper.

    Args:
        channels: divisible by ``reduction``.
        reduction: see :class:`ChannelMap`.

    >>> ContentGuidedAttention(16)(torch.zeros(2, 16, 8, 8)).shape
    torch.Size([2, 16, 8, 8])
    """

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        check_integers("ContentGuidedAttention", channels=channels, reduction=reduction)
        check_divisible("ContentGuidedAttention", "reduction", reduction, channels=channels)
        self.channel = ChannelMap(channels, reduction)
        self.spatial = SpatialMap()
        self.pixel = PixelMap(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weights (b, c, h, w) between 0 and 1 for features of that shape, both sides of at least 4; else ValueError."""
        check_input("ContentGuidedAttention", x, "b c h w", c=self.channel.channels, at_least=4,
                    like=self)
        coarse = self.channel(x) + self.spatial(x)                  # b c h w = (b c 1 1) + (b 1 h w)
        return self.pixel(x, coarse)                                # b c h w


class CGAFusion(nn.Module):
    """Mix two maps, each channel of each pixel in its own proportion: conv(x + y + w x + (1 - w) y).

    Args:
        channels: of both maps, divisible by ``reduction``.
        reduction: see :class:`ChannelMap`.
        released: apply the sigmoid twice, as the released code does.

    >>> fuse = CGAFusion(16)
    >>> fuse(torch.zeros(2, 16, 8, 8), torch.zeros(2, 16, 8, 8)).shape
    torch.Size([2, 16, 8, 8])
    >>> sum(p.numel() for p in fuse.parameters())
    2037
    """

    def __init__(self, channels: int, reduction: int = 8, released: bool = False):
        super().__init__()
        check_integers("CGAFusion", channels=channels, reduction=reduction)
        check_divisible("CGAFusion", "reduction", reduction, channels=channels)
        self.channels, self.released = channels, released
        self.attention = ContentGuidedAttention(channels, reduction)
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps.

        Args:
            x: low-level features, from the encoder (b, c, h, w), both sides of at least 4.
            y: high-level features, from the decoder, same shape.

        Returns:
            (b, c, h, w).

        Raises:
            ValueError: if shapes do not fit.
        """
        for each in (x, y):
            check_input("CGAFusion", each, "b c h w", c=self.channels, at_least=4, like=self)
        _same_shape("CGAFusion", x, y)
        total = x + y                                               # b c h w
        w = self.attention(total)                                   # b c h w
        if self.released:
            w = w.sigmoid()
        return self.conv(total + w * x + (1 - w) * y)               # b c h w


def _same_shape(owner: str, x: torch.Tensor, y: torch.Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(f"{owner}: expected two maps of one shape, got {tuple(x.shape)} and {tuple(y.shape)}; "
                         "resize one to the other first, for example with F.interpolate")
