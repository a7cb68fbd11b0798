"""Restormer and its layers: channel norm, MDTA, GDFN. Figures are from the authors' code (swz30/Restormer)."""

import pytest
import torch
import torch.nn.functional as F
from authors_tensors import authors_tensors
from fixtures import assert_figures, fill, wave
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.restoration.channel_norm import ChannelNorm
from dlnotes.restoration.gdfn import GDFN
from dlnotes.restoration.mdta import MDTA, transposed_attention

TINY = {"dim": 8, "depths": (1, 1, 1, 1), "refinement": 1}


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def same(a, b, atol=1e-12):
    return torch.allclose(a, b, atol=atol, rtol=0)


# ---------------------------------------------------------------- figures

def test_parameters():
    assert count(MDTA(48, 1)) == 10_513 == 4 * 48**2 + 27 * 48 + 1
    assert count(GDFN(48)) == 20_574 and GDFN(48).hidden == 127
    with torch.device("meta"):
        assert count(create("restormer")) == 26_126_644
        assert count(create("restormer", norm_bias=False)) == 26_111_668


def test_multiply_adds_without_the_two_matrix_products_of_attention():
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        create("restormer")(torch.empty(1, 3, 256, 256))
    flops = counter.get_flop_counts()["Global"]
    attention = flops.pop(torch.ops.aten.bmm)
    assert f"{sum(flops.values()) / 2e9:.3f}" == "140.990"                 # what thop counts, and papers print
    assert f"{attention / 2e9:.2f}" == "13.89"


def test_mdta_gives_the_figures_of_the_authors_code():
    assert_figures(fill(MDTA(16, heads=2))(wave(1, 16, 8, 8)),
                   -2.288307303e-07, 2.194082115e-03, -1.357682035e-03, -7.560025525e-04)


@pytest.mark.parametrize("norm_bias, figures", [
    (True, (4.418934973e-01, 6.156371045e+00, -1.531227515e+00, -3.355874254e+00)),
    (False, (5.784252731e-01, 6.085070766e+00, 2.541797460e+00, 3.705821979e+00))])
def test_restormer_gives_the_figures_of_the_authors_code(norm_bias, figures):
    theirs = {key: x for key, x in authors_tensors("restormer").items() if norm_bias or not key.endswith("body.bias")}
    model = create("restormer", norm_bias=norm_bias).double().eval()
    report = load_weights(model, theirs)
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    with torch.no_grad():
        assert_figures(model(wave(1, 3, 16, 24)), *figures)


def test_weights_of_other_variants_are_refused():
    theirs = authors_tensors("restormer")
    with pytest.raises(ValueError, match="unexpected: encoder_level1.0.norm1.body.bias"):
        load_weights(create("restormer", norm_bias=False), theirs)
    theirs["skip_conv.weight"] = torch.zeros(96, 48, 1, 1)                  # of the dual-pixel variant
    with pytest.raises(ValueError, match="unexpected: skip_conv.weight"):
        load_weights(create("restormer"), theirs)


# ---------------------------------------------------------------- channel norm

@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1e-5, 1e-6, 0.1]))
def test_channel_norm_is_layer_norm_over_the_channels_of_a_pixel(b, c, h, w, eps):
    norm, x = fill(ChannelNorm(c, eps)), torch.randn(b, c, h, w, dtype=torch.float64)
    expected = F.layer_norm(x.movedim(1, -1), (c,), norm.weight, norm.bias, eps).movedim(-1, 1)
    assert same(norm(x), expected)


def test_without_bias_it_divides_by_the_deviation_and_keeps_the_mean():
    norm, x = ChannelNorm(32, eps=1e-14, bias=False).double(), torch.randn(2, 32, 3, 3, dtype=torch.float64)
    assert same(norm(x), x / x.std(dim=1, correction=0, keepdim=True))
    assert same(norm(7 * x), norm(x))
    assert not same(norm(x + 1), norm(x), atol=0.1)
    assert same(ChannelNorm(32).double()(x + 1), ChannelNorm(32).double()(x))       # the usual norm forgets the mean


# ---------------------------------------------------------------- attention between channels

@pytest.mark.parametrize("size", [(8, 8), (16, 16), (16, 48), (64, 32)])
def test_the_cost_is_proportional_to_the_pixels(size):
    """Exactly: multiply-adds per pixel are the same for every picture, in the attention and in the whole layer."""
    layer, (h, w) = MDTA(24, heads=2), size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.randn(1, 24, h, w))
    flops = counter.get_flop_counts()["Global"]
    assert flops[torch.ops.aten.bmm] / 2 == 2 * 24 * 12 * h * w                     # q kᵀ and A v: heads · (c/heads)² each
    assert counter.get_total_flops() / 2 == (4 * 24**2 + 27 * 24 + 2 * 24 * 12) * h * w


@pytest.mark.parametrize("size", [(4, 4), (9, 14)])
def test_the_attention_is_recorded_as_channels_by_channels(size):
    model = MDTA(24, heads=2)
    with torch.no_grad(), record(model, attention=True) as seen:
        model(torch.randn(3, 24, *size))
    weights, = seen.attention
    assert weights.shape == (3, 2, 12, 12) and weights.module == ""
    assert same(weights.weights.sum(-1), torch.ones(3, 2, 12), atol=1e-5)
    assert weights.logits.abs().max() <= 1 + 1e-5                                   # cosines, while the temperature is 1


def test_each_block_of_restormer_attends_once():
    model = create("restormer", **TINY).eval()
    with torch.no_grad(), record(model, attention=True) as seen:
        model(torch.rand(1, 3, 16, 16))
    assert [a.module for a in seen.attention] == [f"{stage}.0.attn" for stage in (
        "encoder1", "encoder2", "encoder3", "latent", "decoder3", "decoder2", "decoder1", "refinement")]
    assert [a.shape[1] for a in seen.attention] == [1, 2, 4, 8, 4, 2, 1, 1]         # heads


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(2, 12), st.randoms())
def test_the_attention_does_not_care_where_a_pixel_is(heads, c, n, random):
    q, k, v = torch.randn(3, 1, heads, c, n, dtype=torch.float64)
    order = random.sample(range(n), n)
    t = torch.rand(heads, 1, 1, dtype=torch.float64)
    assert same(transposed_attention(q, k, v, t)[..., order], transposed_attention(*(x[..., order] for x in (q, k, v)), t))


def test_neither_brightness_of_queries_nor_of_keys_matters():
    q, k, v = torch.randn(3, 1, 2, 4, 30, dtype=torch.float64)
    t = torch.ones(2, 1, 1, dtype=torch.float64)
    assert same(transposed_attention(5 * q, 0.2 * k, v, t), transposed_attention(q, k, v, t))


def test_a_temperature_of_zero_takes_the_mean_of_all_channels():
    q, k, v = torch.randn(3, 1, 2, 4, 30, dtype=torch.float64)
    out = transposed_attention(q, k, v, torch.tensor([0.0, 3.0], dtype=torch.float64).reshape(2, 1, 1))
    assert same(out[:, 0], v[:, 0].mean(dim=1, keepdim=True).expand(1, 4, 30))
    assert not same(out[:, 1], v[:, 1].mean(dim=1, keepdim=True).expand(1, 4, 30), atol=1e-2)      # each head has its own


# ---------------------------------------------------------------- feed-forward

def test_the_first_half_gates_the_second():
    layer, x = GDFN(8).double(), torch.randn(1, 8, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.depthwise.weight[:layer.hidden].zero_()                               # GELU(0) = 0: the gate is shut
        assert layer(x).abs().max() == 0


def test_three_matrices_of_expansion_2_66_cost_as_much_as_two_of_4():
    matrices = [layer.weight.numel() for layer in (GDFN(48).expand, GDFN(48).project)]
    assert abs(sum(matrices) / (2 * 4 * 48**2) - 1) < 0.01


# ---------------------------------------------------------------- the network

def test_it_predicts_what_to_add():
    model, picture = create("restormer", **TINY).eval(), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        model.output.weight.zero_()
        assert torch.equal(model(picture), picture)


def test_a_bias_free_restormer_adds_nothing_to_black():
    """No layer has a constant term: black stays black. With biased norms it does not."""
    torch.manual_seed(0)
    black = torch.zeros(1, 3, 16, 16)
    with torch.no_grad():
        for norm_bias in (False, True):
            model = create("restormer", **TINY, norm_bias=norm_bias).eval()
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
            assert (model(black).abs().max() == 0) == (not norm_bias)


@pytest.mark.parametrize("bad, message", [
    ({"depths": (1, 1, 1)}, "depths with one number for each of 4 levels"), ({"heads": 2}, "heads with one number"),
    ({"depths": (1, 1, 0, 1)}, r"depths\[2\] to be an integer of at least 1"), ({"dim": 9}, "dim divisible by 2"),
    ({"heads": (3, 2, 4, 8)}, "channels divisible by heads"), ({"refinement": 0}, "refinement"),
    ({"expansion": 0.01}, "expansion"), ({"expansion": "2"}, "expansion"), ({"in_channels": 0}, "in_channels")])
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=f"expected .*{message}.*, got .*; "):
        create("restormer", **TINY | bad)


def test_bad_settings_of_the_norm_are_refused():
    with pytest.raises(ValueError, match="ChannelNorm: expected eps above 0, got 0; "):
        ChannelNorm(4, eps=0)
