"""Boundary F: do the outlines agree, to within a few pixels? Overlap forgives a ragged edge on a large object; this does
not.

Precision is the share of the predicted outline that lies within ``tolerance`` pixels of the true one, recall the share of
the true outline within that distance of the predicted one, F their harmonic mean.
Source: Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013, section 3.
Decided here: the outline is the pixels of the object that have a neighbour (of four) outside it; the edge of the picture is
no outline; a picture in which neither mask has an outline does not count, one in which only one has scores 0.
"""

import torch

from ._streaming import Metric, ratio

__all__ = ["BoundaryF", "outline"]


def outline(mask: torch.Tensor) -> torch.Tensor:
    """Pixels of the object with one of their four neighbours outside it: (..., h, w) boolean, for (..., h, w) 0 and 1.

    >>> outline(torch.tensor([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]])).int()
    tensor([[0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0],
            [0, 1, 0, 1, 0],
            [0, 1, 0, 1, 0]], dtype=torch.int32)
    """
    inside = mask > 0
    kept = inside.clone()
    kept[..., 1:, :] &= inside[..., :-1, :]
    kept[..., :-1, :] &= inside[..., 1:, :]
    kept[..., :, 1:] &= inside[..., :, :-1]
    kept[..., :, :-1] &= inside[..., :, 1:]
    return inside & ~kept


class BoundaryF(Metric):
    """Mean boundary precision, recall and F over pictures.

    Args:
        tolerance: distance in pixels that still counts as agreement; Csurka et al. take 0.75 % of the picture's diagonal.

    Raises:
        ValueError: if ``tolerance`` is negative.

    >>> seen, true = BoundaryF(tolerance=1.0), torch.zeros(1, 12, 12, dtype=torch.bool)
    >>> true[0, 3:8, 3:8] = True
    >>> seen.update(true.roll(1, dims=2), true)                 # one pixel off: within the tolerance
    >>> seen.compute()["f"]
    1.0
    """

    def __init__(self, tolerance: float = 2.0):
        if not tolerance >= 0:
            raise ValueError(f"BoundaryF: expected a tolerance of at least 0 pixels, got {tolerance!r}; 2 is usual")
        self.tolerance = tolerance
        zero = torch.zeros((), dtype=torch.float64)
        super().__init__(precision=zero, recall=zero, f=zero, pictures=zero)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Compare a batch of binary masks, both (b, h, w), boolean or 0 and 1.

        Raises:
            ValueError: if shapes do not fit, or floats are no mask.
        """
        from scipy.ndimage import distance_transform_edt

        if getattr(prediction, "shape", None) != getattr(target, "shape", ()) or prediction.ndim != 3:
            came = [tuple(getattr(x, "shape", ())) for x in (prediction, target)]
            raise ValueError(f"BoundaryF: expected two masks (b, h, w), got {came[0]} and {came[1]}; threshold logits, and drop "
                             "the channel axis with squeeze(1)")
        for x in (prediction, target):
            if x.is_floating_point() and ((x != 0) & (x != 1)).any():
                raise ValueError("BoundaryF: expected masks of 0 and 1, got other numbers; threshold probabilities first")
        for said, true in zip(outline(prediction).cpu().numpy(), outline(target).cpu().numpy()):
            if not (said.any() or true.any()):
                continue
            precision = recall = f = 0.0
            if said.any() and true.any():
                precision = (distance_transform_edt(~true)[said] <= self.tolerance).mean()
                recall = (distance_transform_edt(~said)[true] <= self.tolerance).mean()
                f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            self._add(**{name: torch.tensor(float(value), dtype=torch.float64) for name, value in (
                ("precision", precision), ("recall", recall), ("f", f), ("pictures", 1.0))})

    def compute(self) -> dict[str, float]:
        """Means over the pictures that have an outline: ``precision``, ``recall``, ``f``; NaN if none has."""
        return {name: ratio(self.sums[name], self.sums["pictures"]).item() for name in ("precision", "recall", "f")}
