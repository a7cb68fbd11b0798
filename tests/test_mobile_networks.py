"""MobileNetV2, ShuffleNetV2, EfficientNet and their blocks: published sizes, and the outputs of those who published them."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision.models as theirs
from authors_state import authors_state
from fixtures import assert_figures, fill, wave
from parity import assert_same_as, randomise
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig

from dlnotes.attention.coordinate import CoordinateAttention
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.models._conv import fast_layout
from dlnotes.models._drop_path import DropPath
from dlnotes.models.efficientnet import EfficientNet, Stage
from dlnotes.models.mbconv import FusedMBConv, InvertedResidual, MBConv
from dlnotes.models.mobilenet import MobileNetV2
from dlnotes.models.shufflenet import ShuffleNetV2
from dlnotes.shapes import channel_shuffle

SIZES = ((2, 3, 64, 64), (3, 3, 97, 70))


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def gmacs(name: str, side: int, **config) -> float:
    with torch.device("meta"):
        model, x = create(name, **config).eval(), torch.randn(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() / 2e9


def refused(call, *words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in (": expected ", ", got ", *words)), error.value


# ---------------------------------------------------------------- figures that others print

@pytest.mark.parametrize("name, side, weights", [
    ("mobilenet_v2", 224, theirs.MobileNet_V2_Weights.IMAGENET1K_V1),
    ("shufflenet_v2_x1_0", 224, theirs.ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1),
    ("efficientnet_b0", 224, theirs.EfficientNet_B0_Weights.IMAGENET1K_V1),
    ("efficientnet_v2_s", 384, theirs.EfficientNet_V2_S_Weights.IMAGENET1K_V1)])
def test_size_and_cost_are_those_that_torchvision_prints(name, side, weights):
    with torch.device("meta"):
        assert count(create(name)) == weights.meta["num_params"]
    assert round(gmacs(name, side), 3) == weights.meta["_ops"]


def test_coordinate_attention_makes_mobilenet_a_little_larger():
    with torch.device("meta"):
        assert count(create("mobilenet_v2", coordinate_attention=True)) == 3_950_648
    assert round(gmacs("mobilenet_v2", 224, coordinate_attention=True), 4) == 0.3067


@pytest.mark.parametrize("widths, weights", [
    ((24, 48, 96, 192, 1024), theirs.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1),
    ((24, 176, 352, 704, 1024), theirs.ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1),
    ((24, 244, 488, 976, 2048), theirs.ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1)])
def test_the_other_widths_of_shufflenet(widths, weights):
    with torch.device("meta"):
        assert count(ShuffleNetV2(widths=widths)) == weights.meta["num_params"]
    assert round(gmacs("shufflenet_v2_x1_0", 224, widths=widths), 3) == weights.meta["_ops"]


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.4])
def test_mobilenet_rounds_its_widths_as_torchvision_does(width):
    with torch.device("meta"):
        ours, reference = MobileNetV2(width=width), theirs.mobilenet_v2(width_mult=width)
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in reference.parameters()]


# ---------------------------------------------------------------- same weights, same output

def laid(reference):
    """Let it read pictures in the order of memory that ours chooses.

    Each order rounds in its own way, and deep networks with random weights magnify what float32 rounds.
    """
    reference.register_forward_pre_hook(lambda _, args: (fast_layout(args[0]),))
    return reference


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "efficientnet_v2_s"])
def test_same_as_torchvision(name):
    off = {"dropout": 0.0} if name == "mobilenet_v2" else {"dropout": 0.0, "stochastic_depth_prob": 0.0}
    ours = {"dropout": 0.0} if name == "mobilenet_v2" else {"dropout": 0.0, "drop_path": 0.0}
    assert_same_as(create(name, **ours), laid(getattr(theirs, name)(**off)), *SIZES, dialect="torchvision")


@pytest.mark.parametrize("width", ["x0_5", "x1_0"])
def test_shufflenet_is_the_same_as_torchvisions(width):
    widths = {"x0_5": (24, 48, 96, 192, 1024), "x1_0": (24, 116, 232, 464, 1024)}[width]
    reference = laid(getattr(theirs, f"shufflenet_v2_{width}")())
    assert_same_as(ShuffleNetV2(widths=widths), reference, *SIZES, dialect="torchvision")


@pytest.mark.parametrize("name, reference, config", [
    ("mobilenet_v2", "mobilenetv2_100", {}), ("efficientnet_b0", "efficientnet_b0", {"drop_path": 0.0}),
    ("efficientnet_v2_s", "efficientnetv2_s", {"drop_path": 0.0, "eps": 1e-5})])
def test_same_as_timm(name, reference, config):
    assert_same_as(create(name, dropout=0.0, **config), laid(timm.create_model(reference)), SIZES[0], dialect="timm")


def test_stochastic_depth_drops_what_torchvision_drops():
    """The same seed leaves out the same branches: every rate, from 0 in the first block on, is in the same place."""
    reference = laid(randomise(theirs.efficientnet_b0(dropout=0.0, stochastic_depth_prob=0.5))).train()
    ours = create("efficientnet_b0", dropout=0.0, drop_path=0.5).train()
    load_weights(ours, reference.state_dict())
    x, outs = torch.randn(8, 3, 64, 64), []
    for model in (ours, reference):
        torch.manual_seed(0)
        with torch.no_grad():
            outs.append(model(x))
    assert (outs[0] - outs[1]).abs().max() < 1e-5 * outs[1].abs().max()
    rates = [layer.probability for layer in ours.modules() if isinstance(layer, DropPath)]
    assert rates == [0.5 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)]             # of the blocks with a shortcut


# ---------------------------------------------------------------- the authors' checkpoints

@pytest.mark.parametrize("name, config, checkpoint, figures", [
    ("mobilenet_v2", {"coordinate_attention": True}, "mobilenet_v2_coordatt", {      # houqb/CoordAttention, mbv2_ca.py
        (64, 64): (-9.318012656e-03, 7.438989979e-02, 3.236536660e-01, -1.088137856e-01),
        (96, 64): (-9.510976513e-03, 7.452561138e-02, 3.248948726e-01, -1.076124122e-01)}),
    ("shufflenet_v2_x1_0", {"released": True}, "shufflenet_v2_x1_0", {               # megvii-model/ShuffleNet-Series
        (64, 64): (-5.489413686e-02, 1.379764991e-01, 4.158434934e-01, -1.691722519e-01),
        (96, 64): (-1.201511913e-01, 2.916446902e-01, 5.401435248e-01, -4.393511275e-01)})])
def test_the_authors_names_load_and_give_the_figures_of_their_code(name, config, checkpoint, figures):
    """The figures are from their code, run with the same values under the same names (its 7×7 pooling as a mean)."""
    model = create(name, **config).double().eval()
    report = load_weights(model, authors_state(checkpoint))
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    for size, expected in figures.items():
        assert_figures(model(wave(1, 3, *size)), *expected)


def test_the_authors_shufflenet_does_not_fit_the_papers():
    """Else its weights would load and give nonsense: it carries other channels on."""
    with pytest.raises(ValueError, match=r"missing: classifier.bias \(1000,\)"):
        load_weights(create("shufflenet_v2_x1_0"), authors_state("shufflenet_v2_x1_0"))
    with torch.device("meta"):
        assert count(create("shufflenet_v2_x1_0", released=True)) == 2_278_760


# ---------------------------------------------------------------- blocks

@pytest.mark.parametrize("config, parameters, figures", [
    ({"expansion": 4}, 10_400, (1.240063222e-02, 7.109636704e-01, 9.771967610e-02, 9.688055736e-01)),
    ({"expansion": 1}, 2_336, (9.435712224e-03, 7.048665375e-01, 4.240764795e-02, 9.844844389e-01))])
def test_fused_mbconv_gives_the_figures_of_torchvisions_code(config, parameters, figures):
    block = fill(FusedMBConv(16, 16, **config))
    assert count(block) == parameters
    assert_figures(block(wave(1, 16, 8, 8)), *figures)


@pytest.mark.parametrize("shape, parameters", [((24, 48, 3, 2, 4), 25_632), ((24, 24, 3, 1, 1), 5_232)])
def test_the_fused_blocks_of_v2_s(shape, parameters):
    assert count(FusedMBConv(*shape)) == parameters


def test_a_fused_block_without_expansion_keeps_its_activation_and_other_blocks_end_without():
    """SiLU is never below -0.28, a batch norm often is."""
    torch.manual_seed(0)
    x = torch.randn(4, 8, 6, 6)
    assert FusedMBConv(8, 16, expansion=1)(x).min() > -0.279
    for block in (FusedMBConv(8, 16), MBConv(8, 16), InvertedResidual(8, 16)):
        assert block(x).min() < -1


@pytest.mark.parametrize("block", [InvertedResidual, MBConv, FusedMBConv])
@pytest.mark.parametrize("shape, shortcut", [((8, 8, 1), True), ((8, 12, 1), False), ((8, 8, 2), False)])
def test_the_input_is_added_only_where_shapes_agree(block, shape, shortcut):
    in_channels, out_channels, stride = shape
    layer = block(in_channels, out_channels, stride=stride).eval()
    for norm in (module for module in layer.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.zeros_(norm.weight)                               # then the branch gives zero
    x = torch.randn(2, 8, 5, 7)
    expected = x if shortcut else torch.zeros(2, out_channels, -(-5 // stride), -(-7 // stride))
    assert torch.equal(layer(x), expected)


def test_mbconv_squeezes_to_a_quarter_of_its_input():
    assert MBConv(40, 80).squeeze_excite.reduce.out_channels == 10
    assert MBConv(2, 2).squeeze_excite.reduce.out_channels == 1


@pytest.mark.parametrize("ours, reference", [
    (MBConv(16, 16, kernel_size=5, expansion=4), MBConvConfig(4, 5, 1, 16, 16, 1)),
    (MBConv(16, 24, stride=2), MBConvConfig(6, 3, 2, 16, 24, 1)),
    (MBConv(16, 16, expansion=1), MBConvConfig(1, 3, 1, 16, 16, 1)),
    (FusedMBConv(16, 24, kernel_size=5, stride=2), FusedMBConvConfig(4, 5, 2, 16, 24, 1))])
def test_blocks_have_torchvisions_shapes(ours, reference):
    reference = reference.block(reference, 0.0, torch.nn.BatchNorm2d)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in reference.parameters()]
    ours.load_state_dict(dict(zip(ours.state_dict(), reference.state_dict().values())))
    x = torch.randn(2, 16, 9, 7)
    assert torch.allclose(ours.eval()(x), reference.eval()(x), atol=1e-5)


def test_coordinate_attention_sits_in_the_wide_part_of_every_block_but_the_first():
    model = create("mobilenet_v2", coordinate_attention=True)
    attentions = {name: module for name, module in model.named_modules() if isinstance(module, CoordinateAttention)}
    assert list(attentions) == [f"features.{i}.attention" for i in range(2, 18)]
    assert [attentions[f"features.{i}.attention"].channels for i in (2, 3, 17)] == [96, 144, 960]
    assert list(dict(model.features[3].named_children())) == ["expand", "depthwise", "attention", "project"]


@pytest.mark.parametrize("released", [False, True])
def test_shufflenet_carries_half_of_the_channels_on(released):
    block = ShuffleNetV2(widths=(8, 16, 24, 32, 32), depths=(2, 1, 1), released=released).stages[0][1].eval()
    x = torch.randn(2, 16, 5, 6)
    y = block(x)
    if released:                                                        # even channels in, first half out
        assert torch.equal(y[:, :8], x[:, 0::2])
        changed = block.right(x[:, 1::2])
        assert torch.equal(y[:, 8:], changed)
    else:                                                               # first half in, even channels out
        assert torch.equal(y[:, 0::2], x[:, :8])
        changed = block.right(x[:, 8:])
        assert torch.equal(y, channel_shuffle(torch.cat([x[:, :8], changed], dim=1), groups=2))
    assert not torch.equal(changed, F.relu(torch.zeros_like(changed)))


def test_a_picture_gives_the_same_however_it_lies_in_memory():
    model, x = create("mobilenet_v2").eval(), torch.randn(2, 3, 64, 64)
    assert torch.equal(model(x), model(x.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize("build, words", [
    (lambda: MobileNetV2(width=0), "width above 0"), (lambda: MobileNetV2(dropout=1.0), "dropout in [0, 1)"),
    (lambda: MobileNetV2(stages=((1, 16, 0, 1),)), "repeats"),
    (lambda: MobileNetV2(stages=((6, 16, 1, 3),)), "stride to be one of"),
    (lambda: ShuffleNetV2(widths=(24, 48)), "five widths"), (lambda: ShuffleNetV2(widths=(24, 47, 48, 48, 48)), "widths[1]"),
    (lambda: ShuffleNetV2(depths=(4, 0, 4)), "depths[1]"), (lambda: ShuffleNetV2(depths=4), "depths"),
    (lambda: MobileNetV2(stages=((1, 16, 1),)), "four numbers"), (lambda: EfficientNet(stages=()), "six entries"),
    (lambda: ShuffleNetV2(widths=(24, 48, 48, 96, 96), released=True), "each stage wider"),
    (lambda: EfficientNet(stages=[Stage("mb", 1, 3, 1, 8, 1)]), "block to be one of 'mbconv', 'fused'"),
    (lambda: EfficientNet(drop_path=1.5), "drop_path in [0, 1)"), (lambda: MBConv(8, 8, kernel_size=4), "odd kernel_size"),
    (lambda: FusedMBConv(8, 8, eps=0), "eps above 0"), (lambda: InvertedResidual(8, 0), "out_channels")])
def test_a_wrong_configuration_is_refused(build, words):
    refused(build, words)
