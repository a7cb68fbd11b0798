"""The ViT has the published sizes and costs, and with the same weights gives timm's output."""

import torchvision_shim  # noqa: F401  (before timm)

import math

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.models import create, list_models
from dlnotes.models.vit import VisionTransformer, resize_positions, vit_digits

# name: parameters, GMACs at 224
PUBLISHED = {
    "vit_b_16": (86_567_656, 17.5638), "vit_b_32": (88_224_232, 4.4092), "vit_l_16": (304_326_632, 61.5547),
    "deit_tiny": (5_717_416, 1.2537), "deit_small": (22_050_664, 4.5989),
}
SMALL = {"image_size": 32, "patch_size": 8, "dim": 24, "depth": 2, "heads": 3, "num_classes": 5}


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name):
    with torch.device("meta"):
        model = create(name)
    parameters, _ = PUBLISHED[name]
    d, p, depth = model.cls_token.shape[-1], model.patch_size, len(model.blocks)
    n = (224 // p) ** 2
    closed = (3 * p * p * d + d) + d + (n + 1) * d + depth * (12 * d * d + 13 * d) + 2 * d + (1000 * d + 1000)
    assert count(model) == parameters == closed


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds(name):
    with torch.device("meta"):
        model, x = create(name).eval(), torch.zeros(1, 3, 224, 224)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    assert round(counter.get_total_flops() / 2e9, 4) == PUBLISHED[name][1]


@pytest.mark.parametrize("name, theirs", [("vit_b_16", torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1),
                                          ("vit_b_32", torchvision.models.ViT_B_32_Weights.IMAGENET1K_V1),
                                          ("vit_l_16", torchvision.models.ViT_L_16_Weights.IMAGENET1K_V1)])
def test_the_table_is_that_of_torchvision(name, theirs):
    parameters, gmacs = PUBLISHED[name]
    assert (parameters, round(gmacs, 3)) == (theirs.meta["num_params"], theirs.meta["_ops"])


@pytest.mark.parametrize("name, theirs, depth", [
    ("deit_tiny", "deit_tiny_patch16_224", 12), ("vit_b_32", "vit_base_patch32_224", 12),
    ("deit_small", "deit_small_patch16_224", 2),
    ("vit_b_16", "vit_base_patch16_224", 1), ("vit_l_16", "vit_large_patch16_224", 1),
])
def test_same_weights_same_output_as_timm(name, theirs, depth):
    torch.manual_seed(0)
    reference = timm.create_model(theirs, depth=depth).double().eval()
    ours = create(name, depth=depth).double().eval()
    ours.load_state_dict(reference.state_dict())                    # strict: names and shapes are timm's
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        assert (ours(x) - reference(x)).abs().max() < 1e-9


def test_mean_pooling_is_that_of_timm():
    reference = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, global_pool="avg", num_classes=7)
    reference = reference.double().eval()
    ours = create("deit_tiny", image_size=32, depth=2, pool="mean", num_classes=7).double().eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    assert (ours(x) - reference(x)).abs().max() < 1e-9


@pytest.mark.parametrize("image_size, patch_size, grid", [(32, 8, (4, 4)), ((24, 40), 8, (3, 5)), (30, 5, (6, 6))])
def test_shapes(image_size, patch_size, grid):
    model = VisionTransformer(**SMALL | {"image_size": image_size, "patch_size": patch_size, "in_channels": 2})
    x = torch.randn(3, 2, grid[0] * patch_size, grid[1] * patch_size)
    assert model.grid == grid and model(x).shape == (3, 5)
    assert model.forward_features(x).shape == (3, 1 + grid[0] * grid[1], 24)


def test_without_a_head_it_gives_features():
    assert VisionTransformer(**SMALL | {"num_classes": 0})(torch.zeros(2, 3, 32, 32)).shape == (2, 24)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_gradient_reaches_every_parameter(pool):
    model = VisionTransformer(**SMALL | {"pool": pool})
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_patch_embedding_is_one_linear_map_per_patch():
    embed, x = vit_digits().patch_embed, torch.randn(2, 1, 64, 64)
    patches = F.unfold(x, kernel_size=8, stride=8).transpose(1, 2)  # b n (c k k)
    linear = F.linear(patches, embed.proj.weight.flatten(1), embed.proj.bias)
    assert torch.allclose(embed(x), linear, atol=1e-5)


def test_it_learns_something_small():
    """Which quarter of the picture is bright: eight pictures, by heart."""
    torch.manual_seed(0)
    model = VisionTransformer(**SMALL | {"num_classes": 4, "in_channels": 1})
    x, y = 0.1 * torch.randn(8, 1, 32, 32), torch.arange(8) % 4
    for i, quarter in enumerate(y.tolist()):
        x[i, :, 16 * (quarter // 2):, 16 * (quarter % 2):][..., :16, :16] += 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).all()


def test_dropout_acts_in_training_only():
    model, x = VisionTransformer(**SMALL | {"dropout": 0.5}), torch.randn(1, 3, 32, 32)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_resized_positions_are_those_of_timm():
    from timm.layers import resample_abs_pos_embed
    model = VisionTransformer(**SMALL)
    resized = resize_positions(model, (48, 64))
    expected = resample_abs_pos_embed(model.pos_embed.detach(), new_size=(6, 8), old_size=(4, 4))
    assert torch.allclose(resized.pos_embed, expected, atol=1e-6)
    assert resized(torch.zeros(1, 3, 48, 64)).shape == (1, 5) and model.grid == (4, 4)
    assert torch.equal(resize_positions(model, 32).pos_embed, model.pos_embed)


@pytest.mark.parametrize("shape", [(1, 3, 30, 32), (1, 1, 32, 32), (3, 32, 32), (1, 3, 64, 64)])
def test_a_wrong_picture_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected pictures of shape \(b, 3, 32, 32\), got .*; resize the pictures, or"):
        VisionTransformer(**SMALL)(torch.zeros(shape))


@pytest.mark.parametrize("config, words", [
    ({"image_size": 30}, r"image_size divisible by patch_size, got \(30, 30\) and 8"),
    ({"image_size": (32, 0)}, "number of pixels or"), ({"image_size": "big"}, "number of pixels or"),
    ({"dim": 25}, "dim divisible by heads, got dim=25, heads=3"), ({"depth": 0}, "expected depth"),
    ({"num_classes": -1}, "expected num_classes"), ({"pool": "max"}, "expected pool 'cls' or 'mean', got 'max'"),
    ({"dropout": 1.0}, r"dropout in \[0, 1\)"), ({"mlp_ratio": 0}, "mlp_ratio above 0"),
])
def test_a_wrong_configuration_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        VisionTransformer(**SMALL | config)


def test_wrong_input_of_resize_positions():
    with pytest.raises(TypeError, match="expected a VisionTransformer, got Linear"):
        resize_positions(torch.nn.Linear(2, 2), 32)
    with pytest.raises(ValueError, match="divisible by patch_size=8"):
        resize_positions(VisionTransformer(**SMALL), 36)


# ---------------------------------------------------------------- the registry

def test_registry_lists_and_builds():
    assert set(PUBLISHED) | {"vit_digits"} <= set(list_models()) and list_models() == sorted(list_models())
    assert create("deit_tiny", num_classes=10).head.out_features == 10
    assert isinstance(create("vit_digits"), VisionTransformer)


def test_registry_offers_near_names():
    with pytest.raises(ValueError, match="expected the name of a model, got 'vit_b16'; did you mean .*vit_b_16"):
        create("vit_b16")
    with pytest.raises(ValueError, match="got 'zzz'; the names are"):
        create("zzz")


def test_registry_names_unknown_settings():
    with pytest.raises(TypeError, match="vit_b_16: expected settings among image_size, .*, got classes"):
        create("vit_b_16", classes=10)


def test_the_small_one_is_small():
    assert count(vit_digits()) * 4 < 2e6 and math.prod(vit_digits().grid) == 64
