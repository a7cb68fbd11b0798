"""ResNeXt: many thin paths instead of one thick one, and the number of paths (the cardinality) as a dimension to grow in.

Each block splits into ``groups`` paths that all look alike, transforms every one, and merges them by a sum. Figure 3 of the
paper draws this in three forms, which are one function: (a) paths that are summed at the end, (b) paths that are
concatenated before one last convolution, (c) a bottleneck whose 3×3 convolution is grouped. All three are here, with the
functions that carry weights around the circle from (a) to (b) to (c) to (a). The network is built of (c), as the authors'.
Source: Xie, Girshick, Dollár, Tu and He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017,
section 3. Parameters of the network carry torchvision's names. No departure.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

from ._build import build
from .residual import ResidualBlock, ResidualNetwork, conv, shortcut_around

__all__ = ["ConcatenatedPaths", "GroupedBottleneck", "ResNeXt", "SummedPaths", "concatenate_paths", "group_paths",
           "resnext101_32x8d", "resnext50_32x4d", "sum_paths"]


class Path(nn.Module):
    """1×1 and 3×3 convolution, each with BatchNorm and ReLU: the part of a path that forms (a) and (b) share."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))                                 # b inner/groups h w
        return F.relu(self.bn2(self.conv2(x)))                              # b inner/groups h/s w/s


class SummedPaths(nn.Module):
    """Figure 3a: split, transform, merge. Every path has its own way back to all channels, and the paths are summed.

    Args:
        in_channels: channels that come in.
        inner: channels of all paths together, divisible by ``groups``.
        out_channels: channels that go out.
        stride: of the 3×3 convolutions.
        groups: number of paths, the cardinality.

    Raises:
        ValueError: if a setting is not a positive integer, or ``inner`` is not divisible by ``groups``.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int = 1, groups: int = 32):
        super().__init__()
        self.settings = _checked("SummedPaths", in_channels, inner, out_channels, stride, groups)
        self.paths = nn.ModuleList(Path(in_channels, inner // groups, stride) for _ in range(groups))
        self.back = nn.ModuleList(conv(inner // groups, out_channels, 1) for _ in range(groups))
        self.bn3 = nn.BatchNorm2d(out_channels)                             # after the sum: one for all paths
        self.downsample = shortcut_around(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block: (b, in_channels, h, w) to (b, out_channels, h/stride, w/stride), sizes rounded up."""
        check_input("SummedPaths", x, "b c h w", c=self.settings["in_channels"], like=self)
        out = sum(back(path(x)) for path, back in zip(self.paths, self.back))       # b c' h/s w/s, equation 2
        return F.relu(self.bn3(out) + self.downsample(x))                           # b c' h/s w/s, equation 3


class ConcatenatedPaths(nn.Module):
    """Figure 3b: the paths are laid side by side, and one 1×1 convolution widens and sums at once.

    Arguments and errors are those of :class:`SummedPaths`.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int = 1, groups: int = 32):
        super().__init__()
        self.settings = _checked("ConcatenatedPaths", in_channels, inner, out_channels, stride, groups)
        self.paths = nn.ModuleList(Path(in_channels, inner // groups, stride) for _ in range(groups))
        self.conv3 = conv(inner, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut_around(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block: (b, in_channels, h, w) to (b, out_channels, h/stride, w/stride), sizes rounded up."""
        check_input("ConcatenatedPaths", x, "b c h w", c=self.settings["in_channels"], like=self)
        beside = torch.cat([path(x) for path in self.paths], dim=1)                 # b inner h/s w/s
        return F.relu(self.bn3(self.conv3(beside)) + self.downsample(x))            # b c' h/s w/s


class GroupedBottleneck(ResidualBlock):
    """Figure 3c: a bottleneck whose 3×3 convolution is grouped.

    Arguments and errors are those of :class:`SummedPaths`.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int = 1, groups: int = 32):
        settings = _checked("GroupedBottleneck", in_channels, inner, out_channels, stride, groups)
        super().__init__(in_channels, out_channels, stride)
        self.settings = settings
        self.conv1 = conv(in_channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv(inner, inner, 3, stride, groups=groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))                               # b inner h w
        out = F.relu(self.bn2(self.conv2(out)))                             # b inner h/s w/s
        return self.bn3(self.conv3(out))                                    # b c' h/s w/s


def _checked(owner: str, in_channels: int, inner: int, out_channels: int, stride: int, groups: int) -> dict[str, int]:
    settings = {"in_channels": in_channels, "inner": inner, "out_channels": out_channels, "stride": stride, "groups": groups}
    check_integers(owner, **settings)
    check_divisible(owner, "groups", groups, inner=inner)
    return settings


# ---- the circle of the three forms: the same numbers, laid out differently -----------------------------------------

def concatenate_paths(block: SummedPaths) -> ConcatenatedPaths:
    """(a) to (b): the ways back become one weight, side by side along its input channels.

    >>> a = SummedPaths(16, inner=8, out_channels=16, groups=4).eval()
    >>> x = torch.randn(2, 16, 5, 5)
    >>> torch.allclose(concatenate_paths(a)(x), a(x), atol=1e-5)
    True
    """
    state = block.state_dict()
    state["conv3.weight"] = torch.cat([back.weight for back in block.back], dim=1)  # c' inner 1 1
    return _filled(ConcatenatedPaths, block, state)


def group_paths(block: ConcatenatedPaths) -> GroupedBottleneck:
    """(b) to (c): the layers of all paths are stacked along their output channels; group i is then path i."""
    state = block.state_dict()
    for name, tensor in block.paths[0].state_dict().items():
        parts = [state[f"paths.{i}.{name}"] for i in range(block.settings["groups"])]
        state[name] = torch.cat(parts) if tensor.ndim else tensor                   # a counter has nothing to stack
    return _filled(GroupedBottleneck, block, state)


def sum_paths(block: GroupedBottleneck) -> SummedPaths:
    """(c) to (a): the first two convolutions are cut along their output channels, the last along its input channels."""
    state, groups = block.state_dict(), block.settings["groups"]
    for name in [name for name in state if name.startswith(("conv1.", "bn1.", "conv2.", "bn2."))]:
        parts = state[name].chunk(groups) if state[name].ndim else [state[name]] * groups
        state |= {f"paths.{i}.{name}": part for i, part in enumerate(parts)}
    state |= {f"back.{i}.weight": part for i, part in enumerate(state["conv3.weight"].chunk(groups, dim=1))}
    return _filled(SummedPaths, block, state)


def _filled(form: type[nn.Module], block: nn.Module, state: dict[str, torch.Tensor]) -> nn.Module:
    """A block of another form with the same settings, and a copy of those tensors of ``state`` that it has a place for."""
    after = form(**block.settings).to(block.bn3.weight).train(block.training)
    after.load_state_dict({name: state[name] for name in after.state_dict()})
    return after


# ---- the network ---------------------------------------------------------------------------------------------------

class ResNeXt(ResidualNetwork):
    """ResNeXt of any depth and cardinality.

    Args:
        layers: number of blocks in each stage.
        in_channels: channels of the picture.
        num_classes: width of the last layer.
        width: a quarter of the channels after the first stage; each further stage doubles it.
        groups: number of paths, the cardinality; 32 in "32×4d".
        group_width: channels of one path in the first stage, doubled in each further one; 4 in "32×4d".

    Raises:
        ValueError: if a number is not a positive integer.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, num_classes: int = 1000, width: int = 64,
                 groups: int = 32, group_width: int = 4):
        check_integers("ResNeXt", width=width, groups=groups, group_width=group_width)

        def block(channels: int, of_stage: int, stride: int) -> GroupedBottleneck:
            inner = groups * group_width * of_stage // width
            return GroupedBottleneck(channels, inner, 4 * of_stage, stride, groups)

        super().__init__(block, layers, width, in_channels, num_classes)


def resnext50_32x4d(**config) -> ResNeXt:
    """ResNeXt-50, 32×4d: 25,028,904 parameters. Settings: those of :class:`ResNeXt`."""
    return build("resnext50_32x4d", ResNeXt, {"layers": (3, 4, 6, 3), "groups": 32, "group_width": 4}, config)


def resnext101_32x8d(**config) -> ResNeXt:
    """ResNeXt-101, 32×8d: 88,791,336 parameters."""
    return build("resnext101_32x8d", ResNeXt, {"layers": (3, 4, 23, 3), "groups": 32, "group_width": 8}, config)
