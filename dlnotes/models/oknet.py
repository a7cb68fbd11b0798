"""OKNet: a convolutional U-Net with one omni-kernel module at its deepest point, where the map is small.

The picture enters at three sizes and leaves at three: each output is a correction, added to the input of its size, and in
training each has its loss.

Source: Cui, Ren, Knoll, "Omni-Kernel Network for Image Restoration", AAAI 2024. The frame of three inputs and outputs is
that of Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring" (MIMO-UNet), ICCV 2021.
Departures: 295,168 parameters that the released code makes and never uses are left out (see dlnotes.restoration.okm). The
outputs come with the full size first. As there, the smaller inputs are every second pixel, without smoothing, and the last
convolution before an instance norm has a bias, which that norm takes away again.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.restoration.okm import OmniKernel

from ._build import build

__all__ = ["OKNet", "oknet"]


class ConvGELU(nn.Module):
    """A convolution, then a GELU (the exact one)."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.conv(x))                                 # b c h/stride w/stride


class Up(nn.Module):
    """Twice the height and width by a transposed convolution, then a GELU."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, channels, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.conv(x))                                 # b c 2h 2w


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions beside the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.gelu(self.conv1(x)))                # b c h w


class ShallowFeatures(nn.Module):
    """Features of a smaller input, made to the width of its level (SCM in the code)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv1 = ConvGELU(in_channels, channels // 4, 3)
        self.conv2 = ConvGELU(channels // 4, channels // 2, 1)
        self.conv3 = ConvGELU(channels // 2, channels // 2, 3)
        self.conv4 = nn.Conv2d(channels // 2, channels, 1)
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv4(self.conv3(self.conv2(self.conv1(x)))))     # b c h w


class OKNet(nn.Module):
    """OKNet of any size.

    Args:
        in_channels: channels of the picture, and of the restored one.
        width: channels of the first level, even; twice and four times as many in the next two.
        depth: residual blocks of each level, on the way down and on the way up.
        kernel_size: of the omni-kernel module, in pixels of the deepest level; odd.

    Raises:
        ValueError: if a setting is not a positive integer, ``width`` is odd or ``kernel_size`` even.

    >>> full, half, quarter = OKNet(width=8, depth=1)(torch.zeros(1, 3, 16, 24))
    >>> full.shape, half.shape, quarter.shape
    (torch.Size([1, 3, 16, 24]), torch.Size([1, 3, 8, 12]), torch.Size([1, 3, 4, 6]))
    """

    def __init__(self, in_channels: int = 3, width: int = 32, depth: int = 4, kernel_size: int = 63):
        super().__init__()
        check_integers("OKNet", in_channels=in_channels, width=width, depth=depth)
        if width % 2:
            raise ValueError(f"OKNet: expected an even width, got {width}; 32 is usual")
        self.in_channels = in_channels
        c1, c2, c3 = width, 2 * width, 4 * width

        def blocks(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))

        self.stem = ConvGELU(in_channels, c1, 3)
        self.encoder1 = blocks(c1)
        self.down2 = ConvGELU(c1, c2, 3, stride=2)
        self.input2 = ShallowFeatures(in_channels, c2)
        self.merge2 = nn.Conv2d(2 * c2, c2, 3, padding=1)
        self.encoder2 = blocks(c2)
        self.down3 = ConvGELU(c2, c3, 3, stride=2)
        self.input3 = ShallowFeatures(in_channels, c3)
        self.merge3 = nn.Conv2d(2 * c3, c3, 3, padding=1)
        self.encoder3 = blocks(c3)
        self.bottleneck = OmniKernel(c3, kernel_size)
        self.decoder3 = blocks(c3)
        self.out3 = nn.Conv2d(c3, in_channels, 3, padding=1)
        self.up2 = Up(c3, c2)
        self.join2 = ConvGELU(2 * c2, c2, 1)
        self.decoder2 = blocks(c2)
        self.out2 = nn.Conv2d(c2, in_channels, 3, padding=1)
        self.up1 = Up(c2, c1)
        self.join1 = ConvGELU(2 * c1, c1, 1)
        self.decoder1 = blocks(c1)
        self.out1 = nn.Conv2d(c1, in_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Restore pictures.

        Args:
            x: degraded pictures (b, in_channels, h, w); h and w divisible by 4, and at least 8.

        Returns:
            Restored pictures at three sizes: (b, in_channels, h, w), half and a quarter of that height and width.

        Raises:
            ValueError: if the pictures have another shape.
        """
        check_input("OKNet", x, "b c h w", c=self.in_channels, multiple=4, at_least=8, like=self)
        half = x[:, :, ::2, ::2]                                                    # b in_channels h/2 w/2
        quarter = half[:, :, ::2, ::2]                                              # b in_channels h/4 w/4

        x1 = self.encoder1(self.stem(x))                                            # b c1 h w
        x2 = self.merge2(torch.cat([self.down2(x1), self.input2(half)], dim=1))     # b c2 h/2 w/2
        x2 = self.encoder2(x2)                                                      # b c2 h/2 w/2
        x3 = self.merge3(torch.cat([self.down3(x2), self.input3(quarter)], dim=1))  # b c3 h/4 w/4
        x3 = self.bottleneck(self.encoder3(x3))                                     # b c3 h/4 w/4

        y3 = self.decoder3(x3)                                                      # b c3 h/4 w/4
        y2 = self.decoder2(self.join2(torch.cat([self.up2(y3), x2], dim=1)))        # b c2 h/2 w/2
        y1 = self.decoder1(self.join1(torch.cat([self.up1(y2), x1], dim=1)))        # b c1 h w
        return x + self.out1(y1), half + self.out2(y2), quarter + self.out3(y3)


def oknet(**config) -> OKNet:
    """OKNet: 4,427,689 parameters, 2,102,569 with ``depth=1``. Settings: those of :class:`OKNet`."""
    return build("oknet", OKNet, {}, config)
