"""SE, ECA, SK, CBAM and split attention: the papers' formulas, the figures of the authors' code, the outputs of timm."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import math

import pytest
import timm.layers
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.attention.cbam import CBAM, ChannelAttention, SpatialAttention
from dlnotes.attention.eca import ECA, eca_kernel_size
from dlnotes.attention.selective_kernel import SelectiveKernel
from dlnotes.attention.squeeze_excitation import SqueezeExcitation
from dlnotes.capture import record
from dlnotes.models.resnest import SplitAttention
from fixtures import assert_figures, fill, wave
from parity import assert_same_as, relative_difference

SMALL = st.integers(1, 4)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def seen(module: nn.Module, name: str, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), record(module) as recording:
        module(x)
    return recording.activations[name]


# ---------------------------------------------------------------- squeeze-and-excitation

@pytest.mark.parametrize("theirs", [lambda: timm.layers.SEModule(32, rd_channels=4),
                                    lambda: torchvision.ops.SqueezeExcitation(32, 4)], ids=["timm", "torchvision"])
def test_se_is_that_of_the_libraries(theirs):
    assert_same_as(SqueezeExcitation(32, reduction=8), theirs(), (2, 32, 7, 5), (3, 32, 4, 4), dialect="dlnotes")


@given(st.sampled_from([16, 32, 64]), st.sampled_from([2, 4, 8, 16]))
@settings(max_examples=10, deadline=None)
def test_se_has_the_parameters_of_its_closed_form(c, r):
    assert count(SqueezeExcitation(c, r)) == 2 * c * (c // r) + c // r + c


@pytest.mark.parametrize("gate", [SqueezeExcitation(16, 4), ECA(3), ChannelAttention(16, 4)], ids=lambda m: type(m).__name__)
def test_channel_gates_do_not_know_where_a_pixel_is(gate):
    x = torch.randn(2, 16, 6, 5)
    order = torch.randperm(30)
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    assert torch.allclose(gate(shuffled), gate(x).flatten(2)[:, :, order].reshape(x.shape), atol=1e-6)


# ---------------------------------------------------------------- ECA

def test_eca_gives_the_figures_of_the_authors_code():
    assert_figures(fill(ECA(3))(wave(1, 16, 8, 8)), 1.521283065e-03, 3.536535522e-01, 0.0, 4.992906308e-01)


@pytest.mark.parametrize("k", [3, 5, 7])
def test_eca_is_that_of_timm(k):
    assert_same_as(ECA(k), timm.layers.EcaModule(kernel_size=k), (2, 16, 7, 5), (3, 24, 4, 4), dialect="dlnotes")


def test_an_eca_gate_depends_on_its_k_neighbours_and_on_nothing_else():
    gate, x = ECA(5).double(), torch.randn(1, 16, 3, 3, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(lambda z: gate.gate(gate.conv(z)), x.mean((2, 3))[:, None]).reshape(16, 16)
    distance = (torch.arange(16)[:, None] - torch.arange(16)).abs()
    assert torch.equal(slopes != 0, distance <= 2)


@given(st.integers(1, 4096))
@settings(max_examples=30, deadline=None)
def test_eca_kernel_size_is_the_odd_number_at_or_above_the_formula(c):
    k, t = eca_kernel_size(c), (math.log2(c) + 1) / 2
    assert k % 2 == 1 and 0 <= k - math.floor(t) <= 1


def test_eca_kernel_sizes_of_the_paper():
    assert [eca_kernel_size(c) for c in (64, 256, 512, 1024, 2048)] == [3, 5, 5, 5, 7]
    assert eca_kernel_size(64, gamma=1) == 7 and eca_kernel_size(64, b=4) == 5


# ---------------------------------------------------------------- selective kernel

def test_sk_is_that_of_timm():
    ours = SelectiveKernel(32, stride=2, groups=4, reduction=2, minimum=8)
    theirs = timm.layers.SelectiveKernel(32, 32, stride=2, groups=4, rd_channels=16, split_input=False)
    assert_same_as(ours, theirs, (2, 32, 7, 6), (3, 32, 4, 5), dialect="dlnotes")


@given(st.integers(2, 4), SMALL)
@settings(max_examples=8, deadline=None)
def test_sk_weights_of_the_branches_sum_to_one(branches, b):
    layer = SelectiveKernel(8, groups=2, branches=branches, minimum=4).eval()
    weights = seen(layer, "attn.softmax", torch.randn(b, 8, 5, 6))
    assert weights.shape == (b, branches, 8, 1, 1) and torch.allclose(weights.sum(1), torch.ones(b, 8, 1, 1))


def test_sk_branches_of_equal_weights_differ_only_in_reach():
    """A single bright pixel: the first branch answers on 3×3 pixels around it, the second on a 5×5 grid with gaps."""
    layer = SelectiveKernel(4, groups=1).eval()
    x = torch.zeros(1, 4, 9, 9)
    x[:, :, 4, 4] = 1
    with torch.no_grad():
        for path in layer.paths:
            path.conv.weight.fill_(1.0)
        near, far = (path(x)[0, 0] > 0 for path in layer.paths)
    assert near.nonzero().tolist() == [[i, j] for i in (3, 4, 5) for j in (3, 4, 5)]
    assert far.nonzero().tolist() == [[i, j] for i in (2, 4, 6) for j in (2, 4, 6)]


def test_sk_has_the_published_hidden_widths():
    assert [SelectiveKernel(c).attn.fc_reduce.out_channels for c in (128, 256, 512, 1024)] == [32, 32, 32, 64]


# ---------------------------------------------------------------- CBAM

def test_cbam_gives_the_figures_of_the_authors_code():
    """Authors' ``CBAM(16, 4)`` of Jongchan/attention-module, filled by the rule of the fixtures."""
    assert_figures(fill(CBAM(16, 4))(wave(1, 16, 8, 8)), 8.690392234e-04, 1.865213005e-01, 0.0, 2.466971486e-01)


def test_both_summaries_of_cbam_go_through_one_network():
    layer, x = ChannelAttention(16, 4), torch.randn(2, 16, 5, 6)
    mlp = nn.Sequential(layer.fc1, nn.ReLU(), layer.fc2)
    gates = torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.flatten(2).max(2).values))
    assert torch.allclose(layer(x), x * gates[:, :, None, None], atol=1e-6)
    assert count(layer) == count(mlp)


def test_the_maximum_is_the_first_of_the_two_maps_of_cbam():
    layer, x = SpatialAttention(3).eval(), torch.randn(2, 4, 5, 6)
    with torch.no_grad():
        layer.bn.weight.fill_(1.0)
        layer.conv.weight.zero_()
        layer.conv.weight[0, 0, 1, 1] = 1.0
    expected = torch.sigmoid(x.max(1, keepdim=True).values / math.sqrt(1 + layer.bn.eps))
    assert torch.allclose(seen(layer, "gate", x), expected, atol=1e-6)


def test_every_place_has_the_gate_one_half_at_first():
    x = torch.randn(2, 16, 5, 6)
    assert torch.equal(SpatialAttention()(x), 0.5 * x)


def test_the_statistics_of_the_spatial_gate_move_slowly():
    """Momentum 0.01, as in the authors' code: after one batch a hundredth of its variance."""
    layer, x = SpatialAttention(), torch.randn(2, 16, 5, 6)
    seen_by_norm = layer.conv(torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1))
    layer(x)
    assert torch.allclose(layer.bn.running_var, 0.99 + 0.01 * seen_by_norm.var(), atol=1e-6)


def test_cbam_is_channel_then_place():
    layer, x = CBAM(16, 4).eval(), torch.randn(2, 16, 5, 6)
    nn.init.ones_(layer.spatial.bn.weight)
    assert torch.equal(layer(x), layer.spatial(layer.channel(x)))
    assert not torch.allclose(layer(x), layer.channel(layer.spatial(x)), atol=1e-4)


# ---------------------------------------------------------------- split attention

@pytest.mark.parametrize("radix, cardinality, figures", [
    (2, 1, (3.523004258e-02, 2.113734469e-02, 3.483795393e-02, 2.973462633e-02)),
    (2, 2, (3.392890481e-02, 1.851970234e-02, 4.683975611e-02, 2.989956839e-02)),
    (1, 2, (1.956377608e-02, 2.283853505e-02, 3.161661598e-02, 0.0)),
    (4, 2, (3.322882198e-02, 1.438754284e-02, 3.758029654e-02, 3.170981272e-02))])
def test_split_attention_gives_the_figures_of_the_authors_code(radix, cardinality, figures):
    """Authors' ``SplAtConv2d(16, 16, 3, padding=1, groups=cardinality, bias=False, radix=radix)``, filled by the rule."""
    assert_figures(fill(SplitAttention(16, radix, cardinality))(wave(2, 16, 8, 8)), *figures)


@pytest.mark.parametrize("radix, cardinality", [(2, 1), (2, 4), (4, 2), (1, 1)])
def test_split_attention_is_that_of_timm(radix, cardinality):
    theirs = timm.layers.SplitAttn(32, radix=radix, groups=cardinality, stride=2, norm_layer=nn.BatchNorm2d)
    assert_same_as(SplitAttention(32, radix, cardinality, stride=2), theirs, (2, 32, 6, 5), (3, 32, 4, 4), dialect="dlnotes")


@given(st.sampled_from([16, 32, 64]), st.sampled_from([1, 2, 4]))
@settings(max_examples=9, deadline=None)
def test_split_attention_has_the_parameters_of_its_closed_form(c, r):
    m = max(r * c // 4, 32)
    assert count(SplitAttention(c, r)) == 9 * c * c + 2 * r * c + (c * m + m) + 2 * m + (m * r * c + r * c)


@given(st.sampled_from([2, 4]), st.sampled_from([1, 2]), SMALL)
@settings(max_examples=8, deadline=None)
def test_weights_of_the_splits_sum_to_one(radix, cardinality, b):
    layer = SplitAttention(16, radix, cardinality).eval()
    weights = seen(layer, "rsoftmax", torch.randn(b, 16, 5, 6))
    assert weights.shape == (b, radix, 16, 1, 1) and torch.allclose(weights.sum(1), torch.ones(b, 16, 1, 1))


def test_with_one_split_it_is_a_gate_as_in_squeeze_and_excitation():
    layer, x = SplitAttention(16, radix=1).double().eval(), torch.randn(2, 16, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        z = layer.bn0(layer.conv(x)).relu()
        gates = torch.sigmoid(layer.fc2(layer.bn1(layer.fc1(z.mean((2, 3), keepdim=True))).relu()))
        assert relative_difference(layer(x), z * gates) < 1e-12


# ---------------------------------------------------------------- refusals that the other tests do not try

@pytest.mark.parametrize("make, message", [
    (lambda: SqueezeExcitation(24, 16), "channels divisible by reduction, got channels=24, reduction=16"),
    (lambda: ChannelAttention(24, 16), "channels divisible by reduction, got channels=24, reduction=16"),
    (lambda: SqueezeExcitation(0), "channels to be an integer of at least 1, got 0"),
    (lambda: ECA(4), "an odd kernel_size, got 4; take 5"),
    (lambda: SpatialAttention(6), "an odd kernel_size, got 6; take 7"),
    (lambda: SelectiveKernel(48), "channels divisible by groups"),
    (lambda: SelectiveKernel(64, branches=1), "branches to be an integer of at least 2, got 1"),
    (lambda: SplitAttention(6, radix=4), r"channels divisible by radix \* cardinality"),
    (lambda: eca_kernel_size(0), "channels to be an integer of at least 1"),
])
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_single_place_cannot_train_the_spatial_gate():
    with pytest.raises(ValueError, match=r"SpatialAttention: expected more than one place .*call .eval\(\)"):
        SpatialAttention()(torch.randn(1, 8, 1, 1))
    assert SpatialAttention().eval()(torch.randn(1, 8, 1, 1)).shape == (1, 8, 1, 1)
