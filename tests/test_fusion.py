"""What dlnotes.fusion promises: one interface for two maps, the numbers of PyTorch and torchvision, what each gate means."""

import torchvision_shim  # noqa: F401  (before torchvision)

import copy
import math
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from fixtures import assert_figures, fill, wave
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import randomise, relative_difference
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP as TorchvisionASPP
from torchvision.ops import FeaturePyramidNetwork

from dlnotes.capture import record
from dlnotes.fusion import (ASPP, FPN, FUSIONS, AddFusion, AttentionFusion, CascadeFusion, ConcatFusion, GatedFusion,
                            GRUFusion, HyperFusion, PyramidPooling, WeightedFusion)

quick = settings(max_examples=20, deadline=None)
every = pytest.mark.parametrize("name", FUSIONS)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b) -> None:
    torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def make(name: str, channels: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return randomise(FUSIONS[name](channels)).double().eval()


def take(ours: nn.Module, theirs: nn.Module) -> None:
    """Weights in the order in which both networks hold them."""
    a, b = ours.state_dict(), theirs.state_dict()
    assert [x.shape for x in a.values()] == [x.shape for x in b.values()]
    ours.load_state_dict(dict(zip(a, b.values())))


# ---------------------------------------------------------------- one interface

@every
@given(h=st.integers(2, 7), w=st.integers(2, 7), batch=st.integers(1, 3))
@quick
def test_two_maps_of_one_size_become_one(name, h, w, batch):
    x, y = noise(batch, 8, h, w), noise(batch, 8, h, w, seed=1)
    out = make(name)(x, y)
    assert out.shape == x.shape and out.dtype == x.dtype and out.isfinite().all()


@every
def test_both_maps_are_heard(name):
    x, y = noise(2, 8, 5, 6).requires_grad_(), noise(2, 8, 5, 6, seed=1).requires_grad_()
    make(name)(x, y).square().sum().backward()
    assert (x.grad.abs().sum((0, 2, 3)) > 0).all() and (y.grad.abs().sum((0, 2, 3)) > 0).all()


@every
def test_a_fusion_compiles_and_exports(name):
    module, x, y = make(name), noise(2, 8, 5, 6), noise(2, 8, 5, 6, seed=1)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    exported = torch.export.export(module, (x, y)).module()
    with torch.no_grad():
        close(compiled(x, y), module(x, y))
        close(exported(x, y), module(x, y))


@every
def test_maps_that_do_not_fit_are_refused_in_one_sentence(name):
    module, x = make(name), noise(2, 8, 6, 6)
    for bad in (x[:, :, :3], x[:1], x[0], x[:, :4], x.float(), x.long(), x.tolist()):
        for pair in ((x, bad), (bad, x)):
            with pytest.raises((ValueError, TypeError), match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
                module(*pair)
    with pytest.raises(ValueError, match="expected"):
        FUSIONS[name](0)


# ---------------------------------------------------------------- sums

def test_adding_is_concatenating_with_identities():
    """W [x; y] = W₁ x + W₂ y; with both the identity it is x + y."""
    concat, x, y = make("concat"), noise(2, 8, 4, 5), noise(2, 8, 4, 5, seed=1)
    first, second = concat.mix.weight.chunk(2, dim=1)
    close(concat(x, y), F.conv2d(x, first) + F.conv2d(y, second) + concat.mix.bias[:, None, None])
    with torch.no_grad():
        concat.mix.weight.copy_(torch.cat([torch.eye(8), torch.eye(8)], dim=1)[..., None, None])
        concat.mix.bias.zero_()
    close(concat(x, y), AddFusion(8)(x, y))


@pytest.mark.parametrize("normalize", ["fast", "softmax"])
def test_weights_are_shares(normalize):
    """EfficientDet, section 3.3: w / (0.0001 + Σ w) of what a ReLU leaves, or softmax."""
    fusion, x, y = WeightedFusion(8, normalize).double(), noise(2, 8, 4, 5), noise(2, 8, 4, 5, seed=1)
    torch.testing.assert_close(fusion(x, y), (x + y) / 2, atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        fusion.weight.copy_(torch.tensor([3.0, -1.0]))
    shares = [3 / 3.0001, 0] if normalize == "fast" else [1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))]
    close(fusion(x, y), shares[0] * x + shares[1] * y)
    assert 0.9999 < fusion.shares().sum() <= 1


def test_the_cascade_is_icnets_unit():
    fusion, x, y = make("cascade"), noise(2, 8, 6, 6), noise(2, 8, 6, 6, seed=1)
    (conv1, bn1), (conv3, bn3) = fusion.fine, fusion.coarse
    close(fusion(x, y), F.relu(bn1(conv1(x)) + bn3(F.conv2d(y, conv3.weight, padding=2, dilation=2))))


# ---------------------------------------------------------------- gates

def test_the_gate_is_a_mean_between_the_maps():
    fusion, x, y = make("gated"), noise(2, 8, 4, 5), noise(2, 8, 4, 5, seed=1)
    with record(fusion, "gate") as seen:
        out = fusion(x, y)
    g = seen.activations["gate"]
    assert ((0 < g) & (g < 1)).all() and (torch.minimum(x, y) <= out).all() and (out <= torch.maximum(x, y)).all()
    close(g, (out - y) / (x - y))


def test_a_gru_whose_proposal_is_the_input_is_a_gated_mean():
    """Kernel 1, weights so that n = tanh(y): what is left of the cell is z x + (1 - z) n."""
    gru, gated = GRUFusion(8, kernel_size=1).double(), make("gated")
    with torch.no_grad():
        for p in gru.parameters():
            p.zero_()
        of_x, of_y = gated.gate[0].weight.chunk(2, dim=1)
        gru.from_state.weight[8:16].copy_(of_x)
        gru.from_input.weight[8:16].copy_(of_y)
        gru.from_input.bias[8:16].copy_(gated.gate[0].bias)
        gru.from_input.weight[16:].copy_(torch.eye(8)[..., None, None])
    x, y = noise(2, 8, 4, 5), noise(2, 8, 4, 5, seed=1)
    g = gated.gate(torch.cat([x, y], dim=1))
    close(gru(x, y), g * x + (1 - g) * torch.tanh(y))


@given(c=st.integers(1, 5), h=st.integers(1, 4), w=st.integers(1, 4), seed=st.integers(0, 99))
@quick
def test_with_kernel_one_every_pixel_is_a_gru_cell_of_pytorch(c, h, w, seed):
    torch.manual_seed(seed)
    ours, theirs = GRUFusion(c, kernel_size=1).double(), nn.GRUCell(c, c).double()
    with torch.no_grad():
        for conv, weight, bias in ((ours.from_input, theirs.weight_ih, theirs.bias_ih),
                                   (ours.from_state, theirs.weight_hh, theirs.bias_hh)):
            conv.weight.copy_(weight[..., None, None])
            conv.bias.copy_(bias)
    x, y = noise(2, c, h, w, seed=seed), noise(2, c, h, w, seed=seed + 1)
    pixels = theirs(*(m.permute(0, 2, 3, 1).reshape(-1, c) for m in (y, x)))
    close(ours(x, y), pixels.reshape(2, h, w, c).permute(0, 3, 1, 2))


# ---------------------------------------------------------------- attention, generated kernels

def test_attention_fusion_is_pytorchs_cross_attention():
    theirs = nn.MultiheadAttention(8, 2, batch_first=True).double()
    ours = AttentionFusion(8, heads=2).double()
    ours.attend = type(ours.attend).from_torch(theirs)
    x, y = noise(2, 8, 3, 4), noise(2, 8, 3, 4, seed=1)
    q, kv = (m.flatten(2).mT for m in (x, y))
    close(ours(x, y), x + theirs(q, kv, kv)[0].mT.reshape(2, 8, 3, 4))


def test_attention_fusion_does_not_see_where_in_y_a_pixel_is():
    fusion, x, y = make("attention"), noise(2, 8, 3, 4), noise(2, 8, 3, 4, seed=1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    close(fusion(x, y.flatten(2)[..., order].reshape(y.shape)), fusion(x, y))


def test_the_attention_between_two_maps_is_recorded():
    fusion = make("attention")
    with torch.no_grad(), record(fusion, attention=True) as seen:
        fusion(noise(2, 8, 3, 4), noise(2, 8, 3, 4, seed=1))
    assert [(x.module, tuple(x.shape)) for x in seen.attention] == [("attend", (2, 4, 12, 12))]


def test_generated_kernels_are_each_samples_own():
    fusion, x, y = make("hyper"), noise(3, 8, 5, 6), noise(3, 8, 5, 6, seed=1)
    both = torch.cat([x, y], dim=1)
    kernels = fusion.kernels(both)
    assert kernels.shape == (3, 16, 3, 3) and not torch.allclose(kernels[0], kernels[1])
    for i in range(3):
        filtered = F.conv2d(both[i:i + 1], kernels[i][:, None], padding=1, groups=16)
        close(fusion(x, y)[i:i + 1], filtered[:, :8] + filtered[:, 8:])
        close(fusion(x[i:i + 1], y[i:i + 1]), fusion(x, y)[i:i + 1])


def test_generated_kernels_start_near_the_mean():
    torch.manual_seed(0)
    fusion, x, y = HyperFusion(32).double(), noise(2, 32, 8, 8), noise(2, 32, 8, 8, seed=1)
    with torch.no_grad():
        fusion.look.weight.zero_()
        fusion.look.bias.zero_()
    close(fusion(x, y), (x + y) / 2)


# ---------------------------------------------------------------- pyramids and context

@pytest.mark.parametrize("sides", [(32, 16, 8, 4), (25, 13, 7, 4), (25, 12, 6, 3), (9, 5), (3,)])
@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_fpn_is_torchvisions(sides, dtype, limit):
    channels = [3, 5, 7, 4][:len(sides)]
    theirs = randomise(FeaturePyramidNetwork(channels, 6)).to(dtype)
    ours = FPN(channels, 6).to(dtype)
    take(ours, theirs)
    maps = [noise(2, c, side, width, seed=c).to(dtype) for c, side, width in zip(channels, sides, (22, 11, 6, 3))]
    expected = theirs(OrderedDict((str(i), x) for i, x in enumerate(maps)))
    assert all(relative_difference(a, b) <= limit for a, b in zip(ours(*maps), expected.values(), strict=True))


def test_a_deep_pixel_reaches_all_finer_levels_and_no_coarser_one():
    torch.manual_seed(0)
    fpn, maps = FPN([2, 2, 2], 3).double(), [noise(1, 2, side, side, seed=side) for side in (16, 8, 4)]
    for level in range(3):
        changed = [x + (i == level) for i, x in enumerate(maps)]
        moved = [not torch.equal(a, b) for a, b in zip(fpn(*maps), fpn(*changed))]
        assert moved == [i <= level for i in range(3)]


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(2, 8, 9, 9), (3, 8, 14, 5)])
def test_aspp_is_torchvisions(dtype, limit, training, shape):
    theirs = randomise(TorchvisionASPP(8, [2, 3, 4], 6)).to(dtype)
    theirs.project[3].p = 0.0
    ours = ASPP(8, 6, rates=(2, 3, 4), dropout=0.0).to(dtype)
    take(ours, theirs)
    x = noise(*shape).to(dtype)
    a, b = copy.deepcopy(ours).train(training), copy.deepcopy(theirs).train(training)
    assert relative_difference(a(x), b(x)) <= limit


def test_pyramid_pooling_gives_the_figures_of_the_authors():
    """PPM of hszhao/semseg, model/pspnet.py, with 8 channels, filled by the rule of fixtures.py."""
    assert_figures(fill(PyramidPooling(8))(wave(1, 8, 9, 7)), 4.805428269e-02, 5.006347417e-01, 0.0, 9.157990110e-02)


def test_pyramid_pooling_keeps_the_map_and_adds_means():
    """One bin, identity convolution, normalisation by 0 and 1: beside the map stands its mean."""
    pool, x = PyramidPooling(4, bins=(1,)).double().eval(), noise(2, 4, 5, 6).abs()
    with torch.no_grad():
        pool.levels[0][1].weight.copy_(torch.eye(4)[..., None, None])
        pool.levels[0][2].eps = 0.0
    close(pool(x), torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)], dim=1))


@pytest.mark.parametrize("build", [lambda: PyramidPooling(32), lambda: ASPP(32, 16)], ids=["PyramidPooling", "ASPP"])
def test_context_reaches_across_the_whole_map(build):
    torch.manual_seed(0)
    module, x = build().double().eval(), noise(1, 32, 40, 40)
    changed = x.clone()
    changed[:, :, -1, -1] += 100
    assert (module(x)[..., 0, 0] != module(changed)[..., 0, 0]).any()


@pytest.mark.parametrize("call", [
    lambda: FPN([4, 4])(torch.zeros(1, 4, 8, 8)), lambda: FPN([4, 4])(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 3, 4)),
    lambda: FPN([4, 4])(torch.zeros(2, 4, 8, 8), torch.zeros(1, 4, 4, 4)), lambda: FPN([]), lambda: FPN([4, 0]),
    lambda: FPN([4])([torch.zeros(1, 4, 8, 8)]), lambda: FPN([4, 4], 0), lambda: AttentionFusion(8, heads=3),
    lambda: GRUFusion(8, kernel_size=2), lambda: HyperFusion(8, kernel_size=4), lambda: HyperFusion(6, reduction=4),
    lambda: WeightedFusion(8, "sum"), lambda: PyramidPooling(8, bins=(1, 2, 3)), lambda: PyramidPooling(8, bins=()),
    lambda: PyramidPooling(8)(torch.zeros(1, 8, 6, 6)), lambda: ASPP(8)(torch.zeros(1, 8, 6, 6)),
    lambda: ASPP(8, rates=(0,)),
    lambda: ASPP(8, dropout=1.0), lambda: GatedFusion(1.5), lambda: ConcatFusion("8"), lambda: CascadeFusion(True),
])
def test_bad_settings_and_levels_are_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
        call()


@pytest.mark.parametrize("build, shapes", [
    (lambda: FPN([3, 5], 4), [(2, 3, 9, 8), (2, 5, 5, 4)]), (lambda: PyramidPooling(8), [(2, 8, 7, 6)]),
    (lambda: ASPP(8, 4), [(2, 8, 7, 6)]),
], ids=["FPN", "PyramidPooling", "ASPP"])
def test_pyramids_compile_and_export(build, shapes):
    torch.manual_seed(0)
    module, maps = build().eval().double(), tuple(noise(*shape) for shape in shapes)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        for other in (compiled, torch.export.export(module, maps).module()):
            close(other(*maps), module(*maps))
