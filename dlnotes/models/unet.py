"""U-Net as most people use it now: convolutions padded by 1, so that the output is as large as the input, and batch norm.

Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015; for
the network of the paper see :mod:`dlnotes.models.unet_2015`. Padding, batch norm (Ioffe and Szegedy, ICML 2015) and the
bilinear way up are those of the widely used Pytorch-UNet (milesial), whose weights load and give the same output.
Departure from it: convolutions start with the paper's Gaussian weights (variance 2/N). PyTorch's default lets the signal
shrink with every layer, which goes unnoticed only where batch norm follows.

Any size of at least 2^depth pixels works. Where a map has an odd side, pooling drops the last row or column; on the way back
the upsampled map is one short, and one row or column of zeros is added at its bottom or right.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers

from ._build import build

__all__ = ["UNet", "unet"]


class DoubleConv(nn.Sequential):
    """Two 3×3 convolutions that keep height and width, each followed by batch norm (if wanted) and a ReLU."""

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, norm: bool):
        def conv(c: int, d: int) -> list[nn.Module]:
            layer = nn.Conv2d(c, d, kernel_size=3, padding=1, bias=not norm)     # batch norm has a bias of its own
            return [layer, nn.BatchNorm2d(d), nn.ReLU()] if norm else [layer, nn.ReLU()]

        super().__init__(*conv(in_channels, mid_channels), *conv(mid_channels, out_channels))


class Concat(nn.Module):
    """U-Net's own join: the fine map and the coarse one side by side. The convolution after it weighs them."""

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([skip, x], dim=1)                                      # b 2c h w


class Add(nn.Module):
    """The join of residual networks: the sum. Half the input channels for the convolution after it."""

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return skip + x                                                         # b c h w


class Cut(nn.Module):
    """No skip at all: an hourglass. Whatever the output needs must pass through the bottom."""

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x                                                                # b c h w


JOINS = {"concat": Concat, "add": Add, "none": Cut}


class UNet(nn.Module):
    """U-Net with padded convolutions.

    Each join is a module, ``joins[0]`` the deepest, called with the fine map and the coarse one. To see what a skip of a
    trained network carries, silence it: a forward pre-hook on its join that returns ``(torch.zeros_like(skip), x)``.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output, one score per class.
        width: channels of the first level; they double with every level down.
        depth: number of poolings.
        up: the way up: ``"transposed"``, a learned 2×2 convolution with stride 2 that halves the channels, or
            ``"bilinear"``, interpolation, which learns nothing: there the convolutions before it halve the channels.
        norm: batch norm after every 3×3 convolution; without it they have biases.
        skip: how the two maps of a level are joined: ``"concat"``, ``"add"``, or ``"none"`` to see what skips are for.

    Raises:
        ValueError: if a size is not a positive integer, or ``up`` or ``skip`` is none of its choices.

    >>> UNet(width=8, depth=2)(torch.zeros(2, 3, 45, 62)).shape
    torch.Size([2, 2, 45, 62])
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 2, width: int = 64, depth: int = 4, up: str = "transposed",
                 norm: bool = True, skip: str = "concat"):
        super().__init__()
        owner = type(self).__name__
        check_integers(owner, in_channels=in_channels, num_classes=num_classes, width=width, depth=depth)
        check_choice(owner, ("transposed", "bilinear"), up=up)
        check_choice(owner, JOINS, skip=skip)
        self.in_channels = in_channels
        self.smallest = 2**depth                                                # pixels, so that one is left at the bottom
        widths = [width * 2**level for level in range(depth + 1)]               # 64 128 256 512 1024
        levels = list(reversed(range(depth)))                                   # the way up: 3 2 1 0
        self.encoder = nn.ModuleList(DoubleConv(c, d, d, norm) for c, d in zip([in_channels, *widths], widths[:-1]))
        if up == "transposed":
            sent_up = widths                                                    # what each level hands to the one above
            self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * widths[i], widths[i], kernel_size=2, stride=2) for i in levels)
        else:
            sent_up = [width, *widths[:-1]]
            self.ups = nn.ModuleList(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True) for _ in levels)
        self.bottom = DoubleConv(widths[-2], sent_up[-1], sent_up[-1], norm)
        self.joins = nn.ModuleList(JOINS[skip]() for _ in levels)
        joined = 2 if skip == "concat" else 1
        self.decoder = nn.ModuleList(DoubleConv(joined * widths[i], widths[i], sent_up[i], norm) for i in levels)
        self.head = nn.Conv2d(width, num_classes, kernel_size=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores of every pixel.

        Args:
            x: pictures (b, in_channels, h, w).

        Returns:
            (b, num_classes, h, w).

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input(type(self).__name__, x, "b c h w", c=self.in_channels, at_least=self.smallest, like=self)
        skips = []
        for conv in self.encoder:
            x = conv(x)                                                         # b c h w
            skips.append(x)
            x = F.max_pool2d(x, kernel_size=2)                                  # b c h/2 w/2, rounded down
        x = self.bottom(x)                                                      # b 2c h w
        for up, join, conv in zip(self.ups, self.joins, self.decoder):
            skip = skips.pop()
            x = _pad_to(up(x), skip)                                             # b c 2h 2w, one more where skip is odd
            x = conv(join(skip, x))                                             # b c 2h 2w
        return self.head(x)                                                     # b classes h w


def _pad_to(x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """Zeros at the bottom and right of x where pooling had dropped a row or column of skip."""
    bottom, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]      # 0 or 1
    return F.pad(x, (0, right, 0, bottom)) if bottom or right else x            # b c h w of skip


def unet(**config) -> UNet:
    """U-Net with padding and batch norm, three channels in, two classes out: 31,037,698 parameters.

    With ``up="bilinear"`` 17,263,042. Settings: those of :class:`UNet`.
    """
    return build("unet", UNet, {}, config)
