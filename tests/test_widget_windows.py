"""WindowAttention, the Python side: what it accepts, and that what it says is the package's."""

import io

import pytest
import torch
from PIL import Image

from dlnotes.attention import WindowAttention as Layer
from dlnotes.widgets.windows import WindowAttention


def test_the_default_shows_a_corner_that_the_roll_brought_beside_strangers():
    widget = WindowAttention()
    assert repr(widget) == "WindowAttention(map 8 × 8, windows of 4 × 4, shift 2)"
    assert widget.state() == {"window": 3, "place": 10, "region": 3, "keys": [0, 1, 8, 9], "bias": 40}


@pytest.mark.parametrize("size, window, shift", [((8, 8), 4, 2), ((4, 12), 4, 1), ((9, 6), 3, 2), ((4, 6), 2, 1), ((4, 4), 4, 2)])
def test_the_keys_are_those_that_the_layer_reads(size, window, shift):
    torch.manual_seed(0)
    layer = Layer(8, 2, window, shift)
    for query in [(0, 0), (size[0] - 1, 1), (2, size[1] - 1)]:
        x = torch.randn(1, *size, 8, requires_grad=True)                                    # b h w c
        layer(x)[0, query[0], query[1]].square().sum().backward()
        read = x.grad[0].abs().sum(-1).flatten().nonzero()[:, 0].tolist()
        assert WindowAttention(size, window, shift, query).state()["keys"] == read


@pytest.mark.parametrize("settings, words", [
    ({"window": 5}, "window to be one of 2, 3, 4"), ({"size": (8, 6)}, "multiples of window=4"), ({"size": (16, 16)}, "up to 12"),
    ({"size": 8.0}, "multiples"), ({"shift": 4}, "shift from 0 to 3"), ({"shift": -1}, "shift from 0 to 3"),
    ({"query": (8, 0)}, r"inside \(8, 8\)"), ({"step": "Mask"}, "lower case")])
def test_bad_arguments_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        WindowAttention(**settings)


@pytest.mark.parametrize("settings", [{}, {"size": (4, 12), "shift": 1}, {"size": (6, 6), "window": 2, "shift": 0}])
def test_the_still_picture_is_small_and_described(settings):
    widget = WindowAttention(**settings)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert f"{len(widget.state()['keys'])} of the {widget.window**2} tokens" in widget.alt()
