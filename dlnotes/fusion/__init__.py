"""Fusion of feature maps: two of one size into one, maps of several sizes into a pyramid, one map with its surroundings.

Every module of ``FUSIONS`` is built with the number of channels and takes (x, y), both (b, c, h, w), to (b, c, h, w), so one
can stand for another. By custom x is the shallow map (an encoder's skip) and y the deep one. :class:`FPN` takes the levels
of a backbone; :class:`PyramidPooling` and :class:`ASPP` take one map.
"""

from .context import ASPP, PyramidPooling
from .cross_attention import AttentionFusion
from .gated import GatedFusion, GRUFusion
from .generated import HyperFusion
from .pyramid import FPN
from .sums import AddFusion, CascadeFusion, ConcatFusion, WeightedFusion

__all__ = ["ASPP", "AddFusion", "AttentionFusion", "CascadeFusion", "ConcatFusion", "FPN", "FUSIONS", "GRUFusion",
           "GatedFusion", "HyperFusion", "PyramidPooling", "WeightedFusion"]

FUSIONS = {"add": AddFusion, "concat": ConcatFusion, "weighted": WeightedFusion, "cascade": CascadeFusion,
           "gated": GatedFusion, "gru": GRUFusion, "attention": AttentionFusion, "hyper": HyperFusion}
