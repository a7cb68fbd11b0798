"""Upsampling, the Python side: what it accepts, what it ships, what it computes."""

import pytest
import torch
import torch.nn.functional as F

from dlnotes.upsample import bilinear_conv_transpose, interpolate
from dlnotes.widgets.upsampling import GRIDS, Upsampling, grid_values


@pytest.mark.parametrize("name", GRIDS)
def test_every_source_is_a_small_grid_from_0_to_1(name):
    x = grid_values(name)
    assert x.ndim == 2 and max(x.shape) <= 12 and 0 <= x.min() <= x.max() <= 1
    assert Upsampling(name).shape == list(x.shape)


def test_the_default_doubles_an_eye():
    widget = Upsampling()
    assert repr(widget) == "Upsampling(eye, 12 × 12 to 24 × 24, bilinear, align_corners=False)"
    assert widget.focus == [12, 12]


@pytest.mark.parametrize("settings, message", [
    ({"source": "cat"}, "source to be one of eye, edge"),
    ({"source": torch.zeros(3)}, r"grid \(h, w\) with sides from 2 to 16, got \(3,\)"),
    ({"source": torch.zeros(3, 40)}, "crop it"),
    ({"source": torch.full((3, 3), 2.0)}, r"values in \[0, 1\], got from 2 to 2"),
    ({"source": torch.full((3, 3), float("nan"))}, r"values in \[0, 1\]"),
    ({"mode": "Bilinear"}, "mode to be one of nearest, bilinear"),
    ({"mode": "nearest", "align_corners": True}, "align_corners only with"),
    ({"size": 8, "scale_factor": 2.0}, "size or scale_factor"),
    ({"size": 0}, "size from 1 to 48, got 0"),
    ({"scale_factor": 9}, "scale_factor from 0.5 to 4, got 9"),
    ({"kernel_size": 3, "padding": 3}, "padding from 0 to 2"),
    ({"stride": 1.5}, "stride from 1 to 4, got 1.5"),
    ({"kernel": "gauss"}, "kernel to be one of ones"),
    ({"focus": (24, 0)}, "focus inside of the output 24 × 24"),
])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        Upsampling(**settings)


def test_the_output_is_that_of_the_package():
    x = torch.rand(5, 7)
    for mode, align in (("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", True)):
        widget = Upsampling(x, mode, align, scale_factor=1.7)
        ours = interpolate(torch.tensor(widget.values).reshape(1, 1, 5, 7), scale_factor=1.7, mode=mode, align_corners=align)[0, 0]
        torch.testing.assert_close(widget.output(), ours, atol=1e-5, rtol=1e-5)


def test_a_tent_of_four_with_stride_two_starts_as_bilinear():
    widget = Upsampling("dot", "transposed", kernel="tent", kernel_size=4, padding=1)
    layer = bilinear_conv_transpose(1, 2)
    torch.testing.assert_close(widget.kernel_weights(), layer.weight[0, 0].detach())
    inner = F.interpolate(grid_values("dot")[None, None], scale_factor=2, mode="bilinear")[0, 0]
    torch.testing.assert_close(widget.output()[2:-2, 2:-2], inner[2:-2, 2:-2])


def test_ones_of_three_leave_the_checkerboard():
    values = Upsampling("flat", "transposed").output()[3:-3, 3:-3].unique()
    assert values.tolist() == [0.5, 1.0, 2.0]


def test_the_still_is_small_and_described():
    for widget in (Upsampling(), Upsampling("flat", "transposed")):
        assert len(widget.still()) < 60_000
        assert "Source" not in widget.alt() and "source pixels" in widget.alt()
