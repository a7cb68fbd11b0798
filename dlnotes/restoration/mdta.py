"""MDTA, multi-Dconv head transposed attention: channels attend to channels, so a large picture costs little.

Attention between n = h·w pixels has an n × n matrix, too large for a whole photograph. Here each channel is one token,
described by all its n pixels: the matrix is (c/heads) × (c/heads), whatever the size of the picture, and the cost grows
with n, not n². Where pixels must still meet their neighbours, a 3 × 3 depth-wise convolution in front of the attention
lets them.

Source: Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022, section 3.1,
equation 1. The paper divides the scores by a learned number α; as in the authors' code, we multiply by one, the
temperature, and bring q and k to length 1 over the pixels, so that a score is a cosine between two channels. No layer has
a bias.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["MDTA", "transposed_attention"]


def transposed_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """Attention whose tokens are channels: softmax of the cosines between channels, times the temperature.

    Args:
        q, k, v: (b, heads, c, n), c channels of a head, each over n pixels.
        temperature: factor on the cosines, (heads, 1, 1).

    Returns:
        (b, heads, c, n): each channel a weighted mean of the channels of v.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 1, 2, 2)          # two channels that never shine together
    >>> transposed_attention(x, x, x, torch.tensor(1000.0)).tolist()            # so sharp that each takes only itself
    [[[[1.0, 0.0], [0.0, 1.0]]]]
    """
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)                       # b heads c n, every row of length 1
    weights = (q @ k.mT * temperature).softmax(dim=-1)                          # b heads c c
    return weights @ v                                                          # b heads c n


class MDTA(nn.Module):
    """Multi-Dconv head transposed attention.

    Args:
        channels: channels of the map, divisible by ``heads``.
        heads: groups of channels that attend among themselves, each with its own temperature.

    Raises:
        ValueError: if a size is not a positive integer, or ``channels`` not divisible by ``heads``.

    >>> layer = MDTA(channels=48, heads=1)
    >>> layer(torch.randn(1, 48, 10, 12)).shape
    torch.Size([1, 48, 10, 12])
    >>> sum(p.numel() for p in layer.parameters()) == 4 * 48**2 + 27 * 48 + 1   # the size of the picture does not enter
    True
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        check_integers("MDTA", channels=channels, heads=heads)
        check_divisible("MDTA", "heads", heads, channels=channels)
        self.channels, self.heads = channels, heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let the channels of a map attend to each other.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("MDTA", x, "b c h w", c=self.channels, like=self)
        qkv = self.depthwise(self.qkv(x))                                               # b 3c h w
        q, k, v = rearrange(qkv, "b (three heads c) h w -> three b heads c (h w)", three=3, heads=self.heads)
        out = transposed_attention(q, k, v, self.temperature)                           # b heads c/heads (h w)
        return self.project(rearrange(out, "b heads c (h w) -> b (heads c) h w", h=x.shape[2]))     # b c h w
