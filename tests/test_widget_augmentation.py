"""AugmentationExplorer, the Python side: its geometry against torchvision's, its modes, what it accepts."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dlnotes.libraries import torchvision  # noqa: F401  (before its parts)
from dlnotes.widgets.augmentation import MODES, AugmentationExplorer, affine, move


def noise(seed: int = 0) -> torch.Tensor:
    return torch.rand(128, 128, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squares() -> torch.Tensor:
    mask = torch.zeros(128, 128, dtype=torch.int64)
    mask[30:60, 20:50], mask[70:100, 60:110] = 2, 8
    return mask


# ---- geometry

@pytest.mark.parametrize("draw", [(0, 1, 0, 0), (30, 1, 0, 0), (-70, 0.8, 5, -3), (180, 2, -10, 4)])
def test_the_map_is_torchvisions_affine(draw):
    from torchvision.transforms.v2 import functional as v2

    rotate, scale, right, down = draw
    x = noise().float()
    ours = move(x, affine(rotate, scale, right, down, False, 128, 128), 128, "bilinear")
    theirs = v2.affine(x[None], angle=-rotate, translate=[right, down], scale=scale, shear=[0, 0],
                       interpolation=v2.InterpolationMode.BILINEAR)[0]
    assert (ours - theirs).abs()[2:-2, 2:-2].max() < 2e-3           # torchvision computes its grid in float32


def test_a_flip_and_a_crop_are_indexing():
    x = noise()
    assert torch.allclose(move(x, affine(0, 1, 0, 0, True, 128, 128), 128, "bilinear"), x.flip(1))
    assert torch.allclose(move(x, affine(0, 1, 0, 0, False, 64, 128), 64, "nearest"), x[32:96, 32:96])
    assert torch.allclose(move(x, affine(0, 1, 7, -4, False, 128, 128), 128, "nearest")[:-4, 7:], x[4:, :-7])
    assert torch.allclose(move(x, affine(90, 1, 0, 0, False, 128, 128), 128, "bilinear"), torch.rot90(x))


def test_the_flip_comes_before_the_rotation():
    x = noise()
    both = move(x, affine(90, 1, 0, 0, True, 128, 128), 128, "bilinear")
    assert torch.allclose(both, torch.rot90(x.flip(1)))


# ---- modes

def test_only_the_synchronized_mask_fits():
    got = {mode: AugmentationExplorer(mode=mode).iou() for mode in MODES}
    assert got["synchronized"] == 1 and max(got[mode] for mode in MODES[1:]) < 0.9
    assert got["bilinear"] > got["not moved"]


def test_bilinear_invents_classes_and_nearest_never_does():
    values = {mode: set(AugmentationExplorer(noise(), squares(), mode=mode).transformed()[1].unique().tolist()) for mode in MODES}
    assert values["synchronized"] <= {-100, 0, 2, 8} and values["not moved"] == {0, 2, 8}
    assert {1, 4, 5, 6} <= values["bilinear"]


def test_colours_touch_the_picture_alone():
    plain, bright = AugmentationExplorer(rotate=0), AugmentationExplorer(rotate=0, brightness=1.5, blur=1.0)
    assert torch.equal(plain.transformed()[1], bright.transformed()[1])
    assert not torch.equal(plain.transformed()[0], bright.transformed()[0])


def test_the_blur_is_torchvisions():
    from torchvision.transforms.v2 import functional as v2

    plain = AugmentationExplorer(noise(), squares()).transformed()[0]
    got = AugmentationExplorer(noise(), squares(), blur=1.5).transformed()[0]
    assert (got - v2.gaussian_blur(plain[None], 11, 1.5)[0]).abs().max() < 1e-6


# ---- what it accepts and ships

@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.numpy(), lambda x: (x * 255).round().to(torch.uint8)])
def test_tensors_arrays_and_bytes_ship_alike(make):
    widget = AugmentationExplorer(make(noise()), squares().numpy())
    assert widget.picture == (noise() * 255).round().to(torch.uint8).numpy().tobytes() and widget.index == -1
    assert np.frombuffer(widget.labels, np.uint8).sum() == squares().sum()


@pytest.mark.parametrize("arguments, message", [
    ({"image": noise()}, "image and mask together"), ({"image": noise()[:64], "mask": squares()}, r"image of shape \(128, 128\)"),
    ({"image": noise(), "mask": squares().float()}, "mask of whole numbers"),
    ({"image": noise() * 255, "mask": squares()}, "divide by 255"), ({"mode": "sync"}, "mode to be one of 'synchronized'"),
    ({"rotate": 400}, "rotate as a number from -180 to 180, got 400"), ({"crop": 100.5}, "crop as a whole number from 32 to 128"),
    ({"shear": 2}, "settings among rotate.*got 'shear'"), ({"flip": 1}, "flip to be True or False")])
def test_wrong_arguments_say_what_is_offered(arguments, message):
    with pytest.raises(ValueError, match=message):
        AugmentationExplorer(**arguments)


def test_the_page_may_ask_for_another_picture():
    widget = AugmentationExplorer()
    before = widget.picture
    widget.handle({"type": "picture"})
    assert widget.index == 4 and widget.picture != before and len(widget.picture) == 128 * 128
    own = AugmentationExplorer(noise(), squares())
    own.handle({"type": "picture"})
    own.handle("nonsense")
    assert own.index == -1


@pytest.mark.parametrize("mode", MODES)
def test_the_still_picture_is_small_and_described(mode):
    widget = AugmentationExplorer(mode=mode)
    assert len(widget.still()) < 80_000 and Image.open(io.BytesIO(widget.still())).width > 400
    assert mode in widget.alt() and repr(widget).startswith(f"AugmentationExplorer({mode}, rotate 25°")


def test_one_file_holds_everything(tmp_path):
    path = tmp_path / "augmentation.html"
    AugmentationExplorer().to_html(path)
    assert len(path.read_text(encoding="utf-8")) < 250_000
