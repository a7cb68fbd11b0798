"""Pre-activation: normalise and rectify *before* each convolution, so that the sum runs from block to block untouched.

In the first ResNet a ReLU stands on that path. Here nothing does: x_L is x_l plus the sum of all F between them, and the
gradient that reaches an early block contains the gradient of the last one as a term of its own.
Source: He, Zhang, Ren and Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, section 2 (equations 4 and 5) and
figure 4e. Where the shapes change, the shortcut reads the activated map, and its projection has no BatchNorm, as in the
authors' code.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers

from .residual import conv, shortcut_around

__all__ = ["PreActBasicBlock", "PreActBottleneck"]


class PreActBlock(nn.Module):
    """y = F(x) + x, with nothing after the sum. F is ``bn1`` and a ReLU, then what a subclass says in ``residual``."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: str):
        super().__init__()
        check_integers(type(self).__name__, in_channels=in_channels, stride=stride)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.keeps_shape = stride == 1 and in_channels == out_channels
        self.downsample = shortcut_around(in_channels, out_channels, stride, shortcut, norm=False)
        self.bn1 = nn.BatchNorm2d(in_channels)

    def residual(self, active: torch.Tensor) -> torch.Tensor:
        """The rest of F, from the activated map (b, in_channels, h, w) to (b, out_channels, h/stride, w/stride)."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block: (b, in_channels, h, w) to (b, out_channels, h/stride, w/stride), sizes rounded up."""
        check_input(type(self).__name__, x, "b c h w", c=self.in_channels, like=self)
        active = F.relu(self.bn1(x))                                        # b c h w
        out = self.residual(active)                                         # b c' h/s w/s
        if self.downsample is None:                                         # a plain network
            return out
        return out + self.downsample(x if self.keeps_shape else active)     # b c' h/s w/s


class PreActBasicBlock(PreActBlock):
    """BatchNorm, ReLU, 3×3 convolution, twice; then the sum.

    Args:
        in_channels: channels that come in.
        width: channels of both convolutions and of the output.
        stride: of the first convolution.
        shortcut: as in :class:`dlnotes.models.resnet.ResNet`.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: str = "projection"):
        check_integers(type(self).__name__, width=width)
        super().__init__(in_channels, width, stride, shortcut)
        self.conv1 = conv(in_channels, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)

    def residual(self, active: torch.Tensor) -> torch.Tensor:
        out = self.conv1(active)                                            # b width h/s w/s
        return self.conv2(F.relu(self.bn2(out)))                            # b width h/s w/s


class PreActBottleneck(PreActBlock):
    """BatchNorm, ReLU and a convolution, three times: 1×1 to ``width``, 3×3, 1×1 to ``4 * width``; then the sum.

    Args:
        in_channels: channels that come in.
        width: channels inside.
        stride: of the convolution named by ``stride_in``.
        stride_in: ``"3x3"``, or ``"1x1"`` as in the authors' code.
        shortcut: as in :class:`dlnotes.models.resnet.ResNet`.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, stride_in: str = "3x3", shortcut: str = "projection"):
        check_integers(type(self).__name__, width=width)
        super().__init__(in_channels, 4 * width, stride, shortcut)
        check_choice("PreActBottleneck", ("3x3", "1x1"), stride_in=stride_in)
        self.conv1 = conv(in_channels, width, 1, stride if stride_in == "1x1" else 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if stride_in == "3x3" else 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, 4 * width, 1)

    def residual(self, active: torch.Tensor) -> torch.Tensor:
        out = self.conv1(active)                                            # b width h w
        out = self.conv2(F.relu(self.bn2(out)))                             # b width h/s w/s
        return self.conv3(F.relu(self.bn3(out)))                            # b 4*width h/s w/s
