"""Upsampling with weights: a transposed convolution that starts as bilinear interpolation, and may learn something better.

Stamping a tent of twice the factor's width at that stride adds up to bilinear interpolation (``align_corners=False``),
except at the border, where stamps from outside are missing. Source: Long, Shelhamer, Darrell, "Fully Convolutional
Networks", CVPR 2015, section 3.3. The other learned way, channels into pixels, is :func:`dlnotes.shapes.pixel_shuffle`
behind a convolution.
"""

import torch
from torch import nn

from dlnotes._check import check_integers

from .interpolation import tent

__all__ = ["bilinear_conv_transpose"]


def bilinear_conv_transpose(channels: int, factor: int) -> nn.ConvTranspose2d:
    """A depthwise transposed convolution from (b, channels, h, w) to (b, channels, h * factor, w * factor), set to bilinear.

    Args:
        channels: each is enlarged by itself.
        factor: of enlargement.

    Returns:
        ``nn.ConvTranspose2d`` without bias; its weight is a parameter like any other.

    Raises:
        ValueError: if a number is not a positive integer.

    >>> layer = bilinear_conv_transpose(1, factor=2)
    >>> layer.weight[0, 0, 1].mul(16).tolist(), layer(torch.ones(1, 1, 3, 3)).shape
    ([3.0, 9.0, 9.0, 3.0], torch.Size([1, 1, 6, 6]))
    """
    check_integers("bilinear_conv_transpose", channels=channels, factor=factor)
    side = 2 * factor - factor % 2                                              # so that the tent has a centre
    line = tent((torch.arange(side) - (side - 1) / 2) / factor)                 # side
    layer = nn.ConvTranspose2d(channels, channels, side, stride=factor, padding=(side - factor) // 2, groups=channels,
                               bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.outer(line, line).expand_as(layer.weight))     # c 1 side side
    return layer
