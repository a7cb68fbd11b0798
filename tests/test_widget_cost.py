"""AttentionCost in Python: its formulas against attention_cost and against tensors that are really made; live measuring."""

import pytest
import torch

from dlnotes.attention import attention_cost
from dlnotes.widgets.cost import WAYS, AttentionCost, way_cost


def test_all_pairs_cost_what_attention_cost_says():
    for h, w, batch, heads, width in [(16, 32, 2, 4, 64), (128, 256, 10, 8, 128), (8, 8, 1, 1, 64)]:
        expected = attention_cost(h * w, width // heads, heads, batch)
        stored, fused = (way_cost(way, h, w, batch, heads, width) for way in ("explicit", "fused"))
        assert stored == {"bytes": expected.explicit_extra_bytes, "multiply_adds": expected.multiply_adds}
        assert fused == {"bytes": expected.fused_extra_bytes, "multiply_adds": expected.multiply_adds}


@pytest.mark.parametrize(("way", "keys"), [("stride", 4 * 6), ("window", 64), ("local", 49)])
def test_sparser_ways_store_two_tables_of_their_pairs(way, keys):
    h, w, batch, heads, width = 16, 24, 2, 4, 64
    scores = torch.empty(batch, heads, h * w, keys)
    cost = way_cost(way, h, w, batch, heads, width)
    assert cost["bytes"] == 2 * scores.numel() * scores.element_size()
    assert cost["multiply_adds"] == 2 * scores.numel() * width // heads


def test_channel_and_linear_attention_grow_with_the_pixels_and_the_stored_table_with_their_square():
    for way, factor in {"explicit": 16, "fused": 4, "window": 4, "local": 4}.items():
        assert way_cost(way, 64, 64)["bytes"] == factor * way_cost(way, 32, 32)["bytes"], way
    for way in ("channel", "linear"):
        assert way_cost(way, 64, 64)["multiply_adds"] == 4 * way_cost(way, 32, 32)["multiply_adds"]
        assert way_cost(way, 64, 64)["bytes"] < 4 * way_cost(way, 32, 32)["bytes"]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: way_cost("sparse", 8, 8), "expected one of explicit, .* got 'sparse'"),
    (lambda: way_cost("fused", 0, 8), "expected h of at least 1, got 0"),
    (lambda: AttentionCost(h=100), "expected h one of 8, 16, .* got 100"),
    (lambda: AttentionCost(batch=0), "expected batch 1 to 64, got 0"),
    (lambda: AttentionCost(heads=3), "expected heads one of 1, 2, 4, 8, 16, got 3"),
    (lambda: AttentionCost(dtype="int8"), "expected dtype one of float32, .* got 'int8'"),
])
def test_bad_sizes_are_answered(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_first_state_is_the_story_of_320_gib():
    widget = AttentionCost()
    assert widget.cost("explicit")["bytes"] == 2 * 320 * 2**30
    assert "128 × 256" in widget.alt() and "640 GiB" in widget.alt()
    assert set(widget.ways) == set(WAYS)


def test_a_live_measurement_refuses_what_is_too_large_and_measures_what_is_not():
    widget = AttentionCost()
    widget.handle({"type": "measure"})
    assert widget.measured.startswith("Not measured: the stored form would need 640.0 GiB")
    small = AttentionCost(h=32, w=32, batch=1, heads=4, width=64)
    small.handle({"type": "measure"})
    assert small.measured.startswith("Measured on c") and "(predicted 32)" in small.measured
