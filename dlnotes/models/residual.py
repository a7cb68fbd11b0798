"""What all residual networks share: blocks that add to their input, stages of such blocks, and the network around them.

A block computes y = F(x) + x, so its layers learn only the difference F from doing nothing. Each paper of the family brings
another F; stem, stages, the mean over space and the linear layer stay.
Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016: the block is equations 1 and 2,
the shortcuts are options A and B of section 3.3, the network is table 1. Parameters carry torchvision's names.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers

__all__ = ["ResidualNetwork"]

SHORTCUTS = ("projection", "zero-padding", "none")


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias (BatchNorm follows) that keeps the size but for the stride, initialised as by He et al."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class ZeroPadding(nn.Module):
    """Option A: every ``stride``-th pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, extra: int, stride: int):
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, ::self.stride, ::self.stride]                           # b c h/s w/s
        return F.pad(x, (0, 0, 0, 0, 0, self.extra))                        # b c+extra h/s w/s


def shortcut_around(in_channels: int, out_channels: int, stride: int, kind: str = "projection",
                    norm: bool = True) -> nn.Module | None:
    """How x reaches the sum: as it is where the shapes agree, else as ``kind`` says; None is a plain network, without it."""
    check_choice("shortcut", SHORTCUTS, shortcut=kind)
    if kind == "none":
        return None
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "projection":                                                # option B
        layer = conv(in_channels, out_channels, 1, stride)
        return nn.Sequential(layer, nn.BatchNorm2d(out_channels)) if norm else layer
    if in_channels > out_channels:
        raise ValueError(f"shortcut: expected at least as many channels after a block with zero-padding as before, got "
                         f"{in_channels} and {out_channels}; use shortcut='projection'")
    return ZeroPadding(out_channels - in_channels, stride)


class ResidualBlock(nn.Module):
    """y = ReLU(F(x) + shortcut of x). A subclass builds the layers of F and says in :meth:`residual` how they follow."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: str = "projection"):
        super().__init__()
        check_integers(type(self).__name__, in_channels=in_channels, out_channels=out_channels, stride=stride)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.downsample = shortcut_around(in_channels, out_channels, stride, shortcut)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """F(x), (b, out_channels, h/stride, w/stride)."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block.

        Args:
            x: (b, in_channels, h, w).

        Returns:
            (b, out_channels, h/stride, w/stride), rounded up.
        """
        check_input(type(self).__name__, x, "b c h w", c=self.in_channels, like=self)
        out = self.residual(x)                                              # b c' h/s w/s
        if self.downsample is not None:
            out = out + self.downsample(x)                                  # b c' h/s w/s, equation 2
        return F.relu(out)


def stage(block: Callable[[int, int, int], nn.Module], in_channels: int, width: int, count: int,
          stride: int) -> nn.Sequential:
    """``count`` blocks in a row. The first takes the stride and the new number of channels; the others keep the shape."""
    blocks = [block(in_channels, width, stride)]
    for _ in range(count - 1):
        blocks.append(block(blocks[-1].out_channels, width, 1))
    return nn.Sequential(*blocks)


class ResidualNetwork(nn.Module):
    """Stem, stages of any residual block, mean over space, one linear layer.

    Args:
        block: called with (channels that come in, width, stride); makes a module that has ``out_channels``.
        layers: number of blocks in each stage. From the second stage on, each halves the map and doubles the width.
        width: width of the first stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        stem_channels: channels before the first stage; ``width`` when None.

    Raises:
        ValueError: if a number is not a positive integer, or ``layers`` is empty.

    >>> from dlnotes.models.resnet import BasicBlock
    >>> model = ResidualNetwork(BasicBlock, layers=(1, 1), width=16, num_classes=10)
    >>> model(torch.randn(2, 3, 64, 48)).shape, [x.shape[1:] for x in model.stages(torch.randn(2, 3, 64, 48))]
    (torch.Size([2, 10]), [torch.Size([16, 16, 12]), torch.Size([32, 8, 6])])
    """

    def __init__(self, block: Callable[[int, int, int], nn.Module], layers: Sequence[int] = (3, 4, 6, 3), width: int = 64,
                 in_channels: int = 3, num_classes: int = 1000, stem_channels: int | None = None):
        super().__init__()
        owner = type(self).__name__
        stem_channels = width if stem_channels is None else stem_channels
        check_integers(owner, width=width, in_channels=in_channels, num_classes=num_classes, stem_channels=stem_channels)
        if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
            raise ValueError(f"{owner}: expected layers to be the number of blocks of each stage, got {layers!r}; "
                             "pass for example (3, 4, 6, 3)")
        check_integers(owner, **{f"layers[{i}]": count for i, count in enumerate(layers)})
        self.in_channels, self.num_stages = in_channels, len(layers)
        self.stride = 4 * 2 ** (len(layers) - 1)                            # pixels of the picture for one of the last map

        self.conv1 = conv(in_channels, stem_channels, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(stem_channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = stem_channels
        for i, count in enumerate(layers):
            of_width = stage(block, channels, width * 2**i, count, stride=1 if i == 0 else 2)
            self.add_module(f"layer{i + 1}", of_width)
            channels = of_width[-1].out_channels
        self.out_channels = channels
        self.fc = nn.Linear(channels, num_classes)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """What comes before the first stage: (b, in_channels, h, w) to (b, stem_channels, h/4, w/4)."""
        return self.maxpool(F.relu(self.bn1(self.conv1(x))))                # b c h/2 w/2, then b c h/4 w/4

    def stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The map after every stage, at 1/4, 1/8, 1/16, 1/32 of the picture's size: what a detector or a decoder reads.

        Args:
            x: pictures (b, in_channels, h, w), of any size.

        Returns:
            One map (b, c_i, h/2**(i+2), w/2**(i+2)) for each stage i = 0, 1, ..., sizes rounded up.

        Raises:
            ValueError: if the shape does not fit, or one sample is too small to train on.
            TypeError: if the dtype is not that of the weights.
        """
        self._check(x)
        maps = [self.stem(x)]                                               # b c h/4 w/4
        for i in range(1, self.num_stages + 1):
            maps.append(getattr(self, f"layer{i}")(maps[-1]))               # b c_i h/2**(i+1) w/2**(i+1)
        return maps[1:]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The map after the last stage, (b, out_channels, h/32, w/32) for four stages; raises as :meth:`stages`."""
        self._check(x)
        x = self.stem(x)                                                    # b c h/4 w/4
        for i in range(1, self.num_stages + 1):
            x = getattr(self, f"layer{i}")(x)                               # b c_i h/2**(i+1) w/2**(i+1)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores (b, num_classes) of pictures (b, in_channels, h, w); raises as :meth:`stages`."""
        x = self.forward_features(x)                                        # b c h/32 w/32
        return self.fc(x.mean(dim=(2, 3)))                                  # b classes

    def _check(self, x: torch.Tensor) -> None:
        owner = type(self).__name__
        check_input(owner, x, "b c h w", c=self.in_channels, like=self)
        if self.training and len(x) == 1 and max(x.shape[2:]) <= self.stride:
            raise ValueError(f"{owner}: expected a batch of at least 2 in training for pictures of up to {self.stride} "
                             f"pixels, got {tuple(x.shape)}, whose last map is one pixel, and BatchNorm has nothing to "
                             "compare it with; add samples, enlarge the picture, or call .eval()")
