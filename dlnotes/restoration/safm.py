"""SAFM, spatially-adaptive feature modulation: a map multiplied by a gate that has looked at it from four distances.

The channels are cut into parts. Each part but the first is shrunk, by 2, 4, 8, so that the same 3 × 3 convolution reaches
further, and enlarged again. Mixed by a 1 × 1 and bent by GELU, the parts are a gate for the input: long range at little
cost, with neither softmax nor matrix of weights.

Source: Sun et al., "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", ICCV 2023, section
"Spatially-adaptive Feature Modulation". No departure. :class:`FMM` is the paper's feature mixing module, a Transformer
block with SAFM in the place of attention and a convolutional channel mixer in that of the MLP.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

from .ccm import CCM
from .channel_norm import ChannelNorm

__all__ = ["FMM", "SAFM"]


class SAFM(nn.Module):
    """Spatially-adaptive feature modulation.

    Args:
        channels: channels of the map, divisible by ``levels``.
        levels: parts; part i, from 0, is shrunk by ``2**i``.

    Raises:
        ValueError: if a size is not a positive integer, or ``channels`` not divisible by ``levels``.

    >>> layer = SAFM(channels=36)
    >>> layer(torch.randn(1, 36, 10, 12)).shape
    torch.Size([1, 36, 10, 12])
    >>> sum(p.numel() for p in layer.parameters()) == 10 * 36 + 36**2 + 36
    True
    """

    def __init__(self, channels: int, levels: int = 4):
        super().__init__()
        check_integers("SAFM", channels=channels, levels=levels)
        check_divisible("SAFM", "levels", levels, channels=channels)
        self.channels, self.levels = channels, levels
        part = channels // levels
        self.depthwise = nn.ModuleList(nn.Conv2d(part, part, 3, padding=1, groups=part) for _ in range(levels))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.gate = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate a map by what it looks like at several scales.

        Args:
            x: (b, channels, h, w), height and width at least ``2**(levels - 1)``: the coarsest part keeps a pixel.

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("SAFM", x, "b c h w", c=self.channels, at_least=2 ** (self.levels - 1), like=self)
        h, w = x.shape[2:]
        first, *others = x.chunk(self.levels, dim=1)                                    # each b c/levels h w
        seen = [self.depthwise[0](first)]
        for i, part in enumerate(others, 1):
            small = F.adaptive_max_pool2d(part, (h // 2**i, w // 2**i))                 # b c/levels h/2ⁱ w/2ⁱ
            seen.append(F.interpolate(self.depthwise[i](small), size=(h, w), mode="nearest"))       # b c/levels h w
        return self.gate(self.mix(torch.cat(seen, dim=1))) * x                          # b c h w


class FMM(nn.Module):
    """Feature mixing module: SAFM mixes space, CCM mixes channels, each after a norm and beside a shortcut.

    Source: Sun et al., ICCV 2023, section "Feature Mixing Module".

    Args:
        channels: channels of the map, divisible by ``levels``.
        levels: scales of the :class:`SAFM`.
        expansion: hidden width of the :class:`~dlnotes.restoration.CCM` over ``channels``.

    Raises:
        ValueError: as :class:`SAFM` and CCM.

    >>> FMM(channels=36)(torch.randn(1, 36, 10, 12)).shape
    torch.Size([1, 36, 10, 12])
    """

    def __init__(self, channels: int, levels: int = 4, expansion: float = 2.0):
        super().__init__()
        self.safm, self.ccm = SAFM(channels, levels), CCM(channels, expansion)
        self.norm1, self.norm2 = ChannelNorm(channels, eps=1e-6), ChannelNorm(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix space, then channels.

        Args:
            x: (b, channels, h, w), height and width at least ``2**(levels - 1)``.

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        x = x + self.safm(self.norm1(x))                                                # b c h w
        return x + self.ccm(self.norm2(x))                                              # b c h w
