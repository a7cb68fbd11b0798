"""BatchNormStatistics in a real browser: its arithmetic equals nn.BatchNorm2d's, and every input reaches everything."""

import contextlib
import io
import json
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from imitated_kernel import go_live
from torch import nn

from dlnotes.models.resnet import resnet18
from dlnotes.widgets.batchnorm import BatchNormStatistics
from dlnotes.widgets.batchnorm_streams import order, stream

pytestmark = pytest.mark.browser


def close(got, expected, tolerance=1e-10):
    got = torch.tensor(got, dtype=torch.float64)
    assert got.shape == expected.shape and (got - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


# ---- kernels

@pytest.mark.parametrize("batch, momentum, pooled", [(1, 0.1, False), (2, 0.1, True), (4, None, False), (7, 0.37, False),
                                                     (64, 1.0, True), (8, 0.0, False)])
def test_sixty_steps_are_those_of_batchnorm2d(kernels, batch, momentum, pooled):
    call, x, steps = kernels("batchnorm"), stream("training").double(), 60
    which, shown = order(192), x.mean((2, 3), keepdim=True) if pooled else x
    bn = nn.BatchNorm2d(3, momentum=momentum).double()
    means, variances, batches = [bn.running_mean.clone()], [bn.running_var.clone()], []
    for part in which[:batch * steps].split(batch):
        bn(shown[part])
        means.append(bn.running_mean.clone()), variances.append(bn.running_var.clone()), batches.append(shown[part])
    settings = {"batch": batch, "momentum": momentum, "steps": steps, "pooled": pooled}
    for channel in range(3):
        got = call("run", x.flatten().tolist(), 3, 16, channel, which.tolist(), settings)
        close(got["mean"], torch.stack(means)[:, channel])
        close(got["variance"], torch.stack(variances)[:, channel])
        close([b["biased"] for b in got["batches"]], torch.stack([b[:, channel].var(unbiased=False) for b in batches]))
        close([b["unbiased"] for b in got["batches"]], torch.stack([b[:, channel].var() for b in batches]))


@pytest.mark.parametrize("eps, gamma, beta", [(1e-5, 1, 0), (0.1, 2.5, -1.5), (1e-3, 0, 3)])
def test_both_outputs_are_those_of_batchnorm2d(kernels, eps, gamma, beta):
    call, x = kernels("batchnorm"), stream("dimmed").double()[:5, 1:2]
    bn = nn.BatchNorm2d(1, eps=eps).double()
    bn.weight.data.fill_(gamma), bn.bias.data.fill_(beta)
    settings, values = {"eps": eps, "gamma": gamma, "beta": beta}, x.flatten().tolist()
    batch = call("moments", values)
    close(call("normalise", values, batch["mean"], batch["biased"], settings), bn(x).detach().flatten())
    bn.eval()
    running = bn.running_mean.item(), bn.running_var.item()
    close(call("normalise", values, *running, settings), bn(x).detach().flatten())


def test_the_histogram_is_torchs_and_counts_what_lies_beyond(kernels):
    x = torch.randn(500, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.histc(x.clamp(-2, 2 - 1e-9), 16, -2, 2) / 500
    close(kernels("batchnorm")("histogram", x.tolist(), 16, -2, 2), expected)


# ---- the code that is shown, and the numbers beside it

@pytest.mark.parametrize("settings", [
    {}, {"batch": 1, "momentum": None, "step": 60, "channel": 2}, {"batch": 2, "pooled": True, "mode": "eval", "source": "dimmed"},
    {"batch": 64, "eps": 0.1, "gamma": 0.5, "beta": -1.5, "channel": 1}, {"mode": "eval", "step": 0}])
def test_the_shown_pytorch_gives_the_shown_numbers(widget_page, settings):
    widget = BatchNormStatistics(**settings)
    page, names = widget_page(widget), {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(page.locator(".dln-code-text").text_content(), names)
    bn, x, y = widget.run()
    assert torch.equal(names["y"], y) and torch.equal(names["bn"].running_var, bn.running_var)
    text = page.locator(".dln-readout").text_content().replace("−", "-")
    c = widget.channel
    shown = [float(v) for v in re.search(r"mean: batch (\S+?)\*?, running ([-\d.]+)", text).groups()]
    assert shown == pytest.approx([x[:, c].mean().item(), bn.running_mean[c].item()], abs=6e-4)
    shown = [float(v) for v in re.search(r"variance: batch ([\d.]+)\*?, unbiased ([\d.]+), running ([\d.]+)", text).groups()]
    assert shown == pytest.approx([x[:, c].var(unbiased=False).item(), x[:, c].var().item(), bn.running_var[c].item()], abs=6e-4)
    shown = [float(v) for v in re.search(r"y: mean ([-\d.]+), variance ([\d.]+)", text).groups()]
    assert shown == pytest.approx([y[:, c].mean().item(), y[:, c].var(unbiased=False).item()], abs=6e-4)


def test_the_shown_pytorch_for_own_activations(widget_page):
    x = torch.randn(30, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    widget, names = BatchNormStatistics(x, batch=8, mode="eval", momentum=0.37), {"training": x, "evaluation": x}
    page = widget_page(widget)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(page.locator(".dln-code-text").text_content(), names)
    torch.testing.assert_close(names["y"], widget.run()[2], atol=1e-3, rtol=0)      # the page has 16 bits
    assert page.get_by_label("momentum").get_attribute("aria-valuetext") == "0.37"


def test_the_shown_pytorch_for_a_layer_of_any_network(widget_page):
    torch.manual_seed(0)
    net, x, z = resnet18(num_classes=4), torch.rand(12, 3, 32, 32), torch.rand(8, 3, 32, 32)
    widget, names = BatchNormStatistics(x, z, model=net, layer="layer2.0.bn1", mode="eval"), {"model": net, "training": x, "evaluation": z}
    page = widget_page(widget)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(page.locator(".dln-code-text").text_content(), names)
    torch.testing.assert_close(names["y"], widget.run()[2], atol=1e-3, rtol=0)      # the page has 16 bits
    assert "eval(), in front of layer2.0.bn1, channel 0" in page.locator(".dln-readout").text_content()


def test_one_value_per_channel_is_the_error_of_pytorch(widget_page):
    widget = BatchNormStatistics(batch=1, pooled=True)
    page, spoken = widget_page(widget), io.StringIO()
    with pytest.raises(ValueError) as error:
        widget.run()
    text = page.locator(".dln-readout").text_content()
    assert str(error.value) in text
    with contextlib.redirect_stdout(spoken):
        exec(page.locator(".dln-code-text").text_content(), {})
    assert spoken.getvalue().strip() == str(error.value)
    page.get_by_role("radio", name="eval()").check()
    wait_for(page, "after 0 training batches: 1 × 1 = 1 value")


# ---- input

def wait_for(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


def test_the_keyboard_steps_and_changes_the_batch(widget_page):
    page = widget_page(BatchNormStatistics())
    page.keyboard.press("Tab")
    curves = page.locator(".dln-picture [tabindex='0']")
    assert curves.evaluate("node => node === document.activeElement")
    for key, text in [("ArrowRight", "training batch 25: 4 × 16"), ("ArrowUp", "training batch 25: 8 × 16"),
                      ("ArrowDown", "training batch 25: 4 × 16"), ("Shift+ArrowLeft", "training batch 15"),
                      ("Home", "training batch 1:"), ("End", "training batch 60:")]:
        page.keyboard.press(key)
        wait_for(page, text)
    assert curves.get_attribute("aria-valuenow") == "60" and "training batch 60" in curves.get_attribute("aria-valuetext")
    page.get_by_role("radio", name="eval()").check()
    curves.press("ArrowRight")
    wait_for(page, "evaluation batch 2 (held-out) after 60 training batches")


def test_the_running_statistics_rest_in_evaluation(widget_page):
    page = widget_page(BatchNormStatistics(mode="eval"))
    running = r"running (\S+?)\*"
    before = re.findall(running, page.locator(".dln-readout").text_content())
    page.get_by_role("button", name="Next batch").click()
    wait_for(page, "evaluation batch 2")
    assert re.findall(running, page.locator(".dln-readout").text_content()) == before and len(before) == 2
    page.get_by_role("radio", name="dimmed").check()
    wait_for(page, "(dimmed)")
    assert float(re.search(r"y: mean (\S+),", page.locator(".dln-readout").text_content())[1]) > 0.5


def test_every_control_changes_the_readout_and_the_code(widget_page):
    page = widget_page(BatchNormStatistics())
    for label, key in [("Training batches", "ArrowRight"), ("Batch size", "ArrowRight"), ("momentum", "End"),
                       ("γ (weight)", "ArrowRight"), ("β (bias)", "ArrowRight"), ("eps", "End")]:
        before = page.locator(".dln-readout").text_content(), page.locator(".dln-code-text").text_content()
        page.get_by_label(label).press(key)
        page.wait_for_function("""([a, b]) => document.querySelector('.dln-readout').textContent !== a
                                  && document.querySelector('.dln-code-text').textContent !== b""", arg=list(before), timeout=8000)
    assert "momentum=None" in page.locator(".dln-code-text").text_content()
    page.get_by_role("radio", name="2", exact=True).check()
    wait_for(page, "channel 2")
    page.get_by_role("checkbox").check()
    wait_for(page, "8 × 1 = 8 values")


def test_dragging_over_the_curves_steps(widget_page):
    page = widget_page(BatchNormStatistics())
    box = page.locator(".dln-picture [tabindex='0']").bounding_box()
    at = lambda step: (box["x"] + 46 + (box["width"] - 56) * step / 71, box["y"] + 60)  # noqa: E731
    page.mouse.move(*at(10))
    page.mouse.down()
    page.mouse.move(*at(40))
    wait_for(page, "training batch 40:")
    page.mouse.up()
    page.get_by_role("radio", name="eval()").check()
    page.mouse.click(*at(44))
    wait_for(page, "evaluation batch 4 (held-out) after 40")
    page.mouse.click(*at(20))
    wait_for(page, "after 20 training batches")


def test_a_finger_steps_too(widget_page):
    page = widget_page(BatchNormStatistics(), viewport={"width": 320, "height": 900}, has_touch=True, is_mobile=True)
    curves = page.locator(".dln-picture [tabindex='0']")
    curves.scroll_into_view_if_needed()
    box = curves.bounding_box()
    page.touchscreen.tap(box["x"] + 46 + (box["width"] - 56) * 50 / 71, box["y"] + 60)
    wait_for(page, "training batch 50:")


def test_with_a_kernel_another_layer_can_be_asked_for(widget_page):
    page, widget = widget_page(BatchNormStatistics(channel=2)), BatchNormStatistics(channel=2)
    assert page.get_by_label("Layer").count() == 0
    go_live(page, "batchnorm")
    live = page.locator("#live")
    live.get_by_label("Layer").select_option("stages.3.norm")
    message = page.evaluate("live.sent.at(-1)")
    assert message == {"type": "layer", "name": "stages.3.norm"}
    widget.handle(message)
    state = {name: list(value) if isinstance(value, bytes) else value for name, value in widget.get_state().items() if not name.startswith("_")}
    page.evaluate("""(state) => { for (const [name, value] of Object.entries(state)) {
      live.state[name] = Array.isArray(value) && typeof live.state[name] === "string" ? Uint8Array.from(value) : value; }
      live.fire("change:revision"); }""", {k: v for k, v in state.items() if k not in ("layout", "tabbable", "tooltip")})
    page.wait_for_function("document.querySelector('#live .dln-readout').textContent.includes('in front of stages.3.norm, channel 2')")
    names = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(live.locator(".dln-code-text").text_content(), names)
    assert 'stream("training", "stages.3.norm")' in live.locator(".dln-code-text").text_content()
    assert torch.equal(names["y"], widget.run()[2])
    shown = re.search(r"mean: batch (\S+?)\*?, ", live.locator(".dln-readout").text_content().replace("−", "-"))[1]
    assert float(shown) == pytest.approx(widget.run()[1][:, 2].mean().item(), abs=6e-4)


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(BatchNormStatistics(mode="eval", source="dimmed"), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_the_page_follows_the_theme(widget_page):
    page = widget_page(BatchNormStatistics())
    corner = """() => [...document.querySelector("canvas").getContext("2d").getImageData(60, 40, 1, 1).data].slice(0, 3)"""
    light = page.evaluate(corner)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => String(({corner})()) !== before", arg=",".join(map(str, light)))
