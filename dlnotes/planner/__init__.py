"""nnU-Net's idea in small: look at the data, look at the memory, and let rules that can be read choose the rest."""

from .fingerprint import Fingerprint, fingerprint
from .plan import Plan, Rung, dice_and_cross_entropy, ladder, plan
from .transform import PlanTransform

__all__ = ["Fingerprint", "Plan", "PlanTransform", "Rung", "dice_and_cross_entropy", "fingerprint", "ladder", "plan"]
