"""load_weights: whose names, all or nothing, one report of all mismatches, tensors only."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import pickle

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.checkpoints import Dialect, load_weights, read_tensors, save_weights
from dlnotes.checkpoints.resize import resize_bias_table, resize_pos_embed
from dlnotes.models import create

SMALL = {"image_size": 32, "patch_size": 8, "dim": 24, "depth": 2, "heads": 3, "num_classes": 5}


def vit(**config):
    return create("vit_b_16", **SMALL | config)


def theirs():
    return torchvision.models.VisionTransformer(32, 8, 2, 3, 24, 96, num_classes=5)


# ---------------------------------------------------------------- whose names

def test_torchvision_names_are_recognised_and_carry_the_output_over():
    reference, ours = theirs().eval(), vit().eval()
    nn.init.normal_(reference.heads.head.weight)
    report = load_weights(ours, reference.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert report.dialect == "torchvision" and len(report.loaded) == len(ours.state_dict())
    assert torch.allclose(ours(x), reference(x), atol=1e-5)


def test_timm_names_are_our_own_here():
    reference = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=5)
    ours = create("deit_tiny", image_size=32, depth=2, num_classes=5)
    assert load_weights(ours, reference.state_dict()).dialect == "dlnotes"


@pytest.mark.parametrize("wrap", [
    lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
    lambda s: {"params_ema": s, "params": {}}, lambda s: {**s, "mask_values": [0, 255]}, lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()}])
def test_wrappings_in_common_use_are_opened(wrap):
    source, target = vit(), vit()
    load_weights(target, wrap(source.state_dict()))
    assert all(torch.equal(x, target.state_dict()[key]) for key, x in source.state_dict().items())


def test_any_network_with_its_own_names():
    source, target = nn.Linear(4, 2), nn.Linear(4, 2)
    assert str(load_weights(target, source.state_dict())) == "2 tensors loaded, names of dlnotes"


def test_a_linear_layer_fills_a_1x1_convolution_and_the_report_says_so():
    source, target = nn.Linear(4, 2), nn.Conv2d(4, 2, 1)
    assert load_weights(target, source.state_dict()).reshaped == {"weight": ((2, 4), (2, 4, 1, 1))}
    assert torch.equal(target.weight.flatten(1), source.weight)


# ---------------------------------------------------------------- all or nothing

def test_one_error_lists_every_mismatch_and_nothing_changes():
    target = vit()
    before = {key: x.clone() for key, x in target.state_dict().items()}
    broken = vit(num_classes=7).state_dict()
    del broken["blocks.0.attn.qkv.weight"]
    broken["blocks.9.extra"] = torch.zeros(3)
    with pytest.raises(ValueError) as error:
        load_weights(target, broken)
    text = str(error.value)
    assert "got 1 missing, 1 unexpected, 2 of another shape" in text and "nothing was loaded" in text
    for line in ("missing: blocks.0.attn.qkv.weight (72, 24)", "unexpected: blocks.9.extra (3,)",
                 "of another shape: head.weight expected (5, 24), got (7, 24)",
                 "of another shape: head.bias expected (5,), got (7,)"):
        assert line in text
    assert all(torch.equal(x, target.state_dict()[key]) for key, x in before.items())


def test_a_new_head_is_left_out_by_name():
    target = vit()
    head = target.head.weight.clone()
    report = load_weights(target, vit(num_classes=7).state_dict(), skip="head.*")
    assert report.skipped == ["head.weight", "head.bias"] and torch.equal(target.head.weight, head)
    with pytest.raises(ValueError, match=r"expected skip='haed.\*' to name a parameter"):
        load_weights(target, vit().state_dict(), skip=["haed.*"])


def test_what_ours_does_not_have_is_left_out_by_name():
    """Under their name: a head for a model without one, and their spelling of a parameter of ours."""
    target, state = vit(num_classes=0), vit().state_dict()
    with pytest.raises(ValueError, match="got 2 unexpected"):
        load_weights(target, state)
    report = load_weights(target, state, skip="head.*")
    assert report.dropped == {"head.weight": "left out by skip", "head.bias": "left out by skip"}
    target = vit(num_classes=7)
    assert load_weights(target, theirs().state_dict(), skip=["heads.*"]).skipped == ["head.weight", "head.bias"]
    with pytest.raises(ValueError, match="expected skip='nothing' to name a parameter of VisionTransformer or of the checkp"):
        load_weights(target, state, skip="nothing")


@pytest.mark.parametrize("spoil", [
    lambda x: x.to("meta"), lambda x: x.to_sparse(), lambda x: x.to(torch.complex64), lambda x: x.to(torch.uint8)])
def test_tensors_of_another_kind_are_refused_before_anything_changes(spoil):
    target, state = vit(), vit().state_dict()
    before = {key: x.clone() for key, x in target.state_dict().items()}
    state["head.weight"] = spoil(state["head.weight"])
    with pytest.raises(ValueError, match="(?s)got 1 of another kind .*head.weight expected torch.float32, strided, got "):
        load_weights(target, state)
    assert all(torch.equal(x, target.state_dict()[key]) for key, x in before.items())


def test_another_precision_is_converted():
    target, state = vit(), vit().double().state_dict()
    load_weights(target, state)
    assert target.head.weight.dtype == torch.float32 and torch.equal(target.head.weight, state["head.weight"].float())


def test_a_model_without_memory_is_refused():
    with torch.device("meta"):
        target = vit()
    with pytest.raises(ValueError, match="expected a model with memory .*got a VisionTransformer on the meta device; build"):
        load_weights(target, vit().state_dict())


def test_tied_weights_take_one_name_and_refuse_two_values():
    settings = {"source_vocabulary": 12, "target_vocabulary": 12, "dim": 32, "heads": 4, "depth": 1, "hidden": 64}
    tied, target = (create("transformer", **settings, share_embeddings=True) for _ in range(2))
    once = {key: x for key, x in tied.state_dict().items() if key != "head.weight"}
    load_weights(target, once)
    assert torch.equal(target.head.weight, tied.head.weight)
    with pytest.raises(ValueError, match="of another kind: .* has other numbers than .*, and here both are one tensor"):
        load_weights(target, create("transformer", **settings, share_embeddings=False).state_dict())
    assert torch.equal(target.head.weight, tied.head.weight)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (12,), (3, 1, 4)])
def test_equal_numbers_in_another_shape_are_not_poured_over(shape):
    target = nn.Linear(6, 2, bias=False)
    with pytest.raises(ValueError, match="of another shape: weight expected"):
        load_weights(target, {"weight": torch.zeros(shape)})


# ---------------------------------------------------------------- resizing, on request only

def test_positions_are_interpolated_only_when_asked():
    source, target = vit(), vit(image_size=(48, 64))
    with pytest.raises(ValueError, match=r"pos_embed expected \(1, 49, 24\), got \(1, 17, 24\) \(resize=True inter"):
        load_weights(target, source.state_dict())
    report = load_weights(target, source.state_dict(), resize=True)
    assert report.resized == {"pos_embed": ((1, 17, 24), (1, 49, 24))}
    assert torch.equal(target.pos_embed, resize_pos_embed(source.pos_embed, (6, 8)))


def test_a_grid_that_is_not_square_stands_in_the_one_report():
    source, target = vit(image_size=(32, 48)), vit(image_size=(48, 64), num_classes=7)
    with pytest.raises(ValueError, match="(?s)got 3 of another shape .*pos_embed .*resize=True knows square grids only"):
        load_weights(target, source.state_dict(), resize=True)


def test_resizing_is_that_of_timm():
    from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table_simple
    positions, table = torch.randn(1, 50, 12), torch.randn(13 * 13, 3)
    assert torch.allclose(resize_pos_embed(positions, (5, 9)), resample_abs_pos_embed(positions, [5, 9], [7, 7]), atol=1e-6)
    assert torch.allclose(resize_bias_table(table, 8), resize_rel_pos_bias_table_simple(table, (8, 8), (225, 3)), atol=1e-6)


@given(side=st.integers(2, 6), value=st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_a_constant_stays_constant_when_it_is_resized(side, value):
    table = torch.full(((2 * side - 1) ** 2, 2), value)
    assert torch.allclose(resize_bias_table(table, side + 1), torch.tensor(value), atol=1e-5)


def test_wrong_sizes_of_what_is_to_be_resized():
    with pytest.raises(ValueError, match="expected 1 \\+ 3 \\* 3 positions, got 12; pass old_grid"):
        resize_pos_embed(torch.zeros(1, 12, 4), (4, 4))
    with pytest.raises(ValueError, match=r"expected \(2m - 1\)\*\*2 rows, got a table of shape \(16, 2\)"):
        resize_bias_table(torch.zeros(16, 2), 5)


# ---------------------------------------------------------------- files

@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
def test_files_go_round(tmp_path, ending):
    source, target, path = vit(), vit(), tmp_path / f"weights{ending}"
    save_weights(source, path) if ending == ".safetensors" else torch.save({"state_dict": source.state_dict()}, path)
    load_weights(target, path)
    assert all(torch.equal(x, target.state_dict()[key]) for key, x in source.state_dict().items())


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_pickle_with_code_is_refused_with_reason_and_remedy(tmp_path, capsys):
    whole, bare = tmp_path / "model.pt", tmp_path / "weights.pkl"
    torch.save({"state_dict": nn.Linear(2, 2).state_dict(), "hook": Evil()}, whole)
    bare.write_bytes(pickle.dumps({"weight": Evil()}))
    for path in (whole, bare):
        with pytest.raises(ValueError, match="expected tensors only in .*, got a pickle that would run code when opened .*; "
                                             "ask its author for a safetensors file, or"):
            read_tensors(path)
    assert "must never run" not in capsys.readouterr().out


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="got a pickle that would run code"):
        load_weights(nn.Linear(2, 2), tmp_path / "model.pt")


@pytest.mark.parametrize("name, content", [
    ("a.safetensors", b"\x00" * 64), ("a.safetensors", b""), ("a.pt", b""), ("a.pt", b"hello, world" * 9),
    ("a.pth", b"PK\x03\x04 not a zip")])
def test_damaged_files_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"read_tensors: expected .*a\..*, got .*; download it again"):
        read_tensors(path)


def test_a_truncated_file_is_named(tmp_path):
    for path in (save_weights(vit(), tmp_path / "a.safetensors"), tmp_path / "a.pt"):
        if path.suffix == ".pt":
            torch.save(vit().state_dict(), path)
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(ValueError, match="damaged"):
            read_tensors(path)


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="found no file; check the path"):
        load_weights(nn.Linear(2, 2), tmp_path / "none.safetensors")
    for content in ([torch.zeros(2)], {"epoch": 3}, {"optimizer": {"state": {}}}, 7):
        with pytest.raises(ValueError, match="expected a dictionary of tensors in the state dict, got .*; pass"):
            load_weights(nn.Linear(2, 2), content)
    with pytest.raises(TypeError, match="expected a torch.nn.Module, got dict"):
        load_weights({}, {})


def test_saving_replaces_only_by_something_whole(tmp_path, monkeypatch):
    import safetensors.torch
    path = save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")
    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(nn.Linear(2, 2), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="must end|ends in .safetensors"):
        save_weights(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        save_weights(nn.Linear(2, 2), tmp_path / "none" / "w.safetensors")


# ---------------------------------------------------------------- dialects

def test_a_dialect_renames_drops_and_splits():
    theirs = Dialect("theirs", rules=((r"^fc\.", "head."),), drop={r"index$": "a constant"},
                     split={r"in_proj_(weight|bias)$": (r"q.\1", r"k.\1")})
    assert theirs.translate("fc.weight") == "head.weight" and theirs.reason_to_drop("attn.index") == "a constant"
    assert theirs.reason_to_drop("attn.weight") is None and theirs.parts("a.in_proj_bias") == ["a.q.bias", "a.k.bias"]
    assert theirs.parts("a.weight") == ["a.weight"]
