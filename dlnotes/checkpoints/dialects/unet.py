"""U-Net: the names of Pytorch-UNet (milesial), whose blocks are called inc, down1 to down4, up1 to up4 and outc.

labml's U-Net has the same shapes without batch norm, but concatenates the coarse map first: its decoders' input channels are
in another order, so no change of names makes its weights ours.
"""

from .._dialect import Dialect

_MILESIAL = Dialect("milesial", rules=(
    (r"^inc\.double_conv\.", "encoder.0."),
    (r"^down4\.maxpool_conv\.1\.double_conv\.", "bottom."),
    (r"^down(\d)\.maxpool_conv\.1\.double_conv\.", r"encoder.\1."),
    *((rf"^up{i}\.up\.", f"ups.{i - 1}.") for i in range(1, 5)),
    *((rf"^up{i}\.conv\.double_conv\.", f"decoder.{i - 1}.") for i in range(1, 5)),
    (r"^outc\.conv\.", "head."),
))

DIALECTS = {"UNet": (_MILESIAL,)}
