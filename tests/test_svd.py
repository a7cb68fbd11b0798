"""What dlnotes.svd promises: the optimum of Eckart and Young, the bounds of Halko et al., layers like those they replace."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from sklearn.utils.extmath import randomized_svd as sklearn_randomized_svd
from torch import nn

from dlnotes.svd import (LowRankConv2d, LowRankLinear, break_even_rank, compress_model, compressed_bytes, energy,
                         randomized_svd, range_finder, rank_for_energy, rank_one_terms, singular_value_gradient, truncate,
                         truncation_error, vector_gradient_gain)

SIDE = st.integers(1, 9)
quick = settings(max_examples=30, deadline=None)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


@pytest.fixture(scope="module")
def camera() -> torch.Tensor:
    return torch.from_numpy(data.camera() / 255)                    # 512 512, float64


# ---------------------------------------------------------------- pictures

@given(h=SIDE, w=SIDE, seed=st.integers(0, 999), fraction=st.floats(0, 1))
@quick
def test_truncation_keeps_the_first_terms_and_the_error_is_the_rest(h, w, seed, fraction):
    x, k = noise(2, h, w, seed=seed), 1 + int(fraction * (min(h, w) - 1))
    kept = truncate(x, k)
    u, s, vt = np.linalg.svd(x.numpy(), full_matrices=False)
    close(kept, torch.from_numpy((u[..., :k] * s[:, None, :k]) @ vt[:, :k]))
    close(rank_one_terms(x, k).sum(-3), kept)
    assert all(torch.linalg.matrix_rank(term, atol=1e-9) == 1 for term in rank_one_terms(x, k).flatten(0, 1))
    close(truncation_error(x, k), (x - kept).square().sum((-2, -1)).sqrt())
    close(truncation_error(x, k, "spectral"), torch.linalg.matrix_norm(x - kept, 2))
    close(1 - energy(x)[:, k - 1], truncation_error(x, k) ** 2 / x.square().sum((-2, -1)))


@given(seed=st.integers(0, 10**6), k=st.integers(1, 4))
@quick
def test_no_other_matrix_of_that_rank_is_nearer(seed, k):
    """Eckart and Young; in the spectral norm too (Mirsky)."""
    x = noise(6, 5, seed=seed)
    rival = truncate(x, k) + 0.3 * noise(6, 5, seed=seed + 1)
    rival = truncate(rival, k)
    assert torch.linalg.matrix_norm(x - rival) >= truncation_error(x, k) - 1e-12
    assert torch.linalg.matrix_norm(x - rival, 2) >= truncation_error(x, k, "spectral") - 1e-12


def test_a_colour_picture_is_three_matrices():
    x = torch.from_numpy(data.astronaut()).movedim(-1, 0).double()[:, ::4, ::4]
    close(truncate(x, 7), torch.stack([truncate(channel, 7) for channel in x]))
    assert compressed_bytes(x.shape, 7, torch.float64) == 3 * 7 * (128 + 128 + 1) * 8


def test_keeping_nothing_and_keeping_all():
    x = noise(4, 6)
    close(truncation_error(x, 0), torch.linalg.matrix_norm(x))
    close(truncation_error(x, 0, "spectral"), torch.linalg.matrix_norm(x, 2))
    for norm in ("fro", "spectral"):
        assert truncation_error(x, 4, norm) == 0
    close(truncate(x, 4), x)
    assert torch.equal(energy(torch.zeros(3, 4)), torch.ones(3)) and rank_for_energy(torch.zeros(3, 4), 0.9) == 1


@given(seed=st.integers(0, 999), share=st.floats(0.05, 0.99))
@quick
def test_rank_for_energy_is_the_smallest_that_holds_the_share(seed, share):
    x = noise(3, 6, 7, seed=seed)
    for matrix, k in zip(x, rank_for_energy(x, share).tolist()):
        assert energy(matrix)[k - 1] >= share
        assert k == 1 or energy(matrix)[k - 2] < share


@given(h=st.integers(1, 60), w=st.integers(1, 60), with_values=st.booleans())
@quick
def test_break_even_is_the_last_rank_that_saves(h, w, with_values):
    k = break_even_rank(h, w, with_values=with_values)
    assert k * (h + w + with_values) < h * w <= (k + 1) * (h + w + with_values)


def test_the_cameraman(camera):
    """Claims C084 and C085: the photograph's relative errors, the rank that breaks even, and twice the picture for all."""
    relative = [(truncation_error(camera, k) / truncation_error(camera, 0)).item() for k in (1, 5, 20, 50, 100)]
    assert [round(value, 4) for value in relative] == [0.3604, 0.1720, 0.1012, 0.0636, 0.0393]
    assert break_even_rank(512, 512) == 255
    assert round(compressed_bytes((512, 512), 512) / (512 * 512 * 4), 3) == 2.002
    assert round(512 * 512 * 4 / compressed_bytes((512, 512), 50), 1) == 5.1


def test_rank_has_nothing_to_do_with_frequency():
    """Claim C082: the finest pattern there is has rank 1; a smooth wave along the diagonal has rank 2."""
    i = torch.arange(64, dtype=torch.float64)
    checkerboard = torch.outer((-1) ** i, (-1) ** i)
    diagonal = torch.cos(2 * math.pi * 3 * (i[:, None] + i[None]) / 64)
    assert energy(checkerboard)[0] == pytest.approx(1.0) and rank_for_energy(checkerboard, 0.99) == 1
    assert energy(diagonal)[0] == pytest.approx(0.5) and rank_for_energy(diagonal, 0.99) == 2
    assert energy(torch.eye(64))[0] == pytest.approx(1 / 64) and rank_for_energy(torch.eye(64), 0.999) == 64


def test_small_singular_values_survive_the_passes():
    """Algorithm 4.4 orthonormalises between the passes; without it (4.3) the last seven are half lost."""
    q1, q2 = (torch.linalg.qr(torch.randn(40, 10, generator=generator(i), dtype=torch.float64)).Q for i in (0, 1))
    s = torch.logspace(0, -9, 10, dtype=torch.float64)
    found = randomized_svd((q1 * s) @ q2.mT, 10, oversample=5, power=3, generator=generator(2))[1]
    assert torch.allclose(found, s, rtol=1e-5, atol=0)


def test_a_random_matrix_loses_much_below_break_even():
    """Claim C087: a quarter of the parameters hold 37.6 % of a random 512 by 512 matrix, a half 62.4 %."""
    held = energy(noise(512, 512))
    assert [round(held[r - 1].item(), 2) for r in (64, 128, 256)] == [0.38, 0.62, 0.89]
    assert [sum(p.numel() for p in LowRankLinear(512, 512, r, bias=False).parameters()) / 512**2
            for r in (64, 128, 256)] == [0.25, 0.5, 1.0]


# ---------------------------------------------------------------- randomized

def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(h=st.integers(1, 12), w=st.integers(1, 12), rank=st.integers(1, 4), seed=st.integers(0, 999))
@quick
def test_a_matrix_of_low_rank_is_found_exactly(h, w, rank, seed):
    k = min(rank, h, w)
    x = noise(2, h, rank, seed=seed) @ noise(2, rank, w, seed=seed + 1)
    u, s, vh = randomized_svd(x, k, generator=generator(seed))
    close((u * s[:, None]) @ vh, x, 1e-8)
    close(s, torch.linalg.svdvals(x)[:, :k], 1e-8)
    for q in (u, vh.mT):
        close(q.mT @ q, torch.eye(k, dtype=torch.float64).expand(2, k, k), 1e-9)


def test_the_range_finder_keeps_the_bounds_of_halko_et_al(camera):
    """Theorems 10.5 and 10.6 bound the expected distance from the range; 10.10 says what the powers gain."""
    x = camera[::4, ::4]                                            # 128 128
    s = torch.linalg.svdvals(x)
    k, p, trials = 10, 5, 30
    tail = s[k:].square().sum().sqrt()
    for power in (0, 1, 2):
        missed = [x - q @ (q.mT @ x) for q in (range_finder(x, k + p, power, generator(i)) for i in range(trials))]
        spectral = torch.stack([torch.linalg.matrix_norm(m, 2) for m in missed]).mean()
        frobenius = torch.stack([torch.linalg.matrix_norm(m) for m in missed]).mean()
        gain = 1 + math.sqrt(k / (p - 1)) + math.e * math.sqrt(k + p) / p * math.sqrt(128 - k)
        assert s[k + p] <= spectral <= gain ** (1 / (2 * power + 1)) * s[k]
        assert frobenius <= math.sqrt(1 + k / (p - 1)) * tail
        if power == 0:
            assert spectral <= (1 + math.sqrt(k / (p - 1))) * s[k] + math.e * math.sqrt(k + p) / p * tail
            plain = spectral
    assert spectral < 0.7 * plain                                   # two passes, against none


@pytest.mark.parametrize("power", [0, 1, 2, 4])
def test_it_is_as_near_as_scikit_learns(camera, power):
    x, k = camera[::2, ::2], 20
    best = truncation_error(x, k).item()

    def excess(u, s, vt):
        return np.linalg.norm(x.numpy() - (np.asarray(u) * np.asarray(s)) @ np.asarray(vt)) / best - 1
    ours = np.mean([excess(*randomized_svd(x, k, 10, power, generator(i))) for i in range(10)])
    sklearns = np.mean([excess(*sklearn_randomized_svd(x.numpy(), k, n_oversamples=10, n_iter=power, random_state=i,
                                                       power_iteration_normalizer="QR")) for i in range(10)])
    assert 0 <= ours <= 1.1 * sklearns
    assert ours < {0: 0.35, 1: 0.02, 2: 0.005, 4: 0.001}[power]


def test_orthonormalising_between_the_passes_saves_the_small_values():
    """Algorithm 4.4 against 4.3: without it, what lies below the rounding of the largest value is gone."""
    q1, q2 = torch.linalg.qr(noise(40, 40)).Q, torch.linalg.qr(noise(40, 40, seed=1)).Q
    s = torch.logspace(0, -9, 10, dtype=torch.float64)
    x = (q1[:, :10] * s) @ q2[:, :10].T
    found = randomized_svd(x, 10, oversample=5, power=4, generator=generator(0))[1]
    close(found, s, 1e-15)
    y = noise(40, 15, seed=2)
    for _ in range(9):                                              # 4.3: nine products in a row
        y = x @ (x.T @ y) if _ else x @ y
    q = torch.linalg.qr(y).Q
    assert (torch.linalg.svdvals(q.T @ x)[:10] / s)[-1] < 0.5


# ---------------------------------------------------------------- layers

@given(i=st.integers(1, 8), o=st.integers(1, 8), bias=st.booleans(), seed=st.integers(0, 99))
@quick
def test_a_linear_layer_is_cut_to_the_nearest_of_its_rank(i, o, bias, seed):
    torch.manual_seed(seed)
    layer = nn.Linear(i, o, bias=bias).double()
    for rank in range(1, min(i, o) + 1):
        thin = LowRankLinear.from_linear(layer, rank)
        close(thin.up.weight @ thin.down.weight, truncate(layer.weight.detach(), rank))
        close(torch.linalg.matrix_norm(thin.up.weight), torch.linalg.matrix_norm(thin.down.weight))
        x = noise(3, 2, i, seed=seed)
        close(thin(x), F.linear(x, truncate(layer.weight.detach(), rank), layer.bias))
    close(thin(x), layer(x))


@given(i=st.integers(1, 4), o=st.integers(1, 4), kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       stride=st.tuples(st.integers(1, 2), st.integers(1, 2)), padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
       dilation=st.integers(1, 2), bias=st.booleans(), scheme=st.sampled_from(["channel", "spatial"]))
@quick
def test_at_full_rank_the_pair_is_the_convolution(i, o, kernel, stride, padding, dilation, bias, scheme):
    torch.manual_seed(0)
    conv = nn.Conv2d(i, o, kernel, stride, padding, dilation, bias=bias).double()
    full = min(o, i * math.prod(kernel)) if scheme == "channel" else min(i * kernel[0], o * kernel[1])
    pair, x = LowRankConv2d.from_conv(conv, full, scheme), noise(2, i, 9, 8)
    close(pair(x), conv(x))


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_the_cut_kernel_is_the_nearest_of_its_kind(scheme):
    """The error over all weights is the root of the discarded squares; a spatially separable kernel costs one rank."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=False).double()
    matrix = conv.weight.flatten(1) if scheme == "channel" else conv.weight.permute(1, 2, 0, 3).reshape(9, 15)
    for rank in (1, 2, 4):
        pair = LowRankConv2d.from_conv(conv, rank, scheme)
        impulses = torch.eye(3, dtype=torch.float64)[..., None, None] * F.pad(torch.ones(1, 1, 1, 1).double(), [3] * 4)
        close((pair(impulses) - conv(impulses)).square().sum().sqrt(), truncation_error(matrix.detach(), rank))
    sobel = nn.Conv2d(1, 1, 3, bias=False).double()
    with torch.no_grad():
        sobel.weight.copy_(torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([-1.0, 0, 1])))
    x = noise(1, 1, 7, 7)
    close(LowRankConv2d.from_conv(sobel, 1, "spatial")(x), sobel(x))


def test_precision_mode_and_frozen_weights_carry_over():
    layer = nn.Linear(6, 4).to(torch.bfloat16).eval().requires_grad_(False)
    thin = LowRankLinear.from_linear(layer, 2)
    assert thin.up.weight.dtype == torch.bfloat16 and not thin.training and not thin.down.weight.requires_grad


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 40), nn.Linear(40, 50, bias=False)
        self.head.weight = self.embed.weight
        self.body = nn.Linear(40, 40)
        self.again = self.body

    def forward(self, x):
        return self.head(self.again(torch.relu(self.body(self.embed(x)))))


def test_compress_model_leaves_the_original_and_reports_what_it_did():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, groups=4), nn.Conv2d(32, 32, 3),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 40), nn.ReLU(), nn.Linear(40, 3))
    before, x = copy.deepcopy(model.state_dict()), torch.randn(2, 3, 12, 12)
    smaller, report = compress_model(model, rank=8)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [layer.name for layer in report.layers] == ["0", "3", "6"]          # not the grouped one; 40 to 3 would grow
    assert type(smaller[2]) is nn.Conv2d and type(smaller[8]) is nn.Linear
    assert smaller(x).shape == model(x).shape
    assert report.before == sum(p.numel() for p in model.parameters())
    assert report.after == sum(p.numel() for p in smaller.parameters())
    assert report.before - report.after == sum(layer.before - layer.after for layer in report.layers)
    assert all(layer.after < layer.before and 0 < layer.energy < 1 for layer in report.layers)
    assert report.layers[1].after == 8 * (32 * 9 + 32) + 32
    assert "all parameters" in str(report) and "rank    8" in str(report)


def test_energy_chooses_a_rank_for_each_layer():
    torch.manual_seed(0)
    thin, full = nn.Linear(30, 30), nn.Linear(30, 30)
    with torch.no_grad():
        thin.weight.copy_(torch.randn(30, 2) @ torch.randn(2, 30))
    model, x = nn.Sequential(thin, full), torch.randn(4, 30)
    smaller, report = compress_model(model, energy=0.9999)
    assert [(layer.name, layer.rank) for layer in report.layers] == [("0", 2)]
    assert torch.allclose(smaller(x), model(x), atol=1e-4)
    _, half = compress_model(model, energy=0.5)
    assert [layer.name for layer in half.layers] == ["0", "1"] and all(layer.energy >= 0.5 for layer in half.layers)


def test_shared_layers_stay_shared_and_shared_weights_stay_whole():
    torch.manual_seed(0)
    model = Tied()
    smaller, report = compress_model(model, rank=4)
    assert [layer.name for layer in report.layers] == ["body"]
    assert smaller.body is smaller.again and isinstance(smaller.body, LowRankLinear)
    assert smaller.head.weight is smaller.embed.weight and smaller(torch.arange(3)).shape == (3, 50)


def test_layers_that_others_read_are_left_and_names_can_be_skipped():
    torch.manual_seed(0)
    model = nn.Sequential(nn.TransformerEncoderLayer(32, 2, 64, batch_first=True), nn.Linear(32, 32)).eval()
    smaller, report = compress_model(model, rank=4)
    assert [layer.name for layer in report.layers] == ["1"]
    with torch.no_grad():
        assert smaller(torch.randn(2, 5, 32)).shape == (2, 5, 32)
    assert compress_model(model, rank=4, skip=["1"])[1].layers == ()
    alone, report = compress_model(nn.Linear(20, 20), rank=3)
    assert isinstance(alone, LowRankLinear) and report.layers[0].name == ""


def test_a_trained_network_bears_the_cut():
    """Digits: with a third of its parameters the trained network still reads them."""
    from sklearn.datasets import load_digits
    x, y = load_digits(return_X_y=True)
    x, y = torch.from_numpy(x).float() / 16, torch.from_numpy(y)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(model(x[:1200]), y[:1200]).backward()
        optimizer.step()

    def accuracy(net):
        return (net(x[1200:]).argmax(1) == y[1200:]).float().mean().item()
    smaller, report = compress_model(model, rank=10, skip="4")
    assert report.after < 0.4 * report.before
    assert accuracy(model) > 0.9 and accuracy(smaller) > accuracy(model) - 0.03


@pytest.mark.parametrize(("name", "side"), [("cnn_digits", 64), ("cnn_digits_8x8", 8), ("vit_digits", 64), ("swin_digits", 32), ("unet_digits", 64)])
def test_every_layer_of_a_shipped_network_may_be_cut(name, side):
    from dlnotes.models.pretrained import load_pretrained

    network, x = load_pretrained(name), torch.zeros(2, 1, side, side)
    smaller, _ = compress_model(network, energy=0.999)
    assert smaller(x).shape == network(x).shape


# ---------------------------------------------------------------- gradients

@given(h=st.integers(1, 6), w=st.integers(1, 6), seed=st.integers(0, 999))
@quick
def test_the_gradient_of_a_singular_value_is_its_two_vectors(h, w, seed):
    x = noise(2, h, w, seed=seed).requires_grad_()
    for i in range(min(h, w)):
        expected, = torch.autograd.grad(torch.linalg.svdvals(x)[..., i].sum(), x)
        close(singular_value_gradient(x.detach(), i), expected, 1e-8)


def test_equal_values_break_vectors_and_not_values():
    """Claim C086: at the identity the gradient through the vectors is NaN, through the values it is the identity."""
    x = torch.eye(4, dtype=torch.float64, requires_grad=True)
    through_vectors, = torch.autograd.grad(torch.linalg.svd(x).U.sum(), x)
    through_values, = torch.autograd.grad(torch.linalg.svdvals(x).sum(), x)
    assert through_vectors.isnan().all() and torch.equal(through_values, torch.eye(4, dtype=torch.float64))
    assert vector_gradient_gain(x.detach()) == math.inf


def test_the_gradient_of_vectors_grows_as_values_draw_near():
    """A rank-1 projector does not depend on signs; its gradient has the size of the gain."""
    ratios = []
    for gap in (1e-1, 1e-2, 1e-3):
        x = torch.diag(torch.tensor([1 + gap, 1.0], dtype=torch.float64)).requires_grad_()
        u = torch.linalg.svd(x).U[:, 0]
        gradient, = torch.autograd.grad(u[0] * u[1], x)
        ratios.append((gradient.abs().max() / vector_gradient_gain(x.detach())).item())
    assert ratios == pytest.approx([1.0] * 3, rel=0.11)
    assert vector_gradient_gain(torch.ones(3, 1)) == 0


# ---------------------------------------------------------------- refusals

@pytest.mark.parametrize("call", [
    lambda: truncate(torch.zeros(3), 1), lambda: truncate(torch.zeros(3, 3), 4), lambda: truncate(torch.zeros(3, 3), 0),
    lambda: truncate(torch.zeros(3, 3, dtype=torch.uint8), 1), lambda: truncate(np.zeros((3, 3)), 1),
    lambda: truncate(torch.zeros(3, 3, dtype=torch.bfloat16), 1), lambda: rank_one_terms(torch.zeros(0, 3), 1),
    lambda: rank_for_energy(torch.ones(3, 3), 0.0), lambda: truncation_error(torch.ones(3, 3), 1, "nuclear"),
    lambda: truncation_error(torch.ones(3, 3), -1), lambda: break_even_rank(0, 3), lambda: compressed_bytes((3, 3), 0),
    lambda: randomized_svd(torch.ones(3, 3), 2, oversample=-1), lambda: range_finder(torch.ones(3, 3), 2, power=-1),
    lambda: LowRankLinear(4, 4, 5), lambda: LowRankLinear.from_linear(nn.Conv2d(1, 1, 1), 1), lambda: LowRankLinear(4, 0, 1),
    lambda: LowRankLinear(4, 4, 2)([[1.0] * 4]), lambda: LowRankLinear(4, 4, 2)(torch.zeros(4)),
    lambda: LowRankConv2d(2, 2, 3, 3), lambda: LowRankConv2d(2, 2, 3, 1, scheme="both"),
    lambda: LowRankConv2d(2, 2, (3, 3, 3), 1),
    lambda: LowRankConv2d.from_conv(nn.Conv2d(4, 4, 3, groups=2), 1), lambda: LowRankConv2d.from_conv(nn.Linear(2, 2), 1),
    lambda: LowRankConv2d.from_conv(nn.Conv2d(4, 4, 3, padding="same"), 1), lambda: LowRankConv2d(2, 2, 3, 1, padding=-1),
    lambda: LowRankConv2d.from_conv(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 1),
    lambda: compress_model(nn.Linear(2, 2)), lambda: compress_model(nn.Linear(2, 2), rank=1, energy=0.5),
    lambda: compress_model(nn.Linear(2, 2), energy=0.0), lambda: compress_model(torch.zeros(2), rank=1),
    lambda: compress_model(nn.Linear(2, 2), rank=0), lambda: singular_value_gradient(torch.ones(2, 2), 2),
    lambda: vector_gradient_gain(torch.ones(2)),
])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
        call()
