"""Encoder-decoder Transformer: the names inside ``nn.Transformer``, which has no embeddings and no head (skip those)."""

from .._dialect import Dialect

_TORCH = Dialect("torch", rules=(
    (r"^(?:transformer\.)?(encoder|decoder)\.layers\.", r"\1."),
    (r"^(?:transformer\.)?(encoder|decoder)\.norm\.", r"\1_norm."),
    (r"\.self_attn\.", ".self_attention."),
    (r"\.multihead_attn\.", ".cross_attention."),
    (r"\.linear(\d)\.", r".feed_forward.linear\1."),
    (r"\.norm(\d)\.", r".add\1.norm."),
), split={r"in_proj_(weight|bias)$": (r"q_proj.\1", r"k_proj.\1", r"v_proj.\1")})

DIALECTS = {"Transformer": (_TORCH,)}
