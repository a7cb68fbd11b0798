"""WaveBuilder, the Python side: what it accepts, its targets, and its arithmetic."""

import io
import math

import pytest
import torch
from PIL import Image

from dlnotes.widgets.waves import TARGETS, WaveBuilder, _target


def test_the_default_is_a_square_wave_with_two_of_its_waves():
    widget = WaveBuilder()
    assert repr(widget) == "WaveBuilder(2 waves for square, error 31%)"
    X = torch.fft.fft(widget.target()) * 2 / 64
    for k, a, p in widget.waves1:                                              # the two are the target's own
        assert a == pytest.approx(float(X[k].abs()), abs=6e-4) and p == pytest.approx(float(X[k].angle()), abs=6e-4)
    assert widget.error() == pytest.approx(math.sqrt(1 - (1.274**2 + 0.426**2) / 2), abs=1e-3)


@pytest.mark.parametrize(("dimensions", "name"), [(d, name) for d in TARGETS for name in TARGETS[d]])
def test_every_target_has_its_size_and_ships(dimensions, name):
    x = _target(dimensions, name)
    assert x.shape == {1: (64,), 2: (32, 32)}[dimensions] and x.dtype == torch.float32 and x.std() > 0.01
    raw = getattr(WaveBuilder(), f"targets{dimensions}")
    i, size = list(TARGETS[dimensions]).index(name), x.numel() * 4
    assert raw[i * size: (i + 1) * size] == x.contiguous().numpy().tobytes()


def test_two_waves_make_the_two_fields_of_stripes():
    widget = WaveBuilder(2, waves=[(2, 5, 0.6, 0.0), (3, -4, 0.4, 1.0)])
    assert widget.error() < 1e-6 and widget.total().shape == (32, 32)
    assert repr(widget) == "WaveBuilder(2 waves for two fields of stripes, error 0%)"


@pytest.mark.parametrize(("arguments", "message"), [
    ((3,), "dimensions 1 or 2, got 3"), ((1, "bricks"), "target to be one of square.*belong to dimensions=2"),
    ((1, None, []), "one to eight"),
    ((1, None, [(1, 1, 1, 1)]), r"waves\[0\] to be \(k, amplitude, phase\)"), ((2, None, [(1, 1, 1)]), r"\(ky, kx, amplitude, phase\)"),
    ((1, None, [(1.5, 1, 0)]), "whole numbers of cycles from 0 to 32"), ((1, None, [(33, 1, 0)]), "from 0 to 32"),
    ((2, None, [(16, 0, 1, 0)]), "from -16 to 15"), ((1, None, [(1, -1, 0)]), "amplitude from 0 to 1.5"),
    ((1, None, [(1, 1, 4)]), "phase")])
def test_wrong_arguments_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        WaveBuilder(*arguments)


@pytest.mark.parametrize("arguments", [(), (1, "row of the camera man"), (2,), (2, "bricks")])
def test_the_still_picture_is_small_and_described(arguments):
    widget = WaveBuilder(*arguments)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert "amplitude" in widget.alt()
