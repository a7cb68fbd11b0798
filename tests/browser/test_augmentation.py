"""AugmentationExplorer in a real browser: its sampling equals F.grid_sample, and everything can be reached."""

import json
import re

import pytest
import torch
import torch.nn.functional as F
from axe_core_python.sync_playwright import Axe

from dlnotes.libraries import torchvision  # noqa: F401  (before its parts)
from dlnotes.widgets.augmentation import MODES, AugmentationExplorer, affine, move

pytestmark = pytest.mark.browser

PLAIN = {"rotate": 0, "scale": 1, "right": 0, "down": 0, "crop": 128, "brightness": 1, "blur": 0, "flip": False,
         "mode": "synchronized"}
DRAWS = [{}, {"rotate": 25, "scale": 1.2, "right": 8}, {"rotate": -77, "scale": 0.6, "down": -20, "flip": True, "crop": 96},
         {"rotate": 90, "crop": 32}]


def noise(h: int = 128, w: int = 128, seed: int = 0) -> torch.Tensor:
    return torch.rand(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensor(values, *shape: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.dln-readout').textContent.includes(text)", arg=text, timeout=8000)


# ---- kernels

@pytest.mark.parametrize("changes", DRAWS)
def test_the_map_is_pythons(kernels, changes):
    s = {**PLAIN, **changes}
    expected = affine(*(s[name] for name in ("rotate", "scale", "right", "down", "flip", "crop")), 128)
    assert kernels("augmentation")("affine", s, 128) == pytest.approx(expected.flatten().tolist(), abs=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("h, w", [(16, 16), (9, 21)])
def test_sampling_is_grid_sample(kernels, mode, h, w):
    call, x = kernels("augmentation"), noise(h, w)
    for seed in range(4):
        theta = torch.eye(2, 3, dtype=torch.float64) + 0.5 * (noise(2, 3, seed) - 0.5)
        grid = F.affine_grid(theta[None], [1, 1, 13, 13], align_corners=False)
        expected = F.grid_sample(x[None, None], grid, mode=mode, align_corners=False)[0, 0]
        got = tensor(call("sample", x.flatten().tolist(), h, w, theta.flatten().tolist(), 13, mode), 13, 13)
        assert (got - expected).abs().max() < 1e-12


def test_halves_go_to_the_even_pixel_as_in_torch(kernels):
    x = torch.arange(64, dtype=torch.float64).reshape(8, 8)
    theta = torch.tensor([[1, 0, 0.125], [0, 1, -0.125]], dtype=torch.float64)          # half a pixel right and up
    expected = move(x, theta, 8, "nearest")
    assert torch.equal(tensor(kernels("augmentation")("sample", x.flatten().tolist(), 8, 8, theta.flatten().tolist(), 8, "nearest"),
                              8, 8), expected)


def test_brightness_and_blur_are_torchvisions(kernels):
    from torchvision.transforms.v2 import functional as v2

    call, x = kernels("augmentation"), noise(20, 20)
    got = tensor(call("brighten", x.flatten().tolist(), 1.6), 20, 20)
    assert (got - v2.adjust_brightness(x[None], 1.6)[0]).abs().max() < 1e-12
    for sigma, taps in ((0.5, 5), (1.5, 11), (2.75, 19)):
        got = tensor(call("blurred", x.flatten().tolist(), 20, sigma), 20, 20)
        assert (got - v2.gaussian_blur(x[None], taps, sigma)[0]).abs().max() < 1e-6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", DRAWS[1:3])
def test_the_whole_augmentation_is_pythons(kernels, mode, changes):
    settings = {**PLAIN, "mode": mode, "brightness": 1.2, "blur": 1.0, **changes}
    widget = AugmentationExplorer(**settings)
    pixels = [v / 255 for v in widget.picture]
    got = kernels("augmentation")("augment", pixels, list(widget.labels), 128, settings, widget.other)
    image, mask, truth = widget.transformed()
    assert (tensor(got["image"], *image.shape) - image).abs().max() < 1e-9
    assert torch.equal(tensor(got["mask"], *mask.shape).long(), mask) and torch.equal(tensor(got["truth"], *mask.shape).long(), truth)
    values, counts = mask.unique(return_counts=True)
    assert got["values"] == [list(pair) for pair in zip(values.tolist(), counts.tolist())]
    assert got["iou"] == pytest.approx(widget.iou())


# ---- the code that is shown

@pytest.mark.parametrize("settings", [{}, {"mode": "synchronized", "flip": True, "blur": 1.0, "crop": 96},
                                      {"mode": "bilinear", "brightness": 0.5}, {"mode": "other draw", "down": -9}])
def test_the_shown_pytorch_runs_and_gives_the_readouts_numbers(widget_page, capsys, settings):
    widget = AugmentationExplorer(**settings)
    page = widget_page(widget)
    names = {}
    exec(page.locator(".dln-code-text").text_content(), names)
    assert f"IoU with the right mask {float(names['iou']):.3f}" in page.locator(".dln-readout").text_content()
    assert torch.equal(names["y"], widget.transformed()[1])
    assert (names["x"] - widget.transformed()[0]).abs().max() < 0.006       # the page has 256 grey values
    values = ", ".join(str(v) for v in names["values"].tolist() if v != -100)
    assert f"values in the mask: {values}" in page.locator(".dln-readout").text_content()


# ---- input

def test_dragging_and_arrows_shift_the_picture(widget_page):
    page = widget_page(AugmentationExplorer(mode="synchronized", right=0))
    after = page.locator(".dln-picture canvas[tabindex]")
    box = after.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 100 + 20 * box["width"] / 128, box["y"] + 100 - 10 * box["height"] / 128)
    page.mouse.up()
    wait_for(page, "shift (20, -10) px")
    after.press("ArrowRight")
    after.press("Shift+ArrowDown")
    wait_for(page, "shift (21, 0) px")
    after.press("Home")
    wait_for(page, "shift (-64, 0) px")
    assert "IoU with the right mask 1.000" in page.locator(".dln-readout").text_content()


def test_the_controls_reach_everything(widget_page):
    page = widget_page(AugmentationExplorer())
    page.get_by_role("radio", name="bilinear").check()
    wait_for(page, "never there before: ")
    page.get_by_label("flip left and right").check()
    wait_for(page, ", flipped")
    page.get_by_label("crop, px").fill("64")
    wait_for(page, "image (1, 64, 64), mask (64, 64)")
    page.get_by_role("radio", name="its own draw").check()
    wait_for(page, "random numbers of its own")
    page.get_by_role("radio", name="not moved").check()
    page.get_by_role("button", name="Nothing changed").click()
    wait_for(page, "its mask did not: IoU with the right mask 1.000")


def test_a_finger_shifts_at_320_pixels(widget_page):
    page = widget_page(AugmentationExplorer(), viewport={"width": 320, "height": 800}, has_touch=True, is_mobile=True)
    page.locator(".dln-picture canvas[tabindex]").evaluate("""node => {
      const box = node.getBoundingClientRect(), at = (type, x) => node.dispatchEvent(new PointerEvent(type, { pointerType: "touch",
        pointerId: 7, clientX: box.x + x, clientY: box.y + 30, button: 0, buttons: 1, pressure: 0.5, bubbles: true }));
      at("pointerdown", 20); at("pointermove", 20 + box.width / 8); }""")
    wait_for(page, "shift (24, 0) px")


# ---- look

@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_is_wider_than_the_page_and_labels_are_readable(widget_page, width):
    page = widget_page(AugmentationExplorer(mode="bilinear"), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        serious = [v for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, json.dumps([(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious])


def test_an_own_picture_is_named_in_the_code(widget_page):
    page = widget_page(AugmentationExplorer(noise(), (noise() > 0.9).long(), mode="bilinear"))
    code = page.locator(".dln-code-text").text_content()
    assert re.search(r"# yours, \(128, 128\)", code)
    compile(code, "augmentation", "exec")
