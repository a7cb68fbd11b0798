"""U-Net as published: a path down that finds out what is there, a path up that finds out where, and at every level a copy
of the fine map beside the coarse one. Nothing is padded, so each output pixel has seen only real pixels, the output is
smaller than the input, and the fine maps are cropped before they are copied.

Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
figure 1, section 2 (architecture) and section 3 (initial weights); section 3.1 puts dropout at the end of the contracting
path. The rate, 0.5 after each of the two deepest levels, is that of the released Caffe network.
Departures: none from figure 1. The released network differs from the figure, and so from this file: it has a ReLU after each
up-convolution, puts the coarse map first when it concatenates, and its last up-convolution keeps 128 channels.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability
from dlnotes.shapes import center_crop

from ._build import build

__all__ = ["UNet2015", "unet_2015"]


class DoubleConv(nn.Sequential):
    """Two 3×3 convolutions without padding, each followed by a ReLU: height and width shrink by 4."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=3), nn.ReLU(),     # b c h-2 w-2
            nn.Conv2d(out_channels, out_channels, kernel_size=3), nn.ReLU(),    # b c h-4 w-4
        )


class UNet2015(nn.Module):
    """U-Net with valid convolutions.

    Not every size works: each pooling must meet an even height and width. With four poolings those are 188, 204, 220, ...
    pixels, always 12 more than a multiple of 16; the output is smaller by 2 · ``border`` = 184.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output, one score per class.
        width: channels of the first level; they double with every level down.
        depth: number of poolings.
        dropout: after the deepest skip and the bottom, in training.

    Attributes:
        border: pixels that the output lacks on each side. To predict a whole picture, mirror that many pixels beyond its
            edge (section 2, "overlap-tile strategy").

    Raises:
        ValueError: if a size is not a positive integer, or ``dropout`` not in [0, 1).

    >>> model = UNet2015(width=8).eval()
    >>> model(torch.zeros(1, 1, 188, 220)).shape, model.border
    (torch.Size([1, 2, 4, 36]), 92)
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 2, width: int = 64, depth: int = 4, dropout: float = 0.5):
        super().__init__()
        check_integers("UNet2015", in_channels=in_channels, num_classes=num_classes, width=width, depth=depth)
        check_probability("UNet2015", dropout=dropout)
        self.in_channels, self.depth = in_channels, depth
        self.border = 6 * 2**depth - 4
        widths = [width * 2**level for level in range(depth + 1)]                       # 64 128 256 512 1024
        self.encoder = nn.ModuleList(DoubleConv(c, d) for c, d in zip([in_channels, *widths], widths[:-1]))
        self.bottom = DoubleConv(widths[-2], widths[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, kernel_size=2, stride=2) for c in reversed(widths[:-1]))
        self.decoder = nn.ModuleList(DoubleConv(2 * c, c) for c in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, num_classes, kernel_size=1)
        for part in (self.encoder[-1], self.bottom):                                    # the end of the way down
            part.append(nn.Dropout(dropout))
        self._initialise()

    def _initialise(self) -> None:
        """Gaussian weights of variance 2/N, where N inputs reach one output (section 3): each level keeps its scale."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                n = layer.weight[0].numel()
            elif isinstance(layer, nn.ConvTranspose2d):                                 # its 2×2 outputs do not overlap
                n = layer.in_channels
            else:
                continue
            nn.init.normal_(layer.weight, std=(2 / n) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores of the inner pixels.

        Args:
            x: pictures (b, in_channels, h, w); h and w are sizes that work.

        Returns:
            (b, num_classes, h - 2 border, w - 2 border).

        Raises:
            ValueError: if the shape does not fit; the message has the next sizes that do.
            TypeError: if the dtype is not that of the weights.
        """
        self._check(x)
        skips = []
        for conv in self.encoder:
            x = conv(x)                                                                 # b c h-4 w-4
            skips.append(x)
            x = F.max_pool2d(x, kernel_size=2)                                          # b c h/2 w/2
        x = self.bottom(x)                                                              # b 2c h-4 w-4
        for up, conv in zip(self.ups, self.decoder):
            x = up(x)                                                                   # b c 2h 2w
            copied = center_crop(skips.pop(), *x.shape[2:])                             # b c 2h 2w
            x = conv(torch.cat([copied, x], dim=1))                                     # b c 2h-4 2w-4
        return self.head(x)                                                             # b classes h w

    def next_size(self, side: int) -> int:
        """The smallest height or width of at least ``side`` that works.

        >>> UNet2015(width=1).next_size(570)
        572
        """
        # m pixels at the bottom come from 2^depth m + 8·2^depth - 4, and the output must keep one
        step, lost = 2**self.depth, 2 * self.border
        offset = 8 * step - 4
        m = max(-(-(side - offset) // step), -(-(lost + 1 - offset) // step))
        return step * m + offset

    def _check(self, x: torch.Tensor) -> None:
        check_input("UNet2015", x, "b c h w", c=self.in_channels, like=self)
        size = tuple(x.shape[2:])
        fitting = tuple(self.next_size(side) for side in size)
        if size != fitting:
            step = 2**self.depth
            raise ValueError(f"UNet2015: expected height and width of at least {self.next_size(1)} that are "
                             f"{-4 % step} more than a multiple of {step}, got {size}; the next that work are {fitting}: "
                             "mirror pixels beyond the edge with F.pad(x, (left, right, top, bottom), mode='reflect')")


def unet_2015(**config) -> UNet2015:
    """U-Net of figure 1, one channel in, two classes out: 31,030,658 parameters, 572 × 572 pixels to 388 × 388."""
    return build("unet_2015", UNet2015, {}, config)
