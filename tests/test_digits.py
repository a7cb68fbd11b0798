"""Digits on textures: exact masks, splits that share nothing, the same pictures in every run; and the ViT trained so."""

import builtins
import json

import numpy as np
import pytest
import torch

from dlnotes import digits
from dlnotes.capture import record
from dlnotes.digits import DigitsOnTextures
from dlnotes.models.vit import load_vit_digits, vit_digits, vit_digits_card


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_pictures_labels_and_masks(split):
    images, labels, masks = DigitsOnTextures(split, 300).batch(range(300))
    assert images.shape == masks.shape == (300, 1, 64, 64) and images.dtype == masks.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.1
    assert set(labels.tolist()) == set(range(10)) and labels.dtype == torch.int64
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    covered = masks.mean(dim=(1, 2, 3))
    assert covered.min() > 0.01 and covered.max() < 0.3


def test_picture_i_is_the_same_in_every_run_and_in_every_batch():
    pictures = DigitsOnTextures("held-out", 100)
    image, label, mask = pictures[42]
    images, labels, masks = DigitsOnTextures("held-out", 5000).batch([7, 42])
    assert torch.allclose(images[1], image, atol=1e-6) and torch.equal(masks[1], mask) and labels[1] == label
    assert type(label) is int and image.shape == mask.shape == (1, 64, 64)
    assert not torch.equal(DigitsOnTextures("held-out", 100, seed=1)[42][0], image)


def test_the_mask_is_where_the_digit_is():
    """On a flat background the mask is every pixel that is nearer to the ink than to the ground."""
    images, _, masks = DigitsOnTextures("train", 200, texture=0.0).batch(range(200))
    checked = 0
    for image, mask in zip(images, masks > 0):
        ground = image[0, 0, 0]                                     # a corner is never inked
        ink = image.max() if image.max() - ground > ground - image.min() else image.min()
        if 0 < ink < 1:                                             # not cut off at black or white
            assert torch.equal((image - ground).abs() > 0.5 * (ink - ground).abs(), mask)
            checked += 1
    assert checked > 50


def test_splits_share_no_digit():
    train, held_out = digits._digits("train")[0], digits._digits("held-out")[0]
    assert len(train) == 1397 and len(held_out) == 400
    from sklearn.datasets import load_digits
    whole = np.sort(load_digits().data.sum(1))
    ours = np.sort(16 * torch.cat([train, held_out]).sum(dim=(1, 2, 3)).numpy())
    assert np.allclose(whole, ours)                                 # together they are all digits, each once


def test_splits_share_no_pixel_of_texture(monkeypatch):
    """Photographs that are 1 in the held-out part and 0 elsewhere: a crop must be all 0 or all 1."""
    marked = torch.zeros(1, 1, 512, 512)
    marked[..., 384:] = 1
    monkeypatch.setattr(digits, "_photographs", lambda: (marked,) * 3)
    r = torch.rand(500, 5, generator=torch.Generator().manual_seed(0))
    r[:8, 2] = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])                   # as far left and right as it goes
    assert DigitsOnTextures("train")._crop(r).max() < 1e-4
    assert DigitsOnTextures("held-out")._crop(r).min() > 1 - 1e-4


@pytest.mark.parametrize("call, error, words", [
    (lambda: DigitsOnTextures("test"), ValueError, "expected split 'train' or 'held-out', got 'test'"),
    (lambda: DigitsOnTextures("train", 0), ValueError, "expected size to be an integer of at least 1, got 0"),
    (lambda: DigitsOnTextures("train", 5, seed=-1), ValueError, "expected seed"),
    (lambda: DigitsOnTextures("train", 5, texture=2.0), ValueError, "expected texture from 0 to 1, got 2.0"),
    (lambda: DigitsOnTextures("train", 5)[5], IndexError, "expected an index from 0 to 4, got 5"),
    (lambda: DigitsOnTextures("train", 5).batch([-1]), IndexError, "got -1"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("package, name", [("sklearn", "scikit-learn"), ("skimage", "scikit-image")])
def test_a_missing_package_is_named(monkeypatch, package, name):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return real(module, *args, **kwargs)

    digits._digits.cache_clear(), digits._photographs.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=f"expected {name} .* pip install {name}"):
        DigitsOnTextures("train", 5)


# ---------------------------------------------------------------- the trained network

def test_the_shipped_network_reads_as_well_as_its_card_says():
    card, model = vit_digits_card(), load_vit_digits()
    images, labels, _ = DigitsOnTextures("held-out", 400).batch(range(400))
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).float().mean().item()
    assert accuracy == pytest.approx(card["held_out_accuracy_first_400"], abs=1.5 / 400)       # one picture may flip
    assert card["held_out_accuracy"] >= 0.95 and not model.training
    assert card["parameters"] == sum(p.numel() for p in model.parameters())


def test_the_class_token_attends_to_the_digit():
    """The digit covers a fifth of the patches; in the last block the class token gives them nine tenths of its attention."""
    model = load_vit_digits()
    images, _, masks = DigitsOnTextures("held-out", 100).batch(range(100))
    with record(model, attention=True) as seen, torch.no_grad():
        model(images)
    weights = torch.stack([a.weights[:, :, 0, 1:].mean(1) for a in seen.attention])            # layers b n
    on_digit = torch.nn.functional.avg_pool2d(masks, 8).flatten(1) > 0.1                       # b n
    share = (weights * on_digit).sum(-1) / weights.sum(-1)                                     # layers b
    assert on_digit.float().mean() < 0.2 and share[-1].mean() > 0.9


def test_the_shipped_file_is_small():
    from dlnotes.models.vit import _WEIGHTS
    assert _WEIGHTS.stat().st_size < 2_000_000
    json.loads(_WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))


def test_missing_damaged_and_foreign_files_are_named(tmp_path):
    from safetensors.torch import save_file
    with pytest.raises(FileNotFoundError, match="expected the weights at .*none.safetensors, found no file; train it again"):
        load_vit_digits(tmp_path / "none.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(ValueError, match="damaged or different file"):
        load_vit_digits(tmp_path / "damaged.safetensors")
    save_file(vit_digits(dim=48).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="damaged or different file"):
        load_vit_digits(tmp_path / "other.safetensors")
