"""Attention, one file per mechanism: start with ``scaled_dot_product``, then ``multi_head``."""

from .cost import AttentionCost, attention_cost, measure_peak
from .local import local_attention
from .masks import causal_mask, local_mask, padding_mask
from .multi_head import MultiHeadAttention
from .positions import sinusoidal_positions, sinusoidal_positions_2d
from .rollout import attention_rollout
from .scaled_dot_product import attention, attention_scores, attention_weights, explicit_attention
from .sparse import topk_attention, topk_mask

__all__ = [
    "AttentionCost", "MultiHeadAttention", "attention", "attention_cost", "attention_rollout", "attention_scores",
    "attention_weights", "causal_mask", "explicit_attention", "local_attention", "local_mask", "measure_peak",
    "padding_mask", "sinusoidal_positions", "sinusoidal_positions_2d", "topk_attention", "topk_mask",
]
