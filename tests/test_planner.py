"""The planner: what a fingerprint sees, how a plan follows from it and a budget, and that the plan runs as predicted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from dlnotes.digits import DigitsOnTextures
from dlnotes.planner import Fingerprint, PlanTransform, dice_and_cross_entropy, fingerprint, ladder, plan
from dlnotes.planner.plan import _needs

MIB, GIB = 2**20, 2**30


def data(pictures=2000, median=(64, 64), channels=1, classes=2, shares=(0.9, 0.1), spacing=None) -> Fingerprint:
    return Fingerprint(pictures, 50, channels, classes, median, median, median, spacing, shares, (1.0,) * classes,
                       (0.4,) * channels, (0.3,) * channels, (0.0,) * channels, (1.0,) * channels)


class Samples(Dataset):
    """Digits as dicts, the form that folders give."""

    def __init__(self, split="train", size=200, transform=None):
        self.digits, self.transform = DigitsOnTextures(split, size), transform

    def __len__(self):
        return len(self.digits)

    def __getitem__(self, index):
        image, _, mask = self.digits[index]
        item = {"image": image, "mask": mask[0].long(), "name": str(index)}
        return item if self.transform is None else self.transform(item)


# ---------------------------------------------------------------- the fingerprint

def test_the_fingerprint_of_the_digits():
    seen, direct = fingerprint(Samples()), fingerprint(DigitsOnTextures(size=200))
    assert seen == direct                                               # dicts and tuples alike
    images, _, masks = DigitsOnTextures(size=200).batch(range(200))
    assert (seen.pictures, seen.channels, seen.classes, seen.median, seen.spacing) == (200, 1, 2, (64, 64), None)
    assert seen.foreground == pytest.approx(masks.mean().item(), rel=1e-5)
    assert seen.imbalance == pytest.approx((1 - masks.mean().item()) / masks.mean().item(), rel=1e-4)
    inside = images[masks > 0]
    assert seen.mean[0] == pytest.approx(inside.mean().item(), rel=1e-4)
    assert seen.std[0] == pytest.approx(inside.std().item(), rel=1e-3)
    assert seen.low[0] == pytest.approx(inside.quantile(0.005).item(), abs=1e-3)
    assert seen.high[0] == pytest.approx(inside.quantile(0.995).item(), abs=1e-3)
    assert seen.present == (1.0, 1.0)


def test_at_most_spreads_over_the_whole_set():
    asked = []

    class Watched(Samples):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    assert fingerprint(Watched(size=200), at_most=5).examined == 5
    assert asked == [0, 40, 80, 120, 160]


def test_sizes_classes_and_what_is_ignored():
    items = [{"image": torch.ones(3, h, w), "mask": torch.full((h, w), label)}
             for h, w, label in ((10, 20, 0), (30, 20, 4), (50, 80, -100))]
    seen = fingerprint(items)
    assert (seen.smallest, seen.median, seen.largest) == ((10, 20), (30, 20), (50, 80))
    assert seen.classes == 5 and seen.shares == (200 / 800, 0, 0, 0, 600 / 800) and seen.imbalance == 3
    assert seen.present == (1 / 3, 0, 0, 0, 1 / 3)
    assert fingerprint(items, classes=7).classes == 7


def test_sizes_are_compared_at_the_median_spacing():
    """Three pictures of one and the same object: 20 pixels of 1 mm, 10 of 2 mm, 5 of 4 mm."""
    items = [{"image": torch.zeros(1, side, side), "mask": torch.zeros(side, side, dtype=torch.int64), "spacing": (mm, mm)}
             for side, mm in ((20, 1.0), (10, 2.0), (5, 4.0))]
    seen = fingerprint(items)
    assert seen.spacing == (2.0, 2.0) and seen.smallest == seen.median == seen.largest == (10, 10)
    assert fingerprint(items[:1], spacing=(3, 1)).spacing == (3.0, 1.0)
    assert "once pixels are resampled to 2 × 2" in plan(seen, GIB).reasons["patch"]


# ---------------------------------------------------------------- the plan

DATA_SETS = [data(), data(500, (288, 384), channels=3), data(100, (128, 1024), channels=1, classes=5, shares=(0.2,) * 5)]


@settings(deadline=None, max_examples=30)
@given(st.floats(5.5, 14.58), st.floats(5.5, 14.58))
def test_a_larger_budget_never_gives_a_smaller_plan(a, b):
    """Budgets from 45 MiB to 24 GiB, as powers of two; the patch suits the U-Net, and the step is within the budget."""
    data_set = DATA_SETS[0]
    budgets = sorted(int(2**x * MIB) for x in (a, b))
    less, more = (plan(data_set, budget) for budget in budgets)
    assert less.width <= more.width and less.depth <= more.depth
    assert all(x <= y for x, y in zip(less.patch, more.patch)) and less.batch_size <= more.batch_size
    for one, budget in zip((less, more), budgets):
        assert all(side % 2**one.depth == 0 and side // 2**one.depth >= 2 for side in one.patch)
        assert one.memory.total <= 0.9 * budget and 2 <= one.batch_size <= 32 and one.width in (8, 16, 32)


def test_memory_grows_along_the_ladder():
    """With this and the choice of the highest rung that fits, a larger budget gives a larger plan for these sets too."""
    for data_set in DATA_SETS:
        rungs = ladder(data_set)
        sizes = [_needs(data_set.channels, data_set.classes, rung, "no", "cpu").total for rung in rungs[::8]]
        assert sizes == sorted(sizes) and len(set(rungs)) == len(rungs)


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 3000), st.integers(4, 3000), st.integers(1, 100_000))
def test_every_rung_can_be_halved_and_covers_the_median_at_the_end(h, w, pictures):
    rungs = ladder(data(pictures, (h, w)))
    for rung in rungs:
        assert all(side % 2**rung.depth == 0 for side in rung.patch) and 1 <= rung.depth <= 4
    assert all(side <= its < side + 2 ** (rungs[-1].depth + 1) for side, its in zip((h, w), rungs[-1].patch))
    batch, patch = rungs[-1].batch_size, rungs[-1].patch
    assert batch == 2 or batch * patch[0] * patch[1] <= 0.05 * pictures * h * w
    for less, more in zip(rungs, rungs[1:]):
        order = [(rung.width, rung.patch[0] * rung.patch[1], rung.batch_size) for rung in (less, more)]
        assert order[0] < order[1]


def test_a_budget_too_small_is_refused_with_the_smallest_that_works():
    with pytest.raises(ValueError, match=r"plan: expected a budget of at least ([\d.]+) MiB, got 1.0 MiB; that is the "
                                         r"smallest U-Net here \(8 channels, patches of 32 × 32, batch 2\)") as caught:
        plan(data(), MIB)
    named = round(float(str(caught.value).split("at least ")[1].split(" MiB")[0]))
    assert plan(data(), named * MIB).width == 8
    with pytest.raises(ValueError, match=f"at least {named}.0 MiB"):
        plan(data(), (named - 1) * MIB)


def test_the_rules_of_nnunet():
    rich = plan(data(500, (256, 200), channels=3), 24 * GIB)
    assert rich.patch == (256, 208)                                     # the whole median picture, up to a multiple of 16
    assert rich.depth == 4 and rich.width == 32
    assert rich.batch_size == 500 * 256 * 200 // (20 * 256 * 208)       # 5 % of all pixels
    assert plan(data(10, (256, 200)), 24 * GIB).batch_size == 2         # never fewer than two
    assert plan(data(5000, (28, 28)), GIB).depth == 2                   # 28 -> 14 -> 7, and 3 would be fewer than 4
    poor = plan(data(500, (512, 512)), 400 * MIB)
    assert poor.patch[0] < 512 and poor.batch_size == 2 and "does not fit" in poor.reasons["patch"]


def test_mixed_precision_buys_a_larger_plan_on_large_pictures():
    plain, mixed = (plan(data(500, (512, 512)), 500 * MIB, precision=kind) for kind in ("no", "bf16"))
    assert mixed.patch > plain.patch and mixed.fit_arguments()["precision"] == "bf16"


def test_every_choice_has_its_reason():
    planned = plan(data(), 200 * MIB)
    assert set(planned.reasons) == {"patch", "depth", "channels", "batch", "augmentation", "loss", "normalisation", "memory"}
    for name, reason in planned.reasons.items():
        assert f"\n                {reason}" in str(planned), name
    assert "10.0% of the pixels" in planned.reasons["loss"]
    assert "more memory would change nothing" in plan(data(), 24 * GIB).reasons["memory"]
    assert plan(data(), 200 * MIB, absolute=True).reasons["normalisation"].startswith("the pixels measure something")


# ---------------------------------------------------------------- the plan at work

@pytest.mark.parametrize("budget, data_set", [(60 * MIB, data()), (200 * MIB, data()), (200 * MIB, DATA_SETS[1])])
def test_the_predicted_memory_is_the_measured_one(budget, data_set):
    planned = plan(data_set, budget)
    measured = planned.measure()
    assert planned.memory.total == pytest.approx(measured.total, rel=0.1) and measured.total <= budget
    assert planned.memory.parameters == measured.parameters
    assert planned.memory.activations == pytest.approx(measured.activations, rel=0.05)


def test_the_plan_trains():
    from dlnotes.training import fit
    torch.manual_seed(0)
    planned = plan(fingerprint(Samples()), 32 * MIB)
    train, held_out = Samples("train", 120, planned.transform()), Samples("held-out", 20, planned.transform(training=False))
    result = fit(planned.build(), train, val=held_out, epochs=3, progress=False, **planned.fit_arguments())
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]
    item = train[0]
    assert tuple(item["image"].shape) == (1, *planned.patch) and tuple(item["mask"].shape) == planned.patch


def test_whole_pictures_of_any_size_are_held_out():
    """Padded to what the depth can divide, and no score counts the padding."""
    from dlnotes.metrics import ConfusionMatrix
    from dlnotes.training import fit

    class Cut(Samples):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            h, w = 47 + 3 * index, 64 - 5 * index
            return {**item, "image": item["image"][:, :h, :w], "mask": item["mask"][:h, :w]}

    planned, seen = plan(fingerprint(Samples()), 32 * MIB), ConfusionMatrix(2)
    held_out = planned.held_out(Cut("held-out", 4, planned.transform(training=False)))
    assert all(side % 2**planned.depth == 0 for batch in held_out for side in batch["image"].shape[2:])
    result = fit(planned.build(), Samples("train", 8, planned.transform()), val=held_out, metrics=seen, epochs=1,
                 progress=False, **planned.fit_arguments())
    assert int(seen.matrix.sum()) == sum((47 + 3 * i) * (64 - 5 * i) for i in range(4))
    assert 0 < result.history[0]["val_loss"] < 3


def test_normalisation_by_picture_and_by_the_data_set():
    image = torch.rand(3, 20, 30) * 100 + 7
    alone = PlanTransform(None)({"image": image, "mask": None})["image"]
    assert torch.allclose(alone.mean((1, 2)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(alone.std((1, 2), correction=0), torch.ones(3), atol=1e-5)
    units = PlanTransform(None, ((10.0,) * 3, (2.0,) * 3, (8.0,) * 3, (20.0,) * 3))({"image": image})["image"]
    assert torch.allclose(units, (image.clamp(8, 20) - 10) / 2)
    flat = PlanTransform(None)({"image": torch.full((1, 4, 4), 3.0)})["image"]
    assert torch.equal(flat, torch.zeros(1, 4, 4))                      # nothing to divide by


def test_the_loss_is_the_sum_of_both():
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    from dlnotes.losses import cross_entropy, dice_loss
    assert torch.equal(dice_and_cross_entropy(logits, target), cross_entropy(logits, target) + dice_loss(logits, target))


# ---------------------------------------------------------------- bad arguments

def one(image, mask):
    return lambda: fingerprint([{"image": image, "mask": mask}])


@pytest.mark.parametrize("call, error, words", [
    (lambda: fingerprint([]), ValueError, "fingerprint: expected a data set with pictures, got an empty one"),
    (lambda: fingerprint([5]), TypeError, "expected samples as dicts .*, got int as sample 0"),
    (one([1], torch.zeros(4, 4)), TypeError, "expected the image of sample 0 to be a tensor, got list"),
    (one(torch.zeros(1, 4, 4), torch.zeros(5, 4)), ValueError, r"got \(1, 4, 4\) and \(5, 4\) as sample 0"),
    (one(torch.zeros(1, 4, 4), torch.full((4, 4), -1)), ValueError, "class numbers of at least 0, got -1 in sample 0"),
    (lambda: fingerprint([(torch.zeros(1, 4, 4), torch.full((4, 4), 255))], classes=2), ValueError,
     "expected class numbers below classes=2, got 255 in sample 0; a mask of 0 and 255 must be divided by 255"),
    (lambda: fingerprint([(torch.zeros(c, 4, 4), torch.zeros(4, 4)) for c in (1, 3)]), ValueError,
     "expected 1 channels in every picture, got 3 in sample 1"),
    (lambda: fingerprint([(torch.zeros(1, 4, 4), torch.zeros(4, 4))], spacing=(1, 0)), ValueError,
     "expected spacing .* above 0"),
    (lambda: fingerprint(Samples(), at_most=0), ValueError, "expected at_most to be an integer of at least 1, got 0"),
    (lambda: fingerprint(Samples(), classes=1), ValueError, "expected classes to be an integer of at least 2, got 1"),
    (lambda: plan("digits", GIB), TypeError, "plan: expected a Fingerprint, got str"),
    (lambda: plan(data(), 1e9), ValueError, "plan: expected budget_bytes to be an integer"),
    (lambda: plan(data(), GIB, precision="fp8"), ValueError, "expected precision .* 'no', 'fp16', 'bf16', got 'fp8'"),
    (lambda: plan(data(), GIB, precision="fp16"), ValueError, "expected device='cuda' for precision='fp16'"),
    (lambda: plan(data(), GIB, device="tpu"), ValueError, "expected device to be one of 'cpu', 'cuda', got 'tpu'"),
    (lambda: plan(data(), GIB, margin=1.5), ValueError, "expected margin from 0 to below 1, got 1.5"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
