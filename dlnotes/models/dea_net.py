"""DEA-Net: removes haze with three levels of blocks that look for details, and mixes the levels pixel by pixel.

Haze washes out contrast, so four of the five kernels in every first convolution see differences only (DEConv); the blocks of
the deepest level also decide, for every channel of every pixel, how much their result counts (content-guided attention).

Source: Chen, He, Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced Convolution and Content-Guided Attention",
IEEE TIP 33, 2024, section III.
Departures: the fusions apply one sigmoid, as the formula has it. The released code applies two; give ``released=True`` to
run the authors' weights. As there, the picture itself is not added to the output, and the first level has no skip.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.restoration.cga import CGAFusion
from dlnotes.restoration.deab import DEAB, DEB
from dlnotes.restoration.deconv import fold

from ._build import build

__all__ = ["DEANet", "dea_net"]


class Up(nn.Module):
    """Twice the height and width by a transposed convolution."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, channels, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x))                                 # b c 2h 2w


class Down(nn.Module):
    """Half the height and width by a convolution of stride 2."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x))                                 # b c h/2 w/2


class DEANet(nn.Module):
    """DEA-Net, in the form for inference or, with five kernels in every DEConv, in the form for training.

    Args:
        in_channels: channels of the picture, and of the clean one.
        width: channels of the first level; twice and four times as many in the next two. A multiple of 2, so that the
            bottlenecks of the attention divide.
        depths: DEBs on the way down (and as many on the way up) of levels 1 and 2, and DEABs of level 3.
        training_form: learn five kernels in every DEConv; :meth:`fold` makes one of them.
        released: two sigmoids in the fusions, as the authors' code has and their weights need.

    Raises:
        ValueError: if a setting is not a positive integer, ``width`` is odd, or ``depths`` has not three of them.

    >>> model = DEANet(width=8, depths=(1, 1, 2), training_form=True)
    >>> x = torch.randn(1, 3, 16, 24)
    >>> model(x).shape, torch.allclose(model(x), model.fold()(x), atol=1e-5)
    (torch.Size([1, 3, 16, 24]), True)
    """

    def __init__(self, in_channels: int = 3, width: int = 32, depths: tuple[int, int, int] = (4, 4, 8),
                 training_form: bool = False, released: bool = False):
        super().__init__()
        check_integers("DEANet", in_channels=in_channels, width=width)
        if not isinstance(depths, (tuple, list)) or len(depths) != 3:
            raise ValueError(f"DEANet: expected depths of three levels, got {depths!r}; (4, 4, 8) is usual")
        check_integers("DEANet", **{f"depths[{i}]": depth for i, depth in enumerate(depths)})
        if width % 2:
            raise ValueError(f"DEANet: expected an even width, got {width}; 32 is usual")
        self.in_channels = in_channels
        c1, c2, c3 = width, 2 * width, 4 * width

        def debs(channels: int, depth: int) -> list[nn.Module]:
            return [DEB(channels, training_form) for _ in range(depth)]

        self.stem = nn.Conv2d(in_channels, c1, 3, padding=1)
        self.encoder1 = nn.Sequential(*debs(c1, depths[0]))
        self.down2 = Down(c1, c2)
        self.encoder2 = nn.Sequential(nn.Conv2d(c2, c2, 3, padding=1), *debs(c2, depths[1]))
        self.down3 = Down(c2, c3)
        self.level3 = nn.Sequential(nn.Conv2d(c3, c3, 3, padding=1),
                                    *(DEAB(c3, 8, training_form) for _ in range(depths[2])))
        self.fuse3 = CGAFusion(c3, 8, released)
        self.up2 = Up(c3, c2)
        self.decoder2 = nn.Sequential(*debs(c2, depths[1]))
        self.fuse2 = CGAFusion(c2, 4, released)
        self.up1 = Up(c2, c1)
        self.decoder1 = nn.Sequential(*debs(c1, depths[0]))
        self.out = nn.Conv2d(c1, in_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take the haze out of pictures.

        Args:
            x: hazy pictures (b, in_channels, h, w); h and w divisible by 4, and at least 16.

        Returns:
            Clean pictures (b, in_channels, h, w).

        Raises:
            ValueError: if the pictures have another shape.
        """
        check_input("DEANet", x, "b c h w", c=self.in_channels, multiple=4, at_least=16, like=self)
        x1 = self.encoder1(self.stem(x))                            # b c1 h w
        x2 = self.down2(x1)                                         # b c2 h/2 w/2
        x3 = self.down3(self.encoder2(x2))                          # b c3 h/4 w/4
        y3 = self.fuse3(x3, self.level3(x3))                        # b c3 h/4 w/4
        y2 = self.decoder2(self.up2(y3))                            # b c2 h/2 w/2
        y2 = self.fuse2(x2, y2)                                     # b c2 h/2 w/2
        y1 = self.decoder1(self.up1(y2))                            # b c1 h w
        return self.out(y1)                                         # b in_channels h w

    def fold(self) -> "DEANet":
        """A copy in the form for inference: every DEConv becomes the one convolution that computes the same."""
        return fold(self)


def dea_net(**config) -> DEANet:
    """DEA-Net: 3,653,377 parameters, 7,789,313 in the form for training. Settings: those of :class:`DEANet`."""
    return build("dea_net", DEANet, {}, config)
