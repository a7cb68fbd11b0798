"""Three blocks of mobile networks, all thin at both ends and wide in the middle: the shortcut joins the thin ends.

``InvertedResidual`` widens with a 1×1, looks around with a depth-wise 3×3, which costs little, and narrows with a linear
1×1. ``MBConv`` adds squeeze-and-excitation in the wide part. ``FusedMBConv`` puts one full 3×3 in the place of the first two
convolutions: more arithmetic, but fewer passes over memory, which is faster on most hardware in the early stages.

Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, section 3; Tan and Le,
"EfficientNet", ICML 2019, section 4; Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, section
3.2, figure 2. Departures: ``InvertedResidual`` may carry coordinate attention in its wide part, as in Hou et al., CVPR 2021,
figure 3; ``FusedMBConv`` has none of that figure's squeeze-and-excitation, as nowhere in EfficientNetV2 itself (table 4).

Each block is a sequence of named layers, run one after the other; ``forward`` adds the shortcut.
"""

from collections import OrderedDict

import torch
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers, check_probability
from dlnotes.attention.coordinate import CoordinateAttention

from ._conv import conv_norm_act
from ._drop_path import DropPath

__all__ = ["FusedMBConv", "InvertedResidual", "MBConv"]


class InvertedResidual(nn.Sequential):
    """MobileNetV2's block: widen, depth-wise 3×3, narrow; ReLU6 in the wide part only.

    The last 1×1 is linear. A ReLU there would throw away half of the few channels that are all that is carried on.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; equal to ``in_channels`` and at stride 1, the input is added.
        stride: 1 or 2, of the depth-wise convolution.
        expansion: width in the middle over ``in_channels``; 1 leaves the first 1×1 out.
        coordinate_attention: weigh the wide part before it is narrowed.

    Raises:
        ValueError: if an argument is none of these.

    >>> InvertedResidual(24, 32, stride=2)(torch.randn(1, 24, 28, 28)).shape
    torch.Size([1, 32, 14, 14])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, expansion: int = 6,
                 coordinate_attention: bool = False):
        _check_block("InvertedResidual", in_channels, out_channels, stride, expansion)
        wide = expansion * in_channels
        layers = OrderedDict()
        if expansion > 1:
            layers["expand"] = conv_norm_act(in_channels, wide, 1, act=nn.ReLU6)                        # b wide h w
        layers["depthwise"] = conv_norm_act(wide, wide, 3, stride, groups=wide, act=nn.ReLU6)           # b wide h/s w/s
        if coordinate_attention:
            layers["attention"] = CoordinateAttention(wide)                                             # b wide h/s w/s
        layers["project"] = conv_norm_act(wide, out_channels, 1)                                        # b out h/s w/s
        super().__init__(layers)
        self.in_channels, self.shortcut = in_channels, stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, h, w) -> (b, out_channels, ⌈h/stride⌉, ⌈w/stride⌉); raises if the input is another."""
        check_input("InvertedResidual", x, "b c h w", c=self.in_channels, like=self)
        y = super().forward(x)                                                  # b out h/s w/s
        return x + y if self.shortcut else y


class MBConv(nn.Sequential):
    """EfficientNet's block: an inverted residual with SiLU, a kernel to choose, and squeeze-and-excitation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; equal to ``in_channels`` and at stride 1, the input is added.
        kernel_size: odd, of the depth-wise convolution.
        stride: 1 or 2, of the depth-wise convolution.
        expansion: width in the middle over ``in_channels``; 1 leaves the first 1×1 out.
        drop_path: probability of leaving the branch out in training, where there is a shortcut.
        eps: of the batch norms.

    Raises:
        ValueError: if an argument is none of these.

    >>> MBConv(24, 40, kernel_size=5, stride=2)(torch.randn(1, 24, 28, 28)).shape
    torch.Size([1, 40, 14, 14])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, expansion: int = 6,
                 drop_path: float = 0.0, eps: float = 1e-5):
        _check_block("MBConv", in_channels, out_channels, stride, expansion, kernel_size, drop_path, eps)
        wide = expansion * in_channels
        shortcut = stride == 1 and in_channels == out_channels
        layers = OrderedDict()
        if expansion > 1:
            layers["expand"] = conv_norm_act(in_channels, wide, 1, act=nn.SiLU, eps=eps)                # b wide h w
        layers["depthwise"] = conv_norm_act(wide, wide, kernel_size, stride, wide, nn.SiLU, eps)        # b wide h/s w/s
        layers["squeeze_excite"] = _SqueezeExcite(wide, max(1, in_channels // 4))                       # b wide h/s w/s
        layers["project"] = conv_norm_act(wide, out_channels, 1, eps=eps)                               # b out h/s w/s
        if shortcut:
            layers["drop_path"] = DropPath(drop_path)
        super().__init__(layers)
        self.in_channels, self.shortcut = in_channels, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, h, w) -> (b, out_channels, ⌈h/stride⌉, ⌈w/stride⌉); raises if the input is another."""
        check_input("MBConv", x, "b c h w", c=self.in_channels, like=self)
        y = super().forward(x)                                                  # b out h/s w/s
        return x + y if self.shortcut else y


class FusedMBConv(nn.Sequential):
    """EfficientNetV2's block for early stages: one full convolution widens and looks around, a linear 1×1 narrows.

    At ``expansion=1`` there is nothing to narrow: the block is one convolution, and its SiLU stays.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; equal to ``in_channels`` and at stride 1, the input is added.
        kernel_size: odd, of the first convolution.
        stride: 1 or 2, of the first convolution.
        expansion: width in the middle over ``in_channels``.
        drop_path: probability of leaving the branch out in training, where there is a shortcut.
        eps: of the batch norms.

    Raises:
        ValueError: if an argument is none of these.

    >>> FusedMBConv(24, 48, stride=2)(torch.randn(1, 24, 28, 28)).shape
    torch.Size([1, 48, 14, 14])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, expansion: int = 4,
                 drop_path: float = 0.0, eps: float = 1e-5):
        _check_block("FusedMBConv", in_channels, out_channels, stride, expansion, kernel_size, drop_path, eps)
        wide = expansion * in_channels if expansion > 1 else out_channels
        shortcut = stride == 1 and in_channels == out_channels
        layers = OrderedDict()
        layers["expand"] = conv_norm_act(in_channels, wide, kernel_size, stride, act=nn.SiLU, eps=eps)  # b wide h/s w/s
        if expansion > 1:
            layers["project"] = conv_norm_act(wide, out_channels, 1, eps=eps)                           # b out h/s w/s
        if shortcut:
            layers["drop_path"] = DropPath(drop_path)
        super().__init__(layers)
        self.in_channels, self.shortcut = in_channels, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, h, w) -> (b, out_channels, ⌈h/stride⌉, ⌈w/stride⌉); raises if the input is another."""
        check_input("FusedMBConv", x, "b c h w", c=self.in_channels, like=self)
        y = super().forward(x)                                                  # b out h/s w/s
        return x + y if self.shortcut else y


class _SqueezeExcite(nn.Module):
    """One gate per channel from the means of all (Hu et al., CVPR 2018), with SiLU.

    EfficientNet squeezes to a quarter of the block's input, not of the wide part that is gated.
    """

    def __init__(self, channels: int, squeeze: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze, kernel_size=1)
        self.act = nn.SiLU()
        self.expand = nn.Conv2d(squeeze, channels, kernel_size=1)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = self.act(self.reduce(x.mean(dim=(2, 3), keepdim=True)))      # b squeeze 1 1
        return x * self.gate(self.expand(squeezed))                             # b c h w


def _check_block(owner: str, in_channels: int, out_channels: int, stride: int, expansion: int, kernel_size: int = 3,
                 drop_path: float = 0.0, eps: float = 1e-5) -> None:
    check_integers(owner, in_channels=in_channels, out_channels=out_channels, expansion=expansion, kernel_size=kernel_size)
    check_choice(owner, (1, 2), stride=stride)
    check_probability(owner, drop_path=drop_path)
    if kernel_size % 2 == 0 or not eps > 0:
        raise ValueError(f"{owner}: expected an odd kernel_size and eps above 0, got kernel_size={kernel_size}, eps={eps}; "
                         "an even kernel has no centre")
