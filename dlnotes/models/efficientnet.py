"""EfficientNet: MBConv blocks in an architecture found by search, whose depth, width and picture grow together.

B0 is the small one from which all others of the first generation are scaled up. V2-S was searched again for training speed,
with FusedMBConv in its early stages, where depth-wise convolutions leave the hardware idle.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, table 1 (B0);
Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, table 4 (V2-S).
Departures: V2-S ends with 256 and 1280 channels, and its convolutions are padded evenly on both sides, as in torchvision;
TensorFlow pads a strided one by a pixel more at the bottom and right, and timm's ``tf_`` weights were trained so.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers, check_probability

from ._build import build
from ._conv import check_batch, conv_norm_act, fast_layout
from .mbconv import FusedMBConv, MBConv

__all__ = ["EfficientNet", "Stage", "efficientnet_b0", "efficientnet_v2_s"]


class Stage(NamedTuple):
    """One row of the papers' tables: ``repeats`` blocks of a kind, the first of them with the stride."""

    block: str                  # "mbconv" or "fused"
    expansion: int
    kernel_size: int
    stride: int
    channels: int
    repeats: int


_BLOCKS = {"mbconv": MBConv, "fused": FusedMBConv}

_B0 = (
    Stage("mbconv", 1, 3, 1, 16, 1),
    Stage("mbconv", 6, 3, 2, 24, 2),
    Stage("mbconv", 6, 5, 2, 40, 2),
    Stage("mbconv", 6, 3, 2, 80, 3),
    Stage("mbconv", 6, 5, 1, 112, 3),
    Stage("mbconv", 6, 5, 2, 192, 4),
    Stage("mbconv", 6, 3, 1, 320, 1),
)
_V2_S = (
    Stage("fused", 1, 3, 1, 24, 2),
    Stage("fused", 4, 3, 2, 48, 4),
    Stage("fused", 4, 3, 2, 64, 4),
    Stage("mbconv", 4, 3, 2, 128, 6),
    Stage("mbconv", 6, 3, 1, 160, 9),
    Stage("mbconv", 6, 3, 2, 256, 15),
)


class EfficientNet(nn.Module):
    """EfficientNet of the first or second generation.

    Args:
        stages: rows (block, expansion, kernel size, stride, channels, repeats), as :class:`Stage`.
        in_channels: channels of the picture.
        num_classes: width of the head.
        stem: channels after the first convolution.
        last: channels before the mean over the map.
        dropout: before the head.
        drop_path: of stochastic depth; block i of n is left out in training with probability ``drop_path · i / n``.
        eps: of the batch norms.

    Raises:
        ValueError: if an argument is none of these.

    >>> rows = [Stage("fused", 1, 3, 1, 8, 1), Stage("mbconv", 4, 5, 2, 16, 2)]
    >>> model = EfficientNet(rows, num_classes=10, stem=8, last=64)
    >>> model(torch.randn(2, 3, 32, 48)).shape
    torch.Size([2, 10])
    """

    def __init__(self, stages: Sequence[Stage] = _B0, in_channels: int = 3, num_classes: int = 1000, stem: int = 32,
                 last: int = 1280, dropout: float = 0.2, drop_path: float = 0.2, eps: float = 1e-5):
        super().__init__()
        check_integers("EfficientNet", in_channels=in_channels, num_classes=num_classes, stem=stem, last=last)
        check_probability("EfficientNet", dropout=dropout, drop_path=drop_path)
        if not stages or any(len(row) != len(Stage._fields) for row in stages):
            raise ValueError(f"EfficientNet: expected stages of six entries, got {stages}; write a row "
                             f"({', '.join(Stage._fields)}) for each")
        rows = [Stage(*row) for row in stages]
        for row in rows:
            check_choice("EfficientNet", _BLOCKS, block=row.block)
            check_integers("EfficientNet", repeats=row.repeats, stride=row.stride)
        self.in_channels, self.stride = in_channels, 2 * math.prod(row.stride for row in rows)
        features = [conv_norm_act(in_channels, stem, 3, stride=2, act=nn.SiLU, eps=eps)]
        depth = sum(row.repeats for row in rows)
        c, rates = stem, iter([drop_path * i / depth for i in range(depth)])
        for block, expansion, kernel_size, stride, channels, repeats in rows:
            stage = nn.Sequential()
            for i in range(repeats):
                stage.append(_BLOCKS[block](c, channels, kernel_size, stride if i == 0 else 1, expansion, next(rates), eps))
                c = channels
            features.append(stage)
        features.append(conv_norm_act(c, last, 1, act=nn.SiLU, eps=eps))
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
        limit = self.classifier.out_features ** -0.5
        nn.init.uniform_(self.classifier.weight, -limit, limit)
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
        check_input("EfficientNet", x, "b c h w", c=self.in_channels, like=self)
        check_batch(self, x, self.stride)
        x = self.features(fast_layout(x))                                       # b last h/32 w/32
        x = x.mean(dim=(2, 3))                                                  # b last
        return self.classifier(self.dropout(x))                                 # b classes


def efficientnet_b0(**config) -> EfficientNet:
    """EfficientNet-B0: 5,288,548 parameters. Settings: those of :class:`EfficientNet`."""
    return build("efficientnet_b0", EfficientNet, {"stages": _B0}, config)


def efficientnet_v2_s(**config) -> EfficientNet:
    """EfficientNetV2-S: 21,458,488 parameters; its batch norms have an eps of 1e-3."""
    return build("efficientnet_v2_s", EfficientNet, {"stages": _V2_S, "stem": 24, "eps": 1e-3}, config)
