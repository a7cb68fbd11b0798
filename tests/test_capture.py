"""dlnotes.capture records networks that we did not write, and leaves them as they were."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from dlnotes.attention import MultiHeadAttention, attention_rollout, explicit_attention
from dlnotes.capture import record
from dlnotes.models import create


def timm_swin():
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=56, depths=(2, 2), num_heads=(2, 4), embed_dim=16)


def timm_swin_explicit():
    model = timm_swin()
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


def timm_vit():
    return timm.create_model("vit_tiny_patch16_224", img_size=48, depth=2)


def torchvision_vit():
    return torchvision.models.VisionTransformer(32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64)


def torchvision_swin():
    return torchvision.models.swin_transformer.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [7, 7], num_classes=10)


def encoder(**config):
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, **config), num_layers=2)


# name: (maker, input shape, shapes of weights, module of the first call)
MODELS = {
    "our ViT": (lambda: create("vit_digits"), (2, 1, 64, 64), [(2, 4, 65, 65)] * 4, "blocks.0.attn"),
    "timm ViT": (timm_vit, (2, 3, 48, 48), [(2, 3, 10, 10)] * 2, "blocks.0.attn"),
    "timm Swin": (timm_swin, (1, 3, 56, 56), [(4, 2, 49, 49)] * 2 + [(1, 4, 49, 49)] * 2, "layers.0.blocks.0.attn"),
    "timm Swin, explicit": (timm_swin_explicit, (1, 3, 56, 56), [(4, 2, 49, 49)] * 2 + [(1, 4, 49, 49)] * 2,
                            "layers.0.blocks.0.attn"),
    "torchvision ViT": (torchvision_vit, (2, 3, 32, 32), [(2, 2, 17, 17)] * 2,
                        "encoder.layers.encoder_layer_0.self_attention"),
    "torchvision Swin": (torchvision_swin, (1, 3, 56, 56), [(4, 2, 49, 49)] * 2 + [(1, 4, 49, 49)] * 2, "features.1.0.attn"),
    "encoder, batch first": (lambda: encoder(batch_first=True), (3, 5, 32), [(3, 4, 5, 5)] * 2, "layers.0.self_attn"),
    "encoder, batch second": (encoder, (5, 3, 32), [(3, 4, 5, 5)] * 2, "layers.0.self_attn"),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", MODELS)
def test_attention_of_any_model(name, train):
    maker, shape, expected, module = MODELS[name]
    torch.manual_seed(0)
    model, x = maker().double().train(train), torch.randn(shape, dtype=torch.float64)
    torch.manual_seed(1)
    reference = model(x)
    torch.manual_seed(1)
    with record(model, attention=True) as seen:
        out = model(x)
    assert torch.allclose(out, reference, atol=1e-12)                   # recording changes nothing, dropout included
    assert [tuple(a.shape) for a in seen.attention] == expected
    assert seen.attention[0].module == module
    for a in seen.attention:
        assert torch.allclose(a.sum(-1), torch.ones(a.shape[:-1], dtype=torch.float64), atol=1e-12)
        assert torch.allclose(a.logits.softmax(-1), a, atol=1e-12)
        assert not a.requires_grad and a.min() >= 0
    assert seen.activations == {}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_fast_path_is_switched_off_only_while_recording():
    model, x = encoder(batch_first=True).eval(), torch.randn(2, 5, 32)
    with torch.inference_mode():                                        # where the fused layer would hide attention
        with record(model, attention=True) as seen:
            assert not torch.backends.mha.get_fastpath_enabled()
            model(x)
    assert len(seen.attention) == 2 and torch.backends.mha.get_fastpath_enabled()


def test_recorded_weights_are_those_of_the_explicit_form():
    layer, x = MultiHeadAttention(16, 2), torch.randn(3, 6, 16)
    with record(layer, attention=True) as seen:
        layer(x)
    q, k = (p(x).reshape(3, 6, 2, 8).transpose(1, 2) for p in (layer.q_proj, layer.k_proj))
    assert torch.allclose(seen.attention[0], explicit_attention(q, k, k)[1], atol=1e-6)
    assert seen.attention[0].module == ""                               # the model itself


class Sdpa(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.options)


@pytest.mark.parametrize("options", [
    {}, {"scale": 0.3}, {"is_causal": True}, {"attn_mask": torch.arange(7) < 4},
    {"attn_mask": torch.arange(35.0).view(5, 7)},
], ids=["plain", "scale", "causal", "boolean mask", "float mask"])
def test_weights_of_scaled_dot_product_attention_give_its_output(options):
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 7, 8), torch.randn(2, 4, 7, 8)
    model = Sdpa(**{key: value.expand(5, 7) if key == "attn_mask" else value for key, value in options.items()})
    with record(model, attention=True) as seen:
        out = model(q, k, v)
    assert torch.allclose(seen.attention[0] @ v, out, atol=1e-5)


@pytest.mark.skipif(torch.__version__.startswith("2.4"), reason="torch 2.4 has no enable_gqa")
def test_grouped_query_attention():
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    model = Sdpa(enable_gqa=True)
    with record(model, attention=True) as seen:
        out = model(q, k, v)
    assert torch.allclose(seen.attention[0] @ v.repeat_interleave(2, dim=1), out, atol=1e-5)


class ByHand(nn.Module):
    """Attention in its many spellings, and a softmax that is none."""

    def __init__(self, spelling):
        super().__init__()
        self.spelling, self.drop = spelling, nn.Dropout(0.5)

    def forward(self, x):                                               # (b, n, d)
        scores = x @ x.transpose(1, 2)
        weights = scores.softmax(-1) if self.spelling != "module" else nn.Softmax(dim=2)(scores)
        match self.spelling:
            case "matmul" | "module":
                return weights @ x
            case "dropout, cast":
                return torch.bmm(self.drop(weights).to(x.dtype), x)
            case "einsum":
                return torch.einsum("b n m, b m d -> b n d", weights, x)
            case "transposed":                                          # as DANet writes it
                return torch.bmm(x.transpose(1, 2), weights.permute(0, 2, 1)).transpose(1, 2)
            case "gate":
                return weights * scores
            case "other axis":
                return scores.softmax(1) @ x


@pytest.mark.parametrize("spelling", ["matmul", "module", "dropout, cast", "einsum", "transposed"])
def test_softmax_before_a_product_is_attention(spelling):
    x, model = torch.randn(2, 5, 8), ByHand(spelling)
    with record(model, attention=True) as seen:
        model(x)
    assert len(seen.attention) == 1 and seen.attention[0].module == ""
    assert torch.allclose(seen.attention[0], (x @ x.transpose(1, 2)).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("spelling", ["gate", "other axis"])
def test_other_softmaxes_are_not_attention(spelling):
    model = ByHand(spelling)
    with pytest.raises(RuntimeError, match="saw none"):
        with record(model, attention=True):
            model(torch.randn(2, 5, 8))


def test_attention_outside_the_model_is_not_recorded():
    q = torch.randn(1, 1, 3, 4)
    model = Sdpa()
    with record(model, attention=True) as seen:
        F.scaled_dot_product_attention(q, q, q)
        model(q, q, q)
        F.scaled_dot_product_attention(q, q, q)
    assert len(seen.attention) == 1


@pytest.mark.parametrize("layer, query", [
    (nn.MultiheadAttention(16, 4), (5, 3, 16)),
    (nn.MultiheadAttention(16, 4, kdim=16, vdim=16, add_zero_attn=True), (5, 3, 16)),
    (nn.MultiheadAttention(16, 4, batch_first=True, add_bias_kv=True), (3, 5, 16)), (nn.MultiheadAttention(16, 4), (5, 16)),
], ids=["batch second", "zero key", "bias key", "one sample"])
def test_multi_head_attention_and_its_options(layer, query):
    x = torch.randn(query)
    with record(layer, attention=True) as seen:
        layer(x, x, x, need_weights=False)
    expected = layer(x, x, x, average_attn_weights=False)[1]
    assert torch.allclose(seen.attention[0], expected, atol=1e-6)


def test_masks_of_multi_head_attention():
    layer, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.randn(3, 5, 16)
    forbidden = nn.Transformer.generate_square_subsequent_mask(5)
    with record(layer, attention=True) as seen:
        layer(x, x, x, attn_mask=forbidden, is_causal=True, need_weights=False)
    assert seen.attention[0].triu(1).count_nonzero() == 0
    assert (seen.attention[0].logits.triu(1)[..., 0, 1:] == float("-inf")).all()


def test_rollout_takes_a_recording_as_it_is():
    model, x = create("vit_digits"), torch.rand(2, 1, 64, 64)
    with record(model, attention=True) as seen:
        model(x)
    assert torch.allclose(attention_rollout(seen.attention).sum(-1), torch.ones(2, 65), atol=1e-5)


def test_a_recorded_attention_is_a_tensor():
    model, x = create("vit_digits"), torch.rand(1, 1, 64, 64)
    with record(model, attention=True) as seen:
        model(x)
    entry = seen.attention[1]
    assert isinstance(entry, torch.Tensor) and type(entry * 1) is torch.Tensor and type(entry.weights) is torch.Tensor
    assert repr(entry) == "RecordedAttention(module='blocks.1.attn', shape=(1, 4, 65, 65))"
    assert entry.numpy().shape == (1, 4, 65, 65)


def test_activations_by_name_and_pattern():
    model, x = create("vit_digits"), torch.rand(2, 1, 64, 64)
    with record(model, ["patch_embed", "blocks.*.mlp"]) as seen:
        model(x)
    assert {name: tuple(a.shape) for name, a in seen.activations.items()} == {
        "patch_embed": (2, 64, 96), **{f"blocks.{i}.mlp": (2, 65, 96) for i in range(4)}}
    assert not seen.attention


def test_both_at_once_and_every_leaf():
    model, x = create("vit_digits"), torch.rand(1, 1, 64, 64)
    with record(model, modules="norm", attention=True) as seen:
        model(x)
    assert list(seen.activations) == ["norm"] and len(seen.attention) == 4
    with record(model) as seen:
        model(x)
    assert {"patch_embed.proj", "blocks.3.mlp.fc2", "head"} <= set(seen.activations) and "blocks" not in seen.activations


def test_copies_survive_in_place_operations():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    with record(model) as seen:
        model(torch.randn(64, 4))
    assert (seen.activations["0"] < 0).any() and (seen.activations["1"] >= 0).all()
    assert not seen.activations["0"].requires_grad


def test_nested_outputs_are_copied_too():
    model = nn.LSTM(3, 4)
    with record(model) as seen:
        out, (h, c) = model(torch.zeros(5, 2, 3))
    copied, (copied_h, copied_c) = seen.activations[""]
    assert torch.equal(copied, out) and torch.equal(copied_h, h) and torch.equal(copied_c, c)
    assert copied.data_ptr() != out.data_ptr() and not copied.requires_grad


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.fail = nn.Linear(2, 2), True

    def forward(self, x):
        x = self.inner(x)
        if self.fail:
            raise KeyError("inside the model")
        return x


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("attention", [False, True])
def test_everything_is_cleaned_up_after_an_exception(attention):
    model = Fails()
    with pytest.raises(KeyError, match="inside the model"):             # the model's own error, not ours
        with record(model, attention=attention):
            model(torch.zeros(1, 2))
    assert hooks(model) == 0 and torch.backends.mha.get_fastpath_enabled()
    assert not torch.overrides._get_current_function_mode_stack()


def test_an_exception_that_is_caught_inside_does_not_confuse_names():
    model = nn.Sequential(Fails())
    with record(model, "0.inner") as seen:
        try:
            model(torch.zeros(1, 2))
        except KeyError:
            model[0].fail = False
        model(torch.ones(1, 2))
    assert torch.equal(seen.activations["0.inner"], model[0].inner(torch.ones(1, 2)))


def test_hooks_are_gone_afterwards_and_the_model_can_be_copied():
    model = create("vit_digits")
    with record(model, attention=True):
        model(torch.rand(1, 1, 64, 64))
    assert hooks(model) == 0
    copy.deepcopy(model)


def test_says_what_was_not_found():
    model, x = create("vit_digits"), torch.rand(1, 1, 64, 64)
    with pytest.raises(RuntimeError, match="expected the model to be called"):
        with record(model):
            pass
    with pytest.raises(RuntimeError, match="expected attention in Linear, saw none"):
        with record(linear := nn.Linear(2, 2), attention=True):
            linear(torch.zeros(1, 2))
    with pytest.raises(RuntimeError, match="nothing came from head"):
        with record(model, "head"):
            model.patch_embed(x)
    with pytest.raises(ValueError, match="got 'block.0.attn'; near names are blocks.0.attn"):
        with record(model, "block.0.attn"):
            pass
    with pytest.raises(TypeError, match="expected a torch.nn.Module, got function"):
        with record(lambda x: x):
            pass
    with pytest.raises(TypeError, match="expected names of modules, got int"):
        with record(model, [3]):
            pass


# ---------------------------------------------------------------- the libraries' own families

@pytest.mark.parametrize("make", [
    *(lambda n=n: getattr(torchvision.models, n)(weights=None) for n in ("resnet18", "mobilenet_v2", "shufflenet_v2_x0_5")),
    lambda: torchvision.models.convnext.ConvNeXt([torchvision.models.convnext.CNBlockConfig(8, None, 2)]),
    *(lambda n=n: timm.create_model(n) for n in ("resnet18", "resnest14d", "seresnet18", "skresnet18", "ecaresnet50t",
                                                 "convnext_atto")),
], ids=["torchvision resnet18", "torchvision mobilenet_v2", "torchvision shufflenet_v2", "torchvision convnext",
        "timm resnet18", "timm resnest", "timm seresnet", "timm skresnet", "timm ecaresnet", "timm convnext"])
def test_activations_of_the_libraries_convolutional_networks(make):
    """Every layer that ran is there, and the last of them is the output."""
    model, x = make().eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad(), record(model) as seen:
        out = model(x)
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    assert convolutions and set(convolutions) <= set(seen.activations)
    assert torch.equal(list(seen.activations.values())[-1], out)


@pytest.mark.parametrize("name, config, calls", [
    ("deit_tiny_patch16_224", {"img_size": 48, "depth": 2}, 2),
    ("swin_tiny_patch4_window7_224", {"img_size": 56, "depths": (1, 1)}, 2),
    ("swinv2_tiny_window8_256", {"img_size": 64, "depths": (1, 1), "num_heads": (1, 2), "embed_dim": 16}, 2),
    ("xcit_nano_12_p16_224", {"depth": 2}, None), ("maxvit_rmlp_pico_rw_256", {}, None),
])
def test_attention_of_more_of_timm(name, config, calls):
    model = timm.create_model(name, **config).eval()
    size = config.get("img_size", 256 if "256" in name else 224)
    with torch.no_grad(), record(model, attention=True) as seen:
        model(torch.randn(1, 3, size, size))
    assert len(seen.attention) == calls if calls else len(seen.attention) > 2
    assert all(torch.allclose(a.weights.sum(-1), torch.ones(()), atol=1e-4) for a in seen.attention)
