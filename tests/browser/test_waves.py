"""WaveBuilder in a real browser: its transform is torch's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.waves import WaveBuilder

pytestmark = pytest.mark.browser


def tensor(values, *shape: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def frames(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def said(page) -> str:
    return page.locator(".dln-readout").text_content().replace("−", "-")


# ---- kernels

def test_the_transform_is_torchs(kernels):
    call = kernels("waves")
    for n in (1, 7, 64):
        x = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        got = call("transform", x.tolist(), n, 1)
        torch.testing.assert_close(torch.complex(tensor(got["re"], n), tensor(got["im"], n)), torch.fft.fft(x), atol=1e-10, rtol=0)
    for n in (4, 9, 32):
        x = torch.randn(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        got = call("transform", x.flatten().tolist(), n, 2)
        torch.testing.assert_close(torch.complex(tensor(got["re"], n, n), tensor(got["im"], n, n)), torch.fft.fft2(x), atol=1e-10, rtol=0)


def test_sums_and_errors_are_those_of_the_python_side(kernels):
    call = kernels("waves")
    for widget, waves, n, d in [(w := WaveBuilder(), w.waves1, 64, 1), (w := WaveBuilder(2), w.waves2, 32, 2)]:
        got = call("total", waves, n, d)
        torch.testing.assert_close(tensor(got, n**d), widget.total().flatten(), atol=1e-12, rtol=0)
        assert call("errorOf", got, widget.target().flatten().tolist()) == pytest.approx(widget.error(), abs=1e-9)


def test_a_wave_is_read_back_from_its_bin_also_where_the_bin_is_its_own_twin(kernels):
    call = kernels("waves")
    for k, a, p in [(5, 0.7, 1.2), (0, 0.7, 0.0), (32, 0.7, 0.0), (31, 0.2, -2.0)]:
        got = call("waveAt", call("total", [[k, a, p]], 64, 1), [k], 64, 1)
        assert got["amplitude"] == pytest.approx(a, abs=1e-10) and got["phase"] == pytest.approx(p, abs=1e-9)
    for ky, kx, a, p in [(3, -4, 0.5, -1.0), (0, 0, 0.5, 0.0), (-16, 0, 0.5, 0.0), (0, 7, 0.5, 2.0)]:
        got = call("waveAt", call("total", [[ky, kx, a, p]], 32, 2), [ky, kx], 32, 2)
        assert got["amplitude"] == pytest.approx(a, abs=1e-10) and got["phase"] == pytest.approx(p, abs=1e-9)


# ---- the code that is shown

@pytest.mark.parametrize("arguments", [
    (), (1, "row of the camera man", [(0, 0.5, 0.0)]), (1, "sawtooth"), (2,), (2, "bricks", [(1, -2, 0.3, 0.25)]), (2, "upright edge"),
    (2, "diagonal edge")])
def test_the_shown_pytorch_runs_and_gives_the_shown_error(widget_page, arguments):
    widget = WaveBuilder(*arguments)
    page, names = widget_page(widget), {}
    exec(page.locator(".dln-code-text").text_content(), names)
    shown = float(re.search(r"error left: ([\d.]+)", said(page)).group(1))
    assert shown == pytest.approx(100 * float(names["error"]), abs=0.06) and shown == pytest.approx(100 * widget.error(), abs=0.06)
    if widget.dimensions == 1:
        k, a, _ = widget.waves1[-1]
        assert float(names["amplitude"][k]) == pytest.approx(a, abs=1e-4)


# ---- input

def test_the_keyboard_builds_a_signal(widget_page):
    page = widget_page(WaveBuilder())
    page.keyboard.press("Tab")
    for key, words in [("ArrowRight", "4 cycles: amplitude 0.426"), ("ArrowUp", "amplitude 0.446"), ("ArrowDown", "amplitude 0.426"),
                       ("ArrowLeft", "3 cycles"), ("End", "32 cycles"), ("Home", "0 cycles")]:
        page.keyboard.press(key)
        frames(page)
        assert words in said(page)
    page.get_by_role("button", name="Remove it").click()
    frames(page)
    assert page.get_by_role("button", name="Remove it").is_disabled() and "wave 1, 1 cycle:" in said(page)
    for k in (3, 5, 7):
        page.get_by_role("button", name="Add a wave").click()
        page.get_by_label("Cycles k").fill(str(k))
        page.get_by_role("button", name="Ask the target").click()
    frames(page)
    left = float(re.search(r"error left: ([\d.]+)", said(page)).group(1))
    X = torch.fft.fft(WaveBuilder().target())
    kept = sum(2 * X[k].abs().square() for k in (1, 3, 5, 7)) / X.abs().square().sum()
    assert left == pytest.approx(100 * float((1 - kept).sqrt()), abs=0.1)
    page.get_by_role("combobox", name="Target").select_option(label="sawtooth")
    frames(page)
    assert "(sawtooth)" in said(page)


def test_the_keyboard_builds_a_picture(widget_page):
    page = widget_page(WaveBuilder(2))
    page.keyboard.press("Tab")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", *["ArrowLeft"] * 8):
        page.keyboard.press(key)
    frames(page)
    assert "ky 3, kx -4: amplitude 0.4, phase 0; the target has amplitude 0.4, phase 1 there" in said(page)
    page.get_by_role("button", name="Ask the target").click()
    frames(page)
    assert "error left: 0.00" in said(page)
    page.get_by_role("radio", name="a signal").check()
    frames(page)
    assert "(square)" in said(page) and not page.get_by_label("kx, cycles across").is_visible()


def test_dragging_sets_amplitude_phase_and_frequency(widget_page):
    page = widget_page(WaveBuilder())
    box = page.locator("canvas").first.bounding_box()

    def at(m, v, span=1.4):
        return box["x"] + 44 + (m + 0.5) / 64 * (box["width"] - 54), box["y"] + 6 + 180 * (span - v) / (2 * span)

    page.mouse.move(*at(10, 0.3))
    page.mouse.down()
    page.mouse.move(*at(5, 0.8))
    page.mouse.up()
    frames(page)
    _, k, a, p = (float(v) for v in re.search(r"wave (\d), (\d) cycles: amplitude ([\d.]+), phase (-?[\d.]+);", said(page)).groups())
    assert k == 3 and a == pytest.approx(0.8, abs=0.03)
    crest = -p / (2 * torch.pi * 3) * 64
    assert min(abs(crest - 5 - shift * 64 / 3) for shift in range(-3, 4)) < 0.5
    box = page.locator("canvas").nth(1).bounding_box()
    page.mouse.click(box["x"] + 44 + 9.5 / 33 * (box["width"] - 54), box["y"] + 6 + 110 * (1 - 0.5 / 1.5))
    frames(page)
    assert re.search(r"wave 2, 9 cycles: amplitude 0\.(4[89]|50*|51)", said(page))


def test_a_finger_picks_a_frequency_of_a_picture(widget_page):
    page = widget_page(WaveBuilder(2), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    canvas = page.locator("canvas[tabindex]").locator("visible=true")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * (16 + 6.5) / 32, box["y"] + box["height"] * (16 - 2.5) / 32)
    frames(page)
    assert "ky -3, kx 6" in said(page)


# ---- look

@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width, dimensions):
    page = widget_page(WaveBuilder(dimensions), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
