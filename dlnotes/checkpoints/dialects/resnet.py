"""The ResNet family: ours are torchvision's and timm's names, and for ResNeSt and ECA-ResNet the authors'.

Not offered: timm's ``legacy_seresnet50`` (the authors' SENet weights) pools without padding after the stem, so that the same
weights would give other outputs here.
"""

from .._dialect import Dialect

# timm's pre-activation networks, resnetv2_50 and the like: ResNet(preactivation=True) here
_TIMM_V2 = Dialect("timm", rules=(
    (r"^stem\.conv\.", "conv1."),
    *((rf"^stages\.{i}\.blocks\.", f"layer{i + 1}.") for i in range(4)),
    (r"\.norm(\d)\.", r".bn\1."),
    (r"\.downsample\.conv\.", ".downsample."),
    (r"^head\.fc\.", "fc."),
))

_SK_TIMM = Dialect("timm", rules=(
    (r"^(layer\d\.\d+)\.(conv[13])\.conv\.", r"\1.\2."),
    (r"^(layer\d\.\d+)\.conv([13])\.bn\.", r"\1.bn\2."),
))

_CBAM_AUTHORS = Dialect("authors", rules=(
    (r"\.ChannelGate\.mlp\.1\.", ".channel.fc1."),
    (r"\.ChannelGate\.mlp\.3\.", ".channel.fc2."),
    (r"\.SpatialGate\.spatial\.", ".spatial."),
))

DIALECTS = {"ResNet": (_TIMM_V2,), "SKNet": (_SK_TIMM,), "CBAMResNet": (_CBAM_AUTHORS,)}
