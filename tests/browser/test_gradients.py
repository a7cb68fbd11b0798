"""GradientFlow in a real browser: its gradients equal torch.autograd's, and mouse, touch and keyboard reach everything."""

import json
import re
from itertools import product

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.gradients import GradientFlow, _draw

pytestmark = pytest.mark.browser

LEFT, RIGHT = 58, 12    # margins of the plots, as in gradients.js


def data() -> dict:
    W, x, v = _draw()
    return {"W": W.flatten().tolist(), "x": x.flatten().tolist(), "v": v.flatten().tolist(), "n": len(x), "d": x.shape[1]}


# ---- kernels

def test_activations_and_gradients_are_torchs(kernels):
    call, shipped = kernels("gradients"), data()
    for scale, gain, norm, depth in [*product([0, 0.9, 1.0, 1.2], [1.0, 0.25], [True, False], [7]),
                                     (1.0, 1.0, True, 64), (0.0, 1.0, True, 50), (1.1, 0.0, True, 3), (0.5, 1.5, False, 1)]:
        expected = GradientFlow(depth, scale, gain, norm).flow()
        got = call("flow", {"depth": depth, "scale": scale, "gain": gain, "norm": norm}, shipped)
        for ours, torchs in (("forward", "forward"), ("gradientX", "gradient_x"), ("gradientW", "gradient_W")):
            torch.testing.assert_close(torch.tensor(got[ours], dtype=torch.float64),
                                       torch.tensor(expected[torchs], dtype=torch.float64), rtol=1e-7, atol=1e-12)


def test_tiny_gradients_do_not_become_zero(kernels):
    got = kernels("gradients")("flow", {"depth": 60, "scale": 0, "gain": 0.05, "norm": False}, data())
    expected = GradientFlow(60, 0, 0.05, False).flow()["gradient_x"][0]
    assert 0 < expected < 1e-70 and got["gradientX"][0] == pytest.approx(expected, rel=1e-6, abs=0)


def test_numbers_and_verdicts(kernels):
    call = kernels("gradients")
    assert [call("short", x) for x in (0, 0.0123, 1, 123.4, 48200, 1.46e-27)] == ["0", "0.0123", "1", "123", "4.8·10⁴", "1.5·10⁻²⁷"]
    assert [call("verdict", x) for x in (0, 1e-4, 0.5, 2000)] == ["nothing arrives", "vanishes", "within a factor of 1000", "explodes"]


# ---- the code that is shown

@pytest.mark.parametrize("settings", [{}, {"scale": 0.9, "gain": 0.3, "norm": False}, {"of": "W", "depth": 20},
                                      {"scale": 0.0, "gain": 0.0}])
def test_the_shown_pytorch_runs_and_gives_the_shown_numbers(widget_page, settings, capsys):
    widget = GradientFlow(**settings)
    names = {}
    exec(widget_page(widget).locator(".dln-code-text").text_content(), names)
    key = f"gradient_{widget.of}"
    for flow, gradient, activation in ((widget.flow(), "gradient", "activation"),
                                       (widget.flow(plain=True), "plain", "plain_activation")):
        torch.testing.assert_close(names[gradient], flow[key], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(names[activation], flow["forward"], rtol=1e-6, atol=1e-12)
    assert "first / last" in capsys.readouterr().out


# ---- input

def parts(page):
    canvas = page.locator(".dln-gradients-panel canvas")
    return canvas.nth(0), canvas.nth(1), page.locator(".dln-readout")


def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def place(canvas, block: int, depth: int = 50) -> tuple[float, float]:
    box = canvas.bounding_box()
    return box["x"] + LEFT + (box["width"] - LEFT - RIGHT) * block / depth, box["y"] + 100


def test_the_readout_gives_torchs_numbers(widget_page):
    page = widget_page(GradientFlow(scale=0.9, gain=0.0))
    text = page.locator(".dln-readout").text_content()
    assert "gradient of the input: 0.00515, within a factor of 1000" in text and "λ^50 = 0.00515" in text
    assert "plain stack: 0, nothing arrives" in text


def test_the_mouse_reads_a_block_on_either_plot(widget_page):
    page = widget_page(GradientFlow())
    gradient, activation, _ = parts(page)
    page.mouse.move(*place(gradient, 30))
    wait_for(page, "block 30: gradient")
    page.mouse.move(*place(activation, 10))
    page.mouse.down()
    page.mouse.move(*place(activation, 17))
    wait_for(page, "block 17: gradient")
    page.mouse.up()
    assert gradient.get_attribute("aria-valuenow") == activation.get_attribute("aria-valuenow") == "17"


def test_a_finger_reads_a_block(widget_page):
    page = widget_page(GradientFlow(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    gradient = parts(page)[0]
    gradient.scroll_into_view_if_needed()
    page.touchscreen.tap(*place(gradient, 40))
    wait_for(page, "block 40: gradient")


def test_the_keyboard_reaches_block_scale_and_controls(widget_page):
    page = widget_page(GradientFlow())
    gradient, _, readout = parts(page)

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    page.keyboard.press("Tab")
    assert gradient.evaluate("node => node === document.activeElement")
    press("ArrowRight", "Shift+ArrowRight", "ArrowLeft")
    assert "block 10: " in readout.text_content()
    press("End")
    assert "block 50: gradient 1," in readout.text_content()
    press("ArrowDown", "ArrowDown")
    assert "λ = 0.9," in readout.text_content()
    press("ArrowUp")
    assert "λ = 0.95," in readout.text_content() and page.get_by_label("Shortcut λ").input_value() == "0.95"
    press("Tab", "Tab", "Home")
    assert "λ = 0," in readout.text_content() and "scale, gain = 50, 0, 1" in page.locator(".dln-code-text").text_content()
    press("Tab", "ArrowLeft", "Tab", "ArrowRight", "Tab", "Space")
    assert "49 blocks, λ = 0, α = 1.05, without BatchNorm" in readout.text_content()
    press("Tab", "ArrowRight")
    assert "gradient of the first W" in readout.text_content()


def test_fewer_blocks_keep_the_reading_inside(widget_page):
    page = widget_page(GradientFlow())
    page.mouse.move(*place(parts(page)[0], 45))
    wait_for(page, "block 45:")
    page.get_by_label("Blocks").fill("8")
    wait_for(page, "8 blocks")
    assert "block 8: " in page.locator(".dln-readout").text_content()


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(GradientFlow(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    gradient, activation, _ = parts(page)
    assert (gradient.bounding_box()["y"] == activation.bounding_box()["y"]) == (width >= 640)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(GradientFlow())
    corner = """() => [...document.querySelector("canvas").getContext("2d").getImageData(200, 20, 1, 1).data].slice(0, 3)"""
    light = page.evaluate(corner)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => String(({corner})()) !== before", arg=",".join(map(str, light)))


def test_every_setting_draws(widget_page):
    page = widget_page(GradientFlow(depth=64, scale=1.2, gain=1.5, norm=False))
    assert re.search(r"explodes", page.locator(".dln-readout").text_content())
    page.get_by_label("Branch α").fill("0")
    page.get_by_label("Shortcut λ").fill("0")
    wait_for(page, "gradient of the input: 0, nothing arrives")
