"""U-Net with a Transformer inside: convolutions see a neighbourhood, attention lets every position ask every other.

The Transformer is stitched behind one part of a U-Net that is otherwise unchanged: behind the bottom of the encoder, where
the map is smallest, or behind the decoder's first level, where there are four times the tokens, and sixteen times the pairs
of them. A token is one position of the map.

Source: the idea is that of TransUNet (Chen et al., arXiv 2102.04306, 2021), whose encoder is a CNN and then a Transformer.
Block: Vaswani et al., NeurIPS 2017, with the norms first (Xiong et al., ICML 2020). There is no published network of exactly
this form and no published figure; the configuration is the course's own.
Differences from TransUNet: a plain U-Net in place of ResNet-50, and sines for positions in place of a learned table, so that
any size works: 128 × 1024 as it is, or resized to 384 × 384 with ``F.interpolate``.
"""

import torch
from torch import nn

from dlnotes._check import check_choice, check_divisible, check_integers
from dlnotes.attention import MultiHeadAttention, sinusoidal_positions_2d
from dlnotes.shapes import to_map, to_tokens

from ._build import build
from .unet import UNet

__all__ = ["UNetTransformer", "unet_transformer"]


class Block(nn.Module):
    """Pre-norm Transformer block: attention between tokens, then an MLP on each, both added to what came in."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))                                   # b n d
        return x + self.mlp(self.norm2(x))                                      # b n d


class MapTransformer(nn.Module):
    """A Transformer encoder on a feature map (b, d, h, w): tokens with positions in, a map of the same shape out."""

    def __init__(self, dim: int, blocks: int, heads: int):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, d, h, w = x.shape
        positions = sinusoidal_positions_2d(h, w, d, device=x.device).to(x.dtype)       # n d, row by row
        tokens = to_tokens(x) + positions                                               # b n d
        return to_map(self.norm(self.blocks(tokens)), h, w)                             # b d h w


class UNetTransformer(UNet):
    """U-Net with a Transformer at the bottom of the encoder or at the start of the decoder.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output, one score per class.
        width: channels of the first level; they double with every level down.
        depth: number of poolings.
        place: ``"encoder"``: on the map at the bottom, tokens of width · 2^depth channels; ``"decoder"``: on the decoder's
            deepest map, tokens of half that width, four times as many.
        blocks: Transformer blocks.
        heads: attention heads in a block; they must divide the token width.

    Raises:
        ValueError: if a size is not a positive integer, does not divide as it must, or ``place`` is neither of the two.

    >>> model = UNetTransformer(width=8, depth=2, place="decoder")
    >>> model(torch.zeros(2, 3, 16, 128)).shape
    torch.Size([2, 2, 16, 128])
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 2, width: int = 32, depth: int = 4, place: str = "encoder",
                 blocks: int = 4, heads: int = 8):
        super().__init__(in_channels, num_classes, width, depth)
        check_integers("UNetTransformer", blocks=blocks, heads=heads)
        check_choice("UNetTransformer", ("encoder", "decoder"), place=place)
        dim = width * 2**depth if place == "encoder" else width * 2**(depth - 1)
        check_divisible("UNetTransformer", "the sine and cosine of two axes", 4, **{f"token width in the {place}": dim})
        check_divisible("UNetTransformer", "heads", heads, **{f"token width in the {place}": dim})
        transformer = MapTransformer(dim, blocks, heads)
        if place == "encoder":
            self.bottom = nn.Sequential(self.bottom, transformer)
        else:
            self.decoder[0] = nn.Sequential(self.decoder[0], transformer)


def unet_transformer(**config) -> UNetTransformer:
    """U-Net of width 32 with four Transformer blocks of 512 channels at the bottom: 20,373,634 parameters.

    Settings: those of :class:`UNetTransformer`. The U-Net alone has 7,763,074.
    """
    return build("unet_transformer", UNetTransformer, {}, config)
