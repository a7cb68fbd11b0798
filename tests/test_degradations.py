"""Each degradation obeys its formula, agrees with SciPy or Pillow, and is the same for a given (seed, epoch, index)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from dlnotes.data.degradations import (Chain, Downsample, GaussianBlur, GaussianNoise, Haze, Jpeg, MotionBlur, PoissonNoise,
                                       Rain, gaussian_kernel, ground_depth, motion_kernel)
from dlnotes.data.pairs import Degraded, PairFolder
from dlnotes.data.samples import load_sample, photographs


def rng(seed=0):
    return np.random.default_rng(seed)


def picture(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


ALL = [GaussianNoise((0.0, 0.2)), PoissonNoise((20.0, 200.0)), GaussianBlur(), MotionBlur(), Rain(), Haze(), Downsample(4),
       Downsample(2, enlarge=True), Jpeg(), Chain(Haze(), GaussianBlur(1.0), PoissonNoise(50.0))]


# ---------------------------------------------------------------- noise

def test_gaussian_noise_has_mean_zero_and_its_standard_deviation_everywhere():
    x = torch.linspace(0, 1, 256, dtype=torch.float64).expand(3, 256, 256)
    n = GaussianNoise(0.1)(x, rng()) - x
    assert abs(n.mean().item()) < 1e-3 and n.std().item() == pytest.approx(0.1, rel=0.01)
    assert n[..., :64].std().item() == pytest.approx(n[..., -64:].std().item(), rel=0.02)


@pytest.mark.parametrize("photons", [10.0, 300.0])
def test_poisson_noise_keeps_the_mean_and_has_the_variance_x_over_p(photons):
    for x in (0.1, 0.9):
        y = PoissonNoise(photons)(torch.full((1, 400, 400), x, dtype=torch.float64), rng(3))
        assert y.mean().item() == pytest.approx(x, rel=0.01) and y.var().item() == pytest.approx(x / photons, rel=0.02)
        assert torch.allclose(y * photons, (y * photons).round(), atol=1e-9)               # photons are counted


# ---------------------------------------------------------------- blur

@settings(deadline=None, max_examples=20)
@given(st.floats(0.3, 3.0), st.integers(14, 20), st.integers(14, 20), st.integers(0, 99))
def test_gaussian_blur_is_scipys(sigma, h, w, seed):
    x = picture(2, h, w, seed=seed)
    ours = GaussianBlur(sigma)(x, rng())
    theirs = np.stack([ndimage.gaussian_filter(c, sigma, mode="mirror", truncate=4.0) for c in x.numpy()])
    assert np.allclose(ours, theirs, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.floats(1.0, 9.0), st.floats(0, 180), st.integers(0, 99))
def test_motion_blur_is_scipys_convolution_with_a_kernel_of_sum_one(length, angle, seed):
    x, kernel = picture(2, 12, 13, seed=seed), motion_kernel(length, angle)
    assert kernel.sum().item() == pytest.approx(1) and kernel.min() >= 0
    theirs = np.stack([ndimage.convolve(c, kernel.numpy(), mode="mirror") for c in x.numpy()])
    assert np.allclose(MotionBlur(length, angle)(x, rng()), theirs, atol=1e-12)


def test_a_motion_kernel_is_the_time_over_each_pixel():
    assert torch.allclose(motion_kernel(5, 0)[2], torch.full((5,), 0.2, dtype=torch.float64))
    assert torch.equal(motion_kernel(5, 90), motion_kernel(5, 0).T) and motion_kernel(1, 37).tolist() == [[1.0]]
    assert motion_kernel(4, 0)[2].tolist() == [0.125, 0.25, 0.25, 0.25, 0.125]
    diagonal = motion_kernel(9, 45)                                         # upwards to the right
    assert torch.allclose(diagonal, diagonal.flip(0, 1)) and diagonal.flip(0).diagonal().sum() > 0.8


def test_blur_keeps_a_flat_picture_and_the_kernels_sum_to_one():
    flat = torch.full((3, 40, 40), 0.3, dtype=torch.float64)
    assert torch.allclose(GaussianBlur(2.0)(flat, rng()), flat) and torch.allclose(MotionBlur(9.0, 30.0)(flat, rng()), flat)
    assert gaussian_kernel(0.0).tolist() == [1.0] and gaussian_kernel(2.0).sum().item() == pytest.approx(1)


# ---------------------------------------------------------------- weather

@settings(deadline=None, max_examples=20)
@given(st.floats(0, 3), st.floats(0, 1), st.integers(0, 99))
def test_haze_obeys_koschmieder(beta, airlight, seed):
    x, depth = picture(3, 9, 8, seed=seed), picture(9, 8, seed=seed + 1)
    y = Haze(beta, airlight, depth)(x, rng())
    t = torch.exp(-beta * depth)
    assert torch.allclose(y, x * t + airlight * (1 - t))
    assert torch.allclose((y - airlight) / t + airlight, x, atol=1e-9)      # and can be undone where t is known


def test_haze_without_depth_thickens_towards_the_horizon():
    depth = ground_depth(50, 3)
    assert depth[0, 0] == 1 and (depth[1:] < depth[:-1]).all() and depth[-1, 0].item() == pytest.approx(0.1 / 1.1)
    v = torch.arange(50, dtype=torch.float64) / 49                          # distance to ground seen v below the horizon
    assert torch.allclose(1 / depth[:, 0], (v + 0.1) / 0.1)
    y = Haze(2.0, 1.0)(torch.zeros(3, 50, 3), rng())
    assert (y[:, 1:] < y[:, :-1]).all()


def test_rain_mixes_towards_the_drops_and_nowhere_beyond():
    x = picture(3, 60, 60)
    y = Rain(3.0, 15.0, 90.0, 0.6, 0.9)(x, rng())
    a = ((y - x) / (0.9 - x))[:, (0.9 - x).abs().amin(0) > 0.05]            # share of the exposure, from each channel
    assert torch.allclose(a[0], a[1], atol=1e-9) and torch.allclose(a[0], a[2], atol=1e-9)
    assert a.min() >= -1e-9 and 0.3 < a.max() <= 0.6 + 1e-9
    assert torch.equal(Rain(0.0)(x, rng()), x)


def test_streaks_fall_at_their_angle_and_as_often_as_asked():
    dark = torch.zeros(1, 200, 200, dtype=torch.float64)
    y = Rain(2.0, 21.0, 90.0, 1.0, 1.0)(dark, rng(1))[0]
    assert (y[1:] - y[:-1]).abs().mean() < 0.3 * (y[:, 1:] - y[:, :-1]).abs().mean()       # long down, thin across
    assert (y > 0).double().mean().item() == pytest.approx(2.0 / 1000 * 21, rel=0.15)      # drops × length


# ---------------------------------------------------------------- fewer numbers

@settings(deadline=None, max_examples=20)
@given(st.sampled_from([2, 3, 4]), st.integers(3, 8), st.integers(3, 8), st.integers(0, 99))
def test_downsampling_is_pillows_bicubic(factor, h, w, seed):
    x = picture(1, factor * h, factor * w, seed=seed).float()
    theirs = np.asarray(Image.fromarray(x[0].numpy()).resize((w, h), Image.Resampling.BICUBIC))
    assert np.allclose(Downsample(factor)(x, rng())[0], theirs, atol=1e-5)


def test_downsampling_does_not_alias_and_skipping_pixels_does():
    stripes = (torch.arange(64) % 2).double().expand(1, 64, 64)             # one pixel wide
    smooth = Downsample(4)(stripes, rng())
    assert smooth[..., 2:-2].std() < 0.01 and (smooth[..., 2:-2] - 0.5).abs().max() < 0.05
    assert stripes[..., ::4].unique().tolist() == [0.0]
    assert Downsample(4, enlarge=True)(stripes, rng()).shape == stripes.shape


def test_jpeg_loses_more_at_lower_quality_and_is_pillows():
    x = load_sample("chelsea")[:, :64, :64].float() / 255
    errors = [(Jpeg(q)(x, rng()) - x).square().mean().item() for q in (10, 40, 90)]
    assert errors[0] > errors[1] > errors[2] > 0
    grey = x[:1].double()
    assert Jpeg(50)(grey, rng()).shape == grey.shape and Jpeg(50)(grey, rng()).dtype == torch.float64


# ---------------------------------------------------------------- all of them, and the data set

@pytest.mark.parametrize("degradation", ALL, ids=lambda d: type(d).__name__)
def test_every_degradation_depends_on_the_generator_alone_and_leaves_its_input(degradation):
    x = picture(3, 64, 48).float()
    kept = x.clone()
    a, b = degradation(x, rng(7)), degradation(x, rng(7))
    assert torch.equal(a, b) and torch.equal(x, kept) and a.dtype == x.dtype and torch.isfinite(a).all()
    assert not torch.equal(a, x[:, :a.shape[1], :a.shape[2]])
    if not isinstance(degradation, Downsample):
        assert not torch.equal(a, degradation(x, rng(8))) and a.shape == x.shape


def test_pairs_are_the_same_in_every_run_and_new_in_another_epoch():
    clean = photographs("held-out", crop=48, size=6)
    pairs, again = (Degraded(clean, Chain(GaussianBlur(), GaussianNoise(0.1)), seed=3) for _ in range(2))
    for i in range(6):
        pair = pairs[i]
        assert torch.equal(pair["target"], clean[i]["image"]) and pair["name"] == clean[i]["name"]
        assert torch.equal(pair["image"], again[i]["image"])
    assert not torch.equal(pairs[1]["image"] - pairs[1]["target"], pairs[2]["image"] - pairs[2]["target"])
    pairs.set_epoch(1)
    assert not torch.equal(pairs[0]["image"], again[0]["image"]) and torch.equal(pairs[0]["target"], again[0]["target"])
    assert not torch.equal(again[0]["image"], Degraded(clean, GaussianNoise(0.1), seed=4)[0]["image"])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers):
    pairs = Degraded(photographs("train", crop=32, size=8), GaussianNoise(0.1))
    batch = next(iter(torch.utils.data.DataLoader(pairs, batch_size=8, num_workers=workers)))
    assert torch.equal(batch["image"], torch.stack([pairs[i]["image"] for i in range(8)]))


def test_the_numbers_are_these_on_every_platform():
    x = torch.full((1, 32, 32), 0.5, dtype=torch.float64)
    means = [d(x, rng(5)).mean().item() for d in (GaussianNoise(0.1), PoissonNoise(50.0), Rain(), Haze())]
    assert means == pytest.approx([0.5008038, 0.4931836, 0.5054815, 0.6618561], abs=1e-6)


def save(folder, name, size, value):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value,) * 3).save(folder / name)


def test_a_folder_of_pairs(tmp_path):
    for i in (3, 1, 2):
        save(tmp_path / "input", f"rain {i}.png", (7, 5), 10 * i)
        save(tmp_path / "target", f"rain {i}.png", (7, 5), 20 * i)
    pairs = PairFolder(tmp_path)
    assert pairs.names == ["rain 1", "rain 2", "rain 3"]
    pair = pairs[2]
    assert pair["image"].shape == pair["target"].shape == (3, 5, 7) and pair["name"] == "rain 3"
    assert torch.allclose(pair["image"] * 2, pair["target"]) and pair["image"][0, 0, 0].item() == pytest.approx(30 / 255)
    assert PairFolder(tmp_path, names=["rain 2"], channels=1)[0]["image"].shape == (1, 5, 7)


def test_a_folder_of_pairs_for_super_resolution(tmp_path):
    save(tmp_path / "LR", "0001x4.png", (7, 5), 1)
    save(tmp_path / "HR", "0001.png", (28, 20), 2)
    pairs = PairFolder(tmp_path, "LR", "HR", suffix="x4", scale=4)
    assert pairs[0]["target"].shape == (3, 20, 28) and pairs[0]["name"] == "0001"
    with pytest.raises(ValueError, match=r".*0001.png to be 1 times the size of its partner, \(5, 7\), got \(20, 28\)"):
        PairFolder(tmp_path, "LR", "HR", suffix="x4")[0]


def test_a_lonely_picture_is_named(tmp_path):
    save(tmp_path / "input", "a.png", (4, 4), 1)
    save(tmp_path / "target", "b.png", (4, 4), 1)
    with pytest.raises(ValueError, match="expected every name in both input and target of .*, got a, b in one only"):
        PairFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a folder .*clear, found none"):
        PairFolder(tmp_path, clean="clear")


X = torch.rand(3, 16, 16)


@pytest.mark.parametrize("call, error, words", [
    (lambda: GaussianNoise(-1.0), ValueError, "expected sigma to be a number of at least 0, .* got -1.0"),
    (lambda: GaussianNoise((0.5, 0.1)), ValueError, r"a pair \(least, most\) of them, got \(0.5, 0.1\)"),
    (lambda: PoissonNoise("many"), ValueError, "expected photons to be a number of at least 0.1"),
    (lambda: MotionBlur(0.5), ValueError, "expected length to be a number of at least 1"),
    (lambda: Rain(opacity=2.0), ValueError, "expected opacity to be a number from 0 to 1"),
    (lambda: Haze(airlight=1.5), ValueError, "expected airlight"),
    (lambda: Haze(depth=torch.rand(4, 4))(X, rng()), ValueError,
     r"expected depth of the picture's \(16, 16\) pixels, got \(4, 4\)"),
    (lambda: Downsample(2.5), ValueError, "expected factor to be an integer of at least 1, got 2.5"),
    (lambda: Downsample(3)(X, rng()), ValueError,
     r"divisible by factor=3, got \(16, 16\); crop first, .*image\[:, :15, :15\]"),
    (lambda: Jpeg(100), ValueError, "expected quality to be a whole number from 1 to 95"),
    (lambda: Jpeg(50)(torch.rand(2, 8, 8), rng()), ValueError, "expected 1 or 3 channels, got 2"),
    (lambda: GaussianBlur(9.0)(X, rng()), ValueError, "expected a picture larger than 36 pixels"),
    (lambda: Chain(), TypeError, "expected one degradation or more"),
    (lambda: GaussianNoise()(X[0], rng()), ValueError, r"expected one picture \(c, h, w\), got shape \(16, 16\)"),
    (lambda: GaussianNoise()((X * 255).byte(), rng()), TypeError,
     r"expected a picture of floats in \[0, 1\], got torch.uint8"),
    (lambda: GaussianNoise()(X, 0), TypeError, "expected a NumPy generator, got int"),
    (lambda: Degraded([X], "noise"), TypeError, "expected a degradation, got str"),
    (lambda: Degraded([{"image": X}], GaussianNoise())[1], IndexError, "expected an index from 0 to 0, got 1"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
