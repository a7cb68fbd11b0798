"""Context: give every position of one map a look at its surroundings, near and far, at once.

Sources: pyramid pooling: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2; enlarged with the corners
aligned, as in the authors' code. Atrous spatial pyramid pooling: Chen et al., "Rethinking Atrous Convolution for Semantic
Image Segmentation", arXiv 1706.05587, section 3.3; ReLUs and dropout as in torchvision, whose rates are twice the paper's
because its maps are twice as fine.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers, check_probability

__all__ = ["ASPP", "PyramidPooling"]


class PyramidPooling(nn.Module):
    """The map, and beside it its means over 1, 4, 9 and 36 fields, each with a quarter of the channels and enlarged again.

    Args:
        channels: of the map, divisible by the number of bins.
        bins: fields along each side.

    Shape: (b, channels, h, w) to (b, 2 · channels, h, w).

    >>> PyramidPooling(64)(torch.zeros(2, 64, 12, 9)).shape
    torch.Size([2, 128, 12, 9])
    """

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 6)):
        super().__init__()
        check_integers("PyramidPooling", channels=channels, number_of_bins=len(bins),
                       **{f"bins[{i}]": side for i, side in enumerate(bins)})
        check_divisible("PyramidPooling", "the number of bins", len(bins), channels=channels)
        self.channels, self.bins = channels, tuple(bins)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), *_conv_bn_relu(channels, channels // len(bins), 1)) for side in bins)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool ``x`` (b, channels, h, w). Raises TypeError or ValueError if it does not fit, or alone in training."""
        check_input("PyramidPooling", x, "b c h w", like=self, c=self.channels)
        if 1 in self.bins:
            _check_batch("PyramidPooling", self, x)
        size = x.shape[-2:]
        means = [F.interpolate(level(x), size, mode="bilinear", align_corners=True) for level in self.levels]
        return torch.cat([x, *means], dim=1)                        # b 2c h w


class ASPP(nn.Module):
    """Five views side by side, mixed by a 1×1 convolution: the pixel, three 3×3 neighbourhoods with gaps, the whole map.

    Args:
        channels: of the map.
        out_channels: of each view and of the result.
        rates: dilations of the 3×3 convolutions; 6, 12, 18 for a map of a sixteenth of the picture's size.
        dropout: on the result, in training.

    Shape: (b, channels, h, w) to (b, out_channels, h, w).

    >>> ASPP(64, out_channels=32)(torch.zeros(2, 64, 12, 9)).shape
    torch.Size([2, 32, 12, 9])
    """

    def __init__(self, channels: int, out_channels: int = 256, rates: Sequence[int] = (6, 12, 18), dropout: float = 0.5):
        super().__init__()
        check_integers("ASPP", channels=channels, out_channels=out_channels,
                       **{f"rates[{i}]": rate for i, rate in enumerate(rates)})
        check_probability("ASPP", dropout=dropout)
        self.channels = channels
        self.pixel = _conv_bn_relu(channels, out_channels, 1)
        self.atrous = nn.ModuleList(_conv_bn_relu(channels, out_channels, 3, rate) for rate in rates)
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(channels, out_channels, 1))
        self.project = nn.Sequential(*_conv_bn_relu((len(rates) + 2) * out_channels, out_channels, 1), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look around ``x`` (b, channels, h, w). Raises TypeError or ValueError if it does not fit, or alone in training."""
        check_input("ASPP", x, "b c h w", like=self, c=self.channels)
        _check_batch("ASPP", self, x)
        whole = self.whole(x).expand(-1, -1, *x.shape[-2:])         # b out h w, one value everywhere
        views = [self.pixel(x), *(atrous(x) for atrous in self.atrous), whole]
        return self.project(torch.cat(views, dim=1))                # b out h w


def _conv_bn_relu(channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


def _check_batch(owner: str, module: nn.Module, x: torch.Tensor) -> None:
    if module.training and len(x) < 2:
        raise ValueError(f"{owner}: expected a batch of at least 2 in training, got {tuple(x.shape)}; the mean of one "
                         "sample is one value, which batch norm cannot normalise: use larger batches, or module.eval()")
