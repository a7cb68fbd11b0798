"""ResNet: layers that learn only what to add to their input, so that a hundred of them still train.

Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016: figure 5 (the two blocks),
table 1 (the networks), section 4.2 (:func:`resnet_cifar`). What all networks of the family share is in ``residual.py``.
The options are the experiments around it: the plain network (section 4.1), shortcuts A and B (section 3.3), pre-activation
(He et al., ECCV 2016), a last γ that starts at zero (Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 5.1).
Departure: a bottleneck has its stride in the 3×3 convolution, as torchvision's and Facebook's Torch code, which costs 6 %
more multiply-adds; the paper's place is ``stride_in="1x1"``. Parameters carry torchvision's names, which are timm's too.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_integers

from ._build import build
from .preactivation import PreActBasicBlock, PreActBottleneck
from .residual import ResidualBlock, ResidualNetwork, conv

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
           "resnet_cifar"]


class BasicBlock(ResidualBlock):
    """Two 3×3 convolutions and the shortcut around them (figure 5, left).

    Args:
        in_channels: channels that come in.
        width: channels of both convolutions and of the output.
        stride: of the first convolution.
        shortcut: as in :class:`ResNet`.

    Raises:
        ValueError: if a setting has an impossible value.

    >>> BasicBlock(16, width=32, stride=2)(torch.randn(2, 16, 14, 10)).shape
    torch.Size([2, 32, 7, 5])
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: str = "projection"):
        check_integers(type(self).__name__, width=width)
        super().__init__(in_channels, width, stride, shortcut)
        self.conv1 = conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))                               # b width h/s w/s
        return self.bn2(self.conv2(out))                                    # b width h/s w/s


class Bottleneck(ResidualBlock):
    """1×1 convolution down to ``width``, 3×3, 1×1 up to ``4 * width``, and the shortcut around them (figure 5, right).

    Args:
        in_channels: channels that come in.
        width: channels inside.
        stride: of the convolution named by ``stride_in``.
        stride_in: ``"3x3"``, or ``"1x1"`` as in the paper.
        shortcut: as in :class:`ResNet`.

    Raises:
        ValueError: if a setting has an impossible value.

    >>> Bottleneck(64, width=64)(torch.randn(2, 64, 14, 10)).shape
    torch.Size([2, 256, 14, 10])
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, stride_in: str = "3x3", shortcut: str = "projection"):
        check_integers(type(self).__name__, width=width)
        super().__init__(in_channels, 4 * width, stride, shortcut)
        check_choice(type(self).__name__, ("3x3", "1x1"), stride_in=stride_in)
        self.conv1 = conv(in_channels, width, 1, stride if stride_in == "1x1" else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if stride_in == "3x3" else 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))                               # b width h w
        out = F.relu(self.bn2(self.conv2(out)))                             # b width h/s w/s
        return self.bn3(self.conv3(out))                                    # b 4*width h/s w/s


_BLOCKS = {("basic", False): BasicBlock, ("bottleneck", False): Bottleneck,
           ("basic", True): PreActBasicBlock, ("bottleneck", True): PreActBottleneck}


class ResNet(ResidualNetwork):
    """ResNet of any depth, with the experiments of its papers as options.

    Args:
        layers: number of blocks in each stage.
        block: ``"basic"`` or ``"bottleneck"``.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: width of the first stage; each further stage doubles it.
        stem: ``"7x7"`` with stride 2 and max-pooling, or ``"3x3"`` without either, for small pictures.
        stride_in: the convolution of a bottleneck that takes the stride: ``"3x3"`` (v1.5), or ``"1x1"`` (v1, the paper).
        shortcut: where the shapes change: ``"projection"`` (option B) or ``"zero-padding"`` (option A). ``"none"`` leaves
            out every shortcut: the plain network.
        preactivation: BatchNorm and ReLU before each convolution, and once more after the last stage.
        zero_init: every block starts as (the ReLU of) its shortcut, because the last γ of F starts at 0; with
            ``preactivation``, where the ReLU behind that γ would never let it grow, the last convolution does.

    Raises:
        ValueError: if a setting has an impossible value, or two contradict each other.

    >>> model = ResNet(layers=(2, 2, 2), block="basic", width=16, stem="3x3", num_classes=10)
    >>> model(torch.randn(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), block: str = "bottleneck", in_channels: int = 3,
                 num_classes: int = 1000, width: int = 64, stem: str = "7x7", stride_in: str = "3x3",
                 shortcut: str = "projection", preactivation: bool = False, zero_init: bool = False):
        check_choice("ResNet", ("basic", "bottleneck"), block=block)
        check_choice("ResNet", ("7x7", "3x3"), stem=stem)
        if block == "basic" and stride_in != "3x3":
            raise ValueError(f"ResNet: expected stride_in='3x3' with basic blocks, which have no other convolution, got "
                             f"{stride_in!r}; leave it out or take block='bottleneck'")
        if zero_init and shortcut == "none":
            raise ValueError("ResNet: expected zero_init=False without shortcuts, got True, and only zeros would pass; "
                             "leave it out or keep the shortcuts")
        inner = {"stride_in": stride_in} if block == "bottleneck" else {}
        make_block = partial(_BLOCKS[block, bool(preactivation)], shortcut=shortcut, **inner)
        super().__init__(make_block, layers, width, in_channels, num_classes)
        self.preactivation = bool(preactivation)
        if stem == "3x3":
            self.conv1, self.maxpool = conv(in_channels, width, 3), nn.Identity()
            self.stride //= 4
        if preactivation:
            self.bn1 = nn.Identity()                                        # the first block begins with one,
            self.norm = nn.BatchNorm2d(self.out_channels)                   # and nothing follows the last sum but this
        if zero_init:
            last = {BasicBlock: "bn2", Bottleneck: "bn3", PreActBasicBlock: "conv2", PreActBottleneck: "conv3"}
            for module in self.modules():
                if type(module) in last:
                    nn.init.zeros_(getattr(module, last[type(module)]).weight)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """What comes before the first stage: (b, in_channels, h, w) to (b, width, h/4, w/4); h, w stay with stem "3x3"."""
        return self.maxpool(self.conv1(x)) if self.preactivation else super().stem(x)

    def stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = super().stages(x)                                            # sums; the last one still to be activated
        return [*maps[:-1], F.relu(self.norm(maps[-1]))] if self.preactivation else maps

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward_features(x)                                     # b c h/32 w/32
        return F.relu(self.norm(x)) if self.preactivation else x


def resnet18(**config) -> ResNet:
    """ResNet-18: 11,689,512 parameters. Settings: those of :class:`ResNet`."""
    return build("resnet18", ResNet, {"layers": (2, 2, 2, 2), "block": "basic"}, config)


def resnet34(**config) -> ResNet:
    """ResNet-34: 21,797,672 parameters."""
    return build("resnet34", ResNet, {"layers": (3, 4, 6, 3), "block": "basic"}, config)


def resnet50(**config) -> ResNet:
    """ResNet-50: 25,557,032 parameters."""
    return build("resnet50", ResNet, {"layers": (3, 4, 6, 3), "block": "bottleneck"}, config)


def resnet101(**config) -> ResNet:
    """ResNet-101: 44,549,160 parameters."""
    return build("resnet101", ResNet, {"layers": (3, 4, 23, 3), "block": "bottleneck"}, config)


def resnet152(**config) -> ResNet:
    """ResNet-152: 60,192,808 parameters."""
    return build("resnet152", ResNet, {"layers": (3, 8, 36, 3), "block": "bottleneck"}, config)


def resnet_cifar(depth: int = 20, **config) -> ResNet:
    """The small networks of section 4.2, for pictures of 32×32: 6n + 2 layers in three stages of widths 16, 32, 64.

    Their shortcuts have no parameters (option A), so ``shortcut="none"`` gives the plain network with the very same weights:
    the pair of the degradation experiment.

    Args:
        depth: 20, 32, 44, 56, 110, or any other 6n + 2.
        **config: settings of :class:`ResNet`.

    Raises:
        ValueError: if ``depth`` is not 6n + 2.

    >>> sum(p.numel() for p in resnet_cifar(20).parameters())
    269722
    """
    check_integers("resnet_cifar", at_least=8, depth=depth)
    if depth % 6 != 2:
        raise ValueError(f"resnet_cifar: expected depth to be 6n + 2, got {depth}; take {max(depth // 6 * 6 + 2, 8)}")
    canonical = {"layers": (depth // 6,) * 3, "block": "basic", "width": 16, "stem": "3x3", "shortcut": "zero-padding",
                 "num_classes": 10}
    return build("resnet_cifar", ResNet, canonical, config)
