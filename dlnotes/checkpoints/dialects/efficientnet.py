"""EfficientNet: others number the layers of a block, so the rules depend on which kind of block a stage is made of.

timm's ``tf_`` weights have the same names and shapes and load too, but were trained with TensorFlow's uneven padding (and B0
with eps=1e-3): the outputs here differ from theirs. Take torchvision's, or timm's without ``tf_``.
"""

from .._dialect import Dialect

# what stages 1, 2, ... are made of; "plain" and "single" are MBConv and FusedMBConv without expansion
_B0 = ("plain", *6 * ("mbconv",))
_V2_S = ("single", "fused", "fused", *3 * ("mbconv",))

_TORCHVISION_BLOCK = {                      # our names in the order of their numbers
    "plain": ("depthwise", "squeeze_excite", "project"), "mbconv": ("expand", "depthwise", "squeeze_excite", "project"),
    "single": ("expand",), "fused": ("expand", "project"),
}
_TIMM_BLOCK = {
    "plain": {"conv_dw": "depthwise.conv", "bn1": "depthwise.norm", "conv_pw": "project.conv", "bn2": "project.norm"},
    "mbconv": {"conv_pw": "expand.conv", "bn1": "expand.norm", "conv_dw": "depthwise.conv", "bn2": "depthwise.norm",
               "conv_pwl": "project.conv", "bn3": "project.norm"},
    "single": {"conv": "expand.conv", "bn1": "expand.norm"},
    "fused": {"conv_exp": "expand.conv", "bn1": "expand.norm", "conv_pwl": "project.conv", "bn2": "project.norm"},
}


def _torchvision(kinds: tuple[str, ...]) -> Dialect:
    last = len(kinds) + 1
    return Dialect("torchvision", rules=(
        *((rf"^(features\.{stage}\.\d+)\.block\.{i}\.", rf"\1.{ours}.")
          for stage, kind in enumerate(kinds, start=1) for i, ours in enumerate(_TORCHVISION_BLOCK[kind])),
        (r"\.fc1\.", ".reduce."),
        (r"\.fc2\.", ".expand."),
        (rf"^(features\.(?:0|{last}|\d+\.\d+\.\w+))\.0\.", r"\1.conv."),
        (rf"^(features\.(?:0|{last}|\d+\.\d+\.\w+))\.1\.", r"\1.norm."),
        (r"^classifier\.1\.", "classifier."),
    ))


def _timm(kinds: tuple[str, ...]) -> Dialect:
    last = len(kinds) + 1
    return Dialect("timm", rules=(
        (r"^conv_stem\.", "features.0.conv."),
        (r"^bn1\.", "features.0.norm."),
        (r"^conv_head\.", f"features.{last}.conv."),
        (r"^bn2\.", f"features.{last}.norm."),
        (r"\.se\.conv_", ".squeeze_excite."),
        *((rf"^blocks\.{stage - 1}\.(\d+)\.{theirs}\.", rf"features.{stage}.\1.{ours}.")
          for stage, kind in enumerate(kinds, start=1) for theirs, ours in _TIMM_BLOCK[kind].items()),
        *((rf"^blocks\.{stage - 1}\.", f"features.{stage}.") for stage in range(1, last)),
    ))


DIALECTS = {"EfficientNet": (_torchvision(_B0), _torchvision(_V2_S), _timm(_B0), _timm(_V2_S))}
