"""ShuffleNetV2: every block carries half of the channels on untouched, convolves the other half, and shuffles the two.

Designed by measured time, not by counted multiply-adds: equal widths on both sides of a 1×1, no grouped 1×1, few branches,
few element-wise passes. At stride 2 nothing is carried on: both branches convolve all channels, and the width doubles.

Source: Ma, Zhang, Zheng, Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018,
section 3.2, figure 3 (c) and (d), table 5.
Two networks go by this name. The paper's shuffles what it has concatenated, in 2 groups; torchvision's is that one, and
ours. The authors' released code differs in three places, and ``released=True`` follows it, to run their weights: it carries
the even channels on, where the paper carries on the first half; the first block gives its left branch 24 channels and not
half of 116; and the head has no bias.
"""

from collections.abc import Sequence

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers, check_numbers

from ._build import build
from ._conv import check_batch, conv_norm_act, fast_layout

__all__ = ["ShuffleNetV2", "concat_and_shuffle", "shufflenet_v2_x1_0"]


def concat_and_shuffle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Two maps (b, c, h, w) to one (b, 2c, h, w) whose channels come from x and y in turn, in a single copy.

    >>> from dlnotes.shapes import channel_shuffle
    >>> x, y = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    >>> torch.equal(concat_and_shuffle(x, y), channel_shuffle(torch.cat([x, y], dim=1), groups=2))
    True
    """
    return torch.stack([x, y], dim=2).flatten(1, 2)                             # b c 2 h w, then b (c 2) h w


class Block(nn.Module):
    """One unit: figure 3 (c) at stride 1, (d) at stride 2. A ReLU follows the 1×1 convolutions only."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, released: bool):
        super().__init__()
        self.stride, self.released = stride, released
        half = out_channels // 2
        each = half if stride == 1 else in_channels                             # what goes into a branch
        left = each if released else half                                       # what comes out of the left one
        self.left = nn.Identity() if stride == 1 else nn.Sequential(
            conv_norm_act(each, each, 3, stride, groups=each),
            conv_norm_act(each, left, 1, act=nn.ReLU))
        self.right = nn.Sequential(
            conv_norm_act(each, half, 1, act=nn.ReLU),
            conv_norm_act(half, half, 3, stride, groups=half),
            conv_norm_act(half, out_channels - left, 1, act=nn.ReLU))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 2:
            left, right = x, x                                                  # b c h w each
        elif self.released:
            left, right = x[:, 0::2], x[:, 1::2]                                # b c/2 h w each
        else:
            left, right = x.chunk(2, dim=1)                                     # b c/2 h w each
        left, right = self.left(left), self.right(right)
        if self.released:
            return torch.cat([left, right], dim=1)                              # b out h/s w/s
        return concat_and_shuffle(left, right)                                  # b out h/s w/s


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 of any width.

    Args:
        widths: channels of the stem, of the three stages (even), and before the mean. The paper's other sizes are
            (24, 48, 96, 192, 1024) for 0.5×, (24, 176, 352, 704, 1024) for 1.5× and (24, 244, 488, 976, 2048) for 2×.
        depths: blocks in each of the three stages; the first of them halves the map.
        in_channels: channels of the picture.
        num_classes: width of the head.
        released: the network of the authors' code, see above.

    Raises:
        ValueError: if an argument is none of these.

    >>> model = ShuffleNetV2(widths=(8, 16, 32, 64, 128), depths=(2, 2, 2), num_classes=10)
    >>> model(torch.randn(2, 3, 64, 96)).shape
    torch.Size([2, 10])
    """

    def __init__(self, widths: Sequence[int] = (24, 116, 232, 464, 1024), depths: Sequence[int] = (4, 8, 4),
                 in_channels: int = 3, num_classes: int = 1000, released: bool = False):
        super().__init__()
        check_numbers("ShuffleNetV2", widths=widths, depths=depths)
        if len(widths) != 5 or len(depths) != 3:
            raise ValueError(f"ShuffleNetV2: expected five widths and three depths, got {widths} and {depths}; "
                             "the widths are those of the stem, three stages and the last convolution")
        stem, *inside, last = widths
        check_integers("ShuffleNetV2", in_channels=in_channels, num_classes=num_classes, **_numbered("widths", widths),
                       **_numbered("depths", depths))
        check_divisible("ShuffleNetV2", "the number of branches", 2, **_numbered("widths", inside, start=1))
        if released and any(wide <= narrow for narrow, wide in zip(widths, inside)):
            raise ValueError(f"ShuffleNetV2: expected each stage wider than the one before, got widths={tuple(widths)}; the "
                             "released code has no room for the right branch otherwise, released=False has")
        self.in_channels = in_channels
        self.stem = conv_norm_act(in_channels, stem, 3, stride=2, act=nn.ReLU)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages, c = [], stem
        for width, depth in zip(inside, depths):
            stages.append(nn.Sequential(Block(c, width, 2, released), *(Block(width, width, 1, released)
                                                                        for _ in range(depth - 1))))
            c = width
        self.stages = nn.Sequential(*stages)
        self.last = conv_norm_act(c, last, 1, act=nn.ReLU)
        self.classifier = nn.Linear(last, num_classes, bias=not released)

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
        check_input("ShuffleNetV2", x, "b c h w", c=self.in_channels, like=self)
        check_batch(self, x, stride=32)
        x = self.pool(self.stem(fast_layout(x)))                                # b stem h/4 w/4
        x = self.last(self.stages(x))                                           # b last h/32 w/32
        return self.classifier(x.mean(dim=(2, 3)))                              # b classes


def _numbered(name: str, values: Sequence[int], start: int = 0) -> dict[str, int]:
    return {f"{name}[{i}]": value for i, value in enumerate(values, start)}


def shufflenet_v2_x1_0(**config) -> ShuffleNetV2:
    """ShuffleNetV2 1.0×: 2,278,604 parameters. Settings: those of :class:`ShuffleNetV2`."""
    return build("shufflenet_v2_x1_0", ShuffleNetV2, {}, config)
