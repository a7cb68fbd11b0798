"""MemoryPlanner in a real browser: its lines equal Python's, and mouse, touch and keyboard reach everything."""

import json
import subprocess
import sys

import pytest
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.memory import _FILE, BATCHES, MODELS, MemoryPlanner, lookup

pytestmark = pytest.mark.browser

TABLE = json.loads(_FILE.read_text(encoding="utf-8"))
BASE = {"model": "unet", "size": 256, "batch": 24, "optimizer": "adamw", "autocast": False, "checkpointing": False, "budget": 8}


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def first_line(widget):
    total, budget = sum(widget.parts()), widget.budget
    room = budget * 2**20 - total
    return f"batch {widget.batch}: {total / 2**20:.2f} GiB of {budget:g} GiB, " + (
        f"{room / 2**20:.2f} GiB to spare" if room >= 0 else f"{-room / 2**20:.2f} GiB too much")


def test_the_lines_are_pythons(kernels):
    call = kernels("memory")
    for model, sizes in MODELS.items():
        for batch in (1, 2, 4, 15, 16, 40, 64, 200):
            s = {**BASE, "model": model, "size": sizes[1], "batch": batch, "autocast": batch % 2 == 0, "checkpointing": batch > 9}
            expected = lookup(model, sizes[1], batch, "adamw", s["autocast"], s["checkpointing"])
            assert call("lookup", TABLE, BATCHES, s) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"model": "resnet50", "budget": 24}, {"model": "vit_b_16", "budget": 1}, {"model": "swin_t", "budget": 96}])
def test_the_largest_batch_is_pythons(kernels, settings):
    widget = MemoryPlanner(**settings)
    s = {**widget.settings(), "batch": 1, "budget": widget.budget}
    found = kernels("memory")("largest", TABLE, BATCHES, s)
    assert found == widget.largest()
    assert found == 0 or sum(lookup(batch=found, **widget.settings())) <= widget.budget * 2**20
    assert found == 1024 or sum(lookup(batch=found + 1, **widget.settings())) > widget.budget * 2**20


def test_remedies_come_best_first_and_save_something(kernels):
    call = kernels("memory")
    for change in ({}, {"model": "vit_b_16", "size": 224, "batch": 1}, {"autocast": True, "checkpointing": True, "optimizer": "sgd", "batch": 1}):
        s = {**BASE, **change}
        found, now = call("remedies", TABLE, BATCHES, s), sum(call("lookup", TABLE, BATCHES, s))
        assert [kib for _, kib in found] == sorted(kib for _, kib in found) and all(kib < now for _, kib in found)
    assert found == []
    words = [name for name, _ in call("remedies", TABLE, BATCHES, {**BASE, "model": "vit_b_16", "size": 224, "batch": 1})]
    assert words[0] == "plain SGD"


@pytest.mark.parametrize("settings", [{}, {"model": "vit_b_16", "size": 384, "batch": 4, "autocast": True, "checkpointing": True}])
def test_the_shown_pytorch_predicts_what_the_page_says(widget_page, tmp_path, settings):
    widget = MemoryPlanner(**{"batch": 16, **settings})
    page = widget_page(widget)
    script = tmp_path / "plan.py"
    script.write_text(page.locator(".dln-code-text").text_content(), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{sum(widget.parts()) / 2**20:.2f} GiB of 8"


def test_the_keyboard_reaches_batch_budget_and_controls(widget_page):
    page = widget_page(MemoryPlanner())
    wait_for(page, first_line(MemoryPlanner()))
    canvas = page.locator(".dln-picture canvas")
    page.keyboard.press("Tab")
    assert canvas.evaluate("node => node === document.activeElement")
    page.keyboard.press("ArrowRight")
    wait_for(page, first_line(MemoryPlanner(batch=25)))
    page.keyboard.press("ArrowUp")
    wait_for(page, first_line(MemoryPlanner(batch=25, budget=9)))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    wait_for(page, first_line(MemoryPlanner(batch=1)))
    page.keyboard.press("End")
    wait_for(page, first_line(MemoryPlanner(batch=64)))
    page.get_by_label("Network").select_option("vit_b_16")
    wait_for(page, first_line(MemoryPlanner("vit_b_16", batch=64)))
    page.get_by_label("384", exact=True).check()
    page.get_by_label("Mixed precision").check()
    page.get_by_label("Checkpointing").check()
    page.get_by_label("momentum", exact=True).check()
    page.get_by_label("Batch", exact=True).fill("3")
    wait_for(page, first_line(MemoryPlanner("vit_b_16", 384, 3, "momentum", True, True)))
    assert page.locator(".dln-live").count() == 0


def test_a_press_sets_the_budget(widget_page):
    page = widget_page(MemoryPlanner())
    box = page.locator(".dln-picture canvas").bounding_box()
    most = 1.08 * sum(MemoryPlanner().parts()) / 2**20
    page.mouse.click(box["x"] + 8 + 4 / most * (box["width"] - 22), box["y"] + 60)
    wait_for(page, "of 4 GiB")


def test_a_finger_sets_the_budget_at_320_pixels(widget_page):
    page = widget_page(MemoryPlanner(), viewport={"width": 320, "height": 900}, has_touch=True, is_mobile=True)
    box = page.locator(".dln-picture canvas").bounding_box()
    page.touchscreen.tap(box["x"] + 10, box["y"] + 60)
    wait_for(page, "of 1 GiB")


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(MemoryPlanner(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(MemoryPlanner())
    pixel = """() => [...document.querySelector(".dln-picture canvas").getContext("2d").getImageData(200, 36, 1, 1).data].join()"""
    light = page.evaluate(pixel)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => ({pixel})() !== before", arg=light)
