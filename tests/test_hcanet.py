"""HCANet and its layers: CAFM, MSFN, 3-D kernels on one plane. Figures are from the authors' code (summitgao/HCANet)."""

import pytest
import torch
from authors_tensors import authors_tensors
from fixtures import assert_figures, fill, wave
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.restoration.cafm import CAFM
from dlnotes.restoration.mdta import MDTA
from dlnotes.restoration.msfn import MSFN
from dlnotes.restoration.plane_conv import PlaneConv3d, fold_planes

TINY = {"in_channels": 5, "dim": 8, "depths": (1, 1, 1)}


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def same(a, b, atol=1e-12):
    return torch.allclose(a, b, atol=atol, rtol=0)


# ---------------------------------------------------------------- figures

def test_parameters():
    assert count(CAFM(48, 1)) == 24_853 and count(CAFM(96, 2)) == 68_129
    assert count(MSFN(48)) == 30_099 and MSFN(48).hidden == 127
    with torch.device("meta"):
        assert count(create("hcanet")) == 4_607_741


@pytest.mark.parametrize("side, printed", [(64, "5.5327"), (256, "88.5233")])
def test_multiply_adds(side, printed):
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        create("hcanet")(torch.empty(1, 31, side, side))
    assert f"{counter.get_total_flops() / 2e9:.4f}" == printed


def test_cafm_gives_the_figures_of_the_authors_code():
    layer = fill(CAFM(16, heads=2, layout="released"))
    assert_figures(layer(wave(1, 16, 8, 8)), 1.006799555e-02, 6.991390909e-02, 8.242448007e-02, -2.820350462e-02)


def test_hcanet_gives_the_figures_of_the_authors_code():
    model = create("hcanet").double().eval()
    report = load_weights(model, authors_tensors("hcanet"))
    assert report.dialect == "authors" and not report.dropped
    with torch.no_grad():
        assert_figures(model(wave(1, 31, 12, 16)), 2.767729981e-02, 1.207975193e+00, -4.128794037e-01, 3.091497385e-01)


# ---------------------------------------------------------------- a 3-D kernel on one plane

@settings(deadline=None, max_examples=20)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.booleans())
def test_only_the_middle_slice_acts(b, groups, per_group, out_per_group, h, bias):
    layer = PlaneConv3d(groups * per_group, groups * out_per_group, groups=groups, bias=bias).double()
    x = torch.randn(b, groups * per_group, h, 5, dtype=torch.float64)
    out = layer(x)
    assert same(fold_planes(layer)(x), out)

    out.square().sum().backward()
    gradient = layer.weight.grad.abs()
    assert gradient[:, :, ::2].max() == 0 < gradient[:, :, 1].max()
    with torch.no_grad():
        layer.weight[:, :, ::2] += 1
        assert torch.equal(layer(x), out)


def test_folding_keeps_what_hcanet_computes_and_drops_what_it_does_not_use():
    torch.manual_seed(0)
    model, image = create("hcanet").eval(), torch.rand(1, 31, 16, 16)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    folded = fold_planes(model)
    with torch.no_grad():
        assert same(folded(image), model(image), atol=1e-5)
    assert all(torch.equal(x, before[key]) for key, x in model.state_dict().items())
    dead = sum(2 * m.weight.numel() // 3 for m in model.modules() if isinstance(m, PlaneConv3d))
    assert not any(isinstance(m, nn.Conv3d) for m in folded.modules())
    assert count(model) - count(folded) == dead == 485_550
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        folded(torch.zeros(1, 31, 64, 64))
    assert f"{counter.get_total_flops() / 2e9:.4f}" == "4.5942"


# ---------------------------------------------------------------- CAFM

def by_hand(layer: CAFM, qkv: torch.Tensor) -> torch.Tensor:
    """The local branch, intended reading, one pixel at a time: its vector cut into 3·heads groups, mixed into nine."""
    width, heads = layer.channels // layer.heads, layer.heads
    b, _, h, w = qkv.shape
    nine = torch.zeros(b, width, 9, h, w, dtype=qkv.dtype)
    for i in range(h):
        for j in range(w):
            groups = qkv[:, :, i, j].reshape(b, 3 * heads, width)
            mixed = layer.mix.weight[:, :, 0, 0] @ groups + layer.mix.bias[:, None]                 # b 9 width
            nine[:, :, :, i, j] = mixed.mT
    return layer.gather(nine.reshape(b, width * 9, h, w))


def test_the_intended_local_branch_reads_each_pixel_by_itself():
    layer, qkv = CAFM(12, heads=2).double(), torch.randn(2, 36, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        assert same(layer._local(qkv), by_hand(layer, qkv))


def touched(layer: CAFM, x: torch.Tensor) -> torch.Tensor:
    """Which pixels of x the local branch's output at (6, 6) depends on."""
    x.requires_grad_(True)
    layer._local(x)[0, :, 6, 6].sum().backward()
    return x.grad[0].abs().sum(dim=0) > 0                                   # h w


def test_the_released_layout_scrambles_positions():
    x = torch.randn(1, 24, 12, 12, dtype=torch.float64)
    window = torch.zeros(12, 12, dtype=torch.bool)
    window[5:8, 5:8] = True
    assert torch.equal(touched(CAFM(8, heads=1).double(), x.clone()), window)
    far = touched(CAFM(8, heads=1, layout="released").double(), x.clone())
    assert (far & ~window).sum() > 50


def test_both_layouts_have_the_same_parameters_and_different_outputs():
    intended, released, x = CAFM(16, heads=2), CAFM(16, heads=2, layout="released"), torch.randn(1, 16, 8, 8)
    report = load_weights(released, intended.state_dict())
    assert not report.reshaped
    with torch.no_grad():
        assert not same(intended(x), released(x), atol=1e-2)


def test_a_map_of_one_pixel_has_only_one_layout():
    intended, released, x = CAFM(16, heads=2), CAFM(16, heads=2, layout="released"), torch.randn(2, 16, 1, 1)
    load_weights(released, intended.state_dict())
    with torch.no_grad():
        assert same(intended(x), released(x), atol=1e-6)


def test_the_global_branch_is_mdta():
    cafm, mdta = CAFM(16, heads=2).double(), MDTA(16, heads=2).double()
    with torch.no_grad():
        cafm.gather.weight.zero_()
        cafm.gather.bias.zero_()
        load_weights(mdta, {"qkv.weight": cafm.qkv.weight, "depthwise.weight": cafm.depthwise.weight[:, :, 1],
                            "temperature": cafm.temperature, "project.weight": cafm.project.weight})
        x = torch.randn(2, 16, 6, 7, dtype=torch.float64)
        assert same(cafm(x), mdta(x))


def test_each_block_attends_once():
    model = create("hcanet", **TINY).eval()
    with torch.no_grad(), record(model, attention=True) as seen:
        model(torch.rand(1, 5, 16, 16))
    assert [a.module for a in seen.attention] == [f"{stage}.0.cafm" for stage in (
        "encoder1", "encoder2", "encoder3", "decoder2", "decoder1", "refinement")]


def test_layout_is_one_of_two():
    with pytest.raises(ValueError, match="CAFM: expected layout to be one of 'intended', 'released', got 'paper'; "):
        create("hcanet", **TINY, layout="paper")


# ---------------------------------------------------------------- MSFN and the network

@pytest.mark.parametrize("branch, reach", [("near", 1), ("middle", 2), ("far", 3)])
def test_the_three_views_reach_one_two_and_three_pixels(branch, reach):
    layer = getattr(MSFN(4), branch)
    x = torch.randn(1, layer.in_channels, 9, 9, requires_grad=True)
    layer(x)[0, :, 4, 4].sum().backward()
    rows, columns = (x.grad[0].abs().sum(dim=0) > 0).nonzero().T
    assert {*rows.tolist()} == {*columns.tolist()} == {4 - reach, 4, 4 + reach}


@pytest.mark.parametrize("branch", ["near", "middle", "far"])
def test_any_view_can_shut_the_gate(branch):
    layer = MSFN(4)
    with torch.no_grad():
        getattr(layer, branch).weight.zero_()
        assert layer(torch.randn(1, 4, 6, 6)).abs().max() == 0


def test_it_predicts_what_to_add():
    model, image = create("hcanet", **TINY).eval(), torch.rand(2, 5, 16, 20)
    with torch.no_grad():
        model.output.weight.zero_()
        assert torch.equal(model(image), image)


@pytest.mark.parametrize("bad, message", [
    ({"depths": (1, 1, 1, 1)}, "depths with one number for each of 3 levels"), ({"dim": 9}, "dim divisible by 2"),
    ({"heads": (1, 3, 4)}, "channels divisible by heads"), ({"expansion": -1.0}, "expansion")])
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=f"expected .*{message}.*, got .*; "):
        create("hcanet", **TINY | bad)


@pytest.mark.parametrize("bad, message", [({"groups": 2}, "divisible by groups"), ({"in_channels": 0}, "in_channels")])
def test_bad_settings_of_a_plane_convolution_are_refused(bad, message):
    with pytest.raises(ValueError, match=f"PlaneConv3d: expected .*{message}.*, got .*; "):
        PlaneConv3d(**{"in_channels": 3, "out_channels": 4} | bad)
