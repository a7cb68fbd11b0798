"""SpectrumExplorer, the Python side: what it accepts, what it ships, what it answers to the page."""

import io

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from dlnotes.fourier import apply_mask, frequency_mask, swap_phase
from dlnotes.widgets.spectrum import PHOTOGRAPHS, SpectrumExplorer, photograph, photograph_code


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- pictures

@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_every_photograph_is_a_grey_256_square_and_its_code_gives_the_same(name):
    from skimage import color, data, transform

    picture = photograph(name)
    assert picture.shape == (256, 256) and picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.02
    again = eval(photograph_code(name), {"color": color, "data": data, "transform": transform})
    np.testing.assert_allclose(again, picture, atol=1e-12)


def test_the_default_is_two_photographs_with_a_gaussian_low_pass():
    widget = SpectrumExplorer()
    assert repr(widget) == ("SpectrumExplorer(camera and astronaut, 256 × 256, Gaussian low-pass, "
                            "radius 20 cycles per picture)")
    assert len(widget.pictures) == 2 * 256 * 256 and widget.row == 128 and list(PHOTOGRAPHS) == widget.offers


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.float(), lambda x: x.numpy(), lambda x: x.tolist(),
                                  lambda x: (x * 255).round().to(torch.uint8),
                                  lambda x: (x * 255).round().to(torch.uint8).numpy()])
def test_tensors_arrays_and_lists_ship_as_the_same_bytes(make):
    x = noise(16, 32)
    widget = SpectrumExplorer([make(x)])
    assert widget.size == [16, 32] and widget.row == 8 and widget.names == ["picture A"] and widget.offers == []
    assert widget.pictures == (x * 255).round().to(torch.uint8).numpy().tobytes()


def test_one_picture_need_not_be_wrapped_in_a_list():
    assert SpectrumExplorer(noise(8, 8)).size == [8, 8]
    assert SpectrumExplorer("brick").names == ["brick"]
    assert SpectrumExplorer(torch.stack([noise(8, 8), noise(8, 8, 1)])).names == ["picture A", "picture B"]


@pytest.mark.parametrize("images, message", [
    ([noise(8, 8)] * 3, "expected one or two pictures, got 3"),
    ([], "expected one or two pictures, got 0"),
    ([noise(8, 8)[None]], r"images\[0\] to be a grey picture \(h, w\), got shape \(1, 8, 8\)"),
    ([noise(8, 12)], r"powers of two from 8 to 512, got \(8, 12\); crop it, or resize it"),
    ([noise(4, 8)], r"powers of two from 8 to 512"),
    ([noise(8, 8) * 255], "divide by 255"),
    ([noise(8, 8) - 0.5], r"values in \[0, 1\], got values from -0"),
    ([noise(8, 8) * float("nan")], "finite values, got NaN"),
    ([noise(8, 8), noise(8, 16)], r"two pictures of one size, got \(8, 8\) and \(8, 16\)"),
    ("lenna", "expected one of camera, astronaut"),
])
def test_wrong_pictures_say_what_is_wrong(images, message):
    with pytest.raises(ValueError, match=message):
        SpectrumExplorer(images)


def test_complex_pictures_are_refused():
    with pytest.raises(TypeError, match=r"real numbers, got dtype complex128; take .real or .abs\(\) first"):
        SpectrumExplorer([torch.fft.fft2(noise(8, 8))])


@pytest.mark.parametrize("settings, message", [
    ({"filter": "lowpass"}, "expected filter to be one of none, low, high, band, got 'lowpass'"),
    ({"edge": "Gaussian"}, "expected edge to be one of ideal, gaussian, got 'Gaussian'; spell it in lower case"),
    ({"radius": 0}, "radius from 1 to 182 cycles per picture, got 0"),
    ({"radius": 400}, "182 reaches the corner"),
    ({"radius": float("nan")}, "radius from 1 to 182"),
    ({"width": 0}, "width from 1 to 182"),
    ({"view": "log"}, "expected view to be one of magnitude, phase"),
    ({"row": 256}, "row from 0 to 255, got 256"),
    ({"images": ["camera"], "source": "ab"}, "pass two pictures to choose or swap"),
])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        SpectrumExplorer(**settings)


def test_a_single_picture_cannot_be_swapped_later_either():
    widget = SpectrumExplorer("camera")
    with pytest.raises(traitlets.TraitError, match="pass two pictures"):
        widget.source = "ba"


def test_an_ideal_filter_may_have_radius_zero():
    y = SpectrumExplorer([noise(8, 16)], edge="ideal", radius=0).filtered()
    torch.testing.assert_close(y, torch.full_like(y, y.mean()))


# ---- what it computes in Python is the package's own

@pytest.mark.parametrize("kind", ["low", "high", "band"])
@pytest.mark.parametrize("edge", ["ideal", "gaussian"])
def test_filtered_is_frequency_mask_applied(kind, edge):
    x = (noise(16, 32) * 255).round() / 255
    widget = SpectrumExplorer([x], filter=kind, edge=edge, radius=5, width=4)
    mask = frequency_mask(16, 32, kind, edge, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(widget.filtered(), apply_mask(x, mask))


def test_the_swap_takes_magnitudes_from_one_and_phases_from_the_other():
    a, b = ((noise(16, 8, seed) * 255).round() / 255 for seed in (0, 1))
    for source, expected in zip(("ab", "ba"), swap_phase(a, b)):
        torch.testing.assert_close(SpectrumExplorer([a, b], filter="none", source=source).filtered(), expected)


# ---- the conversation with the page

def test_the_page_may_ask_for_another_photograph():
    widget = SpectrumExplorer()
    first = widget.pictures[: 256 * 256]
    widget.handle({"type": "picture", "name": "brick", "slot": 1})
    assert widget.names == ["camera", "brick"] and widget.pictures[: 256 * 256] == first
    assert widget.pictures[256 * 256:] == (photograph("brick") * 255).round().astype(np.uint8).tobytes()
    assert "data.brick()" in widget.sources[1]


@pytest.mark.parametrize("message", [None, "picture", {"type": "hello?"}, {"type": "picture", "name": "../etc", "slot": 0},
                                     {"type": "picture", "name": "brick", "slot": 2}, {"type": "picture"}])
def test_other_messages_change_nothing(message):
    widget = SpectrumExplorer()
    before = widget.pictures, widget.names
    widget.handle(message)
    assert (widget.pictures, widget.names) == before


# ---- without scripts, and as one file

@pytest.mark.parametrize("settings", [{}, {"filter": "high"}, {"images": ["grass"], "filter": "none"},
                                      {"filter": "band", "edge": "ideal", "view": "phase", "source": "ba"}])
def test_the_still_picture_is_small_and_described(settings):
    widget = SpectrumExplorer(**settings)
    still = widget.still()
    assert len(still) < 60_000 and Image.open(io.BytesIO(still)).width > 400
    assert "cycles per picture" in widget.alt()


def test_one_file_holds_everything(tmp_path):
    path = tmp_path / "spectrum.html"
    SpectrumExplorer().to_html(path)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 400_000 and "http://" not in text.replace("http://www.w3.org", "")
