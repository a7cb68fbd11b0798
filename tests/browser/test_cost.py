"""AttentionCost in a real browser: the page's formulas are Python's, every control works, the shown code runs."""

import itertools
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.cost import WAYS, AttentionCost, way_cost

pytestmark = pytest.mark.browser


def readout(page):
    return page.locator(".dln-readout").inner_text()


def test_the_formulas_are_those_of_python(kernels):
    call = kernels("cost")
    for way, (h, w), batch, heads, width, size in itertools.product(WAYS, [(8, 8), (128, 256), (512, 16)], [1, 10], [1, 8], [64, 512], [2, 4]):
        got = call("wayCost", way, {"h": h, "w": w, "batch": batch, "heads": heads, "width": width, "size": size})
        assert {"bytes": got["bytes"], "multiply_adds": got["multiplyAdds"]} == way_cost(way, h, w, batch, heads, width, size)


def test_bytes_are_said_in_binary_units(kernels):
    call = kernels("cost")
    assert [call("words", b) for b in (512, 2048, 5 * 2**20 + 2**19, 320 * 2**30, 3 * 2**40)] == ["512 B", "2 KiB", "5.5 MiB", "320 GiB", "3 TiB"]


def test_keyboard_pointer_and_controls_reach_everything(widget_page):
    page = widget_page(AttentionCost())
    canvas = page.locator("canvas")
    assert "one table of scores (10, 8, 32768, 32768) is 320 GiB" in readout(page) and "Over the budget" in readout(page)
    canvas.focus()
    page.keyboard.press("ArrowDown")
    assert "all pairs, fused kernel" in readout(page) and "Within the budget" in readout(page)
    page.keyboard.press("ArrowLeft")
    assert readout(page).startswith("64 × 128 = 8,192 tokens")
    page.keyboard.press("Home")
    assert readout(page).startswith("8 × 8 = 64 tokens")
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + 60, box["y"] + 6 + 30 * 6.5)
    assert "linear: " in readout(page)
    page.get_by_label("Batch").fill("1")
    page.get_by_label("Numbers").select_option("float16")
    page.get_by_label("Budget").select_option("80")
    cost = way_cost("linear", 8, 8, 1, 8, 128, 2)["bytes"] / 1024
    shown = float(re.search(r"([\d.]+) KiB extra", readout(page)).group(1))
    assert abs(shown - cost) <= 0.06 and "budget of 80 GiB" in readout(page)


@pytest.mark.parametrize("way", WAYS)
def test_the_shown_code_runs_and_keeps_the_shape(kernels, way):
    code = kernels("cost")("python", way, {"h": 16, "w": 24, "batch": 2, "heads": 4, "width": 32, "dtype": "float32"})
    names = {}
    exec(code, names)
    assert names["out"].shape[-1] == 8 and names["out"].numel() == 2 * 16 * 24 * 32
    assert torch.isfinite(names["out"]).all()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_narrow_screen(widget_page, scheme):
    page = widget_page(AttentionCost(), viewport={"width": 320, "height": 700}, color_scheme=scheme)
    assert not [v["id"] for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
