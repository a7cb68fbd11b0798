"""LeNet-5 of 1998 and of today, our small CNN, HybridSN; coordinate attention and stochastic depth, which others use."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import pytest
import timm.layers
import torch
import torch.nn.functional as F
import torchvision
from fixtures import assert_figures, fill, wave

from dlnotes.attention.coordinate import CoordinateAttention
from dlnotes.models import create
from dlnotes.models._drop_path import DropPath
from dlnotes.models.cnn import SimpleCNN
from dlnotes.models.lenet import _C3_SEES, LeNet5, LeNet5Original


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def refused(call, *words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in (": expected ", ", got ", *words)), error.value


# ---------------------------------------------------------------- LeNet-5

def test_lenet_has_its_parameters_where_the_paper_has_its_layers():
    model = LeNet5()
    layers = (model.c1, model.c3, model.c5, model.f6, model.output)
    assert [count(layer) for layer in layers] == [156, 2416, 48_120, 10_164, 850]
    assert count(model) == 61_706


def test_the_original_has_60000_trainable_parameters():
    model = LeNet5Original()
    layers = (model.c1, model.s2, model.c3, model.s4, model.c5, model.f6)
    assert [count(layer) for layer in layers] == [156, 12, 1516, 32, 48_120, 10_164]
    assert count(model) == 60_000 and model.output.drawings.numel() == 840


def test_the_original_has_340908_connections():
    """A unit has one connection to each input that it weighs, and one to its bias; the output has no bias."""
    model = LeNet5Original()
    c1 = 28 * 28 * 6 * (5 * 5 + 1)
    s2 = 14 * 14 * 6 * (2 * 2 + 1)
    c3 = 10 * 10 * (sum(map(len, _C3_SEES)) * 5 * 5 + 16)
    s4 = 5 * 5 * 16 * (2 * 2 + 1)
    c5 = 120 * (16 * 5 * 5 + 1)
    f6 = 84 * (120 + 1)
    assert (c1, s2, c3, s4, c5, f6) == (122_304, 5880, 151_600, 2000, 48_120, 10_164)
    assert c1 + s2 + c3 + s4 + c5 + f6 + model.output.drawings.numel() == 340_908
    shapes = {}
    for name in ("c1", "s2", "c3", "s4", "c5", "f6"):
        getattr(model, name).register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    model(torch.zeros(1, 1, 32, 32))
    assert shapes == {"c1": (6, 28, 28), "s2": (6, 14, 14), "c3": (16, 10, 10), "s4": (16, 5, 5), "c5": (120, 1, 1),
                      "f6": (84,)}


def test_every_map_of_c3_sees_another_set_and_every_map_of_s2_is_seen_ten_times():
    assert len(set(_C3_SEES)) == 16 and [len(sees) for sees in _C3_SEES] == [3] * 6 + [4] * 9 + [6]
    assert [sum(i in sees for sees in _C3_SEES) for i in range(6)] == [10] * 6


def test_a_map_of_c3_feels_only_what_it_sees():
    model = LeNet5Original().double()
    x = torch.randn(1, 6, 14, 14, dtype=torch.float64)
    before = model.c3(x)
    for i in range(6):
        changed = x.clone()
        changed[:, i] += 1
        moved = (model.c3(changed) - before).abs().amax(dim=(0, 2, 3)) > 1e-9
        assert moved.tolist() == [i in sees for sees in _C3_SEES]


def test_subsampling_adds_four_multiplies_and_shifts():
    model, x = LeNet5Original(), torch.randn(2, 6, 28, 28)
    i, j = 3, 5
    expected = model.s2.coefficient * x[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2].sum((2, 3), keepdim=True) + model.s2.bias
    assert torch.allclose(model.s2(x)[:, :, i:i + 1, j:j + 1], expected, atol=1e-5)


def test_the_squashing_maps_one_to_one_and_bends_most_there():
    squash = LeNet5Original().squash1
    a = torch.linspace(0, 3, 3001, dtype=torch.float64, requires_grad=True)
    slope, = torch.autograd.grad(squash(a).sum(), a, create_graph=True)
    bend, = torch.autograd.grad(slope.sum(), a)
    assert abs(squash(torch.tensor(1.0)).item() - 1) < 1e-4
    assert abs(a[bend.abs().argmax()].item() - 1) < 0.02


def test_a_picture_that_looks_like_a_drawing_inside_costs_nothing():
    """If F6 shows exactly the drawing of a 7, the penalty of 7 is zero and all others are 4 for each pixel that differs."""
    output = LeNet5Original().output
    penalties = output(output.drawings[7:8])[0]
    different = (output.drawings != output.drawings[7]).sum(dim=1)
    assert torch.equal(penalties, 4.0 * different) and penalties[7] == 0 and penalties.argsort()[1] != 7
    assert (different.sort().values[1:] >= 11).all()                    # drawings that can be told apart
    assert output.drawings.shape == (10, 84) and set(output.drawings.unique().tolist()) == {-1.0, 1.0}


def test_the_original_learns_with_its_own_loss():
    torch.manual_seed(0)
    model, x, y = LeNet5Original(), torch.randn(8, 1, 32, 32), torch.arange(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = F.cross_entropy(-model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x).argmin(dim=1) == y).all()


# ---------------------------------------------------------------- the small CNN

@pytest.mark.parametrize("channels, widths, classes, kernel, parameters", [
    (3, (16, 32, 64), 10, 3, 24_346), (1, (16, 32, 64), 10, 3, 24_058), (2, (8,), 4, 5, 452)])
def test_the_small_cnn_counts_by_a_formula(channels, widths, classes, kernel, parameters):
    before = (channels, *widths)
    closed = sum(kernel**2 * a * b + 2 * b for a, b in zip(before, widths)) + (widths[-1] + 1) * classes
    assert count(SimpleCNN(channels, classes, widths, kernel)) == closed == parameters


def test_shapes_are_those_that_a_run_has_and_the_model_stays_as_it_was():
    model = create("simple_cnn")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    shapes = model.shapes(45, 30)
    assert shapes["stages.2.conv"] == (1, 64, 12, 8) and shapes["stages.2.pool"] == (1, 64, 6, 4)
    assert list(shapes)[0] == "input" and list(shapes)[-1] == "head" and shapes["head"] == (1, 10)
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape)}))
    model.eval()(torch.randn(1, 3, 45, 30))
    assert {name: seen[name] for name in list(shapes)[1:]} == dict(list(shapes.items())[1:])
    model.train()
    assert model.training and all(torch.equal(x, model.state_dict()[name]) for name, x in before.items())


def test_an_odd_last_row_is_not_lost():
    model, x = create("simple_cnn").eval(), torch.randn(1, 3, 33, 33)
    changed = x.clone()
    changed[..., -1, -1] += 5
    pooled, other = (model.stages[0](picture) for picture in (x, changed))
    assert not torch.equal(pooled[..., -1, -1], other[..., -1, -1])


@pytest.mark.parametrize("name, size", [
    ("simple_cnn", 4), ("mobilenet_v2", 32), ("shufflenet_v2_x1_0", 32), ("efficientnet_b0", 32)])
def test_one_small_picture_is_nothing_to_train_on(name, size):
    model, x = create(name), torch.randn(1, 3, size, size)
    refused(lambda: model(x), "batch of at least 2", ".eval()")
    assert model.eval()(x).isfinite().all()
    with torch.no_grad():
        assert model.train()(torch.randn(1, 3, size + 1, size)).isfinite().all()


# ---------------------------------------------------------------- HybridSN

def test_hybridsn_has_the_layers_of_the_papers_table():
    model = create("hybridsn")
    layers = (model.conv1, model.conv2, model.conv3, model.conv4, model.fc1, model.fc2, model.fc3)
    assert [count(layer) for layer in layers] == [512, 5776, 13_856, 331_840, 4_735_232, 32_896, 2064]


@pytest.mark.parametrize("classes, parameters", [(9, 4_844_793), (16, 4_845_696)], ids=["Pavia", "Salinas"])
def test_hybridsn_for_the_other_two_data_sets(classes, parameters):
    assert count(create("hybridsn", bands=15, num_classes=classes)) == parameters


def test_hybridsn_computes_what_keras_does_with_permuted_weights():
    """Channels last throughout, as in the authors' notebook: (b, h, w, bands, c), and reshapes that run in that order."""
    torch.manual_seed(0)
    model = create("hybridsn", bands=16, window=11, num_classes=5).double().eval()
    x = torch.randn(2, 1, 16, 11, 11, dtype=torch.float64)

    def convolve(y, weight, bias):                                      # y: b *places c; weight: *kernel c out
        axes = weight.ndim - 2
        for axis in range(axes):
            y = y.unfold(1 + axis, weight.shape[axis], 1)               # b *places c *kernel
        used = [y.ndim - axes + axis for axis in range(axes)] + [1 + axes]
        return F.relu(torch.tensordot(y, weight, dims=(used, list(range(axes + 1)))) + bias)

    y = x.permute(0, 3, 4, 2, 1)                                        # b h w bands 1
    for layer in (model.conv1, model.conv2, model.conv3):
        y = convolve(y, layer.weight.permute(3, 4, 2, 1, 0), layer.bias)
    y = y.reshape(*y.shape[:3], -1)                                     # b h w (bands c)
    y = convolve(y, model.conv4.weight.permute(2, 3, 1, 0), model.conv4.bias)
    y = y.reshape(len(y), -1)                                           # b (h w c)
    y = F.relu(y @ model.fc1.weight.T + model.fc1.bias)
    y = F.relu(y @ model.fc2.weight.T + model.fc2.bias)
    assert torch.allclose(model(x), y @ model.fc3.weight.T + model.fc3.bias, atol=1e-12)


def test_hybridsn_says_how_small_it_can_be():
    assert create("hybridsn", bands=13, window=9)(torch.randn(2, 1, 13, 9, 9)).shape == (2, 16)
    refused(lambda: create("hybridsn", bands=12), "bands to be an integer of at least 13")
    refused(lambda: create("hybridsn", window=8), "window to be an integer of at least 9")


# ---------------------------------------------------------------- coordinate attention

def test_coordinate_attention_gives_the_figures_of_the_authors_code():
    """From houqb/CoordAttention, ``coordatt.py``, run by the rule of the fixtures."""
    layer = fill(CoordinateAttention(16))
    assert count(layer) == 440
    assert_figures(layer(wave(1, 16, 8, 6)), 1.175133697e-03, 1.793954151e-01, 0.0, 2.146492262e-01)


@pytest.mark.parametrize("channels, reduction, narrow", [(64, 32, 8), (512, 32, 16), (96, 4, 24), (960, 32, 30)])
def test_its_bottleneck_is_a_fraction_of_the_channels_and_at_least_8(channels, reduction, narrow):
    assert CoordinateAttention(channels, reduction).conv1.out_channels == narrow


def test_its_gate_is_a_product_of_rows_and_columns():
    layer = CoordinateAttention(12).eval()
    x = torch.rand(2, 12, 5, 7) + 1
    gate = layer(x) / x
    assert torch.allclose(gate * gate[..., :1, :1], gate[..., :1] * gate[..., :1, :], atol=1e-5)       # rank one
    assert gate.min() > 0 and gate.max() < 1


def test_turning_the_picture_turns_the_gates_if_rows_and_columns_share_weights():
    layer, x = CoordinateAttention(12).eval(), torch.randn(2, 12, 5, 7)
    layer.conv_w.load_state_dict(layer.conv_h.state_dict())
    assert torch.allclose(layer(x.mT), layer(x).mT, atol=1e-6)


# ---------------------------------------------------------------- stochastic depth

def test_drop_path_is_torchvisions_and_timms_with_the_same_seed():
    x = torch.randn(64, 3, 4, 5)
    outs = []
    for layer in (DropPath(0.3), torchvision.ops.StochasticDepth(0.3, "row"), timm.layers.DropPath(0.3)):
        torch.manual_seed(0)
        outs.append(layer.train()(x))
    assert torch.allclose(outs[0], outs[1]) and torch.allclose(outs[0], outs[2])


@pytest.mark.parametrize("shape", [(4000, 2), (4000, 3, 2), (4000, 1, 2, 2)])
def test_drop_path_keeps_a_sample_or_none_of_it_and_the_mean(shape):
    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(shape)).flatten(1)
    assert (out == out[:, :1]).all() and set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(out.mean().item() - 1) < 0.03


def test_drop_path_is_out_of_the_way_when_evaluating_or_off():
    x = torch.randn(3, 2)
    assert DropPath(0.9).eval()(x) is x and DropPath(0.0)(x) is x
    refused(lambda: DropPath(1.0), "probability in [0, 1)")


@pytest.mark.parametrize("build, words", [
    (lambda: LeNet5(in_channels=0), "in_channels to be an integer"),
    (lambda: SimpleCNN(kernel_size=2), "odd kernel_size"), (lambda: SimpleCNN(widths=()), "widths"),
    (lambda: SimpleCNN(widths=(8, 0)), "widths[1]"), (lambda: SimpleCNN().shapes(0, 4), "height"),
    (lambda: CoordinateAttention(8, reduction=0), "reduction"),
    (lambda: create("hybridsn", dropout=1.0), "dropout in [0, 1)"),
])
def test_a_wrong_configuration_is_refused(build, words):
    refused(build, words)
