"""Feature pyramid: bring the meaning of deep, coarse maps to the shallow, fine ones, and give all levels one width.

Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3: a 1×1 convolution of each level
(the lateral connection), the coarser level enlarged twice by nearest neighbour and added, a 3×3 convolution of each sum
against the aliasing of the enlargement. Departures: where a fine level has an odd side the coarse one is enlarged to exactly
that size, as in torchvision; the further level P6 of the paper's region proposals, every second pixel of the last one, is
left to the caller.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers

__all__ = ["FPN"]


class FPN(nn.Module):
    """Top-down pathway over any number of levels.

    Args:
        channels: of each level, from the finest to the coarsest.
        out_channels: of every level that comes out.

    Shape: as many maps as channels, (b, channels[i], h / 2^i, w / 2^i), halves rounded either way, to a tuple of as many
    (b, out_channels, h / 2^i, w / 2^i).

    >>> fpn = FPN([64, 128, 256], out_channels=32)
    >>> [tuple(p.shape) for p in fpn(torch.zeros(1, 64, 30, 20), torch.zeros(1, 128, 15, 10), torch.zeros(1, 256, 8, 5))]
    [(1, 32, 30, 20), (1, 32, 15, 10), (1, 32, 8, 5)]
    """

    def __init__(self, channels: Sequence[int], out_channels: int = 256):
        super().__init__()
        check_integers("FPN", out_channels=out_channels, levels=len(channels),
                       **{f"channels[{i}]": c for i, c in enumerate(channels)})
        self.channels = tuple(channels)
        self.lateral = nn.ModuleList(nn.Conv2d(c, out_channels, kernel_size=1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1) for _ in channels)

    def forward(self, *maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Fuse the levels.

        Args:
            *maps: the levels, the finest first: ``fpn(c2, c3, c4, c5)``, or ``fpn(*levels)`` from a list.

        Returns:
            A tuple of as many maps, the finest first.

        Raises:
            TypeError, ValueError: if their number, a shape or a dtype does not fit.
        """
        self._check(maps)
        top_down = self.lateral[-1](maps[-1])                       # b out h/2^i w/2^i
        outs = [self.smooth[-1](top_down)]
        for i in range(len(maps) - 2, -1, -1):
            side = self.lateral[i](maps[i])                         # b out h w, of level i
            top_down = side + F.interpolate(top_down, size=side.shape[-2:], mode="nearest")     # b out h w
            outs.append(self.smooth[i](top_down))                   # b out h w
        return tuple(reversed(outs))

    def _check(self, maps: tuple[torch.Tensor, ...]) -> None:
        if len(maps) != len(self.channels):
            raise ValueError(f"FPN: expected {len(self.channels)} maps, one for each of its channels {self.channels}, got "
                             f"{len(maps)}; spread a list with fpn(*maps)")
        for i, (x, c) in enumerate(zip(maps, self.channels)):
            check_input("FPN", x, "b c h w", c=c, like=self)
            finer = maps[max(i - 1, 0)]
            halved = all(abs(2 * side - whole) <= 1 for side, whole in zip(x.shape[-2:], finer.shape[-2:]))
            if i and not halved or len(x) != len(finer):
                raise ValueError(f"FPN: expected map {i} to have the batch size of the one before it and half its height "
                                 f"and width, got {tuple(finer.shape)} and then {tuple(x.shape)}; pass the levels of one "
                                 "backbone, the finest first")
