"""RankExplorer in a real browser: its SVD and sums are torch's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.svd import break_even_rank, energy, rank_one_terms, truncate, truncation_error
from dlnotes.widgets.rank import RankExplorer

pytestmark = pytest.mark.browser


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensor(values, *shape: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def frames(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


# ---- kernels

def test_the_decomposition_is_torchs(kernels):
    call = kernels("rank")
    for h, w in [(2, 2), (5, 9), (9, 5), (32, 32), (64, 48)]:
        x = noise(h, w) - 0.3
        got, r = call("svd", x.flatten().tolist(), h, w), min(h, w)
        u, s, v = tensor(got["u"], r, h), tensor(got["s"], r), tensor(got["v"], r, w)
        torch.testing.assert_close(s, torch.linalg.svdvals(x), atol=1e-12, rtol=1e-10)
        torch.testing.assert_close(u @ u.T, torch.eye(r, dtype=x.dtype), atol=1e-10, rtol=0)
        torch.testing.assert_close(u.T * s @ v, x, atol=1e-11, rtol=0)


def test_sums_and_terms_are_those_of_the_package(kernels):
    call = kernels("rank")
    for h, w, k in [(8, 8, 3), (12, 20, 1), (40, 24, 24)]:
        x = noise(h, w, k)
        torch.testing.assert_close(tensor(call("sum", x.flatten().tolist(), h, w, k), h, w), truncate(x, k), atol=1e-10, rtol=0)
        term = tensor(call("term", x.flatten().tolist(), h, w, k), h, w)
        torch.testing.assert_close(term, rank_one_terms(x, k)[-1], atol=1e-9, rtol=0)


def test_figures_are_those_of_the_package(kernels):
    call = kernels("rank")
    for h, w, k in [(16, 16, 4), (10, 30, 9), (2, 2, 1)]:
        x = noise(h, w)
        got = call("figures", x.flatten().tolist(), h, w, k)
        assert got["energy"] == pytest.approx(float(energy(x)[k - 1]), abs=1e-12)
        assert got["error"] == pytest.approx(float(truncation_error(x, k) / x.norm()), abs=1e-10)
        assert got["breakEven"] == break_even_rank(h, w) and got["numbers"] == k * (h + w + 1)


def test_pictures_of_low_rank_and_of_zeros_are_no_trouble(kernels):
    call = kernels("rank")
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).double()
    values = tensor(call("svd", board.flatten().tolist(), 8, 8)["s"], 8)
    torch.testing.assert_close(values, torch.linalg.svdvals(board), atol=1e-12, rtol=0)
    torch.testing.assert_close(tensor(call("sum", board.flatten().tolist(), 8, 8, 2), 8, 8), board, atol=1e-12, rtol=0)
    assert call("figures", [0.0] * 20, 4, 5, 1)["error"] == 0


# ---- the code that is shown

@pytest.mark.parametrize("settings", [{}, {"k": 30, "picture": "brick"}, {"k": 2, "picture": "disc"}, {"k": 1, "picture": "checkerboard"}])
def test_the_shown_pytorch_runs_and_gives_the_shown_numbers(widget_page, settings):
    page = widget_page(RankExplorer(**settings))
    text, names = page.locator(".dln-readout").text_content(), {}
    exec(page.locator(".dln-code-text").text_content(), names)
    measured = re.search(r"measured on the pixels: ([\d.]+)", text).group(1)
    assert float(measured) == pytest.approx(100 * float(names["error"]), abs=0.011)
    assert re.search(r"energy held: (?:> )?([\d.]+)", text).group(1)[:4] == f"{100 * float(names['energy']):.2f}"[:4]
    assert f"= {names['numbers'][0]:,} numbers" in text


def test_the_shown_pytorch_for_own_pictures(widget_page):
    image = noise(10, 14)
    names = {"image": image}
    exec(widget_page(RankExplorer({"mine": image}, k=3)).locator(".dln-code-text").text_content(), names)
    assert names["y"].shape == (10, 14) and names["k"] == 3


# ---- input

def test_the_keyboard_reaches_everything(widget_page):
    page = widget_page(RankExplorer())
    readout, first = page.locator(".dln-readout"), page.locator(".dln-picture [tabindex='0']")
    page.keyboard.press("Tab")
    assert first.evaluate("node => node === document.activeElement")
    for key, k in [("ArrowRight", 9), ("ArrowUp", 19), ("ArrowDown", 9), ("ArrowLeft", 8), ("End", 128), ("Home", 1)]:
        page.keyboard.press(key)
        frames(page)
        assert f"the first {k} of 128 terms" in readout.text_content() and first.get_attribute("aria-valuenow") == str(k)
    page.get_by_label("Picture", exact=True).select_option(label="checkerboard")
    frames(page)
    assert "energy held: 50.00" in readout.text_content()
    page.get_by_label("Terms k", exact=True).press("ArrowRight")
    frames(page)
    assert "the first 2 of" in readout.text_content() and "error by Eckart–Young: 0\u00a0%" in readout.text_content()
    page.get_by_role("radio", name="−0.5 to 0.5").check()
    frames(page)
    assert page.locator(".dln-rank-legend").nth(1).text_content() == "signed−0.500.50"


def test_a_curve_is_dragged_and_a_picture_read(widget_page):
    page = widget_page(RankExplorer())
    box = page.locator(".dln-rank-plots canvas").nth(1).bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 52 + (box["width"] - 64) * 63.5 / 128, box["y"] + 50)
    page.mouse.up()
    frames(page)
    assert "the first 64 of 128" in page.locator(".dln-readout").text_content()
    assert "more than the picture" in page.locator(".dln-readout").text_content()
    box = page.locator(".dln-rank-maps canvas").nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 10.5 / 128, box["y"] + box["height"] * 20.5 / 128)
    frames(page)
    found = re.search(r"x 10, y 20: picture ([\d.]+), sum ([\d.−]+), term 64 [\d.−]+, missing ([\d.−]+)",
                      page.locator(".dln-readout").text_content())
    picture, total, missing = (float(v.replace("−", "-")) for v in found.groups())
    assert picture == pytest.approx(total + missing, abs=0.0016)
    assert picture == pytest.approx(float(RankExplorer().image()[20, 10]), abs=5e-4)


def test_a_finger_chooses_k(widget_page):
    page = widget_page(RankExplorer(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    canvas = page.locator(".dln-rank-plots canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + 52 + (box["width"] - 64) / 2, box["y"] + 60)
    frames(page)
    assert re.search(r"the first 6[345] of 128", page.locator(".dln-readout").text_content())


# ---- look

@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(RankExplorer(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])
