"""DANet's head: the authors number its parts; a whole network of theirs has the prefix ``head.`` before them."""

from .._dialect import Dialect

_NAMES = {"conv5a": "position_in", "sa": "position", "conv51": "position_out", "conv6": "classify_position",
          "conv5c": "channel_in", "sc": "channel", "conv52": "channel_out", "conv7": "classify_channel",
          "conv8": "classify_sum"}

_AUTHORS = Dialect("authors", rules=(
    (r"^head\.", ""),
    *((rf"^{theirs}\.", f"{ours}.") for theirs, ours in _NAMES.items()),
    (r"^position\.(query|key|value)_conv\.", r"position.\1."),
), drop={r"^(?:pretrained|backbone)\.": "the backbone, which is no part of the head"})

DIALECTS = {"DANetHead": (_AUTHORS,)}
