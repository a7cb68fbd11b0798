"""ConvArithmetic in a real browser: its arithmetic equals torch's, and mouse, touch and keyboard reach everything."""

import json
import re

import pytest
import torch
import torch.nn.functional as F
from axe_core_python.sync_playwright import Axe

from dlnotes.conv import conv_cost
from dlnotes.widgets.convolution import ConvArithmetic

pytestmark = pytest.mark.browser

STATES = [{}, {"size": 9, "kernel": 4, "stride": 3, "padding": 2, "dilation": 2, "in_channels": 4, "out_channels": 6, "groups": 2},
          {"size": 12, "kernel": 5, "stride": 1, "padding": 4, "in_channels": 8, "out_channels": 8, "groups": 8},
          {"size": 3, "transposed": True, "output_padding": 1, "in_channels": 2, "out_channels": 4, "groups": 2},
          {"size": 6, "kernel": 2, "stride": 3, "padding": 2, "dilation": 3, "transposed": True, "in_channels": 3, "out_channels": 2}]


def settings(w: ConvArithmetic) -> dict:
    """The state as the kernels take it."""
    return {"size": w.size, "kernel": w.kernel, "stride": w.stride, "padding": w.padding, "dilation": w.dilation,
            "inChannels": w.in_channels, "outChannels": w.out_channels, "groups": w.groups, "transposed": w.transposed,
            "outputPadding": w.output_padding, "row": w.row, "column": w.column, "channel": 0, "source": 0, "first": 0}


# ---- kernels

@pytest.mark.parametrize("state", STATES)
def test_values_sizes_and_costs_are_those_of_torch_and_the_package(kernels, state):
    call, widget = kernels("convolution"), ConvArithmetic(**state)
    s, (x, weight, y) = settings(widget), widget.tensors()
    assert call("inputs", x.numel()) == x.flatten().tolist() and call("weights", weight.numel()) == weight.flatten().tolist()
    function = "convTranspose2d" if widget.transposed else "conv2d"
    got = call(function, x.flatten().tolist(), weight.flatten().tolist(), s)
    assert torch.equal(torch.tensor(got, dtype=torch.float64).reshape(y.shape), y)
    assert call("sizes", s)["out"] == y.shape[-1]
    expected = conv_cost(widget.in_channels, widget.out_channels, (widget.kernel,) * 2,
                         (widget.size if widget.transposed else y.shape[-1],) * 2, widget.groups)
    money = call("cost", s)
    assert (money["withBias"], money["multiplyAdds"]) == (expected.parameters, expected.multiply_adds)


def test_values_that_are_not_whole_numbers_agree_too(kernels):
    call, s = kernels("convolution"), settings(ConvArithmetic(8, 3, 2, 1, 2, in_channels=2, out_channels=3))
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((1, 2, 8, 8), (3, 2, 3, 3)))
    got = call("conv2d", x.flatten().tolist(), weight.flatten().tolist(), s)
    torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), F.conv2d(x, weight, None, 2, 1, 2).flatten(), atol=1e-12, rtol=0)


def test_inputs_without_a_gradient_are_those_that_are_never_read(kernels):
    call = kernels("convolution")
    for n, k, s, p, d in [(6, 3, 2, 0, 1), (7, 2, 3, 0, 1), (9, 3, 2, 0, 2), (5, 3, 2, 1, 1)]:
        x = torch.zeros(1, 1, n, n, requires_grad=True)
        F.conv2d(x, torch.ones(1, 1, k, k), None, s, p, d).sum().backward()
        assert call("unread", settings(ConvArithmetic(n, k, s, p, d)))["count"] == (x.grad == 0).sum().item()


# ---- the code that is shown

@pytest.mark.parametrize("state", STATES)
def test_the_shown_pytorch_runs_and_gives_the_shown_number(widget_page, state):
    widget, names = ConvArithmetic(**state), {}
    page = widget_page(widget)
    exec(page.locator(".dln-code-text").text_content(), names)
    assert torch.equal(names["y"], widget.tensors()[2])
    first = page.locator(".dln-readout").text_content().split("\n")[0].replace("−", "-")
    shown = re.search(r"= (\d+) adds", first) or re.search(r"= (-?\d+)$", first)
    assert float(shown.group(1)) == names["value"].item()


# ---- input

def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def test_arrow_keys_step_in_reading_order_and_between_rows(widget_page):
    page = widget_page(ConvArithmetic())
    canvas = page.locator(".dln-picture canvas")
    page.keyboard.press("Tab")
    assert canvas.evaluate("node => node === document.activeElement")
    for key, place in [("ArrowRight", "(1, 2)"), ("ArrowRight", "(2, 0)"), ("ArrowUp", "(1, 0)"), ("ArrowLeft", "(0, 2)"),
                       ("End", "(2, 2)"), ("ArrowDown", "(2, 2)"), ("Home", "(0, 0)")]:
        page.keyboard.press(key)
        wait_for(page, f"output {place} = ")
    assert canvas.get_attribute("aria-valuenow") == "0" and "output (0, 0)" in canvas.get_attribute("aria-valuetext")


def test_buttons_step_and_stop_at_the_ends(widget_page):
    page = widget_page(ConvArithmetic(row=0, column=1))
    page.get_by_role("button", name="Previous").click()
    wait_for(page, "output (0, 0) = ")
    assert page.get_by_role("button", name="Previous").is_disabled()
    for place in ("(0, 1)", "(0, 2)", "(1, 0)"):
        page.get_by_role("button", name="Next").click()
        wait_for(page, f"output {place} = ")


def cell(page, block: str, row: int, column: int) -> tuple[float, float]:
    """Where on the page a cell is when the three grids of the first state stand side by side."""
    box = page.locator(".dln-picture canvas").bounding_box()
    wide, x = 38, {"input": 1, "kernel": 7 * 38 + 34, "output": 10 * 38 + 2 * 34 - 1}[block]
    top = 20 + {"input": 0, "kernel": 2, "output": 2}[block] * wide
    return box["x"] + x + (column + 0.5) * wide, box["y"] + top + (row + 0.5) * wide


def test_a_press_on_an_output_or_on_an_input_goes_there(widget_page):
    page = widget_page(ConvArithmetic())
    page.mouse.click(*cell(page, "output", 0, 2))
    wait_for(page, "output (0, 2) = ")
    page.mouse.click(*cell(page, "input", 5, 1))                # row 4 of the picture, in the window of output row 2
    wait_for(page, "output (2, 0) = ")
    page.mouse.move(*cell(page, "input", 2, 3))                 # pixel (1, 2): no window has it alone
    wait_for(page, "input (1, 2) is read by 2 outputs")


def test_a_finger_goes_to_an_output_on_a_narrow_screen(widget_page):
    page = widget_page(ConvArithmetic(), viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    canvas = page.locator(".dln-picture canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + 3 * 30 + 34 + 15, box["y"] + box["height"] - 4 - 15)       # lower left output
    wait_for(page, "output (2, 0) = ")


def test_controls_change_the_numbers_and_the_formula(widget_page):
    page = widget_page(ConvArithmetic())
    page.get_by_label("Stride").fill("1")
    wait_for(page, "⌊(5 + 2·1 − 1·(3 − 1) − 1) / 1⌋ + 1 = ⌊4 / 1⌋ + 1 = 5")
    page.get_by_label("Channels in").fill("4")
    page.get_by_label("Channels out").fill("8")
    page.get_by_label("Groups").select_option("4")
    wait_for(page, "weight (8, 1, 3, 3): 72 parameters, 80 with bias")
    page.get_by_label("Kernel", exact=True).fill("5")
    page.get_by_label("Padding", exact=True).fill("0")
    page.get_by_label("Dilation").fill("2")
    wait_for(page, "No output: the kernel spans 9 pixels, the padded input has 5")
    compile(page.locator(".dln-code-text").text_content(), "shown", "exec")
    page.get_by_role("radio", name="transposed").check()
    wait_for(page, "(5 − 1)·1 − 2·0 + 2·(5 − 1) + 0 + 1 = 13")
    page.get_by_label("Output padding").fill("3")
    wait_for(page, "output padding 3 must be below the stride 1 or the dilation 2")


def test_stamps_pile_up_when_only_what_is_computed_is_shown(widget_page):
    page = widget_page(ConvArithmetic(3, 3, 2, 0, transposed=True, row=0, column=1))
    page.get_by_label("Only what is computed so far").check()
    wait_for(page, "input (0, 1) = 1 adds 1 × kernel to 9 outputs")
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.get_by_role("button", name="Next").click()
    wait_for(page, "input (0, 2) = 8")
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before


# ---- look

@pytest.mark.parametrize("width", [320, 800])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(ConvArithmetic(12, 5, 1, 4, in_channels=8, out_channels=8, groups=2), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(ConvArithmetic())
    corner = "() => [...document.querySelector('canvas').getContext('2d').getImageData(6, 30, 1, 1).data].slice(0, 3)"
    light = page.evaluate(corner)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => String(({corner})()) !== before", arg=",".join(map(str, light)))
