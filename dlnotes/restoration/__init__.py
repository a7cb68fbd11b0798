"""Layers of networks that repair pictures: attention over channels, gates, convolutions at several scales, fusion.

Restormer: ``mdta``, ``gdfn``, ``channel_norm``. HCANet: ``cafm``, ``msfn``, ``plane_conv``. SAFMN: ``safm``, ``ccm``.
CAMixerSR: ``camixer``. OKNet: ``okm``. DEA-Net: ``deconv``, ``deab``, ``cga``.
"""

from .cafm import CAFM
from .camixer import CAMixer, Predictor, Routing, hard_windows, ratio_loss, warp
from .ccm import CCM
from .cga import CGAFusion, ChannelMap, ContentGuidedAttention, PixelMap, SpatialMap
from .channel_norm import ChannelNorm
from .deab import DEAB, DEB
from .deconv import (DetailEnhancedConv, angular_difference, central_difference, fold, horizontal_difference,
                     vertical_difference)
from .gdfn import GDFN
from .mdta import MDTA, transposed_attention
from .msfn import MSFN
from .okm import OmniKernel
from .plane_conv import PlaneConv3d, fold_planes
from .safm import FMM, SAFM

__all__ = [
    "CAFM", "CAMixer", "CCM", "CGAFusion", "ChannelMap", "ChannelNorm", "ContentGuidedAttention", "DEAB", "DEB",
    "DetailEnhancedConv", "FMM", "GDFN", "MDTA", "MSFN", "OmniKernel", "PixelMap", "PlaneConv3d", "Predictor", "Routing",
    "SAFM", "SpatialMap", "angular_difference", "central_difference", "fold", "fold_planes", "hard_windows",
    "horizontal_difference", "ratio_loss", "transposed_attention", "vertical_difference", "warp",
]
