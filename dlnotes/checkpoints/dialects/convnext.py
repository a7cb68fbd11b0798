"""ConvNeXt: the blocks have the authors' names, the stages timm's."""

from .._dialect import Dialect

_AUTHORS = Dialect("authors", rules=(
    (r"^downsample_layers\.0\.", "stem."),
    (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"^downsample_layers\.(\d)\.", r"stages.\1.downsample."),
))

_TIMM = Dialect("timm", rules=(
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc(\d)\.", r".pwconv\1."),
    (r"^head\.norm\.", "norm."),
    (r"^head\.fc\.", "head."),
))

_TORCHVISION = Dialect("torchvision", rules=(                           # stem, stage, downsample, stage, downsample, ...
    (r"^features\.0\.", "stem."),
    *((rf"^features\.{2 * i}\.", f"stages.{i}.downsample.") for i in (1, 2, 3)),
    *((rf"^features\.{2 * i + 1}\.", f"stages.{i}.blocks.") for i in (0, 1, 2, 3)),
    (r"\.layer_scale$", ".gamma"),
    (r"\.block\.0\.", ".dwconv."),
    (r"\.block\.2\.", ".norm."),
    (r"\.block\.3\.", ".pwconv1."),
    (r"\.block\.5\.", ".pwconv2."),
    (r"^classifier\.0\.", "norm."),
    (r"^classifier\.2\.", "head."),
))

DIALECTS = {"ConvNeXt": (_TORCHVISION, _TIMM, _AUTHORS)}
