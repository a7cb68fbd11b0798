"""Attention, one file per mechanism: start with ``scaled_dot_product``, then ``multi_head``.

Over tokens: ``scaled_dot_product``, ``multi_head``, ``masks``, ``positions``, ``local``, ``sparse``, ``window``, with
``cost`` and ``rollout``. Over channels: ``squeeze_excitation``, ``eca``, ``selective_kernel``. Over channels and space:
``cbam``, ``coordinate``. Over all pixels, or all channels, of a map: ``non_local``, ``dual``.
"""

from .cbam import CBAM, ChannelAttention, SpatialAttention
from .coordinate import CoordinateAttention
from .cost import AttentionCost, attention_cost, measure_peak
from .dual import ChannelAffinity, PositionAttention
from .eca import ECA, eca_kernel_size
from .local import local_attention
from .masks import causal_mask, local_mask, padding_mask
from .multi_head import MultiHeadAttention
from .non_local import NonLocal
from .positions import sinusoidal_positions, sinusoidal_positions_2d
from .rollout import attention_rollout
from .scaled_dot_product import attention, attention_scores, attention_weights, explicit_attention, fused_attention
from .selective_kernel import SelectiveKernel
from .sparse import topk_attention, topk_mask
from .squeeze_excitation import SqueezeExcitation
from .window import WindowAttention, relative_position_index, shifted_regions, shifted_window_mask

__all__ = [
    "AttentionCost", "CBAM", "ChannelAffinity", "ChannelAttention", "CoordinateAttention", "ECA", "MultiHeadAttention",
    "NonLocal", "PositionAttention", "SelectiveKernel", "SpatialAttention", "SqueezeExcitation", "WindowAttention",
    "attention", "attention_cost", "attention_rollout", "attention_scores", "attention_weights", "causal_mask",
    "eca_kernel_size", "explicit_attention", "fused_attention", "local_attention", "local_mask", "measure_peak",
    "padding_mask", "relative_position_index", "shifted_regions", "shifted_window_mask", "sinusoidal_positions",
    "sinusoidal_positions_2d", "topk_attention", "topk_mask",
]
