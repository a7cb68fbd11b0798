"""Building blocks for infrared small-target detection, where a target has a few pixels and no shape: one file per idea.

The networks built from them are :mod:`dlnotes.models.acm_unet` and :mod:`dlnotes.models.dnanet`.
"""

from .acm import AsymmetricModulation
from .csam import CSAM, CSAMBlock

__all__ = ["AsymmetricModulation", "CSAM", "CSAMBlock"]
