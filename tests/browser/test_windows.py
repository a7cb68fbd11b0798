"""WindowAttention in a real browser: partition, regions, mask and index are the package's; mouse, touch and keys reach all."""

import io
import json
from contextlib import redirect_stdout

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from einops import rearrange

from dlnotes.attention.window import relative_position_index, shifted_regions, shifted_window_mask
from dlnotes.shapes import window_partition
from dlnotes.widgets.windows import WindowAttention

pytestmark = pytest.mark.browser

CASES = [(8, 8, 4, 2), (4, 12, 4, 1), (9, 6, 3, 2), (12, 12, 3, 1), (4, 6, 2, 1), (6, 6, 2, 0), (4, 4, 4, 3)]


# ---- kernels

@pytest.mark.parametrize("h, w, m, s", CASES)
def test_partition_regions_mask_and_index_are_those_of_the_package(kernels, h, w, m, s):
    call = kernels("windows")
    pair = tuple(0 if side <= m else s for side in (h, w))
    assert call("shifts", h, w, m, s) == list(pair)
    number = torch.arange(h * w).reshape(h, w)                                                      # h w
    rolled = number.roll((-pair[0], -pair[1]), (0, 1))                                              # h w
    assert call("rolled", h, w, pair) == rolled.flatten().tolist()
    cut = window_partition(rolled[None, ..., None], m).flatten(1)                                   # windows n
    assert call("partition", rolled.flatten().tolist(), h, w, m) == cut.tolist()
    of = torch.arange((h // m) * (w // m))[:, None].expand(-1, m * m)                               # windows n
    assert call("windowOf", h, w, m) == rearrange(of, "(nh nw) (i j) -> (nh i nw j)", nh=h // m, i=m).tolist()
    assert call("regions", h, w, pair) == shifted_regions(h, w, m, pair).flatten().tolist()
    assert call("mask", h, w, m, pair) == shifted_window_mask(h, w, m, pair).long().tolist()
    assert call("biasIndex", m) == relative_position_index(m).tolist()


# ---- the code that is shown

def run(page) -> str:
    with redirect_stdout(io.StringIO()) as out:
        exec(page.locator(".dln-code-text").text_content(), {})
    return out.getvalue()


def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


@pytest.mark.parametrize("settings", [{}, {"size": (4, 12), "shift": 1, "query": (2, 0)}, {"size": (9, 6), "window": 3, "step": "bias"},
                                      {"size": (6, 6), "window": 2, "shift": 0}, {"step": "cut", "query": (5, 6)}])
def test_the_shown_pytorch_and_the_package_give_the_numbers_of_the_readout(widget_page, settings):
    widget = WindowAttention(**settings)
    page = widget_page(widget)
    if widget.step == "cut":        # the layer without a shift
        widget = WindowAttention(**{**settings, "shift": 0})
    found, text, printed = widget.state(), page.locator(".dln-readout").text_content(), run(page)
    keys = found["keys"]
    assert f"window {found['window']}, place {found['place']}, region {found['region']}" in text and printed.startswith(
        f"window {found['window']}, place {found['place']}, region {found['region']}, keys {keys}, ")
    assert f"it may ask {len(keys)} of {widget.window**2} keys: {', '.join(map(str, keys))}\n" in text
    assert f" = {found['bias']} of " in text and printed.rstrip().endswith(f"bias {found['bias']}")


# ---- input

def test_the_keyboard_reaches_query_key_and_every_step(widget_page):
    page = widget_page(WindowAttention())
    canvas, side = page.locator(".dln-picture canvas").all()
    page.keyboard.press("Tab")
    assert canvas.evaluate("node => node === document.activeElement")
    wait_for(page, "it may ask 4 of 16 keys: 0, 1, 8, 9")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "query: token 7 at (0, 7), stands at (6, 5): window 3, place 9, region 2")
    page.keyboard.press("ArrowUp")
    wait_for(page, "query: token 63 at (7, 7)")
    page.keyboard.press("Tab")
    assert side.evaluate("node => node === document.activeElement")
    page.keyboard.press("ArrowRight")
    wait_for(page, "key: token 55 at (6, 7), region 0: allowed")
    for name in ("1 cut", "2 roll", "3 regions", "5 bias", "6 back"):
        page.get_by_role("radio", name=name).check()
        page.wait_for_timeout(40)
        assert run(page)
    wait_for(page, "query: token 63")
    canvas.focus()
    page.keyboard.press("Home")
    wait_for(page, "query: token 56 at (7, 0)")
    assert "token 56" in canvas.get_attribute("aria-valuetext")


def test_in_the_table_of_biases_the_key_moves_against_the_offset(widget_page):
    page = widget_page(WindowAttention(step="bias"))
    wait_for(page, "offset 2 rows, 2 columns: bias index (2 + 3) · 7 + (2 + 3) = 40 of 49")
    page.locator(".dln-picture canvas").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    wait_for(page, "offset 2 rows, 1 columns")


def test_pressing_chooses_query_and_key(widget_page):
    page = widget_page(WindowAttention())
    canvas, side = page.locator(".dln-picture canvas").all()
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 16, box["y"] + box["height"] / 16)
    wait_for(page, "query: token 18 at (2, 2), stands at (0, 0): window 0, place 0, region 0")
    wait_for(page, "it may ask 16 of 16 keys")
    box = side.bounding_box()
    page.mouse.click(box["x"] + 15.5 / 16 * box["width"], box["y"] + 5)
    wait_for(page, "key: token 45 at (5, 5)")


def test_a_finger_chooses_too_and_settings_change_the_map(widget_page):
    page = widget_page(WindowAttention(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    canvas = page.locator(".dln-picture canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + 8, box["y"] + 8)
    wait_for(page, "query: token 18")
    page.get_by_label("Shift").fill("0")
    wait_for(page, "4 windows of 4 × 4, not rolled")
    page.get_by_role("radio", name="3 × 3").check()
    wait_for(page, "map 6 × 6, 4 windows of 3 × 3, rolled up by 1 and left by 1")
    page.get_by_label("Map").select_option("3x6")
    wait_for(page, "map 3 × 6, 2 windows of 3 × 3, rolled up by 0 and left by 1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---- look

@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(WindowAttention(step="regions"), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    first, second = page.locator(".dln-picture canvas").all()
    assert (abs(first.bounding_box()["y"] - second.bounding_box()["y"]) < 5) == (width > 600)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
