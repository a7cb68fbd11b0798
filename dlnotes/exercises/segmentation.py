"""Checkers of chapter 3b (segmentation: losses, metrics, a real run)."""

import math

import torch
import torch.nn.functional as F

from dlnotes.metrics import match_regions

from ._core import Hint, exercise, expect_equal, expect_number


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _masks(*shape: int, share: float = 0.3, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=_generator(seed)) < share


def _near(got: float, wanted: float, tolerance: float = 1e-4) -> bool:
    return math.isclose(got, wanted, rel_tol=tolerance, abs_tol=tolerance * 1e-2)


@exercise("segmentation.counts")
def counts(answer):
    for shape, seed in [((6, 9), 0), ((2, 5, 7), 3)]:
        said, true = _masks(*shape, share=0.5, seed=seed), _masks(*shape, share=0.2, seed=seed + 1)
        want = [int(x.sum()) for x in (said & true, said & ~true, ~said & true, ~said & ~true)]
        got = answer(said.clone(), true.clone())
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, (tuple, list)) or len(got) != 4:
            raise Hint(f"Expected four numbers (TP, FP, FN, TN), got {type(got).__name__}.")
        got = [expect_number(x, "each count") for x in got]
        if got == want:
            continue
        if got == [want[0], want[2], want[1], want[3]]:
            raise Hint("FP and FN are exchanged: a false positive was said and is not true, a false negative is true and was not said.")
        if got[0] == int(said.sum()):
            raise Hint("Your TP counts everything that was said. Of these, only what is also true is a true positive.")
        if sum(got) != said.numel():
            raise Hint(f"Your four counts add up to {sum(got)}, the masks have {said.numel()} pixels: each pixel belongs to one count.")
        raise Hint("Some counts are wrong: combine said and true with & and ~, then sum.")
    return "Everything else in this chapter is computed from these four numbers, except what counts regions or outlines."


@exercise("segmentation.dice_from_iou")
def dice_from_iou(answer):
    x = torch.tensor([0.0, 0.1, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    got, want = answer(x.clone()), 2 * x / (1 + x)
    if isinstance(got, torch.Tensor) and got.shape == x.shape:
        if torch.allclose(got.to(x), x / (2 - x)):
            raise Hint("That is the way back, IoU from Dice. Dice is the larger of the two.")
        if torch.allclose(got.to(x), 2 * x):
            raise Hint("Dice counts the intersection twice above and below: the denominator grows too. Divide by 1 + IoU.")
    expect_equal(got, want, hint="With I the intersection and U the union, both masks together have U + I pixels.")
    return "The function is monotone: on one picture, the two scores can never disagree about which prediction is better."


@exercise("segmentation.mean_iou")
def mean_iou(answer):
    def per_picture(said, true, empty):
        i, u = (said & true).flatten(1).sum(1).double(), (said | true).flatten(1).sum(1).double()
        return torch.where(u == 0, torch.tensor(empty, dtype=torch.float64), i / u.clamp(min=1))

    said, true = _masks(5, 6, 8, share=0.4, seed=1), _masks(5, 6, 8, share=0.4, seed=2)
    said[1], true[1] = False, False                                     # correctly empty
    true[3] = False                                                     # a false alarm on an empty picture
    want = per_picture(said, true, 1.0).mean().item()
    got = expect_number(answer(said.clone(), true.clone()), "the mean")
    if math.isnan(got):
        raise Hint("The result is NaN: picture 1 is empty in both masks, and 0 / 0 got into the mean.")
    if not _near(got, want):
        if _near(got, per_picture(said, true, 0.0).mean().item()):
            raise Hint("A correctly empty picture scored 0. Here nothing found where nothing is counts as 1.")
        if _near(got, per_picture(said, true, math.nan).nanmean().item()):
            raise Hint("You left the empty picture out of the mean. Here it counts as 1.")
        i, u = (said & true).sum(), (said | true).sum()
        if _near(got, (i / u).item()):
            raise Hint("You pooled the pixels of all pictures. Compute the IoU of each picture first, then average.")
        if _near(got, (2 * per_picture(said, true, 1.0) / (1 + per_picture(said, true, 1.0))).mean().item()):
            raise Hint("That is the mean Dice. IoU divides the intersection by the union.")
        if got > want:
            raise Hint("Too much: only a picture that is empty in both masks scores 1. Something said on an empty picture scores 0.")
        raise Hint("Not the mean of the pictures' IoU: intersection over union of each picture, then the mean over pictures.")
    full = _masks(3, 4, 4, seed=5) | True
    if not _near(expect_number(answer(full, full), "the mean"), 1.0):
        raise Hint("Identical masks should score 1.")
    return "Whichever convention you choose for empty pictures, write it next to the number."


@exercise("segmentation.soft_dice")
def soft_dice(answer):
    logits = 2 * torch.randn(3, 1, 6, 7, generator=_generator(0), dtype=torch.float64)          # b 1 h w
    target = _masks(3, 6, 7, seed=1).long()                                                     # b h w
    p, g = logits[:, 0].sigmoid(), target.double()

    def loss(p, smooth=1.0):
        return 1 - (2 * (p * g).sum() + smooth) / (p.sum() + g.sum() + smooth)

    asked = logits.clone().requires_grad_()
    given = answer(asked, target.clone())
    got = expect_number(given, "the loss")
    wrong = {
        "That is the Dice coefficient. A loss falls as the overlap grows: return 1 minus it.": 1 - loss(p),
        "You used the logits as if they were probabilities: apply the sigmoid first.": loss(logits[:, 0]),
        "You thresholded: that is the hard Dice, which has no gradient. Keep the probabilities.": loss((p > 0.5).double()),
        "The smoothing is missing: add 1 above and below.": loss(p, 0.0),
        "The factor 2 is missing in the numerator.": 1 - ((p * g).sum() + 1) / (p.sum() + g.sum() + 1),
        "You took the mean of each picture's Dice. Here the sums run over the whole batch.":
            (1 - (2 * (p * g).sum((1, 2)) + 1) / (p.sum((1, 2)) + g.sum((1, 2)) + 1)).mean(),
        "Something has broadcast: logits have a channel axis (b, 1, h, w), the target has none. Take logits[:, 0].":
            1 - (2 * (p[:, None] * g).sum() + 1) / (p.sum() + g.sum() + 1),
    }
    if not _near(got, loss(p).item()):
        for hint, value in wrong.items():
            if _near(got, value.item()):
                raise Hint(hint)
        raise Hint("The value is wrong: 1 - (2 sum(p g) + 1) / (sum(p) + sum(g) + 1), sums over the whole batch.")
    if not isinstance(given, torch.Tensor) or not given.requires_grad:
        raise Hint("The value is right, but no gradient can flow back: do not detach, and do not call item().")
    return "With the mean over pictures instead, small objects weigh more. Papers do both and seldom say which."


@exercise("segmentation.focal")
def focal(answer):
    logits = 3 * torch.randn(2, 1, 5, 6, generator=_generator(0), dtype=torch.float64)
    target = _masks(2, 5, 6, seed=1).long()
    for gamma in (2.0, 0.5):
        bce = F.binary_cross_entropy_with_logits(logits[:, 0], target.double(), reduction="none")
        right = torch.where(target > 0, logits[:, 0].sigmoid(), 1 - logits[:, 0].sigmoid())
        want = ((1 - right) ** gamma * bce).mean()
        got = expect_number(answer(logits.clone(), target.clone(), gamma), "the loss")
        if _near(got, want.item()):
            continue
        if _near(got, bce.mean().item()):
            raise Hint("That is the cross-entropy: the factor (1 - p)^gamma is missing.")
        if _near(got, (right**gamma * bce).mean().item()):
            raise Hint("You weigh by p^gamma: easy pixels count most. The factor is (1 - p)^gamma, p the probability of the true class.")
        if _near(got, ((1 - logits[:, 0].sigmoid()) ** gamma * bce).mean().item()):
            raise Hint("p must be the probability of the true class: for background pixels that is 1 - sigmoid(logit).")
        if _near(got, ((1 - right) ** gamma * bce).sum().item()):
            raise Hint("That is the sum; take the mean over pixels.")
        raise Hint("The value is wrong: the mean over pixels of -(1 - p)^gamma log p, p the probability of the true class.")
    extreme = torch.full((1, 1, 1, 1), -200.0)
    got = expect_number(answer(extreme, torch.ones(1, 1, 1, dtype=torch.long), 2.0), "the loss")
    if not _near(got, 200.0, 1e-3):
        raise Hint(f"For a logit of -200 on a foreground pixel the loss is 200; yours is {got:g}. Take log-probabilities from "
                   "binary_cross_entropy_with_logits or logsigmoid: log(sigmoid(-200)) has underflowed.")
    return "At gamma = 0 it is the cross-entropy, and at any gamma a pixel that is far off still costs its whole logit."


@exercise("segmentation.trivial_loss")
def trivial_loss(answer):
    for share in (0.1, 0.005, 0.5):
        want = -(share * math.log(share) + (1 - share) * math.log(1 - share))
        got = expect_number(answer(share), "the loss")
        if _near(got, want):
            continue
        if _near(got, -math.log(1 - share)) or _near(got, -(1 - share) * math.log(1 - share)):
            raise Hint("You counted the background's pixels only. The few foreground pixels pay -log(share) each.")
        if _near(got, -share * math.log(share)):
            raise Hint("You counted the foreground's pixels only; the background pays -log(1 - share) each.")
        if _near(got, want / math.log(2)):
            raise Hint("That is in bits: PyTorch's cross-entropy uses the natural logarithm.")
        if _near(got, -want):
            raise Hint("The sign is wrong: a cross-entropy is not negative.")
        if _near(got, share):
            raise Hint("That is the share of wrong pixels. The loss of the best constant p is the entropy of p = share.")
        raise Hint("The best constant answer is p = share everywhere. Average -log p over foreground and background pixels.")
    return "A curve that flattens at this value has learned how rare the object is, and nothing about where it is."


@exercise("segmentation.pd_fa")
def pd_fa(answer):
    true, said = torch.zeros(32, 32, dtype=torch.bool), torch.zeros(32, 32, dtype=torch.bool)
    true[2:6, 2:6] = True                       # large, found one pixel off
    said[2:6, 3:7] = True
    true[20, 20], true[10, 25] = True, True     # two single pixels, missed
    said[26:30, 8:12] = True                    # a false alarm as large as the target that was found
    said[20, 27] = True                         # and one of a single pixel
    for s, t in [(said, true), (said.flip(0), true.flip(0)), (true, true)]:
        pairs, areas, targets = match_regions(s, t)
        alarms = sum(a for i, a in enumerate(areas) if i not in {i for i, _ in pairs})
        want = (len(pairs) / len(targets), alarms / t.numel())
        got = answer(s.clone(), t.clone())
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Hint(f"Expected a pair (Pd, Fa), got {type(got).__name__}.")
        pd, fa = expect_number(got[0], "Pd"), expect_number(got[1], "Fa")
        if not _near(pd, want[0]):
            if _near(pd, ((s & t).sum() / t.sum()).item()):
                raise Hint("That is pixel recall. Pd counts targets: matched ones over all true ones.")
            if _near(pd, len(pairs) / len(areas)):
                raise Hint("You divided by the number of predicted regions. Pd is a share of the true targets.")
            raise Hint("Pd is the number of matched pairs over the number of true regions.")
        if not _near(fa, want[1]):
            if _near(fa, ((s & ~t).sum() / t.numel()).item()):
                raise Hint("You counted all false pixels. The rim of a region that matches a target is no false alarm: count whole "
                           "unmatched regions.")
            matched = [areas[i] for i, _ in pairs]
            if _near(fa, sum(a for a in areas if a not in matched) / t.numel()):
                raise Hint("You compared areas: an unmatched region as large as a matched one was forgotten. Compare the regions' numbers.")
            if _near(fa, (len(areas) - len(pairs)) / t.numel()) or _near(fa, len(areas) - len(pairs)):
                raise Hint("You counted regions. Fa counts the pixels of the unmatched regions.")
            if _near(fa, alarms):
                raise Hint("Divide by the number of all pixels.")
            raise Hint("Fa is the pixels of all predicted regions that match no target, over all pixels.")
    return "Report Fa per million pixels, and the threshold at which both numbers were taken."


@exercise("segmentation.keep_largest")
def keep_largest(answer):
    mask = torch.zeros(12, 14, dtype=torch.bool)
    mask[1:4, 1:4] = True                       # 9 pixels
    mask[6:9, 6:9] = True                       # 9 pixels, and a corner neighbour makes it 11
    mask[9, 9], mask[10, 10] = True, True
    mask[0, 13] = True
    want = torch.zeros_like(mask)
    want[6:9, 6:9] = True
    want[9, 9], want[10, 10] = True, True
    before = mask.clone()
    got = answer(mask)
    if not torch.equal(mask, before):
        raise Hint("Your function changed its input in place: return a new mask.")
    if isinstance(got, torch.Tensor) and got.shape == mask.shape:
        got = got > 0 if got.dtype != torch.bool else got
        first = torch.zeros_like(mask)
        first[1:4, 1:4] = True
        if torch.equal(got, first):
            raise Hint("You kept the first region, or cut the second at its corner: with 8 neighbours it has 11 pixels.")
        if torch.equal(got, want & ~_tail(mask)):
            raise Hint("The region was cut where it hangs together by a corner: use 8 neighbours (connectivity=2).")
        if torch.equal(got, ~want) or torch.equal(got, ~mask):
            raise Hint("That is the background: skimage's label 0 is the largest of all, and is no region. Leave it out before argmax.")
    expect_equal(got.to(torch.uint8) if isinstance(got, torch.Tensor) else got, want.to(torch.uint8),
                 hint="Keep the pixels of the region with the most pixels.")
    try:
        nothing = answer(torch.zeros(5, 5, dtype=torch.bool))
    except Exception as error:
        raise Hint(f"An empty mask raised {type(error).__name__}. It has no largest region; return it as it is.") from error
    if not isinstance(nothing, torch.Tensor) or nothing.shape != (5, 5) or nothing.any():
        raise Hint("An empty mask must stay empty.")
    return "It helps only where there is one object by nature. Where there may be two, it deletes the second."


def _tail(mask: torch.Tensor) -> torch.Tensor:
    """The two pixels that hang on by a corner."""
    tail = torch.zeros_like(mask)
    tail[9, 9], tail[10, 10] = True, True
    return tail
