"""RankExplorer, the Python side: what it accepts, what it ships, what its still picture shows."""

import io

import pytest
import torch
from PIL import Image

from dlnotes.widgets._pictures import named
from dlnotes.widgets.rank import PATTERNS, RankExplorer


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_default_is_three_photographs_and_three_patterns():
    widget = RankExplorer()
    assert repr(widget) == "RankExplorer(camera, 128 × 128, 8 of 128 terms)"
    assert widget.names == ["camera", "astronaut", "brick", "checkerboard", "diagonal edge", "disc"]
    assert len(widget.pictures) == 6 * 128 * 128 < 150_000


@pytest.mark.parametrize("name", ["camera", "chelsea", *PATTERNS])
def test_the_source_of_a_named_picture_makes_it(name):
    from skimage import color, data, transform

    x, source = named("RankExplorer", name)
    again = eval(source, {"torch": torch, "color": color, "data": data, "transform": transform})
    assert x.shape == (128, 128) and x.min() >= 0 and x.max() <= 1
    torch.testing.assert_close(torch.as_tensor(again), x, atol=1e-12, rtol=0)


def test_own_pictures_of_several_sizes_ship_as_bytes():
    a, b = noise(5, 9), (noise(16, 8) * 255).round().to(torch.uint8)
    widget = RankExplorer({"a": a, "b": b}, k=3, picture="b")
    assert widget.sizes == [[5, 9], [16, 8]] and widget.sources == ["", ""] and widget.picture == 1
    torch.testing.assert_close(widget.image(), b.double() / 255)
    assert widget.pictures[:45] == (a * 255).round().to(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("images, message", [
    ("lenna", "expected one of camera, astronaut"), ([], "expected names of pictures"), (3, "expected names of pictures"),
    ({"x": noise(4, 4)[None]}, r"'x' to be a grey picture \(h, w\)"), ({"x": noise(4, 300)}, "sides from 2 to 256"),
    ({"x": noise(4, 4) * 9}, r"values in \[0, 1\], got values from"), ({"x": noise(4, 4) * float("nan")}, "finite values, got NaN")])
def test_wrong_pictures_say_what_is_wrong(images, message):
    with pytest.raises(ValueError, match=message):
        RankExplorer(images)


@pytest.mark.parametrize("settings, message", [
    ({"k": 0}, "expected k from 1 to 128, the smaller side of camera, got 0"), ({"k": 129}, "k from 1 to 128"),
    ({"k": 2.0}, "k from 1 to 128"), ({"picture": "moon"}, "picture to be one of camera"), ({"scale": "log"}, "own or shared")])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        RankExplorer(**settings)


def test_complex_pictures_are_refused():
    with pytest.raises(TypeError, match=r"take .real or .abs"):
        RankExplorer({"x": torch.fft.fft2(noise(4, 4))})


@pytest.mark.parametrize("settings", [{}, {"k": 1, "picture": "checkerboard"}, {"k": 128}])
def test_the_still_picture_is_small_and_described(settings):
    widget = RankExplorer(**settings)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert "singular values" in widget.alt()


def test_a_kernel_adds_a_photograph_once_and_shows_it():
    widget = RankExplorer(["disc"], k=30)
    for message in ({"type": "picture", "name": "lenna"}, {"type": "other"}, "picture"):
        widget.handle(message)
    assert widget.names == ["disc"]
    widget.handle({"type": "picture", "name": "moon"})
    assert (widget.names, widget.picture, widget.sizes) == (["disc", "moon"], 1, [[128, 128]] * 2)
    torch.testing.assert_close(widget.image(), RankExplorer(["moon"]).image())
    widget.picture = 0
    widget.handle({"type": "picture", "name": "moon"})
    assert (len(widget.names), widget.picture) == (2, 1)


def test_k_stays_within_a_smaller_picture_that_is_added():
    widget = RankExplorer({"mine": noise(200, 200)}, k=180)
    widget.handle({"type": "picture", "name": "coins"})
    assert (widget.k, repr(widget)) == (128, "RankExplorer(coins, 128 × 128, 128 of 128 terms)")
