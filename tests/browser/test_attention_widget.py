"""AttentionExplorer in a real browser: kernels equal to PyTorch, every way to point, what it says, how fast it paints."""

import json
import math
import re

import pytest
import torch
from axe_core_python.sync_playwright import Axe
from torch import nn

from dlnotes.attention import attention_rollout
from dlnotes.models import create
from dlnotes.widgets import AttentionExplorer

pytestmark = pytest.mark.browser
PICTURE, MAP, ALL = (f'.dln-attention-{name} canvas[role="application"]' for name in ("query", "map", "all"))


@pytest.fixture(scope="module")
def vit():
    """The small ViT with fresh weights, its scores enlarged so that heads differ."""
    torch.manual_seed(0)
    model = create("vit_digits").eval()
    for block in model.blocks:
        block.attn.qkv.weight.data *= 6
    return model


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def widget(vit, images):
    return AttentionExplorer(vit, images, layer=1, head=2, query=(3, 4))


class Plain(nn.Module):
    """Self-attention over patches of 4 × 4 pixels without a class token, then over every fourth of them."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.first, self.late = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))

    def forward(self, x):
        x = self.embed(x).flatten(2).mT                                     # b n 8
        x = self.first(x, x, x)[0][:, ::4]                                  # b n/4 8
        return self.late(x, x, x)[0]


def said(page):
    page.wait_for_timeout(60)       # two frames
    return page.inner_text(".dln-readout").replace("\u00a0", " ")


def close(got, want, tolerance=1e-5):
    got, want = torch.tensor(got, dtype=torch.float64), torch.as_tensor(want, dtype=torch.float64)
    assert got.shape == want.shape
    assert ((got - want).abs() <= tolerance * want.abs() + 1e-15).all()


# -- kernels against PyTorch, in float64

@pytest.mark.parametrize("seed", range(3))
def test_kernels_agree_with_pytorch(kernels, seed):
    call, random = kernels("attention"), torch.Generator().manual_seed(seed)
    n, layers, factor = 5 + 9 * seed, 2 + seed, (1.0, 0.125, 8.0)[seed]
    codes = torch.randint(0, 65535, (n,), generator=random)
    step = 0.0013 * (seed + 1)
    scores = -step * codes.double()
    close(call("dequantise", codes.tolist(), step, 65535), scores)
    close(call("softmaxRow", scores.tolist(), factor), (factor * scores).softmax(-1))
    far = 700 * torch.randn(n, generator=random, dtype=torch.float64) + 5000       # overflows without the subtraction
    close(call("softmaxRow", far.tolist(), factor), (factor * far).softmax(-1))
    weights = torch.randn(layers, 3, n, n, generator=random, dtype=torch.float64).mul(2).softmax(-1)
    close(call("entropy", weights[0, 0, 0].tolist()), -(weights[0, 0, 0] * weights[0, 0, 0].log2()).sum())
    close(call("mean", weights[0, :, 0].tolist()), weights[0, :, 0].mean(0))
    averaged = [w.mean(0).flatten().tolist() for w in weights]
    close(call("rollout", averaged, n), attention_rollout(list(weights)).flatten())
    close(call("rolloutRow", averaged, n, n - 1), attention_rollout(list(weights))[n - 1])
    values = torch.rand(n, generator=random)
    assert call("largest", values.tolist(), 3) == values.topk(3).indices.tolist()


def test_masked_keys_get_nothing(kernels, page):
    call = kernels("attention")
    run = """(codes) => {
      const { dequantise, softmaxRow } = dlnotes.modules.attention.kernels;
      return [...softmaxRow(dequantise(codes, 0.5, 255))]; }"""
    close(page.evaluate(run, [0, 255, 10]), torch.tensor([0.0, -math.inf, -5.0], dtype=torch.float64).softmax(-1))
    assert page.evaluate(run, [255, 255]) == [0, 0]
    assert call("entropy", [0, 1, 0]) == 0 and call("entropy", [0.25] * 4) == 2


# -- pointing

def test_click_drag_arrows_and_button_choose_the_query(widget_page, widget):
    page = widget_page(widget)
    assert said(page).startswith("query row 3, column 4 · layer 1, head 2 · scale × 1")
    box = page.locator(PICTURE).bounding_box()
    at = lambda row, column: (box["x"] + (column + 0.5) * box["width"] / 8, box["y"] + (row + 0.5) * box["height"] / 8)
    page.mouse.click(*at(6, 1))
    assert said(page).startswith("query row 6, column 1 ")
    page.mouse.move(*at(6, 1))
    page.mouse.down()
    page.mouse.move(*at(2, 5), steps=4)
    page.mouse.up()
    assert said(page).startswith("query row 2, column 5 ")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert said(page).startswith("query row 1, column 4 ")
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith("query row 1, column 7 ")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert said(page).startswith("query class token ")
    assert page.get_by_role("button", name="class token").get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowDown")
    assert said(page).startswith("query row 0, column ")
    page.get_by_role("button", name="class token").click()
    assert said(page).startswith("query class token ")


def test_touch_chooses_query_and_key(widget_page, widget):
    page = widget_page(widget, viewport={"width": 320, "height": 900}, has_touch=True, is_mobile=True)
    for selector, row, column, says in ((PICTURE, 5, 2, "query row 5, column 2 "), (MAP, 0, 7, "key (0, 7): ")):
        box = page.locator(selector).bounding_box()
        page.touchscreen.tap(box["x"] + (column + 0.5) * box["width"] / 8, box["y"] + (row + 0.5) * box["height"] / 8)
        assert says in said(page)
    box = page.locator(ALL).bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.95, box["y"] + box["height"] * 0.95)
    assert "rollout through layers 0 to 3" in said(page)


def test_the_map_tells_the_weight_of_the_key_under_the_pointer(widget_page, widget):
    page = widget_page(widget)
    box = page.locator(MAP).bounding_box()
    weights = widget.weights()
    page.mouse.move(box["x"] + 0.5 * box["width"] / 8, box["y"] + 2.5 * box["height"] / 8)
    assert f"key (2, 0): {100 * weights[1 + 16]:.1f} %" in said(page)
    page.mouse.move(box["x"] - 20, box["y"])
    assert "point at the map" in said(page)
    page.focus(MAP)
    page.keyboard.press("ArrowLeft")                   # begins at the query
    page.keyboard.press("ArrowLeft")
    assert f"key (3, 3): {100 * weights[1 + 27]:.1f} %" in said(page)
    page.keyboard.press("Escape")
    assert "point at the map" in said(page)


def test_layer_head_and_view_have_controls_of_their_own_and_all_maps_choose_too(widget_page, widget):
    page = widget_page(widget)
    page.get_by_role("group", name="layer").get_by_label("3").check()
    page.get_by_role("group", name="head").get_by_label("mean").check()
    assert "layer 3, mean of heads" in said(page)
    page.focus(ALL)
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    assert "layer 2, head 2" in said(page)
    assert page.get_by_role("group", name="layer").get_by_label("2").is_checked()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert "rollout through layers 0 to 2" in said(page)
    assert page.get_by_role("group", name="head").get_by_label("0").is_disabled()
    page.get_by_role("group", name="view").get_by_label("attention").check()
    assert "layer 2, mean of heads" in said(page)


# -- what it says

def numbers(page):
    """The row that the page shows, in the order of the tokens."""
    page.get_by_label("the row as numbers").check()
    page.wait_for_timeout(60)
    return torch.tensor([float(text) for text in page.locator(".dln-attention-numbers tbody td").all_inner_texts()])


@pytest.mark.parametrize("state", [
    {}, {"head": -1}, {"factor": 0.5}, {"factor": 24**0.5, "query": 0}, {"view": "rollout", "layer": 3},
    {"view": "rollout", "layer": 1, "factor": 4.0}, {"picture": 2, "layer": 0}])
def test_the_row_as_numbers_is_the_row_of_python_and_of_the_code_shown(widget_page, vit, images, state):
    widget = AttentionExplorer(vit, images, layer=1, head=2, query=(3, 4))
    for name, value in state.items():
        setattr(widget, name, value)
    page = widget_page(widget)
    row = numbers(page)
    assert (row - 100 * widget.weights()).abs().max() <= 0.0501
    scope = {"model": vit, "images": images, "print": lambda *_: None}
    exec(page.locator(".dln-code-text").text_content(), scope)
    assert torch.allclose(scope["row"], widget.weights(), atol=1e-5)


def test_the_readout_gives_entropy_and_the_largest_weights(widget_page, widget):
    page = widget_page(widget)
    row = widget.weights().double()
    bits = -(row * row.log2()).sum()
    text = said(page)
    assert f"entropy {bits:.2f} of 6.02 bits, like {2**bits:.1f} equal keys of 65" in text
    name = lambda t: f"({(t - 1) // 8}, {(t - 1) % 8})" if t else "class token"
    assert "most: " + ", ".join(f"{name(t)} {100 * row[t]:.1f} %" for t in row.topk(3).indices.tolist()) in text
    assert f"class token {100 * row[0]:.1f} % · itself {100 * row[29]:.1f} %" in text


def test_the_scale_acts_at_once_and_knows_the_width_of_a_head(widget_page, widget):
    page = widget_page(widget)
    entropy = lambda: float(re.search(r"entropy ([\d.]+)", said(page))[1])
    trained = entropy()
    page.get_by_role("button", name="without √d").click()
    assert "scale × 4.90" in said(page) and entropy() < trained
    page.get_by_role("button", name="as trained").click()
    assert entropy() == trained
    slider = page.get_by_label("scale: 1/√24 ×")
    slider.press("Home")
    assert "scale × 0.13" in said(page) and entropy() > trained


def test_another_model_without_class_token_and_with_wide_pictures(widget_page):
    torch.manual_seed(0)
    page = widget_page(AttentionExplorer(Plain(), torch.rand(1, 3, 16, 32)))
    assert "Shown are 1 of 2 recorded attentions" in page.inner_text(".dln-picture")
    assert "layer 0 (first), head 0" in said(page)
    assert page.get_by_role("button", name="class token").count() == 0
    box = page.locator(PICTURE).bounding_box()
    assert abs(box["width"] / box["height"] - 2) < 0.02
    page.mouse.click(box["x"] + box["width"] * 0.99, box["y"] + box["height"] * 0.99)
    assert said(page).startswith("query row 3, column 7 ")


def test_layers_that_are_not_on_the_page_are_disabled_and_rollout_still_works(widget_page, vit, images):
    widget = AttentionExplorer(vit, images, layer=1, budget=80_000)
    page = widget_page(widget)
    kept = {layer for _, layer in widget.blocks}
    assert len(kept) < 4
    group = page.get_by_role("group", name="layer")
    assert {layer for layer in range(4) if group.get_by_label(str(layer)).is_enabled()} == kept
    assert "On this page: scores of layers" in page.inner_text(".dln-picture")
    widget.layer = 1
    page.get_by_role("group", name="view").get_by_label("rollout").check()
    assert "rollout through layers 0 to 3" in said(page)
    row = numbers(page)
    exact = attention_rollout(list(widget._seen[0]["scores"].softmax(-1)))[widget.query]
    assert (row - 100 * exact).abs().max() <= 0.06


def test_with_a_kernel_other_pictures_and_layers_are_offered(widget_page, vit, images):
    """A stand-in kernel answers hello; the page then asks it, and shows what it sends."""
    few = AttentionExplorer(vit, images[:1], layer=1, budget=60_000)
    page = widget_page(few)
    page.evaluate("""async () => {
      const saved = JSON.parse(document.querySelector('script[type$="widget-state+json"]').textContent).state;
      const entry = Object.values(saved)[0], data = { ...entry.state };
      for (const b of entry.buffers) data[b.path[0]] = b.data;              // as base64, as some hosts give them
      const listeners = {}, sent = (window.sent = []), fire = (e, ...a) => (listeners[e] || []).forEach((f) => f(...a));
      window.kernel = {
        get: (n) => data[n], set(n, v) { data[n] = v; fire(`change:${n}`); },
        on(e, f) { (listeners[e] ||= []).push(f); }, off() {}, save_changes() { sent.push("saved"); },
        send(m) { sent.push(m.type); if (m.type === "hello") setTimeout(() => fire("msg:custom", { type: "hello" })); },
      };
      data.more = true;
      const el = document.createElement("div");
      el.id = "live";
      el.className = "dln";
      document.body.replaceChildren(el);
      dlnotes.modules.attention.render({ model: window.kernel, el });
      await new Promise((r) => setTimeout(r, 100));
    }""")
    group = page.locator("#live").get_by_role("group", name="layer")
    assert all(group.get_by_label(str(layer)).is_enabled() for layer in range(4))
    page.get_by_role("button", name="another picture").click()
    absent = next(layer for layer in range(4) if [0, layer] not in few.blocks)
    group.get_by_label(str(absent)).check()
    page.wait_for_timeout(100)
    assert page.evaluate("[sent.filter((m) => m !== 'saved'), sent.includes('saved')]") == [["hello", "picture"], True]
    assert f"layer {absent} is not on this page" in said(page)
    few.layer = absent                                                     # what the kernel does when it hears of it
    page.evaluate("""([blocks, steps, scores]) => { kernel.set("blocks", blocks); kernel.set("steps", steps);
      kernel.set("scores", Uint8Array.from(scores)); kernel.set("revision", 99); }""",
      [few.blocks, few.steps, list(few.scores)])
    assert f"layer {absent}, head 0" in said(page)


# -- how it looks and feels

@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_and_axe_finds_nothing(widget_page, widget, width, scheme):
    page = widget_page(widget, viewport={"width": width, "height": 900}, color_scheme=scheme)
    numbers(page)
    page.locator("summary").click()
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate("""() => [...document.querySelectorAll(".dln-widget :is(canvas, button, select, label, output)")]
      .filter((n) => n.getBoundingClientRect().right > innerWidth + 1).map((n) => n.outerHTML)""")
    assert cut == []
    found = Axe().run(page, context=".dln-widget")["violations"]
    assert json.dumps([{"id": v["id"], "nodes": [n["html"][:120] for n in v["nodes"]]} for v in found]) == "[]"
