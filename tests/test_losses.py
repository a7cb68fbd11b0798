"""Losses against PyTorch, torchvision, scikit-learn and plain loops; what the papers leave open is decided and tested."""

from dlnotes.libraries import torchvision  # isort: skip

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import f1_score

from dlnotes import losses
from dlnotes.losses import (boundary_loss, cross_entropy, dice_loss, focal_loss, generalised_dice_loss, signed_distance,
                            tversky_loss)

SEGMENTATION = [cross_entropy, dice_loss, tversky_loss, generalised_dice_loss, focal_loss, boundary_loss]
BINARY = [loss for loss in SEGMENTATION if loss is not generalised_dice_loss]
quick = settings(max_examples=25, deadline=None)


def task(seed: int, classes: int = 3, ignored: float = 0.2, shape=(2, 5, 6)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], classes, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.randint(max(classes, 2), shape, generator=generator)
    return logits, target.masked_fill(torch.rand(shape, generator=generator) < ignored, -100)


def sure(target: torch.Tensor, classes: int) -> torch.Tensor:
    """Logits that are as good as certain of a target without ignored pixels."""
    return 200.0 * (F.one_hot(target, classes).movedim(-1, 1).double() - 0.5)


# ---------------------------------------------------------------- equal to those that people trust

@given(st.integers(0, 10_000), st.floats(0.0, 0.9))
@quick
def test_cross_entropy_is_that_of_pytorch(seed, ignored):
    logits, target = task(seed, ignored=ignored)
    if (target != -100).any():
        weight = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
        assert torch.allclose(cross_entropy(logits, target), F.cross_entropy(logits, target), atol=1e-12)
        assert torch.allclose(cross_entropy(logits, target, weight=weight), F.cross_entropy(logits, target, weight))


@given(st.integers(0, 10_000))
@quick
def test_cross_entropy_of_one_channel_is_the_binary_one(seed):
    logits, target = task(seed, classes=1, ignored=0.0)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], target.double())
    assert torch.allclose(cross_entropy(logits, target), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.floats(0.0, 4.0), st.floats(0.05, 0.95))
@quick
def test_focal_loss_is_that_of_torchvision(seed, gamma, alpha):
    logits, target = task(seed, classes=1, ignored=0.0)
    theirs = torchvision.ops.sigmoid_focal_loss(logits[:, 0], target.double(), alpha=alpha, gamma=gamma, reduction="mean")
    assert torch.allclose(focal_loss(logits, target, gamma=gamma, alpha=alpha), theirs, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_a_certain_pixel_gives_the_focal_loss_a_finite_gradient(gamma):
    logits = torch.tensor([[[[200.0]], [[0.0]], [[0.0]]]], requires_grad=True)          # p = 1 to the last bit
    focal_loss(logits, torch.zeros(1, 1, 1, dtype=torch.long), gamma=gamma).backward()
    assert logits.grad.abs().max() == 0


@given(st.integers(0, 10_000))
@quick
def test_the_boundary_loss_is_the_mean_over_classes_and_counted_pixels(seed):
    logits, target = task(seed)
    p, total = logits.softmax(dim=1), 0.0
    for i in range(2):
        for k in range(3):
            total += (p[i, k] * signed_distance(target[i] == k))[target[i] != -100].sum()
    expected = total / (3 * (target != -100).sum().clamp(min=1))
    assert boundary_loss(logits, target).item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("weighting, power", [("square", 2), ("simple", 1), ("uniform", 0)])
def test_generalised_dice_gives_an_absent_class_the_weight_of_one_pixel(weighting, power):
    logits, target = task(0, ignored=0.0)
    target = target.clamp(max=1)                                                # class 2 has no pixel
    p, g = logits.softmax(dim=1), F.one_hot(target, 3).movedim(-1, 1)
    w = torch.tensor([1 / max(1, int((target == k).sum())) ** power for k in range(3)])
    common, both = (sum(w[k] * x[:, k].sum() for k in range(3)) for x in (p * g, p + g))
    assert generalised_dice_loss(logits, target, weighting=weighting).item() == pytest.approx(1 - 2 * (common / both).item())


@given(st.integers(0, 10_000))
@quick
def test_focal_loss_without_focus_is_cross_entropy(seed):
    logits, target = task(seed, ignored=0.1)
    assert torch.allclose(focal_loss(logits, target, gamma=0.0), cross_entropy(logits, target), atol=1e-12)


@given(st.integers(0, 10_000))
@quick
def test_dice_of_certain_predictions_is_the_f1_score(seed):
    _, target = task(seed, ignored=0.0)
    prediction = task(seed + 1, ignored=0.0)[1]
    expected = f1_score(target.flatten(), prediction.flatten(), labels=[0, 1, 2], average="macro", zero_division=1)
    assert math.isclose(1 - dice_loss(sure(prediction, 3), target, smooth=1e-12).item(), expected, abs_tol=1e-9)


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.0, 1.0]))
@quick
def test_tversky_with_halves_is_dice(seed, per_sample, smooth):
    logits, target = task(seed)
    tversky = tversky_loss(logits, target, alpha=0.5, beta=0.5, per_sample=per_sample, smooth=smooth)
    assert torch.allclose(tversky, dice_loss(logits, target, per_sample=per_sample, smooth=2 * smooth), atol=1e-12)


@given(st.integers(0, 10_000))
@quick
def test_overlap_by_loops(seed):
    """Tversky and generalised Dice, pixel by pixel, as the papers' sums say it."""
    logits, target = task(seed)
    p, classes = logits.softmax(1), 3
    common, predicted, true = ([0.0] * classes for _ in range(3))
    for b, i, j in np.ndindex(*target.shape):
        if target[b, i, j] != -100:
            for c in range(classes):
                g = float(target[b, i, j] == c)
                common[c] += p[b, c, i, j].item() * g
                predicted[c] += p[b, c, i, j].item()
                true[c] += g
    ratio = [1 - t / (t + 0.3 * (q - t) + 0.7 * (g - t)) if t + q + g else 0.0 for t, q, g in zip(common, predicted, true)]
    assert math.isclose(tversky_loss(logits, target, smooth=0.0).item(), sum(ratio) / classes, abs_tol=1e-10)
    if all(true):
        w = [1 / g**2 for g in true]
        gdl = 1 - 2 * sum(a * t for a, t in zip(w, common)) / sum(a * (q + g) for a, q, g in zip(w, predicted, true))
        assert math.isclose(generalised_dice_loss(logits, target).item(), gdl, abs_tol=1e-10)


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
@quick
def test_signed_distance_is_the_difference_of_two_distances(seed, density):
    region = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(seed)) < density
    for one, ours in zip(region.numpy(), signed_distance(region).numpy()):
        expected = distance_transform_edt(~one) - distance_transform_edt(one) if one.any() and not one.all() else 0 * ours
        assert np.allclose(ours, expected, atol=1e-5)


def test_frequency_losses_are_offered_here_too():
    from dlnotes import fourier
    assert losses.frequency_l1_loss is fourier.frequency_l1_loss and losses.focal_frequency_loss is fourier.focal_frequency_loss


# ---------------------------------------------------------------- what the losses are for

def test_one_object_in_a_thousand_pixels_counts_in_dice_and_hardly_in_cross_entropy():
    """The share of the gradient that falls on the object: its pixel is one of 1,024."""
    target = torch.zeros(1, 32, 32, dtype=torch.long)
    target[0, 5, 5] = 1
    shares = {}
    for loss in (cross_entropy, dice_loss):
        logits = torch.zeros(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
        gradient, = torch.autograd.grad(loss(logits, target), logits)
        shares[loss.__name__] = (gradient[0, 0, 5, 5].abs() / gradient.abs().sum()).item()
    assert shares["cross_entropy"] < 0.001 and shares["dice_loss"] > 0.33


def test_focal_loss_forgets_easy_pixels():
    logits = torch.tensor([[[[4.0, 0.0]]]])                                 # easy and undecided, both of class 1
    target = torch.ones(1, 1, 2, dtype=torch.long)
    alone = [(logits[..., i:i + 1], target[..., i:i + 1]) for i in (0, 1)]
    easy, hard = (focal_loss(x, y) / cross_entropy(x, y) for x, y in alone)
    assert math.isclose(easy, (1 - 1 / (1 + math.exp(-4))) ** 2, rel_tol=1e-4) and math.isclose(hard, 0.25, rel_tol=1e-4)


def test_tversky_with_more_beta_punishes_what_is_missing():
    target = torch.tensor([[[1, 1, 0, 0]]])
    less, more = (100.0 * torch.tensor([[[x]]]) for x in ([1.0, -1, -1, -1], [1.0, 1, 1, -1]))
    assert tversky_loss(less, target, alpha=0.1, beta=0.9) > tversky_loss(more, target, alpha=0.1, beta=0.9)
    assert tversky_loss(less, target, alpha=0.9, beta=0.1) < tversky_loss(more, target, alpha=0.9, beta=0.1)


# ---------------------------------------------------------------- nothing there, nothing counted

@pytest.mark.parametrize("loss", SEGMENTATION)
def test_perfect_is_best(loss):
    target = torch.tensor([[[0, 1], [2, 1]]])
    perfect, wrong = loss(sure(target, 3), target), loss(sure((target + 1) % 3, 3), target)
    assert perfect < wrong and (loss is boundary_loss or perfect.abs() < 1e-9)


@pytest.mark.parametrize("loss", BINARY)
@pytest.mark.parametrize("value", [0, -100], ids=["empty", "all ignored"])
def test_an_empty_mask_gives_a_number_and_a_finite_gradient(loss, value):
    logits = torch.full((2, 1, 4, 4), -300.0, requires_grad=True)
    out = loss(logits, torch.full((2, 4, 4), value))
    out.backward()
    assert out.item() == pytest.approx(0.0, abs=1e-6) and logits.grad.isfinite().all()


def test_an_absent_class_costs_nothing_unless_it_is_predicted():
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    silent, loud = sure(target, 2), sure(torch.tensor([[[0, 0], [0, 1]]]), 2)
    assert dice_loss(silent, target).item() == pytest.approx(0.0, abs=1e-9)
    assert dice_loss(loud, target).item() == pytest.approx(((1 - 7 / 8) + (1 - 1 / 2)) / 2, abs=1e-9)
    assert generalised_dice_loss(loud, target) > generalised_dice_loss(silent, target)


def test_without_smooth_a_trace_of_an_absent_class_costs_as_much_as_missing_an_object():
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    trace = sure(target, 2)                                                  # probability e⁻²⁰⁰ for the absent class
    assert dice_loss(trace, target, smooth=0.0).item() == pytest.approx(0.5) and dice_loss(trace, target) < 1e-9


@pytest.mark.parametrize("loss", SEGMENTATION)
def test_ignored_pixels_do_not_matter(loss):
    logits, target = task(0, ignored=0.3)
    other = torch.where((target == -100).unsqueeze(1), torch.randn_like(logits), logits)
    assert torch.allclose(loss(logits, target), loss(other, target), atol=1e-12)
    assert torch.allclose(loss(logits, target.where(target != -100, 255), ignore_index=255), loss(logits, target))


@pytest.mark.parametrize("loss", SEGMENTATION)
def test_gradients_are_right(loss):
    logits, target = task(3, shape=(1, 3, 3))
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


def test_per_sample_is_the_mean_over_pictures():
    logits, target = task(5, ignored=0.0)
    alone = torch.stack([dice_loss(x[None], y[None]) for x, y in zip(logits, target)])
    assert torch.allclose(dice_loss(logits, target, per_sample=True), alone.mean())
    assert not torch.allclose(dice_loss(logits, target), alone.mean())


def test_squared_dice_is_that_of_v_net():
    logits, target = task(6, classes=1, ignored=0.0)
    p, g = logits.sigmoid()[:, 0], target.double()
    assert torch.allclose(dice_loss(logits, target, squared=True, smooth=0.0), 1 - 2 * (p * g).sum() / (p.square().sum() + g.sum()))


# ---------------------------------------------------------------- bad input

@pytest.mark.parametrize("loss", SEGMENTATION)
@pytest.mark.parametrize("change, words", [
    (lambda x, y: (x[0], y), r"expected 4 axes \(b, classes, h, w\)"),
    (lambda x, y: (x, y[:, None]), r"target of shape \(b, h, w\) = \(2, 5, 6\), got \(2, 1, 5, 6\); target.squeeze"),
    (lambda x, y: (x, y.double()), "target of class numbers, got torch.float64; convert with target.long"),
    (lambda x, y: (x, y.clone().fill_(3)), "class numbers from 0 to 2, got 3 to 3; divide a mask of 0 and 255"),
    (lambda x, y: (x.long(), y), "floating-point"), (lambda x, y: (x, y.tolist()), "target to be a tensor"),
])
def test_bad_input_is_named(loss, change, words):
    with pytest.raises((ValueError, TypeError), match=f"^{loss.__name__}: expected .*") as error:
        loss(*change(*task(0)))
    import re
    assert re.search(words, str(error.value)), str(error.value)


@pytest.mark.parametrize("call, words", [
    (lambda x, y: tversky_loss(x, y, alpha=-1), "expected alpha of at least 0"),
    (lambda x, y: dice_loss(x, y, smooth=-1), "expected smooth of at least 0"),
    (lambda x, y: focal_loss(x, y, gamma=-1), "expected gamma of at least 0"),
    (lambda x, y: focal_loss(x, y, alpha=0.25), "expected alpha as one factor for each of 3 classes"),
    (lambda x, y: cross_entropy(x, y, weight=torch.ones(2)), "expected one weight for each of 3 classes"),
    (lambda x, y: generalised_dice_loss(x, y, weighting="cube"), "expected weighting to be one of"),
    (lambda x, y: generalised_dice_loss(x[:, :1], y % 2), "expected at least two classes to weigh"),
])
def test_bad_settings_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(*task(0, ignored=0.0))
    with pytest.raises(ValueError, match=r"a region \(..., h, w\), got shape \(3,\)"):
        signed_distance(torch.zeros(3))
