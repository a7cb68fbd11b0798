"""Metrics against scikit-learn and scikit-image on random cases; streaming, merging and processes; what is undefined."""

import math
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn import __version__ as sklearn_version
from sklearn import metrics as sk

from dlnotes.metrics import BoundaryF, ConfusionMatrix, ImageQuality, RegionDetection, ScoreCurves, overlap_per_picture, psnr, ssim
from dlnotes.metrics.boundary import outline
from dlnotes.metrics.curves import area_under_roc, average_precision, pr_curve, roc_curve
from dlnotes.metrics.image_quality import to_luma
from dlnotes.metrics.regions import match_regions

SKLEARN = tuple(map(int, sklearn_version.split(".")[:2]))
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 10_000)


def labels(seed: int, classes: int, shape=(4, 6, 5)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(classes, shape, generator=generator) for _ in range(2))


def equal(a: float, b: float) -> bool:
    return math.isclose(a, b, abs_tol=1e-12) or math.isnan(a) and math.isnan(b)


# ---------------------------------------------------------------- the confusion matrix

@given(seeds, st.integers(2, 5))
@quick
def test_scores_are_those_of_scikit_learn(seed, classes):
    said, true = labels(seed, classes)
    said, true = said % max(2, seed % (classes + 1)), true                      # sometimes classes are never said
    seen = ConfusionMatrix(classes)
    seen.update(said, true)
    y, p = true.flatten().numpy(), said.flatten().numpy()
    every = list(range(classes))
    assert np.array_equal(seen.matrix.numpy(), sk.confusion_matrix(y, p, labels=every))
    ours = seen.per_class()
    for name, theirs in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score),
                         ("iou", sk.jaccard_score)):
        knows_nan = name != "iou" and SKLEARN >= (1, 4)                         # scikit-learn has none for IoU, older ones none at all
        undefined = np.nan if knows_nan else 0
        expected = theirs(y, p, labels=every, average=None, zero_division=undefined)
        expected = np.where(ours[name].isnan().numpy() & (not knows_nan), np.nan, expected)
        assert np.allclose(ours[name].numpy(), expected, equal_nan=True, atol=1e-12), name
        for average in ("micro", "weighted") if knows_nan or name == "iou" else ("micro",):
            assert equal(seen.compute(average)[name], theirs(y, p, labels=every, average=average, zero_division=undefined))
        assert equal(seen.compute()[name], np.nanmean(expected))
    assert equal(seen.compute()["accuracy"], sk.accuracy_score(y, p))
    assert torch.equal(ours["dice"], ours["f1"])


@given(seeds)
@quick
def test_iou_and_dice_are_functions_of_each_other(seed):
    seen = ConfusionMatrix(3)
    seen.update(*labels(seed, 3))
    scores = seen.per_class()
    assert torch.allclose(scores["iou"], scores["dice"] / (2 - scores["dice"]), atol=1e-12)


@given(seeds, st.integers(1, 3))
@quick
def test_in_pieces_in_any_order_or_merged_is_the_same(seed, cut):
    said, true = labels(seed, 3)
    whole, stream, a, b = (ConfusionMatrix(3) for _ in range(4))
    whole.update(said, true)
    for part in (slice(cut, None), slice(None, cut)):
        stream.update(said[part], true[part])
    a.update(said[:cut], true[:cut])
    b.update(said[cut:], true[cut:])
    assert torch.equal(whole.matrix, stream.matrix) and torch.equal(a.merge(b).matrix, whole.matrix)


def test_the_mean_of_batch_scores_is_not_the_score_of_the_set():
    said, true = torch.tensor([1, 1, 1, 0, 0, 0]), torch.tensor([1, 1, 1, 0, 1, 1])
    whole, parts = ConfusionMatrix(2), []
    for part in (slice(0, 4), slice(4, 6)):
        alone = ConfusionMatrix(2)
        alone.update(said[part], true[part])
        whole.update(said[part], true[part])
        parts.append(alone.compute()["accuracy"])
    assert whole.compute()["accuracy"] == pytest.approx(4 / 6) and np.mean(parts) == 0.5


def test_logits_are_read_along_their_class_axis():
    said, true = labels(0, 3)
    a, b, c = (ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(2))
    a.update(said, true)
    b.update(torch.nn.functional.one_hot(said, 3).movedim(-1, 1).float(), true)
    assert torch.equal(a.matrix, b.matrix)
    c.update((said.float() - 0.5)[:, None], (true > 0).long())
    assert c.matrix[:, 1].sum() == (said > 0).sum()


def test_ignored_pixels_do_not_count():
    said, true = labels(1, 3)
    seen, without = ConfusionMatrix(3, ignore_index=255), ConfusionMatrix(3)
    seen.update(said, true.where(true != 2, 255))
    without.update(said[true != 2], true[true != 2])
    assert torch.equal(seen.matrix, without.matrix)


def test_what_never_occurs_is_undefined_and_left_out_of_the_mean():
    seen = ConfusionMatrix(3)
    seen.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
    scores = seen.per_class()
    assert scores["iou"].tolist()[:2] == [0.5, 0.0] and math.isnan(scores["iou"][2])
    assert seen.compute()["iou"] == 0.25 and math.isnan(ConfusionMatrix(2).compute()["accuracy"])


def test_a_picture_without_object_has_the_score_that_you_choose():
    empty = torch.zeros(1, 3, 3, dtype=torch.long)
    assert overlap_per_picture(empty, empty)["dice"].tolist() == [1.0]
    assert math.isnan(overlap_per_picture(empty, empty, empty=math.nan)["iou"].item())
    assert overlap_per_picture(empty + 1, empty)["dice"].tolist() == [0.0]


def test_ignored_pixels_do_not_count_in_a_picture_either():
    said, true = torch.tensor([[[1, 1, 1, 0]]]), torch.tensor([[[1, 0, -100, -100]]])
    assert overlap_per_picture(said, true)["iou"].tolist() == [0.5]
    assert overlap_per_picture(said, true)["dice"].item() == pytest.approx(2 / 3)


def test_the_two_kinds_of_mean_dice_can_disagree_about_which_network_is_better():
    true = torch.zeros(2, 10, 10, dtype=torch.long)
    true[0, :9], true[1, 0, 0] = 1, 1                                           # a large object and one pixel
    misses_small, misses_large = true.clone(), true.clone()
    misses_small[1] = 0
    misses_large[0, 5:9] = 0

    def pooled(said):
        seen = ConfusionMatrix(2)
        seen.update(said, true)
        return seen.compute("foreground")["dice"]
    per_picture = [overlap_per_picture(said, true)["dice"].mean() for said in (misses_small, misses_large)]
    assert pooled(misses_small) > pooled(misses_large) and per_picture[0] < per_picture[1]


# ---------------------------------------------------------------- small targets

def disc(*places: tuple[int, int], size: int = 32, radius: float = 1.5) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return sum(((row - i) ** 2 + (column - j) ** 2 <= radius**2) for i, j in places).bool()


def test_two_equal_blobs_far_apart_are_a_miss_and_a_false_alarm():
    seen = RegionDetection()
    seen.update(disc((5, 5))[None], disc((25, 25))[None])
    assert seen.compute() == {"pd": 0.0, "fa": 9 / 1024}


def test_three_pixels_apart_is_not_less_than_three():
    assert match_regions(disc((16, 16)), disc((16, 19)), distance=3.0)[0] == []
    assert match_regions(disc((16, 16)), disc((16, 19)), distance=3.01)[0] == [(0, 0)]


def test_one_component_is_given_away_once():
    """Two targets, one prediction between them, close to both: one is found."""
    pairs, _, targets = match_regions(disc((16, 16)), disc((16, 13), radius=0.5) | disc((16, 18), radius=0.5), distance=4.0)
    assert len(targets) == 2 and len(pairs) == 1


def test_the_pixels_of_a_false_alarm_are_its_own():
    """Components are numbered apart in the two masks: the alarm comes first, the found target's partner second."""
    said, true = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    said[0, 0, :5] = said[0, 6:8, 6:8] = true[0, 6:8, 6:8] = True
    seen = RegionDetection()
    seen.update(said, true)
    assert seen.compute() == {"pd": 1.0, "fa": 5 / 144}


def test_no_greedy_choice_spoils_a_better_matching():
    """a can have x or y, b only x: nearest first would give x to a and nothing to b."""
    said, true = disc((10, 10), radius=0.5) | disc((10, 14), radius=0.5), disc((10, 12), radius=0.5) | disc((10, 7), radius=0.5)
    assert len(match_regions(said, true, distance=3.5)[0]) == 2


@given(seeds)
@quick
def test_matching_is_the_best_of_all(seed):
    generator = torch.Generator().manual_seed(seed)
    said, true = (disc(*torch.randint(2, 30, (3, 2), generator=generator).tolist(), radius=0.5) for _ in range(2))
    pairs, areas, targets = match_regions(said, true, distance=8.0)
    a, b = (x.nonzero().double() for x in (said, true))
    if len(a) == len(areas) and len(b) == len(targets):                         # every component is one pixel
        apart = torch.cdist(a, b)
        small, large = sorted((len(a), len(b)))
        near = apart if len(a) <= len(b) else apart.T
        best = max(sum((near[i, j] < 8.0).item() for i, j in enumerate(order)) for order in permutations(range(large), small))
        assert len(pairs) == best and all(apart[i, j] < 8.0 for i, j in pairs)


def test_connectivity_decides_what_is_one_target():
    diagonal = torch.eye(6, dtype=torch.bool)
    assert len(match_regions(diagonal, diagonal)[2]) == 1 and len(match_regions(diagonal, diagonal, connectivity=4)[2]) == 6


def test_nothing_there_has_no_pd():
    seen = RegionDetection()
    seen.update(disc((5, 5))[None], torch.zeros(1, 32, 32, dtype=torch.bool))
    assert math.isnan(seen.compute()["pd"]) and seen.compute()["fa"] == 9 / 1024
    seen.update(torch.full((1, 1, 32, 32), -1.0), torch.zeros(1, 32, 32))       # logits below zero: nothing said
    assert seen.compute()["fa"] == 9 / 2048


# ---------------------------------------------------------------- outlines

def test_outline_of_a_square_and_of_the_whole_picture():
    assert outline(disc((8, 8), size=16, radius=0.5)).sum() == 1 and outline(torch.ones(4, 4)).sum() == 0


@given(seeds, st.sampled_from([0.0, 1.0, 2.5]))
@quick
def test_boundary_f_by_its_definition(seed, tolerance):
    generator = torch.Generator().manual_seed(seed)
    said, true = (disc(*torch.randint(6, 26, (2, 2), generator=generator).tolist(), radius=4.2)[None] for _ in range(2))
    seen = BoundaryF(tolerance)
    seen.update(said, true)
    a, b = outline(said)[0].nonzero().double(), outline(true)[0].nonzero().double()
    apart = torch.cdist(a, b)
    precision, recall = (apart.amin(1) <= tolerance).double().mean().item(), (apart.amin(0) <= tolerance).double().mean().item()
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert [seen.compute()[k] for k in ("precision", "recall", "f")] == pytest.approx([precision, recall, f], abs=1e-12)


def test_boundary_f_of_empty_masks():
    seen, empty, full = BoundaryF(), torch.zeros(1, 8, 8), disc((4, 4), size=8)[None]
    seen.update(empty, empty)
    assert math.isnan(seen.compute()["f"])
    seen.update(full, empty)
    assert seen.compute()["f"] == 0.0


# ---------------------------------------------------------------- restored pictures

@pytest.mark.parametrize("name", ["camera", "astronaut"])
@pytest.mark.parametrize("sigma", [0.01, 0.2])
def test_psnr_and_ssim_are_those_of_scikit_image(name, sigma):
    clean = np.atleast_3d(getattr(data, name)()[100:160, 50:120] / 255.0)
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    x, y = (torch.from_numpy(a).movedim(-1, 0)[None] for a in (noisy, clean))
    theirs = structural_similarity(noisy, clean, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                   channel_axis=-1)
    assert ssim(x, y).item() == pytest.approx(theirs, abs=1e-10)
    assert psnr(x, y).item() == pytest.approx(peak_signal_noise_ratio(clean, noisy, data_range=1.0), abs=1e-10)


def test_image_quality_is_the_mean_over_pictures_and_respects_range_and_border():
    x, y = torch.rand(3, 1, 20, 24, dtype=torch.float64), torch.rand(3, 1, 20, 24, dtype=torch.float64)
    seen = ImageQuality(data_range=255, border=4)
    for i in range(3):
        seen.update(255 * x[i:i + 1], 255 * y[i:i + 1])
    inner = (x[..., 4:-4, 4:-4], y[..., 4:-4, 4:-4])
    assert seen.compute()["psnr"] == pytest.approx(psnr(*inner).mean().item())
    assert seen.compute()["ssim"] == pytest.approx(ssim(*inner).mean().item())
    assert psnr(x, x).tolist() == [math.inf] * 3 and ssim(x, y, return_map=True).shape == (3, 1, 10, 14)


def test_luma_is_that_of_scikit_image():
    from skimage.color import rgb2ycbcr
    rgb = data.astronaut()[:8, :8] / 255.0
    assert np.allclose(255 * to_luma(torch.from_numpy(rgb).movedim(-1, 0)[None])[0, 0].numpy(), rgb2ycbcr(rgb)[..., 0])


# ---------------------------------------------------------------- curves

@given(seeds, st.sampled_from([5, 1000]))
@quick
def test_curves_are_those_of_scikit_learn(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(levels, (40,), generator=generator).double() / levels    # with 5 levels: many ties
    y = torch.randint(2, (40,), generator=generator)
    y[0], y[1] = 0, 1
    assert area_under_roc(scores, y) == pytest.approx(sk.roc_auc_score(y, scores), abs=1e-12)
    assert average_precision(scores, y) == pytest.approx(sk.average_precision_score(y, scores), abs=1e-12)
    fpr, tpr, thresholds = sk.roc_curve(y, scores, drop_intermediate=False)
    thresholds[0] = np.inf                                                      # older ones have the largest score plus 1
    for ours, theirs in zip(roc_curve(scores, y), (fpr, tpr, thresholds)):
        assert np.allclose(ours.numpy(), theirs)
    precision, recall, _ = sk.precision_recall_curve(y, scores)
    ours = pr_curve(scores, y)
    assert np.allclose(ours[0].flip(0).numpy(), precision) and np.allclose(ours[1].flip(0).numpy(), recall)


@given(seeds)
@quick
def test_binned_areas_are_exact_for_8_bit_maps(seed):
    generator = torch.Generator().manual_seed(seed)
    scores, y = torch.randint(256, (3, 50), generator=generator) / 255, torch.randint(2, (3, 50), generator=generator)
    seen = ScoreCurves()
    for s, t in zip(scores, y):
        seen.update(s, t)
    assert seen.compute()["area_under_roc"] == pytest.approx(area_under_roc(scores, y), abs=1e-12)
    assert seen.compute()["average_precision"] == pytest.approx(average_precision(scores, y), abs=1e-12)


def test_before_anything_is_said_the_precision_is_one():
    seen = ScoreCurves(bins=10)
    seen.update(torch.tensor([0.5, 0.2]), torch.tensor([1, 0]))
    of = seen.curves()
    assert of["precision"][:5].tolist() == [1.0] * 5 and of["tpr"][:5].tolist() == [0.0] * 5
    assert of["precision"].tolist()[5:] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]


def test_under_imbalance_the_roc_looks_fine_and_the_precision_does_not():
    generator = torch.Generator().manual_seed(0)
    scores = torch.cat([torch.randn(20, generator=generator) + 2.5, torch.randn(20_000, generator=generator)])
    y = torch.cat([torch.ones(20), torch.zeros(20_000)]).long()
    assert area_under_roc(scores, y) > 0.95 and average_precision(scores, y) < 0.4


# ---------------------------------------------------------------- several processes

PROCESSES = """
import sys, torch
from dlnotes.metrics import ConfusionMatrix, RegionDetection
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method=sys.argv[2], rank=rank, world_size=2)
generator = torch.Generator().manual_seed(0)
said, true = (torch.randint(2, (5, 16, 16), generator=generator) for _ in range(2))
mine = slice(0, 2) if rank == 0 else slice(2, 5)                # uneven on purpose
for metric in (ConfusionMatrix(2), RegionDetection()):
    metric.update(said[mine], true[mine])
    print(sorted(metric.reduce().compute().items()))
torch.distributed.destroy_process_group()
"""


def test_two_processes_and_one_give_the_same(tmp_path):
    address = (tmp_path / "rendezvous").as_uri()
    jobs = [subprocess.Popen([sys.executable, "-c", PROCESSES, str(rank), address], stdout=subprocess.PIPE, text=True)
            for rank in (0, 1)]
    outputs = [job.communicate(timeout=120)[0] for job in jobs]
    generator, expected = torch.Generator().manual_seed(0), []
    said, true = (torch.randint(2, (5, 16, 16), generator=generator) for _ in range(2))
    for metric in (ConfusionMatrix(2), RegionDetection()):
        metric.update(said, true)
        expected.append(str(sorted(metric.compute().items())))
    assert outputs[0] == outputs[1] == "\n".join(expected) + "\n"


def test_without_processes_reduce_does_nothing_and_reset_forgets():
    seen = ConfusionMatrix(2)
    seen.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
    before = seen.state()["matrix"]
    assert torch.equal(seen.reduce().matrix, before) and "accuracy=0.5" in repr(seen)
    seen.reset()
    assert seen.matrix.sum() == 0 and before.sum() == 2


# ---------------------------------------------------------------- bad input

@pytest.mark.parametrize("call, words", [
    (lambda: ConfusionMatrix(1), "ConfusionMatrix: expected classes to be an integer of at least 2, got 1"),
    (lambda: ConfusionMatrix(3).update(torch.rand(2, 4), torch.zeros(2).long()), "scores of 3 classes on a second axis, got a"),
    (lambda: ConfusionMatrix(2).update(torch.rand(4), torch.zeros(4).long()), "threshold probabilities first"),
    (lambda: ConfusionMatrix(2).update(torch.zeros(4).long(), torch.rand(4)), "target of class numbers, got torch.float32"),
    (lambda: ConfusionMatrix(2).update(torch.zeros(4).long(), torch.full((4,), 255)), "from 0 to 1 in the target, got 255 to 255"),
    (lambda: ConfusionMatrix(2).update([1], torch.zeros(1).long()), "prediction to be a tensor, got list"),
    (lambda: ConfusionMatrix(2).compute("mean"), "expected average to be one of"),
    (lambda: ConfusionMatrix(3).compute("foreground"), "expected two classes for average='foreground', got 3"),
    (lambda: ConfusionMatrix(2).merge(ConfusionMatrix(3)), "expected a ConfusionMatrix of the same settings"),
    (lambda: match_regions(torch.zeros(4, 4), torch.zeros(4, 5)), "masks of one size"),
    (lambda: match_regions(torch.zeros(1, 4, 4), torch.zeros(4, 4)), "prediction to be one mask"),
    (lambda: match_regions(torch.zeros(4, 4), torch.zeros(4, 4), distance=0), "a distance above 0"),
    (lambda: match_regions(torch.zeros(4, 4), torch.zeros(4, 4), connectivity=6), "connectivity to be one of 4, 8"),
    (lambda: RegionDetection().update(torch.zeros(1, 4, 4), torch.zeros(1, 1, 4, 4)), "expected masks"),
    (lambda: RegionDetection().update(torch.rand(1, 4, 4), torch.zeros(1, 4, 4)), "a mask of 0 and 1, got other numbers"),
    (lambda: overlap_per_picture(torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 255)), r"0 and 1, got \[255\] in the target"),
    (lambda: BoundaryF().update(torch.rand(1, 4, 4), torch.zeros(1, 4, 4)), "threshold probabilities first"),
    (lambda: BoundaryF(-1), "a tolerance of at least 0"), (lambda: BoundaryF().update(torch.zeros(4, 4), torch.zeros(4, 4)), "two masks"),
    (lambda: psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5)), "two pictures of one shape"),
    (lambda: psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), data_range=0), "data_range above 0"),
    (lambda: psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), border=2), "a border that leaves something"),
    (lambda: ssim(torch.zeros(1, 1, 10, 12), torch.zeros(1, 1, 10, 12)), "height and width of at least 11"),
    (lambda: roc_curve(torch.rand(3), torch.ones(3)), "got no negative one"), (lambda: pr_curve(torch.rand(3), torch.zeros(3)), "got none"),
    (lambda: roc_curve(torch.rand(3), torch.ones(4)), "as many scores as labels"),
    (lambda: roc_curve(torch.tensor([math.nan, 1.0]), torch.tensor([0, 1])), "got NaN"),
    (lambda: ScoreCurves().update(torch.tensor([1.5]), torch.tensor([1])), r"probabilities in \[0, 1\], got 1.5 to 1.5"),
    (lambda: roc_curve(torch.rand(3), torch.tensor([0, 1, -100])), r"labels 0 and 1, got \[-100, 0, 1\]; leave ignored"),
    (lambda: ScoreCurves().update(torch.rand(3), torch.tensor([0, 1, -100])), "labels 0 and 1"),
    (lambda: ScoreCurves(0), "bins to be an integer"),
])
def test_bad_arguments_are_named(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_distances_of_the_outline_need_no_loop():
    """The definition of the distance map that BoundaryF stands on."""
    mask = disc((8, 8), size=16, radius=3.0)
    edge = outline(mask)
    far = torch.cdist(torch.cartesian_prod(torch.arange(16.0), torch.arange(16.0)), edge.nonzero().float()).amin(1)
    assert np.allclose(distance_transform_edt(~edge.numpy()), far.reshape(16, 16).numpy())
