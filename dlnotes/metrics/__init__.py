"""Metrics: fed batch by batch, exact over the whole set, over several processes, and clear about what is undefined."""

from ._streaming import Metric
from .boundary import BoundaryF, outline
from .confusion import ConfusionMatrix, overlap_per_picture
from .curves import ScoreCurves, area_under_roc, average_precision, pr_curve, roc_curve
from .image_quality import ImageQuality, psnr, ssim, to_luma
from .regions import RegionDetection, match_regions

__all__ = ["BoundaryF", "ConfusionMatrix", "ImageQuality", "Metric", "RegionDetection", "ScoreCurves", "area_under_roc",
           "average_precision", "match_regions", "outline", "overlap_per_picture", "pr_curve", "psnr", "roc_curve", "ssim",
           "to_luma"]
