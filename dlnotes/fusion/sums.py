"""Fusion by sums: two maps are added, as they are, weighted by a number each, or after a convolution of each.

A 1×1 convolution of the concatenation is a sum too: W [x; y] = W₁ x + W₂ y. Adding is the case in which both matrices are
the identity: it costs nothing, and asks the network to make its channels mean the same in both maps.
Sources: weights: Tan, Pang and Le, "EfficientDet", CVPR 2020, section 3.3. Cascade: Zhao et al., "ICNet", ECCV 2018, the
cascade feature fusion unit; departure: its coarse map comes here already enlarged, and without its own loss.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_integers

from ._checks import check_pair

__all__ = ["AddFusion", "CascadeFusion", "ConcatFusion", "WeightedFusion"]


class AddFusion(nn.Module):
    """x + y: no parameters.

    Args:
        channels: of both maps.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("AddFusion", channels=channels)
        self.channels = channels

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Add two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("AddFusion", x, y, self.channels)
        return x + y


class ConcatFusion(nn.Module):
    """Concatenate the channels, then mix them by a 1×1 convolution back to as many as one map has: 2 c² + c parameters.

    Args:
        channels: of both maps.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("ConcatFusion", channels=channels)
        self.channels = channels
        self.mix = nn.Conv2d(2 * channels, channels, kernel_size=1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("ConcatFusion", x, y, self.channels, like=self)
        return self.mix(torch.cat([x, y], dim=1))                   # b c h w, from b 2c h w


class WeightedFusion(nn.Module):
    """A weighted mean with one learned number for each map.

    Args:
        channels: of both maps; the two weights do not depend on it.
        normalize: ``"fast"``, w over the sum of all w, each kept from below zero by a ReLU (BiFPN's); or ``"softmax"``,
            eʷ over the sum of all. EfficientDet found them equally accurate, and the first faster on its accelerator.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w).

    >>> WeightedFusion(8).shares()                  # equal at the start
    tensor([0.5000, 0.5000], grad_fn=<DivBackward0>)
    """

    def __init__(self, channels: int, normalize: str = "fast"):
        super().__init__()
        check_integers("WeightedFusion", channels=channels)
        check_choice("WeightedFusion", ("fast", "softmax"), normalize=normalize)
        self.channels, self.normalize = channels, normalize
        self.weight = nn.Parameter(torch.ones(2))

    def shares(self) -> torch.Tensor:
        """The shares (2,) of x and of y in the result."""
        if self.normalize == "softmax":
            return self.weight.softmax(dim=0)
        w = F.relu(self.weight)
        return w / (w.sum() + 1e-4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Average two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("WeightedFusion", x, y, self.channels, like=self.weight)
        shares = self.shares()
        return shares[0] * x + shares[1] * y                        # b c h w


class CascadeFusion(nn.Module):
    """ICNet's unit: the coarse map is refined by a dilated convolution, the fine one projected, and both are added.

    Args:
        channels: of both maps.

    Shape: (x, y), both (b, channels, h, w), to (b, channels, h, w); x is the fine map, y the coarse one, enlarged.
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("CascadeFusion", channels=channels)
        self.channels = channels
        self.fine = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.coarse = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False),
                                    nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fuse two maps. Raises TypeError or ValueError unless they are of one shape (b, channels, h, w) and dtype."""
        check_pair("CascadeFusion", x, y, self.channels, like=self)
        return F.relu(self.fine(x) + self.coarse(y))                # b c h w
