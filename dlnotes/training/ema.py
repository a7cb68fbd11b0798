"""Exponential moving average of the weights: a second network that trails the first and is calmer than it.

After each update every weight of the average moves a small part of the way to the trained one. The noise of single updates
averages out; the average often generalises better than any one point of the path.

Source: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992, for averaging; the exponential form as used in Szegedy et
al., CVPR 2016, section 8. Departure: the first updates use the smaller decay (1 + t) / (10 + t), as TensorFlow's
``ExponentialMovingAverage`` offers, so that the random initial weights do not linger in short runs.
"""

import copy

import torch
from torch import nn

__all__ = ["EMA"]


class EMA:
    """A trailing copy of a network.

    Args:
        model: the network that is trained. It is copied once, with its buffers.
        decay: share of the average that survives an update, in (0, 1), for example 0.999.

    Attributes:
        module: the averaged network, in eval mode, without gradients.
        updates: updates seen so far.

    Raises:
        ValueError: if the decay is not in (0, 1).

    >>> line = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(line.weight)
    >>> ema = EMA(line, decay=0.9)
    >>> _ = nn.init.ones_(line.weight)
    >>> for _ in range(2):
    ...     ema.update(line)
    ...     print(round(ema.module.weight.item(), 4))               # decays 2/11 and 3/12, both below 0.9
    0.8182
    0.9545
    """

    def __init__(self, model: nn.Module, decay: float):
        if not isinstance(decay, (int, float)) or isinstance(decay, bool) or not 0 < decay < 1:
            raise ValueError(f"EMA: expected a decay between 0 and 1, got {decay!r}; 0.999 is a common choice, "
                             "and ema=None in fit switches it off")
        self.decay, self.updates = decay, 0
        self.module = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the present weights; buffers (running statistics, counters) are copied as they are."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, now in zip(self.module.parameters(), model.parameters()):
            average.lerp_(now.detach(), 1 - decay)
        for average, now in zip(self.module.buffers(), model.buffers()):
            average.copy_(now)
