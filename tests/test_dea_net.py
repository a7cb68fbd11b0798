"""DEA-Net and its parts: the authors' figures, five kernels that fold into one, and what the attention can and cannot do."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from authors_tensors import authors_tensors
from dlnotes.checkpoints import load_weights
from dlnotes.models.dea_net import DEANet, dea_net
from dlnotes.restoration.cga import CGAFusion, ChannelMap, ContentGuidedAttention, SpatialMap
from dlnotes.restoration.deab import DEAB, DEB
from dlnotes.restoration.deconv import DetailEnhancedConv, fold
from fixtures import assert_figures, fill, wave


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------- counts and figures

@pytest.mark.parametrize(("channels", "reduction", "count"),
                         [(128, 8, 33_523), (64, 4, 12_723), (64, 8, 11_691), (16, 8, 2_037)])
def test_parameters_of_the_fusion(channels, reduction, count):
    c, r = channels, reduction
    assert parameters(CGAFusion(c, r)) == count
    assert count == (c * c // r + c // r + c // r * c + c) + (2 * 49 + 1) + (2 * 49 * c + c) + (c * c + c)


def test_parameters_of_both_forms():
    with torch.device("meta"):
        trained, folded = dea_net(training_form=True), dea_net()
    assert parameters(trained) == 7_789_313
    assert parameters(folded) == 3_653_377


def test_figures_of_the_fusion():
    """MODELS.md, section 4: from the authors' code, which applies the sigmoid twice."""
    out = fill(CGAFusion(16, 8, released=True))(wave(1, 16, 8, 8), wave(1, 16, 8, 8, second=True))
    assert_figures(out, 1.066067231e-02, 1.495502277e-01, -7.854116274e-03, -2.699639468e-01)


def test_figures_of_the_attention_block():
    """MODELS.md, section 4: from the authors' code, re-parameterised."""
    out = fill(DEAB(16, 8))(wave(1, 16, 8, 8))
    assert_figures(out, 1.040019536e-02, 7.161620034e-01, 2.202571406e-02, 9.801395725e-01)


def test_figures_of_the_five_kernels():
    """From the authors' DEConv(8), with the fixtures' rule."""
    out = fill(DetailEnhancedConv(8))(wave(1, 8, 6, 7))
    assert_figures(out, 4.879702616e-02, 4.902563730, -1.390950603e-01, -2.699444246)


@pytest.mark.parametrize(("names", "training_form", "figures"), [
    ("dea_net", False, (3.150413361e+05, 1.617837190e+06, 2.844136481e+05, 5.565014356e+04)),
    ("dea_net_training", True, (2.970290251e+09, 2.213438122e+10, -1.552873651e+09, 1.848768288e+09))])
def test_figures_of_the_whole_network(names, training_form, figures):
    """The figures come from the authors' code (cecret3350/DEA-Net, Backbone and DEANet), run with the same tensors."""
    model = dea_net(training_form=training_form, released=True).double().eval()
    report = load_weights(model, authors_tensors(names))
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    with torch.no_grad():
        assert_figures(model(wave(1, 3, 32, 40)), *figures)


# ---------------------------------------------------------------- detail-enhanced convolution

@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**31))
def test_five_convolutions_side_by_side_are_one(channels, h, w, seed):
    torch.manual_seed(seed)
    layer, x = DetailEnhancedConv(channels).double(), torch.randn(2, channels, h, w, dtype=torch.float64)
    biases = {name: getattr(layer, name).bias for name in layer.kernels()}
    side_by_side = sum(F.conv2d(x, kernel, biases[name], padding=1) for name, kernel in layer.kernels().items())
    assert torch.allclose(layer(x), side_by_side, rtol=0, atol=1e-10)
    assert torch.allclose(layer.fold()(x), side_by_side, rtol=0, atol=1e-10)


def test_the_four_differences_do_not_see_a_flat_region():
    kernels = DetailEnhancedConv(4).double().kernels()
    sums = {name: kernel.sum(dim=(-2, -1)).abs().max().item() for name, kernel in kernels.items()}
    assert sums.pop("vanilla") > 0.01
    assert max(sums.values()) < 1e-12 and len(sums) == 4


def test_an_upright_edge_is_seen_by_the_horizontal_difference_and_not_by_the_vertical():
    kernels = DetailEnhancedConv(1).kernels()
    edge = torch.zeros(1, 1, 5, 6)
    edge[..., 3:] = 1
    assert F.conv2d(edge, kernels["horizontal"]).abs().max() > 1e-3
    assert F.conv2d(edge, kernels["vertical"]).abs().max() < 1e-7


# ---------------------------------------------------------------- folding

@pytest.mark.parametrize("shape", [(1, 3, 16, 24), (2, 3, 20, 16)])
def test_folding_leaves_the_output_as_it_is(shape):
    torch.manual_seed(0)
    model = DEANet(width=8, depths=(1, 2, 2), training_form=True).double().eval()
    folded, x = model.fold(), torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        before = model(x)
        assert (folded(x) - before).abs().max() <= 1e-10 * before.abs().max()


def test_folding_gives_the_form_for_inference_and_keeps_the_original():
    model = DEANet(width=8, depths=(1, 1, 1), training_form=True, released=True)
    folded = model.fold()
    inference = DEANet(width=8, depths=(1, 1, 1), released=True)
    assert repr(folded) == repr(inference)
    load_weights(inference, folded.state_dict())
    assert any(isinstance(module, DetailEnhancedConv) for module in model.modules())
    assert not any(isinstance(module, DetailEnhancedConv) for module in folded.modules())
    assert all(p.data_ptr() != q.data_ptr() for p in model.parameters() for q in folded.parameters())


def test_folding_keeps_the_dtype_and_the_mode():
    folded = fold(DEB(4, training_form=True).double().eval())
    assert folded.conv1.weight.dtype == torch.float64 and not folded.conv1.training


# ---------------------------------------------------------------- content-guided attention

def test_the_coarse_map_is_a_sum_of_a_map_of_channels_and_a_map_of_places():
    torch.manual_seed(0)
    x = torch.randn(2, 16, 6, 7)
    coarse = ChannelMap(16)(x) + SpatialMap()(x)
    mixed = coarse - coarse.mean(1, keepdim=True) - coarse.mean((2, 3), keepdim=True) + coarse.mean((1, 2, 3), keepdim=True)
    assert mixed.abs().max() < 1e-5                                     # nothing that belongs to one channel of one place


def test_the_fine_map_of_a_channel_sees_other_channels_only_through_the_coarse_map():
    torch.manual_seed(0)
    pixel = ContentGuidedAttention(8).pixel
    x, coarse = torch.randn(1, 8, 6, 6, requires_grad=True), torch.randn(1, 8, 6, 6, requires_grad=True)
    pixel(x, coarse)[:, 3].sum().backward()
    for each in (x, coarse):
        assert each.grad[:, 3].abs().sum() > 0
        assert not each.grad[:, [0, 1, 2, 4, 5, 6, 7]].any()


@pytest.mark.parametrize(("bias", "share"), [(30.0, 1.0), (-30.0, 0.0)])
def test_the_share_goes_all_the_way_to_either_map(bias, share):
    fuse, x, y = fusion(bias, released=False)
    assert torch.allclose(fuse(x, y), x + y + share * x + (1 - share) * y, atol=1e-5)


@pytest.mark.parametrize(("bias", "share"), [(30.0, 0.731), (-30.0, 0.5)])
def test_with_two_sigmoids_the_share_stays_between_a_half_and_three_quarters(bias, share):
    fuse, x, y = fusion(bias, released=True)
    assert torch.allclose(fuse(x, y), x + y + share * x + (1 - share) * y, atol=1e-3)


def fusion(bias: float, released: bool):
    """One whose last convolution is the identity and whose pixel map is pushed to one side."""
    torch.manual_seed(0)
    fuse = CGAFusion(8, released=released)
    with torch.no_grad():
        fuse.attention.pixel.conv.bias.fill_(bias)
        fuse.conv.weight.copy_(torch.eye(8)[:, :, None, None])
        fuse.conv.bias.zero_()
    return fuse, torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6)


# ---------------------------------------------------------------- bad settings

@pytest.mark.parametrize(("settings", "message"), [
    ({"width": 5}, "expected an even width, got 5"), ({"width": 0}, "expected width to be an integer of at least 1"),
    ({"depths": (4, 8)}, r"expected depths of three levels, got \(4, 8\)"),
    ({"depths": (4, 0, 8)}, r"expected depths\[1\] to be an integer of at least 1, got 0"),
    ({"in_channels": 3.0}, "expected in_channels to be an integer")])
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DEANet(**settings)


def test_channels_must_divide():
    for cls in (CGAFusion, ContentGuidedAttention, ChannelMap, DEAB):
        with pytest.raises(ValueError, match=f"{cls.__name__}: expected channels divisible by reduction, got channels=12"):
            cls(12)
