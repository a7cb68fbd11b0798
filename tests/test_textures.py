"""Digits on textures of any size: exact masks, no overlap, splits that share nothing, the same pictures in every run."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from dlnotes import digits
from dlnotes.data.textures import TexturedDigits
from dlnotes.digits import DigitsOnTextures


def test_one_digit_on_64_pixels_is_the_picture_that_shipped_networks_know():
    old, new = DigitsOnTextures("held-out", 30, seed=2), TexturedDigits("held-out", 30, seed=2)
    labels = TexturedDigits("held-out", 30, seed=2, task="classification")
    for i in range(30):
        image, digit, ink = old[i]
        assert torch.equal(new[i]["image"], image) and torch.equal(new[i]["mask"], ink[0].long() * (digit + 1))
        assert torch.equal(labels[i]["image"], image) and labels[i]["label"] == digit and "mask" not in labels[i]


def test_the_pictures_of_digits_on_textures_have_not_changed():
    """Their numbers, to what every platform computes alike: ink in the mask, and means to four places."""
    images, labels, masks = DigitsOnTextures("train", 50, seed=3).batch(range(50))
    assert hashlib.sha256(bytes(labels.tolist())).hexdigest()[:16] == "cd2735d4e0ceb80f"
    assert masks.sum().item() == pytest.approx(20181, abs=20)
    assert images.mean().item() == pytest.approx(0.49472, abs=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(40, 150), st.integers(40, 150), st.integers(0, 4), st.integers(10, 30), st.integers(0, 99))
def test_pictures_of_any_size_hold_the_asked_digits_each_in_one_place(h, w, count, height, seed):
    room = (h // height) * (w // height)
    pictures = TexturedDigits("train", 5, seed, shape=(h, w), digits=min(count, room), height=height)
    item = pictures[seed % 5]
    image, mask = item["image"], item["mask"]
    assert image.shape == (1, h, w) and image.dtype == torch.float32 and 0 <= image.min() and image.max() <= 1
    assert mask.shape == (h, w) and mask.dtype == torch.int64 and 0 <= mask.min() and mask.max() <= 10
    pieces, found = label(mask.numpy() > 0, np.ones((3, 3)))
    assert (found > 0) == (pictures.digits[0] > 0)
    rows, columns = np.nonzero(mask.numpy())
    if pictures.digits[0] == 1:
        assert np.ptp(rows) < height and np.ptp(columns) < height


def test_the_number_of_digits_runs_from_least_to_most():
    pictures = TexturedDigits("train", 60, shape=(120, 120), digits=(0, 3), height=24)
    counts = {label(pictures[i]["mask"].numpy() > 0, np.ones((3, 3)))[1] for i in range(60)}
    assert {0, 1, 2, 3} <= counts


def test_the_mask_is_where_the_digit_is():
    """On a flat background the mask is every pixel that is nearer to the ink than to the ground."""
    pictures = TexturedDigits("train", 40, shape=(100, 80), digits=1, height=(40, 60), texture=0.0)
    checked = 0
    for i in range(40):
        image, mask = pictures[i]["image"][0], pictures[i]["mask"]
        ground = image[mask == 0].mode().values
        ink = image.max() if image.max() - ground > ground - image.min() else image.min()
        if 0 < ink < 1:                                             # not cut off at black or white
            assert torch.equal((image - ground).abs() > 0.5 * (ink - ground).abs(), mask > 0)
            checked += 1
    assert checked > 10


def test_classes_and_labels_agree():
    tasks = ("segmentation", "binary", "classification")
    pictures = [TexturedDigits("train", 20, shape=(70, 90), task=task) for task in tasks]
    for i in range(20):
        seen, binary, known = (p[i] for p in pictures)
        assert seen["mask"].unique().tolist() == [0, known["label"] + 1]
        assert torch.equal(binary["mask"], (seen["mask"] > 0).long())
        assert TexturedDigits.classes[known["label"] + 1] == str(known["label"])
        assert torch.equal(seen["image"], known["image"]) and seen["name"] == known["name"] == f"train_{i:05d}"


def test_picture_i_is_the_same_in_every_run():
    a, b, other = (TexturedDigits("held-out", size, seed, shape=(96, 96), digits=2, height=30)[4]
                   for size, seed in ((5, 0), (500, 0), (5, 1)))
    assert torch.equal(a["image"], b["image"]) and torch.equal(a["mask"], b["mask"])
    assert not torch.equal(a["image"], other["image"])


@pytest.mark.parametrize("shape", [(64, 80), (300, 420)])
def test_splits_share_no_pixel_of_texture(monkeypatch, shape):
    """Photographs that are 1 in the held-out part and 0 elsewhere: a background must be all 0 or all 1."""
    marked = torch.zeros(1, 1, 512, 512)
    marked[..., 384:] = 1
    monkeypatch.setattr(digits, "_photographs", lambda: (marked,) * 3)
    for split, value in (("train", 0), ("held-out", 1)):
        pictures = TexturedDigits(split, 1, shape=shape, digits=0)
        for r in np.random.default_rng(0).random((20, 5)):
            assert torch.allclose(pictures._ground(r), torch.tensor(float(value)), atol=1e-5)


def test_splits_share_no_digit():
    train, held_out = TexturedDigits("train")._pictures._digits, TexturedDigits("held-out")._pictures._digits
    assert len(train) == 1397 and len(held_out) == 400


@pytest.mark.parametrize("call, error, words", [
    (lambda: TexturedDigits("test"), ValueError, "expected split 'train' or 'held-out', got 'test'"),
    (lambda: TexturedDigits(size=0), ValueError, "expected size to be an integer of at least 1, got 0"),
    (lambda: TexturedDigits(seed=-1), ValueError, "expected seed to be an integer of at least 0, got -1"),
    (lambda: TexturedDigits(task="detection"), ValueError, "expected task to be one of 'segmentation', 'binary', 'classif"),
    (lambda: TexturedDigits(shape=128), ValueError, r"expected shape to be \(height, width\), got 128"),
    (lambda: TexturedDigits(shape=(0, 9)), ValueError, "expected height of shape to be an integer of at least 1, got 0"),
    (lambda: TexturedDigits(digits=2), ValueError, "expected room for 2 digits of 54 pixels, got 1 cells in 64 × 64"),
    (lambda: TexturedDigits(digits=(3, 1)), ValueError, r"digits to be a whole number of at least 0, .* got \(3, 1\)"),
    (lambda: TexturedDigits(height=2), ValueError, "expected height to be a number from 8 to 512"),
    (lambda: TexturedDigits(texture=1.5), ValueError, "expected texture to be a number from 0 to 1"),
    (lambda: TexturedDigits(shape=(200, 200), digits=2, task="classification"), ValueError, "expected digits=1 for task="),
    (lambda: TexturedDigits(size=5)[5], IndexError, "expected an index from 0 to 4, got 5"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
