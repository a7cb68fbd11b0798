"""Hyperspectral scenes obey the mixing model, PCA is scikit-learn's, and the leak of a split is what counting says."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlnotes.data.hyperspectral import (BandPCA, HyperspectralPatches, HyperspectralScene, PixelSplit, measure_leak,
                                        split_pixels)


@pytest.fixture(scope="module")
def scene():
    return HyperspectralScene(64, 72, bands=60, classes=6)


# ---------------------------------------------------------------- the scene

def test_abundances_lie_on_the_simplex_and_labels_name_the_most_abundant(scene):
    a = scene.abundances
    assert a.shape == (6, 64, 72) and a.min() >= 0 and torch.allclose(a.sum(0), torch.ones(64, 72, dtype=torch.float64))
    labelled = scene.labels > 0
    assert torch.equal(scene.labels[labelled], a.argmax(0)[labelled] + 1)
    assert (~labelled).double().mean().item() == pytest.approx(0.1, abs=0.01)
    assert a.max(0).values[labelled].min() >= a.max(0).values[~labelled].max()
    assert set(scene.labels.unique().tolist()) == set(range(7))


def test_without_noise_and_variability_the_cube_is_the_linear_mixture_and_can_be_unmixed():
    from scipy.optimize import nnls

    scene = HyperspectralScene(12, 12, bands=80, classes=5, fields=8, snr=None, variability=0.0)
    mixed = torch.einsum("kb,khw->bhw", scene.endmembers, scene.abundances)
    assert torch.equal(scene.cube, mixed.float()) and torch.equal(scene.gain, torch.ones_like(scene.gain))
    for row, column in ((0, 0), (5, 7), (11, 3)):
        found, residual = nnls(scene.endmembers.T.numpy(), mixed[:, row, column].numpy())
        assert np.allclose(found, scene.abundances[:, row, column], atol=1e-8) and residual < 1e-8


@pytest.mark.parametrize("snr", [10.0, 30.0])
def test_the_noise_has_the_asked_power(snr):
    scene = HyperspectralScene(64, 64, bands=40, classes=4, snr=snr)
    clean = scene.gain * torch.einsum("kb,khw->bhw", scene.endmembers, scene.abundances)
    noise = scene.cube.double() - clean
    assert 10 * (clean.square().mean() / noise.square().mean()).log10().item() == pytest.approx(snr, abs=0.1)


def test_the_field_changes_the_spectrum_by_its_gain_alone():
    scene = HyperspectralScene(32, 32, bands=40, classes=4, snr=None, variability=0.2)
    mixed = torch.einsum("kb,khw->bhw", scene.endmembers, scene.abundances)
    assert torch.allclose(scene.cube, (scene.gain * mixed).float())
    assert scene.gain.std() > 0.05 and scene.gain.min() > 0.55 and scene.gain.max() < 1.45
    bend = scene.gain[:-2] - 2 * scene.gain[1:-1] + scene.gain[2:]         # along the bands: a straight line
    assert bend.abs().max() < 1e-12


def test_a_scene_is_the_same_in_every_run_and_on_every_platform():
    a, b = HyperspectralScene(16, 16, bands=10, classes=3, seed=5), HyperspectralScene(16, 16, bands=10, classes=3, seed=5)
    assert torch.equal(a.cube, b.cube) and torch.equal(a.labels, b.labels)
    assert not torch.equal(a.cube, HyperspectralScene(16, 16, bands=10, classes=3, seed=6).cube)
    assert a.cube.double().mean().item() == pytest.approx(0.4100053, abs=1e-6)
    assert a.labels.flatten().bincount().tolist() == [25, 55, 83, 93]


# ---------------------------------------------------------------- fewer bands

@settings(deadline=None, max_examples=20)
@given(st.integers(2, 9), st.integers(4, 12), st.booleans(), st.integers(0, 999))
def test_pca_is_scikit_learns(components, bands, whiten, seed):
    from sklearn.decomposition import PCA

    components = min(components, bands)
    cube = torch.randn(bands, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ours = BandPCA(components, whiten).fit(cube)
    pixels = cube.flatten(1).T.numpy()
    theirs = PCA(components, whiten=whiten, svd_solver="full").fit(pixels)
    assert np.allclose(ours.explained, theirs.explained_variance_ratio_)
    sign = np.sign((ours.axes.numpy() * theirs.components_).sum(1))
    assert np.allclose(ours.axes, theirs.components_ * sign[:, None], atol=1e-6)
    assert np.allclose(ours(cube).flatten(1).T, theirs.transform(pixels) * sign, atol=1e-6)
    largest = ours.axes.abs().argmax(1, keepdim=True)
    assert (ours.axes.gather(1, largest) > 0).all()


def test_pca_fitted_on_some_pixels_knows_no_other(scene):
    where = torch.zeros(64, 72, dtype=torch.bool)
    where[:, :20] = True
    changed = scene.cube.clone()
    changed[:, :, 20:] = 7
    assert torch.equal(BandPCA(4).fit(scene.cube, where).axes, BandPCA(4).fit(changed, where).axes)


# ---------------------------------------------------------------- patches

def test_a_patch_is_the_window_around_its_pixel(scene):
    patches = HyperspectralPatches(scene.cube, scene.labels, window=7)
    assert len(patches) == int((scene.labels > 0).sum())
    for i in range(0, len(patches), 97):
        item, (row, column) = patches[i], patches.pixels[i].tolist()
        assert item["image"].shape == (1, 60, 7, 7) and item["name"] == f"{row}_{column}"
        assert torch.equal(item["image"][0, :, 3, 3], scene.cube[:, row, column])
        assert item["label"] == scene.labels[row, column] - 1 and type(item["label"]) is int
        for y in range(7):
            for x in range(7):
                r, c = row + y - 3, column + x - 3
                inside = 0 <= r < 64 and 0 <= c < 72
                assert torch.equal(item["image"][0, :, y, x], scene.cube[:, r, c] if inside else torch.zeros(60))


def test_patches_go_into_hybridsn(scene):
    from dlnotes.models.hybridsn import HybridSN

    reduced = BandPCA(15).fit(scene.cube)(scene.cube)
    batch = next(iter(torch.utils.data.DataLoader(HyperspectralPatches(reduced, scene.labels, window=9), batch_size=4)))
    assert batch["image"].shape == (4, 1, 15, 9, 9)
    assert HybridSN(bands=15, num_classes=6, window=9)(batch["image"]).shape == (4, 6)


# ---------------------------------------------------------------- splits and their leak

def test_a_random_split_takes_its_share_of_every_class(scene):
    split = split_pixels(scene.labels, 0.3, "random", window=5)
    every = torch.cat([split.train, split.test])
    assert split.dropped == 0 and len(every.unique(dim=0)) == len(every) == int((scene.labels > 0).sum())
    for k in range(1, 7):
        mine = (scene.labels[split.train[:, 0], split.train[:, 1]] == k).sum().item()
        assert mine == round(0.3 * (scene.labels == k).sum().item())


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([1, 3, 5, 7]), st.integers(12, 20), st.integers(0, 99))
def test_no_window_of_a_disjoint_split_shares_a_pixel_with_the_other_half(window, block, seed):
    labels = torch.ones(48, 40, dtype=torch.int64)
    try:
        split = split_pixels(labels, 0.4, "disjoint", window=window, block=block, seed=seed)
    except ValueError:                                                     # every test block lies beside a training block
        assume(False)
    apart = (split.train[:, None] - split.test[None]).abs().amax(-1)       # rows or columns, whichever is more
    assert apart.min() >= window
    assert len(split.train) + len(split.test) + split.dropped == labels.numel()


@pytest.mark.parametrize("method", ["random", "disjoint"])
def test_the_leak_is_what_counting_pixels_says(method):
    scene = HyperspectralScene(30, 33, bands=5, classes=3, fields=12)
    split = split_pixels(scene.labels, 0.05 if method == "random" else 0.4, method, window=5, block=8, seed=1)
    leak = measure_leak(scene.cube, scene.labels, split, window=5)

    def window(row, column):
        return {(row + y, column + x) for y in range(-2, 3) for x in range(-2, 3)}

    covered = set().union(*(window(*p) for p in split.train.tolist()))
    test = [tuple(p) for p in split.test.tolist()]
    assert leak["overlap"] == pytest.approx(np.mean([bool(window(*p) & covered) for p in test]))
    assert leak["seen"] == pytest.approx(np.mean([p in covered for p in test]))
    assert (leak["overlap"] == 0) == (method == "disjoint")


def test_the_nearest_window_is_scikit_learns(scene):
    from sklearn.neighbors import KNeighborsClassifier

    cube = BandPCA(3).fit(scene.cube)(scene.cube).double()
    split = split_pixels(scene.labels, 0.2, "random", window=3)
    train, test = (HyperspectralPatches(cube, scene.labels, 3, p) for p in (split.train, split.test))
    x, y = (np.stack([s[i]["image"].flatten().numpy() for i in range(len(s))]) for s in (train, test))
    theirs = KNeighborsClassifier(1).fit(x, train.targets.numpy()).score(y, test.targets.numpy())
    assert measure_leak(cube, scene.labels, split, 3)["nearest"] == pytest.approx(theirs, abs=1e-3)


def test_the_random_split_flatters():
    """The same data, the same windows: only the ground is disjoint."""
    scene = HyperspectralScene(96, 96, bands=60)
    reduced = BandPCA(6, whiten=False).fit(scene.cube)(scene.cube)
    leaks = {m: measure_leak(reduced, scene.labels, split_pixels(scene.labels, 0.3, m, window=9), 9)
             for m in ("random", "disjoint")}
    assert leaks["random"]["overlap"] == 1 and leaks["random"]["nearest"] > 0.97
    assert leaks["disjoint"]["overlap"] == 0 and leaks["disjoint"]["nearest"] < leaks["random"]["nearest"] - 0.03


LABELS = torch.ones(20, 20, dtype=torch.int64)


@pytest.mark.parametrize("call, error, words", [
    (lambda: HyperspectralScene(bands=2), ValueError, "expected bands to be an integer of at least 4, got 2"),
    (lambda: HyperspectralScene(classes=9, fields=5), ValueError, "expected fields to be an integer of at least 9, got 5"),
    (lambda: HyperspectralScene(purity=1.5), ValueError, "expected purity to be a number from 0 to 1"),
    (lambda: BandPCA(0), ValueError, "expected components"),
    (lambda: BandPCA(9).fit(torch.rand(5, 8, 8)), ValueError, "expected at most 5 components for 5 bands, got 9"),
    (lambda: BandPCA(4).fit(torch.rand(5, 1, 3)), ValueError, "expected more pixels than components=4, got 3"),
    (lambda: BandPCA(2)(torch.rand(5, 8, 8)), RuntimeError, "expected fit before the first call"),
    (lambda: BandPCA(2).fit(torch.rand(5, 8, 8))(torch.rand(6, 8, 8)), ValueError,
     "expected a cube of 5 bands, as fitted, got 6"),
    (lambda: BandPCA(2).fit(np.zeros((5, 8, 8))), ValueError, r"expected a cube \(bands, h, w\) of floats, got ndarray"),
    (lambda: HyperspectralPatches(torch.rand(5, 9, 20), LABELS), ValueError,
     r"expected labels of the cube's \(9, 20\) pixels"),
    (lambda: HyperspectralPatches(torch.rand(5, 20, 20), LABELS.float()), ValueError, "expected labels .* of integers"),
    (lambda: HyperspectralPatches(torch.rand(5, 20, 20), LABELS, 8), ValueError, "expected window to be odd.*got 8; take 9"),
    (lambda: HyperspectralPatches(torch.rand(5, 20, 20), LABELS * 0, 3, torch.tensor([[4, 5]])), ValueError,
     "got label 0 at row 4, column 5"),
    (lambda: HyperspectralPatches(torch.rand(5, 20, 20), LABELS * 0, 3), ValueError, r"with at least one, got \(0, 2\)"),
    (lambda: HyperspectralPatches(torch.rand(5, 20, 20), LABELS, 3)[400], IndexError, "from 0 to 399, got 400"),
    (lambda: split_pixels(LABELS, 1.0, window=3), ValueError, "expected train between 0 and 1, got 1.0"),
    (lambda: split_pixels(LABELS, method="fair", window=3), ValueError, "expected method to be one of 'random', 'disjoint'"),
    (lambda: split_pixels(LABELS, window=19, block=10), ValueError, "expected pixels in both halves, got none for test"),
    (lambda: measure_leak(torch.rand(2, 20, 20), LABELS, PixelSplit(LABELS.nonzero(), LABELS.nonzero(), 0), 4), ValueError,
     "expected window to be odd"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
