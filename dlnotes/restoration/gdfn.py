"""GDFN, gated-Dconv feed-forward network: one half of the channels decides how much of the other half passes.

A Transformer's feed-forward layer expands, bends and contracts each token. GDFN expands into two halves, lets each pixel
see its neighbours through a depth-wise 3 × 3, and multiplies: GELU of the first half is the gate of the second.

Source: Zamir et al., "Restormer", CVPR 2022, section 3.2, equation 2. No departure; no layer has a bias. The odd
expansion of 2.66 keeps the cost near that of a plain feed-forward layer of expansion 4, which has two matrices where this
has three.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

from ._width import hidden_width

__all__ = ["GDFN"]


class GDFN(nn.Module):
    """Gated-Dconv feed-forward network.

    Args:
        channels: channels of the map.
        expansion: width of each half over ``channels``; the product is rounded down.

    Raises:
        ValueError: if ``channels`` is not a positive integer, or nothing is left after rounding.

    >>> layer = GDFN(channels=48)
    >>> layer.hidden, layer(torch.randn(1, 48, 10, 12)).shape
    (127, torch.Size([1, 48, 10, 12]))
    """

    def __init__(self, channels: int, expansion: float = 2.66):
        super().__init__()
        check_integers("GDFN", channels=channels)
        self.channels, self.hidden = channels, hidden_width("GDFN", channels, expansion)
        both = 2 * self.hidden
        self.expand = nn.Conv2d(channels, both, 1, bias=False)
        self.depthwise = nn.Conv2d(both, both, 3, padding=1, groups=both, bias=False)
        self.gate = nn.GELU()
        self.project = nn.Conv2d(self.hidden, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expand, gate and contract every pixel, with its neighbours in view.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("GDFN", x, "b c h w", c=self.channels, like=self)
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)        # each b hidden h w
        return self.project(self.gate(gate) * value)                        # b c h w
