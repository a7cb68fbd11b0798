"""ConvNeXt: a ResNet brought up to date with what Swin had taught, step by step, and without attention.

A block mixes places first, with a depth-wise 7×7, and then channels, with the two linear layers of a Transformer's MLP. One
norm and one activation for each block, and separate layers that halve the map between the stages.

Source: Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022, section 2, figure 4, table 9. The
layer scale γ is from Touvron et al., "Going Deeper with Image Transformers", ICCV 2021.
Departures: none in what is computed. Names within a block are the authors'; the stages are put together as in timm.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_input, check_integers, check_numbers, check_probability

from ._build import build
from ._drop_path import DropPath

__all__ = ["ConvNeXt", "convnext_base", "convnext_small", "convnext_tiny"]


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of every place of (b, c, h, w). The result lies channels-last in memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = rearrange(x, "b c h w -> b h w c")
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return rearrange(x, "b h w c -> b c h w")


class Block(nn.Module):
    """Depth-wise 7×7, norm, widen four times, GELU, narrow, scale each channel by γ, add.

    A 1×1 convolution is a linear layer at every place. With the channels last, both it and the norm run over neighbours in
    memory; the maps stay so from block to block, and no rearrange here moves anything.
    """

    def __init__(self, dim: int, drop_path: float, layer_scale: float):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(rearrange(self.dwconv(x), "b c h w -> b h w c"))          # b h w c
        y = self.pwconv1(y)                                                     # b h w 4c; line by line, so that a map
        y = self.act(y)                                                         # b h w 4c  that was used can be freed
        y = self.pwconv2(y)                                                     # b h w c
        y = rearrange(self.drop_path(y), "b h w c -> b c h w")
        return torch.addcmul(x, self.gamma[:, None, None], y)                   # b c h w, x + γ y in one pass


class Stage(nn.Module):
    """Halve the map, except in the first stage, which follows the stem, and run through the blocks."""

    def __init__(self, in_dim: int | None, dim: int, rates: list[float], layer_scale: float):
        super().__init__()
        self.downsample = nn.Identity() if in_dim is None else nn.Sequential(
            LayerNorm2d(in_dim, eps=1e-6), nn.Conv2d(in_dim, dim, kernel_size=2, stride=2))
        self.blocks = nn.Sequential(*(Block(dim, rate, layer_scale) for rate in rates))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.downsample(x))                                  # b dim h/2 w/2


class ConvNeXt(nn.Module):
    """ConvNeXt of any size.

    Args:
        depths: blocks in each stage.
        widths: channels of each stage; each stage after the first halves the map.
        in_channels: channels of the picture.
        num_classes: width of the head.
        drop_path: of stochastic depth; it grows from 0 in the first block to this in the last.
        layer_scale: start value of γ.

    Raises:
        ValueError: if an argument is none of these.

    >>> model = ConvNeXt(depths=(1, 2), widths=(16, 32), num_classes=10)
    >>> model(torch.randn(2, 3, 32, 48)).shape
    torch.Size([2, 10])
    """

    def __init__(self, depths: Sequence[int] = (3, 3, 9, 3), widths: Sequence[int] = (96, 192, 384, 768),
                 in_channels: int = 3, num_classes: int = 1000, drop_path: float = 0.0, layer_scale: float = 1e-6):
        super().__init__()
        check_integers("ConvNeXt", in_channels=in_channels, num_classes=num_classes)
        check_probability("ConvNeXt", drop_path=drop_path)
        check_numbers("ConvNeXt", depths=depths, widths=widths)
        if len(depths) != len(widths):
            raise ValueError(f"ConvNeXt: expected one depth and one width for each stage, got depths={tuple(depths)} and "
                             f"widths={tuple(widths)}; make them equally long")
        check_integers("ConvNeXt", **{f"depths[{i}]": depth for i, depth in enumerate(depths)},
                       **{f"widths[{i}]": width for i, width in enumerate(widths)})
        self.in_channels, self.multiple = in_channels, 4 * 2 ** (len(depths) - 1)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], kernel_size=4, stride=4), LayerNorm2d(widths[0], eps=1e-6))
        rates = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]
        self.stages = nn.Sequential(*(
            Stage(widths[i - 1] if i else None, width, rates[sum(depths[:i]):sum(depths[:i + 1])], layer_scale)
            for i, width in enumerate(widths)))
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.head = nn.Linear(widths[-1], num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores.

        Args:
            x: pictures (b, in_channels, h, w), h and w multiples of 32 (with n stages, of 4 · 2^(n - 1)). A stride as large
                as its kernel would drop what is left over at the border.

        Returns:
            (b, num_classes).

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("ConvNeXt", x, "b c h w", c=self.in_channels, multiple=self.multiple, like=self)
        x = self.stages(self.stem(x))                                           # b c h/32 w/32
        x = self.norm(x.mean(dim=(2, 3)))                                       # b c
        return self.head(x)                                                     # b classes


def convnext_tiny(**config) -> ConvNeXt:
    """ConvNeXt-T: 28,589,128 parameters. The authors train it with ``drop_path=0.1``."""
    return build("convnext_tiny", ConvNeXt, {}, config)


def convnext_small(**config) -> ConvNeXt:
    """ConvNeXt-S: 50,223,688 parameters. The authors train it with ``drop_path=0.4``."""
    return build("convnext_small", ConvNeXt, {"depths": (3, 3, 27, 3)}, config)


def convnext_base(**config) -> ConvNeXt:
    """ConvNeXt-B: 88,591,464 parameters. The authors train it with ``drop_path=0.5``."""
    return build("convnext_base", ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)}, config)
