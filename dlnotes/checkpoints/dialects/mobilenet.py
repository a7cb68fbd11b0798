"""MobileNetV2: the layers of a block have names here, and numbers in torchvision's and the authors' checkpoints."""

from .._dialect import Dialect

_STEM_AND_LAST = (
    (r"^features\.(0|18)\.0\.", r"features.\1.conv."),
    (r"^features\.(0|18)\.1\.", r"features.\1.norm."),
)

_TORCHVISION = Dialect("torchvision", rules=(
    *_STEM_AND_LAST,
    (r"^(features\.1)\.conv\.0\.0\.", r"\1.depthwise.conv."),               # the first block has nothing to expand
    (r"^(features\.1)\.conv\.0\.1\.", r"\1.depthwise.norm."),
    (r"^(features\.1)\.conv\.1\.", r"\1.project.conv."),
    (r"^(features\.1)\.conv\.2\.", r"\1.project.norm."),
    (r"\.conv\.0\.0\.", ".expand.conv."),
    (r"\.conv\.0\.1\.", ".expand.norm."),
    (r"\.conv\.1\.0\.", ".depthwise.conv."),
    (r"\.conv\.1\.1\.", ".depthwise.norm."),
    (r"\.conv\.2\.", ".project.conv."),
    (r"\.conv\.3\.", ".project.norm."),
    (r"^classifier\.1\.", "classifier."),
))

_PLACES = [(i, j) for i, repeats in enumerate((1, 2, 3, 4, 3, 3, 1)) for j in range(repeats)]

_TIMM = Dialect("timm", rules=(
    (r"^conv_stem\.", "features.0.conv."),
    (r"^bn1\.", "features.0.norm."),
    (r"^conv_head\.", "features.18.conv."),
    (r"^bn2\.", "features.18.norm."),
    *((rf"^blocks\.{i}\.{j}\.", f"features.{n}.") for n, (i, j) in enumerate(_PLACES, start=1)),
    (r"^(features\.1)\.bn1\.", r"\1.depthwise.norm."),
    (r"^(features\.1)\.conv_pw\.", r"\1.project.conv."),
    (r"^(features\.1)\.bn2\.", r"\1.project.norm."),
    (r"\.conv_pw\.", ".expand.conv."),
    (r"\.bn1\.", ".expand.norm."),
    (r"\.conv_dw\.", ".depthwise.conv."),
    (r"\.bn2\.", ".depthwise.norm."),
    (r"\.conv_pwl\.", ".project.conv."),
    (r"\.bn3\.", ".project.norm."),
))

_AUTHORS = Dialect("authors", rules=(                                       # of coordinate attention, mbv2_ca.py
    (r"^conv\.", "features.18."),
    *_STEM_AND_LAST,
    (r"^(features\.1)\.conv\.0\.", r"\1.depthwise.conv."),
    (r"^(features\.1)\.conv\.1\.", r"\1.depthwise.norm."),
    (r"^(features\.1)\.conv\.3\.", r"\1.project.conv."),
    (r"^(features\.1)\.conv\.4\.", r"\1.project.norm."),
    (r"\.conv\.0\.", ".expand.conv."),
    (r"\.conv\.1\.", ".expand.norm."),
    (r"\.conv\.3\.", ".depthwise.conv."),
    (r"\.conv\.4\.", ".depthwise.norm."),
    (r"\.conv\.6\.conv2\.", ".attention.conv_h."),
    (r"\.conv\.6\.conv3\.", ".attention.conv_w."),
    (r"\.conv\.6\.", ".attention."),
    (r"\.conv\.7\.", ".project.conv."),
    (r"\.conv\.8\.", ".project.norm."),
    (r"^classifier\.1\.", "classifier."),
))

DIALECTS = {"MobileNetV2": (_TORCHVISION, _TIMM, _AUTHORS)}
