"""SpectrumExplorer in a real browser: its arithmetic equals torch's, and mouse, touch and keyboard reach everything."""

import json
import re
from itertools import product

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from imitated_kernel import go_live

from dlnotes.fourier import frequency_mask, log_magnitude, swap_phase
from dlnotes.widgets.spectrum import SpectrumExplorer

pytestmark = pytest.mark.browser

SIZES = [(8, 8), (8, 32), (64, 16), (128, 128), (256, 256)]
LEFT, RIGHT, TOP = 48, 10, 8  # margins of the plots, as in spectrum.js


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensor(values, *shape: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def assert_close(got: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Largest difference relative to the largest value."""
    assert (got - expected).abs().max() <= tolerance * expected.abs().max()


# ---- kernels

def test_the_transform_and_its_inverse_are_torchs(kernels):
    call = kernels("spectrum")
    for h, w in SIZES:
        x = noise(h, w) - 0.3
        expected = torch.fft.fft2(x)
        got = call("fft2", x.flatten().tolist(), h, w)
        assert_close(torch.complex(tensor(got["re"], h, w), tensor(got["im"], h, w)), expected)
        back = call("ifft2", expected.real.flatten().tolist(), expected.imag.flatten().tolist(), h, w)
        assert_close(tensor(back, h, w), x)


def test_masks_are_those_of_the_package(kernels):
    call = kernels("spectrum")
    for kind, edge in product(["low", "high", "band"], ["ideal", "gaussian"]):
        for h, w, radius, width in [(8, 8, 2, 1), (16, 32, 5, 4), (64, 16, 3.5, 7), (128, 128, 20, 20), (128, 128, 91, 1)]:
            got = tensor(call("mask", h, w, {"filter": kind, "edge": edge, "radius": radius, "width": width}), h, w)
            assert (got - frequency_mask(h, w, kind, edge, radius, width, dtype=torch.float64)).abs().max() < 1e-12


def test_log_magnitude_and_phase_are_those_of_the_package(kernels):
    call, spectrum = kernels("spectrum"), torch.fft.fft2(noise(32, 16))
    parts = spectrum.real.flatten().tolist(), spectrum.imag.flatten().tolist()
    assert_close(tensor(call("logMagnitude", *parts), 32, 16), log_magnitude(spectrum))
    assert_close(tensor(call("phase", *parts), 32, 16), spectrum.angle())


def test_the_swap_is_that_of_the_package(kernels):
    call = kernels("spectrum")
    for h, w in SIZES:
        a, b = noise(h, w, 1), noise(h, w, 2)
        assert_close(tensor(call("swapPhase", a.flatten().tolist(), b.flatten().tolist(), h, w), h, w), swap_phase(a, b)[0])


def test_picture_energy_and_count_of_a_filter(kernels):
    call = kernels("spectrum")
    for kind, edge, (h, w) in product(["none", "low", "high", "band"], ["ideal", "gaussian"], [(8, 16), (64, 64)]):
        x, radius, width = noise(h, w), h / 6, h / 8
        mask = torch.ones(h, w, dtype=torch.float64) if kind == "none" else (
            frequency_mask(h, w, kind, edge, radius, width, dtype=torch.float64))
        got = call("filtered", x.flatten().tolist(), h, w, {"filter": kind, "edge": edge, "radius": radius, "width": width})
        spectrum = torch.fft.fft2(x)
        power, kept = spectrum.abs() ** 2, (spectrum * mask).abs() ** 2
        assert_close(tensor(got["picture"], h, w), torch.fft.ifft2(spectrum * mask).real)
        assert got["energy"] == pytest.approx(float(kept.sum() / power.sum()), rel=1e-9)
        without_dc = (kept.sum() - kept[0, 0]) / (power.sum() - power[0, 0])
        assert got["energyWithoutDc"] == pytest.approx(float(without_dc), rel=1e-9)
        assert got["count"] == int((mask >= 0.5).sum())


def test_stripes_have_the_period_and_tilt_that_is_read_out(kernels):
    call, diagonal = kernels("spectrum"), 64 / 2**0.5
    for ky, kx, period, tilt in [(0, 8, 8, 90), (4, 0, 16, 0), (1, 1, diagonal, 45), (1, -1, diagonal, 135),
                                 (-1, -1, diagonal, 45)]:
        got = call("stripes", ky, kx, 64, 64)
        assert got["period"] == pytest.approx(period) and got["tilt"] == pytest.approx(tilt)


# ---- the code that is shown

@pytest.mark.parametrize("settings", [
    {}, {"filter": "none", "source": "b"}, {"filter": "high", "edge": "ideal", "radius": 33.5},
    {"filter": "band", "source": "ab", "radius": 40, "width": 12, "view": "phase"},
    {"images": ["chelsea", "hubble_deep_field"], "filter": "low", "edge": "ideal", "source": "ba"}])
def test_the_shown_pytorch_runs_and_gives_the_shown_picture(widget_page, settings):
    widget = SpectrumExplorer(**settings)
    names = {}
    exec(widget_page(widget).locator(".dln-code-text").text_content(), names)
    assert (names["y"] - widget.filtered()).abs().max() < 0.01  # the page has 256 grey values
    assert torch.equal(names["profile"], names["y"][128]) and names["shown"].shape == (256, 256)


def test_the_shown_pytorch_for_own_pictures(widget_page):
    x = noise(16, 32)
    names = {"images": [x]}
    widget = SpectrumExplorer([x], filter="high", radius=3)
    exec(widget_page(widget).locator(".dln-code-text").text_content(), names)
    assert (names["y"] - widget.filtered()).abs().max() < 0.01


# ---- input

def parts(page):
    main = page.locator(".dln-spectrum-stage canvas")
    return main.nth(0), main.nth(1), page.locator(".dln-readout")


def place(canvas, kx: float, ky: float, n: int = 256) -> tuple[float, float]:
    """Where on the page the bin (kx, ky) of the spectrum is, or the pixel counted from the middle."""
    box = canvas.bounding_box()
    cell = (box["width"] - LEFT - RIGHT) / n
    return box["x"] + LEFT + (kx + n / 2 + 0.5) * cell, box["y"] + TOP + (ky + n / 2 + 0.5) * cell


def wait_for(page, text: str) -> None:
    """Until the readout holds this text."""
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text,
                           timeout=8000)


def test_dragging_on_the_spectrum_sets_the_radius(widget_page):
    page = widget_page(SpectrumExplorer())
    spectrum, _, readout = parts(page)
    page.mouse.move(*place(spectrum, 30, 0))
    page.mouse.down()
    page.mouse.move(*place(spectrum, 36, 48))
    wait_for(page, "radius 60 ")
    page.mouse.up()
    assert spectrum.get_attribute("aria-valuenow") == "60" and "kx 36, ky 48" in readout.text_content()
    assert "2 * 60**2" in page.locator(".dln-code-text").text_content()


def test_a_band_is_dragged_at_the_nearer_edge(widget_page):
    page = widget_page(SpectrumExplorer(filter="band", radius=40, width=20))
    spectrum, _, readout = parts(page)
    for start, end, expected in [(52, 70, "radius 50, width 40"), (28, 10, "radius 40, width 60"),
                                 (68, 5, "radius 10.5, width 1")]:
        page.mouse.move(*place(spectrum, start, 0))
        page.mouse.down()
        page.mouse.move(*place(spectrum, end, 0))
        page.mouse.up()
        wait_for(page, expected)


def test_dragging_without_a_filter_starts_a_low_pass(widget_page):
    page = widget_page(SpectrumExplorer(filter="none"))
    page.mouse.click(*place(parts(page)[0], 0, -25))
    wait_for(page, "Gaussian low-pass, radius 25")
    assert page.get_by_role("radio", name="low-pass").is_checked()


def test_the_keyboard_reaches_radius_row_frequency_and_controls(widget_page):
    page = widget_page(SpectrumExplorer())
    spectrum, picture, readout = parts(page)

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    page.keyboard.press("Tab")
    assert spectrum.evaluate("node => node === document.activeElement")
    press("ArrowRight", "ArrowUp", "Shift+ArrowRight", "ArrowLeft")
    assert "radius 31 " in readout.text_content()
    press("Home")
    assert "radius 1 " in readout.text_content()
    press("End")
    assert "radius 182 " in readout.text_content()
    press("Tab", "ArrowRight", "Shift+ArrowDown")
    assert re.search(r"kx 1, ky 10: period 25.5 px, stripes at 6°", readout.text_content())
    press("Tab", "ArrowDown", "Shift+ArrowLeft")
    assert "x 118, y 129: original" in readout.text_content() and picture.get_attribute("aria-valuenow") == "129"
    press("Tab", "ArrowRight")
    assert "high-pass" in readout.text_content()


def test_a_finger_drags_the_radius_and_leaves_its_reading(widget_page):
    page = widget_page(SpectrumExplorer(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    spectrum, _, readout = parts(page)
    spectrum.scroll_into_view_if_needed()
    page.touchscreen.tap(*place(spectrum, 0, 50))
    wait_for(page, "radius 50 ")
    assert "kx 0, ky 50" in readout.text_content()


def test_pointing_reads_frequencies_and_grey_values(widget_page):
    page = widget_page(SpectrumExplorer(filter="none"))
    spectrum, picture, readout = parts(page)
    page.mouse.move(*place(spectrum, 0, 0))
    wait_for(page, "kx 0, ky 0: the mean, 0.5")
    page.mouse.move(*place(picture, -100, 20))
    wait_for(page, "x 28, y 148")
    original, filtered = re.search(r"original ([\d.]+), filtered ([\d.]+)", readout.text_content()).groups()
    assert original == filtered


def test_the_readout_counts_what_torch_counts(widget_page):
    page = widget_page(SpectrumExplorer(edge="ideal", radius=20))
    mask = frequency_mask(256, 256, "low", "ideal", 20)
    assert f"kept: {int(mask.sum()):,} of 65,536 coefficients" in page.locator(".dln-readout").text_content()


def test_a_swap_names_both_pictures(widget_page):
    page = widget_page(SpectrumExplorer(["camera", "brick"], filter="none"))
    page.get_by_label("Picture", exact=True).select_option("ab")
    wait_for(page, "magnitude of camera, phase of brick: no filter")
    assert page.locator(".dln-spectrum-original").text_content() == "brick (its phase)"


def test_high_pass_is_signed_and_says_so(widget_page):
    page = widget_page(SpectrumExplorer(filter="high"))
    legend = page.locator(".dln-spectrum-legend").nth(1)
    assert legend.text_content() == "signed, white is 0−0.50+0.50"
    page.get_by_role("radio", name="fitted").check()
    page.wait_for_function("!document.querySelectorAll('.dln-spectrum-legend')[1].textContent.includes('0.50')")


def test_one_picture_offers_no_swap(widget_page):
    page = widget_page(SpectrumExplorer([noise(16, 16)]))
    assert page.get_by_label("Picture", exact=True).count() == 0


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(SpectrumExplorer(filter="band", source="ab"), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    spectrum, picture, _ = parts(page)
    assert (spectrum.bounding_box()["y"] == picture.bounding_box()["y"]) == (width >= 640)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(SpectrumExplorer(filter="high"))
    corner = f"""() => [...document.querySelectorAll("canvas")[1].getContext("2d")
                        .getImageData({LEFT + 200}, 20, 1, 1).data].slice(0, 3)"""
    light = page.evaluate(corner)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => String(({corner})()) !== before", arg=",".join(map(str, light)))


@pytest.mark.parametrize("h, w", [(8, 8), (16, 64), (512, 512)])
def test_other_sizes_draw(widget_page, h, w):
    page = widget_page(SpectrumExplorer([noise(h, w), noise(h, w, 1)], filter="high"))
    assert f"of {h * w:,} coefficients" in page.locator(".dln-readout").text_content()


# ---- with a kernel

def test_with_a_kernel_photographs_are_offered_and_python_may_move_the_radius(widget_page):
    page = widget_page(SpectrumExplorer())
    assert page.get_by_label("Photograph A").count() == 0
    go_live(page, "spectrum")
    page.get_by_label("Photograph B").select_option("brick")
    assert page.evaluate("live.sent.at(-1)") == {"type": "picture", "name": "brick", "slot": 1}
    page.evaluate("""live.state.radius = 44; live.fire("change:radius");
                     live.state.names = ["camera", "brick"]; live.fire("change:pictures")""")
    page.wait_for_function("document.querySelector('#live .dln-readout').textContent.includes('radius 44 ')")
    assert "magnitude of camera + phase of brick" in page.locator("#live select").first.text_content()
    page.locator("#live").get_by_role("radio", name="high-pass").check()
    assert page.evaluate("live.state.filter") == "high"
    page.wait_for_function("live.sent.at(-1) === 'save'")
