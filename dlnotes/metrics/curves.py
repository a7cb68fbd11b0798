"""ROC and precision-recall curves: what every threshold would give, and the area under each.

The ROC sets hits (true-positive rate) against false alarms (false-positive rate); where the objects are one pixel in a
thousand, a false-positive rate of 1 % is ten false pixels for each true one, and only the precision-recall curve shows it.
Source: Davis and Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006. The area under the ROC is
the trapezoidal one; the area under precision-recall is the average precision Σ (Rₙ - Rₙ₋₁) Pₙ, without interpolation, which
would flatter (section 4 there).
"""

import torch

from dlnotes._check import check_integers

from ._streaming import Metric, ratio

__all__ = ["ScoreCurves", "area_under_roc", "average_precision", "pr_curve", "roc_curve"]


def roc_curve(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """False-positive rate, true-positive rate and threshold, from the strictest threshold to the mildest.

    Args:
        scores: any shape; larger means more likely positive. They need not be probabilities.
        labels: same shape, boolean or 0 and 1.

    Returns:
        Three tensors (k + 1,), k the number of different scores. The first threshold is infinite: nothing is positive.

    Raises:
        ValueError: if shapes differ, a score is NaN, a label is neither 0 nor 1, or one of the two does not occur.

    >>> fpr, tpr, _ = roc_curve(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 1]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0])
    """
    tp, fp, thresholds = _counts("roc_curve", scores, labels)
    for name, count in (("positive", tp), ("negative", fp)):
        if not count[-1]:
            raise ValueError(f"roc_curve: expected positive and negative labels, got no {name} one; a rate over none is undefined")
    return fp / fp[-1], tp / tp[-1], thresholds


def pr_curve(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Precision, recall and threshold, from the strictest threshold to the mildest; arguments as :func:`roc_curve`.

    Returns:
        Three tensors (k + 1,). At the infinite threshold nothing is said, and precision is 1 by convention.

    Raises:
        ValueError: if shapes differ, a score is NaN, or no label is positive.
    """
    tp, fp, thresholds = _counts("pr_curve", scores, labels)
    if not tp[-1]:
        raise ValueError("pr_curve: expected positive labels, got none; recall over none is undefined")
    return torch.where(tp + fp > 0, tp / (tp + fp).clamp(min=1), 1.0), tp / tp[-1], thresholds


def area_under_roc(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Area under :func:`roc_curve`: the chance that a positive scores above a negative, ties counting half."""
    fpr, tpr, _ = roc_curve(scores, labels)
    return torch.trapezoid(tpr, fpr).item()


def average_precision(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Area under :func:`pr_curve`, as a sum of steps."""
    precision, recall, _ = pr_curve(scores, labels)
    return (recall.diff() * precision[1:]).sum().item()


def _counts(owner: str, scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True and false positives (float64) at an infinite threshold and at every different score, falling."""
    if scores.shape != labels.shape or not scores.numel():
        raise ValueError(f"{owner}: expected as many scores as labels, and some, got {tuple(scores.shape)} and "
                         f"{tuple(labels.shape)}; squeeze an axis of size 1")
    if ((labels != 0) & (labels != 1)).any():
        raise ValueError(f"{owner}: expected labels 0 and 1, got {labels.unique().tolist()[:5]}; leave ignored pixels out, "
                         "scores[labels >= 0] and labels[labels >= 0]")
    if scores.is_floating_point() and scores.isnan().any():
        raise ValueError(f"{owner}: expected scores that can be ordered, got NaN; find where it comes from first")
    order = scores.flatten().argsort(descending=True, stable=True)
    ordered, positive = scores.flatten()[order], labels.flatten()[order] > 0
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool, device=ordered.device)])   # of its ties
    tp = positive.double().cumsum(0)[last]
    fp = (~positive).double().cumsum(0)[last]
    zero = tp.new_zeros(1)
    return torch.cat([zero, tp]), torch.cat([zero, fp]), torch.cat([zero + torch.inf, ordered[last].double()])


class ScoreCurves(Metric):
    """Both areas over a stream of probabilities, in bounded memory: scores are sorted into equal bins.

    Args:
        bins: number of bins between 0 and 1; scores that fall into one bin count as equal. 255 or more keep 8-bit maps
            apart.

    Raises:
        ValueError: if ``bins`` is no positive integer.

    >>> seen = ScoreCurves()
    >>> seen.update(torch.tensor([0.9, 0.2]), torch.tensor([1, 0])); seen.update(torch.tensor([0.6]), torch.tensor([1]))
    >>> seen.compute()
    {'area_under_roc': 1.0, 'average_precision': 1.0}
    """

    def __init__(self, bins: int = 1000):
        check_integers("ScoreCurves", bins=bins)
        self.bins = bins
        super().__init__(positives=torch.zeros(bins, dtype=torch.int64), negatives=torch.zeros(bins, dtype=torch.int64))

    def update(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        """Count a batch of probabilities in [0, 1] and labels 0 or 1, of one shape.

        Raises:
            ValueError: if shapes differ, a score is not in [0, 1], or a label is neither 0 nor 1.
        """
        if scores.shape != labels.shape:
            raise ValueError(f"ScoreCurves: expected as many scores as labels, got {tuple(scores.shape)} and "
                             f"{tuple(labels.shape)}; squeeze an axis of size 1")
        if ((labels != 0) & (labels != 1)).any():
            raise ValueError(f"ScoreCurves: expected labels 0 and 1, got {labels.unique().tolist()[:5]}; leave ignored pixels "
                             "out, scores[labels >= 0] and labels[labels >= 0]")
        if scores.numel() and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError(f"ScoreCurves: expected probabilities in [0, 1], got {scores.min():.3g} to {scores.max():.3g}; "
                             "apply torch.sigmoid to logits")
        place = (scores.double() * self.bins).long().clamp(max=self.bins - 1).flatten()
        positive = labels.flatten() > 0
        self._add(positives=torch.bincount(place[positive], minlength=self.bins),
                  negatives=torch.bincount(place[~positive], minlength=self.bins))

    def curves(self) -> dict[str, torch.Tensor]:
        """``fpr``, ``tpr`` (recall) and ``precision``, each (bins + 1,), from the strictest threshold to the mildest."""
        tp, fp = (torch.cat([torch.zeros(1, dtype=torch.float64), self.sums[name].cpu().double().flip(0).cumsum(0)])
                  for name in ("positives", "negatives"))
        return {"fpr": ratio(fp, fp[-1]), "tpr": ratio(tp, tp[-1]), "precision": ratio(tp, tp + fp).nan_to_num(1.0)}

    def compute(self) -> dict[str, float]:
        """``area_under_roc`` and ``average_precision``; NaN where positives or negatives are missing."""
        of = self.curves()
        return {"area_under_roc": torch.trapezoid(of["tpr"], of["fpr"]).item(),
                "average_precision": (of["tpr"].diff() * of["precision"][1:]).sum().item()}
