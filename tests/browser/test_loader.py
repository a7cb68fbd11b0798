"""LoaderTimeline in a real browser: its simulation equals Python's, and mouse, touch and keyboard reach everything."""

import json
import re
import subprocess
import sys

import pytest
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.loader import LoaderTimeline, _numbers, simulate, totals
from dlnotes.widgets.loader_traces import RECORDED

pytestmark = pytest.mark.browser

BASE = {"workers": 2, "prefetch": 2, "batch": 8, "cores": 4, "load": 4.0, "jitter": 0.5, "transform": 2.0, "step": 20.0,
        "handover": 1.0, "startup": 60.0}


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def test_random_numbers_are_pythons(kernels):
    call = kernels("loader")
    for seed in (0, 1, 2**32 - 1):
        draw = _numbers(seed)
        assert call("numbers", seed, 50) == [draw() for _ in range(50)]


@pytest.mark.parametrize("changes", [{}, {"workers": 0}, {"workers": 7, "prefetch": 1}, {"jitter": 1, "cores": 1, "workers": 3},
                                     {"batch": 33, "load": 0, "startup": 0}])
def test_the_simulation_is_pythons(kernels, changes):
    call, settings = kernels("loader"), {**BASE, **changes}
    got, expected = call("simulate", settings, 40, 3), simulate(batches=40, seed=3, **settings)
    assert set(got) == set(expected)
    for key in expected:
        assert got[key] == pytest.approx(expected[key], abs=1e-6), key
    assert call("totals", got, settings["batch"]) == pytest.approx(totals(expected, settings["batch"]))


def test_the_queue_counts_what_is_made_and_not_taken(kernels):
    call = kernels("loader")
    trace = simulate(**{**BASE, "workers": 4, "step": 60.0})
    steps = call("queue", trace)
    assert steps[-1][1] == 0 and min(count for _, count in steps) >= 0 and max(count for _, count in steps) == 8


@pytest.mark.parametrize("changes, limit, need", [({}, "loader", 3), ({"workers": 0}, "one process", 3),
                                                  ({"workers": 4}, "step", 3), ({"cores": 1, "step": 1}, "loader", 0)])
def test_the_bottleneck_is_named_and_so_is_the_remedy(kernels, changes, limit, need):
    got = kernels("loader")("bottleneck", {**BASE, **changes})
    assert got["limit"] == limit and got["need"] == need


@pytest.mark.parametrize("workers", [0, 2])
def test_the_shown_pytorch_runs_and_is_no_faster_than_the_simulation(widget_page, tmp_path, workers):
    page = widget_page(LoaderTimeline(workers=workers, batch=4, jitter=0, load=4, transform=1, step=10))
    script = tmp_path / "timeline.py"
    script.write_text(page.locator(".dln-code-text").text_content(), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    speed = int(re.match(r"(\d+) samples/s, waiting \d+%", done.stdout).group(1))
    bound = totals(simulate(workers=workers, batch=4, jitter=0, load=4, transform=1, step=10, handover=0, startup=0), 4)["throughput"]
    assert 0 < speed <= 1.03 * bound


def test_the_readout_is_the_simulations(widget_page):
    widget = LoaderTimeline()
    page = widget_page(widget)
    found = totals(widget.trace(), 8)
    wait_for(page, f"simulated: {found['throughput']:.0f} samples/s, waiting {found['waiting'] * 100:.0f}")


def test_the_keyboard_reaches_batches_workers_and_controls(widget_page):
    page = widget_page(LoaderTimeline())
    canvas = page.locator(".dln-picture canvas")
    page.keyboard.press("Tab")
    assert canvas.evaluate("node => node === document.activeElement")
    page.keyboard.press("ArrowRight")
    wait_for(page, "batch 6: made by worker 0")
    page.keyboard.press("ArrowUp")
    wait_for(page, "bottleneck: the training step")
    page.keyboard.press("Home")
    wait_for(page, "batch 0: made by worker 0")
    page.keyboard.press("End")
    wait_for(page, "batch 23: made by worker 2")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    wait_for(page, "one process does both in turn")
    assert page.get_by_label("prefetch factor").is_disabled()
    page.get_by_label("training step, ms").fill("100")
    wait_for(page, "100 ms to use")


def test_a_press_chooses_a_batch(widget_page):
    page = widget_page(LoaderTimeline())
    canvas, trace = page.locator(".dln-picture canvas"), LoaderTimeline().trace()
    box = canvas.bounding_box()
    x = 68 + (trace["start"][11] + trace["done"][11]) / 2 / trace["end"][-1] * (box["width"] - 76)
    page.mouse.click(box["x"] + x, box["y"] + 24 + 12)
    wait_for(page, "batch 11: made by worker 1")


def test_a_finger_chooses_a_batch_at_320_pixels(widget_page):
    page = widget_page(LoaderTimeline(), viewport={"width": 320, "height": 800}, has_touch=True, is_mobile=True)
    box = page.locator(".dln-picture canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 10, box["y"] + 110)
    wait_for(page, "batch 23")


def test_recorded_runs_can_be_chosen_and_a_slider_goes_back_to_the_simulation(widget_page):
    page = widget_page(LoaderTimeline())
    page.get_by_label("Timeline", exact=True).select_option(RECORDED[0]["name"])
    found = totals(RECORDED[0]["trace"], 8)
    wait_for(page, f"recorded ({RECORDED[0]['note']}): {found['throughput']:.0f} samples/s")
    page.get_by_label("workers", exact=True).fill("4")
    wait_for(page, "simulated:")


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(LoaderTimeline(workers=5), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(LoaderTimeline())
    pixel = """() => [...document.querySelector(".dln-picture canvas").getContext("2d").getImageData(80, 60, 1, 1).data].join()"""
    light = page.evaluate(pixel)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => ({pixel})() !== before", arg=light)
