"""Losses of segmentation and restoration: one signature, logits first, class numbers second, ignored pixels left out.

Those in the frequency domain live with the transform, in ``dlnotes.fourier``, and are offered here too.
"""

from dlnotes.fourier.losses import focal_frequency_loss, frequency_l1_loss

from .boundary import boundary_loss, signed_distance
from .cross_entropy import cross_entropy
from .focal import focal_loss
from .overlap import dice_loss, generalised_dice_loss, tversky_loss

__all__ = ["boundary_loss", "cross_entropy", "dice_loss", "focal_frequency_loss", "focal_loss", "frequency_l1_loss",
           "generalised_dice_loss", "signed_distance", "tversky_loss"]
