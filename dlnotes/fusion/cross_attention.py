"""Fusion by cross-attention: every position of x looks over all of y, takes what fits, and adds it to itself.

Source: the encoder-decoder attention of Vaswani et al., NeurIPS 2017, section 3.2.3, with its residual sum; between two
streams of features: Lu et al., "ViLBERT", NeurIPS 2019. Departures: tokens are the pixels of a map; no norm and
no feed-forward layer. The maps need not be aligned: without positions, moving the pixels of y about changes nothing. The n²
scores of n = h w pixels are what it costs; the fused kernel does not store them.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_integers
from dlnotes.attention import MultiHeadAttention
from dlnotes.shapes import to_map, to_tokens

from ._checks import check_pair

__all__ = ["AttentionFusion"]


class AttentionFusion(nn.Module):
    """x + attention(queries from x, keys and values from y): 4 c² + 4 c parameters.

    Args:
        channels: of both maps, divisible by ``heads``.
        heads: number of attention heads.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        check_integers("AttentionFusion", channels=channels, heads=heads)
        check_divisible("AttentionFusion", "heads", heads, channels=channels)
        self.channels = channels
        self.attend = MultiHeadAttention(channels, heads)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("AttentionFusion", x, y, self.channels, like=self)
        found = self.attend(to_tokens(x), to_tokens(y))             # b (h w) c
        return x + to_map(found, *x.shape[-2:])                     # b c h w
