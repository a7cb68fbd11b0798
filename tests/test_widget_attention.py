"""AttentionExplorer in Python: what it records, what it ships, what it refuses. Nothing here depends on trained weights."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from traitlets import TraitError

from dlnotes.capture import record
from dlnotes.models import create
from dlnotes.widgets import AttentionExplorer, _bundle
from dlnotes.widgets.attention import _quantise, _tile


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return create("vit_digits")


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def widget(vit, images):
    return AttentionExplorer(vit, images, layer=1, head=2, query=(3, 4), labels=[5, 7])


def shipped(widget, slot, layer):
    """Scores (heads, n, n) as the page reads them: less the largest of their row."""
    n = widget.prefix + math.prod(widget.grid)
    kind, top = ("<u2" if widget.bits == 16 else "u1"), 2**widget.bits - 1
    codes = np.frombuffer(widget.scores, kind).reshape(len(widget.blocks), widget.heads, n, n)
    block = widget.blocks.index([slot, layer])
    codes = torch.from_numpy(codes[block].astype("int64"))
    steps = torch.tensor(widget.steps[block * widget.heads:(block + 1) * widget.heads], dtype=torch.float64)
    return (-steps[:, None, None] * codes).masked_fill(codes == top, -math.inf)


def test_it_describes_the_model_and_ships_every_layer_of_every_picture(widget, images):
    assert repr(widget) == "AttentionExplorer(2 pictures, 8×8 patches, 4 layers, 4 heads)"
    assert (widget.grid, widget.prefix, widget.width) == ([8, 8], 1, 24)
    assert [layer["name"] for layer in widget.layers] == [f"blocks.{i}.attn" for i in range(4)]
    assert widget.blocks == [[p, layer] for p in range(2) for layer in range(4)]
    assert (widget.layer, widget.head, widget.query) == (1, 2, 1 + 3 * 8 + 4)
    pixels = np.frombuffer(widget.pictures, np.uint8).reshape(2, 64, 64, 3)
    assert np.array_equal(pixels[1, :, :, 2], (255 * images[1, 0]).round().byte().numpy())


def test_shipped_scores_give_the_recorded_weights(widget, vit, images):
    vit.eval()
    with torch.no_grad(), record(vit, attention=True) as seen:
        vit(images)
    vit.train()
    for slot in range(2):
        for layer in range(4):
            exact = seen.attention[layer].weights[slot].double()
            assert torch.allclose(shipped(widget, slot, layer).softmax(-1), exact, rtol=1e-3, atol=1e-7)
    assert torch.allclose(widget.weights(), seen.attention[1].weights[0, 2, 29], atol=1e-6)


def test_the_model_is_left_as_it_was(vit, images):
    vit.train()
    vit.blocks[0].eval()
    modes = [module.training for module in vit.modules()]
    AttentionExplorer(vit, images)
    assert [module.training for module in vit.modules()] == modes
    assert all(p.grad is None for p in vit.parameters())
    vit.train()


def test_captions_say_what_the_output_was(widget, vit, images):
    vit.eval()
    with torch.no_grad():
        top, which = vit(images).softmax(-1).max(-1)
    vit.train()
    assert widget.captions == [f"largest output: {c} ({round(100 * p)} % after softmax), true {t}"
                               for p, c, t in zip(top.tolist(), which.tolist(), [5, 7])]


def test_state_is_json_without_nan(widget):
    state = {k: v for k, v in widget.get_state().items() if not isinstance(v, (bytes, memoryview)) and k != "layout"}
    json.dumps(state, allow_nan=False)


def test_query_may_be_the_class_token_and_head_the_mean(vit, images):
    widget = AttentionExplorer(vit, images, query="class", head="mean")
    assert (widget.query, widget.head) == (0, -1)
    assert widget.weights().shape == (65,)
    assert abs(float(widget.weights().sum()) - 1) < 1e-5


def test_rollout_is_that_of_the_attention_package(vit, images):
    from dlnotes.attention import attention_rollout

    widget = AttentionExplorer(vit, images, layer=3, query=(2, 2))
    widget.view = "rollout"
    vit.eval()
    with torch.no_grad(), record(vit, attention=True) as seen:
        vit(images)
    vit.train()
    exact = attention_rollout([a.weights for a in seen.attention])[0, 1 + 2 * 8 + 2]
    assert torch.allclose(widget.weights(), exact, atol=1e-5)


def test_masked_keys_and_fully_masked_rows_survive_the_rounding():
    scores = torch.tensor([[[0.0, -math.inf, 2.0], [-math.inf] * 3, [5.0, 5.0, -4.0]]])
    codes, (step,) = _quantise(scores, 16)
    codes = np.frombuffer(codes, "<u2").reshape(3, 3)
    assert codes[0, 1] == 65535 and (codes[1] == 65535).all() and codes[0, 2] == 0
    assert abs(-step * codes[0, 0] + 2) < 1e-3 and abs(-step * int(codes[2, 2]) + 9) < 1e-3


def test_eight_bits_keep_weights_within_five_percent():
    scores = 4 * torch.randn(3, 50, 50, generator=torch.Generator().manual_seed(0))
    codes, steps = _quantise(scores, 8)
    codes = torch.from_numpy(np.frombuffer(codes, "u1").reshape(3, 50, 50).astype("float64"))
    weights, exact = (-torch.tensor(steps)[:, None, None] * codes).softmax(-1), scores.double().softmax(-1)
    seen = exact > 1e-4
    assert ((weights - exact).abs() / exact)[seen].max() < 0.1 and (weights - exact).abs().max() < 0.05


# -- models that are not ours

class Plain(nn.Module):
    """One self-attention over 4 × 4 pixels patches without a class token, and a later one over pooled tokens."""

    def __init__(self, prefix=0, window=False):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.prefix = nn.Parameter(torch.randn(1, prefix, 8))
        self.first, self.second = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))
        self.late = nn.MultiheadAttention(8, 2, batch_first=True)
        self.window = window

    def forward(self, x):
        x = self.embed(x).flatten(2).mT                                     # b n 8
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], 1)           # b p+n 8
        if self.window:
            x = x.reshape(-1, x.shape[1] // 2, 8)                           # 2b n/2 8
            return self.first(x, x, x)[0]
        x = self.first(x, x, x)[0]
        x = self.second(x, x, x)[0]
        x = x[:, ::4]                                                       # b n/4 8
        return self.late(x, x, x)[0]


def test_it_keeps_the_largest_consistent_group_and_says_so():
    torch.manual_seed(0)
    widget = AttentionExplorer(Plain(), torch.rand(2, 3, 32, 16))
    assert (widget.grid, widget.prefix, widget.heads, widget.width) == ([8, 4], 0, 2, 4)
    assert [layer["name"] for layer in widget.layers] == ["first", "second"]
    assert widget.note == ("Shown are 2 of 3 recorded attentions, and rollout knows only these; "
                           "others had shapes (2, 2, 8, 8).")
    assert widget.captions == ["", ""]


def test_an_ambiguous_grid_is_an_error_with_its_remedy():
    torch.manual_seed(0)
    model, images = Plain(prefix=3), torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"got 19 tokens with prefix_tokens=None.*pass prefix_tokens= and grid="):
        AttentionExplorer(model, images)
    assert AttentionExplorer(model, images, prefix_tokens=3).grid == [4, 4]
    assert AttentionExplorer(model, images, grid=(2, 8)).prefix == 3
    with pytest.raises(ValueError, match="correct grid or prefix_tokens"):
        AttentionExplorer(model, images, prefix_tokens=1, grid=(4, 4))


def test_a_declared_prefix_is_taken():
    torch.manual_seed(0)
    model = Plain(prefix=2)
    model.num_prefix_tokens = 2
    assert AttentionExplorer(model, torch.rand(1, 3, 16, 16)).prefix == 2


@pytest.mark.parametrize("tokens, size, found", [
    (65, (64, 64), (1, (8, 8))), (64, (64, 64), (0, (8, 8))), (197, (224, 224), (1, (14, 14))),
    (257, (224, 224), (1, (16, 16))), (129, (64, 128), (1, (8, 16))), (128, (128, 64), (0, (16, 8))),
    (10, (30, 30), (1, (3, 3)))])
def test_tiling(tokens, size, found):
    assert _tile(tokens, size, None, None) == found


def test_windows_are_refused():
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"over the whole picture, with b=1, got \[\(2, 2, 8, 8\)\].*windows"):
        AttentionExplorer(Plain(window=True), torch.rand(1, 3, 16, 16))


def test_over_budget_fewer_layers_are_kept_and_python_answers_for_the_rest(vit, images):
    widget = AttentionExplorer(vit, images, layer=1, budget=120_000)
    assert widget.bits == 8 and len(widget.blocks) < 8 and [0, 1] in widget.blocks
    kept = sorted({layer for _, layer in widget.blocks})
    assert f"scores of layers {', '.join(map(str, kept))} of 4" in widget.omitted
    assert len(widget.pictures) + len(widget.scores) + len(widget.rollouts) <= 120_000
    rolled = np.frombuffer(widget.rollouts, "<u2").reshape(-1, 65, 65)[0] * widget.rollout_steps[0]
    assert np.allclose(rolled.sum(-1), 1, atol=1e-3)
    absent = next(layer for layer in range(4) if layer not in kept)
    before = widget.revision
    widget.layer = absent
    assert [widget.picture, absent] in widget.blocks and widget.revision == before + 1
    exact = widget._seen[0]["scores"][absent].double().softmax(-1)
    assert torch.allclose(shipped(widget, 0, absent).softmax(-1), exact, atol=0.01)


def test_default_budget_holds_for_a_vit_with_197_tokens():
    torch.manual_seed(0)
    widget = AttentionExplorer(create("deit_tiny", depth=3), torch.rand(2, 3, 224, 224))
    assert widget.grid == [14, 14] and widget.bits == 8
    assert len(widget.pictures) + len(widget.scores) + len(widget.rollouts) <= 700_000


def test_what_does_not_fit_at_all_is_an_error(vit, images):
    with pytest.raises(ValueError, match=r"within budget=20000 bytes, got \d+ .*pass smaller pictures or budget="):
        AttentionExplorer(vit, images, budget=20_000)


def test_another_picture_takes_the_place_of_the_present_one(vit):
    widget = AttentionExplorer(vit)
    before, revision = widget.pictures, widget.revision
    widget.picture = 1
    widget.handle({"type": "picture"})
    side = 64 * 64 * 3
    assert widget.pictures[:side] == before[:side] and widget.pictures[2 * side:] == before[2 * side:]
    assert widget.pictures[side:2 * side] != before[side:2 * side]
    assert widget.revision == revision + 1 and str(widget._shown) in widget.setup
    for nonsense in (None, "picture", {"type": "delete"}, {"type": "picture", "which": 5}):
        widget.handle(nonsense)


def test_pictures_beyond_the_budget_come_one_by_one(vit):
    many = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    widget = AttentionExplorer(vit, many, budget=60_000)
    assert widget.more and "1 of 4 pictures" in widget.omitted and widget.sources == [0]
    widget.handle({"type": "picture"})
    assert widget.sources == [1] and widget.picture == 0


# -- errors

@pytest.mark.parametrize("arguments, error, says", [
    ({"images": [[1.0]]}, TypeError, "expected images to be a tensor"),
    ({"images": torch.rand(1, 64, 64)}, ValueError, r"got \(1, 64, 64\); add the batch axis"),
    ({"images": torch.rand(1, 2, 64, 64)}, ValueError, "1 or 3 channels"),
    ({"images": torch.randn(1, 1, 64, 64)}, ValueError, r"in \[0, 1\].*transform="),
    ({"images": torch.zeros(1, 1, 64, 64, dtype=torch.uint8)}, ValueError, "divide bytes by 255"),
    ({"images": torch.full((1, 1, 64, 64), math.nan)}, ValueError, r"in \[0, 1\]"),
    ({"images": torch.rand(1, 1, 60, 60)}, ValueError, r"expected a model that takes images \(1, 1, 60, 60\)"),
    ({"layer": 4}, ValueError, "expected layer from 0 to 3, got 4"),
    ({"layer": -1}, ValueError, "expected layer from 0 to 3, got -1"),
    ({"head": "all"}, ValueError, "expected head from 0 to 3 or \"mean\", got 'all'"),
    ({"query": (8, 0)}, ValueError, r"in a grid of 8 × 8.*got \(8, 0\)"),
    ({"query": 5}, ValueError, r"expected query as \(row, column\)"),
    ({"labels": [1]}, ValueError, "expected one label for each of 2 pictures, got 1"),
])
def test_bad_arguments(vit, images, arguments, error, says):
    with pytest.raises(error, match=says):
        AttentionExplorer(vit, **{"images": images, **arguments})


def test_more_bad_arguments(images):
    with pytest.raises(TypeError, match="expected model to be an nn.Module, got str"):
        AttentionExplorer("vit", images)
    with pytest.raises(ValueError, match="expected attention in Conv2d, saw none"):
        AttentionExplorer(nn.Conv2d(1, 1, 3), images)
    with pytest.raises(ValueError, match="no token before the patches"):
        AttentionExplorer(Plain(), torch.rand(1, 3, 16, 16), query="class")


@pytest.mark.parametrize("name, value", [("layer", 4), ("head", 4), ("head", -2), ("query", 65), ("picture", 2),
                                         ("factor", 0.0), ("factor", math.nan), ("view", "x")])
def test_state_set_from_python_is_checked(widget, name, value):
    with pytest.raises(TraitError):
        setattr(widget, name, value)


# -- the forms it takes

def test_still_picture_and_html(widget, tmp_path):
    still = widget.still()
    assert still.startswith(b"\x89PNG") and len(still) < 60_000
    assert "patch (3, 4)" in widget.alt() and "layer 1, head 2" in widget.alt()
    path = widget.to_html(tmp_path / "widget.html")
    text = open(path, encoding="utf-8").read()
    assert "Show me the PyTorch" in text and len(text) < 1_000_000
    assert "sandbox" in widget.to_html()


def test_the_module_stays_small():
    assert len(_bundle._read("attention.js").encode()) <= 40_000


def test_without_arguments_it_shows_the_trained_vit_on_held_out_digits():
    widget = AttentionExplorer()
    assert repr(widget) == "AttentionExplorer(3 pictures, 8×8 patches, 4 layers, 4 heads)"
    assert all(caption.startswith("predicts ") and "true " in caption for caption in widget.captions)
    assert len(widget.pictures) + len(widget.scores) + len(widget.rollouts) <= 700_000 and not widget.omitted
    scope = {}
    exec(widget.setup, scope)
    pixels = np.frombuffer(widget.pictures, np.uint8).reshape(3, 64, 64, 3)
    assert np.array_equal((255 * scope["images"][2, 0]).round().byte().numpy(), pixels[2, :, :, 0])
