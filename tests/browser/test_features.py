"""FeatureMaps in a real browser: its arithmetic equals torch's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from imitated_kernel import go_live
from torch import nn

from dlnotes.widgets.features import FeatureMaps

pytestmark = pytest.mark.browser


def small(c=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, c, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * c, 3))


def pictures(b=2):
    return torch.rand(b, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def values(n=60):
    return torch.randn(n, generator=torch.Generator().manual_seed(2))


# ---- kernels

def test_codes_become_the_values_that_python_quantised(kernels):
    call, codes = kernels("features"), [0, 1, 100, 255]
    expected = -1.5 + torch.tensor(codes) / 255 * (2.5 + 1.5)
    assert (torch.tensor(call("dequantise", codes, -1.5, 2.5)) - expected).abs().max() < 1e-6


def test_quantiles_limits_and_statistics_are_torchs(kernels):
    call, x = kernels("features"), values()
    for q in (0.0, 0.25, 0.5, 0.99, 1.0):
        assert call("quantile", x.tolist(), q) == pytest.approx(x.quantile(q).item(), abs=1e-6)
    assert call("limitOf", x.tolist()) == pytest.approx(x.abs().max().item(), abs=1e-7)
    assert call("limitOf", x.tolist(), 0.99) == pytest.approx(x.abs().quantile(0.99).item(), abs=1e-6)
    relu = x.relu()
    got = call("statistics", relu.tolist())
    assert got["lo"] == 0 and got["hi"] == pytest.approx(relu.max().item())
    assert got["mean"] == pytest.approx(relu.mean().item(), abs=1e-6)
    assert got["zeros"] == pytest.approx((relu == 0).float().mean().item())
    assert call("subtract", [3, 5], [1, 7]) == [2, -2]
    assert call("constants", [0, 0, -1, 2, 3, 3]) == [0, 2]


# ---- the code that is shown

def ran(page, capsys, **names):
    capsys.readouterr()
    exec(page.locator(".dln-code-text").text_content(), names)
    return [float(v) for v in re.findall(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+", capsys.readouterr().out)], names


@pytest.mark.parametrize("settings", [{}, {"show": "b", "layer": 3, "channel": 5, "cell": [2, 6]},
                                      {"show": "difference", "layer": 1, "channel": 9, "cell": [20, 3]}])
def test_the_shown_pytorch_runs_and_prints_the_readouts_numbers(widget_page, capsys, settings):
    widget = FeatureMaps()
    for name, value in settings.items():
        setattr(widget, name, value)
    page = widget_page(widget)
    (low, high, mean, cell, *rest), names = ran(page, capsys)
    readout = page.locator(".dln-readout").text_content().replace("−", "-")
    lo, hi, shown_mean = map(float, re.search(r": (\S+) to (\S+), mean (\S+),", readout).groups())
    step = 2 * (high - low) / 255
    assert abs(lo - low) <= step + 0.01 * abs(low) and abs(hi - high) <= step + 0.01 * abs(high)
    assert abs(shown_mean - mean) < step + 0.01 * abs(mean)
    seen = dict(re.findall(r"(A - B|A|B) (-?[\d.e-]+)", readout.split("\n")[2]))
    key = {"a": "A", "b": "B", "difference": "A - B"}[widget.show]
    assert abs(float(seen[key]) - cell) <= step + 0.01 * abs(cell)
    assert f"constant maps: {int(rest[0])} of" in readout


def test_the_shown_pytorch_for_ones_own_model_and_pictures(widget_page, capsys):
    model, x = small().eval(), pictures(5)
    widget = FeatureMaps(model, x, layers=["0"], channel=2)
    widget.handle({"type": "picture", "slot": 0, "index": 3})
    _, names = ran(widget_page(widget), capsys, model=model, pictures=x)
    torch.testing.assert_close(names["m"], widget.maps_of()[0, 2])


# ---- input

def parts(page):
    return page.locator(".dln-features-big canvas"), page.locator(".dln-features-all canvas"), page.locator(".dln-readout")


def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def test_the_mouse_chooses_a_map_and_reads_a_cell(widget_page):
    page = widget_page(FeatureMaps(small(), pictures(), layers=["0", "1", "2"]))
    big, grid, readout = parts(page)
    box = grid.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 5)
    chosen = int(re.search(r"map (\d+)", readout.text_content()).group(1))
    assert chosen > 0
    box = big.bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 0.05 * box["height"])
    wait_for(page, "cell (0, 7)")
    assert "sees rows 0 to 1, columns 6 to 7 of the picture" in readout.text_content()
    page.mouse.move(box["x"] + 0.05 * box["width"], box["y"] + 0.05 * box["height"])
    wait_for(page, "cell (0, 0)")
    page.mouse.move(5, 5)
    wait_for(page, "cell (0, 7)")


def test_the_keyboard_reaches_cells_maps_and_controls(widget_page):
    page = widget_page(FeatureMaps(small(), pictures(), layers=["0", "1", "2"]))
    big, grid, readout = parts(page)
    page.keyboard.press("Tab")
    assert big.evaluate("node => node === document.activeElement")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    wait_for(page, "cell (6, 5)")
    page.keyboard.press("Home")
    wait_for(page, "cell (6, 0)")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    wait_for(page, "map 1, A")
    page.keyboard.press("End")
    wait_for(page, "map 3, A")
    page.get_by_label("Layer", exact=True).select_option("2")
    wait_for(page, "2 (MaxPool2d), 4 × 4 × 4")
    assert "cell (3, 0)" in readout.text_content()
    page.get_by_role("radio", name="A − B").check()
    wait_for(page, "map 3, A − B")
    page.get_by_role("radio", name="99 % of layer").check()
    page.wait_for_function("document.querySelector('.dln-features-legend').textContent.includes('≥')")
    page.get_by_role("radio", name="whole layer").check()
    page.wait_for_function("!document.querySelector('.dln-features-legend').textContent.includes('≥')")


def test_a_finger_chooses_a_map_and_a_cell(widget_page):
    page = widget_page(FeatureMaps(small(), pictures()), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    big, grid, _ = parts(page)
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 5, box["y"] + box["height"] - 5)
    wait_for(page, "map 3, A")
    big.scroll_into_view_if_needed()
    box = big.bounding_box()
    page.touchscreen.tap(box["x"] + 3, box["y"] + 3)
    wait_for(page, "cell (0, 0)")


def test_many_maps_come_in_pages(widget_page):
    page = widget_page(FeatureMaps(small(300), pictures(1), layers=["2"]))
    assert "maps 0 to 127 of 300" in page.locator(".dln-features-all").text_content()
    page.get_by_role("button", name="More maps").click()
    wait_for(page, "map 128, A")
    page.get_by_role("button", name="More maps").click()
    page.wait_for_function("document.querySelector('.dln-features-all').textContent.includes('maps 256 to 299 of 300')")


def test_dead_maps_are_counted_and_one_picture_offers_no_comparison(widget_page):
    model = small()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, -1
    page = widget_page(FeatureMaps(model, pictures(1), layers=["1"]))
    assert "constant maps: 1 of 4 (1)" in page.locator(".dln-readout").text_content()
    assert page.get_by_role("radio", name="A − B").count() == 0 and page.get_by_text("Picture B").is_hidden()


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(FeatureMaps(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


# ---- with a kernel

def test_with_a_kernel_pictures_and_layers_can_be_asked_for(widget_page, tmp_path):
    from PIL import Image

    page = widget_page(FeatureMaps(small(), pictures(5), layers=["0"]))
    assert page.get_by_label("Add a layer").count() == 0
    go_live(page, "features")
    live = page.locator("#live")
    live.get_by_label("Picture B, number").fill("3")
    live.get_by_label("Picture B, number").press("Enter")
    page.wait_for_function("live.sent.at(-1).index === 3 && live.sent.at(-1).slot === 1")
    live.get_by_label("Add a layer").select_option("2")
    assert page.evaluate("live.sent.at(-1)") == {"type": "layer", "name": "2"}
    Image.new("RGB", (40, 20), (255, 255, 255)).save(tmp_path / "white.png")
    live.get_by_label("or your own A").set_input_files(str(tmp_path / "white.png"))
    page.wait_for_function("live.sent.at(-1).type === 'upload'")
    assert page.evaluate("[...atob(live.sent.at(-1).data)].every((c) => c.charCodeAt(0) === 255) && atob(live.sent.at(-1).data).length") == 64
    page.evaluate("""live.state.problem = "expected 8 × 8 pixels"; live.fire("change:problem")""")
    page.wait_for_function("document.querySelector('#live').textContent.includes('refused: expected 8 × 8')")
    page.evaluate("""live.state.captions = ["one", "two"]; live.fire("change:revision")""")
    page.wait_for_function("document.querySelector('#live').textContent.includes('two')")
