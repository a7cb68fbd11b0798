"""CAFM, convolution and attention fusion module: attention sees the whole picture, convolution its details; both are added.

The global branch is Restormer's attention over channels. The local branch starts from the same queries, keys and values:
in each pixel it mixes the 3·heads groups of channels into nine, as many as a 3 × 3 neighbourhood has places, and a
grouped convolution gathers them.

Source: Hu et al., "Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising", IEEE GRSL 2024, section
"Convolution and Attention Fusion Module".
Departure: the released code makes a channels-last tensor for the local branch, and then reshapes the channels-first one.
What should be the channels of pixel 0 are then the first pixels of channel 0, and so on: each "pixel" is a run of pixels
of one channel. No error shows it, since the number of elements is the same. ``layout="intended"`` reads pixels, our
reading of the paper; ``layout="released"`` computes what the authors' code computes. Their 3-D kernels on a depth axis of
1 are explained in ``plane_conv.py``.
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_choice, check_divisible, check_input, check_integers

from .mdta import transposed_attention
from .plane_conv import PlaneConv3d

__all__ = ["CAFM"]


class CAFM(nn.Module):
    """Convolution and attention fusion module.

    Args:
        channels: channels of the map, divisible by ``heads``.
        heads: attention heads; the local branch mixes 3 · heads groups of channels.
        layout: how the local branch reads its tensor: ``"intended"``, pixel by pixel, or ``"released"``, as in the
            authors' code. The parameters are the same.

    Raises:
        ValueError: if a size is not a positive integer, ``channels`` not divisible by ``heads``, or ``layout`` neither
            of the two.

    >>> layer = CAFM(channels=48, heads=1)
    >>> layer(torch.randn(1, 48, 10, 12)).shape
    torch.Size([1, 48, 10, 12])
    """

    def __init__(self, channels: int, heads: int, layout: str = "intended"):
        super().__init__()
        check_integers("CAFM", channels=channels, heads=heads)
        check_divisible("CAFM", "heads", heads, channels=channels)
        check_choice("CAFM", ("intended", "released"), layout=layout)
        self.channels, self.heads, self.layout = channels, heads, layout
        width = channels // heads                                           # channels of one head
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = PlaneConv3d(3 * channels, 3 * channels, groups=3 * channels)
        self.mix = nn.Conv2d(3 * heads, 9, 1)
        self.gather = PlaneConv3d(9 * width, channels, groups=width, bias=True)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what attention and convolution make of a map.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("CAFM", x, "b c h w", c=self.channels, like=self)
        qkv = self.depthwise(self.qkv(x))                                               # b 3c h w
        return self._global(qkv) + self._local(qkv)                                     # b c h w

    def _global(self, qkv: torch.Tensor) -> torch.Tensor:
        """As MDTA."""
        q, k, v = rearrange(qkv, "b (three heads c) h w -> three b heads c (h w)", three=3, heads=self.heads)
        out = transposed_attention(q, k, v, self.temperature)                           # b heads c/heads (h w)
        return self.project(rearrange(out, "b heads c (h w) -> b (heads c) h w", h=qkv.shape[2]))   # b c h w

    def _local(self, qkv: torch.Tensor) -> torch.Tensor:
        b, _, h, w = qkv.shape
        if self.layout == "intended":
            groups = rearrange(qkv, "b (groups c) h w -> b groups c (h w)", groups=3 * self.heads)
        else:                                                                           # counts channels as pixels
            groups = qkv.reshape(b, h * w, 3 * self.heads, -1)                          # b "(h w)" "groups" "c"
            groups = rearrange(groups, "b n groups c -> b groups c n")
        nine = self.mix(groups)                                                         # b 9 c/heads (h w)
        return self.gather(rearrange(nine, "b nine c (h w) -> b (c nine) h w", h=h))    # b c h w
