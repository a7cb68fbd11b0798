"""EdgeExplorer in a real browser: its filters are the package's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.edges import edge_kernels, gaussian_blur, gradient_direction, gradient_magnitude, image_gradients, laplacian
from dlnotes.widgets.edges import EdgeExplorer

pytestmark = pytest.mark.browser


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensor(values, *shape: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def frames(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


# ---- kernels

@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt"])
def test_derivatives_are_those_of_the_package(kernels, name):
    call = kernels("edges")
    for h, w in [(3, 3), (7, 12), (20, 5)]:
        x = noise(h, w)
        got = call("answers", x.flatten().tolist(), h, w, name)
        gx, gy = image_gradients(x[None, None], name)
        expected = {"x": gx, "y": gy, "magnitude": gradient_magnitude(gx, gy), "direction": gradient_direction(gx, gy)}
        for key, value in expected.items():
            torch.testing.assert_close(tensor(got[key], h, w), value[0, 0], atol=1e-12, rtol=1e-10)
    weights = tensor(call("kernelsOf", name)[0], 3, 3)
    torch.testing.assert_close(weights, torch.outer(*edge_kernels(name, dtype=torch.float64)), atol=1e-15, rtol=0)


def test_laplacian_and_blur_are_those_of_the_package(kernels):
    call = kernels("edges")
    for h, w, sigma in [(5, 9, 0.5), (12, 7, 1.3), (9, 9, 4.0)]:
        x = noise(h, w)
        got = call("answers", x.flatten().tolist(), h, w, "laplacian")["laplacian"]
        torch.testing.assert_close(tensor(got, h, w), laplacian(x[None, None])[0, 0], atol=1e-12, rtol=0)
        soft = tensor(call("blurred", x.flatten().tolist(), h, w, sigma), h, w)
        torch.testing.assert_close(soft, gaussian_blur(x[None, None], sigma)[0, 0], atol=1e-12, rtol=0)


def test_the_gain_is_the_modulus_of_the_kernels_spectrum(kernels):
    call = kernels("edges")
    for name in ("sobel", "scharr", "prewitt"):
        spectrum = torch.fft.fft2(torch.outer(*edge_kernels(name, dtype=torch.float64)), s=(16, 16)).abs()
        for i, j in [(0, 0), (0, 4), (3, 5), (8, 8), (7, 2)]:
            settings = {"filter": name, "quantity": "x", "blur": 0}
            assert call("gain", i / 16, j / 16, settings) == pytest.approx(float(spectrum[i, j]), abs=1e-12)
            assert call("gain", i / 16, j / 16, {**settings, "quantity": "y"}) == pytest.approx(float(spectrum[j, i]), abs=1e-12)
            both = float(torch.hypot(spectrum[i, j], spectrum[j, i]))
            assert call("gain", i / 16, j / 16, {**settings, "quantity": "magnitude"}) == pytest.approx(both, abs=1e-12)
    point = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    point[..., 16, 16] = 1
    spectrum = torch.fft.fft2(laplacian(gaussian_blur(point, 1.2, "circular"), padding="circular")[0, 0]).abs()
    got = call("gain", 5 / 32, 9 / 32, {"filter": "laplacian", "quantity": "x", "blur": 1.2})
    assert got == pytest.approx(float(spectrum[5, 9]), abs=1e-9)


# ---- the code that is shown

@pytest.mark.parametrize("settings", [
    {}, {"filter": "scharr", "quantity": "magnitude", "threshold": 0.05, "noise": 0.05},
    {"filter": "laplacian", "blur": 1.0, "threshold": 0.02},
    {"filter": "prewitt", "quantity": "direction", "picture": "coins", "noise": 0.02, "blur": 0.7}, {"quantity": "y", "picture": "disc"}])
def test_the_shown_pytorch_runs_and_gives_the_shown_numbers(widget_page, settings):
    widget = EdgeExplorer(**settings)
    page, names = widget_page(widget), {}
    text = page.locator(".dln-readout").text_content().replace("−", "-")
    exec(page.locator(".dln-code-text").text_content(), names)
    shown, strength = widget.response()
    turn = torch.polar(torch.ones_like(shown), names["y"] - shown).angle() if widget.quantity == "direction" else names["y"] - shown
    assert turn[strength > 0.02].abs().max() < 5e-3 and (names["strength"] - strength).abs().max() < 1e-4
    label = "Laplacian" if widget.filter == "laplacian" else {"x": "gx", "y": "gy"}.get(widget.quantity, widget.quantity)
    assert float(re.search(rf"{label} (-?[\d.]+)", text).group(1)) == pytest.approx(float(names["value"]), abs=6e-3)
    if widget.threshold:
        above = int(re.search(r"threshold [\d.]+: ([\d,]+) of", text).group(1).replace(",", ""))
        assert abs(above - int(names["mask"].sum())) <= 3                     # noise is shipped in 1 / 8192


def test_the_shown_pytorch_for_own_pictures(widget_page):
    image = noise(10, 14)
    names = {"image": image}
    exec(widget_page(EdgeExplorer({"mine": image})).locator(".dln-code-text").text_content(), names)
    assert names["gx"].shape == (10, 14)


# ---- input

def test_the_keyboard_moves_the_square_and_reaches_the_controls(widget_page):
    page = widget_page(EdgeExplorer())
    readout, y, x = page.locator(".dln-readout"), *EdgeExplorer().spot
    page.keyboard.press("Tab")
    for key, dy, dx in [("ArrowRight", 0, 1), ("ArrowDown", 1, 1), ("ArrowUp", 0, 1), ("Shift+ArrowLeft", 0, -9)]:
        page.keyboard.press(key)
        frames(page)
        assert readout.text_content().startswith(f"x {x + dx}, y {y + dy}:")
    page.get_by_role("radio", name="magnitude").check()
    page.get_by_role("radio", name="Scharr").check()
    frames(page)
    assert page.locator(".dln-edges-caption").nth(1).text_content() == "Scharr, magnitude"
    assert page.locator(".dln-edges-sums").count() == 2
    page.get_by_label("Threshold").press("ArrowRight")
    frames(page)
    assert "above the threshold 0.005" in readout.text_content()
    page.get_by_role("radio", name="Laplacian").check()
    frames(page)
    assert "Laplacian" in readout.text_content() and page.get_by_role("radio", name="direction").is_disabled()
    page.get_by_label("Noise σ").press("ArrowRight")
    page.get_by_label("Blur σ, pixels").press("ArrowRight")
    page.get_by_label("Picture", exact=True).select_option(label="disc")
    frames(page)
    assert page.locator(".dln-edges-caption").first.text_content() == "disc, noise, blurred"


def test_pointing_shows_nine_products_that_add_up(widget_page):
    page = widget_page(EdgeExplorer())
    box = page.locator(".dln-edges-stage canvas").nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 60.5 / 128, box["y"] + box["height"] * 30.5 / 128)
    frames(page)
    assert page.locator(".dln-readout").text_content().startswith("x 60, y 30:")
    cells = [float(t.replace("−", "-")) for t in page.locator(".dln-edges-sums td").all_text_contents()]
    total = float(page.locator(".dln-edges-result").text_content().split()[1].replace("−", "-"))
    assert len(cells) == 18 and sum(a * b for a, b in zip(cells[:9], cells[9:])) == pytest.approx(total, abs=0.01)


def test_a_finger_moves_the_square(widget_page):
    page = widget_page(EdgeExplorer(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    canvas = page.locator(".dln-edges-stage canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 20.5 / 128, box["y"] + box["height"] * 40.5 / 128)
    frames(page)
    assert page.locator(".dln-readout").text_content().startswith("x 20, y 40:")


# ---- look

@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(EdgeExplorer(quantity="direction", threshold=0.05), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
