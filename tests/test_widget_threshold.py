"""ThresholdExplorer, the Python side: what it accepts, what it ships, what it answers to the page."""

import io
import math

import pytest
import torch
import traitlets
from PIL import Image

from dlnotes.widgets.threshold import ThresholdExplorer, digit_scene, targets_scene


def scene(h: int = 12, w: int = 16, seed: int = 0, **more) -> dict:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(h, w, dtype=torch.int64)
    mask[2:6, 3:9] = 1
    return {"score": torch.rand(h, w, generator=generator), "mask": mask, **more}


@pytest.fixture(scope="module")
def default():
    return ThresholdExplorer()


def test_the_default_shows_two_digits_and_small_targets(default):
    assert repr(default) == "ThresholdExplorer(digit 7, 64 × 64, threshold 0.50)"
    assert [(s["name"], s["h"], s["w"]) for s in default.scenes] == [("digit 7", 64, 64), ("digit 13", 64, 64), ("small targets", 128, 128)]
    assert len(default.data) == 3 * (2 * 64**2 + 128**2) < 80_000


def test_the_second_digit_is_read_worse_and_the_targets_hide_behind_a_good_roc(default):
    scores = [ThresholdExplorer(default_scenes(default), scene=i, threshold=t).scores() for i, t in enumerate((0.5, 0.5, 0.25))]
    assert scores[0]["iou"] > 0.9 > scores[1]["iou"] + 0.2
    assert scores[2]["area_under_roc"] > 0.99 and scores[2]["average_precision"] < 0.4


def default_scenes(widget):
    return [dict(zip(("image", "score", "mask"), (x.to(torch.uint8) for x in widget.arrays(i)))) for i in range(len(widget.scenes))]


@pytest.mark.parametrize("make, index", [(digit_scene, 13), (targets_scene, 7)])
def test_the_source_of_a_scene_makes_that_scene(make, index):
    shown, names = make(index), {"torch": torch}
    exec(shown["source"], names)
    assert ((names["score"] * 255).round() - (shown["score"] * 255).round()).abs().max() <= 1
    assert torch.equal(names["mask"] > 0, shown["mask"])


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.numpy(), lambda x: x.tolist(), lambda x: x.double(),
                                  lambda x: (x * 255).round().to(torch.uint8)])
def test_tensors_arrays_and_lists_ship_as_the_same_bytes(make):
    one = scene()
    widget = ThresholdExplorer([{**one, "score": make(one["score"])}])
    image, score, mask = widget.arrays()
    assert torch.equal(score, (one["score"] * 255).round().long()) and torch.equal(mask, one["mask"]) and (image == 128).all()
    assert widget.offers == 0 and widget.scenes[0]["name"] == "picture 1"


@pytest.mark.parametrize("scenes, message", [
    ([], "expected at least one scene"),
    ([{"score": torch.rand(4, 4)}], r'a dict with "score" and "mask", got \[\'score\'\]'),
    ([torch.rand(4, 4)], "got Tensor"),
    ([{**scene(), "score": torch.rand(1, 12, 16)}], r"got shape \(1, 12, 16\); take one channel"),
    ([{**scene(), "score": torch.rand(12, 16) * 9}], "apply torch.sigmoid to logits"),
    ([{**scene(), "score": torch.full((12, 16), math.nan)}], "values from nan"),
    ([{**scene(), "mask": torch.ones(4, 4)}], "of one size"),
    ([{**scene(), "mask": 255 * scene()["mask"]}], "mask of 0 and 1"),
    ([{**scene(), "mask": torch.zeros(12, 16)}], "foreground and background"),
    ([{**scene(), "image": torch.rand(3, 12, 16)}], "the image of scenes"),
])
def test_wrong_scenes_say_what_is_wrong(scenes, message):
    with pytest.raises(ValueError, match=message):
        ThresholdExplorer(scenes)


def test_complex_scores_are_refused():
    with pytest.raises(TypeError, match="real numbers"):
        ThresholdExplorer([{**scene(), "score": torch.rand(12, 16) * 1j}])


@pytest.mark.parametrize("settings, message", [
    ({"scene": 1}, "expected scene from 0 to 0, got 1"), ({"scene": True}, "expected scene"),
    ({"threshold": 1.5}, "threshold from 0 to 1, got 1.5"), ({"threshold": math.nan}, "threshold from 0 to 1"),
    ({"view": "heat"}, "one of verdicts, score, picture, got 'heat'"),
])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        ThresholdExplorer([scene()], **settings)


def test_an_unknown_view_is_refused_later_too():
    with pytest.raises(traitlets.TraitError):
        ThresholdExplorer([scene()]).view = "heat"


def test_the_page_may_ask_for_another_digit():
    widget = ThresholdExplorer()
    rest = widget.data[3 * 64 * 64:]
    widget.scene = 2
    widget.handle({"type": "digit", "index": 25})
    assert widget.scene == 0 and widget.scenes[0]["name"] == "digit 25" and widget.data[3 * 64 * 64:] == rest
    assert "[25]" in widget.scenes[0]["source"]


@pytest.mark.parametrize("message", [None, "digit", {"type": "hello?"}, {"type": "digit"}, {"type": "digit", "index": -1},
                                     {"type": "digit", "index": 10**6}, {"type": "digit", "index": True}])
def test_other_messages_change_nothing(default, message):
    before = default.data, default.scenes
    default.handle(message)
    assert (default.data, default.scenes) == before


@pytest.mark.parametrize("settings", [{}, {"threshold": 0}, {"threshold": 1}, {"view": "score"}, {"view": "picture"}])
def test_the_still_picture_is_small_and_described(settings):
    widget = ThresholdExplorer([scene(image=torch.rand(12, 16))], **settings)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert "ROC" in widget.alt()
