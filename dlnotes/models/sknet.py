"""SKNet: a ResNeXt whose 3×3 convolution is replaced by two of different reach, between which every channel chooses.

Source: Li, Wang, Hu and Yang, "Selective Kernel Networks", CVPR 2019, section 3.2 and table 1 (SKNet-50 is built of
SK[2, 32, 16]). The convolution itself is :mod:`dlnotes.attention.selective_kernel`.
Departure: none from the authors' SKNet-50, by its parameter count. timm's ``skresnext50_32x4d`` is the same network.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_integers
from dlnotes.attention.selective_kernel import SelectiveKernel

from ._build import build
from .residual import ResidualBlock, ResidualNetwork, conv

__all__ = ["SKNet", "SKUnit", "sknet50"]


class SKUnit(ResidualBlock):
    """1×1 convolution to ``2 * width`` channels, SK convolution, 1×1 convolution to ``4 * width``, and the shortcut.

    Args:
        in_channels: channels that come in.
        width: half the channels inside, a quarter of those that go out.
        stride: of the SK convolution.
        groups, branches, reduction, minimum: of the SK convolution.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, groups: int = 32, branches: int = 2,
                 reduction: int = 16, minimum: int = 32):
        check_integers("SKUnit", width=width)
        super().__init__(in_channels, 4 * width, stride)
        self.conv1 = conv(in_channels, 2 * width, 1)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.conv2 = SelectiveKernel(2 * width, stride, groups, branches, reduction, minimum)
        self.conv3 = conv(2 * width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))                               # b 2*width h w
        out = self.conv2(out)                                               # b 2*width h/s w/s, its branches end in a ReLU
        return self.bn3(self.conv3(out))                                    # b 4*width h/s w/s


class SKNet(ResidualNetwork):
    """Network of SK units.

    Args:
        layers: number of units in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        groups: cardinality of the branches; the paper's G.
        branches: how many kernels there are to choose between; the paper's M.
        reduction: narrowing of the selection's hidden layer; the paper's r.
        minimum: least width of that layer; the paper's L.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 groups: int = 32, branches: int = 2, reduction: int = 16, minimum: int = 32):
        unit = partial(SKUnit, groups=groups, branches=branches, reduction=reduction, minimum=minimum)
        super().__init__(unit, layers, width, in_channels, num_classes)


def sknet50(**config) -> SKNet:
    """SKNet-50: 27,479,784 parameters. Settings: those of :class:`SKNet`."""
    return build("sknet50", SKNet, {"layers": (3, 4, 6, 3)}, config)
