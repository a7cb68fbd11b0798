"""HCANet: a U-shaped network that removes noise from hyperspectral images, with tens of bands instead of three colours.

Restormer's shape with three levels. Its blocks add up attention, for what is alike anywhere in the image, and
convolution, for the neighbourhood (CAFM), and look at three scales at once in the feed-forward layer (MSFN). The network
predicts what to add to the noisy image.

Source: Hu et al., "Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising", IEEE GRSL 2024, figure
1, and the code released with it. Departures: none with the canonical settings. Its 3-D convolutions see a depth axis of
1, so two thirds of their weights, 485,550 in all, never act; :func:`~dlnotes.restoration.fold_planes` gives the same
network without them, faster. The canonical ``layout="released"`` computes what the authors' code does, and suits weights
trained with it; ``"intended"`` reads CAFM as we think the paper means it.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers
from dlnotes.restoration.cafm import CAFM
from dlnotes.restoration.channel_norm import ChannelNorm
from dlnotes.restoration.msfn import MSFN
from dlnotes.restoration.plane_conv import PlaneConv3d

from ._build import build
from .restormer import check_levels, downsample, upsample

__all__ = ["HCANet", "hcanet"]


class Block(nn.Module):
    """The paper's CAMixing block: convolution and attention, then the multi-scale feed-forward layer."""

    def __init__(self, channels: int, heads: int, expansion: float, layout: str):
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.cafm = CAFM(channels, heads, layout)
        self.norm2 = ChannelNorm(channels)
        self.msfn = MSFN(channels, expansion)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.cafm(self.norm1(x))                                    # b c h w
        return x + self.msfn(self.norm2(x))                                 # b c h w


class HCANet(nn.Module):
    """HCANet of any size.

    Args:
        in_channels: bands of the image.
        dim: channels at the first level, even and divisible by ``heads[0]``; each level has twice as
            many as the one above.
        depths: blocks of levels 1 to 3. The decoder has as many as the encoder.
        heads: attention heads of levels 1 to 3.
        refinement: blocks at full size after the decoder.
        expansion: of the :class:`~dlnotes.restoration.MSFN`.
        layout: of the :class:`~dlnotes.restoration.CAFM`, ``"released"`` or ``"intended"``.

    Raises:
        ValueError: if a size is not a positive integer, channels do not divide, or there are not three levels.

    >>> model = HCANet(in_channels=10, dim=8, depths=(1, 1, 1))
    >>> model(torch.rand(1, 10, 16, 20)).shape
    torch.Size([1, 10, 16, 20])
    """

    def __init__(self, in_channels: int = 31, dim: int = 48, depths: tuple[int, int, int] = (2, 3, 3),
                 heads: tuple[int, int, int] = (1, 2, 4), refinement: int = 1, expansion: float = 2.66,
                 layout: str = "released"):
        super().__init__()
        check_integers("HCANet", in_channels=in_channels, dim=dim, refinement=refinement)
        check_divisible("HCANet", "2", 2, dim=dim)
        check_levels("HCANet", 3, depths=depths, heads=heads)
        self.in_channels = in_channels

        def blocks(channels: int, level: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(Block(channels, heads[level - 1], expansion, layout) for _ in range(depth)))

        self.embed = PlaneConv3d(in_channels, dim)
        self.encoder1 = blocks(dim, 1, depths[0])
        self.down1 = downsample(dim)
        self.encoder2 = blocks(2 * dim, 2, depths[1])
        self.down2 = downsample(2 * dim)
        self.encoder3 = blocks(4 * dim, 3, depths[2])

        self.up2 = upsample(4 * dim)
        self.fuse2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder2 = blocks(2 * dim, 2, depths[1])
        self.up1 = upsample(2 * dim)
        self.decoder1 = blocks(2 * dim, 1, depths[0])           # no 1 × 1 here: level 1 keeps all concatenated channels
        self.refinement = blocks(2 * dim, 1, refinement)
        self.output = PlaneConv3d(2 * dim, in_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Remove noise from hyperspectral images.

        Args:
            image: (b, in_channels, h, w), height and width multiples of 4.

        Returns:
            (b, in_channels, h, w).

        Raises:
            ValueError, TypeError: if the image has another shape or another dtype than the weights.
        """
        check_input("HCANet", image, "b c h w", c=self.in_channels, multiple=4, at_least=4, like=self)
        x1 = self.encoder1(self.embed(image))                                           # b c h w
        x2 = self.encoder2(self.down1(x1))                                              # b 2c h/2 w/2
        x3 = self.encoder3(self.down2(x2))                                              # b 4c h/4 w/4

        y2 = self.decoder2(self.fuse2(torch.cat([self.up2(x3), x2], dim=1)))            # b 2c h/2 w/2
        y1 = self.decoder1(torch.cat([self.up1(y2), x1], dim=1))                        # b 2c h w
        return image + self.output(self.refinement(y1))                                 # b in_channels h w


def hcanet(**config) -> HCANet:
    """HCANet for the 31 bands of ICVL: 4,607,741 parameters. Settings: those of :class:`HCANet`."""
    return build("hcanet", HCANet, {}, config)
