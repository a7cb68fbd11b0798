"""SAFMN and its layers: SAFM, CCM, FMM. Figures are from the authors' code (sunny2109/SAFMN)."""

import pytest
import torch
from authors_tensors import authors_tensors
from fixtures import assert_figures, fill, wave
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.restoration.ccm import CCM
from dlnotes.restoration.safm import FMM, SAFM


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------- figures

def test_parameters():
    assert count(SAFM(36)) == 1_692 == 10 * 36 + 36**2 + 36
    assert count(CCM(36)) == 26_028
    assert count(FMM(36)) == 27_864


@pytest.mark.parametrize("settings, parameters, size, gmacs", [
    ({"scale": 4}, 239_520, (180, 320), "13.5425"), ({"scale": 3}, 232_695, (240, 427), "23.3970"),
    ({"scale": 2}, 227_820, (360, 640), "51.4826"), ({"dim": 128, "depth": 16}, 5_600_816, (180, 320), "320.8259")])
def test_parameters_and_multiply_adds_of_every_variant(settings, parameters, size, gmacs):
    """All enlarge to 1280 by 720 pixels."""
    with torch.device("meta"):
        model, picture = create("safmn", **settings), torch.empty(1, 3, *size)
    assert count(model) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(picture)
    assert f"{counter.get_total_flops() / 2e9:.4f}" == gmacs


def test_safm_gives_the_figures_of_the_authors_code():
    assert_figures(fill(SAFM(16))(wave(1, 16, 16, 16)), -3.078483723e-05, 2.628142019e-02, 0.0, -3.132910682e-03)


def test_fmm_gives_the_figures_of_the_authors_code():
    assert_figures(fill(FMM(16))(wave(1, 16, 16, 16)), 1.899893528e-02, 7.150806800e-01, 1.686060445e-01, 6.937838721e-01)


def test_safmn_gives_the_figures_of_the_authors_code():
    """At a size that the scales do not divide."""
    model = create("safmn").double().eval()
    report = load_weights(model, authors_tensors("safmn"))
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    with torch.no_grad():
        assert_figures(model(wave(1, 3, 13, 18)), 1.587536634e-01, 1.179361029e+01, 5.226709579e-01, 5.488072336e-01)


# ---------------------------------------------------------------- what the layers do

def rows_touched(layer, c: int) -> tuple[int, int]:
    """First and last row of a 32 × 32 map that the output at (16, 16) depends on."""
    torch.manual_seed(0)
    x = torch.randn(1, c, 32, 32, requires_grad=True)
    layer(x)[0, :, 16, 16].sum().backward()
    rows = x.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    return rows[0].item(), rows[-1].item()


@pytest.mark.parametrize("levels, first, last", [(1, 15, 17), (2, 14, 19), (3, 12, 23), (4, 8, 31)])
def test_each_level_doubles_the_reach(levels, first, last):
    """Three rows of cells of 2**(levels-1) pixels: the cell of row 16, the one above and the one below."""
    cell = 2 ** (levels - 1)
    assert (first, last) == (16 - cell, 16 + 2 * cell - 1)
    touched = rows_touched(SAFM(48, levels=levels), 48)                     # the maximum of a cell may lie anywhere in it
    assert first <= touched[0] < first + cell and last - cell < touched[1] <= last


def test_a_shut_gate_lets_nothing_pass():
    layer = SAFM(16)
    with torch.no_grad():
        layer.mix.weight.zero_()
        layer.mix.bias.zero_()
        assert layer(torch.randn(1, 16, 8, 8)).abs().max() == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(8, 20), st.integers(8, 20), st.integers(1, 4))
def test_any_size_from_eight_pixels_is_enlarged_exactly(h, w, scale):
    with torch.no_grad():
        assert create("safmn", scale=scale, dim=8, depth=1)(torch.rand(1, 3, h, w)).shape == (1, 3, scale * h, scale * w)


@pytest.mark.parametrize("bad, message", [({"dim": 30}, "channels divisible by levels"), ({"scale": 0}, "scale"),
                                          ({"expansion": 0}, "expansion"), ({"scale": 2.0}, "scale to be an integer")])
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=f"expected .*{message}.*, got .*; "):
        create("safmn", **bad)
