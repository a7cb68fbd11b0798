"""ScalingLab in a real browser: softmax and its Jacobian as in torch, the spread of the scores as in theory, every control."""

import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe

from dlnotes.widgets.scaling import ScalingLab

pytestmark = pytest.mark.browser


def measures(weights):
    jacobian = torch.diag_embed(weights) - weights[..., :, None] * weights[..., None, :]
    entropy = -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(weights.shape[-1], dtype=weights.dtype))
    return {"largest": weights.max(-1).values, "entropy": entropy, "jacobian": jacobian.flatten(-2).norm(dim=-1)}


def test_softmax_and_measures_are_torchs(kernels):
    call, generator = kernels("scaling"), torch.Generator().manual_seed(0)
    for scale in (0.1, 1, 30):
        scores = scale * torch.randn(48, 16, generator=generator, dtype=torch.float64)
        weights = torch.tensor(call("softmax", scores[0].tolist()), dtype=torch.float64)
        assert torch.allclose(weights, scores[0].softmax(-1), atol=1e-14)
        for name, value in call("measures", weights.tolist()).items():
            assert abs(value - measures(weights)[name].item()) < 1e-9, name
        got = call("means", scores.flatten().tolist(), 2.0)
        for name, value in measures((scores / 2).softmax(-1)).items():
            assert abs(got[name] - value.mean().item()) < 1e-9, name
        assert abs(got["spread"] - (scores / 2).square().mean().sqrt().item()) < 1e-12


def test_the_spread_of_the_drawn_scores_is_the_square_root_of_the_width(kernels):
    call = kernels("scaling")
    spreads = torch.tensor([call("spreads", seed) for seed in range(1, 9)]).square().mean(0).sqrt()
    assert torch.allclose(spreads, torch.tensor([2.0**p for p in range(1, 11)]).sqrt(), rtol=0.1)


def readout(page):
    return page.locator(".dln-readout").inner_text()


def test_keyboard_pointer_and_controls_reach_everything(widget_page):
    page = widget_page(ScalingLab())
    bars, chart = page.locator("canvas").all()
    bars.focus()
    page.keyboard.press("ArrowRight")
    assert "Key 1:" in readout(page)
    page.keyboard.press("End")
    assert "Key 15:" in readout(page)
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert readout(page).startswith("d = 128, ")
    page.keyboard.press("Home")
    assert readout(page).startswith("d = 2, ")
    box = chart.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 16, box["y"] + 60)
    assert readout(page).startswith("d = 1024, ")
    before = float(re.search(r"Jacobian norm ([\d]+\.\d+)", readout(page)).group(1))
    page.get_by_role("radio", name="÷ √d").check(force=True)
    after = float(re.search(r"Jacobian norm ([\d]+\.\d+)", readout(page)).group(1))
    assert "divided by √d" in readout(page) and after > 4 * before
    text = readout(page)
    page.get_by_role("button", name="Draw again").click()
    assert readout(page) != text


def test_the_shown_code_gives_the_weights_of_this_query(widget_page, capsys):
    page = widget_page(ScalingLab(64, "root"))
    page.locator(".dln-code summary").click()
    exec(page.locator(".dln-code-text").inner_text(), {})
    largest = float(re.search(r"tensor\(([\d.]+)\)", capsys.readouterr().out).group(1))
    assert f"This query: largest weight {largest:.2f}" in readout(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_narrow_screen(widget_page, scheme):
    page = widget_page(ScalingLab(), viewport={"width": 320, "height": 700}, color_scheme=scheme)
    assert not [v["id"] for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
