"""Restormer: a U-shaped Transformer that restores whole photographs, because its attention is between channels, not pixels.

Four levels, each of half the height and width and twice the channels of the one above. Every level is a stack of
Transformer blocks: MDTA, attention over channels, and GDFN, a gated feed-forward layer. The network predicts what to add
to the damaged picture.

Source: Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022, section 3,
figure 2.
Departures: none in the network for single pictures. Left out is the variant for dual-pixel defocus (six channels in,
three out, another shortcut). The authors' denoisers take ``norm_bias=False``, their other networks True.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers
from dlnotes.restoration.channel_norm import ChannelNorm
from dlnotes.restoration.gdfn import GDFN
from dlnotes.restoration.mdta import MDTA

from ._build import build

__all__ = ["Restormer", "restormer"]


class Block(nn.Module):
    """Pre-norm Transformer block on a map: attention over channels, then the gated feed-forward layer."""

    def __init__(self, channels: int, heads: int, expansion: float, norm_bias: bool):
        super().__init__()
        self.norm1 = ChannelNorm(channels, bias=norm_bias)
        self.attn = MDTA(channels, heads)
        self.norm2 = ChannelNorm(channels, bias=norm_bias)
        self.ffn = GDFN(channels, expansion)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))                                    # b c h w
        return x + self.ffn(self.norm2(x))                                  # b c h w


def downsample(channels: int) -> nn.Sequential:
    """(b, c, h, w) to (b, 2c, h/2, w/2): half the channels, then each 2 × 2 of pixels becomes 4 channels."""
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def upsample(channels: int) -> nn.Sequential:
    """(b, c, h, w) to (b, c/2, 2h, 2w): twice the channels, of which each 4 become 2 × 2 pixels."""
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))


class Restormer(nn.Module):
    """Restormer of any size.

    Args:
        in_channels: channels of the picture, which the restored one has too.
        dim: channels at the first level, even and divisible by ``heads[0]``; each level has twice as
            many as the one above.
        depths: blocks of levels 1 to 4. The decoder has as many as the encoder.
        heads: attention heads of levels 1 to 4.
        refinement: blocks at full size after the decoder.
        expansion: of the :class:`~dlnotes.restoration.GDFN`.
        norm_bias: False: norms that neither subtract the mean nor shift.

    Raises:
        ValueError: if a size is not a positive integer, channels do not divide, or there are not four levels.

    >>> model = Restormer(dim=8, depths=(1, 1, 1, 1), refinement=1)
    >>> model(torch.rand(1, 3, 16, 24)).shape
    torch.Size([1, 3, 16, 24])
    """

    def __init__(self, in_channels: int = 3, dim: int = 48, depths: tuple[int, int, int, int] = (4, 6, 6, 8),
                 heads: tuple[int, int, int, int] = (1, 2, 4, 8), refinement: int = 4, expansion: float = 2.66,
                 norm_bias: bool = True):
        super().__init__()
        check_integers("Restormer", in_channels=in_channels, dim=dim, refinement=refinement)
        check_divisible("Restormer", "2", 2, dim=dim)
        check_levels("Restormer", 4, depths=depths, heads=heads)
        self.in_channels = in_channels

        def blocks(channels: int, level: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(Block(channels, heads[level - 1], expansion, norm_bias) for _ in range(depth)))

        self.embed = nn.Conv2d(in_channels, dim, 3, padding=1, bias=False)
        self.encoder1 = blocks(dim, 1, depths[0])
        self.down1 = downsample(dim)
        self.encoder2 = blocks(2 * dim, 2, depths[1])
        self.down2 = downsample(2 * dim)
        self.encoder3 = blocks(4 * dim, 3, depths[2])
        self.down3 = downsample(4 * dim)
        self.latent = blocks(8 * dim, 4, depths[3])

        self.up3 = upsample(8 * dim)
        self.fuse3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=False)
        self.decoder3 = blocks(4 * dim, 3, depths[2])
        self.up2 = upsample(4 * dim)
        self.fuse2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder2 = blocks(2 * dim, 2, depths[1])
        self.up1 = upsample(2 * dim)
        self.decoder1 = blocks(2 * dim, 1, depths[0])           # no 1 × 1 here: level 1 keeps all concatenated channels
        self.refinement = blocks(2 * dim, 1, refinement)
        self.output = nn.Conv2d(2 * dim, in_channels, 3, padding=1, bias=False)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Restore pictures.

        Args:
            picture: (b, in_channels, h, w), height and width multiples of 8.

        Returns:
            (b, in_channels, h, w).

        Raises:
            ValueError, TypeError: if the picture has another shape or another dtype than the weights.
        """
        check_input("Restormer", picture, "b c h w", c=self.in_channels, multiple=8, at_least=8, like=self)
        x1 = self.encoder1(self.embed(picture))                                         # b c h w
        x2 = self.encoder2(self.down1(x1))                                              # b 2c h/2 w/2
        x3 = self.encoder3(self.down2(x2))                                              # b 4c h/4 w/4
        x4 = self.latent(self.down3(x3))                                                # b 8c h/8 w/8

        y3 = self.decoder3(self.fuse3(torch.cat([self.up3(x4), x3], dim=1)))            # b 4c h/4 w/4
        y2 = self.decoder2(self.fuse2(torch.cat([self.up2(y3), x2], dim=1)))            # b 2c h/2 w/2
        y1 = self.decoder1(torch.cat([self.up1(y2), x1], dim=1))                        # b 2c h w
        return picture + self.output(self.refinement(y1))                               # b in_channels h w


def check_levels(owner: str, levels: int, **values: tuple[int, ...]) -> None:
    """Each named value must have one positive integer for each level; raises ValueError."""
    for name, value in values.items():
        if not isinstance(value, (tuple, list)) or len(value) != levels:
            raise ValueError(f"{owner}: expected {name} with one number for each of {levels} levels, got {value!r}; "
                             f"pass a tuple of {levels} integers")
        for i, number in enumerate(value):
            check_integers(owner, **{f"{name}[{i}]": number})


def restormer(**config) -> Restormer:
    """Restormer: 26,126,644 parameters; 26,111,668 with ``norm_bias=False``. Settings: those of :class:`Restormer`."""
    return build("restormer", Restormer, {}, config)
