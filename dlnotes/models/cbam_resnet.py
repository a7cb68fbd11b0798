"""CBAM-ResNet: a ResNet in which every block weighs its channels, then its places, before it adds them.

Source: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018, figure 3: the module stands at the end of the
residual branch, before the sum. The module itself, and where the released code differs from the paper, is in
:mod:`dlnotes.attention.cbam`. Departure from the authors' ``ResidualNet("ImageNet", 50, 1000, "CBAM")``: the mean at the end
is over all of the last map, whatever its size, and not over 7×7.
"""

from collections.abc import Sequence
from functools import partial

import torch

from dlnotes.attention.cbam import CBAM

from ._build import build
from .residual import ResidualNetwork
from .resnet import Bottleneck

__all__ = ["CBAMBottleneck", "CBAMResNet", "cbam_resnet50"]


class CBAMBottleneck(Bottleneck):
    """:class:`~dlnotes.models.resnet.Bottleneck` with CBAM after its last BatchNorm, before the sum.

    Args:
        in_channels: channels that come in.
        width: channels inside; ``4 * width`` go out.
        stride: of the 3×3 convolution.
        reduction: of the channel attention; divides ``4 * width``.
        kernel_size: of the spatial attention.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, reduction: int = 16, kernel_size: int = 7):
        super().__init__(in_channels, width, stride)
        self.cbam = CBAM(4 * width, reduction, kernel_size)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return self.cbam(super().residual(x))                               # b 4*width h/s w/s


class CBAMResNet(ResidualNetwork):
    """ResNet of :class:`CBAMBottleneck`.

    Args:
        layers: number of blocks in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        reduction: of every channel attention.
        kernel_size: of every spatial attention.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 reduction: int = 16, kernel_size: int = 7):
        block = partial(CBAMBottleneck, reduction=reduction, kernel_size=kernel_size)
        super().__init__(block, layers, width, in_channels, num_classes)


def cbam_resnet50(**config) -> CBAMResNet:
    """ResNet-50 with CBAM: 28,089,624 parameters. Settings: those of :class:`CBAMResNet`."""
    return build("cbam_resnet50", CBAMResNet, {"layers": (3, 4, 6, 3)}, config)
