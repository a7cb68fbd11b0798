"""Normalisation by hand: ``functional`` forward and backward, ``batch_norm`` the layer, ``fold`` its removal."""

from .batch_norm import BatchNorm2d
from .fold import fold_batchnorm, fold_model, foldable_pairs
from .functional import SHARED, Saved, norm_backward, norm_forward, statistics

__all__ = ["BatchNorm2d", "SHARED", "Saved", "fold_batchnorm", "fold_model", "foldable_pairs", "norm_backward",
           "norm_forward", "statistics"]
