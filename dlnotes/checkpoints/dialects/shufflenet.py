"""ShuffleNetV2: torchvision's network is the paper's, the authors' another one (``released=True``), under other names."""

from .._dialect import Dialect

_INSIDE = (                                 # both number the layers of a branch, activations included
    (r"\.branch(?:1|_proj)\.0\.", ".left.0.conv."),
    (r"\.branch(?:1|_proj)\.1\.", ".left.0.norm."),
    (r"\.branch(?:1|_proj)\.2\.", ".left.1.conv."),
    (r"\.branch(?:1|_proj)\.3\.", ".left.1.norm."),
    (r"\.branch(?:2|_main)\.0\.", ".right.0.conv."),
    (r"\.branch(?:2|_main)\.1\.", ".right.0.norm."),
    (r"\.branch(?:2|_main)\.3\.", ".right.1.conv."),
    (r"\.branch(?:2|_main)\.4\.", ".right.1.norm."),
    (r"\.branch(?:2|_main)\.5\.", ".right.2.conv."),
    (r"\.branch(?:2|_main)\.6\.", ".right.2.norm."),
)

_TORCHVISION = Dialect("torchvision", rules=(
    (r"^conv1\.0\.", "stem.conv."),
    (r"^conv1\.1\.", "stem.norm."),
    *((rf"^stage{i + 2}\.", f"stages.{i}.") for i in (0, 1, 2)),
    *_INSIDE,
    (r"^conv5\.0\.", "last.conv."),
    (r"^conv5\.1\.", "last.norm."),
    (r"^fc\.", "classifier."),
))

_PLACES = [(i, j) for i, depth in enumerate((4, 8, 4)) for j in range(depth)]

_AUTHORS = Dialect("authors", rules=(
    (r"^first_conv\.0\.", "stem.conv."),
    (r"^first_conv\.1\.", "stem.norm."),
    *((rf"^features\.{n}\.", f"stages.{i}.{j}.") for n, (i, j) in enumerate(_PLACES)),
    *_INSIDE,
    (r"^conv_last\.0\.", "last.conv."),
    (r"^conv_last\.1\.", "last.norm."),
    (r"^classifier\.0\.", "classifier."),
))

DIALECTS = {"ShuffleNetV2": (_TORCHVISION, _AUTHORS)}
