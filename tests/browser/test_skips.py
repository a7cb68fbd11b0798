"""SkipConnections in a real browser: it counts what torch counts, and every switch is reached by mouse, touch and keyboard."""

import contextlib
import io
import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from imitated_kernel import go_live

from dlnotes.widgets.skips import SkipConnections

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def widget():
    return SkipConnections()


def test_overlaps_are_torchs(kernels):
    call, generator = kernels("skips"), torch.Generator().manual_seed(0)
    truth, said = torch.randint(0, 4, (2, 200), generator=generator)
    got = call("overlap", truth.tolist(), said.tolist())
    assert got["accuracy"] == pytest.approx((truth == said).float().mean().item(), abs=1e-7)
    ink = ((truth > 0) & (said > 0)).sum() / ((truth > 0) | (said > 0)).sum()
    assert got["ink"] == pytest.approx(ink.item(), abs=1e-6)
    for row in got["classes"]:
        c = row["class"]
        iou = ((truth == c) & (said == c)).sum() / ((truth == c) | (said == c)).sum()
        assert row["iou"] == pytest.approx(iou.item(), abs=1e-6)
    assert call("codeOf", [0, 3]) == 9
    assert call("offsets", [[2, 3], [4, 6]]) == {"skip": [0, 6], "decoded": [0, 12], "skips": 30, "all": 12 + 96}


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def switch(page, side):
    return page.get_by_label(f"skip {side}×{side}", exact=True)


def test_the_shown_pytorch_gives_the_shown_numbers(widget, widget_page):
    page = widget_page(widget)
    switch(page, 64).check()
    switch(page, 8).uncheck()
    wait_for(page, "cut: 8×8;")
    readout, printed, names = page.locator(".dln-readout").text_content(), io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(page.locator(".dln-code-text").text_content(), names)
    for c, iou in re.findall(r"class (\d+) IoU ([\d.]+)", printed.getvalue()):
        name = widget.classes[int(c)]
        assert float(re.search(rf"(?:IoU: |, ){name} ([\d.]+)", readout)[1]) == pytest.approx(float(iou), abs=0.006)
    accuracy = (names["mask"] == names["truth"]).float().mean().item()
    assert float(re.search(r"right ([\d.]+)", readout)[1]) == pytest.approx(100 * accuracy, abs=0.06)
    assert "wrong digit" in page.locator(".dln-skips-legend").first.text_content()


def test_switches_and_buttons_cut_and_restore(widget, widget_page):
    page = widget_page(widget)
    wait_for(page, "cut: 64×64;")
    page.get_by_role("button", name="All off").click()
    wait_for(page, "cut: 64×64, 32×32, 16×16, 8×8;")
    assert page.locator(".dln-skips-off").count() == 4
    page.get_by_role("button", name="All on").click()
    wait_for(page, "no skip is cut")
    switch(page, 32).focus()
    page.keyboard.press("Space")
    wait_for(page, "cut: 32×32;")
    page.get_by_role("radio", name="held-out picture 11").check()
    page.wait_for_function("() => document.querySelector('.dln-code-text').textContent.includes('size=2000)[11]')")


def test_pointing_and_arrow_keys_read_a_pixel(widget, widget_page):
    page = widget_page(widget)
    mask = page.locator("canvas[tabindex='0']")
    box = mask.bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.wait_for_function("/pixel \\([01], [01]\\)/.test(document.querySelector('.dln-readout').textContent)")
    mask.press("End")
    mask.press("Shift+ArrowDown")
    page.wait_for_function("/pixel \\([89], 63\\)/.test(document.querySelector('.dln-readout').textContent)")


def test_a_finger_reads_a_pixel(widget, widget_page):
    page = widget_page(widget, viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    mask = page.locator("canvas[tabindex='0']")
    mask.scroll_into_view_if_needed()
    box = mask.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 1.5, box["y"] + box["height"] - 1.5)
    wait_for(page, "pixel (63, 63)")
    switch(page, 16).tap()
    wait_for(page, "cut: 64×64, 16×16;")


def test_with_a_kernel_another_picture_is_offered(widget, widget_page):
    page = widget_page(widget)
    assert page.locator(".dln-live").count() == 0
    go_live(page, "skips")
    page.get_by_role("button", name="Another held-out picture").click()
    assert page.evaluate("live.sent.at(-1)") == {"type": "picture"}


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget, widget_page, width):
    page = widget_page(widget, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
