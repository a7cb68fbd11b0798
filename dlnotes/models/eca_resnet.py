"""ECA-ResNet: a ResNet with the cheapest of channel gates: eighty parameters more in all of ResNet-50.

Source: Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", CVPR 2020, section 4; the
gate itself is :mod:`dlnotes.attention.eca`, at the end of the residual branch, before the sum.
Departure from the paper, following the released ResNet-50: the kernel sizes of the four stages are 3, 5, 5, 7. The formula
of equation 12 gives 5 for the 256 channels of the first stage. Parameters carry the authors' names.
"""

from collections.abc import Sequence

import torch

from dlnotes.attention.eca import ECA

from ._build import build
from .residual import ResidualNetwork
from .resnet import Bottleneck

__all__ = ["ECABottleneck", "ECAResNet", "eca_resnet50"]


class ECABottleneck(Bottleneck):
    """:class:`~dlnotes.models.resnet.Bottleneck` with ECA after its last BatchNorm, before the sum.

    Args:
        in_channels: channels that come in.
        width: channels inside; ``4 * width`` go out.
        stride: of the 3×3 convolution.
        kernel_size: of the gate, odd.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, kernel_size: int = 3):
        super().__init__(in_channels, width, stride)
        self.eca = ECA(kernel_size)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return self.eca(super().residual(x))                                # b 4*width h/s w/s


class ECAResNet(ResidualNetwork):
    """ResNet of :class:`ECABottleneck`.

    Args:
        layers: number of blocks in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        kernel_sizes: of the gates, one odd number for each stage.

    Raises:
        ValueError: if a setting has an impossible value, or there are not as many kernel sizes as stages.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 kernel_sizes: Sequence[int] = (3, 5, 5, 7)):
        if not isinstance(layers, Sequence) or not isinstance(kernel_sizes, Sequence) or len(kernel_sizes) != len(layers):
            raise ValueError(f"ECAResNet: expected one kernel size for each stage, got kernel_sizes={kernel_sizes!r} and "
                             f"layers={layers!r}; dlnotes.attention.eca.eca_kernel_size gives the paper's choice")
        of_width = {width * 2**i: size for i, size in enumerate(kernel_sizes)}

        def block(channels: int, of_stage: int, stride: int) -> ECABottleneck:
            return ECABottleneck(channels, of_stage, stride, of_width[of_stage])

        super().__init__(block, layers, width, in_channels, num_classes)


def eca_resnet50(**config) -> ECAResNet:
    """ResNet-50 with ECA: 25,557,112 parameters, 80 of them in the gates. Settings: those of :class:`ECAResNet`."""
    return build("eca_resnet50", ECAResNet, {"layers": (3, 4, 6, 3), "kernel_sizes": (3, 5, 5, 7)}, config)
