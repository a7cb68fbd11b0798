"""ResNeSt: convolution in several splits, and for every channel a choice between the splits, made from the whole picture.

The 3×3 convolution of a bottleneck makes ``radix`` candidates for each channel. A small network reads the mean of their sum
and gives each candidate a weight (softmax over the candidates), and the channel becomes their weighted sum.
Source: Zhang et al., "ResNeSt: Split-Attention Networks", CVPR Workshops 2022 (arXiv 2004.08955), section 3; the layout in
which radix comes before cardinality is that of its appendix. Around the block stands ResNet-D (He et al., "Bag of Tricks",
CVPR 2019), as in the authors' code: three 3×3 convolutions as stem, an average pool before the shortcut's projection. A
block's stride is an average pool too, after the split attention. Departure: no dropblock, which works only in training.
Parameters carry the authors' names, which are timm's too.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

from ._build import build
from .residual import ResidualBlock, ResidualNetwork, conv

__all__ = ["ResNeSt", "ResNeStBottleneck", "SplitAttention", "resnest101", "resnest50"]


class RadixSoftmax(nn.Module):
    """For every channel, weights of its ``radix`` candidates that sum to one; a sigmoid where there is only one."""

    def __init__(self, radix: int, cardinality: int):
        super().__init__()
        self.radix, self.cardinality = radix, cardinality

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        logits = rearrange(logits, "b (k r c) 1 1 -> b r (k c) 1 1", r=self.radix, k=self.cardinality)
        return logits.softmax(dim=1) if self.radix > 1 else logits.sigmoid()


class SplitAttention(nn.Module):
    """Split-attention convolution, from c to c channels.

    Args:
        channels: channels of the map, divisible by ``radix * cardinality``.
        radix: candidates for each channel, the paper's R.
        cardinality: groups that work side by side, as in ResNeXt; the paper's K.
        stride: of the convolution.
        reduction: the hidden layer has ``max(channels * radix // reduction, 32)`` channels.

    Raises:
        ValueError: if a setting is not a positive integer, or the channels do not divide.

    >>> layer = SplitAttention(64, radix=2)
    >>> layer(torch.randn(2, 64, 14, 10)).shape, sum(p.numel() for p in layer.parameters())
    (torch.Size([2, 64, 14, 10]), 43488)
    """

    def __init__(self, channels: int, radix: int = 2, cardinality: int = 1, stride: int = 1, reduction: int = 4):
        super().__init__()
        check_integers("SplitAttention", channels=channels, radix=radix, cardinality=cardinality, stride=stride,
                       reduction=reduction)
        check_divisible("SplitAttention", "radix * cardinality", radix * cardinality, channels=channels)
        self.channels, self.radix = channels, radix
        hidden = max(channels * radix // reduction, 32)
        check_divisible("SplitAttention", "cardinality", cardinality, hidden=hidden)
        self.conv = conv(channels, radix * channels, 3, stride, groups=radix * cardinality)
        self.bn0 = nn.BatchNorm2d(radix * channels)
        self.fc1 = nn.Conv2d(channels, hidden, 1, groups=cardinality)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, radix * channels, 1, groups=cardinality)
        self.rsoftmax = RadixSoftmax(radix, cardinality)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The candidates, weighted and summed.

        Args:
            x: (b, c, h, w).

        Returns:
            (b, c, h/stride, w/stride), rounded up. The weights (b, radix, c, 1, 1) are the output of ``self.rsoftmax``.

        Raises:
            ValueError: if the shape does not fit, or the batch is a single sample in training.
        """
        check_input("SplitAttention", x, "b c h w", c=self.channels, like=self)
        if self.training and len(x) == 1:
            raise ValueError("SplitAttention: expected a batch of at least 2 in training, got 1, and BatchNorm has "
                             "nothing to compare its means with; add samples, or call .eval()")
        splits = F.relu(self.bn0(self.conv(x))).unflatten(1, (self.radix, -1))      # b r c h/s w/s
        context = splits.sum(dim=1).mean(dim=(2, 3), keepdim=True)                  # b c 1 1, equation 1
        logits = self.fc2(F.relu(self.bn1(self.fc1(context))))                      # b (k r c/k) 1 1
        return (self.rsoftmax(logits) * splits).sum(dim=1)                          # b c h/s w/s, equation 2


class ResNeStBottleneck(ResidualBlock):
    """1×1 convolution, split attention, 1×1 convolution, and the shortcut around them.

    Args:
        in_channels: channels that come in.
        width: channels inside; ``4 * width`` go out.
        stride: taken by a 3×3 average pool after the split attention.
        radix, cardinality: of the split attention.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, radix: int = 2, cardinality: int = 1):
        check_integers("ResNeStBottleneck", width=width)
        super().__init__(in_channels, 4 * width, stride)
        self.conv1 = conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = SplitAttention(width, radix, cardinality)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.conv3 = conv(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        if stride > 1 or in_channels != 4 * width:                          # average, then project: ResNet-D's shortcut
            self.downsample = nn.Sequential(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                                            conv(in_channels, 4 * width, 1), nn.BatchNorm2d(4 * width))

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))                               # b width h w
        out = self.pool(self.conv2(out))                                    # b width h/s w/s
        return self.bn3(self.conv3(out))                                    # b 4*width h/s w/s


class ResNeSt(ResidualNetwork):
    """ResNeSt of any depth.

    Args:
        layers: number of blocks in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        stem_width: channels of the stem's first two convolutions; its third has twice as many.
        radix: splits of every split attention; 1 makes it a squeeze-and-excitation.
        cardinality: groups of every split attention.

    Raises:
        ValueError: if a setting has an impossible value.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 stem_width: int = 32, radix: int = 2, cardinality: int = 1):
        check_integers("ResNeSt", stem_width=stem_width)
        block = partial(ResNeStBottleneck, radix=radix, cardinality=cardinality)
        super().__init__(block, layers, width, in_channels, num_classes, stem_channels=2 * stem_width)
        self.conv1 = nn.Sequential(                                         # the place of the 7×7 convolution
            conv(in_channels, stem_width, 3, stride=2), nn.BatchNorm2d(stem_width), nn.ReLU(),          # b c h/2 w/2
            conv(stem_width, stem_width, 3), nn.BatchNorm2d(stem_width), nn.ReLU(),                     # b c h/2 w/2
            conv(stem_width, 2 * stem_width, 3))                                                        # b 2c h/2 w/2


def resnest50(**config) -> ResNeSt:
    """ResNeSt-50: 27,483,240 parameters. Settings: those of :class:`ResNeSt`."""
    return build("resnest50", ResNeSt, {"layers": (3, 4, 6, 3), "stem_width": 32}, config)


def resnest101(**config) -> ResNeSt:
    """ResNeSt-101: 48,275,016 parameters."""
    return build("resnest101", ResNeSt, {"layers": (3, 4, 23, 3), "stem_width": 64}, config)
