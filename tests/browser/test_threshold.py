"""ThresholdExplorer in a real browser: its counts are the package's and scikit-learn's; mouse, touch and keyboard reach everything."""

import contextlib
import io
import json
import math
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from imitated_kernel import go_live
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sklearn

from dlnotes.metrics import ConfusionMatrix, area_under_roc, average_precision, match_regions
from dlnotes.widgets.threshold import ThresholdExplorer

pytestmark = pytest.mark.browser


def scene(h: int, w: int, seed: int = 0, share: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores 0 to 255 with many ties, and a mask that they know something about."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(h, w, generator=generator) < share).long()
    mask[0, 0], mask[-1, -1] = 1, 0
    score = (torch.randn(h, w, generator=generator) * 40 + 90 + 60 * mask).clamp(0, 255).round().long()
    return score, mask


@pytest.fixture(scope="module")
def default():
    return ThresholdExplorer()


# ---- kernels

@pytest.mark.parametrize("seed", range(4))
def test_counts_scores_and_areas_are_the_packages_and_scikit_learns(kernels, seed):
    call = kernels("threshold")
    score, mask = scene(20, 31, seed)
    flat = score.flatten().tolist(), mask.flatten().tolist()
    got = call("curves", *flat)
    assert got["roc"] == pytest.approx(area_under_roc(score, mask), abs=1e-12)
    assert got["roc"] == pytest.approx(sklearn.roc_auc_score(flat[1], flat[0]), abs=1e-12)
    assert got["ap"] == pytest.approx(average_precision(score, mask), abs=1e-12)
    assert got["ap"] == pytest.approx(sklearn.average_precision_score(flat[1], flat[0]), abs=1e-12)
    for level in (0, 1, 77, 128, 200, 255, 256):
        said = (score >= level).long()
        seen, m = ConfusionMatrix(2), call("measures", *flat, level)
        seen.update(said, mask)
        assert [[m["TN"], m["FP"]], [m["FN"], m["TP"]]] == seen.matrix.tolist()
        assert [[m["TN"], m["FP"]], [m["FN"], m["TP"]]] == sklearn.confusion_matrix(flat[1], said.flatten(), labels=[0, 1]).tolist()
        expected = seen.compute("foreground")
        for name in ("accuracy", "precision", "recall", "iou", "dice"):
            if math.isnan(expected[name]):
                assert m[name] is None
            else:
                assert m[name] == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.08])
def test_targets_found_and_false_alarms_are_the_packages(kernels, seed, share):
    call = kernels("threshold")
    score, mask = scene(24, 30, seed, share)
    for level in (90, 140, 180, 256):
        pairs, areas, targets = match_regions(score >= level, mask)
        taken = {i for i, _ in pairs}
        got = call("detection", score.flatten().tolist(), mask.flatten().tolist(), level, 24, 30, 3)
        assert (got["found"], got["targets"], got["regions"]) == (len(pairs), len(targets), len(areas))
        assert got["alarms"] == sum(a for i, a in enumerate(areas) if i not in taken)


def test_the_assignment_is_scipys(kernels):
    call = kernels("threshold")
    for rows, columns in [(1, 1), (3, 3), (4, 9), (12, 15)]:
        cost = torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows), dtype=torch.float64).numpy()
        assert call("assign", cost.tolist()) == linear_sum_assignment(cost)[1].tolist()
    assert call("assign", []) == []


# ---- the readout and the code

def shown(page) -> str:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator(".dln-readout").text_content()


def numbers(text: str) -> dict[str, float]:
    found = {name: re.search(rf"{pattern} ([\d.,e−]+)", text).group(1) for name, pattern in {
        "iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall", "accuracy": "accuracy", "pd": "Pd", "fa": "Fa"}.items()}
    return {name: float(value.rstrip(".,").replace("−", "-").replace(",", "")) for name, value in found.items()}


@pytest.mark.parametrize("index, threshold", [(0, 0.5), (1, 0.3), (2, 0.25)])
def test_the_readout_says_what_python_computes_and_its_code_prints_the_same(widget_page, index, threshold):
    widget = ThresholdExplorer(scene=index, threshold=threshold)
    page = widget_page(widget)
    expected, read = widget.scores(), numbers(shown(page))
    for name, value in read.items():
        assert value == pytest.approx(expected[name], abs=6e-4 if name != "fa" else 6e-6)
    assert f"ROC, area {expected['area_under_roc']:.4f}" in page.locator(".dln-threshold-curves").text_content()
    assert f"average precision {expected['average_precision']:.3f}" in page.locator(".dln-threshold-curves").text_content()
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(page.locator(".dln-code-text").text_content(), names)
    scores = {**names["pixels"].compute("foreground"), **names["regions"].compute()}
    for name, value in read.items():
        assert value == pytest.approx(scores[name], abs=2e-3 if name != "fa" else 1e-4)


def test_the_code_of_a_reader_s_own_scene_runs_on_it(widget_page):
    score, mask = scene(16, 16)
    scenes = [{"score": score / 255, "mask": mask}]
    page, names = widget_page(ThresholdExplorer(scenes)), {"scenes": scenes}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(page.locator(".dln-code-text").text_content(), names)
    assert names["pixels"].compute("foreground")["iou"] == pytest.approx(numbers(shown(page))["iou"], abs=6e-4)


# ---- input

def test_dragging_the_histogram_and_the_curves_moves_the_threshold(widget_page):
    page = widget_page(ThresholdExplorer(scene=2))
    bars, roc, pr = (page.locator(".dln-picture canvas").nth(i) for i in (1, 2, 3))

    def drag(canvas, x, y):
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        page.mouse.up()
        return shown(page)

    assert "threshold 0." in drag(bars, 0.3, 0.3)
    first = int(bars.get_attribute("aria-valuenow"))
    assert 30 < first < 90
    text = drag(roc, 0.99, 0.05)
    assert "recall 1.000" in text and int(roc.get_attribute("aria-valuenow")) < first
    assert numbers(drag(pr, 0.13, 0.5))["recall"] < 0.2
    assert f">= {pr.get_attribute('aria-valuenow')})" in page.locator(".dln-code-text").text_content()


def test_the_keyboard_reaches_threshold_pixel_and_controls(widget_page):
    page = widget_page(ThresholdExplorer())

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
        return shown(page)

    page.keyboard.press("Tab")
    assert "threshold 0.553" in press("ArrowRight", "ArrowUp", "Shift+ArrowRight", "ArrowDown", "ArrowRight", "ArrowUp")
    assert "threshold 0.000: 4,096 of 4,096" in press("Home")
    assert "threshold above 1: 0 of 4,096" in press("End") and "precision undefined" in shown(page)
    assert "x 33, y 42: score" in press("Tab", "ArrowRight", "Shift+ArrowDown")
    for _ in range(3):
        assert "threshold above 1" not in press("Tab", "ArrowLeft", "ArrowLeft")
    press("Tab", "ArrowDown", "ArrowDown")
    assert "of 16,384 pixels" in shown(page)
    page.get_by_role("button", name="Best IoU").press("Enter")
    assert numbers(shown(page))["iou"] >= 0.28
    page.get_by_role("radio", name="score").check()
    page.locator(".dln-threshold-bar").wait_for()


def test_a_finger_moves_the_threshold_and_reads_a_pixel(widget_page):
    page = widget_page(ThresholdExplorer(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    for index, (x, y) in {1: (0.8, 0.3), 0: (0.5, 0.5)}.items():
        canvas = page.locator(".dln-picture canvas").nth(index)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
    assert "x 32, y 32: score" in shown(page)
    assert 180 < int(page.locator(".dln-picture canvas").nth(1).get_attribute("aria-valuenow")) < 220


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(ThresholdExplorer(scene=2, threshold=0.25), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(ThresholdExplorer())
    pixel = """() => [...document.querySelectorAll("canvas")[2].getContext("2d").getImageData(150, 60, 1, 1).data].slice(0, 3)"""
    light = page.evaluate(pixel)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => String(({pixel})()) !== before", arg=",".join(map(str, light)))


# ---- with a kernel

def test_with_a_kernel_other_digits_are_offered_and_python_may_move_the_threshold(widget_page):
    page = widget_page(ThresholdExplorer())
    assert page.get_by_role("button", name="Another digit").count() == 0
    go_live(page, "threshold")
    page.get_by_role("button", name="Another digit").click()
    assert page.evaluate("live.sent.at(-1)") == {"type": "digit", "index": 21}
    page.evaluate("""live.state.level = 51; live.fire("change:level"); live.fire("change:data")""")
    page.wait_for_function("document.querySelector('#live .dln-readout').textContent.includes('threshold 0.200')")
