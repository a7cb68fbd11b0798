"""Wrong answers to the exercises of chapter 3b, each with words of the hint that it must get."""

import math

import torch
import torch.nn.functional as F
from skimage.measure import label

from dlnotes.metrics import match_regions


def _iou(said, true):
    return (said & true).flatten(1).sum(1) / (said | true).flatten(1).sum(1)


def _dice(p, g, smooth=1.0, dims=None):
    dims = dims or tuple(range(p.ndim))
    return 1 - (2 * (p * g).sum(dims) + smooth) / (p.sum(dims) + g.sum(dims) + smooth)


def _bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits), reduction="none")


def _true_p(logits, target):
    p = logits[:, 0].sigmoid()
    return torch.where(target > 0, p, 1 - p)


def _areas(said, true):
    pairs, areas, targets = match_regions(said, true)
    return len(pairs) / len(targets), pairs, areas


def _fa_by_area(said, true):
    pd, pairs, areas = _areas(said, true)
    matched = [areas[i] for i, _ in pairs]
    return pd, sum(a for a in areas if a not in matched) / said.numel()


def _largest(mask, connectivity=2, background=False):
    regions = torch.as_tensor(label(mask.numpy(), connectivity=connectivity))
    sizes = torch.bincount(regions.flatten())
    if not background:
        sizes[0] = 0
    return regions == sizes.argmax()


NEAR_MISSES = {
    "segmentation.counts": [
        (lambda said, true: ((said & true).sum(), (~said & true).sum(), (said & ~true).sum(), (~said & ~true).sum()),
         "FP and FN are exchanged"),
        (lambda said, true: (said.sum(), (said & ~true).sum(), (~said & true).sum(), (~said & ~true).sum()), "everything that was said"),
        (lambda said, true: ((said & true).sum(), (said & ~true).sum(), (~said & true).sum(), (~true).sum()), "add up to"),
        (lambda said, true: (said & true).sum(), "four numbers"),
    ],
    "segmentation.dice_from_iou": [
        (lambda x: x / (2 - x), "the way back"),
        (lambda x: 2 * x, "the denominator grows too"),
        (lambda x: x**0.5, "the values are not"),
    ],
    "segmentation.mean_iou": [
        (lambda said, true: _iou(said, true).mean(), "NaN"),
        (lambda said, true: _iou(said, true).nan_to_num().mean(), "scored 0"),
        (lambda said, true: _iou(said, true).nanmean(), "left the empty picture out"),
        (lambda said, true: (said & true).sum() / (said | true).sum(), "pooled"),
        (lambda said, true: torch.where(true.flatten(1).any(1), _iou(said, true), 1.0).mean(), "Too much"),
    ],
    "segmentation.soft_dice": [
        (lambda z, t: 1 - _dice(z[:, 0].sigmoid(), t), "return 1 minus it"),
        (lambda z, t: _dice(z[:, 0], t), "apply the sigmoid"),
        (lambda z, t: _dice((z[:, 0] > 0).double(), t), "hard Dice"),
        (lambda z, t: _dice(z[:, 0].sigmoid(), t, 0.0), "smoothing is missing"),
        (lambda z, t: _dice(z[:, 0].sigmoid(), t, dims=(1, 2)).mean(), "whole batch"),
        (lambda z, t: _dice(z[:, 0].sigmoid(), t).item(), "no gradient"),
    ],
    "segmentation.focal": [
        (lambda z, t, gamma: _bce(z, t).mean(), "the cross-entropy"),
        (lambda z, t, gamma: (_true_p(z, t) ** gamma * _bce(z, t)).mean(), "easy pixels count most"),
        (lambda z, t, gamma: ((1 - z[:, 0].sigmoid()) ** gamma * _bce(z, t)).mean(), "probability of the true class"),
        (lambda z, t, gamma: ((1 - _true_p(z, t)) ** gamma * _bce(z, t)).sum(), "the sum"),
        (lambda z, t, gamma: (-(1 - _true_p(z, t)) ** gamma * _true_p(z, t).log()).mean(), "underflowed"),
    ],
    "segmentation.trivial_loss": [
        (lambda share: -math.log(1 - share), "background's pixels only"),
        (lambda share: -share * math.log(share), "foreground's pixels only"),
        (lambda share: -(share * math.log2(share) + (1 - share) * math.log2(1 - share)), "in bits"),
        (lambda share: share, "share of wrong pixels"),
    ],
    "segmentation.pd_fa": [
        (lambda said, true: (((said & true).sum() / true.sum()).item(), 0.0), "pixel recall"),
        (lambda said, true: (_areas(said, true)[0], ((said & ~true).sum() / said.numel()).item()), "whole unmatched regions"),
        (_fa_by_area, "compared areas"),
        (lambda said, true: (_areas(said, true)[0], sum(_areas(said, true)[2])), "Fa is the pixels"),
    ],
    "segmentation.keep_largest": [
        (lambda mask: _largest(mask, background=True), "label 0"),
        (lambda mask: _largest(mask, connectivity=1), "corner"),
        (lambda mask: mask, "the values are not"),
        (lambda mask: _largest(mask).bitwise_and(torch.tensor(True)) if mask.any() else 1 / 0, "empty mask raised"),
        (lambda mask: _largest(mask) if mask.any() else ~mask, "stay empty"),
    ],
}
