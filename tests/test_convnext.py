"""ConvNeXt: published sizes, the outputs of torchvision, timm and the authors' code, and the two forms of its block."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision.models as theirs
from authors_state import authors_state
from einops import rearrange
from fixtures import assert_figures, wave
from parity import assert_same_as, randomise
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.convnext import CNBlockConfig

from dlnotes.checkpoints import load_weights
from dlnotes.checkpoints.dialects import known_dialects
from dlnotes.models import create
from dlnotes.models._drop_path import DropPath
from dlnotes.models.convnext import Block, ConvNeXt, LayerNorm2d

SIZES = ((2, 3, 64, 64), (3, 3, 96, 32))


@pytest.mark.parametrize("name, weights", [
    ("convnext_tiny", theirs.ConvNeXt_Tiny_Weights), ("convnext_small", theirs.ConvNeXt_Small_Weights),
    ("convnext_base", theirs.ConvNeXt_Base_Weights)])
def test_size_and_cost_are_those_that_torchvision_prints(name, weights):
    with torch.device("meta"):
        model, x = create(name).eval(), torch.randn(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    meta = weights.IMAGENET1K_V1.meta
    assert sum(p.numel() for p in model.parameters()) == meta["num_params"]
    assert round(counter.get_total_flops() / 2e9, 3) == meta["_ops"]


def test_same_as_torchvision():
    assert_same_as(create("convnext_tiny"), theirs.convnext_tiny(stochastic_depth_prob=0.0), *SIZES, dialect="torchvision")


def test_same_as_timm():
    assert_same_as(create("convnext_tiny"), timm.create_model("convnext_tiny"), *SIZES, dialect="timm")


@pytest.mark.parametrize("size", ["small", "base"])
def test_the_larger_ones_have_torchvisions_and_timms_names(size):
    with torch.device("meta"):
        ours = create(f"convnext_{size}")
        checkpoints = {"torchvision": getattr(theirs, f"convnext_{size}")()}
    checkpoints["timm"] = timm.create_model(f"convnext_{size}")      # older timms cannot be made on the meta device
    dialects = {dialect.name: dialect for dialect in known_dialects(ConvNeXt)}
    for name, model in checkpoints.items():
        translated = {dialects[name].translate(key): x.numel() for key, x in model.state_dict().items()}
        assert translated == {key: x.numel() for key, x in ours.state_dict().items()}


def test_the_authors_names_load_and_give_the_figures_of_their_code():
    """From facebookresearch/ConvNeXt, ``models/convnext.py``, run with the same values under the same names."""
    model = create("convnext_tiny").double().eval()
    report = load_weights(model, authors_state("convnext_tiny"))
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    assert_figures(model(wave(1, 3, 64, 64)), 2.748623045e-02, 1.380664481e+00, 2.788117324e+00, 7.294065380e-01)
    assert_figures(model(wave(1, 3, 96, 64)), 5.396185507e-02, 1.349936113e+00, 3.954981242e+00, -6.768926889e-01)


def test_stochastic_depth_drops_what_torchvision_drops():
    settings = [CNBlockConfig(16, 24, 2), CNBlockConfig(24, None, 3)]
    reference = randomise(theirs.ConvNeXt(settings, stochastic_depth_prob=0.6, layer_scale=0.1, num_classes=7)).train()
    ours = ConvNeXt(depths=(2, 3), widths=(16, 24), num_classes=7, drop_path=0.6).train()
    load_weights(ours, reference.state_dict())
    x, outs = torch.randn(8, 3, 32, 32), []
    for model in (ours, reference):
        torch.manual_seed(0)
        outs.append(model(x))
    assert torch.allclose(outs[0], outs[1], atol=1e-5)
    rates = [layer.probability for layer in ours.modules() if isinstance(layer, DropPath)]
    assert rates == pytest.approx([0, 0.15, 0.3, 0.45, 0.6])


def block(dim: int = 16) -> Block:
    torch.manual_seed(0)
    return randomise(Block(dim, drop_path=0.0, layer_scale=0.1).double()).eval()


def test_the_block_is_the_same_with_1x1_convolutions():
    """A linear layer on the last axis is a 1×1 convolution on the channels: the authors' two forms of one block."""
    layer, x = block(), torch.randn(2, 16, 9, 7, dtype=torch.float64)
    y = F.conv2d(x, layer.dwconv.weight, layer.dwconv.bias, padding=3, groups=16)
    mean, variance = y.mean(dim=1, keepdim=True), y.var(dim=1, keepdim=True, correction=0)
    y = (y - mean) / torch.sqrt(variance + 1e-6) * layer.norm.weight[:, None, None] + layer.norm.bias[:, None, None]
    y = F.conv2d(y, layer.pwconv1.weight[:, :, None, None], layer.pwconv1.bias)
    y = F.conv2d(F.gelu(y), layer.pwconv2.weight[:, :, None, None], layer.pwconv2.bias)
    assert torch.allclose(layer(x), x + layer.gamma[:, None, None] * y, atol=1e-12)


def test_the_norm_of_a_map_sees_one_place_at_a_time():
    x, norm = torch.randn(2, 6, 4, 5), LayerNorm2d(6, eps=1e-6)
    out = norm(x)
    assert torch.allclose(out.mean(dim=1), torch.zeros(()), atol=1e-6)
    assert torch.allclose(out.var(dim=1, correction=0), torch.ones(()), atol=1e-4)
    assert torch.allclose(norm(x[..., 2:3, 1:2]), out[..., 2:3, 1:2], atol=1e-6)


def test_after_the_stem_the_channels_lie_last_in_memory_and_stay_there():
    model = ConvNeXt(depths=(2, 2), widths=(16, 32)).eval()
    laid = []
    for module in model.modules():
        if isinstance(module, (Block, LayerNorm2d)):
            module.register_forward_hook(
                lambda _, __, out: laid.append(out.is_contiguous(memory_format=torch.channels_last)))
    model(torch.randn(2, 3, 64, 64))
    assert laid == [True] * 6


def test_a_block_starts_as_almost_nothing():
    torch.manual_seed(0)
    layer, x = Block(16, drop_path=0.0, layer_scale=1e-6), torch.randn(2, 16, 9, 7)
    assert (layer(x) - x).abs().max() < 1e-5 and layer.gamma.unique().tolist() == pytest.approx([1e-6])


def test_a_picture_that_would_lose_its_border_is_refused():
    with pytest.raises(ValueError, match=r"divisible by 32, got .*h=230.*; pad first with .*pad_to_multiple\(x, 32\)"):
        create("convnext_tiny")(torch.randn(1, 3, 230, 224))


@pytest.mark.parametrize("config, words", [
    ({"depths": (1, 2)}, "one depth and one width for each stage"),
    ({"depths": (), "widths": ()}, "depths"), ({"depths": 3}, "depths"),
    ({"depths": (1, 0, 1, 1)}, r"depths\[1\]"), ({"widths": (8, 8, 8, -1)}, r"widths\[3\]"),
    ({"drop_path": 1.0}, r"drop_path in \[0, 1\)"), ({"num_classes": 0}, "num_classes")])
def test_a_wrong_configuration_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        ConvNeXt(**config)
