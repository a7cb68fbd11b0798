"""Losses of overlap: they ask how well two regions cover each other, so that a small object counts as much as a large one.

Cross-entropy asks every pixel, and when one pixel in a thousand is an object, the background decides. Dice asks for twice
the common area over the sum of both; Tversky weighs what is too much against what is missing; generalised Dice weighs the
classes by their size.

Sources: Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, section 3 (Dice, there with squares); Salehi, Erdogmus and
Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional deep networks", MLMI 2017, equation 3;
Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations", DLMIA 2017,
section 2. What the papers leave open is decided here. Sums run over the whole batch (``per_sample=True``: over each
picture). ``smooth`` is added above and below, as if that many pixels more agreed: without it, the faintest trace of
probability for a class that is not there costs as much as missing a whole object. A class that is neither there nor
predicted has overlap 1 in any case.
"""

import torch

from dlnotes._check import check_choice

from ._targets import probabilities

__all__ = ["dice_loss", "generalised_dice_loss", "tversky_loss"]


def tversky_loss(logits: torch.Tensor, target: torch.Tensor, *, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0,
                 per_sample: bool = False, ignore_index: int = -100) -> torch.Tensor:
    """1 - (common) / (common + alpha · too much + beta · missing), meaned over classes.

    Args:
        logits: (b, classes, h, w); one channel means the class 1 alone.
        target: (b, h, w) class numbers.
        alpha: weight of false positives.
        beta: weight of false negatives; more than ``alpha`` favours recall. Both 0.5 give Dice.
        smooth: added to numerator and denominator, in pixels.
        per_sample: the ratio of every picture by itself, then the mean; otherwise one ratio for the batch.
        ignore_index: pixels with this number do not count.

    Returns:
        A scalar from 0 to 1.

    Raises:
        ValueError, TypeError: if shape, dtype, class numbers or weights do not fit.

    >>> target = torch.tensor([[[1, 1], [0, 0]]])
    >>> sure = 50.0 * torch.tensor([[[[1.0, -1.0], [-1.0, -1.0]]]])            # one of two found, nothing too much
    >>> round(tversky_loss(sure, target, alpha=0.3, beta=0.7, smooth=0.0).item(), 4)    # 1 - 1 / (1 + 0.7)
    0.4118
    """
    _not_negative("tversky_loss", alpha=alpha, beta=beta, smooth=smooth)
    p, g, _ = probabilities("tversky_loss", logits, target, ignore_index)
    axes = (2, 3) if per_sample else (0, 2, 3)
    common = (p * g).sum(axes)                                                  # (b) classes
    too_much, missing = p.sum(axes) - common, g.sum(axes) - common              # (b) classes
    return (1 - _ratio(common, common + alpha * too_much + beta * missing, smooth)).mean()


def dice_loss(logits: torch.Tensor, target: torch.Tensor, *, smooth: float = 1.0, squared: bool = False,
              per_sample: bool = False, ignore_index: int = -100) -> torch.Tensor:
    """1 - 2 · common / (predicted + true), meaned over classes; :func:`tversky_loss` has the other arguments.

    Args:
        logits, target, smooth, per_sample, ignore_index: as in :func:`tversky_loss`.
        squared: sums of squares in the denominator, as V-Net has them.

    Returns:
        A scalar from 0 to 1.

    Raises:
        ValueError, TypeError: as :func:`tversky_loss`.

    >>> target = torch.tensor([[[1, 1], [0, 0]]])
    >>> sure = 50.0 * torch.tensor([[[[1.0, -1.0], [-1.0, -1.0]]]])
    >>> [round(dice_loss(sure, target, smooth=s).item(), 4) for s in (0.0, 1.0)]   # 1 - 2 / (1 + 2), 1 - 3 / (1 + 2 + 1)
    [0.3333, 0.25]
    """
    _not_negative("dice_loss", smooth=smooth)
    p, g, _ = probabilities("dice_loss", logits, target, ignore_index)
    axes = (2, 3) if per_sample else (0, 2, 3)
    common = (p * g).sum(axes)                                                  # (b) classes
    both = (p.square() if squared else p).sum(axes) + g.sum(axes)               # (b) classes; g is 0 or 1
    return (1 - _ratio(2 * common, both, smooth)).mean()


def generalised_dice_loss(logits: torch.Tensor, target: torch.Tensor, *, weighting: str = "square",
                          ignore_index: int = -100) -> torch.Tensor:
    """1 - 2 · Σ w common / Σ w (predicted + true), one ratio for all classes, each weighed by its rarity.

    Args:
        logits: (b, classes, h, w) with at least two classes; with one channel there is nothing to weigh.
        target: (b, h, w) class numbers.
        weighting: ``"square"``, w = 1 / (true pixels)² as in the paper; ``"simple"``, w = 1 / (true pixels); ``"uniform"``.
        ignore_index: pixels with this number do not count.

    Returns:
        A scalar from 0 to 1. A class without a true pixel, for which the paper divides by zero, takes the weight of one
        true pixel, so that predicting it still costs.

    Raises:
        ValueError, TypeError: as :func:`tversky_loss`, or if ``weighting`` is none of these.

    >>> target = torch.tensor([[[0, 0], [0, 1]]])
    >>> round(generalised_dice_loss(torch.zeros(1, 2, 2, 2), target).item(), 4)
    0.625
    """
    check_choice("generalised_dice_loss", ("square", "simple", "uniform"), weighting=weighting)
    p, g, _ = probabilities("generalised_dice_loss", logits, target, ignore_index)
    if p.shape[1] == 1:
        raise ValueError("generalised_dice_loss: expected at least two classes to weigh, got logits of one channel; "
                         "use dice_loss, or logits of two channels")
    common, size = (p * g).sum((0, 2, 3)), g.sum((0, 2, 3))                     # classes
    w = size.clamp(min=1) ** {"square": -2.0, "simple": -1.0, "uniform": 0.0}[weighting]
    return 1 - _ratio(2 * (w * common).sum(), (w * (p.sum((0, 2, 3)) + size)).sum(), 0.0)


def _ratio(common: torch.Tensor, whole: torch.Tensor, smooth: float) -> torch.Tensor:
    """(common + smooth) / (whole + smooth), and 1 where there is nothing to cover; no NaN, in the gradient either."""
    nothing = whole + smooth == 0
    return ((common + smooth) / (whole + smooth).masked_fill(nothing, 1.0)).masked_fill(nothing, 1.0)


def _not_negative(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{owner}: expected {name} of at least 0, got {value!r}; 0 switches it off")
