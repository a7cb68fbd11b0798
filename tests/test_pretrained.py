"""Every shipped network loads, is small, and scores what its card says; the smallest one is trained again to its score."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dlnotes.digits import DigitsOnTextures
from dlnotes.metrics import ConfusionMatrix
from dlnotes.models import pretrained
from dlnotes.models.pretrained import list_pretrained, load_pretrained, model_card
from dlnotes.models.vit import load_vit_digits
from dlnotes.training import evaluate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import train_weights  # noqa: E402

NAMES = list(train_weights.RECIPES)


def test_every_recipe_has_been_trained_and_nothing_else_is_listed():
    assert list_pretrained() == sorted([*NAMES, "vit_digits"])


@pytest.mark.parametrize("name", [*NAMES, "vit_digits"])
def test_it_loads_in_evaluation_mode_on_the_cpu_and_is_small(name):
    state = torch.get_rng_state()
    model, card = load_pretrained(name), model_card(name)
    assert isinstance(model, nn.Module) and not any(module.training for module in model.modules())
    assert all(x.device.type == "cpu" and not torch.isnan(x).any() for x in model.state_dict().values())
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert (pretrained._WEIGHTS / f"{name}.safetensors").stat().st_size < 2_000_000
    torch.set_rng_state(state)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_is_needed_to_judge_and_to_repeat(name):
    card, recipe = model_card(name), train_weights.RECIPES[name]
    assert card["command"] == f"python tools/train_weights.py {name} --threads 1" and card["seed"] == train_weights.SEED
    assert card["model"] == recipe.model and card["data"] == recipe.data and card["held_out_pictures"] == recipe.pictures
    assert json.loads(json.dumps(recipe.config)) == card["config"]
    assert {"python", "torch", "numpy", "scikit-learn", "scikit-image"} == set(card["versions"])


@pytest.mark.parametrize("name", NAMES)
def test_the_score_on_the_card_comes_out_again(name):
    """On the card's subset, to four decimals for counts of digits; pixels of masks and decibels may move by a rounding."""
    check = model_card(name)["check"]
    found = train_weights.score(name, load_pretrained(name), check["pictures"])
    assert found.keys() == check["scores"].keys()
    for key, value in check["scores"].items():
        slack = 0.51 / check["pictures"] if train_weights.RECIPES[name].task == "classification" else 5e-4
        assert found[key] == pytest.approx(value, abs=slack)        # of digits, not one may flip


def test_what_the_networks_are_worth():
    """The promises of the course; a card below them must not ship."""
    scores = {name: model_card(name)["scores"] for name in NAMES}
    assert scores["cnn_digits_8x8"]["accuracy"] >= 0.985
    assert scores["cnn_digits"]["accuracy"] >= 0.9
    assert scores["unet_digits"]["iou"] >= 0.85
    assert scores["swin_digits"]["accuracy"] >= 0.95
    assert scores["restorer_photos"]["psnr"] >= scores["restorer_photos"]["psnr_before"] + 6


def test_a_chapter_scores_the_unet_with_the_packages_own_pieces():
    """Nothing of the training script is needed to check a claim."""
    images, labels, masks = DigitsOnTextures("held-out", 200).batch(range(200))
    target = (masks[:, 0] * (labels[:, None, None] + 1)).long()
    data = torch.utils.data.TensorDataset(images, target)
    found = evaluate(load_pretrained("unet_digits"), data, metrics=ConfusionMatrix(11), device="cpu")
    assert found["iou"] == pytest.approx(model_card("unet_digits")["check"]["scores"]["iou"], abs=5e-4)


@pytest.mark.parametrize("run", ["segmentation", "classification", "degradation", "small_targets", "ablation"])
def test_the_real_runs_are_recorded_with_command_machine_and_seconds(run):
    record = json.loads((ROOT / "benchmarks" / "evidence" / f"{run}.json").read_text(encoding="utf-8"))
    assert record["command"].startswith(f"python tools/evidence.py {run} ") and record["machine"] and record["seconds"] > 0
    assert record["rows"] and record["shows"] in (ROOT / "benchmarks" / "evidence" / f"{run}.md").read_text(encoding="utf-8")


def test_the_vit_is_the_one_that_its_own_loader_gives():
    ours, theirs = load_pretrained("vit_digits").state_dict(), load_vit_digits().state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_smallest_is_trained_again_to_its_score(tmp_path):
    """The command of the card, in another folder. Elsewhere the last digits differ, so three pictures of 400 may."""
    name = min(NAMES, key=lambda n: model_card(n)["parameters"])
    assert name == "cnn_digits_8x8"
    command = [sys.executable, str(ROOT / "tools" / "train_weights.py"), name, "--threads", "1", "--out", str(tmp_path)]
    run = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1", "DLNOTES_PROGRESS": "0"}, capture_output=True,
                         text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    card, again = model_card(name), json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert again["scores"]["accuracy"] >= 0.98
    assert again["scores"]["accuracy"] == pytest.approx(card["scores"]["accuracy"], abs=3.5 / 400)
    assert {**again, "scores": 0, "check": 0, "versions": 0} == {**card, "scores": 0, "check": 0, "versions": 0}


# ---------------------------------------------------------------- what goes wrong

@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of weights of our own, with one card in it."""
    (tmp_path / "mine.json").write_text('{"model": "simple_cnn", "config": {"in_channels": 1}}', encoding="utf-8")
    monkeypatch.setattr(pretrained, "_WEIGHTS", tmp_path)
    return tmp_path


def test_unknown_names_are_answered_with_those_that_exist():
    for function in (load_pretrained, model_card):
        with pytest.raises(ValueError, match=rf"{function.__name__}: expected name to be one of 'cnn_.*, got 'resnet'"):
            function("resnet")


def test_missing_damaged_and_foreign_weights_are_named(folder):
    from safetensors.torch import save_file

    with pytest.raises(FileNotFoundError, match="expected the weights at .*mine.safetensors, found no file; train it again"):
        load_pretrained("mine")
    (folder / "mine.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="damaged or different file"):
        load_pretrained("mine")
    save_file({"head.bias": torch.zeros(10)}, folder / "mine.safetensors")
    with pytest.raises(ValueError, match="damaged or different file"):
        load_pretrained("mine")


def test_a_damaged_card_is_named(folder):
    (folder / "mine.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="model_card: expected JSON in .*mine.json, got a damaged file"):
        model_card("mine")
