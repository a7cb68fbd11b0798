"""Swin: windows, masks, biases follow their definitions; with equal weights it is torchvision's, timm's and the authors'."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from authors_tensors import authors_tensors
from einops import rearrange
from fixtures import assert_figures, wave
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_same_as, randomise
from torch import nn
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin

from dlnotes.attention import explicit_attention
from dlnotes.attention.scaled_dot_product import fused_attention
from dlnotes.attention.window import WindowAttention, relative_position_index, shifted_regions, shifted_window_mask
from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.checkpoints.resize import resize_bias_table
from dlnotes.models import create
from dlnotes.models.swin import PatchMerging, SwinTransformer
from dlnotes.shapes import patch_merging

SMALL = {"patch_size": 2, "dim": 12, "depths": (2, 2), "heads": (2, 3), "window_size": 4, "num_classes": 5, "drop_path": 0.0}
quick = settings(max_examples=30, deadline=None)
windows = st.integers(1, 4).flatmap(lambda m: st.tuples(
    st.just(m), st.integers(1, 3).map(lambda n: n * m), st.integers(1, 3).map(lambda n: n * m),
    st.tuples(st.integers(0, m - 1), st.integers(0, m - 1))))


def small_swin(**config):
    torch.manual_seed(0)
    return create("swin_t", **SMALL | config)


# ---------------------------------------------------------------- biases by offset

@pytest.mark.parametrize("m", [1, 2, 3, 7])
def test_pairs_share_a_bias_exactly_if_they_have_the_same_offset(m):
    index = relative_position_index(m)
    seen = {}
    for i in range(m * m):
        for j in range(m * m):
            offset = (i // m - j // m, i % m - j % m)
            assert seen.setdefault(index[i, j].item(), offset) == offset
    assert [seen[row] for row in range((2 * m - 1) ** 2)] == sorted(seen.values())      # row by row, all of them
    assert len(set(seen.values())) == len(seen)


def test_the_index_is_that_of_torchvision():
    theirs = torchvision.models.swin_transformer.ShiftedWindowAttention(8, [7, 7], [0, 0], 2)
    assert torch.equal(relative_position_index(7).flatten(), theirs.relative_position_index)


# ---------------------------------------------------------------- the mask

@quick
@given(case=windows)
def test_the_mask_forbids_exactly_the_pairs_that_only_the_rolling_brought_together(case):
    """In the rolled map two positions of a window lie some offset apart; they may attend if they do so in the map too."""
    m, h, w, (down, right) = case
    mask = shifted_window_mask(h, w, m, (down, right))
    assert mask.shape == (h * w // m**2, m * m, m * m) and mask.diagonal(dim1=1, dim2=2).all()
    for window in range(len(mask)):
        top, left = m * (window // (w // m)), m * (window % (w // m))
        rolled = [(top + i // m, left + i % m) for i in range(m * m)]
        origin = [((y + down) % h, (x + right) % w) for y, x in rolled]
        for i in range(m * m):
            for j in range(m * m):
                neighbours = all(origin[i][axis] - origin[j][axis] == rolled[i][axis] - rolled[j][axis] for axis in (0, 1))
                assert mask[window, i, j] == neighbours


@pytest.mark.parametrize("h, w, m, shift", [(14, 14, 7, 3), (14, 21, 7, 3), (8, 12, 4, 2)])
def test_four_regions_give_the_mask_of_the_nine_of_the_authors(h, w, m, shift):
    nine = torch.zeros(h, w)
    cuts = (slice(0, -m), slice(-m, -shift), slice(-shift, None))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            nine[rows, columns] = 3 * i + j
    nine = rearrange(nine, "(nh i) (nw j) -> (nh nw) (i j)", i=m, j=m)
    assert torch.equal(shifted_window_mask(h, w, m, shift), nine[:, :, None] == nine[:, None])
    assert shifted_regions(h, w, m, shift).unique().tolist() == [0, 1, 2, 3]


def test_the_mask_is_that_of_timm():
    theirs = timm.create_model("swin_tiny_patch4_window7_224").layers[0].blocks[1].attn_mask
    assert torch.equal(shifted_window_mask(56, 56, 7, 3), theirs == 0)


# ---------------------------------------------------------------- attention within windows

@quick
@given(case=windows.filter(lambda c: c[0] > 1), seed=st.integers(0, 99))
def test_window_attention_is_dense_attention_under_a_mask(case, seed):
    """No rolling, no windows: all pairs of the whole map, those in one (shifted) window allowed, a bias for each offset."""
    m, h, w, (shift, _) = case
    torch.manual_seed(seed)
    layer = randomise(WindowAttention(8, 2, window_size=m, shift=shift).double(), seed)
    x = torch.randn(2, h, w, 8, dtype=torch.float64)

    y, x_ = torch.arange(h * w) // w, torch.arange(h * w) % w
    cut_y, cut_x = (torch.div(at - (shift if side > m else 0), m, rounding_mode="floor") for at, side in ((y, h), (x_, w)))
    together = (cut_y[:, None] == cut_y) & (cut_x[:, None] == cut_x)                # n n
    offset = ((y[:, None] - y + m - 1) * (2 * m - 1) + (x_[:, None] - x_ + m - 1)).clamp(0, (2 * m - 1) ** 2 - 1)
    bias = layer.relative_position_bias_table[offset].permute(2, 0, 1).masked_fill(~together, float("-inf"))

    q, k, v = rearrange(layer.qkv(x), "b h w (three heads d) -> three b heads (h w) d", three=3, heads=2)
    expected = layer.proj(rearrange(explicit_attention(q, k, v, bias)[0], "b heads (h w) d -> b h w (heads d)", h=h))
    assert torch.allclose(layer(x), expected, atol=1e-10)


def test_the_core_is_the_same_whether_or_not_its_mask_learns():
    q, k, v, bias = (torch.randn(2, 3, 5, 4, dtype=torch.float64) for _ in range(4))
    bias = bias[..., :1, :] @ bias.mT                                               # 2 3 1 5
    for scale in (None, 0.3):
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
        learning = fused_attention(q, k, v, bias.clone().requires_grad_(), scale)
        assert torch.allclose(fused_attention(q, k, v, bias, scale), expected, atol=1e-12)
        assert torch.allclose(learning, expected, atol=1e-12)
    torch.manual_seed(0)
    dropped = fused_attention(q, k, torch.eye(5, dtype=torch.float64).expand(2, 3, 5, 5), bias.requires_grad_(), dropout=0.5)
    assert 0.3 < (dropped == 0).double().mean() < 0.7                               # the values show the weights


def test_nothing_constant_is_saved():
    assert set(WindowAttention(8, 2).state_dict()) == {"qkv.weight", "qkv.bias", "proj.weight", "proj.bias",
                                                       "relative_position_bias_table"}


# ---------------------------------------------------------------- patch merging

def test_patch_merging_is_a_convolution_of_stride_two():
    layer, x = PatchMerging(6).double(), torch.randn(2, 8, 10, 6, dtype=torch.float64)
    assert torch.equal(rearrange(x, "b (h p) (w q) c -> b h w (q p c)", p=2, q=2), patch_merging(x))
    layer.norm = nn.Identity()
    kernel = rearrange(layer.reduction.weight, "o (q p c) -> o c p q", p=2, q=2)
    expected = F.conv2d(x.movedim(-1, 1), kernel, stride=2).movedim(1, -1)
    assert torch.allclose(layer(x), expected, atol=1e-12)


# ---------------------------------------------------------------- the whole network

@pytest.mark.parametrize("name, weights", [
    ("swin_t", torchvision.models.Swin_T_Weights), ("swin_s", torchvision.models.Swin_S_Weights),
    ("swin_b", torchvision.models.Swin_B_Weights)])
def test_the_figures_are_those_of_torchvision(name, weights):
    from zoo.tokens import MODELS
    meta = weights.IMAGENET1K_V1.meta
    assert (MODELS[name].parameters, round(float(MODELS[name].gmacs[0]), 3)) == (meta["num_params"], round(meta["_ops"], 3))


def test_swin_t_is_that_of_torchvision():
    theirs = TorchvisionSwin([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], stochastic_depth_prob=0.0)
    assert_same_as(create("swin_t", drop_path=0.0), theirs, (1, 3, 224, 224), (1, 3, 448, 224), dialect="torchvision")


def test_a_shallow_swin_b_is_that_of_torchvision():
    theirs = TorchvisionSwin([4, 4], 128, [1, 2, 2, 1], [4, 8, 16, 32], [7, 7], stochastic_depth_prob=0.0)
    assert_same_as(create("swin_b", depths=(1, 2, 2, 1), drop_path=0.0), theirs, (1, 3, 224, 224), dialect="torchvision",
                   dtypes=(torch.float32,))


def test_a_small_swin_is_that_of_torchvision():
    theirs = TorchvisionSwin([2, 2], 12, [2, 2], [2, 3], [4, 4], num_classes=5, stochastic_depth_prob=0.0)
    assert_same_as(small_swin(), theirs, (2, 3, 32, 32), (2, 3, 16, 48), (1, 3, 48, 16), dialect="torchvision")


@pytest.mark.parametrize("size", [(224, 224), (448, 224)])
def test_swin_t_is_that_of_timm(size):
    theirs = timm.create_model("swin_tiny_patch4_window7_224", img_size=size, drop_path_rate=0.0)
    assert_same_as(create("swin_t", drop_path=0.0), theirs, (1, 3, *size), dialect="timm", dtypes=(torch.float64,))


def test_a_small_swin_is_that_of_timm():
    for size in ((32, 32), (16, 48)):
        theirs = timm.create_model("swin_tiny_patch4_window7_224", img_size=size, patch_size=2, embed_dim=12, depths=(2, 2),
                                   num_heads=(2, 3), window_size=4, num_classes=5, drop_path_rate=0.0)
        assert_same_as(small_swin(), theirs, (2, 3, *size), dialect="timm")


def test_the_checkpoint_of_the_authors_loads_and_gives_their_output():
    """Names from microsoft/Swin-Transformer; figures computed once with its code from these tensors."""
    model = create("swin_t").double().eval()
    report = load_weights(model, authors_tensors("swin_t"))
    assert report.dialect == "authors" and len(report.loaded) == 173 and not report.reshaped
    assert set(report.dropped.values()) == {"follows from the window size", "follows from the size of the map"}
    with torch.no_grad():
        out = model(wave(1, 3, 224, 224))
    assert_figures(out, 1.196175160710e-02, 9.898265514924e-01, -4.518456882551e-01, 1.243858687914e+00)


def test_biases_learned_for_one_window_are_resized_for_another_only_when_asked():
    seven, eight = small_swin(window_size=7), small_swin(window_size=8)
    with pytest.raises(ValueError, match=r"relative_position_bias_table expected \(225, 2\), got \(169, 2\) \(resize=True"):
        load_weights(eight, seven.state_dict())
    report = load_weights(eight, seven.state_dict(), resize=True)
    assert len(report.resized) == 4 and all(name.endswith("relative_position_bias_table") for name in report.resized)
    first = "layers.0.blocks.0.attn.relative_position_bias_table"
    assert torch.equal(eight.state_dict()[first], resize_bias_table(seven.state_dict()[first], 8))
    assert eight(torch.randn(1, 3, 32, 32)).shape == (1, 5)


def test_a_branch_is_left_out_more_often_the_deeper_it_lies():
    model = SwinTransformer(**SMALL | {"depths": (2, 3), "drop_path": 0.4})
    rates = [block.drop_path1.probability for stage in model.layers for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    x = torch.randn(2, 3, 32, 32)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_every_second_block_is_shifted_by_half_a_window_unless_one_window_is_all():
    model = small_swin()
    assert [block.attn.shift for stage in model.layers for block in stage.blocks] == [0, 2, 0, 2]
    alone, shifted = WindowAttention(8, 2, window_size=4), WindowAttention(8, 2, window_size=4, shift=2)
    shifted.load_state_dict(alone.state_dict())
    x = torch.randn(2, 4, 4, 8)
    assert torch.equal(alone(x), shifted(x))
    x = torch.randn(2, 8, 4, 8)
    assert not torch.allclose(alone(x), shifted(x), atol=1e-3)


def test_a_token_is_reached_from_other_windows_by_the_second_block_only():
    stage = small_swin().layers[0]
    for blocks, reach in ((stage.blocks[:1], 4), (stage.blocks, 8)):
        x = torch.randn(1, 16, 16, 12, requires_grad=True)
        blocks(x)[0, 7, 7].sum().backward()
        rows, columns = x.grad[0].abs().sum(-1).nonzero().T
        assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (reach, reach)


def test_features_are_a_map_and_the_head_reads_its_mean():
    model, x = small_swin().eval(), torch.randn(2, 3, 32, 48)
    features = model.forward_features(x)
    assert features.shape == (2, 8, 12, 24)
    assert torch.allclose(model(x), model.head(features.flatten(1, 2).mean(1)), atol=1e-6)


def test_recorded_attention_has_a_matrix_for_each_window():
    model = small_swin().eval()
    for gradient in (True, False):
        with torch.set_grad_enabled(gradient), record(model, attention=True) as seen:
            model(torch.randn(2, 3, 32, 32))
        assert [tuple(a.shape) for a in seen.attention] == [(2 * 16, 2, 16, 16)] * 2 + [(2 * 4, 3, 16, 16)] * 2
        assert [a.module for a in seen.attention] == [f"layers.{i}.blocks.{j}.attn" for i in (0, 1) for j in (0, 1)]
        mask = shifted_window_mask(16, 16, 4, 2).repeat(2, 1, 1)[:, None].expand(-1, 2, -1, -1)
        assert (seen.attention[1][~mask] == 0).all() and (seen.attention[1][mask] > 0).all()


def test_copies_and_casts_keep_their_constants():
    model = copy.deepcopy(small_swin()).double()
    assert model.layers[0].blocks[0].attn.relative_position_index.dtype == torch.int64
    assert model(torch.randn(1, 3, 32, 32, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("shape", [(1, 3, 200, 224), (1, 3, 224, 256), (1, 3, 112, 112)])
def test_a_picture_that_does_not_divide_is_refused_with_the_remedy(shape):
    with torch.device("meta"):
        model = create("swin_t")
    with pytest.raises(ValueError, match=r"SwinTransformer: expected height and width divisible by 224, got .*; "
                                         r"pad first with dlnotes.shapes.pad_to_multiple\(x, 224\)"):
        model(torch.zeros(shape, device="meta"))


@pytest.mark.parametrize("call, words", [
    (lambda: SwinTransformer(depths=(2, 2)), r"heads for each stage, got depths=\(2, 2\), heads=\(3, 6, 12, 24\); give both"),
    (lambda: SwinTransformer(depths=(), heads=()), "depths to be a tuple with an entry for each stage"),
    (lambda: SwinTransformer(dim=100), r"dim\*1 divisible by heads\[0\], got dim\*1=100, heads\[0\]=3"),
    (lambda: SwinTransformer(depths=(2, 0, 2, 2)), r"expected depths\[1\] to be an integer of at least 1, got 0"),
    (lambda: SwinTransformer(drop_path=1.0), r"expected drop_path in \[0, 1\), got 1.0"),
    (lambda: SwinTransformer(mlp_ratio=0), "dim \\* mlp_ratio of at least 1, got 96 \\* 0"),
    (lambda: SwinTransformer(patch_size=0), "expected patch_size"),
    (lambda: WindowAttention(8, 3), "expected dim divisible by heads"),
    (lambda: WindowAttention(8, 2, window_size=4, shift=4), "expected shift below window_size=4, got 4; half a window is 2"),
    (lambda: WindowAttention(8, 2, shift=-1), "expected shift to be an integer of at least 0, got -1"),
    (lambda: relative_position_index(0), "expected window"),
    (lambda: shifted_window_mask(8, 9, 4, 1), "expected w divisible by window, got w=9, window=4"),
    (lambda: shifted_regions(8, 8, 4, 4), "expected shift from 0 to window - 1 = 3, got 4"),
    (lambda: shifted_regions(8, 8, 4, (1, -1)), r"got \(1, -1\)"),
    (lambda: shifted_regions(8, 8, 4, 1.5), "got 1.5; half a window is usual"),
    (lambda: PatchMerging(0), "expected dim"),
])
def test_a_wrong_configuration_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
