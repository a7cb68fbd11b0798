"""SkipConnections, the Python side: what is cut, what is shipped, what is refused."""

import pytest
import torch
import traitlets

from dlnotes.digits import DigitsOnTextures
from dlnotes.models.pretrained import load_pretrained
from dlnotes.models.unet import UNet
from dlnotes.widgets.skips import SkipConnections, cut_skips


@pytest.fixture(scope="module")
def widget():
    return SkipConnections((35,), cut=())


def test_the_default_fits_into_the_budget_and_shows_a_cut():
    widget = SkipConnections()
    assert repr(widget) == "SkipConnections(2 pictures of 64 × 64, 4 skips, cut: 64×64)"
    data = sum(len(getattr(widget, name)) for name in ("photos", "truths", "predictions", "skips", "decoded"))
    assert data < 330_000 and len(widget.still()) < 60_000 and "all skips" not in widget.alt()


@pytest.mark.parametrize("cut", [(), (0,), (2,), (0, 3), (0, 1, 2, 3)])
def test_masks_are_those_of_the_network_with_the_skips_cut(widget, cut):
    model = load_pretrained("unet_digits")
    image = DigitsOnTextures("held-out", size=2000)[35][0]
    with cut_skips(model, cut), torch.no_grad():
        expected = model(image[None]).argmax(1)[0]
    widget.cut = list(cut)
    assert torch.equal(widget.mask(), expected)


def test_maps_are_means_over_channels(widget):
    from dlnotes.capture import record

    model = load_pretrained("unet_digits")
    image = DigitsOnTextures("held-out", size=2000)[35][0]
    start = 0
    with cut_skips(model, [1]), record(model, modules=["decoder.2", "encoder.3"]) as seen, torch.no_grad():
        model(image[None])
    skip = torch.frombuffer(bytearray(widget.skips), dtype=torch.uint8)[:64].float() / 255 * widget.tops[0][0][0]
    assert (skip - seen.activations["encoder.3"][0].mean(0).flatten()).abs().max() <= widget.tops[0][0][0] / 500
    for k, (h, w) in enumerate(widget.sides[:2]):
        start += 2 ** (k + 1) * h * w
    start += 2 * 32 * 32                                                    # code 2: join 1 is cut
    decoded = torch.frombuffer(bytearray(widget.decoded), dtype=torch.uint8)[start:start + 1024].float() / 255 * widget.tops[0][2][1]
    assert (decoded - seen.activations["decoder.2"][0].mean(0).flatten()).abs().max() <= widget.tops[0][2][1] / 500


def test_the_network_is_left_as_it_was():
    model, x = UNet(in_channels=1, width=4, depth=2).train(), torch.rand(1, 1, 16, 16)
    SkipConnections(model=model, images=x, masks=torch.zeros(1, 16, 16), cut=())
    assert model.training and not any(join._forward_pre_hooks for join in model.joins)
    with pytest.raises(RuntimeError, match="stop"), cut_skips(model, [1]):
        raise RuntimeError("stop")
    assert not any(join._forward_pre_hooks for join in model.joins)


@pytest.mark.parametrize("options, message", [
    ({"pictures": (2000,)}, "pictures from 0 to 1999, got 2000"),
    ({"pictures": ()}, "one to four pictures, got 0"),
    ({"cut": (48,)}, r"cut among the sides \[8, 16, 32, 64\], got 48"),
    ({"model": UNet(width=4, depth=2)}, "pass images"),
    ({"images": torch.zeros(1, 1, 64, 64)}, r"masks \(b, h, w\), got \(1, 1, 64, 64\) and None"),
    ({"images": torch.zeros(2, 1, 128, 128), "masks": torch.zeros(2, 128, 128)}, "fit into 500000 bytes"),
    ({"model": UNet(1, width=2, depth=5), "images": torch.zeros(1, 1, 32, 32), "masks": torch.zeros(1, 32, 32)}, "at most 4 joins"),
    ({"pictures": (1,), "classes": ["ground"]}, "expected 11 names"),
])
def test_wrong_settings_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        SkipConnections(**options)


def test_a_network_without_joins_is_refused():
    with pytest.raises(TypeError, match="ModuleList `joins`"):
        SkipConnections(model=torch.nn.Linear(2, 2), images=torch.zeros(1, 1, 8, 8), masks=torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match=r"joins from 0 \(the deepest\) to 1, got \[2\]"), cut_skips(UNet(width=2, depth=2), [2]):
        pass


def test_the_page_may_ask_for_another_picture(widget):
    before = widget.photos
    widget.handle({"type": "picture"})
    assert widget.indices == [36] and widget.photos != before and widget.captions == ["held-out picture 36"]
    for message in (None, "picture", {"type": "other"}):
        widget.handle(message)
    assert widget.indices == [36]


def test_only_what_exists_can_be_cut(widget):
    with pytest.raises(traitlets.TraitError, match="cut from 0 to 3"):
        widget.cut = [4]
    with pytest.raises(traitlets.TraitError, match="picture from 0 to 0"):
        widget.picture = 1
