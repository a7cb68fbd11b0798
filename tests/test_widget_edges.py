"""EdgeExplorer, the Python side: what it accepts, what it ships, and that what it computes is the package's own."""

import io

import pytest
import torch
from PIL import Image

from dlnotes.edges import gaussian_blur, gradient_magnitude, image_gradients, laplacian
from dlnotes.widgets.edges import EdgeExplorer


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_default_is_sobel_x_of_the_camera_man():
    widget = EdgeExplorer()
    assert repr(widget) == "EdgeExplorer(camera, 128 × 128, Sobel x)"
    assert len(widget.pictures) + len(widget.draws) < 100_000
    shown, strength = widget.response()
    y, x = widget.spot
    assert abs(float(shown[y, x])) > 0.2 and strength.shape == (128, 128)      # it starts where something happens


def test_noise_is_the_draw_that_the_shown_code_makes():
    widget = EdgeExplorer({"flat": torch.full((9, 12), 0.5)}, noise=0.1)
    expected = torch.randn(9, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (widget.prepared() - 128 / 255 - 0.1 * expected).abs().max() < 1e-5


def test_the_response_is_that_of_the_package():
    x = (noise(12, 9) * 255).round() / 255
    blurred = gaussian_blur(x[None, None], 0.8)
    gx, gy = image_gradients(blurred, "scharr")
    shown, strength = EdgeExplorer({"x": x}, "scharr", "y", blur=0.8).response()
    torch.testing.assert_close(shown, gy[0, 0])
    torch.testing.assert_close(strength, gradient_magnitude(gx, gy)[0, 0])
    torch.testing.assert_close(EdgeExplorer({"x": x}, "laplacian").response()[0], laplacian(x[None, None])[0, 0])


@pytest.mark.parametrize("settings, message", [
    ({"filter": "Sobel"}, "filter to be one of sobel, scharr, prewitt, laplacian, got 'Sobel'"),
    ({"quantity": "angle"}, "quantity to be one of x, y, magnitude, direction"), ({"noise": 0.5}, "noise from 0 to 0.3"),
    ({"blur": -1}, "blur from 0 to 4"), ({"threshold": 2}, "threshold from 0 to 1"), ({"picture": "moon"}, "picture to be one of camera"),
    ({"images": {"a": noise(8, 8), "b": noise(8, 9)}}, "pictures of one size"), ({"images": {"a": noise(2, 8)}}, "at least 3"),
    ({"images": "lenna"}, "expected one of camera"), ({"images": 7}, "expected names of pictures")])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        EdgeExplorer(**settings)


@pytest.mark.parametrize("settings", [{}, {"quantity": "magnitude", "threshold": 0.1}, {"quantity": "direction", "picture": "disc"},
                                      {"filter": "laplacian", "noise": 0.1, "blur": 1.0}])
def test_the_still_picture_is_small_and_described(settings):
    widget = EdgeExplorer(**settings)
    still = widget.still()
    assert len(still) < 90_000 and Image.open(io.BytesIO(still)).width > 400
    assert "nine weights" in widget.alt()


def test_a_kernel_adds_a_photograph_of_the_same_size():
    widget = EdgeExplorer(["disc"])
    widget.handle({"type": "picture", "name": "moon"})
    assert (widget.names, widget.picture) == (["disc", "moon"], 1)
    torch.testing.assert_close(widget.prepared(), EdgeExplorer(["moon"]).prepared())
    assert EdgeExplorer({"mine": noise(9, 12)}).offers == []
