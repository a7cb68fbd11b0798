"""Fusion by generated weights: a small network looks at both maps and writes the kernels that fuse these two.

Sources: Ha, Dai and Le, "HyperNetworks", ICLR 2017 (one network makes the weights of another); De Brabandere et al.,
"Dynamic Filter Networks", NeurIPS 2016 (the weights depend on the sample). This module is a small one of that
kind, not a published one: the look is a global mean, and the kernels are depthwise, so that there are few numbers to write.
"""

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import nn

from dlnotes._check import check_divisible, check_integers

from ._checks import check_pair

__all__ = ["HyperFusion"]


class HyperFusion(nn.Module):
    """For each sample one k×k kernel for each channel of x and of y; each map is filtered by its own, and both are added.

    At the start the kernels are near half an impulse: the mean of x and y.

    Args:
        channels: of both maps, divisible by ``reduction``.
        kernel_size: k, odd.
        reduction: the hidden layer of the writing network has channels / reduction units.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int, kernel_size: int = 3, reduction: int = 4):
        super().__init__()
        check_integers("HyperFusion", channels=channels, kernel_size=kernel_size, reduction=reduction)
        check_divisible("HyperFusion", "reduction", reduction, channels=channels)
        if kernel_size % 2 == 0:
            raise ValueError(f"HyperFusion: expected an odd kernel_size, got {kernel_size}; an even one shifts the map")
        self.channels, self.kernel_size = channels, kernel_size
        hidden = channels // reduction
        self.look = nn.Linear(2 * channels, hidden)
        self.write = nn.Linear(hidden, 2 * channels * kernel_size**2)
        impulse = F.pad(torch.full((2 * channels, 1, 1), 0.5), [kernel_size // 2] * 4)                  # 2c k k
        with torch.no_grad():
            self.write.bias.copy_(impulse.flatten())

    def kernels(self, both: torch.Tensor) -> torch.Tensor:
        """Kernels (b, 2 · channels, k, k) for the concatenated maps (b, 2 · channels, h, w)."""
        written = self.write(F.gelu(self.look(reduce(both, "b c h w -> b c", "mean"))))                 # b (2c k k)
        return rearrange(written, "b (c k l) -> b c k l", k=self.kernel_size, l=self.kernel_size)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("HyperFusion", x, y, self.channels, like=self)
        both = torch.cat([x, y], dim=1)                                                                 # b 2c h w
        kernels = rearrange(self.kernels(both), "b c k l -> (b c) 1 k l")
        maps = rearrange(both, "b c h w -> 1 (b c) h w")            # one group for each channel of each sample
        maps = F.conv2d(maps, kernels, padding=self.kernel_size // 2, groups=maps.shape[1])             # 1 (b 2c) h w
        return reduce(maps, "1 (b two c) h w -> b c h w", "sum", two=2, c=self.channels)
