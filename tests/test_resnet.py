"""The ResNet family: published figures, the outputs of torchvision, timm and the authors' code, what the papers claim."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import copy
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.models.eca_resnet import ECAResNet
from dlnotes.models.preactivation import PreActBasicBlock, PreActBottleneck
from dlnotes.models.residual import ResidualBlock
from dlnotes.models.resnest import ResNeSt, SplitAttention
from dlnotes.models.resnet import BasicBlock, Bottleneck, ResNet, resnet_cifar
from dlnotes.models.resnext import (ConcatenatedPaths, GroupedBottleneck, SummedPaths, concatenate_paths, group_paths,
                                    sum_paths)
from dlnotes.models.se_resnet import SEResNet
from fixtures import assert_figures, wave
from parity import assert_same_as, randomise, relative_difference

TWO_SIZES = (2, 3, 64, 48), (3, 3, 33, 50)
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def gmacs(model: nn.Module, side: int, digits: int = 4) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, side, side, device="meta"))
    return round(counter.get_total_flops() / 2e9, digits)


def on_meta(name: str, **config) -> nn.Module:
    with torch.device("meta"):
        return create(name, **config)


def small(**config) -> ResNet:
    return ResNet(**{"layers": (2, 2), "width": 8, "num_classes": 5} | config)


# ---------------------------------------------------------------- published figures that tests/zoo does not hold

@pytest.mark.parametrize("name, paper, usual", [("resnet50", 3.8580, 4.0892), ("resnet101", 7.5702, 7.8014),
                                                ("resnet152", 11.2824, 11.5136), ("se_resnet50", 3.8605, 4.0917)])
def test_the_place_of_the_stride_changes_the_cost_and_not_the_size(name, paper, usual):
    v1, v15 = on_meta(name, stride_in="1x1"), on_meta(name)
    assert (gmacs(v1, 224), gmacs(v15, 224)) == (paper, usual)
    assert count(v1) == count(v15)


def test_resnest101_at_both_published_sizes():
    model = on_meta("resnest101")
    assert (gmacs(model, 224), gmacs(model, 256)) == (10.2006, 13.3215)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_a_resnet_is_named_after_its_layers_with_weights(depth):
    """Convolutions and the linear layer; the paper does not count projections."""
    model = on_meta(f"resnet{depth}")
    layers = [name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert sum("downsample" not in name for name in layers) == depth


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_the_cifar_networks_have_6n_plus_2_layers_and_the_size_of_their_closed_form(depth):
    model, n = resnet_cifar(depth), depth // 6
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in model.modules()) == depth
    kernels = 9 * (3 * 16 + 2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2)
    assert count(model) == kernels + 2 * (16 + 2 * n * (16 + 32 + 64)) + 650


def test_se_adds_its_closed_form_and_eca_eighty():
    plain = count(on_meta("resnet50"))
    blocks = [4 * width for width, n in ((64, 3), (128, 4), (256, 6), (512, 3)) for _ in range(n)]
    assert count(on_meta("se_resnet50")) - plain == sum(2 * c * c // 16 + c // 16 + c for c in blocks) == 2_530_992
    assert count(on_meta("cbam_resnet50")) - plain == 2_530_992 + 16 * (2 * 49 + 2)
    assert count(on_meta("eca_resnet50")) - plain == 3 * 3 + 4 * 5 + 6 * 5 + 3 * 7 == 80


@pytest.mark.parametrize("name", RESNETS + ("resnext50_32x4d", "resnext101_32x8d"))
def test_the_table_is_that_of_torchvision(name):
    meta = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta
    model = on_meta(name)
    assert (count(model), gmacs(model, 224, digits=3)) == (meta["num_params"], meta["_ops"])


# ---------------------------------------------------------------- same weights, same output

@pytest.mark.parametrize("name", RESNETS + ("resnext50_32x4d", "resnext101_32x8d"))
def test_same_as_torchvision(name):
    """The deepest three in float64 only: they are of the same classes as the others, and large."""
    dtypes = (torch.float64,) if name in ("resnet101", "resnet152", "resnext101_32x8d") else (torch.float32, torch.float64)
    assert_same_as(create(name), getattr(torchvision.models, name)(), *TWO_SIZES, dialect="dlnotes", dtypes=dtypes)


@pytest.mark.parametrize("name, theirs, dialect", [
    ("resnet18", "resnet18", "dlnotes"), ("se_resnet50", "seresnet50", "dlnotes"), ("resnest50", "resnest50d", "dlnotes"),
    ("resnest101", "resnest101e", "dlnotes"), ("sknet50", "skresnext50_32x4d", "timm")])
def test_same_as_timm(name, theirs, dialect):
    dtypes = (torch.float64,) if name == "resnest101" else (torch.float32, torch.float64)
    assert_same_as(create(name), timm.create_model(theirs), *TWO_SIZES, dialect=dialect, dtypes=dtypes)


@pytest.mark.parametrize("radix, cardinality", [(1, 1), (2, 1), (2, 2), (2, 4), (3, 2)])
def test_split_attention_is_timms_in_every_layout(radix, cardinality):
    from timm.layers import SplitAttn
    reference = randomise(SplitAttn(96, 96, 3, padding=1, radix=radix, groups=cardinality,
                                     norm_layer=nn.BatchNorm2d)).double().eval()
    ours = SplitAttention(96, radix, cardinality).double().eval()
    load_weights(ours, reference.state_dict())
    x = torch.randn(2, 96, 5, 6, dtype=torch.float64)
    assert relative_difference(ours(x), reference(x)) < 1e-12


def test_stride_in_the_first_convolution_is_that_of_the_authors_senet():
    """timm's port of it. The original pools without padding after the stem; here it gets the paper's pooling."""
    theirs = randomise(timm.create_model("legacy_seresnet50", drop_rate=0.0)).double()
    theirs.pool0 = nn.MaxPool2d(3, stride=2, padding=1)
    ours = create("se_resnet50", stride_in="1x1").double()
    names = {key.replace("layer0.", "").replace("se_module.", "se.").replace("last_linear.", "fc."): x
             for key, x in theirs.state_dict().items()}
    load_weights(ours, names)
    x = torch.randn(2, 3, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        for training in (False, True):
            assert relative_difference(ours.train(training)(x), theirs.train(training)(x)) < 1e-10


@pytest.mark.parametrize("name, theirs", [("resnet18", "resnetv2_18"), ("resnet50", "resnetv2_50")])
def test_preactivation_is_that_of_timm(name, theirs):
    assert_same_as(create(name, preactivation=True), timm.create_model(theirs), *TWO_SIZES, dialect="timm")


def by_rule(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers that anybody can make again: i counts from 1 through a tensor, in its order in memory.

    Kernels and matrices: 2 sin(i²) / √(numbers that meet in one output). Scales and running variances: 1 + 0.1 sin(i).
    Biases and running means: 0.1 sin(i).
    """
    i = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64)
    if len(shape) > 1:
        return 2 * torch.sin(i.square()).reshape(shape) / (len(i) / shape[0]) ** 0.5
    return (0.0 if key.endswith(("bias", "running_mean")) else 1.0) + 0.1 * torch.sin(i)


@pytest.mark.parametrize("name, dialect, figures", [
    ("cbam_resnet50", "authors", (-1.335616263995e-01, 2.966791850039e+00, 2.605654509070e+00, -2.979881630532e+00)),
    ("eca_resnet50", "dlnotes", (-3.752377838074e+01, 4.373034823063e+02, 3.162606925242e+01, 1.048959793076e+01)),
    ("resnest50", "dlnotes", (-1.641526215770e+02, 5.146327232519e+03, -7.979440941596e+03, -5.105217196403e+03))])
def test_whole_networks_give_the_figures_of_the_authors_code(name, dialect, figures):
    """``tests/authors/*.txt`` has names and shapes of the authors' state dicts, without BatchNorm's counters.

    The figures are the output of their code for weights by the rule above: ``ResidualNet("ImageNet", 50, 1000, "CBAM")`` of
    Jongchan/attention-module, with a mean over all of the last map, ``eca_resnet50(k_size=[3, 5, 5, 7])`` of
    BangguWu/ECANet, ``resnest50`` of zhanghang1989/ResNeSt. Where the dialect is ours, the names are the authors'.
    """
    lines = (Path(__file__).parent / "authors" / f"{name}.txt").read_text().splitlines()
    tensors = {key: by_rule(key, tuple(map(int, shape.split("x")))) for key, shape in map(str.split, lines)}
    model = create(name).double().eval()
    report = load_weights(model, tensors)
    assert report.dialect == dialect and not report.dropped
    with torch.no_grad():
        assert_figures(model(wave(2, 3, 64, 96)), *figures)


# ---------------------------------------------------------------- what a residual block is

BLOCKS = [BasicBlock, Bottleneck, PreActBasicBlock, PreActBottleneck]


def fresh_block(cls, stride: int, shortcut: str = "projection"):
    width = 16 if "Bottleneck" not in cls.__name__ else 4
    return cls(16, width, stride, shortcut=shortcut)


@pytest.mark.parametrize("cls", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_adds_its_shortcut_to_its_residual(cls, stride):
    block, x = fresh_block(cls, stride).eval(), torch.randn(2, 16, 6, 5)
    assert torch.equal(block(x), F.relu(block.residual(x) + block.downsample(x)))
    assert isinstance(block.downsample, nn.Identity) == (stride == 1)


@pytest.mark.parametrize("cls", BLOCKS)
def test_option_a_is_every_second_pixel_and_zeros(cls):
    width = 8 if "Bottleneck" in cls.__name__ else 32
    block, x = cls(16, width, 2, shortcut="zero-padding"), torch.randn(2, 16, 6, 5)
    out = block.downsample(x)
    assert torch.equal(out[:, :16], x[:, :, ::2, ::2]) and out.shape == (2, 32, 3, 3) and not out[:, 16:].any()
    assert count(block) == count(cls(16, width, 2, shortcut="none"))


@given(st.sampled_from(["7x7", "3x3"]), st.sampled_from(["basic", "bottleneck"]), st.booleans())
@settings(max_examples=8, deadline=None)
def test_the_plain_network_has_the_residual_ones_parameters_without_the_projections(stem, block, preactivation):
    plain, residual = (small(stem=stem, block=block, preactivation=preactivation, shortcut=shortcut)
                       for shortcut in ("none", "projection"))
    kept = {key: x for key, x in residual.state_dict().items() if "downsample" not in key}
    plain.load_state_dict(kept)
    assert len(kept) < len(residual.state_dict())


def test_the_pair_of_the_degradation_experiment_shares_every_weight():
    residual, plain = resnet_cifar(20), resnet_cifar(20, shortcut="none")
    plain.load_state_dict(residual.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(plain.eval()(x), residual.eval()(x))
    block = plain.layer2[1]
    features = torch.randn(2, 32, 8, 8)
    assert torch.equal(block(features), F.relu(block.residual(features)))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_with_zero_init_every_block_starts_as_its_shortcut(block, preactivation, training):
    """After the sum there is a ReLU, unless the block is pre-activated. Behind another block or the stem, which give nothing
    negative, it changes nothing: there a block with equal shapes before and after is the identity."""
    model = small(block=block, preactivation=preactivation, zero_init=True).train(training)
    x = torch.randn(2, 8, 6, 5)
    for each in (*model.layer1, *model.layer2):
        if preactivation:
            shortcut = x if each.keeps_shape else each.downsample(F.relu(each.bn1(x)))
            assert torch.equal(each(x), shortcut)
        else:
            shortcut = each.downsample(x)
            assert torch.equal(each(x), F.relu(shortcut))
            if isinstance(each.downsample, nn.Identity):
                assert torch.equal(each(x.relu()), x.relu())
        x = each(x).detach()


@pytest.mark.parametrize("preactivation", [False, True])
def test_what_zero_init_sets_to_zero_can_leave_zero(preactivation):
    model = small(block="basic", preactivation=preactivation, zero_init=True)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    zeros = {key: p for key, p in model.named_parameters() if not p.any() and key.endswith("weight")}
    assert len(zeros) == 4 and all(p.grad.any() for p in zeros.values())


def test_the_gradient_of_a_preactivated_chain_has_the_identity_as_a_term():
    """Equation 5: with every F silenced, the gradient passes any number of blocks unchanged; through ReLUs it does not."""
    x = torch.randn(2, 16, 6, 5, requires_grad=True)
    for cls in (PreActBasicBlock, BasicBlock):
        chain = nn.Sequential(*(cls(16, 16) for _ in range(5))).eval()
        for block in chain:
            nn.init.zeros_(block.conv2.weight)
        gradient, = torch.autograd.grad(chain(x).sum(), x)
        assert torch.equal(gradient, torch.ones_like(x)) == (cls is PreActBasicBlock)


def test_resnet_164_of_the_preactivation_paper():
    """9n + 2 layers, stride in the first convolution, first BatchNorm in the first block, last one after the last sum."""
    model = ResNet(layers=(18, 18, 18), width=16, stem="3x3", stride_in="1x1", preactivation=True, num_classes=10)
    layers = [m for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and "downsample" not in name]
    assert len(layers) == 164
    assert [x.shape[1:] for x in model.stages(torch.randn(2, 3, 32, 32))] == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]
    inner = [(16, 16)] + [(64, 16)] * 17 + [(64, 32)] + [(128, 32)] * 17 + [(128, 64)] + [(256, 64)] * 17
    expected = sum(c * w + 9 * w * w + 4 * w * w + 2 * (c + w + w) for c, w in inner)
    expected += 16 * 64 + 64 * 128 + 128 * 256 + 27 * 16 + 2 * 256 + 2570
    assert count(model) == expected


# ---------------------------------------------------------------- the network around the blocks

@pytest.mark.parametrize("name", ["resnet50", "resnest50"])
def test_stages_halve_the_map_and_end_where_the_head_begins(name):
    model = create(name, layers=(1, 1, 1, 1), width=8, num_classes=5).eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps = model.stages(x)
        assert [m.shape[1:] for m in maps] == [(32, 16, 24), (64, 8, 12), (128, 4, 6), (256, 2, 3)]
        assert torch.equal(maps[-1], model.forward_features(x))
        assert torch.allclose(model(x), model.fc(maps[-1].mean((2, 3))))
    assert model.out_channels == 256 and model.stride == 32


def test_the_last_map_of_a_preactivated_network_is_activated():
    model, x = small(preactivation=True).eval(), torch.randn(2, 3, 32, 32)
    first, last = model.stages(x)
    assert (first < 0).any() and not (last < 0).any() and torch.equal(last, model.forward_features(x))


def test_convolutions_start_as_he_et_al_propose():
    model = create("resnet18")
    for conv in (model.conv1, model.layer2[0].conv2, model.layer4[1].conv1, model.layer3[0].downsample[0]):
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_the_released_kernel_sizes_of_eca_do_not_follow_the_formula_in_the_first_stage():
    from dlnotes.attention.eca import eca_kernel_size
    model = on_meta("eca_resnet50")
    released = [getattr(model, f"layer{i}")[0].eca.conv.kernel_size[0] for i in range(1, 5)]
    assert released == [3, 5, 5, 7]
    assert [eca_kernel_size(c) for c in (256, 512, 1024, 2048)] == [5, 5, 5, 7]


@pytest.mark.parametrize("make, message", [
    (lambda: small(block="basic", stride_in="1x1"), "stride_in='3x3' with basic blocks"),
    (lambda: small(shortcut="none", zero_init=True), "zero_init=False without shortcuts"),
    (lambda: small(block="wide"), "block to be one of 'basic', 'bottleneck', got 'wide'"),
    (lambda: small(stem="5x5"), "stem to be one of '7x7', '3x3', got '5x5'"),
    (lambda: small(stride_in="5x5"), "stride_in to be one of '3x3', '1x1', got '5x5'"),
    (lambda: small(shortcut=False), "shortcut to be one of 'projection', 'zero-padding', 'none', got False"),
    (lambda: small(layers=()), r"layers to be the number of blocks of each stage, got \(\)"),
    (lambda: small(layers=50), "layers to be the number of blocks of each stage, got 50"),
    (lambda: small(layers=(2, 0)), r"layers\[1\] to be an integer of at least 1, got 0"),
    (lambda: small(width=0), "width to be an integer of at least 1, got 0"),
    (lambda: small(num_classes=0), "num_classes to be an integer of at least 1, got 0"),
    (lambda: BasicBlock(64, 16, shortcut="zero-padding"), "at least as many channels after a block"),
    (lambda: resnet_cifar(21), r"depth to be 6n \+ 2, got 21; take 20"),
    (lambda: resnet_cifar(7), "depth to be an integer of at least 8, got 7"),
    (lambda: ECAResNet(layers=(1, 1), kernel_sizes=(3,)), r"for each stage, got kernel_sizes=\(3,\) and layers=\(1, 1\)"),
    (lambda: ECAResNet(layers=(1,), kernel_sizes=(4,)), "an odd kernel_size, got 4"),
    (lambda: SEResNet(layers=(1,), width=2), "channels divisible by reduction"),
    (lambda: ResNeSt(layers=(1,), stem_width=0), "stem_width to be an integer of at least 1"),
    (lambda: SummedPaths(8, 12, 8, groups=5), "inner divisible by groups, got inner=12, groups=5"),
])
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_single_small_picture_cannot_train():
    model = small().train()
    with pytest.raises(ValueError, match="ResNet: expected a batch of at least 2 in training .* up to 8 pixels"):
        model(torch.randn(1, 3, 8, 8))
    assert model(torch.randn(1, 3, 8, 9)).shape == model.eval()(torch.randn(1, 3, 8, 8)).shape == (1, 5)


# ---------------------------------------------------------------- the three forms of a ResNeXt block

paths = st.tuples(st.sampled_from([8, 16]), st.sampled_from([8, 16]), st.sampled_from([8, 16, 24]), st.sampled_from([1, 2]),
                  st.sampled_from([1, 2, 4, 8]))


@given(paths, st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_three_forms_of_figure_3_are_one_function(setting, training):
    a = randomise(SummedPaths(*setting)).double().train(training)
    b = concatenate_paths(a)
    c = group_paths(b)
    assert (type(b), type(c)) == (ConcatenatedPaths, GroupedBottleneck) and count(a) == count(b) == count(c)
    x = torch.randn(2, setting[0], 5, 6, dtype=torch.float64)
    with torch.no_grad():
        outs = [copy.deepcopy(form)(x) for form in (a, b, c)]
    assert all(relative_difference(out, outs[0]) < 1e-12 for out in outs[1:])


@given(paths)
@settings(max_examples=10, deadline=None)
def test_the_circle_of_conversions_closes(setting):
    a = randomise(SummedPaths(*setting))
    again = sum_paths(group_paths(concatenate_paths(a)))
    assert all(torch.equal(x, again.state_dict()[key]) for key, x in a.state_dict().items())


def test_conversions_copy():
    c = GroupedBottleneck(8, 8, 8, groups=2)
    before = copy.deepcopy(c.state_dict())
    with torch.no_grad():
        for p in sum_paths(c).parameters():
            p.add_(1.0)
    assert all(torch.equal(x, before[key]) for key, x in c.state_dict().items())


def test_one_path_is_a_bottleneck():
    one, bottleneck = GroupedBottleneck(16, 4, 16, groups=1).eval(), Bottleneck(16, 4).eval()
    one.load_state_dict(bottleneck.state_dict())
    x = torch.randn(2, 16, 6, 5)
    assert torch.equal(one(x), bottleneck(x))


def test_paths_do_not_see_each_other_inside():
    c = GroupedBottleneck(8, 8, 8, groups=4).eval()
    slopes = torch.autograd.functional.jacobian(lambda z: c.conv2(z).sum((0, 2, 3)), torch.randn(1, 8, 3, 3))
    assert torch.equal(slopes.abs().sum((1, 3, 4)) > 0, torch.block_diag(*[torch.ones(2, 2)] * 4) > 0)


def test_every_block_of_the_family_says_how_many_channels_it_gives():
    for name in ("resnet18", "resnet50", "resnext50_32x4d", "resnest50", "se_resnet50", "cbam_resnet50", "eca_resnet50",
                 "sknet50"):
        model = on_meta(name)
        blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
        assert len(blocks) == {"resnet18": 8}.get(name, 16)
        assert blocks[-1].out_channels == model.fc.in_features
