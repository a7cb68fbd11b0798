"""U-Nets: the paper's sizes, milesial's weights, what a skip does, and what a Transformer or another module inside changes.

Figures called milesial's were computed with Pytorch-UNet itself (float64, evaluation mode), from the weights of
``authors_state``, on the picture of ``fixtures.wave``.
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from authors_state import authors_state
from dlnotes.attention.coordinate import CoordinateAttention
from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.models.unet import UNet
from dlnotes.models.unet_2015 import UNet2015
from dlnotes.models.unet_stitched import StitchedUNet
from dlnotes.models.unet_transformer import UNetTransformer
from dlnotes.restoration.cga import CGAFusion
from fixtures import assert_figures, wave


def meta(name: str, **config) -> nn.Module:
    with torch.device("meta"):
        return create(name, **config).eval()


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def gmacs(model: nn.Module, *shape: int) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape, device="meta"))
    return counter.get_total_flops() / 2e9


def sides(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Height that each of the U's parts gives."""
    parts = [f"encoder.{i}" for i in range(4)] + ["bottom"] + [f"{p}.{i}" for i in range(4) for p in ("ups", "decoder")]
    with torch.no_grad(), record(model, modules=parts) as seen:
        model(x)
    return {name: seen.activations[name].shape[2] for name in parts}


# ---------------------------------------------------------------- published figures

@pytest.mark.parametrize("name, settings, parameters", [
    ("unet_2015", {}, 31_030_658), ("unet_2015", {"in_channels": 3}, 31_031_810),
    ("unet", {}, 31_037_698), ("unet", {"num_classes": 1}, 31_037_633), ("unet", {"in_channels": 1}, 31_036_546),
    ("unet", {"in_channels": 1, "num_classes": 1}, 31_036_481),
    ("unet", {"up": "bilinear"}, 17_263_042), ("unet", {"up": "bilinear", "num_classes": 1}, 17_262_977),
    ("unet", {"up": "bilinear", "in_channels": 1}, 17_261_890),
    ("unet", {"up": "bilinear", "in_channels": 1, "num_classes": 1}, 17_261_825),
    ("unet", {"norm": False, "num_classes": 1}, 31_031_745),                # labml's
    ("unet", {"skip": "add"}, 27_904_258), ("unet", {"skip": "none"}, 27_904_258),
    ("unet_transformer", {"place": "decoder"}, 10_922_626),
    ("unet_stitched", {"attention": False}, 28_436_934), ("unet_stitched", {"fusion": False}, 31_075_066),
    ("unet_stitched", {"attention": False, "fusion": False}, 31_037_698),
])
def test_parameters(name, settings, parameters):
    assert count(meta(name, **settings)) == parameters


@pytest.mark.parametrize("settings, size, printed", [({}, 572, 238.8371), ({"up": "bilinear"}, 512, 159.9372)])
def test_multiply_adds(settings, size, printed):
    assert gmacs(meta("unet", **settings), 3, size, size) == pytest.approx(printed, abs=5e-5)


# ---------------------------------------------------------------- the network of the paper

def test_sizes_of_figure_1():
    model = meta("unet_2015")
    x = torch.zeros(1, 1, 572, 572, device="meta")
    side = sides(model, x)
    assert [side[f"encoder.{i}"] for i in range(4)] == [568, 280, 136, 64] and side["bottom"] == 28
    assert [side[f"decoder.{i}"] for i in range(4)] == [52, 100, 196, 388]
    assert [(side[f"encoder.{3 - i}"] - side[f"ups.{i}"]) // 2 for i in range(4)] == [4, 16, 40, 88]     # cropped per side
    assert model(x).shape == (1, 2, 388, 388) and model.border == 92


def test_the_paper_counts_23_convolutions():
    assert sum(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in meta("unet_2015").modules()) == 23


def test_a_size_that_does_not_work_is_answered_with_the_next_that_does():
    model = meta("unet_2015")
    with pytest.raises(ValueError, match=r"at least 188 that are 12 more than a multiple of 16, got \(570, 187\); "
                                         r"the next that work are \(572, 188\)"):
        model(torch.zeros(1, 1, 570, 187, device="meta"))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 3))
def test_next_size_is_the_smallest_that_works(side, depth):
    """Works: no pooling meets an odd side, and a pixel is left. Followed step by step, not by the formula."""
    def works(s):
        for _ in range(depth):
            s -= 4
            if s <= 0 or s % 2:
                return False
            s //= 2
        for _ in range(depth):
            s = 2 * (s - 4)
        return s - 4 > 0
    with torch.device("meta"):
        model = UNet2015(1, 1, width=1, depth=depth).eval()
    size = model.next_size(side)
    assert size == next(s for s in range(side, side + 200) if works(s))
    assert model(torch.zeros(1, 1, size, size, device="meta")).shape[2] == size - 2 * model.border


def test_tiles_fit_without_a_seam():
    """Valid convolutions: what a tile predicts does not depend on where the picture was cut, so tiles can be joined."""
    torch.manual_seed(0)
    model = UNet2015(width=4, depth=2).eval()
    x = torch.randn(1, 1, 68, 68)
    whole, tile = model(x), model(x[:, :, 8:60, 4:56])
    assert whole.shape[2:] == (28, 28) and tile.shape[2:] == (12, 12)
    assert torch.allclose(whole[:, :, 8:20, 4:16], tile, atol=1e-5)


def test_mirrored_border_predicts_the_whole_picture():
    model = UNet2015(width=4, depth=2).eval()
    picture = torch.randn(1, 1, 32, 48)
    assert model(F.pad(picture, [model.border] * 4, mode="reflect")).shape == (1, 2, 32, 48)


def test_weights_start_with_variance_two_over_n():
    torch.manual_seed(0)
    model = UNet2015(width=32, depth=3)
    for layer in (model.encoder[2][0], model.encoder[2][2], model.bottom[0], model.decoder[0][0]):
        assert layer.weight.var().item() == pytest.approx(2 / (9 * layer.in_channels), rel=0.05)
        assert not layer.bias.any()
    assert model.ups[0].weight.var().item() == pytest.approx(2 / model.ups[0].in_channels, rel=0.05)


def test_dropout_sits_at_the_end_of_the_contracting_path():
    model = meta("unet_2015")
    places = [name for name, m in model.named_modules() if isinstance(m, nn.Dropout)]
    assert places == ["encoder.3.4", "bottom.4"] and all(model.get_submodule(name).p == 0.5 for name in places)


# ---------------------------------------------------------------- milesial's weights

@pytest.mark.parametrize("names, settings, figures", [
    ("unet_milesial", {}, (9.397322625e-02, 2.193278332e-01, 2.392301457e-02, -4.402053875e-02)),
    ("unet_milesial_bilinear", {"up": "bilinear"}, (9.368884698e-02, 2.221804061e-01, 6.518592645e-02, -8.514352903e-02)),
])
def test_milesials_weights_give_milesials_output(names, settings, figures):
    model = create("unet", **settings).double().eval()
    assert load_weights(model, authors_state(names)).dialect == "milesial"
    with torch.no_grad():
        assert_figures(model(wave(1, 3, 36, 50)), *figures)                 # 36 and 50 are odd after two and one poolings


# ---------------------------------------------------------------- any size

def test_shapes_at_each_level():
    model = meta("unet")
    side = sides(model, torch.zeros(1, 3, 512, 512, device="meta"))
    assert [side[f"encoder.{i}"] for i in range(4)] == [512, 256, 128, 64] and side["bottom"] == 32
    assert [side[f"decoder.{i}"] for i in range(4)] == [64, 128, 256, 512]


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 40), st.integers(4, 40), st.sampled_from(["transposed", "bilinear"]))
def test_the_output_is_as_large_as_the_input(h, w, up):
    with torch.device("meta"):
        model = UNet(width=4, depth=2, up=up).eval()
    assert model(torch.zeros(1, 3, h, w, device="meta")).shape == (1, 2, h, w)


def test_an_odd_side_gets_one_row_of_zeros_at_its_end():
    model = UNet(width=4, depth=1).eval()
    seen = []
    model.joins[0].register_forward_pre_hook(lambda _, pair: seen.append(pair))
    model(torch.randn(1, 3, 9, 8))
    skip, x = seen[0]
    assert skip.shape == x.shape == (1, 4, 9, 8)
    assert not x[:, :, -1].any() and x[:, :, :-1].abs().sum(dim=(0, 1, 3)).all()


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="UNet: expected height and width of at least 16, got .*h=15"):
        meta("unet")(torch.zeros(1, 3, 15, 64, device="meta"))


# ---------------------------------------------------------------- what a skip is

def test_concatenation_can_learn_the_sum():
    """A convolution of two maps side by side, with the same weights for both, is the convolution of their sum."""
    torch.manual_seed(0)
    concat, add = UNet(width=4, depth=2).eval(), UNet(width=4, depth=2, skip="add").eval()
    state = add.state_dict()
    for i in range(2):
        state[f"decoder.{i}.0.weight"] = state[f"decoder.{i}.0.weight"].repeat(1, 2, 1, 1)
    concat.load_state_dict(state)
    x = torch.randn(1, 3, 12, 12)
    assert torch.allclose(concat(x), add(x), atol=1e-5)


@pytest.mark.parametrize("skip, reached", [("concat", True), ("add", True), ("none", False)])
def test_a_skip_carries_the_gradient_past_a_dead_bottom(skip, reached):
    """With every up-convolution at zero, the first level can learn through its skip alone."""
    torch.manual_seed(0)
    model = UNet(width=4, depth=2, skip=skip)
    for up in model.ups:
        nn.init.zeros_(up.weight)
    model(torch.randn(2, 3, 12, 12)).square().sum().backward()
    assert bool(model.encoder[0][0].weight.grad.any()) == reached
    assert not model.bottom[0].weight.grad.any()


@pytest.mark.parametrize("level", [0, 1])
def test_a_trained_skip_can_be_silenced(level):
    torch.manual_seed(0)
    model = UNet(width=4, depth=2).eval()
    x = torch.randn(1, 3, 12, 12)
    before = model(x)
    hook = model.joins[level].register_forward_pre_hook(lambda _, pair: (torch.zeros_like(pair[0]), pair[1]))
    assert not torch.allclose(model(x), before, atol=1e-3)
    hook.remove()
    assert torch.equal(model(x), before)


def test_without_norm_the_convolutions_have_biases():
    assert UNet(width=4, depth=1, norm=False).bottom[0].bias is not None and UNet(width=4, depth=1).bottom[0].bias is None


@pytest.mark.parametrize("settings, complaint", [
    ({"up": "nearest"}, "expected up to be one of 'transposed', 'bilinear', got 'nearest'"),
    ({"skip": "mul"}, "expected skip to be one of 'concat', 'add', 'none', got 'mul'"),
    ({"depth": 0}, "expected depth to be an integer of at least 1, got 0"),
])
def test_settings_are_checked(settings, complaint):
    with pytest.raises(ValueError, match=f"UNet: {complaint}"):
        UNet(**settings)


# ---------------------------------------------------------------- a Transformer inside

@pytest.mark.parametrize("place, dim", [("encoder", 512), ("decoder", 256)])
def test_the_transformer_adds_exactly_its_blocks(place, dim):
    blocks = 4 * (12 * dim**2 + 13 * dim) + 2 * dim
    assert count(meta("unet_transformer", place=place)) == count(meta("unet", width=32)) + blocks


@pytest.mark.parametrize("place, tokens", [("encoder", 4 * 6), ("decoder", 8 * 12)])
def test_tokens_are_the_positions_of_the_map(place, tokens):
    model = UNetTransformer(width=8, depth=2, place=place, blocks=2, heads=4).eval()
    with torch.no_grad(), record(model, attention=True) as seen:
        model(torch.randn(1, 3, 16, 24))
    assert [tuple(a.weights.shape) for a in seen.attention] == [(1, 4, tokens, tokens)] * 2


@pytest.mark.parametrize("size", [(128, 1024), (384, 384), (97, 203)])
@pytest.mark.parametrize("place", ["encoder", "decoder"])
def test_any_size_as_it_is_or_resized(size, place):
    assert meta("unet_transformer", place=place)(torch.zeros(1, 3, *size, device="meta")).shape == (1, 2, *size)


@pytest.mark.parametrize("network, settings, sees_it", [(UNet, {}, False), (UNetTransformer, {"blocks": 1}, True)])
def test_only_attention_sees_the_far_corner(network, settings, sees_it):
    torch.manual_seed(0)
    model = network(width=8, depth=1, **settings)
    x = torch.randn(1, 3, 48, 48)
    y = x.clone()
    y[:, :, -1, -1] += 5
    with torch.no_grad():
        corner = [model.eval()(picture)[:, :, 0, 0] for picture in (x, y)]
    assert torch.equal(*corner) != sees_it


def test_the_matrix_of_attention_is_never_made():
    """The largest tensor that appears holds fewer numbers than one head's matrix of weights."""
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(x, torch.Tensor):
                    self.size = max(self.size, x.numel())
            return out

    model, tokens = UNetTransformer(width=8, depth=1, blocks=1, heads=4).eval(), 32 * 32
    with torch.no_grad(), Largest() as largest:
        model(torch.randn(1, 3, 64, 64))
    assert 8 * 64 * 64 <= largest.size < tokens**2


def test_a_token_width_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="expected token width in the encoder divisible by heads, got .*=48, heads=5"):
        UNetTransformer(width=12, depth=2, heads=5)


# ---------------------------------------------------------------- modules stitched in

def test_without_its_modules_the_stitched_network_is_the_plain_one():
    torch.manual_seed(0)
    plain, stitched = UNet(width=8, depth=2), StitchedUNet(width=8, depth=2, attention=False, fusion=False)
    stitched.load_state_dict(plain.state_dict())                            # strict: the same names and shapes
    x = torch.randn(2, 3, 13, 18)
    assert torch.equal(stitched(x), plain(x))


def test_the_stitched_network_is_the_plain_one_plus_what_was_stitched():
    widths = (64, 128, 256, 512)
    attention = sum(count(CoordinateAttention(c)) for c in widths)
    fusion = sum(count(CGAFusion(c)) - 9 * c * c for c in widths)           # each decoder reads c channels fewer
    assert count(meta("unet_stitched")) == count(meta("unet")) + attention + fusion == 28_474_302


def test_fusion_gets_the_encoders_map_first():
    model = StitchedUNet(width=8, depth=2).eval()
    seen = []
    model.joins[1].register_forward_pre_hook(lambda _, pair: seen.append(pair))
    with torch.no_grad(), record(model, modules=["encoder.0", "ups.1"]) as parts:
        model(torch.randn(1, 3, 16, 16))
    (skip, x), = seen
    assert torch.equal(skip, parts.activations["encoder.0"]) and torch.equal(x, parts.activations["ups.1"])


def test_a_width_that_does_not_suit_the_fusion_is_refused():
    with pytest.raises(ValueError, match="StitchedUNet: expected width divisible by the fusion's reduction, got width=12"):
        StitchedUNet(width=12)
    assert StitchedUNet(width=12, depth=1, fusion=False).smallest == 2
