"""Making maps larger: ``interpolation`` (fixed weights), ``unpooling`` (none), ``learned`` (weights that train)."""

from dlnotes.shapes import pixel_shuffle

from .interpolation import cubic, interpolate, interpolation_matrix, source_places, tent
from .learned import bilinear_conv_transpose
from .unpooling import bed_of_nails, max_unpool2d, repeat_unpool

__all__ = ["bed_of_nails", "bilinear_conv_transpose", "cubic", "interpolate", "interpolation_matrix", "max_unpool2d",
           "pixel_shuffle", "repeat_unpool", "source_places", "tent"]
