"""SAFMN: super-resolution with a quarter of a million parameters.

A convolution into features, a stack of mixing modules (gate from four scales, then a convolutional channel mixer), a
shortcut around the stack, and a convolution whose channels are rearranged into the pixels of the larger picture. All work
is done at the small size.

Source: Sun et al., "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", ICCV 2023, section 3,
figure "overview of the proposed SAFMN". No departure.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.restoration.safm import FMM

from ._build import build

__all__ = ["SAFMN", "safmn"]


class SAFMN(nn.Module):
    """SAFMN of any size.

    Args:
        scale: factor on height and width.
        in_channels: channels of the picture, which the enlarged one has too.
        dim: channels of the features, divisible by ``levels``.
        depth: number of mixing modules.
        levels: scales of each :class:`~dlnotes.restoration.SAFM`.
        expansion: of each :class:`~dlnotes.restoration.CCM`.

    Raises:
        ValueError: if a size is not a positive integer, or ``dim`` not divisible by ``levels``.

    >>> SAFMN(scale=3, depth=2)(torch.rand(1, 3, 10, 12)).shape
    torch.Size([1, 3, 30, 36])
    """

    def __init__(self, scale: int = 4, in_channels: int = 3, dim: int = 36, depth: int = 8, levels: int = 4,
                 expansion: float = 2.0):
        super().__init__()
        check_integers("SAFMN", scale=scale, in_channels=in_channels, dim=dim, depth=depth, levels=levels)
        self.in_channels, self.smallest = in_channels, 2 ** (levels - 1)
        self.embed = nn.Conv2d(in_channels, dim, 3, padding=1)
        self.blocks = nn.Sequential(*(FMM(dim, levels, expansion) for _ in range(depth)))
        self.output = nn.Conv2d(dim, in_channels * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Enlarge pictures.

        Args:
            picture: (b, in_channels, h, w), height and width at least ``2**(levels - 1)``, that is 8.

        Returns:
            (b, in_channels, scale * h, scale * w).

        Raises:
            ValueError, TypeError: if the picture has another shape or another dtype than the weights.
        """
        check_input("SAFMN", picture, "b c h w", c=self.in_channels, at_least=self.smallest, like=self)
        x = self.embed(picture)                                             # b dim h w
        x = x + self.blocks(x)                                              # b dim h w
        return self.shuffle(self.output(x))                                 # b in_channels scale·h scale·w


def safmn(**config) -> SAFMN:
    """SAFMN for ×4: 239,520 parameters (×3: 232,695, ×2: 227,820). Settings: those of :class:`SAFMN`.

    SAFMN-L is ``safmn(dim=128, depth=16)``: 5,600,816 parameters.
    """
    return build("safmn", SAFMN, {}, config)
