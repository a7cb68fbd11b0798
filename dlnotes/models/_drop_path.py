"""Stochastic depth: in training, leave a residual branch out for some of the samples, and all of it in for evaluation.

A network with residual connections still works when a branch is missing, so training visits shallower networks at random.
Source: Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016, section 3. Departures, both
those of today's libraries: the choice is made for each sample, not for the whole batch, and what survives is divided by the
probability of survival, so that evaluation needs no factor (the paper multiplies by it in evaluation instead).
"""

import torch
from torch import nn

from dlnotes._check import check_probability

__all__: list[str] = []                     # the models of this folder share DropPath; it is no part of the interface


class DropPath(nn.Module):
    """Zero a whole sample with a probability, in training; the identity in evaluation.

    Args:
        probability: of leaving the branch out, in [0, 1).

    Raises:
        ValueError: if ``probability`` lies elsewhere.

    >>> x, layer = torch.ones(1000, 2, 2), DropPath(0.5)
    >>> sorted(set(layer(x).flatten().tolist())), torch.equal(layer.eval()(x), x)
    ([0.0, 2.0], True)
    """

    def __init__(self, probability: float = 0.0):
        super().__init__()
        check_probability("DropPath", probability=probability)
        self.probability = probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, ...) -> (b, ...), of the same shape."""
        if not self.training or self.probability == 0.0:
            return x
        survives = 1.0 - self.probability
        mask = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(survives)    # b 1 ... 1
        return x * (mask / survives)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
