"""U-Net with stitched modules: coordinate attention behind the encoder's levels, CGA fusion in place of its skip joins.

A module from another paper can be put behind a part of a network, or in the place of a part. Here is one of each, and each
can be left out: without both this is the plain U-Net, parameter by parameter, which is what makes an ablation fair to read.

Source: U-Net as in :mod:`dlnotes.models.unet`; coordinate attention, Hou, Zhou and Feng, CVPR 2021; content-guided attention
fusion, Chen, He and Lu (DEA-Net), IEEE TIP 2024. The combination is an exercise of the course; nothing is published for it.
"""

from torch import nn

from dlnotes._check import check_divisible
from dlnotes.attention.coordinate import CoordinateAttention
from dlnotes.restoration.cga import CGAFusion

from ._build import build
from .unet import UNet

__all__ = ["StitchedUNet", "unet_stitched"]


class StitchedUNet(UNet):
    """U-Net with coordinate attention in the encoder and content-guided fusion on the skips. The output is logits.

    The fusion's attention mirrors pixels at the edge of the map, which needs 4 of them: with it, the smallest picture has
    2^(depth + 1) pixels a side, without it 2^depth.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output, one score per class.
        width: channels of the first level, with the fusion a multiple of 8; they double with every level down.
        depth: number of poolings.
        attention: coordinate attention behind each level of the encoder, before the map is copied and pooled.
        fusion: CGA fusion of the fine and the coarse map, in place of concatenation. It returns as many channels as one map
            has, so the convolution after it has half the inputs of the plain network's.

    Raises:
        ValueError: if a size is not a positive integer, or ``width`` does not suit the fusion.

    >>> import torch
    >>> StitchedUNet(width=8, depth=2)(torch.zeros(2, 3, 24, 33)).shape
    torch.Size([2, 2, 24, 33])
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 2, width: int = 64, depth: int = 4, attention: bool = True,
                 fusion: bool = True):
        super().__init__(in_channels, num_classes, width, depth, skip="add" if fusion else "concat")
        widths = [width * 2**level for level in range(depth)]                   # 64 128 256 512
        if attention:
            self.encoder = nn.ModuleList(nn.Sequential(level, CoordinateAttention(c))
                                         for level, c in zip(self.encoder, widths))
        if fusion:                                                              # as many channels out as the sum would have
            check_divisible("StitchedUNet", "the fusion's reduction", 8, width=width)
            self.joins = nn.ModuleList(CGAFusion(c) for c in reversed(widths))
            self.smallest = 2 ** (depth + 1)


def unet_stitched(**config) -> StitchedUNet:
    """Padded U-Net of width 64 with both modules: 28,474,302 parameters. Settings: those of :class:`StitchedUNet`."""
    return build("unet_stitched", StitchedUNet, {}, config)
