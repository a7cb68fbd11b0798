"""SE-ResNet: a ResNet in which every block turns its channels up or down before it adds them.

Source: Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3.3, figure 3: the gate stands at the end of
the residual branch, before the sum. The gate itself is :mod:`dlnotes.attention.squeeze_excitation`.
Departure: stride in the 3×3 convolution, as timm's ``seresnet50``, whose names the parameters carry. The authors' networks
have it in the first 1×1, which is ``stride_in="1x1"``, and pool without padding after the stem, which is not offered.
"""

from collections.abc import Sequence
from functools import partial

import torch

from dlnotes.attention.squeeze_excitation import SqueezeExcitation

from ._build import build
from .residual import ResidualNetwork
from .resnet import Bottleneck

__all__ = ["SEBottleneck", "SEResNet", "se_resnet50"]


class SEBottleneck(Bottleneck):
    """:class:`~dlnotes.models.resnet.Bottleneck` with squeeze-and-excitation after its last BatchNorm, before the sum.

    Args:
        in_channels: channels that come in.
        width: channels inside; ``4 * width`` go out.
        stride: of the convolution named by ``stride_in``.
        stride_in: ``"3x3"`` or ``"1x1"``.
        reduction: of the squeeze-and-excitation; divides ``4 * width``.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, stride_in: str = "3x3", reduction: int = 16):
        super().__init__(in_channels, width, stride, stride_in)
        self.se = SqueezeExcitation(4 * width, reduction)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return self.se(super().residual(x))                                 # b 4*width h/s w/s


class SEResNet(ResidualNetwork):
    """ResNet of :class:`SEBottleneck`.

    Args:
        layers: number of blocks in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        stride_in: the convolution that takes a block's stride: ``"3x3"``, or ``"1x1"`` as in the authors' networks.
        reduction: of every squeeze-and-excitation.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 stride_in: str = "3x3", reduction: int = 16):
        block = partial(SEBottleneck, stride_in=stride_in, reduction=reduction)
        super().__init__(block, layers, width, in_channels, num_classes)


def se_resnet50(**config) -> SEResNet:
    """SE-ResNet-50: 28,088,024 parameters, 2,530,992 of them in the gates. Settings: those of :class:`SEResNet`."""
    return build("se_resnet50", SEResNet, {"layers": (3, 4, 6, 3)}, config)
