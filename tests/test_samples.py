"""Bundled pictures: the packages' own, without a download, each with licence and source."""

import numpy as np
import pytest
import torch

from dlnotes.data import samples
from dlnotes.data.samples import SAMPLES, list_samples, load_sample, photographs


@pytest.mark.parametrize("name", ["astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass",
                                  "gravel", "immunohistochemistry", "microaneurysms", "moon", "page", "rocket", "text"])
def test_pictures_are_scikit_images(name):
    from skimage import data

    ours, theirs = load_sample(name), np.atleast_3d(getattr(data, name)()).transpose(2, 0, 1)
    assert ours.dtype == torch.uint8 and np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["china", "flower"])
def test_pictures_are_scikit_learns(name):
    from sklearn.datasets import load_sample_image

    assert np.array_equal(load_sample(name), load_sample_image(f"{name}.jpg").transpose(2, 0, 1))


def test_every_picture_has_a_licence_a_source_and_a_kind_and_is_here():
    assert list_samples() == list(SAMPLES)
    for name, sample in SAMPLES.items():
        assert sample.name == name and sample.licence and sample.source and sample.licence in str(sample)
        assert name in list_samples(sample.kind)


def test_grey_and_colour():
    assert load_sample("camera", 3).shape == (3, 512, 512) and load_sample("astronaut", 1).shape == (1, 512, 512)


def test_whole_photographs_and_their_licences():
    whole = photographs()
    assert len(whole) == len(list_samples("photograph")) == len(whole.licences)
    assert torch.equal(whole[0]["image"], load_sample("astronaut").float() / 255) and whole[0]["name"] == "astronaut"
    whole[0]["image"].zero_()                                               # a reader's own copy
    assert whole[0]["image"].max() > 0
    assert "china: CC BY 2.0" in "".join(whole.licences)


def test_splits_share_no_photograph():
    train, held_out, both = (set(photographs(split).names) for split in ("train", "held-out", "all"))
    assert not train & held_out and train | held_out == both and held_out == {"camera", "china", "coffee"}


def test_crops_lie_inside_their_photograph_and_are_the_same_in_every_run():
    crops, again = photographs(crop=64, size=50), photographs(crop=64, size=500)
    for i in range(50):
        item = crops[i]
        assert item["image"].shape == (3, 64, 64) and torch.equal(item["image"], again[i]["image"])
        name, top, left, index = item["name"].split("_")
        part = load_sample(name, 3)[:, int(top):int(top) + 64, int(left):int(left) + 64].float() / 255
        turned = [torch.rot90(part, k, (1, 2)) for k in range(4)]
        assert any(torch.equal(item["image"], v) for t in turned for v in (t, t.flip(2)))
        assert int(index) == i
    assert not torch.equal(crops[0]["image"], photographs(crop=64, size=50, seed=1)[0]["image"])


def test_a_missing_package_and_a_missing_file_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="scikit-learn for its picture 'china', .* pip install scikit-learn"):
        load_sample("china")
    assert list_samples() == []
    with pytest.raises(ModuleNotFoundError, match="found neither; pip install scikit-image"):
        photographs()
    monkeypatch.setattr(samples, "_path", lambda sample: tmp_path / sample.file)
    with pytest.raises(FileNotFoundError, match="moon.png inside the installed scikit-image, found none; list_samples"):
        load_sample("moon")


@pytest.mark.parametrize("call, error, words", [
    (lambda: load_sample("lena"), ValueError, "expected name to be one of 'astronaut', .* got 'lena'"),
    (lambda: list_samples("cats"), ValueError, "expected kind to be one of 'photograph', 'texture', 'science', 'document'"),
    (lambda: photographs("test"), ValueError, "expected split to be one of 'train', 'held-out', 'all', got 'test'"),
    (lambda: photographs(crop=1000), ValueError, "expected crop of at most 300, .* got 1000"),
    (lambda: photographs(size=5), ValueError, "expected crop together with size=5, got crop=None"),
    (lambda: photographs(crop=0), ValueError, "expected crop to be an integer of at least 1, got 0"),
    (lambda: photographs(channels=2), ValueError, "expected channels to be one of 1, 3, got 2"),
    (lambda: photographs()[10], IndexError, "expected an index from 0 to 9, got 10"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
