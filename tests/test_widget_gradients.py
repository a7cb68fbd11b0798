"""GradientFlow, the Python side: what it accepts, what it ships, and that its numbers are those of the theory."""

import io

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from dlnotes.widgets.gradients import GradientFlow


def test_the_default_shows_the_point_at_once():
    widget = GradientFlow()
    assert repr(widget) == "GradientFlow(50 blocks, λ = 1, α = 1, with BatchNorm)"
    residual, plain = widget.flow(), widget.flow(plain=True)
    assert residual["gradient_x"][0] < 100 and plain["gradient_x"][0] > 10_000
    assert len(residual["forward"]) == len(residual["gradient_x"]) == 51 and len(residual["gradient_W"]) == 50


def test_what_is_shipped_is_small_and_exact():
    widget = GradientFlow()
    blocks, d, n, step, seed = widget.sizes
    assert len(widget.draws) == 2 * (blocks * d * d + 2 * n * d) < 100_000
    drawn = torch.randn(blocks, d, d, generator=torch.Generator().manual_seed(seed))
    shipped = np.frombuffer(widget.draws, "<i2")[: blocks * d * d] / step
    assert np.abs(shipped - drawn.flatten().numpy()).max() <= 0.5 / step + 1e-6


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("norm", [False, True])
def test_without_branches_the_gradient_is_a_power_of_the_scale(scale, norm):
    found = GradientFlow(40, scale, 0.0, norm).flow()
    np.testing.assert_allclose(found["gradient_x"], scale ** np.arange(40, -1, -1), rtol=1e-9)
    assert found["gradient_W"] == [0.0] * 40


def test_the_plain_stack_is_the_stack_with_scale_zero():
    assert GradientFlow(20, 0.7, 0.5, False).flow(plain=True) == GradientFlow(20, 0.0, 0.5, False).flow()


@pytest.mark.parametrize(("settings", "message"), [
    ({"depth": 0}, "depth from 1 to 64 blocks, got 0"),
    ({"depth": 65}, "got 65"),
    ({"depth": 2.5}, "got 2.5; pass a whole number"),
    ({"depth": True}, "got True"),
    ({"scale": -0.1}, "scale from 0 to 1.2, got -0.1; 0 is the plain stack"),
    ({"scale": float("nan")}, "got nan"),
    ({"gain": 2}, "gain from 0 to 1.5, got 2; 0 switches the branches off"),
    ({"gain": "1"}, "got '1'"),
    ({"norm": "batch"}, "norm to be True or False, got 'batch'"),
    ({"of": "w"}, "of to be 'x' or 'W', got 'w'"),
])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        GradientFlow(**settings)


@pytest.mark.parametrize("trait", ["scale", "gain"])
@pytest.mark.parametrize("value", [float("nan"), 9.0])
def test_traits_refuse_what_the_page_could_not_draw(trait, value):
    with pytest.raises(traitlets.TraitError):
        setattr(GradientFlow(), trait, value)


@pytest.mark.parametrize("settings", [{}, {"of": "W", "norm": False}, {"gain": 0.0, "scale": 0.0}])
def test_the_still_picture_is_small_and_described(settings):
    widget = GradientFlow(**settings)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert "plain stack" in widget.alt()


def test_one_file_holds_everything(tmp_path):
    path = tmp_path / "gradients.html"
    GradientFlow().to_html(path)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 260_000 and "http://" not in text.replace("http://www.w3.org", "")
