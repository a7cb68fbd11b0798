"""FeatureMaps, the Python side: what it accepts, what it ships, what it answers to the page."""

import base64
import io

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import nn

from dlnotes.conv.receptive_field import receptive_fields
from dlnotes.models.cnn import SimpleCNN
from dlnotes.models.pretrained import load_pretrained
from dlnotes.widgets.features import FeatureMaps, _quantise


@pytest.fixture(scope="module")
def widget():
    return FeatureMaps()


def small(seed=0, c=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(c, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3))


def pictures(b=2, c=1, h=8, w=8):
    return torch.rand(b, c, h, w, generator=torch.Generator().manual_seed(1))


def unpacked(widget, slot, layer):
    """Maps of one layer as the page reads them: (c, h, w)."""
    at = end = 0
    for s in range(len(widget.captions)):
        for i, entry in enumerate(widget.layers):
            c, h, w = entry["c"], entry["h"], entry["w"]
            if (s, i) == (slot, layer):
                codes = np.frombuffer(widget.maps, np.uint8)[at:at + c * h * w].reshape(c, h, w)
                ends = np.frombuffer(widget.ranges, "<f4")[end:end + 2 * c].reshape(c, 2)
                return ends[:, :1, None] + codes / 255 * (ends[:, 1:, None] - ends[:, :1, None]), ends
            at, end = at + c * h * w, end + 2 * c
    raise AssertionError


def test_the_default_shows_two_held_out_digits_in_five_layers(widget):
    assert repr(widget) == "FeatureMaps(2 pictures, 5 layers: stages.0.conv 16 × 64 × 64 to stages.3.pool 128 × 4 × 4)"
    assert len(widget.pictures) + len(widget.maps) + len(widget.ranges) < 300_000
    assert [entry["c"] for entry in widget.layers] == [16, 16, 32, 64, 128]
    assert all("true" in caption and "said" in caption for caption in widget.captions)


def test_what_the_page_gets_is_within_half_a_step_of_what_torch_computes(widget):
    model = load_pretrained("cnn_digits")
    from dlnotes.capture import record
    from dlnotes.digits import DigitsOnTextures

    x, _, _ = DigitsOnTextures("held-out", size=400).batch(widget.sources)
    with torch.no_grad(), record(model) as seen:
        model(x)
    for layer, entry in enumerate(widget.layers):
        for slot in (0, 1):
            expected = seen.activations[entry["name"]][slot].numpy()
            got, ends = unpacked(widget, slot, layer)
            half = (ends[:, 1] - ends[:, 0])[:, None, None] / 510
            assert (np.abs(got - expected) <= half * 1.01 + 1e-4).all()


def test_constant_maps_keep_their_value_and_broken_numbers_become_zero():
    codes, ends = _quantise(torch.stack([torch.full((2, 2), 3.0), torch.tensor([[0.0, float("nan")], [1.0, 2.0]])]))
    assert np.frombuffer(ends, "<f4").tolist() == [3, 3, 0, 2] and codes == bytes([0, 0, 0, 0, 0, 0, 128, 255])


def test_what_a_cell_sees_is_its_receptive_field():
    model = SimpleCNN(in_channels=1, widths=(4, 6)).eval()
    widget = FeatureMaps(model, pictures(1, h=20, w=24), layers="stages.*.pool")
    fields = [f for f, name in zip(receptive_fields([model.stages]), range(99))]
    for entry, field in zip(widget.layers, (fields[1], fields[-1])):
        for axis, size in (("rows", 20), ("columns", 24)):
            for i, (first, last) in enumerate(entry[axis]):
                start = field.start + i * field.jump
                assert (first, last) == (max(start, 0), min(start + field.size, size) - 1)


def test_a_global_gate_sees_everything_and_a_large_network_is_not_asked():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            return self.conv(x * x.mean((2, 3), keepdim=True))      # b 2 h w

    assert FeatureMaps(Gate(), pictures(1)).layers[0]["rows"] == [[0, 7]] * 8
    assert FeatureMaps(nn.Conv2d(1, 2, 3), pictures(1, h=100, w=100)).layers[0]["rows"] == []


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    model[1].eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    FeatureMaps(model, pictures())
    assert model.training and not model[1].training
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_without_layers_each_size_comes_once_and_the_budget_holds():
    widget = FeatureMaps(SimpleCNN(in_channels=3), pictures(2, 3, 32, 32))
    assert [(e["c"], e["h"]) for e in widget.layers] == [(16, 32), (16, 16), (32, 16), (32, 8), (64, 8), (64, 4)]
    less = FeatureMaps(SimpleCNN(in_channels=3), pictures(2, 3, 32, 32), budget=40_000)
    assert len(less.maps) <= 40_000 and len(less.layers) < len(widget.layers) and "need a kernel" in less.omitted


def test_colour_pictures_transforms_labels_and_one_picture():
    widget = FeatureMaps(small(c=3), pictures(1, 3), transform=lambda x: x - 0.5, labels=[2], layer=1, channel=3)
    assert widget.picture_shape == [1, 3, 8, 8] and widget.transformed and "true 2" in widget.captions[0]
    assert len(widget.pictures) == 3 * 64
    with pytest.raises(traitlets.TraitError, match="one picture"):
        widget.show = "difference"


@pytest.mark.parametrize("arguments, error, message", [
    ({"model": "resnet"}, TypeError, "expected model to be an nn.Module, got str"),
    ({"model": small(), "pictures": [1]}, TypeError, "floating tensor"),
    ({"model": small(), "pictures": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, TypeError, "divide uint8 by 255"),
    ({"model": small(), "pictures": torch.zeros(8, 8)}, ValueError, r"needs x\[None\]"),
    ({"model": small(), "pictures": torch.zeros(1, 2, 8, 8)}, ValueError, "one or three channels"),
    ({"model": small(), "pictures": pictures() * 255}, ValueError, r"pictures in \[0, 1\]"),
    ({"model": small(), "pictures": pictures(h=12)}, ValueError, "expected pictures that the model reads"),
    ({"model": small(), "pictures": pictures(), "labels": [1]}, ValueError, "one label for each of 2"),
    ({"model": small(), "pictures": pictures(), "layers": "4"}, ValueError, r"gives no maps .*layers with maps are 0, 1, 2"),
    ({"model": small(), "pictures": pictures(), "layers": "conv"}, ValueError, "no such module"),
    ({"model": small(), "pictures": pictures(), "layer": 9}, ValueError, "layer from 0 to 1"),
    ({"model": small(), "pictures": pictures(), "channel": 4}, ValueError, "channel from 0 to 3"),
    ({"model": small(), "pictures": pictures(), "budget": 10}, ValueError, "within budget=10 bytes"),
    ({"model": small(), "pictures": pictures(), "layers": ["0", "1"], "budget": 600}, ValueError, "name fewer layers"),
    ({"model": nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), "pictures": pictures()}, ValueError, "found none among 3 modules"),
])
def test_wrong_arguments_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        FeatureMaps(**arguments)


# ---- the conversation with the page

def test_another_picture_another_layer_and_an_upload():
    widget = FeatureMaps(small(), pictures(5), layers="0")
    widget.handle({"type": "picture", "slot": 1, "index": 4})
    assert widget.sources == [0, 4] and widget.captions[1].startswith("picture 4")
    np.testing.assert_allclose(unpacked(widget, 1, 0)[0], widget.maps_of(0)[1], atol=0.01)
    widget.handle({"type": "layer", "name": "2"})
    assert [entry["name"] for entry in widget.layers] == ["0", "2"] and widget.layer == 1
    raw = bytes(range(64))
    widget.handle({"type": "upload", "slot": 0, "data": base64.b64encode(raw).decode()})
    assert widget.sources == [-1, 4] and widget.pictures[:64] == raw and widget.captions[0].startswith("your picture")


def test_the_shipped_digits_can_be_chosen_by_number(widget):
    other = FeatureMaps()
    other.handle({"type": "picture", "slot": 0, "index": 123})
    assert other.sources == [123, widget.sources[1]] and other.captions[0].startswith("digit 123, true")
    assert "[123, 29]" in other.setup


@pytest.mark.parametrize("message", [
    None, "picture", {"type": "picture"}, {"type": "picture", "slot": 7, "index": 0}, {"type": "picture", "slot": 0, "index": 99},
    {"type": "picture", "slot": 0, "index": True}, {"type": "layer", "name": "4"}, {"type": "layer"}])
def test_other_messages_change_nothing(message):
    widget = FeatureMaps(small(), pictures(3))
    before = widget.maps, widget.sources, widget.revision
    widget.handle(message)
    assert (widget.maps, widget.sources, widget.revision) == before


@pytest.mark.parametrize("data", ["", "???", base64.b64encode(b"short").decode(), None])
def test_a_broken_upload_is_refused_with_a_reason(data):
    widget = FeatureMaps(small(), pictures())
    widget.handle({"type": "upload", "slot": 0, "data": data})
    assert widget.problem == "expected 8 × 8 pixels with 1 channels" and widget.sources == [0, 1]


@pytest.mark.parametrize("name, value", [("layer", 9), ("channel", 99), ("cell", [1]), ("show", "c")])
def test_python_may_not_set_what_does_not_exist(name, value):
    with pytest.raises(traitlets.TraitError):
        setattr(FeatureMaps(small(), pictures()), name, value)


# ---- without scripts

def test_the_still_picture_is_small_and_described(widget):
    for made in (widget, FeatureMaps(small(c=3), pictures(1, 3), layer=1)):
        still = made.still()
        assert len(still) < 120_000 and Image.open(io.BytesIO(still)).width > 400
        assert "feature maps of layer" in made.alt()


@pytest.mark.cuda
def test_the_model_may_live_on_cuda():
    widget = FeatureMaps(small().cuda(), pictures())
    torch.testing.assert_close(widget.maps_of(0), FeatureMaps(small(), pictures()).maps_of(0), atol=1e-3, rtol=1e-3)
