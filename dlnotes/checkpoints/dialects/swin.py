"""Swin: our names are timm's, but for the head. The authors and torchvision put patch merging at the end of a stage."""

from .._dialect import Dialect

_CONSTANT = {r"relative_position_index$": "follows from the window size", r"attn_mask$": "follows from the size of the map"}
_STAGES = range(8)                                      # more than any published Swin has

_TIMM = Dialect("timm", rules=((r"^head\.fc\.", "head."),), drop=_CONSTANT)

_AUTHORS = Dialect("authors", drop=_CONSTANT, rules=tuple(
    (rf"^layers\.{i}\.downsample\.", f"layers.{i + 1}.downsample.") for i in reversed(_STAGES)))

_TORCHVISION = Dialect("torchvision", drop=_CONSTANT, rules=(
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    *((rf"^features\.{2 * i + 1}\.(\d+)\.", rf"layers.{i}.blocks.\1.") for i in _STAGES),
    *((rf"^features\.{2 * i}\.", f"layers.{i}.downsample.") for i in _STAGES[1:]),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
))

DIALECTS = {"SwinTransformer": (_TORCHVISION, _TIMM, _AUTHORS)}
