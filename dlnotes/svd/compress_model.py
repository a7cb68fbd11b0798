"""Compress a trained network: replace its linear layers and convolutions by low-rank ones, wherever that saves parameters.

The factors are those of :mod:`dlnotes.svd.low_rank`. What the cut costs in accuracy depends on the network and is for you to
measure; some epochs of further training usually win most of it back.
"""

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from dlnotes._check import check_choice, check_integers

from .compress import break_even_rank
from .compress import energy as energy_of
from .low_rank import LowRankConv2d, LowRankLinear, as_matrix, has_factors

__all__ = ["CompressedLayer", "Compression", "compress_model"]


@dataclass(frozen=True)
class CompressedLayer:
    """One replaced layer: its rank, the share of its squared weights that is left, its parameters before and after."""

    name: str
    rank: int
    energy: float
    before: int
    after: int


@dataclass(frozen=True)
class Compression:
    """What :func:`compress_model` did.

    Attributes:
        layers: the replaced ones, in the order of the network; empty if none would have become smaller.
        before, after: parameters of the whole network.
    """

    layers: tuple[CompressedLayer, ...]
    before: int
    after: int

    def __str__(self) -> str:
        lines = [f"{part.name or '(the model itself)':30} rank {part.rank:4}   energy {part.energy:6.1%}   "
                 f"parameters {part.before:11,} -> {part.after:11,}" for part in self.layers]
        lines.append(f"all parameters {self.before:,} -> {self.after:,} ({self.after / max(self.before, 1):.1%})")
        return "\n".join(lines)


def compress_model(model: nn.Module, *, rank: int | None = None, energy: float | None = None, scheme: str = "channel",
                   skip: Iterable[str] = ()) -> tuple[nn.Module, Compression]:
    """A copy of the network with low-rank layers, and a report. The network itself is not changed.

    Replaced is every ``nn.Linear`` and ungrouped ``nn.Conv2d`` that becomes smaller by it. Left as they are: subclasses,
    layers whose weight another layer shares, and the parts of ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer``,
    which read the weights of their parts without calling them.

    Args:
        model: any network.
        rank: one rank for all layers; a layer that it would not make smaller stays. Give this or ``energy``.
        energy: for each layer the smallest rank that keeps this share of its squared weights, in (0, 1].
        scheme: of the convolutions; see :class:`~dlnotes.svd.low_rank.LowRankConv2d`.
        skip: names of layers to leave whole, ``*`` allowed, for example ``["head", "stem.*"]``.

    Returns:
        The copy, and a :class:`Compression`.

    Raises:
        TypeError: if ``model`` is not a module.
        ValueError: if not exactly one of ``rank`` and ``energy`` is given, or one is out of range.

    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> smaller, report = compress_model(model, rank=8)
    >>> [(layer.name, layer.before, layer.after) for layer in report.layers], report.before, report.after
    ([('0', 4160, 1088), ('2', 650, 602)], 4810, 1690)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"compress_model: expected a torch.nn.Module, got {type(model).__name__}; pass the network")
    if (rank is None) == (energy is None):
        raise ValueError(f"compress_model: expected either rank or energy, got rank={rank}, energy={energy}; "
                         "give one of the two")
    if rank is not None:
        check_integers("compress_model", rank=rank)
    elif not 0 < energy <= 1:
        raise ValueError(f"compress_model: expected energy in (0, 1], got {energy!r}; "
                         "0.9 keeps 90 % of the squared weights")
    check_choice("compress_model", ("channel", "spatial"), scheme=scheme)
    skip = [skip] if isinstance(skip, str) else list(skip)

    smaller = copy.deepcopy(model)
    layers, replaced = [], {}
    uses = Counter(id(p) for module in smaller.modules() for p in module.parameters(recurse=False))
    closed = {part for module in smaller.modules() if isinstance(module, _CLOSED) for part in module.modules()}
    for name, layer in list(smaller.named_modules(remove_duplicate=False)):
        if layer in replaced:                                                       # one layer in two places stays one
            smaller = _put(smaller, name, replaced[layer])
            continue
        if (type(layer) not in (nn.Linear, nn.Conv2d) or not has_factors(layer) or layer in closed
                or uses[id(layer.weight)] > 1 or any(fnmatchcase(name, pattern) for pattern in skip)):
            continue
        matrix = as_matrix(layer, scheme).detach()                                  # m n
        held = energy_of(matrix.to(torch.promote_types(matrix.dtype, torch.float32)))       # min(m, n)
        k = rank if rank is not None else int((held < energy).sum()) + 1
        if k > break_even_rank(*matrix.shape, with_values=False):
            continue
        linear = isinstance(layer, nn.Linear)
        thin = LowRankLinear.from_linear(layer, k) if linear else LowRankConv2d.from_conv(layer, k, scheme)
        replaced[layer] = thin
        smaller = _put(smaller, name, thin)
        layers.append(CompressedLayer(name, k, held[k - 1].item(), _count(layer), _count(thin)))
    return smaller, Compression(tuple(layers), _count(model), _count(smaller))


_CLOSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def _put(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with this layer at this name; the layer itself where the name is empty."""
    if not name:
        return layer
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return model


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
