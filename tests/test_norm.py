"""dlnotes.norm: forward, backward, running statistics and folding equal PyTorch's in float64."""

import torchvision_shim  # noqa: F401  (before torchvision)

import copy

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import randomise, relative_difference
from torch import nn

from dlnotes import norm as N

few = settings(max_examples=25, deadline=None)
KINDS = sorted(N.SHARED)
sizes = st.tuples(st.integers(2, 4), st.sampled_from([2, 4, 6]), st.integers(2, 4), st.integers(1, 4))


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scales(kind: str, shape) -> tuple[torch.Tensor, torch.Tensor]:
    wanted = shape[1:] if kind == "layer" else shape[1:2]
    return 1 + 0.5 * randn(*wanted, seed=1), randn(*wanted, seed=2)


def theirs(x, gamma, beta, kind: str, groups: int, eps: float):
    if kind == "batch":
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
    if kind == "layer":
        return F.layer_norm(x, x.shape[1:], gamma, beta, eps)
    if kind == "pixel":
        return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], gamma, beta, eps).permute(0, 3, 1, 2)
    if kind == "instance":
        return F.instance_norm(x, weight=gamma, bias=beta, eps=eps)
    return F.group_norm(x, groups, gamma, beta, eps)


# ---------------------------------------------------------------- forward and backward

@few
@given(sizes, st.sampled_from(KINDS), st.sampled_from([1e-5, 1e-2]))
def test_forward_and_backward_are_pytorchs(shape, kind, eps):
    groups = 2 if kind == "group" else 1
    x, gradient = randn(*shape).requires_grad_(), randn(*shape, seed=3)
    gamma, beta = (t.requires_grad_() for t in scales(kind, shape))
    expected = theirs(x, gamma, beta, kind, groups, eps)
    with torch.no_grad():
        out, saved = N.norm_forward(x, gamma, beta, kind, groups, eps)
        by_hand = N.norm_backward(gradient, saved)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=1e-12)
    for ours, autograd in zip(by_hand, torch.autograd.grad(expected, (x, gamma, beta), gradient)):
        torch.testing.assert_close(ours, autograd, atol=1e-10, rtol=1e-10)


class ByHand(torch.autograd.Function):
    """Our two functions in autograd's place, so that gradcheck compares them with finite differences."""

    @staticmethod
    def forward(ctx, x, gamma, beta, kind, groups):
        out, ctx.saved = N.norm_forward(x, gamma, beta, kind, groups)
        return out

    @staticmethod
    def backward(ctx, gradient):
        return *N.norm_backward(gradient, ctx.saved), None, None


@pytest.mark.parametrize("kind", KINDS)
def test_backward_agrees_with_finite_differences(kind):
    shape = (2, 4, 3, 2)
    args = [t.requires_grad_() for t in (randn(*shape), *scales(kind, shape))]
    assert torch.autograd.gradcheck(lambda *a: ByHand.apply(*a, kind, 2 if kind == "group" else 1), args)


@pytest.mark.parametrize("kind", KINDS)
def test_moving_and_stretching_the_input_changes_nothing_so_no_gradient_points_there(kind):
    shape, groups = (3, 4, 5, 2), 2 if kind == "group" else 1
    x, (gamma, beta) = randn(*shape), scales(kind, shape)
    out, saved = N.norm_forward(x, gamma, beta, kind, groups, eps=0.0)
    torch.testing.assert_close(N.norm_forward(3 * x + 7, gamma, beta, kind, groups, eps=0.0)[0], out)
    dx = N.norm_backward(randn(*shape, seed=3), saved)[0]
    grouped = dx.reshape(saved.normalised.shape)
    assert grouped.mean(saved.axes).abs().max() < 1e-14
    assert (grouped * saved.normalised).mean(saved.axes).abs().max() < 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_each_mean_covers_the_axes_of_the_table(kind):
    """Change one number: what else changes is what shares its mean."""
    shape, groups = (2, 4, 3, 3), 2 if kind == "group" else 1
    x, ones, zeros = randn(*shape), torch.ones(scales(kind, shape)[0].shape).double(), torch.zeros(())
    zeros = zeros.expand(ones.shape).double()
    other = x.clone()
    other[0, 0, 0, 0] += 1
    changed = (N.norm_forward(x, ones, zeros, kind, groups)[0] != N.norm_forward(other, ones, zeros, kind, groups)[0])
    changed = changed.reshape(2, groups, 4 // groups, 3, 3)
    for axis, name in enumerate("b g c h w".split()):
        if changed.shape[axis] > 1:
            assert changed.movedim(axis, 0)[1].any() == (name in N.SHARED[kind].split()), name


def test_group_norm_with_one_group_is_layer_norm_and_with_a_group_per_channel_instance_norm():
    x, gamma, beta = randn(4, 6, 5, 5), torch.ones(6).double(), torch.zeros(6).double()
    layer = N.norm_forward(x, torch.ones(6, 5, 5).double(), torch.zeros(6, 5, 5).double(), "layer")[0]
    torch.testing.assert_close(N.norm_forward(x, gamma, beta, "group", 1)[0], layer)
    torch.testing.assert_close(N.norm_forward(x, gamma, beta, "group", 6)[0], N.norm_forward(x, gamma, beta, "instance")[0])
    assert not torch.allclose(layer, N.norm_forward(x, gamma, beta, "pixel")[0], atol=0.1)


# ---------------------------------------------------------------- the layer

@few
@given(st.sampled_from([0.1, 0.0, 1.0, 0.3, None]), st.sampled_from([1e-5, 1e-2]),
       st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(2, 4)), min_size=1, max_size=4))
def test_batch_norm_is_pytorchs_through_training_and_evaluation(momentum, eps, batches):
    ours, theirs = N.BatchNorm2d(3, eps, momentum).double(), nn.BatchNorm2d(3, eps, momentum).double()
    theirs.load_state_dict(randomise(ours).state_dict())
    for i, (b, h, w) in enumerate(batches):
        x = 3 * randn(b, 3, h, w, seed=i) + 1
        for mode in (True, False):
            torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), atol=1e-12, rtol=1e-12)
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        for key, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients_are_pytorchs(training):
    ours, theirs = N.BatchNorm2d(3).double().train(training), nn.BatchNorm2d(3).double().train(training)
    x, gradient = randn(4, 3, 5, 5).requires_grad_(), randn(4, 3, 5, 5, seed=1)
    mine = torch.autograd.grad(ours(x), (x, *ours.parameters()), gradient)
    for a, b in zip(mine, torch.autograd.grad(theirs(x), (x, *theirs.parameters()), gradient)):
        torch.testing.assert_close(a, b, atol=1e-11, rtol=1e-11)


def test_without_momentum_the_running_mean_is_the_plain_average():
    bn, batches = N.BatchNorm2d(2, momentum=None).double(), [randn(3, 2, 4, 4, seed=i) for i in range(5)]
    for x in batches:
        bn(x)
    torch.testing.assert_close(bn.running_mean, torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0))
    torch.testing.assert_close(bn.running_var, torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0))     # unbiased


def test_one_value_per_channel_is_refused_in_training_as_pytorch_does():
    x = torch.randn(1, 4, 1, 1)
    for bn in (N.BatchNorm2d(4), nn.BatchNorm2d(4)):
        with pytest.raises(ValueError, match="xpected more than (1|one) value"):
            bn(x)
        assert isinstance(bn, nn.BatchNorm2d) or bn.num_batches_tracked == 0    # a refused batch leaves no trace in ours
        assert bn.eval()(x).shape == x.shape


def test_a_bias_before_batch_norm_is_in_vain():
    conv, bn, x = nn.Conv2d(3, 4, 3).double(), N.BatchNorm2d(4).double(), randn(2, 3, 6, 6)
    out = bn(conv(x))
    out.square().mul(randn(*out.shape, seed=1)).sum().backward()
    assert conv.bias.grad.abs().max() < 1e-10 < 1e-2 < conv.weight.grad.abs().max()
    with torch.no_grad():
        conv.bias += 5
    torch.testing.assert_close(bn(conv(x)), out)


# ---------------------------------------------------------------- folding

def pairs():
    for options in ({}, {"bias": False}, {"groups": 2, "stride": 2, "padding": 1}, {"groups": 4, "dilation": 2},
                    {"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}):
        yield nn.Conv2d(4, 8, 3, **options), nn.BatchNorm2d(8), (2, 4, 7, 6)
    yield nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 7)
    yield nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4), (2, 2, 4, 4, 4)
    yield nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), (3, 5)
    yield nn.ConvTranspose1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 5)
    for options in ({}, {"bias": False}, {"groups": 2}, {"groups": 4, "stride": 2, "output_padding": 1}):
        yield nn.ConvTranspose2d(4, 8, 3, **options), nn.BatchNorm2d(8), (2, 4, 5, 6)
    yield nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, affine=False, eps=1e-2), (2, 4, 7, 6)
    yield nn.Conv2d(4, 8, 3), N.BatchNorm2d(8), (2, 4, 7, 6)


@pytest.mark.parametrize("layer, bn, shape", pairs(), ids=lambda part: type(part).__name__)
def test_folding_changes_nothing(layer, bn, shape):
    layer, bn, x = randomise(layer.double()), randomise(bn.double(), seed=1).eval(), randn(*shape)
    before = copy.deepcopy(layer.state_dict())
    folded = N.fold_batchnorm(layer, bn)
    assert type(folded) is type(layer) and relative_difference(folded(x), bn(layer(x))) < 1e-10
    assert all(torch.equal(value, layer.state_dict()[key]) for key, value in before.items())


@pytest.fixture(scope="module")
def resnet():
    return randomise(torchvision.models.resnet18(num_classes=10).double()).eval()


def test_every_pair_of_resnet18_folds(resnet):
    x = randn(1, 3, 64, 64)
    found = N.foldable_pairs(resnet, x)
    assert len(found) == sum(isinstance(m, nn.BatchNorm2d) for m in resnet.modules()) == 20
    assert ("conv1", "bn1") in found and ("layer2.0.downsample.0", "layer2.0.downsample.1") in found
    for conv, bn in found:
        conv, bn = resnet.get_submodule(conv), resnet.get_submodule(bn)
        y = randn(1, conv.in_channels, 5, 5)
        assert relative_difference(N.fold_batchnorm(conv, bn)(y), bn(conv(y))) < 1e-10


def test_a_folded_resnet18_computes_the_same_without_batch_norm(resnet):
    x = randn(2, 3, 64, 64)
    folded = N.fold_model(resnet, x[:1])
    assert type(folded) is type(resnet) and not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert relative_difference(folded(x), resnet(x)) < 1e-10
    assert any(isinstance(m, nn.BatchNorm2d) for m in resnet.modules())


class Awkward(nn.Module):
    """Pairs that must not be folded: a layer used twice, a shared or computed weight, an activation between."""

    def __init__(self):
        super().__init__()
        self.twice, self.bn1, self.bn2 = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2)
        self.one, self.shares, self.bn3 = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
        self.shares.weight = self.one.weight
        self.relu, self.bn4 = nn.ReLU(), nn.BatchNorm2d(2)
        self.normed, self.bn5 = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1)), nn.BatchNorm2d(2)
        self.overwritten, self.in_place, self.bn7 = nn.Conv2d(2, 2, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(2)
        self.good, self.bn6 = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.bn2(self.twice(self.bn1(self.twice(x))))
        x = self.bn4(self.relu(self.bn3(self.shares(self.one(x)))))
        x = self.bn7(self.in_place(self.overwritten(x)))
        return self.bn6(self.good(self.bn5(self.normed(x))))


def test_only_safe_pairs_are_folded():
    model, x = randomise(Awkward().double()), randn(2, 2, 3, 3)
    model.bn4.eval()
    modes = [m.training for m in model.modules()]
    assert N.foldable_pairs(model, x) == [("good", "bn6")]
    assert [m.training for m in model.modules()] == modes and not any(m._forward_hooks for m in model.modules())
    assert relative_difference(N.fold_model(model, x)(x), model.eval()(x)) < 1e-10


def test_a_linear_layer_over_tokens_is_not_folded():
    """BatchNorm1d takes the tokens of (b, n, d) for channels, which no weight of the layer belongs to."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).double()
    assert N.foldable_pairs(model, randn(2, 4)) == [("0", "1")] and N.foldable_pairs(model, randn(2, 4, 4)) == []


def test_a_layer_that_something_else_reads_too_is_found_out():
    class Leak(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            x = self.conv(x)
            return {"out": (self.bn(x), x), "class": x.argmax(1), "loss": None}
    with pytest.raises(ValueError, match="expected the same output after folding, got a difference of .*; some layer"):
        N.fold_model(randomise(Leak()), torch.randn(1, 2, 3, 3))


# ---------------------------------------------------------------- bad input

X, ONE = torch.zeros(2, 4, 3, 3), torch.ones(4)
SENTENCE = r"(?s)^[\w.]+: expected .*, got .*; .*\S$"


@pytest.mark.parametrize("call", [
    lambda: N.statistics(X[0], "batch"), lambda: N.statistics(X.long(), "batch"), lambda: N.statistics(X, "spectral"),
    lambda: N.statistics(X, "group", 3), lambda: N.statistics(X, "batch", 2),
    lambda: N.norm_forward(X, ONE[:3], ONE, "batch"),
    lambda: N.norm_forward(X, ONE, ONE, "layer"), lambda: N.norm_forward(X.double(), ONE, ONE, "batch"),
    lambda: N.norm_backward(X[:, :3], N.norm_forward(X, ONE, ONE, "batch")[1]),
    lambda: N.BatchNorm2d(0), lambda: N.BatchNorm2d(4, eps=-1), lambda: N.BatchNorm2d(4, momentum=2.0),
    lambda: N.BatchNorm2d(4)(X[:1, :, :1, :1]),
    lambda: N.fold_batchnorm(nn.ReLU(), nn.BatchNorm2d(4)), lambda: N.fold_batchnorm(nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4)),
    lambda: N.fold_batchnorm(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    lambda: N.fold_batchnorm(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False).eval()),
    lambda: N.fold_batchnorm(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(5).eval()), lambda: N.foldable_pairs(abs, X),
    lambda: N.fold_model(nn.Conv2d(4, 4, 1), X)])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=SENTENCE):
        call()
