"""Fusion by gates: at every position and channel a sigmoid says how much of each map passes.

``GatedFusion`` is one gate, g x + (1 - g) y, computed from both maps: a mean whose weights the pictures choose. The same
mean is the heart of a GRU: its update gate mixes the old state with a new proposal, h' = z h + (1 - z) n. What a GRU adds is
where n comes from: a second gate r decides how much of the old state the proposal may see. ``GRUFusion`` is that whole cell,
with x for the state and y for the input; called again with another y it reads several maps one after the other.

Sources: gated mean: Arevalo et al., "Gated Multimodal Units", ICLR 2017 workshop; departure: theirs maps both
inputs through a tanh first, ours takes them as they are. GRU: Cho et al., EMNLP 2014, section 2.3; as convolution: Ballas et
al., ICLR 2016; departure: r multiplies the state after its convolution, as in ``nn.GRUCell``.
"""

import torch
from torch import nn

from dlnotes._check import check_integers

from ._checks import check_pair

__all__ = ["GRUFusion", "GatedFusion"]


class GatedFusion(nn.Module):
    """g x + (1 - g) y with g = σ(W [x; y] + b), one gate for each channel and position: 2 c² + c parameters.

    Args:
        channels: of both maps.

    Attributes:
        gate: the module whose output is g, (b, channels, h, w).

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("GatedFusion", channels=channels)
        self.channels = channels
        self.gate = nn.Sequential(nn.Conv2d(2 * channels, channels, kernel_size=1), nn.Sigmoid())

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("GatedFusion", x, y, self.channels, like=self)
        g = self.gate(torch.cat([x, y], dim=1))                     # b c h w
        return g * x + (1 - g) * y                                  # b c h w


class GRUFusion(nn.Module):
    """A convolutional GRU cell: x is the state, y the input, and the result is the next state.

    Args:
        channels: of both maps.
        kernel_size: of its two convolutions, odd; with 1 every pixel is an ``nn.GRUCell`` of its own.

    Attributes:
        reset, update: the modules whose outputs are r and z, (b, channels, h, w).

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        check_integers("GRUFusion", channels=channels, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"GRUFusion: expected an odd kernel_size, got {kernel_size}; an even one shifts the map")
        self.channels = channels
        self.from_state = nn.Conv2d(channels, 3 * channels, kernel_size, padding=kernel_size // 2)
        self.from_input = nn.Conv2d(channels, 3 * channels, kernel_size, padding=kernel_size // 2)
        self.reset, self.update = nn.Sigmoid(), nn.Sigmoid()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Read y into x. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("GRUFusion", x, y, self.channels, like=self)
        state_r, state_z, state_n = self.from_state(x).chunk(3, dim=1)          # b c h w each, from b 3c h w
        input_r, input_z, input_n = self.from_input(y).chunk(3, dim=1)          # b c h w each
        r = self.reset(state_r + input_r)                           # b c h w
        z = self.update(state_z + input_z)                          # b c h w
        n = torch.tanh(input_n + r * state_n)                       # b c h w
        return z * x + (1 - z) * n                                  # b c h w
