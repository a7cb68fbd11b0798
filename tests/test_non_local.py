"""Non-local block and dual attention: their formulas, counts and the authors' figures; both begin as the identity."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from fixtures import assert_figures, fill, wave
from parity import randomise
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.attention.dual import ChannelAffinity, PositionAttention
from dlnotes.attention.non_local import NonLocal
from dlnotes.capture import record

KINDS = ["embedded_gaussian", "gaussian", "dot_product"]


def count(module):
    return sum(p.numel() for p in module.parameters())


def picture(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# ---------------------------------------------------------------- non-local

@pytest.mark.parametrize("channels, parameters", [(256, 132_224), (512, 526_592), (1024, 2_101_760)])
def test_parameters_of_the_non_local_block(channels, parameters):
    with torch.device("meta"):
        block = NonLocal(channels)
    inner = channels // 2
    assert count(block) == parameters == 3 * (channels * inner + inner) + (inner * channels + channels) + 2 * channels


@pytest.mark.parametrize("subsample, gmacs", [(False, 0.4504), (True, 0.2667)])
def test_multiply_adds_of_the_non_local_block(subsample, gmacs):
    with torch.device("meta"):
        block, x = NonLocal(1024, subsample=subsample).eval(), torch.zeros(1, 1024, 14, 14)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        block(x)
    assert round(counter.get_total_flops() / 2e9, 4) == gmacs


@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_non_local_block_follows_its_formula(kind, subsample):
    block, x = randomise(NonLocal(6, 4, kind, subsample).double()).eval(), picture(2, 6, 4, 8)
    keys = F.max_pool2d(x, 2) if subsample else x
    theta, phi = (x, keys) if kind == "gaussian" else (block.theta(x), block.phi(keys))
    f = torch.einsum("b d y x, b d v u -> b y x v u", theta, phi)
    if kind == "embedded_gaussian":
        f = f / 4**0.5
    if kind != "dot_product":
        f = f.exp()
    c = keys.shape[2] * keys.shape[3] if kind == "dot_product" else f.sum(dim=(3, 4), keepdim=True)
    y = torch.einsum("b y x v u, b d v u -> b d y x", f / c, block.g(keys))
    assert torch.allclose(block(x), x + block.norm(block.out(y)), atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_non_local_block_begins_as_the_identity_and_can_leave_it(kind, training):
    block, x = NonLocal(6, kind=kind).double().train(training), picture(2, 6, 5, 7)
    out = block(x)
    assert torch.equal(out, x)
    (out * picture(2, 6, 5, 7)).sum().backward()
    assert block.norm.weight.grad.abs().sum() > 0


def test_without_an_embedding_there_is_none():
    assert {name.split(".")[0] for name, _ in NonLocal(6, kind="gaussian").named_parameters()} == {"g", "out", "norm"}
    assert count(NonLocal(6, 3)) - count(NonLocal(6, 3, kind="gaussian")) == 2 * (6 * 3 + 3)


def test_the_non_local_block_does_not_know_where_a_pixel_is():
    block, x = randomise(NonLocal(6).double()).eval(), picture(1, 6, 4, 5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))

    def shuffle(m):
        return m.flatten(2)[:, :, order].unflatten(2, (4, 5))
    assert torch.allclose(block(shuffle(x)), shuffle(block(x)), atol=1e-12)


@pytest.mark.parametrize("kind", ["embedded_gaussian", "gaussian"])
def test_non_local_attention_is_recorded(kind):
    block = NonLocal(6, kind=kind, subsample=True)
    with record(block, attention=True) as seen:
        block(torch.randn(2, 6, 4, 8))
    assert [tuple(a.shape) for a in seen.attention] == [(2, 1, 32, 8)]


def test_non_local_refuses_what_it_cannot_pool_or_does_not_know():
    with pytest.raises(ValueError, match=r"NonLocal: expected height and width divisible by 2, got \(b=1, c=6, h=5, w=8\)"):
        NonLocal(6, subsample=True)(torch.randn(1, 6, 5, 8))
    with pytest.raises(ValueError, match="expected kind to be one of 'embedded_gaussian', .*, got 'concatenation'"):
        NonLocal(6, kind="concatenation")
    with pytest.raises(ValueError, match="expected channels to be an integer of at least 1, got 0"):
        NonLocal(0)


# ---------------------------------------------------------------- dual attention

def test_parameters_of_dual_attention():
    assert (count(PositionAttention(512)), count(ChannelAffinity())) == (328_321, 1)


@pytest.mark.parametrize("make", [lambda: PositionAttention(16), ChannelAffinity], ids=["positions", "channels"])
def test_dual_attention_begins_as_the_identity_and_can_leave_it(make):
    layer, x = make().double(), picture(2, 16, 5, 7)
    assert torch.equal(layer(x), x)
    (layer(x) * picture(2, 16, 5, 7)).sum().backward()
    assert layer.gamma.grad.abs().sum() > 0


def test_position_attention_follows_its_formula():
    layer, x = randomise(PositionAttention(16, reduction=4).double()), picture(2, 16, 5, 7)
    q, k, v = (part(x).flatten(2) for part in (layer.query, layer.key, layer.value))            # b d n
    energy = torch.einsum("b d i, b d j -> b i j", q, k)                                        # not divided by √d
    gathered = torch.einsum("b i j, b c j -> b c i", energy.softmax(-1), v)
    assert torch.allclose(layer(x), x + layer.gamma * gathered.unflatten(2, (5, 7)), atol=1e-12)


def test_channel_affinity_is_that_of_the_authors_code():
    """Softmax of (row maximum - energy), figures computed with the authors' code."""
    layer = fill(ChannelAffinity())
    assert_figures(layer(wave(1, 16, 8, 8)), 2.778840588e-03, 6.492080890e-01, -1.208179702e-02, 9.171436370e-01)
    x = picture(2, 6, 4, 5)
    rows = rearrange(x, "b c h w -> b c (h w)")
    energy = rows @ rows.mT
    weights = (energy.max(dim=-1, keepdim=True).values - energy).softmax(-1)
    expected = x + layer.gamma * (weights @ rows).unflatten(2, (4, 5))
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_a_channel_gathers_least_from_itself():
    """The reversed sign: of three orthogonal channels, the weight on itself is the smallest."""
    x = torch.eye(3).reshape(1, 3, 1, 3)
    layer = ChannelAffinity()
    with record(layer, attention=True) as seen:
        layer(x)
    weights = seen.attention[0].weights[0]
    assert weights.argmin(dim=1).tolist() == [0, 1, 2] and weights[0, 1] == weights[0, 2]


@pytest.mark.parametrize("layer, shape", [(PositionAttention(16), (2, 1, 35, 35)), (ChannelAffinity(), (2, 16, 16))])
def test_dual_attention_is_recorded(layer, shape):
    with record(layer, attention=True) as seen:
        layer(torch.randn(2, 16, 5, 7))
    assert [tuple(a.shape) for a in seen.attention] == [shape]


def test_position_attention_refuses_widths_that_do_not_divide():
    with pytest.raises(ValueError, match="PositionAttention: expected channels divisible by reduction=8, got 12; choose"):
        PositionAttention(12)
