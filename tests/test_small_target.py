"""ACM and DNA-Net: their authors' counts, weights and outputs, and how the parts are wired.

Figures called the authors' were computed with their own code: DNA-Net with PyTorch, ACM with MXNet 1.9.1, in float64 and
evaluation mode, from the weights of ``authors_state`` (single modules: of ``fixtures``), on pictures of
``fixtures.wave``.
"""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from authors_state import authors_state
from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.models.acm_unet import ACMUNet
from dlnotes.models.dnanet import DNANet
from dlnotes.small_target import CSAM, AsymmetricModulation, CSAMBlock
from fixtures import assert_figures, fill, wave


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def meta(name: str, **config) -> nn.Module:
    with torch.device("meta"):
        return create(name, **config).eval()


# ---------------------------------------------------------------- asymmetric contextual modulation

@pytest.mark.parametrize("channels, parameters", [(16, 2_728), (32, 10_576), (64, 41_632)])
def test_modulation_parameters(channels, parameters):
    assert count(AsymmetricModulation(channels)) == parameters


def test_modulation_gives_the_authors_figures():
    """``AsymBiChaFuse(16)`` of open-acm."""
    fuse = fill(AsymmetricModulation(16))
    assert_figures(fuse(wave(1, 16, 8, 8), wave(1, 16, 8, 8, second=True)),
                   4.014633933e-02, 5.677439187e-02, 1.115194441e-01, 0.0)


def test_the_deep_map_is_read_as_a_whole_and_the_shallow_one_pixel_by_pixel():
    torch.manual_seed(0)
    fuse = AsymmetricModulation(16).eval()
    deep, shallow = torch.randn(1, 16, 6, 6), torch.randn(1, 16, 6, 6)
    with torch.no_grad(), record(fuse, modules=["topdown", "bottomup"]) as seen:
        fuse(deep, shallow)
    with torch.no_grad(), record(fuse, modules=["topdown", "bottomup"]) as moved:
        fuse(deep.roll(2, dims=3), shallow.roll(2, dims=3))
    what, where = seen.activations["topdown"], seen.activations["bottomup"]
    assert what.shape == (1, 16, 1, 1) and where.shape == (1, 16, 6, 6)
    assert torch.allclose(moved.activations["topdown"], what, atol=1e-6)
    assert torch.allclose(moved.activations["bottomup"], where.roll(2, dims=3), atol=1e-6)


def test_each_map_gates_the_other():
    """A closed top-down gate removes the shallow map, a closed bottom-up gate the deep one."""
    torch.manual_seed(0)
    fuse = AsymmetricModulation(16).eval()
    deep, shallow = torch.randn(1, 16, 6, 6), torch.randn(1, 16, 6, 6)
    for gate, gone in ((fuse.topdown, "shallow"), (fuse.bottomup, "deep")):
        hook = gate.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
        other = fuse.bottomup(shallow) * deep if gone == "shallow" else fuse.topdown(deep) * shallow
        with torch.no_grad():
            assert torch.allclose(fuse(deep, shallow), fuse.post(2 * other), atol=1e-6), gone
        hook.remove()


def test_training_with_one_picture_is_refused_with_the_reason():
    model = ACMUNet(width=8, blocks=1)
    with pytest.raises(ValueError, match="expected a batch of at least 2 in training, got 1; batch norm after a global"):
        model(torch.randn(1, 3, 16, 16))
    assert model.eval()(torch.randn(1, 3, 16, 16)).shape == (1, 1, 16, 16)


# ---------------------------------------------------------------- channel and spatial attention of DNA-Net

@pytest.mark.parametrize("c, d, residual, parameters", [
    (16, 32, True, 14_850), (64, 64, True, 74_722), (64, 64, False, 74_722), (16, 32, False, 14_850 - (16 * 32 + 32 + 64))])
def test_block_parameters(c, d, residual, parameters):
    assert count(CSAMBlock(c, d, residual)) == parameters


def test_block_gives_the_authors_figures():
    """``Res_CBAM_block(16, 32)``. Parameters are filled one by one, so neither their order nor their names matter."""
    out = fill(CSAMBlock(16, 32))(wave(1, 16, 8, 8))
    assert_figures(out, 4.406728318e-02, 5.259711668e-02, 1.113057111e-01, 7.142907297e-02)


def test_channels_are_weighed_before_places():
    """Closed channels are gone when the spatial gate looks."""
    attend = CSAM(32).eval()
    attend.ca.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
    with torch.no_grad(), record(attend, modules=["ca", "sa"]) as seen:
        attend(torch.randn(1, 32, 6, 6))
    assert seen.activations["ca"].shape == (1, 32, 1, 1) and seen.activations["sa"].shape == (1, 1, 6, 6)
    assert torch.equal(seen.activations["sa"], torch.full((1, 1, 6, 6), 0.5))           # sigmoid(0), no bias


def test_spatial_gate_sees_the_mean_first():
    attend = CSAM(32).eval()
    seen = []
    attend.sa.conv1.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    x = torch.randn(1, 32, 6, 6)
    with torch.no_grad():
        attend(x)
        gated = x * attend.ca(x)
    assert torch.allclose(seen[0][:, 0], gated.mean(dim=1)) and torch.equal(seen[0][:, 1], gated.amax(dim=1))


# ---------------------------------------------------------------- ACM U-Net

def test_acm_unet_counts():
    model = meta("acm_unet")
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert count(model) == 516_875 and sum(p.numel() for p in frozen) == 6
    assert sum(b.numel() for name, b in model.named_buffers() if "running" in name) == 3_134
    assert count(meta("acm_unet", in_channels=1, blocks=3, stem="strided")) == 397_823          # BasicIRSTD's


@pytest.mark.parametrize("names, settings, channels, figures", [
    ("acm_unet", {}, 3, (1.044863587e+03, 7.377345222e+02, 6.743168466e+01, -4.079444240e+01)),
    ("acm_unet_strided", {"in_channels": 1, "blocks": 3, "stem": "strided"}, 1,
     (1.896288584e+01, 1.212568053e+01, 4.878552470e+00, 2.246840740e+00)),
])
def test_acm_unet_gives_the_authors_figures(names, settings, channels, figures):
    state = authors_state(names)
    state["stem.0.gamma"], state["stem.0.beta"] = torch.ones(channels), torch.zeros(channels)   # MXNet holds them there
    model = create("acm_unet", **settings).double().eval()
    assert load_weights(model, state).dialect == "authors"
    with torch.no_grad():
        # MXNet resizes with single-precision weights, whatever the precision of the map
        assert_figures(model(wave(1, channels, 32, 48)), *figures, relative=1e-7 if "stem" in settings else 1e-8)


def test_basic_irstd_names_of_acm_load():
    """The benchmark's port calls the layers of a residual block as torchvision does, and wraps the network in ``model``."""
    model, source = (ACMUNet(width=8, blocks=2) for _ in range(2))
    there = {"body.0": "conv1", "body.1": "bn1", "body.3": "conv2", "body.4": "bn2", "head.": "head.block."}
    renamed = {}
    for key, x in source.state_dict().items():
        for ours, theirs in there.items():
            key = key.replace(ours, theirs)
        renamed[f"model.{key}"] = x
    assert load_weights(model, renamed).dialect == "BasicIRSTD"
    assert all(torch.equal(x, model.state_dict()[key]) for key, x in source.state_dict().items() if "batches" not in key)


def test_the_picture_is_normalised_by_statistics_and_nothing_else():
    torch.manual_seed(0)
    model = ACMUNet(width=8, blocks=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(5 + 3 * torch.randn(4, 3, 16, 16)).sum().backward()
    optimizer.step()
    assert torch.equal(model.stem[0].weight, torch.ones(3)) and torch.equal(model.stem[0].bias, torch.zeros(3))
    assert (model.stem[0].running_mean > 0.3).all()


@pytest.mark.parametrize("stem, size, multiple", [("tiny", (16, 18), 4), ("strided", (16, 24), 16)])
def test_acm_unet_refuses_sizes_that_do_not_divide(stem, size, multiple):
    with pytest.raises(ValueError, match=f"ACMUNet: expected height and width divisible by {multiple}, got"):
        ACMUNet(width=8, blocks=1, stem=stem).eval()(torch.zeros(1, 3, *size))


# ---------------------------------------------------------------- DNA-Net

FORMS = {"R10": {"blocks": (1, 1, 1, 1)}, "R18": {}, "R34": {"blocks": (3, 4, 6, 3)},
         "VGG10": {"blocks": (1, 1, 1, 1), "residual": False}}


@pytest.mark.parametrize("form, settings, parameters, printed", [
    ("R18", {}, 4_696_888, "13.9301"), ("R10", {}, 2_612_196, "10.9023"), ("R34", {}, 8_792_702, "19.6776"),
    ("VGG10", {}, 2_456_020, "10.0603"), ("R18", {"in_channels": 1}, 4_696_568, "13.909"),
    ("R18", {"in_channels": 1, "deep_supervision": False}, 4_696_517, "13.906"),
])
def test_dnanet_counts(form, settings, parameters, printed):
    model = meta("dnanet", **FORMS[form] | settings)
    assert count(model) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, model.in_channels, 256, 256, device="meta"))
    assert f"{counter.get_total_flops() / 2e9:.{len(printed) - 3}f}" == printed


def test_dnanet_gives_the_authors_figures():
    model = create("dnanet").double().eval()
    assert load_weights(model, authors_state("dnanet")).dialect == "authors"
    with torch.no_grad():
        fused, first, second, third = model(wave(1, 3, 32, 48))
    assert_figures(fused, 9.064408239e-01, 4.403350049e-01, 7.199925403e-01, 1.625119284e+00)
    assert_figures(first, -5.226979591e-01, 4.490524513e-01, -3.072808254e-01, 1.253991125e+00)


def test_dnanet_without_shortcuts_and_supervision_gives_the_authors_figures():
    model = create("dnanet", in_channels=1, deep_supervision=False, **FORMS["VGG10"]).double().eval()
    load_weights(model, authors_state("dnanet_vgg10"))
    with torch.no_grad():
        assert_figures(model(wave(1, 1, 32, 48)), 1.590915738e-01, 6.246977576e-03, 1.952124324e-01, 1.563279394e-01)


def test_basic_irstd_names_of_dnanet_load():
    model = create("dnanet")
    assert load_weights(model, {f"model.{key}": x for key, x in authors_state("dnanet").items()}).dialect == "BasicIRSTD"


def test_a_node_sees_its_row_the_one_below_and_the_one_above():
    """By the gradient: which outputs of other nodes reach the input of node (1, 2) in one step."""
    model = DNANet(blocks=(1, 1, 1)).eval()
    outputs, inputs = {}, {}
    for name, node in model.nodes.items():
        node.register_forward_pre_hook(lambda _, x, name=name: inputs.update({name: x[0]}))
        node.register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out.detach().requires_grad_()})
                                   or outputs[name])                        # cut, so that only direct paths are left
    model(torch.randn(1, 3, 16, 16))
    grads = torch.autograd.grad(inputs["1_2"].square().sum(), list(outputs.values()), allow_unused=True)
    assert {name for name, grad in zip(outputs, grads) if grad is not None} == {"1_0", "1_1", "2_1", "0_2"}
    assert list(model.nodes) == ["0_0", "1_0", "2_0", "3_0", "0_1", "1_1", "2_1", "0_2", "1_2", "0_3"]


def test_deep_supervision_changes_nothing_but_the_number_of_outputs():
    torch.manual_seed(0)
    deep, plain = DNANet(blocks=(1, 1)).eval(), DNANet(blocks=(1, 1), deep_supervision=False).eval()
    plain.load_state_dict({key: x for key, x in deep.state_dict().items() if not key.startswith("heads.")})
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(deep(x)[0], plain(x)) and len(deep(x)) == 2


@pytest.mark.parametrize("settings, complaint", [
    ({"blocks": 2}, r"expected blocks to be one number per row below the first, got 2"),
    ({"blocks": ()}, r"expected blocks to be one number per row below the first, got \(\)"),
    ({"blocks": (1, 0)}, r"expected blocks\[1\] to be an integer of at least 1, got 0"),
    ({"width": 24}, "expected width divisible by the channel gate's reduction, got width=24"),
])
def test_dnanet_checks_its_settings(settings, complaint):
    with pytest.raises(ValueError, match=f"DNANet: {complaint}"):
        DNANet(**settings)
