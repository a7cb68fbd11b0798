"""insert, report and cite: any module at any place of any network, without editing it, with its bill and its source."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import re
from importlib import import_module
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

from dlnotes.attention.eca import ECA
from dlnotes.attention.squeeze_excitation import SqueezeExcitation
from dlnotes.checkpoints import load_weights
from dlnotes.conv.cost import count_parameters, multiply_adds
from dlnotes.models import create, list_models
from dlnotes.stitch import Place, baseline_weights, bibtex, cite, insert, report, stitchable
from dlnotes.stitch.citations import known_citations
from dlnotes.stitch.layout import OnChannelsLast, OnTokens, adapt, layout_of
from dlnotes.stitch.places import find_places, names_before_stitching
from dlnotes.stitch.registry import STITCHABLE, entry_of
from dlnotes.stitch.tables import draw
from zoo import SENTENCE

WAYS = ("add", "nest", "parallel", "replace")


def unet(**config) -> nn.Module:
    torch.manual_seed(0)
    return create("unet", width=8, depth=2, **config)


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return create("resnet18", width=8, num_classes=5)


def timm_vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=5)


def picture(*size: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def refused(*args, match: str, **options) -> None:
    with pytest.raises((ValueError, TypeError), match=match) as error:
        insert(*args, **options)
    assert re.match(SENTENCE, str(error.value)) and "\n" not in str(error.value)


# ---------------------------------------------------------------- the four ways

NETWORKS = {                                    # a network, a place that keeps the shape, its input
    "resnet": (resnet, "layer1", (3, 64, 64)),
    "unet": (lambda: unet(skip="add"), "decoder.1.0", (3, 32, 32)),
    "timm ViT": (timm_vit, "blocks.0", (3, 64, 64)),
    "torchvision Swin": (lambda: torchvision.models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=5),
                         "features.1", (3, 64, 64)),
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_four_ways_are_what_their_formulas_say(name, how):
    """f, m and the four formulas, evaluated by hand at the place, with what came in recorded."""
    make, where, size = NETWORKS[name]
    network = make().eval()
    stitched = insert(network, where, "eca", how)
    place, seen = stitched.get_submodule(where), {}
    place.register_forward_hook(lambda _module, args, out: seen.update(x=args[0], out=out))
    with torch.no_grad():
        stitched(picture(2, *size))
        f, m, x = network.get_submodule(where), place.inserted, seen["x"]
        by_hand = {"add": lambda: f(x) + m(f(x)), "nest": lambda: m(f(x)), "parallel": lambda: f(x) + m(x),
                   "replace": lambda: m(x)}[how]()
    torch.testing.assert_close(seen["out"], by_hand)


@pytest.mark.parametrize("how", WAYS[:3])
@pytest.mark.parametrize("name", NETWORKS)
def test_with_zero_init_the_copy_begins_as_the_network_itself(name, how):
    make, where, size = NETWORKS[name]
    network, x = make().eval(), picture(2, *size)
    stitched = insert(network, where, "cbam", how, zero_init=True)
    with torch.no_grad():
        assert torch.equal(stitched(x), network(x))
        stitched.get_submodule(where).gamma.fill_(1.0)
        torch.testing.assert_close(stitched(x), insert_again(network, where, how, stitched)(x), atol=2e-5, rtol=1e-4)


def insert_again(network, where, how, like):
    """The same without γ, with equal weights."""
    plain = insert(network, where, "cbam", how)
    plain.get_submodule(where).inserted.load_state_dict(like.get_submodule(where).inserted.state_dict())
    return plain


def test_gamma_learns_at_once_and_then_the_module():
    stitched = insert(unet(), "encoder.0", "se", "add", zero_init=True)
    stitched(picture(2, 3, 32, 32)).square().mean().backward()
    place = stitched.get_submodule("encoder.0")
    assert place.gamma.grad.abs() > 0 and not any(p.grad.abs().sum() > 0 for p in place.inserted.parameters())
    with torch.no_grad():
        place.gamma.add_(0.1)
    stitched(picture(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in place.inserted.parameters())


def test_the_network_itself_is_untouched():
    network = resnet()
    before, names = {key: x.clone() for key, x in network.state_dict().items()}, [n for n, _ in network.named_modules()]
    stitched = insert(network, ["layer*", "layer2.0"], "se")
    with torch.no_grad():
        for p in stitched.parameters():
            p.zero_()
    stitched(picture(2, 3, 64, 64))
    assert [n for n, _ in network.named_modules()] == names and network.training and stitched.training
    assert all(torch.equal(x, before[key]) for key, x in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", stitchable(1))
def test_every_registered_module_can_be_stitched(name):
    network = create("unet", width=12, depth=2)                                 # 12 and 24: no multiple of 16
    stitched = insert(network, "encoder.*", name, "add")
    assert stitched(picture(2, 3, 32, 32)).shape == (2, 2, 32, 32)
    assert type(stitched.encoder[1].inserted) is STITCHABLE[name].load()


@pytest.mark.parametrize("how", ["parallel", "replace"])
@pytest.mark.parametrize("name", stitchable(2))
def test_every_fusion_takes_the_place_of_a_join(name, how):
    """joins[0] is called with (skip, x): the fusion is, too."""
    stitched = insert(unet(skip="add"), "joins.*", name, how).eval()
    join, seen = stitched.joins[0], {}
    join.register_forward_hook(lambda _module, args, out: seen.update(args=args, out=out))
    with torch.no_grad():
        assert stitched(picture(2, 3, 32, 32)).shape == (2, 2, 32, 32)
        alone = join.inserted(*seen["args"]) + (sum(seen["args"]) if how == "parallel" else 0)
    torch.testing.assert_close(seen["out"], alone)


# ---------------------------------------------------------------- names

def test_a_star_stands_between_dots():
    network = resnet()
    assert list(find_places(network, "layer*")) == ["layer1", "layer2", "layer3", "layer4"]
    assert list(find_places(network, ["layer*.0", "conv1"])) == ["conv1", *(f"layer{i}.0" for i in range(1, 5))]


def test_names_are_predictable():
    stitched = insert(unet(), "encoder.0", "se", zero_init=True)
    mine = [key for key in stitched.state_dict() if key.startswith("encoder.0.")]
    assert mine[0] == "encoder.0.gamma" and "encoder.0.place.0.weight" in mine and mine[-1] == "encoder.0.inserted.fc2.bias"


def test_names_stay_those_of_the_baseline_after_an_insertion():
    once = insert(resnet(), "layer1", "se")
    twice = insert(once, ["layer1.0", "layer1"], "eca")
    assert isinstance(twice.get_submodule("layer1.place.place.0").inserted, ECA)
    assert isinstance(twice.layer1.inserted, ECA) and isinstance(twice.layer1.place.inserted, SqueezeExcitation)
    assert set(names_before_stitching(resnet())) <= set(names_before_stitching(twice))


def test_inner_and_outer_places_at_once():
    stitched = insert(resnet(), ["layer1", "layer1.0", "layer1.0.conv1"], "se")
    names = [name for name, module in stitched.named_modules() if isinstance(module, SqueezeExcitation)]
    assert names == ["layer1.place.0.place.conv1.inserted", "layer1.place.0.inserted", "layer1.inserted"]


def test_a_shared_part_stays_shared():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.second(self.first(x))
    stitched = insert(Twice(), "first", "eca")
    assert stitched.first is stitched.second and isinstance(stitched.first.inserted, ECA)


def test_what_a_network_asks_of_a_part_is_still_found():
    """U-Net checks its input against self.head.weight."""
    stitched = insert(unet(), "head", lambda c: nn.Conv2d(c, c, 1))
    assert stitched(picture(1, 3, 32, 32)).shape == (1, 2, 32, 32) and stitched.head.weight is stitched.head.place.weight
    with pytest.raises(AttributeError, match="wieght"):
        stitched.head.wieght  # noqa: B018


# ---------------------------------------------------------------- channels and layouts

def test_channels_are_those_of_what_the_module_reads():
    asked = {}

    def factory(channels: int, place: Place) -> nn.Module:
        asked[place.name] = channels, place.in_channels, place.out_channels, place.inputs, place.output
        return nn.Conv2d(channels, place.out_channels, 3, stride=place.inputs[0][2] // place.output[2], padding=1)
    insert(resnet(), ["layer1", "layer2"], factory, "replace", inputs=(3, 64, 64))
    assert asked["layer1"][:3] == (8, 8, 8) and asked["layer2"][:3] == (8, 8, 16)
    insert(resnet(), "layer2", lambda channels, place: asked.update(nest=channels) or nn.Identity(), "nest")
    assert asked["nest"] == 16 and asked["layer2"][3:] == (((1, 8, 16, 16),), (1, 16, 8, 8))


@pytest.mark.parametrize("shape, larger, axes", [
    ((1, 64, 8, 8), None, "b c h w"), ((1, 8, 8, 8), None, "b c h w"), ((1, 8, 16, 96), (1, 16, 32, 96), "b h w c"),
    ((1, 96, 8, 8), (1, 96, 16, 16), "b c h w"), ((1, 8, 8, 8), (1, 16, 16, 8), "b h w c"), ((1, 8, 8, 96), None, None),
    ((1, 65, 24), None, "b n c"), ((1, 24, 64), (1, 24, 256), "b c n"), ((1, 512), None, "b c"),
    ((1, 3, 4, 8, 8), None, "b c t h w")])
def test_the_axis_that_does_not_grow_with_the_picture_is_the_channels(shape, larger, axes):
    assert layout_of(shape, larger) == axes


def test_tokens_are_shown_as_a_map_and_the_class_token_passes_by():
    class Flip(nn.Module):
        def forward(self, x):
            return x.flip(3)
    tokens = torch.arange(1.0, 8).reshape(1, 7, 1)                              # a class token, then 2 rows of 3
    assert OnTokens(Flip(), (2, 3))(tokens).flatten().tolist() == [1, 4, 3, 2, 7, 6, 5]
    maps = torch.arange(6.0).reshape(1, 2, 3, 1)                                # b h w c
    assert OnChannelsLast(Flip())(maps).flatten().tolist() == [2, 1, 0, 5, 4, 3]
    assert isinstance(insert(timm_vit(), "blocks.0", "se").blocks[0].inserted, OnTokens)
    assert adapt(nn.Identity(), "b n c", (1, 17, 8), None, "x").grid == (4, 4)
    assert isinstance(insert(timm_vit(), "blocks.0", lambda c: nn.Linear(c, c)).blocks[0].inserted, nn.Linear)
    assert isinstance(insert(timm_vit(), "blocks.0", lambda c: nn.Conv2d(c, c, 1), as_map=True).blocks[0].inserted, OnTokens)


def test_a_grid_that_is_no_square():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=(32, 96), depth=1, num_classes=5)
    refused(vit, "blocks.0", "se", inputs=(3, 32, 96), match=r"fill a square.*got 13; pass grid=")
    stitched = insert(vit, "blocks.0", "coordinate", inputs=(3, 32, 96), grid=(2, 6))
    assert stitched(picture(2, 3, 32, 96)).shape == (2, 5)


def test_dtype_device_and_mode_are_those_of_the_network():
    stitched = insert(unet().double().eval(), "encoder.*", "cbam", "add", zero_init=True)
    assert {p.dtype for p in stitched.parameters()} == {torch.float64} and not any(m.training for m in stitched.modules())
    with torch.device("meta"):
        large = create("resnet50")
    assert {p.device.type for p in insert(large, "layer*", "se").parameters()} == {"meta"}


def test_settings_reach_the_module():
    stitched = insert(unet(), "encoder.*", "se", settings={"reduction": 2})
    assert stitched.encoder[0].inserted.fc1.out_features == 4
    assert insert(unet(), "encoder.0", ECA).encoder[0].inserted.conv.kernel_size == (3,)        # not ECA(8): a width


def test_a_network_that_reads_numbers_on_its_way_runs_for_real():
    class Reads(nn.Sequential):
        def forward(self, x):
            return super().forward(x / max(x.abs().max().item(), 1.0))
    assert insert(Reads(nn.Conv2d(3, 8, 3)), "0", "eca")(picture(1, 3, 8, 8)).shape == (1, 8, 6, 6)


# ---------------------------------------------------------------- refusals

def test_a_change_of_shape_is_refused_with_both_shapes():
    refused(unet(), "joins.0", "cga_fusion", "replace", match=r"joins.0 to give \(1, 32, 32, 32\) as before, got \(1, 16")
    refused(resnet(), "layer2", "se", "parallel",
            match=r"SqueezeExcitation at layer2 to give \(1, 16, 8, 8\), as Sequential does, got \(1, 8, 16, 16\)")
    refused(unet(), "encoder.0", lambda c: nn.AdaptiveAvgPool2d(1), "add", match=r"\(1, 8, 64, 64\), .* got \(1, 8, 1, 1\)")


def test_bad_arguments_are_answered_in_one_sentence():
    network = unet()
    refused({}, "a", "se", match="expected a torch.nn.Module, got dict")
    refused(network, "encoder.0", "se", "beside", match="expected how to be one of 'add', 'nest'")
    refused(network, "encodr.0", "se", match="got 'encodr.0'; near names are encoder.0")
    refused(network, [], "se", match="at least one name of a module, got none")
    refused(network, [3], "se", match="expected names of modules, got int")
    refused(network, "encoder.0", "sse", match="got 'sse'; did you mean se")
    refused(network, "encoder.0", nn.Identity(), match="or a factory, got Identity; each place needs")
    refused(network, "encoder.0", lambda c: c, match="factory to return an nn.Module for encoder.0, got int")
    refused(network, "encoder.0", "acm", match="how='parallel' or 'replace' for acm, which takes two maps, got 'nest'")
    refused(network, "encoder.0", "se", "replace", inputs=(3, 32, 32), zero_init=True, match="zero_init=False, got True")
    refused(network, "encoder.0", lambda c: nn.Identity(), settings={"a": 1}, match="settings with the name of a module")
    refused(network, "encoder", "se", match="place to be called in a forward pass, got no call of encoder")
    refused(network, "encoder.0", "se", inputs=(1, 32, 32), match=r"inputs that UNet takes, got \(1, 1, 32, 32\)")
    refused(network, "encoder.0", "se", layout="c h w", match="expected layout to be one of")
    refused(nn.Sequential(nn.Linear(3, 4)), "0", "se", match="no convolution to tell them by, got None; pass inputs=")
    refused(nn.Sequential(nn.Linear(3, 4)), "0", "se", inputs=(3,), match=r"pass maps or tokens to SqueezeExcitation, got")
    refused(network, "bottom", lambda c: nn.Conv2d(c + 1, c, 1), match="run with the module in place, got RuntimeError")
    with pytest.raises(ValueError, match=r"OnTokens: expected at least 2 \* 3 = 6 tokens, got 5; insert for the size"):
        OnTokens(nn.Identity(), (2, 3))(torch.zeros(1, 5, 4))
    with pytest.raises(ValueError, match="nothing|something stitched in, got UNet"):
        baseline_weights(network, network)


# ---------------------------------------------------------------- weights, compile, export

@pytest.mark.parametrize("how", WAYS)
def test_weights_of_a_trained_baseline_load_into_the_stitched_network(how):
    stitched = insert(insert(unet(skip="add"), "joins.0", "concat_fusion", "parallel"), "decoder.1.0", "se", how)
    torch.manual_seed(5)
    trained = create("unet", width=8, depth=2, skip="add")
    own = {key: x.clone() for key, x in stitched.state_dict().items() if "inserted" in key}
    done = baseline_weights(trained, stitched)
    state, names = stitched.state_dict(), names_before_stitching(stitched)
    assert set(done.skipped) == set(own) and all(torch.equal(state[key], x) for key, x in own.items())
    for key, x in trained.state_dict().items():
        module, _, tensor = key.rpartition(".")
        if not (how == "replace" and key.startswith("decoder.1.0.")):
            inner = stitched.get_submodule(names[module])
            assert torch.equal(getattr(inner, tensor), x), key
    with pytest.raises(ValueError, match="missing: encoder.0.0.weight"):
        baseline_weights({key: x for key, x in trained.state_dict().items() if key != "encoder.0.0.weight"}, stitched)
    with pytest.raises(ValueError, match="unexpected: other"):
        baseline_weights({**trained.state_dict(), "other": torch.zeros(1)}, stitched)


def test_a_stitched_state_dict_goes_to_a_network_stitched_alike():
    one, other = (insert(unet(), "encoder.*", "se", "add", zero_init=True) for _ in range(2))
    assert len(load_weights(other, one.state_dict()).loaded) == len(one.state_dict())


@pytest.mark.parametrize("how", WAYS)
def test_stitched_networks_compile_and_export(how):
    network = insert(unet(skip="add"), "decoder.1.0", "eca", how, zero_init=how != "replace")
    network = insert(network, "head", lambda c: nn.Conv2d(c, c, 1)).eval()      # the check asks for self.head.weight
    x = picture(2, 3, 32, 32)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("b", min=2, max=8)},)).module()
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))
        torch.testing.assert_close(exported(picture(5, 3, 32, 32)), network(picture(5, 3, 32, 32)))


# ---------------------------------------------------------------- the bill

def test_the_report_counts_what_was_added():
    network = unet()
    stitched = insert(network, "encoder.*", "se", "add")
    x = picture(2, 3, 32, 32)
    bill = report(network, stitched, x, runs=3)
    added = sum(count_parameters(stage.inserted) for stage in stitched.encoder)
    assert bill.stitched.parameters - bill.baseline.parameters == added > 0
    assert bill.stitched.multiply_adds - bill.baseline.multiply_adds == 2 * sum(2 * c * (c // min(c, 16)) for c in (8, 16))
    assert bill.baseline.multiply_adds == multiply_adds(network, x) and network.training
    assert bill.stitched.memory > bill.baseline.memory and bill.baseline.latency > 0
    assert bill.ratios()["parameters"] == pytest.approx(bill.stitched.parameters / bill.baseline.parameters)
    text = str(bill)
    assert "memory of a training step, MiB" in text and "median of 3 runs in turns on cpu" in text
    assert bill._repr_markdown_().splitlines()[1] == "| --- | ---: | ---: | ---: |" and r"\toprule" in bill.table("latex")
    assert "latency" not in report(network, stitched, x, runs=0).table()


def test_the_report_refuses_what_it_cannot_compare():
    for args, match in (((unet(), "se", picture(1, 3, 8, 8)), "two torch.nn.Modules, got str"),
                        ((unet(), unet(), (3, 32, 32)), "batch of inputs as a tensor, got tuple")):
        with pytest.raises(TypeError, match=match):
            report(*args)
    with pytest.raises(ValueError, match="expected runs to be an integer of at least 0"):
        report(unet(), unet(), picture(1, 3, 32, 32), runs=-1)


def test_tables_escape_what_their_format_would_read():
    row = [["a_b|50 %", "±1"]]
    assert draw(["", "x"], row, "markdown", cite=[["k1", "k2"]]).splitlines()[2] == r"| a\_b\|50 % [@k1; @k2] | ±1 |"
    assert r"a\_b|50 \%~\cite{k1,k2} & $\pm$1 \\" in draw(["", "x"], row, "latex", cite=[["k1", "k2"]])
    with pytest.raises(ValueError, match="expected format to be one of"):
        draw(["", "x"], row, "html")


# ---------------------------------------------------------------- references

def test_every_registered_module_says_what_to_cite_and_the_entry_is_there():
    for name, entry in STITCHABLE.items():
        assert entry_of(entry.load()) == name and (entry.cite or name in ("add_fusion", "concat_fusion"))
        assert all(f"{{{key}," in bibtex(entry.cite) for key in entry.cite)


@pytest.mark.parametrize("name", list_models())
def test_every_model_of_the_package_is_cited(name):
    with torch.device("meta"):
        keys = cite(create(name))
    assert (keys or name == "simple_cnn") and bibtex(keys).count("@") == len(keys)


def test_the_bibliography_is_well_formed_and_agrees_with_the_books():
    own = Path(import_module("dlnotes.stitch.citations").__file__).with_name("citations.bib").read_text(encoding="utf-8")
    book = (Path(__file__).parents[1] / "book" / "references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"(?ms)^@\w+\{([^,]+),(.*?)^\}$", own))
    assert len(entries) == own.count("\n@") + 1 == len(set(entries)) and list(entries) == sorted(entries)
    for key, body in entries.items():
        assert body.count("{") == body.count("}") and all(f"  {part} = {{" in body for part in ("author", "title", "year"))
        title = re.search(r"title = \{(.*)\}", body).group(1)
        elsewhere = re.search(rf"@\w+\{{{key},\s*(?s:.*?)title\s*=\s*\{{(.*?)\}},?\s*(?:\n|\w+\s*=)", book)
        if elsewhere:
            assert elsewhere.group(1) == title, key


def test_citations_follow_what_is_in_the_network():
    stitched = insert(insert(unet(), "encoder.*", "cbam", "add", zero_init=True), "bottom", "mdta")
    assert set(cite(stitched)) == {"ronneberger2015unet", "woo2018cbam", "bachlechner2021rezero", "zamir2022restormer"}
    inside = insert(unet(), "bottom", lambda c: nn.Sequential(nn.Conv2d(c, c, 1), SqueezeExcitation(c), nn.ReLU()))
    assert cite(inside) == ("ronneberger2015unet", "hu2018squeeze")
    assert cite(timm_vit()) == ("dosovitskiy2021image",) and cite(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())) == ()


class Borrowed(nn.Conv2d):
    def __init__(self, c: int):
        super().__init__(c, c, 1)


def test_a_module_of_unknown_source_is_refused_unless_its_source_is_given():
    assert known_citations(Borrowed) is None
    with pytest.raises(ValueError, match="source of every module, got Borrowed at 'bottom.inserted'; pass citation="):
        cite(insert(unet(), "bottom", Borrowed))
    assert cite(insert(unet(), "bottom", Borrowed, citation="own")) == ("ronneberger2015unet",)
    entry = "@misc{someone2026thing, title = {A Thing}}"
    assert entry in bibtex(cite(insert(unet(), "bottom", Borrowed, citation=entry)))
    with pytest.raises(ValueError, match="got 'someone2026'; pass the whole entry"):
        cite(insert(unet(), "bottom", Borrowed, citation="someone2026"))
    with pytest.raises(ValueError, match="expected an entry such as"):
        bibtex(["@misc{title}"])

    class Net(nn.Module):
        pass
    with pytest.raises(ValueError, match="got Net; pass citation="):
        cite(Net())
    assert cite(Net(), citation="he2016deep") == ("he2016deep",)
