"""The singular value decomposition at work: pictures of few numbers, large matrices quickly, and thinner layers.

One idea per file: :mod:`~dlnotes.svd.compress` (rank-k pictures, energy, error, bytes), :mod:`~dlnotes.svd.randomized`,
:mod:`~dlnotes.svd.low_rank` (layers in two factors), :mod:`~dlnotes.svd.compress_model` (a whole network of them) and
:mod:`~dlnotes.svd.gradients` (what may be differentiated). Matrices are (..., h, w): the channels of a colour picture
(3, h, w) are three matrices, each with a decomposition of its own.
"""

from .compress import break_even_rank, compressed_bytes, energy, rank_for_energy, rank_one_terms, truncate, truncation_error
from .compress_model import CompressedLayer, Compression, compress_model
from .gradients import singular_value_gradient, vector_gradient_gain
from .low_rank import LowRankConv2d, LowRankLinear
from .randomized import randomized_svd, range_finder

__all__ = ["CompressedLayer", "Compression", "LowRankConv2d", "LowRankLinear", "break_even_rank", "compress_model",
           "compressed_bytes", "energy", "randomized_svd", "range_finder", "rank_for_energy", "rank_one_terms",
           "singular_value_gradient", "truncate", "truncation_error", "vector_gradient_gain"]
