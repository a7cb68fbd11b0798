"""Channel and spatial attention of DNA-Net: inside a residual block, first weigh the channels, then the places.

Source: Li et al., "Dense Nested Attention Network for Infrared Small Target Detection", IEEE TIP 32, 2023, section III
(CSAM); class ``Res_CBAM_block`` of the authors' code, with its names. It is CBAM (Woo et al., ECCV 2018) with three
differences that do not show in a diagram: the bottleneck's layers have no biases, the spatial gate sees [mean; maximum]
where CBAM's sees [maximum; mean], and it has no batch norm.
Departures: none. The authors' convolutions have biases, which the batch norm after them cancels; so have ours.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["CSAM", "CSAMBlock"]


class ChannelGate(nn.Module):
    """One weight per channel (b, c, 1, 1): mean and maximum through one bottleneck, summed, between 0 and 1."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, kernel_size=1, bias=False)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // reduction, channels, kernel_size=1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)])     # 2b c 1 1
        mean, maximum = self.fc2(self.relu1(self.fc1(both))).chunk(2)                               # each b c 1 1
        return self.sigmoid(mean + maximum)


class SpatialGate(nn.Module):
    """One weight per place (b, 1, h, w): mean and maximum over the channels through a 7×7 convolution, between 0 and 1."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)        # b 2 h w
        return self.sigmoid(self.conv1(both))                                                       # b 1 h w


class CSAM(nn.Module):
    """Channel attention, then spatial attention of what it left.

    Args:
        channels: of the map, divisible by ``reduction``.
        reduction: the channel gate has a bottleneck of ``channels / reduction``.

    Raises:
        ValueError: if a size is not a positive integer, or does not divide.

    >>> attend = CSAM(32)
    >>> attend(torch.zeros(2, 32, 9, 7)).shape, sum(p.numel() for p in attend.parameters()) == 2 * 32 * 2 + 98
    (torch.Size([2, 32, 9, 7]), True)
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        check_integers("CSAM", channels=channels, reduction=reduction)
        check_divisible("CSAM", "reduction", reduction, channels=channels)
        self.channels = channels
        self.ca = ChannelGate(channels, reduction)
        self.sa = SpatialGate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gated features (b, channels, h, w) of features of that shape; raises ValueError where they do not fit."""
        check_input("CSAM", x, "b c h w", c=self.channels, like=self)
        x = x * self.ca(x)                                                  # b c h w
        return x * self.sa(x)                                               # b c h w


class CSAMBlock(nn.Module):
    """Two 3×3 convolutions and CSAM, around which the input is added: the node of DNA-Net.

    Args:
        in_channels: of the input. Where it differs from ``out_channels``, the shortcut is a 1×1 convolution with batch norm.
        out_channels: of the output, a multiple of 16, the reduction of the channel gate.
        residual: with the shortcut, as in the ResNet forms; without it, as in the VGG form (``VGG_CBAM_Block``).

    Raises:
        ValueError: if a size is not a positive integer, or ``out_channels`` no multiple of 16.

    >>> block = CSAMBlock(16, 32)
    >>> block(torch.zeros(2, 16, 8, 8)).shape, sum(p.numel() for p in block.parameters())
    (torch.Size([2, 32, 8, 8]), 14850)
    """

    def __init__(self, in_channels: int, out_channels: int, residual: bool = True):
        super().__init__()
        check_integers("CSAMBlock", in_channels=in_channels, out_channels=out_channels)
        check_divisible("CSAMBlock", "the channel gate's reduction", 16, out_channels=out_channels)
        self.in_channels, self.residual = in_channels, residual
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.attention = CSAM(out_channels)
        self.relu2 = nn.ReLU()
        if residual and in_channels != out_channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=1), nn.BatchNorm2d(out_channels))
        else:
            self.shortcut = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (b, out_channels, h, w) of features (b, in_channels, h, w); raises ValueError where they do not fit."""
        check_input("CSAMBlock", x, "b c h w", c=self.in_channels, like=self)
        out = self.relu1(self.bn1(self.conv1(x)))                           # b d h w
        out = self.attention(self.bn2(self.conv2(out)))                     # b d h w
        return self.relu2(out + self.shortcut(x) if self.residual else out)
