"""MobileNetV2: a stack of inverted residuals between a strided 3×3 and a 1×1 that widens before the mean over the map.

Most of a convolution's cost is mixing channels. Here wide maps are only ever convolved depth-wise, channel by channel, and
channels are mixed by 1×1 where the map is thin at one end. 3.5 million parameters and 0.3 GMACs at 224 × 224.

Source: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
With ``coordinate_attention=True`` it is the network of Hou, Zhou, Feng, "Coordinate Attention for Efficient Mobile Network
Design", CVPR 2021, as in the authors' ``mbv2_ca.py``: attention in the wide part of every block that has one, so not in the
first, whose expansion is 1. Their classifier drops 0.1, torchvision's 0.2.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability

from ._build import build
from ._conv import check_batch, conv_norm_act, fast_layout
from .mbconv import InvertedResidual

__all__ = ["MobileNetV2", "mobilenet_v2"]

# table 2: expansion t, channels c, repeats n, stride s of the first
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(nn.Module):
    """MobileNetV2 of any width.

    Args:
        stages: (expansion, channels, repeats, stride) of each stage; the stride is that of its first block.
        in_channels: channels of the picture.
        num_classes: width of the head.
        width: factor on all channels, which are then rounded to multiples of 8; the last 1280 only grow.
        dropout: before the head.
        coordinate_attention: give it to every block with an expansion above 1.

    Raises:
        ValueError: if an argument is none of these.

    >>> model = MobileNetV2(width=0.25, num_classes=10)
    >>> model(torch.randn(2, 3, 64, 96)).shape
    torch.Size([2, 10])
    """

    def __init__(self, stages: Sequence[tuple[int, int, int, int]] = _STAGES, in_channels: int = 3, num_classes: int = 1000,
                 width: float = 1.0, dropout: float = 0.2, coordinate_attention: bool = False):
        super().__init__()
        check_integers("MobileNetV2", in_channels=in_channels, num_classes=num_classes)
        check_probability("MobileNetV2", dropout=dropout)
        if not width > 0:
            raise ValueError(f"MobileNetV2: expected width above 0, got {width!r}; 1.0 is the network of the paper")
        if not stages or any(len(row) != 4 for row in stages):
            raise ValueError(f"MobileNetV2: expected stages of four numbers, got {stages}; write a row "
                             "(expansion, channels, repeats, stride) for each")
        self.in_channels, self.stride = in_channels, 2 * math.prod(stride for *_, stride in stages)
        c, last = _to_multiple_of_8(32 * width), _to_multiple_of_8(1280 * max(1.0, width))
        features = [conv_norm_act(in_channels, c, 3, stride=2, act=nn.ReLU6)]
        for expansion, channels, repeats, stride in stages:
            check_integers("MobileNetV2", channels=channels, repeats=repeats)
            out = _to_multiple_of_8(channels * width)
            for i in range(repeats):
                features.append(InvertedResidual(c, out, stride if i == 0 else 1, expansion,
                                                 coordinate_attention=coordinate_attention and expansion > 1))
                c = out
        features.append(conv_norm_act(c, last, 1, act=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(last, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores.

        Args:
            x: pictures (b, in_channels, h, w) of any size; the map before the mean has ⌈h/32⌉ × ⌈w/32⌉ places.

        Returns:
            (b, num_classes).

        Raises:
            ValueError: if the shape does not fit, or one small picture is all that there is to train on.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("MobileNetV2", x, "b c h w", c=self.in_channels, like=self)
        check_batch(self, x, self.stride)
        x = self.features(fast_layout(x))                                       # b last h/32 w/32
        x = x.mean(dim=(2, 3))                                                  # b last
        return self.classifier(self.dropout(x))                                 # b classes


def _to_multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and the next one up where that loses more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def mobilenet_v2(**config) -> MobileNetV2:
    """MobileNetV2 1.0: 3,504,872 parameters; 3,950,648 with ``coordinate_attention=True``."""
    return build("mobilenet_v2", MobileNetV2, {}, config)
