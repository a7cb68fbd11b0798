"""ReceptiveField in a real browser: its arithmetic equals torch's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.conv import Layer, conv_size, effective_size, receptive_fields
from dlnotes.widgets.receptive import PRESETS, ReceptiveField

pytestmark = pytest.mark.browser

STACKS = [*PRESETS.values(), [(4, 3, 2, 5), (2, 1, 1, 0), (1, 2, 1, 0), (5, 1, 3, 7)], [(1, 1, 1, 0)]]


# ---- kernels

@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("weights", ["random", "uniform"])
def test_fields_curves_and_effective_sizes_are_those_of_the_package(kernels, stack, weights):
    call, rows = kernels("receptive"), [list(row) for row in stack]
    expected = [{"size": f.size, "jump": f.jump, "start": f.start} for f in receptive_fields([Layer(k, s, p, d) for k, s, d, p in stack])]
    assert call("fields", rows) == expected
    curve = call("curve", rows, weights)
    u = torch.tensor(curve, dtype=torch.float64)
    field = ReceptiveField(stack, weights).field()
    torch.testing.assert_close(torch.outer(u, u), field, atol=1e-10, rtol=0)
    assert call("effectiveSize", curve) == pytest.approx(effective_size(field), abs=1e-9)


def test_outputs_are_those_of_the_size_formula(kernels):
    call = kernels("receptive")
    for stack in STACKS:
        size = 224
        for k, s, d, p in stack:
            size = conv_size(size, k, s, p, d)
        assert call("outputs", [list(row) for row in stack], 224) == size
    assert call("outputs", [[15, 1, 16, 0]], 224) == 0


# ---- the code that is shown

@pytest.mark.parametrize("name, weights", [("VGG-16, four stages", "random"), ("dilated 2, 2, 2, 2", "uniform")])
def test_the_shown_pytorch_gives_the_numbers_of_the_readout(widget_page, name, weights):
    page, names = widget_page(ReceptiveField(name, weights)), {}
    exec(page.locator(".dln-code-text").text_content(), names)
    readout = page.locator(".dln-readout").text_content()
    assert f"field {names['size']} × {names['size']} pixels, jump {names['jump']}, start {names['start']}".replace("-", "−") in readout
    assert f"effective size {names['effective']:.1f} pixels" in readout
    holes = (names["field"] == 0).sum().item()
    assert (f"holes: {holes} of" in readout) == (holes > 0)


# ---- input

def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def test_the_keyboard_moves_the_output_and_reads_the_field(widget_page):
    page = widget_page(ReceptiveField("ten 3×3"))
    see, heat = page.locator(".dln-picture canvas").all()
    page.keyboard.press("Tab")
    assert see.evaluate("node => node === document.activeElement")
    wait_for(page, "output (111, 111) sees rows 101 to 121, columns 101 to 121")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    wait_for(page, "output (103, 112) sees rows 93 to 113, columns 102 to 122")
    page.keyboard.press("Home")
    wait_for(page, "columns −10 to 10; 0 rows and 10 columns of them are padding")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "pixel (10, 9) of the field: ")
    shown = float(re.search(r"field: ([\d.e-]+) of", page.locator(".dln-readout").text_content()).group(1))
    assert shown == pytest.approx(ReceptiveField("ten 3×3").field()[10, 9].item(), rel=5e-3)
    assert "pixel (10, 9)" in heat.get_attribute("aria-valuetext")


def test_dragging_moves_the_output_and_pointing_reads_the_field(widget_page):
    page = widget_page(ReceptiveField())
    see, heat = page.locator(".dln-picture canvas").all()
    box = see.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.97 * box["width"], box["y"] + 0.03 * box["height"])
    wait_for(page, "output (0, 13) sees rows −42 to 57")
    page.mouse.up()
    box = heat.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.255 * box["height"])
    wait_for(page, "pixel (25, 50) of the field")


def test_a_finger_moves_the_output(widget_page):
    page = widget_page(ReceptiveField("LeNet-5"), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    see = page.locator(".dln-picture canvas").first
    see.scroll_into_view_if_needed()
    box = see.bounding_box()
    page.touchscreen.tap(box["x"] + 3, box["y"] + 3)
    wait_for(page, "output (0, 0) sees rows 0 to 31, columns 0 to 31")


def test_layers_are_edited_added_and_removed(widget_page):
    page = widget_page(ReceptiveField("LeNet-5"))
    page.get_by_label("Layer 1 kernel").fill("7")
    wait_for(page, "5 layers: field 34 × 34 pixels")
    assert page.get_by_label("Stack").input_value() == "own"
    assert page.locator(".dln-receptive-row .sum").nth(1).text_content() == "field 7, jump 1, start 0"
    page.get_by_role("button", name="Add a layer").click()
    wait_for(page, "6 layers: field 42 × 42 pixels, jump 4, start −4")
    page.get_by_role("button", name="Remove layer 2").click()
    wait_for(page, "5 layers: field 24 × 24 pixels, jump 2, start −2")
    page.get_by_label("Stack").select_option("dilated 2, 2, 2, 2")
    page.get_by_role("radio", name="all equal").check()
    wait_for(page, "holes: 208 of 289 pixels")
    page.get_by_label("Layer 1 kernel").fill("0")               # out of range: nothing happens
    wait_for(page, "4 layers: field 17 × 17")


def test_a_picture_too_small_and_a_field_too_wide_are_said(widget_page):
    page = widget_page(ReceptiveField([(15, 1, 16, 0)]))
    wait_for(page, "224 × 224 pixels give 0 × 0 outputs\nThe picture is too small for this stack")
    page = widget_page(ReceptiveField([(3, 4, 1, 1)] * 5))
    for _ in range(2):
        page.get_by_role("button", name="Add a layer").click()
    wait_for(page, "7 layers")
    assert "is too wide to draw here" in page.locator(".dln-readout").text_content()


# ---- look

@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(ReceptiveField(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    see, heat = page.locator(".dln-picture canvas").all()
    assert (abs(see.bounding_box()["y"] - heat.bounding_box()["y"]) < 3) == (width > 600)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
