"""Upsampling in a real browser: its numbers are PyTorch's, and mouse, touch and keyboard reach everything."""

import json
import re
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.upsampling import Upsampling

pytestmark = pytest.mark.browser


def settings(**changes):
    return {"mode": "bilinear", "alignCorners": False, "ask": "scale_factor", "size": 8, "scaleFactor": 2.0, "kernel": "ones",
            "kernelSize": 3, "stride": 2, "padding": 0, **changes}


def run(call, x, s, focus=(0, 0)):
    got = call("enlarge", x.flatten().tolist(), *x.shape, s, list(focus))
    return (torch.tensor(got["y"], dtype=torch.float64).reshape(got["h"], got["w"]),
            torch.tensor(got["weights"], dtype=torch.float64).reshape(x.shape))


def same(call, x, s, expected_of, focus):
    x = x.clone().requires_grad_()
    expected = expected_of(x[None, None])[0, 0]
    weights, = torch.autograd.grad(expected[focus], x)
    y, w = run(call, x.detach(), s, focus)
    assert y.shape == expected.shape
    assert (y - expected).abs().max() < 1e-9 and (w - weights).abs().max() < 1e-9


def test_sizes_equal_interpolate(kernels):
    call, x = kernels("upsampling"), torch.rand(5, 7, dtype=torch.float64)
    for mode, align, side in product(("nearest", "bilinear", "bicubic"), (False, True), (1, 3, 5, 7, 10, 13, 14, 31)):
        if mode == "nearest" and align:
            continue
        corners = None if mode == "nearest" else align
        same(call, x, settings(mode=mode, alignCorners=align, ask="size", size=side),
             lambda z: F.interpolate(z, size=(side, side), mode=mode, align_corners=corners), (side // 2, side - 1))  # noqa: B023


def test_scale_factors_equal_interpolate(kernels):
    call, x = kernels("upsampling"), torch.rand(6, 11, dtype=torch.float64)
    for mode, factor in product(("nearest", "bilinear", "bicubic"), (0.5, 0.7, 1.0, 1.3, 1.5, 2.0, 2.7, 4.0)):
        same(call, x, settings(mode=mode, scaleFactor=factor),
             lambda z: F.interpolate(z, scale_factor=factor, mode=mode), (1, 2))                                      # noqa: B023


def test_transposed_convolutions_are_torchs(kernels):
    call, x = kernels("upsampling"), torch.rand(4, 6, dtype=torch.float64)
    for k, s, p, kind in product((1, 2, 3, 4, 5, 6), (1, 2, 3), (0, 1, 2), ("ones", "tent", "mixed")):
        if p >= k or 3 * s + k - 2 * p < 1:
            continue
        kernel = torch.tensor(call("stamp", kind, k), dtype=torch.float64).reshape(1, 1, k, k)
        python = Upsampling("dot", "transposed", kernel=kind, kernel_size=k).kernel_weights().double()
        assert (kernel[0, 0] - python).abs().max() < 1e-6
        same(call, x, settings(mode="transposed", kernel=kind, kernelSize=k, stride=s, padding=p),
             lambda z: F.conv_transpose2d(z, kernel, stride=s, padding=p), (0, 0))                                    # noqa: B023


@pytest.mark.parametrize("options", [{}, {"mode": "bicubic", "align_corners": True, "size": 17},
                                     {"source": "flat", "mode": "transposed"}, {"source": "edge", "mode": "nearest", "scale_factor": 1.5},
                                     {"source": "dot", "mode": "transposed", "kernel": "mixed", "kernel_size": 4, "padding": 1}])
def test_the_shown_pytorch_runs_and_gives_the_shown_number(widget_page, options):
    widget = Upsampling(**options)
    page, names = widget_page(widget), {}
    exec(page.locator(".dln-code-text").text_content(), names)
    y, (i, j) = names["y"].detach(), widget.focus
    torch.testing.assert_close(y, widget.output(), atol=1e-5, rtol=1e-5)
    shown = re.search(r"y\[(\d+), (\d+)\] = ([−\d.]+)", page.locator(".dln-readout").text_content()).groups()
    assert (int(shown[0]), int(shown[1])) == (i, j)
    assert float(shown[2].replace("−", "-")) == pytest.approx(y[i, j].item(), abs=1e-3)
    total = float(re.search(r"sum to ([−\d.]+)", page.locator(".dln-readout").text_content())[1].replace("−", "-"))
    assert total == pytest.approx(names["weights"].sum().item(), abs=1e-3)


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def canvases(page):
    return page.locator(".dln-upsampling-output canvas"), page.locator(".dln-upsampling-source canvas")


def test_pointing_explains_a_pixel_and_pressing_chooses_one(widget_page):
    page = widget_page(Upsampling("edge"))
    out, source = canvases(page)
    box = out.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + 3)
    wait_for(page, "y[0, 11] = 1")
    box = source.bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    wait_for(page, "x[0, 0] = 0")
    page.get_by_label("Value of the chosen pixel").fill("0.5")
    wait_for(page, "x[0, 0] = 0.5")
    assert page.get_by_label("Source", exact=True).input_value() == ""
    assert "[0.5, 0, 0, 1" in page.locator(".dln-code-text").text_content()


def test_a_finger_chooses_on_a_narrow_screen(widget_page):
    page = widget_page(Upsampling("ramp"), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    out, _ = canvases(page)
    out.scroll_into_view_if_needed()
    box = out.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + 4)
    wait_for(page, "y[0, 11]")


def test_the_keyboard_reaches_pixels_and_controls(widget_page):
    page = widget_page(Upsampling("dot"))
    page.keyboard.press("Tab")
    for key in ("Home", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    wait_for(page, "y[5, 1]")
    page.keyboard.press("Tab")
    for key in ("Home", "ArrowDown", "+", "+"):
        page.keyboard.press(key)
    wait_for(page, "x[4, 0] = 0.1")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    wait_for(page, "sum to 1")
    assert page.get_by_role("radio", name="bicubic").is_checked()


def test_the_checkerboard_shows_and_a_kernel_of_four_removes_it(widget_page):
    page = widget_page(Upsampling("flat"))
    page.get_by_role("radio", name="transposed conv.").check()
    wait_for(page, "output from 0.5 to 2")
    assert not page.get_by_label("align_corners").is_visible()
    page.get_by_label("kernel_size").fill("4")
    page.get_by_label("padding").fill("3")
    wait_for(page, "output from 2 to 2")


def test_a_new_method_keeps_looking_at_the_same_place(widget_page):
    page = widget_page(Upsampling("ramp", scale_factor=2.0, focus=(6, 9)))
    wait_for(page, "seen at (2.75, 4.25)")
    page.get_by_label("scale_factor", exact=True).last.fill("4")
    page.wait_for_function("/seen at \\(2\\.(6|8)\\d*, 4\\.(1|3)\\d*\\)/.test(document.querySelector('.dln-readout').textContent)")


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(Upsampling("edge", "transposed"), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
