"""What a plan does to a sample before the network sees it: augmentation while training, then normalisation."""

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["PlanTransform"]


class PlanTransform:
    """Augment and normalise a sample dict; made by :meth:`dlnotes.planner.Plan.transform`.

    Args:
        augmentation: arguments of :class:`dlnotes.data.Augment`; None for validation.
        intensity: (mean, std, low, high) by channel to cut off and normalise with, for pixels that measure something; None
            gives every picture and channel mean 0 and standard deviation 1 by its own numbers.

    >>> item = PlanTransform(None)({"image": torch.tensor([[[1.0, 3.0]]]), "name": "one"})
    >>> item["image"].tolist(), item["name"]
    ([[[-1.0, 1.0]]], 'one')
    """

    def __init__(self, augmentation: Mapping[str, Any] | None, intensity: tuple | None = None):
        from dlnotes.data import Augment

        self.augment = None if augmentation is None else Augment(**augmentation)
        self.intensity = intensity

    def __call__(self, item: dict) -> dict:
        """The sample with a new image (c, h, w) and, while training, a new mask (h, w)."""
        item = dict(item if self.augment is None else self.augment(item))
        image = item["image"].float()                                               # c h w
        if self.intensity is None:
            mean, std = image.mean((1, 2), keepdim=True), image.std((1, 2), keepdim=True, correction=0)     # c 1 1
        else:
            mean, std, low, high = (torch.tensor(x).reshape(-1, 1, 1) for x in self.intensity)              # c 1 1
            image = image.clamp(low, high)
        item["image"] = (image - mean) / std.clamp(min=1e-8)
        return item
